//! The measurements, each in a process of its own, which prints its results as lines of name and number.

use std::hint::black_box;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prometheus_client::registry::Registry;
use rustix::time::{ClockId, clock_gettime};
use store::{Access, Affected, BodySpec, Config, Mode, Reader, Selector, Writer};

use super::entries::{self, Plain, WITH_BODY};
use super::scaling;
use crate::{ALLOCATOR, cpu, stats};

/// More than all bodies together.
const QUOTA: u64 = 1 << 50;
/// Enough for the entries that are to stay warm.
const MEMORY: u64 = 1 << 30;
/// Objects that are stored.
const FILLS: u64 = 1000;
/// Hits that are counted.
const HITS: u64 = 1_000_000;
/// Hits between two looks at what was allocated; few enough that other threads allocate nothing during most.
const BATCH: u64 = 1000;
/// An entry of the last shard, which is not loaded first.
const LAST_SHARD: u64 = 63;

/// Runs the measurement of this name.
pub(super) fn run(what: &str, directory: &Path, argument: usize) -> Result<(), String> {
    match what {
        "make" => entries::make(directory, argument as u64),
        "load" => load(directory, argument),
        "reads" => reads(directory, argument),
        "hits" => hits(directory),
        "purge" => purge(directory),
        "fills" => fills(directory),
        other => Err(format!("there is no measurement {other}")),
    }
}

fn say(name: &str, value: f64) {
    println!("{name} {value}");
}

fn open(directory: &Path, threads: usize, registry: &mut Registry) -> Result<Writer<Plain>, String> {
    let config = Config { load_threads: threads, memory: MEMORY, ..Config::new(directory.to_owned(), QUOTA) };
    store::open(config, registry).map_err(|error| error.detail)
}

/// Opens the store and waits for one entry, then for all.
fn load(directory: &Path, threads: usize) -> Result<(), String> {
    let own = std::process::id();
    let (before, begun) = (cpu::anonymous(own), Instant::now());
    let (process, thread) = (seconds(ClockId::ProcessCPUTime), seconds(ClockId::ThreadCPUTime));
    let writer = open(directory, threads, &mut Registry::default())?;
    let reader = writer.reader();
    say("open", begun.elapsed().as_secs_f64());
    let found = block_on(reader.find(&entries::key(LAST_SHARD)));
    let (first, cost) = (begun.elapsed(), seconds(ClockId::ProcessCPUTime) - process);
    let late = reader.usage().unloaded;
    block_on(reader.loaded());
    let (all, loading) = (begun.elapsed(), seconds(ClockId::ProcessCPUTime) - process);
    let after = cpu::anonymous(own);
    let usage = reader.usage();
    if found.is_none() || late == 0 {
        return Err("the first entry was not found while others were still to be loaded".to_owned());
    }
    say("first", first.as_secs_f64());
    say("first-cpu", cost);
    say("first-own-cpu", seconds(ClockId::ThreadCPUTime) - thread);
    say("all", all.as_secs_f64());
    say("all-cpu", loading);
    say("entries", usage.entries as f64);
    say("memory", (after - before) as f64 / usage.entries as f64);
    say("peak", (cpu::peak(own) as f64 - before as f64) / usage.entries as f64);
    block_on(writer.loaded());
    say("walk-cpu", seconds(ClockId::ProcessCPUTime) - process - loading);
    std::process::exit(0);
}

/// A store whose entries with bodies are warm, and in which nothing more goes on.
fn warm(directory: &Path) -> Result<Writer<Plain>, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let writer = open(directory, threads, &mut Registry::default())?;
    let reader = writer.reader();
    block_on(writer.loaded());
    for number in 0..WITH_BODY {
        block_on(reader.find(&entries::key(number))).ok_or_else(|| format!("entry {number} is not there"))?;
    }
    Ok(writer)
}

fn reads(directory: &Path, readers: usize) -> Result<(), String> {
    let writer = warm(directory)?;
    for (name, value) in scaling::measure(&writer, readers)? {
        say(name, value);
    }
    std::process::exit(0);
}

