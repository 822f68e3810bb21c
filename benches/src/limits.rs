//! Start-up time and idle memory.

use std::time::Instant;

use crate::report::Report;
use crate::{Options, cpu, servers};

/// Start to listening, and resident memory of an idle server.
pub(crate) fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let nowhere = ([127, 0, 0, 1], 9).into();
    for _ in 0..options.rounds {
        let started = Instant::now();
        let server = servers::standpipe(nowhere, cpu::SERVER_CORE)?;
        report.sample("start to listening", "standpipe", "ms", started.elapsed().as_secs_f64() * 1e3);
        let mib = cpu::resident(server.pid()) as f64 / f64::from(1 << 20);
        report.sample("idle resident memory", "standpipe", "MiB", mib);
    }
    let start = report.median("start to listening", "standpipe");
    report.verdict("start to listening", "ms".to_owned(), start, 100.0);
    let idle = report.median("idle resident memory", "standpipe");
    report.verdict("idle resident memory", "MiB".to_owned(), idle, 30.0);
    Ok(())
}
