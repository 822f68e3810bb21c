//! The store's eviction against LRU, ARC and S3-FIFO as published, on generated traces and a recorded one.
//!
//! Every policy sees every trace with caches of 1, 5, 10 and 30 % of the bytes of all its objects. Replays give the same
//! numbers every time. Besides: what a decision costs in time and memory with 10 million entries.

mod arc;
mod cost;
mod list;
mod lru;
mod s3fifo;
mod simulator;
mod synthetic;
mod table;
#[cfg(test)]
mod tests;
mod trace;

use store::eviction::Settings;

use crate::{machine, report};
use arc::Arc;
use lru::Lru;
use s3fifo::S3Fifo;
use simulator::{Policy, Ratios, replay};
pub(crate) use synthetic::spread;
use trace::Trace;

/// Cache sizes, in percent of the bytes of all objects.
const SIZES: [u64; 4] = [1, 5, 10, 30];

/// The policies, in the order of [`Line::ratios`]; the last is the store's.
const POLICIES: [&str; 4] = ["LRU", "ARC", "S3-FIFO as published", "store"];

/// One trace in one size of cache.
struct Line {
    trace: &'static str,
    percent: u64,
    ratios: [Ratios; POLICIES.len()],
}

/// Replays everything; `arguments` may name a file with a recorded trace.
pub(crate) fn run(arguments: impl Iterator<Item = String>, results: &str) -> Result<(), String> {
    let mut traces = synthetic::all();
    for path in arguments {
        traces.push(Trace::read(&path)?);
    }
    let machine = machine::describe();
    let mut lines = Vec::new();
    for trace in &traces {
        eprintln!("bench: {}", trace.name);
        for percent in SIZES {
            lines.push(compare(trace, percent)?);
        }
    }
    eprintln!("bench: cost");
    let costs = cost::measure();
    let markdown = table::markdown(&machine, &traces, &lines, &costs);
    print!("{markdown}");
    let stem = format!("{results}/{}-traces", report::date_stem(&machine)?);
    report::write(&stem, &markdown, &table::json(&machine, &lines, &costs))
}

fn compare(trace: &Trace, percent: u64) -> Result<Line, String> {
    let capacity = trace.footprint() / 100 * percent;
    let mut ratios = [Ratios::default(); POLICIES.len()];
    for (ratios, mut policy) in ratios.iter_mut().zip(policies(capacity, trace.objects())) {
        *ratios = replay(trace, capacity, policy.as_mut())?;
    }
    Ok(Line { trace: trace.name, percent, ratios })
}

fn policies(capacity: u64, objects: usize) -> [Box<dyn Policy>; POLICIES.len()] {
    [
        Box::new(Lru::new(capacity, objects)),
        Box::new(Arc::new(capacity, objects)),
        Box::new(S3Fifo::new(published(capacity), objects)),
        Box::new(S3Fifo::new(Settings::new(capacity), objects)),
    ]
}

/// The store's eviction without what was added to the published algorithm, but the spread first fill.
fn published(capacity: u64) -> Settings {
    Settings { soon: 0, least_small_share: 10, most_small_share: 10, huge_part: 1, ..Settings::new(capacity) }
}
