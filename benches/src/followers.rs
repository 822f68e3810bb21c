//! Followers: many clients on one cold object.

use std::time::Duration;

use crate::origin::{Paced, PacedOrigin};
use crate::report::Report;
use crate::servers::{self, Server};
use crate::{Options, client, cpu, stats};

const MIB: u64 = 1024 * 1024;
const HERD: &str = "1000 clients, one cold 8 MiB object";
const LONG: &str = "200 followers of a 2 GiB fill";

/// 1 000 clients on one cold object; 200 followers of a 2 GiB fill.
pub(crate) fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    herd(options, report)?;
    long(options, report)
}

fn herd(options: &Options, report: &mut Report) -> Result<(), String> {
    let paced = Paced { size: 8 * MIB, speed: 20_000_000, delay: Duration::from_millis(200) };
    for round in 0..options.rounds {
        for kind in ["varnish", "nginx", "standpipe"] {
            let origin = PacedOrigin::start(paced)?;
            let server = match kind {
                "varnish" => servers::varnish(origin.address)?,
                "nginx" => {
                    servers::nginx_cache("nginx sendfile", "sendfile on;", origin.address, cpu::SERVER_CORE)?
                }
                _ => servers::standpipe(origin.address, cpu::SERVER_CORE)?,
            };
            one_herd(report, &server, &origin, round)?;
        }
    }
    let bound =
        [("origin requests", 1.0), ("last first byte after the first, ms", 20.0), ("KiB a follower", 64.0)];
    for (what, bound) in bound {
        let case = format!("{HERD}: {what}");
        report.verdict(&case, "ours".to_owned(), report.median(&case, "standpipe"), bound);
    }
    Ok(())
}

fn one_herd(report: &mut Report, server: &Server, origin: &PacedOrigin, round: usize) -> Result<(), String> {
    let clients = 1000;
    let idle = cpu::anonymous(server.pid());
    cpu::reset_peak(server.pid());
    let watch = Watch::start(server.pid());
    let before = server.cpu();
    let seen =
        client::run(server.address, clients, clients as u64, |_| server.target(&format!("/herd?{round}")))?;
    let anonymous = watch.stop().saturating_sub(idle);
    let spread = stats::percentile(&seen.first_bytes, 1.0) - stats::percentile(&seen.first_bytes, 0.0);
    let mut record =
        |what: &str, unit, value| report.sample(&format!("{HERD}: {what}"), &server.name, unit, value);
    record("origin requests", "", origin.requests() as f64);
    record("last first byte after the first, ms", "ms", spread * 1e3);
    record("KiB a follower", "KiB", anonymous as f64 / 1024.0 / clients as f64);
    record("whole run", "s", seen.wall);
    record("CPU", "s", server.cpu() - before);
    Ok(())
}

fn long(options: &Options, report: &mut Report) -> Result<(), String> {
    let size = 2048 * MIB / options.scale;
    let paced = Paced { size, speed: 200_000_000, delay: Duration::from_millis(100) };
    let origin = PacedOrigin::start(paced)?;
    let server = servers::standpipe(origin.address, cpu::SERVER_CORE)?;
    let watch = Watch::start(server.pid());
    let seen = client::run(server.address, 200, 200, |_| server.target("/long"))?;
    watch.stop();
    let mib = cpu::peak(server.pid()) as f64 / MIB as f64;
    report.sample(&format!("{LONG}: whole run"), "standpipe", "s", seen.wall);
    let case = format!("{LONG}: peak resident memory");
    report.sample(&case, "standpipe", "MiB", mib);
    report.verdict(&case, "MiB of ours".to_owned(), mib, 150.0);
    if seen.bytes == size * 200 { Ok(()) } else { Err(format!("{LONG}: {} bytes came", seen.bytes)) }
}

/// Watches the anonymous memory of a process from a thread of its own and keeps the highest value.
struct Watch {
    stop: std::sync::mpsc::Sender<()>,
    thread: std::thread::JoinHandle<u64>,
}

impl Watch {
    fn start(pid: u32) -> Self {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let mut highest = 0;
            loop {
                highest = cpu::anonymous(pid).max(highest);
                let pause = stopped.recv_timeout(Duration::from_millis(20));
                if pause != Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                    return highest;
                }
            }
        });
        Self { stop, thread }
    }

    /// The highest value seen.
    fn stop(self) -> u64 {
        drop(self.stop);
        self.thread.join().unwrap_or(0)
    }
}
