//! One core against all of them, eight clients at once. The load runs on the same machine and takes more than the server
//! does, so how many cores are busy tells whether the server or the machine is the limit, and CPU for each operation
//! tells what the second core's company costs: locks and lines of memory that both want.

use std::fs;
use std::path::Path;

use super::programs::{self, Program, Threads};
use super::{EIGHT, OURS};
use crate::report::Report;
use crate::{Options, cpu};

const OPERATIONS: u64 = 400_000;
/// CPU for each operation at most so many times that on one core.
const COST_BOUND: f64 = 1.25;
/// Operations a second, one core to all of them, with the load on the same cores.
const SHARE_BOUND: f64 = 0.75;
/// Clock ticks of a second in `/proc`; Linux has no other number for programs.
const TICKS: f64 = 100.0;

const ONE: &str = "8 at once, server on one core";
const ALL: &str = "8 at once, server on all cores";

/// Both, in interleaved rounds.
pub(super) fn measure(folder: &Path, options: &Options, report: &mut Report) -> Result<(), String> {
    let start = |name: &str, cores: &str, threads| {
        let listen = format!("UNIX:{}", folder.join(name).display());
        Program::server(&listen, cores, threads, &["--sessions", "60000"])
    };
    let servers = [
        (ONE, start("one", cpu::SERVER_CORE, Threads::One)?),
        (ALL, start("all", cpu::BOTH_CORES, Threads::EveryCore)?),
    ];
    for _ in 0..options.rounds {
        for (name, server) in &servers {
            sample(name, server, OPERATIONS / options.scale, report)?;
        }
    }
    let share = report.median(ONE, OURS) / report.median(ALL, OURS);
    report.verdict(ALL, "operations/s, one core / all cores".to_owned(), share, SHARE_BOUND);
    let cost = |name: &str| report.median(&format!("{name}: server"), OURS);
    let ratio = cost(ALL) / cost(ONE);
    report.verdict(ALL, "CPU for each operation, all cores / one core".to_owned(), ratio, COST_BOUND);
    Ok(())
}

fn sample(name: &str, server: &Program, operations: u64, report: &mut Report) -> Result<(), String> {
    let before = (server.cpu(), of_ended_children());
    let per_second = programs::test(&server.address, operations, EIGHT)?;
    let (served, loaded) = (server.cpu() - before.0, of_ended_children() - before.1);
    let micros = |seconds: f64| seconds * 1e6 / operations as f64;
    report.sample(name, OURS, "operations/s", per_second);
    report.sample(&format!("{name}: server"), OURS, "CPU µs/operation", micros(served));
    report.sample(&format!("{name}: load"), OURS, "CPU µs/operation", micros(loaded));
    let busy = (served + loaded) * per_second / operations as f64;
    report.sample(&format!("{name}: server and load"), OURS, "cores busy", busy);
    Ok(())
}

/// CPU seconds of the children of this process that have ended.
fn of_ended_children() -> f64 {
    let line = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in brackets, may hold anything.
    let fields = line.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks = fields.split(' ').skip(13).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS
}
