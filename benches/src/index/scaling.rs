//! Reads of warm entries by several threads beside one that changes entries.
//!
//! Readers are spread over the cores and pinned there. On a busy machine they seldom run at the same time, and then do
//! not hinder each other: rounds of reads count only if readers on all other cores were at work during them, and are
//! timed by their thread's CPU time.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::ClockId;
use store::{Reader, Writer};

use super::entries::{self, Plain, WITH_BODY};
use super::parts::seconds;
use crate::traces::spread;

/// How long one number of readers is measured.
const TIME: Duration = Duration::from_secs(4);
/// Reads between two looks at the clock.
const ROUND: u64 = 512;
/// A round that takes longer by the clock than so many times its CPU time was interrupted.
const INTERRUPTED: f64 = 1.2;
/// Between two changes.
const PAUSE: Duration = Duration::from_micros(100);

/// Rounds of the readers on one core, in cache lines of their own.
#[derive(Default)]
#[repr(align(128))]
struct Core {
    rounds: AtomicU64,
}

/// What one reader has done.
#[derive(Default)]
struct Done {
    reads: u64,
    seconds: f64,
    /// Of both, what counts.
    together: (u64, f64),
}

/// Measures with so many readers.
pub(super) fn measure(writer: &Writer<Plain>, readers: usize) -> Result<Vec<(&'static str, f64)>, String> {
    let all = thread::available_parallelism().map_or(1, usize::from);
    let cores: Vec<Core> = (0..all.min(readers)).map(|_| Core::default()).collect();
    let is_over = AtomicBool::new(false);
    let begun = Instant::now();
    let (done, changes) = thread::scope(|scope| {
        let threads: Vec<_> = (0..readers)
            .map(|number| {
                let (reader, cores, is_over) = (writer.reader(), &cores[..], &is_over);
                scope.spawn(move || read(&reader, cores, number, is_over))
            })
            .collect();
        let changing = scope.spawn(|| change(writer, &is_over));
        wait(TIME);
        is_over.store(true, Ordering::Relaxed);
        let done: Vec<_> = threads.into_iter().filter_map(|thread| thread.join().ok()?.ok()).collect();
        (done, changing.join().unwrap_or(0))
    });
    if done.len() < readers {
        return Err("a reader could not be pinned to its core".to_owned());
    }
    let wall = begun.elapsed().as_secs_f64();
    let sum = |of: fn(&Done) -> f64| done.iter().map(of).sum::<f64>();
    let (reads, spent) = (sum(|done| done.reads as f64), sum(|done| done.seconds));
    let (together, time) = (sum(|done| done.together.0 as f64), sum(|done| done.together.1));
    Ok(vec![
        ("per-cpu-second", reads / spent),
        ("together", together / time),
        ("share", time / spent),
        ("wall", reads / wall),
        ("changes", changes as f64 / wall),
    ])
}

fn read(reader: &Reader<Plain>, cores: &[Core], number: usize, is_over: &AtomicBool) -> Result<Done, String> {
    let core = number % cores.len();
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).map_err(|error| error.to_string())?;
    let keys: Vec<_> = (0..WITH_BODY).map(entries::key).collect();
    let mut done = Done::default();
    let (mut at, begun) = (spread(number as u64), seconds(ClockId::ThreadCPUTime));
    let mut before = begun;
    while !is_over.load(Ordering::Relaxed) {
        let (others, started) = (rounds(cores), Instant::now());
        for _ in 0..ROUND {
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key = &keys[(at >> 33) as usize % keys.len()];
            black_box(reader.lookup(key).ok_or("a warm entry is not there")?);
        }
        let now = seconds(ClockId::ThreadCPUTime);
        done.reads += ROUND;
        let is_whole = started.elapsed().as_secs_f64() <= (now - before) * INTERRUPTED;
        let all_ran = || {
            rounds(cores).iter().zip(&others).enumerate().all(|(at, (now, then))| at == core || now > then)
        };
        if is_whole && all_ran() {
            done.together.0 += ROUND;
            done.together.1 += now - before;
        }
        before = now;
        cores[core].rounds.fetch_add(1, Ordering::Relaxed);
    }
    done.seconds = before - begun;
    Ok(done)
}

/// Rounds of the readers on each core.
fn rounds(cores: &[Core]) -> Vec<u64> {
    cores.iter().map(|core| core.rounds.load(Ordering::Relaxed)).collect()
}

/// Gives warm entries new heads, one after the other. Returns how many.
fn change(writer: &Writer<Plain>, is_over: &AtomicBool) -> u64 {
    let reader = writer.reader();
    let mut changes = 0;
    while !is_over.load(Ordering::Relaxed) {
        let number = changes * 7 % WITH_BODY;
        if let Some(entry) = reader.lookup(&entries::key(number)) {
            writer.replace_head(&entry, entries::head(number));
        }
        changes += 1;
        wait(PAUSE);
    }
    changes
}

#[expect(clippy::disallowed_methods, reason = "a measurement takes its time")]
fn wait(time: Duration) {
    thread::sleep(time);
}
