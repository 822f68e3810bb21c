//! Hits: server CPU per request for small objects, per gigabyte for large ones.

use std::fs;
use std::path::PathBuf;

use crate::client::{self, Asked};
use crate::report::{Report, Row};
use crate::servers::{self, Server};
use crate::{Options, cpu};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// CPU per request of ours at most this share of the best nginx.
const SMALL_BOUND: f64 = 0.85;
/// CPU per gigabyte of ours at most this share of the best nginx.
const LARGE_BOUND: f64 = 1.0;

/// Longest bodies for which a bare loop runs beside the others: its one write takes them whole.
const BARE: u64 = 16 * KIB;
/// CPU per request of ours at most so many times that of a loop that only reads and writes.
const BARE_BOUND: f64 = 1.35;

/// What is asked for again and again.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Path at the origin.
    pub(crate) file: &'static str,
    /// Further lines of the request's head.
    pub(crate) fields: &'static str,
    /// Length of the body.
    pub(crate) size: u64,
    pub(crate) connections: usize,
    /// Requests of a round.
    pub(crate) requests: u64,
}

/// 1 KiB to 1 MiB, keep-alive, 32 connections.
pub(crate) fn small(options: &Options, report: &mut Report) -> Result<(), String> {
    let case = |name, file, size, requests| Case { name, file, fields: "", size, connections: 32, requests };
    let cases = [
        case("1 KiB hit", "/1k", KIB, 80_000),
        case("16 KiB hit", "/16k", 16 * KIB, 60_000),
        case("64 KiB hit", "/64k", 64 * KIB, 30_000),
        case("1 MiB hit", "/1m", MIB, 4_000),
    ];
    compare(options, report, &cases, "µs/request", SMALL_BOUND, |seconds, requests, _| {
        seconds * 1e6 / requests as f64
    })
}

/// 64 MiB and 1 GiB, 1 and 8 connections.
pub(crate) fn large(options: &Options, report: &mut Report) -> Result<(), String> {
    let case = |name, file, size, connections, requests| Case {
        name,
        file,
        fields: "",
        size,
        connections,
        requests,
    };
    let cases = [
        case("64 MiB hit, 1 connection", "/64m", 64 * MIB, 1, 64),
        case("64 MiB hit, 8 connections", "/64m", 64 * MIB, 8, 64),
        case("1 GiB hit, 1 connection", "/1g", 1024 * MIB, 1, 4),
        case("1 GiB hit, 8 connections", "/1g", 1024 * MIB, 8, 8),
    ];
    compare(options, report, &cases, "s/GB", LARGE_BOUND, |seconds, _, bytes| seconds * 1e9 / bytes as f64)
}

fn compare(
    options: &Options,
    report: &mut Report,
    cases: &[Case],
    unit: &'static str,
    bound: f64,
    figure: impl Fn(f64, u64, u64) -> f64,
) -> Result<(), String> {
    let root = files(cases)?;
    let origin = servers::nginx_origin(&root)?;
    let mut all = servers::nginx_caches(origin.address)?;
    all.push(servers::standpipe(origin.address, cpu::SERVER_CORE)?);
    for case in cases {
        if case.size <= BARE {
            all.push(servers::bare(case.size)?);
        }
        warm_up(&all, case)?;
        measure(options, report, &all, case, unit, &figure)?;
        let ratio = report.median(case.name, "standpipe") / report.best(case.name, "nginx");
        report.verdict(case.name, "CPU of ours / best nginx".to_owned(), ratio, bound);
        if case.size <= BARE {
            all.pop();
            let ratio = report.median(case.name, "standpipe") / report.median(case.name, "bare epoll loop");
            report.verdict(case.name, "CPU of ours / bare epoll loop".to_owned(), ratio, BARE_BOUND);
        }
    }
    fs::remove_dir_all(root).map_err(|error| error.to_string())
}

/// Has every server fetch the object.
pub(crate) fn warm_up(servers: &[Server], case: &Case) -> Result<(), String> {
    servers.iter().try_for_each(|server| ask(server, case, case.connections as u64 * 2).map(drop))
}

/// Rounds that go from server to server; `figure` makes a sample of CPU seconds, requests, and bytes.
pub(crate) fn measure(
    options: &Options,
    report: &mut Report,
    servers: &[Server],
    case: &Case,
    unit: &'static str,
    figure: impl Fn(f64, u64, u64) -> f64,
) -> Result<(), String> {
    let mut samples = vec![Vec::new(); servers.len()];
    for _ in 0..options.rounds {
        for (server, samples) in servers.iter().zip(&mut samples) {
            let before = server.cpu();
            let requests = (case.requests / options.scale).max(case.connections as u64);
            let bytes = ask(server, case, requests)?;
            samples.push(figure(server.cpu() - before, requests, bytes));
        }
    }
    for (server, samples) in servers.iter().zip(samples) {
        report.add(Row { case: case.name.to_owned(), server: server.name.clone(), unit, samples });
    }
    Ok(())
}

fn ask(server: &Server, case: &Case, requests: u64) -> Result<u64, String> {
    let path = server.target(case.file);
    let asked = |_| Asked { fields: case.fields, ..Asked::path(path.clone()) };
    let seen = client::run_asking(server.address, case.connections, requests, asked)?;
    if seen.bytes != case.size * requests {
        return Err(format!("{} sent {} bytes for {requests} × {}", server.name, seen.bytes, case.size));
    }
    Ok(seen.bytes)
}

/// Makes the origin's files.
fn files(cases: &[Case]) -> Result<PathBuf, String> {
    let root = servers::scratch("files")?;
    for case in cases {
        crate::origin::write_file(&root.join(&case.file[1..]), case.size, case.size)?;
    }
    Ok(root)
}
