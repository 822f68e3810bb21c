//! Small and large stores: memory for each session, lookups at a fixed rate, and ADDs when there is no room. Lookups go
//! before everything else on the machine where the system allows it.

use std::path::Path;

use distcache::request::Request;

use super::OURS;
use super::load::{Load, Pace, Seen, encode, id};
use super::programs::{Program, Threads};
use crate::Options;
use crate::cpu::{self, Priority};
use crate::report::Report;
use crate::stats::percentile;

/// Bytes of a session.
const SESSION: [u8; 200] = [7; 200];
/// An hour: none ends by itself, and a store without room drops those that came first.
const TIMEOUT_MS: u32 = 3_600_000;
const SMALL: u64 = 60_000;
const LARGE: u64 = 1_000_000;
/// Lookups a second.
const RATE: u64 = 100_000;
/// Seconds of lookups.
const SECONDS: u64 = 4;
const CONNECTIONS: usize = 16;
/// Bytes beyond those of the session itself; its id is among them.
const OVERHEAD_BOUND: f64 = 300.0;
/// Microseconds.
const P99_BOUND: f64 = 1000.0;
/// CPU of a GET, large to small: a lookup does not grow with the store.
const LOOKUP_BOUND: f64 = 1.25;
/// CPU of an ADD to a full store, large to small, and full to not full: logarithmic, not linear, in the sessions.
const EVICTION_BOUND: f64 = 2.0;

/// Both sizes, in interleaved rounds.
pub(super) fn measure(folder: &Path, options: &Options, report: &mut Report) -> Result<(), String> {
    let sizes = [("60 000 sessions", SMALL / options.scale), ("1 000 000 sessions", LARGE / options.scale)];
    for _ in 0..options.rounds {
        for (name, sessions) in sizes {
            Round::start(folder, name, sessions)?.measure(report, options.scale)?;
        }
    }
    let [small, large] = sizes.map(|(name, _)| name);
    let overhead = report.median(&overhead(large), OURS);
    report.verdict(large, "bytes beyond the session's own".to_owned(), overhead, OVERHEAD_BOUND);
    for name in [small, large] {
        let p99 = report.median(&lookups(name, "p99"), OURS);
        report.verdict(name, format!("p99 of lookups at {RATE}/s, µs"), p99, P99_BOUND);
    }
    let lookup = |name: &str| report.median(&lookups(name, "server"), OURS);
    let ratio = lookup(large) / lookup(small);
    report.verdict(large, format!("CPU of GET / with {small}"), ratio, LOOKUP_BOUND);
    let cost = |name: &str| report.median(&full(name), OURS);
    let (to_small, to_room) = (cost(large) / cost(small), cost(large) / report.median(&filling(large), OURS));
    report.verdict(large, "CPU of ADD to a full store / to a small one".to_owned(), to_small, EVICTION_BOUND);
    report.verdict(large, "CPU of ADD to a full store / with room".to_owned(), to_room, EVICTION_BOUND);
    Ok(())
}

fn overhead(name: &str) -> String {
    format!("{name}: memory beyond 200 bytes")
}

fn filling(name: &str) -> String {
    format!("{name}: ADD with room")
}

fn full(name: &str) -> String {
    format!("{name}: ADD without room")
}

fn lookups(name: &str, what: &str) -> String {
    format!("{name}: GET at {RATE}/s, {what}")
}

/// One server that is filled, asked, and filled beyond its bound.
struct Round<'a> {
    name: &'a str,
    sessions: u64,
    server: Program,
    load: Load,
}

impl<'a> Round<'a> {
    fn start(folder: &Path, name: &'a str, sessions: u64) -> Result<Self, String> {
        let listen = format!("UNIX:{}", folder.join("room").display());
        let most = sessions.to_string();
        let server = Program::server(
            &listen,
            cpu::SERVER_CORE,
            Threads::One,
            &["--sessions", &most, "--max-bytes", "8GiB"],
        )?;
        let load = Load::connect(&server.address, CONNECTIONS)?;
        Ok(Self { name, sessions, server, load })
    }

    fn measure(mut self, report: &mut Report, scale: u64) -> Result<(), String> {
        let before = self.server.memory();
        let (cost, _) = self.add(0..self.sessions)?;
        report.sample(&filling(self.name), OURS, "CPU µs/operation", cost);
        let each = (self.server.memory() - before) as f64 / self.sessions as f64;
        report.sample(&overhead(self.name), OURS, "bytes/session", each - SESSION.len() as f64);

        let asked = RATE * SECONDS / scale;
        let (cost, seen) = self.get(asked)?;
        report.sample(&lookups(self.name, "reached"), OURS, "operations/s", asked as f64 / seen.seconds);
        report.sample(&lookups(self.name, "server"), OURS, "CPU µs/operation", cost);
        for (what, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            report.sample(&lookups(self.name, what), OURS, "µs", percentile(&seen.latencies, share));
        }

        let (cost, _) = self.add(self.sessions..self.sessions + asked)?;
        report.sample(&full(self.name), OURS, "CPU µs/operation", cost);
        Ok(())
    }

    fn add(&mut self, numbers: std::ops::Range<u64>) -> Result<(f64, Seen), String> {
        let Self { server, load, .. } = self;
        let count = numbers.end - numbers.start;
        let add = |number: u64, out: &mut Vec<u8>| {
            let id = id(numbers.start + number);
            encode(number, &Request::Add { id: &id, session: &SESSION, timeout_ms: TIMEOUT_MS }, out);
        };
        costs(server, count, || load.run(Pace::Full, count, add, |answer| answer == [0]))
    }

    /// Every session once in a while, never the same one twice in a row.
    fn get(&mut self, count: u64) -> Result<(f64, Seen), String> {
        let Self { server, load, sessions, .. } = self;
        let get = |number: u64, out: &mut Vec<u8>| {
            encode(number, &Request::Get(&id(number * 7_919 % *sessions)), out);
        };
        server.prefer(Priority::First);
        let run = || load.run(Pace::PerSecond(RATE), count, get, |answer| answer == SESSION);
        let result = costs(server, count, run);
        server.prefer(Priority::Usual);
        result
    }
}

/// The server's CPU for each of so many operations, in microseconds, and what was seen of them.
fn costs(
    server: &Program,
    count: u64,
    run: impl FnOnce() -> Result<Seen, String>,
) -> Result<(f64, Seen), String> {
    let before = server.cpu();
    let seen = run()?;
    Ok(((server.cpu() - before) * 1e6 / count as f64, seen))
}