/// What a hit on a small body in memory allocates and costs on the store's side.
fn hits(directory: &Path) -> Result<(), String> {
    let writer = warm(directory)?;
    let reader = writer.reader();
    hit(&reader, 0)?;
    let begun = seconds(ClockId::ThreadCPUTime);
    let mut allocated = Vec::new();
    for batch in 0..HITS / BATCH {
        let before = ALLOCATOR.total_allocated();
        for number in batch * BATCH..(batch + 1) * BATCH {
            hit(&reader, number % WITH_BODY)?;
        }
        allocated.push((ALLOCATOR.total_allocated() - before) as f64 / BATCH as f64);
    }
    let cost = seconds(ClockId::ThreadCPUTime) - begun;
    say("allocated", stats::median(&allocated));
    say("cpu", cost * 1e9 / HITS as f64);
    std::process::exit(0);
}

/// Counts what has a label, then takes it out.
#[expect(clippy::disallowed_methods, reason = "a measurement looks from time to time")]
fn purge(directory: &Path) -> Result<(), String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let writer = open(directory, threads, &mut Registry::default())?;
    block_on(writer.loaded());
    writer.commit();
    for (name, mode) in [("count", Mode::Dry), ("purge", Mode::Hard)] {
        let (begun, affected) = (Instant::now(), Arc::<Affected>::default());
        // In force when the last has been counted; answered when that is on the disk.
        let (watched, is_answered) = (Arc::clone(&affected), Arc::<AtomicBool>::default());
        let ends = Arc::clone(&is_answered);
        let in_force = std::thread::spawn(move || {
            let (mut counted, mut at) = (0, Duration::ZERO);
            while !ends.load(Ordering::Relaxed) {
                if watched.entries() > counted {
                    (counted, at) = (watched.entries(), begun.elapsed());
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            at
        });
        let purged = block_on(writer.purge(Selector::Label(entries::LABEL), mode, &affected));
        let answered = begun.elapsed();
        is_answered.store(true, Ordering::Relaxed);
        purged.map_err(|failure| failure.detail.to_string())?;
        let in_force = in_force.join().map_err(|_| "the watch has failed")?;
        say(&format!("{name}-entries"), affected.entries() as f64);
        say(&format!("{name}-in-force"), in_force.as_secs_f64());
        say(&format!("{name}-answered"), answered.as_secs_f64());
    }
    let begun = Instant::now();
    block_on(writer.settle());
    say("settled", begun.elapsed().as_secs_f64());
    std::process::exit(0);
}

fn hit(reader: &Reader<Plain>, number: u64) -> Result<(), String> {
    let entry = reader.lookup(&entries::key(number)).ok_or("a warm entry is not there")?;
    let mut body = entry.body.read(0..u64::MAX);
    match body.poll_chunk(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Ok(chunk))) => drop(black_box(chunk)),
        _ => return Err("a warm body does not come at once".to_owned()),
    }
    Ok(())
}

/// Stores small objects and reads how much was written about them.
fn fills(directory: &Path) -> Result<(), String> {
    let mut registry = Registry::default();
    let writer = open(directory, 1, &mut registry)?;
    for number in 0..FILLS {
        block_on(store_one(&writer, number))?;
    }
    block_on(writer.settle());
    writer.commit();
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).map_err(|error| error.to_string())?;
    let line = text.lines().find_map(|line| line.strip_prefix("standpipe_store_journal_bytes_total "));
    let bytes: f64 = line.and_then(|line| line.parse().ok()).ok_or("no metric of the journal's bytes")?;
    let stored = writer.reader().usage().entries as f64;
    say("journal", bytes / stored);
    Ok(())
}

async fn store_one(writer: &Writer<Plain>, number: u64) -> Result<(), String> {
    let (key, name) = (entries::key(number), Arc::from(entries::name(number)));
    let Access::Claimed(claim) = writer.lookup_or_claim(key, &name, |_| true).await else {
        return Err("a new key is taken".to_owned());
    };
    let body = Bytes::from(entries::body(number));
    let spec = BodySpec { length: Some(body.len() as u64), promised: None };
    let published = claim.publish(entries::head(number), spec).await;
    let (_, mut fill) = published.map_err(|(_, refused)| format!("{refused:?}"))?;
    fill.write(body).await.map_err(|failure| failure.detail.to_string())?;
    fill.finish().await.map_err(|failure| failure.detail.to_string())?;
    Ok(())
}

/// What a clock of CPU time shows.
pub(super) fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Parked(Thread);
    impl Wake for Parked {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Parked(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => std::thread::park(),
        }
    }
}
