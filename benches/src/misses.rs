//! Misses: a large cold object at full speed and from a limited origin; many small cold objects.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::origin::{self, Paced, PacedOrigin};
use crate::report::Report;
use crate::servers::{self, Server};
use crate::{Options, client, cpu, stats};

const MIB: u64 = 1024 * 1024;
const COLD_SIZE: u64 = 4096;
const FULL: &str = "1 GiB miss, full speed";
/// With a second core for the server (load and origin share it), so that hashing has a place of its own.
const FULL_BOTH: &str = "1 GiB miss, full speed, both cores";
const LIMITED: &str = "1 GiB miss, origin at 200 MB/s";
const SMALL: &str = "4 KiB cold object, median";

/// 1 GiB at full loopback speed, and from an origin limited to 200 MB/s.
pub(crate) fn large(options: &Options, report: &mut Report) -> Result<(), String> {
    let size = 1024 * MIB / options.scale;
    let root = servers::scratch("files")?;
    origin::write_file(&root.join("1g"), size, 1)?;
    let hash = sha256_seconds(&root.join("1g"))?;
    let origin = servers::nginx_origin(&root)?;
    for round in 0..options.rounds {
        let path = format!("/1g?round={round}");
        time(report, FULL, "direct", client::run(origin.address, 1, 1, |_| path.clone())?.wall);
        for (cores, case) in [(cpu::SERVER_CORE, FULL), (cpu::BOTH_CORES, FULL_BOTH)] {
            let servers = [
                servers::nginx_cache("nginx sendfile", "sendfile on;", origin.address, cores)?,
                servers::standpipe(origin.address, cores)?,
            ];
            for server in &servers {
                let (seconds, wall) = miss(server, &path, size)?;
                time(report, case, &server.name, wall);
                time(report, &format!("{case}, CPU"), &server.name, seconds);
            }
        }
    }
    for case in [FULL, FULL_BOTH] {
        let wall = report.median(case, "standpipe") / report.median(case, "nginx sendfile");
        report.verdict(case, "wall time of ours / nginx".to_owned(), wall, 1.0);
    }
    let case = format!("{FULL}, CPU");
    let bound = report.median(&case, "nginx sendfile") / 2.0 + hash;
    let text = format!("CPU seconds of ours, bound is half of nginx plus one SHA-256 pass ({hash:.2} s)");
    report.verdict(&case, text, report.median(&case, "standpipe"), bound);
    fs::remove_dir_all(root).map_err(|error| error.to_string())?;
    limited(options, report, size)
}

fn limited(options: &Options, report: &mut Report, size: u64) -> Result<(), String> {
    let paced = Paced { size, speed: 200_000_000, delay: Duration::ZERO };
    let origin = PacedOrigin::start(paced)?;
    for round in 0..options.rounds {
        let server = servers::standpipe(origin.address, cpu::SERVER_CORE)?;
        let path = format!("/limited?round={round}");
        time(report, LIMITED, "direct", client::run(origin.address, 1, 1, |_| path.clone())?.wall);
        let (_, wall) = miss(&server, &path, size)?;
        time(report, LIMITED, "standpipe", wall);
    }
    let ratio = report.median(LIMITED, "standpipe") / report.median(LIMITED, "direct");
    report.verdict(LIMITED, "wall time of ours / direct".to_owned(), ratio, 1.03);
    Ok(())
}

fn miss(server: &Server, path: &str, size: u64) -> Result<(f64, f64), String> {
    let before = server.cpu();
    let seen = client::run(server.address, 1, 1, |_| server.target(path))?;
    if seen.bytes != size {
        return Err(format!("{} sent {} of {size} bytes", server.name, seen.bytes));
    }
    Ok((server.cpu() - before, seen.wall))
}

/// 4 KiB objects that nobody asked for before, one after the other on one connection.
pub(crate) fn small(options: &Options, report: &mut Report) -> Result<(), String> {
    let requests = 2_000 / options.scale;
    let root = servers::scratch("files")?;
    // Different bytes for each request: equal ones would share one body and cost no file.
    for n in 0..requests * options.rounds as u64 {
        origin::write_file(&root.join(n.to_string()), COLD_SIZE, n)?;
    }
    let origin = servers::nginx_origin(&root)?;
    let servers = [
        servers::nginx_cache("nginx sendfile", "sendfile on;", origin.address, cpu::SERVER_CORE)?,
        servers::varnish(origin.address)?,
        servers::standpipe(origin.address, cpu::SERVER_CORE)?,
    ];
    for round in 0..options.rounds {
        let path = |n: u64| format!("/{}", round as u64 * requests + n);
        let mut record = |name: &str, latencies: &[f64]| {
            report.sample(SMALL, name, "µs", stats::median(latencies) * 1e6);
            report.sample("4 KiB cold object, p99", name, "µs", stats::percentile(latencies, 0.99) * 1e6);
        };
        record("direct", &client::run(origin.address, 1, requests, path)?.latencies);
        for server in &servers {
            let seen = client::run(server.address, 1, requests, |n| server.target(&path(n)))?;
            record(&server.name, &seen.latencies);
        }
    }
    report.verdict(SMALL, "µs of ours".to_owned(), report.median(SMALL, "standpipe"), 120.0);
    fs::remove_dir_all(root).map_err(|error| error.to_string())
}

fn time(report: &mut Report, case: &str, server: &str, seconds: f64) {
    report.sample(case, server, "s", seconds);
}

/// Seconds for one SHA-256 pass over the file on one core (OpenSSL's, with the processor's instructions).
fn sha256_seconds(path: &std::path::Path) -> Result<f64, String> {
    let mut samples = Vec::new();
    for _ in 0..3 {
        let started = Instant::now();
        let status = Command::new("openssl")
            .args(["dgst", "-sha256"])
            .arg(path)
            .stdout(std::process::Stdio::null())
            .status()
            .map_err(|error| format!("openssl cannot be started: {error}"))?;
        if !status.success() {
            return Err("openssl dgst failed".to_owned());
        }
        samples.push(started.elapsed().as_secs_f64());
    }
    Ok(stats::median(&samples))
}
