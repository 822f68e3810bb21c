//! Loading: from the logs on disk to the index in memory, part by part, by a few threads.
//!
//! A part that somebody waits for is loaded next. When all are there, the names in `bodies/` are compared with what the
//! records name ([`upkeep`](crate::upkeep) does that). Invariant: a part answers only when all of its records are known.
//! A log that cannot be read is rebuilt empty, loudly; one of a newer version stops the start, before anything is changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use crate::bodies::Facts;
use crate::eviction::Heat;
use crate::files::directory::Directory;
use crate::index::{Loaded, Loader, Number, Recorded, SHARDS};
use crate::journal::{self, BodyRef, Log, OpenFault, Position, Put, Record, Report};
use crate::recording::removal;
use crate::store::Inner;
use crate::waiters::WaitList;
use crate::{Contents, Entry, Key, OpenError};

/// How far the start is.
#[derive(Default)]
pub(crate) struct Stage {
    parts: AtomicUsize,
    /// Records of the part that was read last: all have about as many.
    entries: AtomicUsize,
    arrived: WaitList,
    is_checked: AtomicBool,
    /// Whether pins have been compared with what was loaded.
    may_evict: AtomicBool,
    pins: AtomicU64,
}

impl Stage {
    /// Waits until every part is loaded.
    pub(crate) async fn loaded(&self) {
        self.arrived.until(|| self.is_loaded().then_some(())).await;
    }

    /// Waits until what was loaded has been compared with the files that are there.
    pub(crate) async fn checked(&self) {
        self.arrived.until(|| self.is_checked.load(Ordering::Acquire).then_some(())).await;
    }

    pub(crate) fn end_check(&self) {
        self.is_checked.store(true, Ordering::Release);
        self.arrived.wake_all();
    }

    pub(crate) fn is_loaded(&self) -> bool {
        self.parts.load(Ordering::Acquire) == SHARDS
    }

    pub(crate) fn may_evict(&self) -> bool {
        self.may_evict.load(Ordering::Acquire)
    }

    pub(crate) fn allow_eviction(&self) {
        self.may_evict.store(true, Ordering::Release);
    }

    /// Counts the changes of the pins.
    pub(crate) fn pins_changed(&self) {
        self.pins.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn pins(&self) -> u64 {
        self.pins.load(Ordering::Acquire)
    }

    fn part_loaded(&self) {
        self.parts.fetch_add(1, Ordering::Release);
        self.arrived.wake_all();
    }
}

/// Refuses what a newer version has written, before anything is changed.
pub(crate) fn check(directory: &Directory) -> Result<(), OpenError> {
    let known = |part| journal::check(&**directory.disk(), &directory.index(), part as u8);
    (0..SHARDS).try_for_each(known).map_err(|fault| OpenError { detail: fault.to_string() })
}

/// Starts the loading threads.
pub(crate) fn load<C: Contents>(
    inner: &Arc<Inner<C>>,
    threads: usize,
) -> Result<Vec<JoinHandle<()>>, OpenError> {
    inner.shared.metrics.unloaded.add(SHARDS as u64);
    let taken: Arc<[AtomicBool]> = (0..SHARDS).map(|_| AtomicBool::new(false)).collect();
    let start = |number| {
        let (inner, taken) = (inner.clone(), taken.clone());
        let run = move || {
            while let Some(part) = next(&inner, &taken).filter(|_| !inner.shared.is_closed()) {
                inner.load_part(part);
            }
        };
        thread::Builder::new()
            .name(format!("store-load-{number}"))
            .spawn(run)
            .map_err(|error| OpenError { detail: format!("cannot start a loading thread: {error}") })
    };
    (0..threads.clamp(1, SHARDS)).map(start).collect()
}

/// The next part to load: one that somebody waits for, else the first.
fn next<C: Contents>(inner: &Inner<C>, taken: &[AtomicBool]) -> Option<usize> {
    loop {
        let free = |part: &usize| !taken[*part].load(Ordering::Relaxed);
        let wanted = (0..SHARDS).filter(free).find(|part| inner.index.is_wanted(*part));
        let part = wanted.or_else(|| (0..SHARDS).find(free))?;
        if !taken[part].swap(true, Ordering::Relaxed) {
            return Some(part);
        }
    }
}

/// Records whose bodies are enlisted together.
const TOGETHER: usize = 2048;

/// A part while its records are read.
struct Reading<'a, C: Contents> {
    inner: &'a Inner<C>,
    loader: Loader<'a, Arc<Entry<C>>, C::Refusal>,
    /// Records that wait until there are enough of them; all others come after these.
    waiting: Vec<Waiting>,
    facts: Vec<Facts>,
    order: Vec<InOrder>,
    /// Parts of bodies that cannot be trusted.
    forgotten: Vec<Key>,
}

struct Waiting {
    key: Key,
    position: Position,
    deadline: u32,
}

impl<'a, C: Contents> Reading<'a, C> {
    fn new(inner: &'a Inner<C>, part: usize) -> Self {
        let mut loader = inner.index.loader(part);
        let expected = inner.stage.entries.load(Ordering::Relaxed);
        loader.expect(expected);
        let order = Vec::with_capacity(expected);
        Self { inner, loader, waiting: Vec::new(), facts: Vec::new(), order, forgotten: Vec::new() }
    }

    fn take(&mut self, position: Position, record: Record<'_>) {
        match record {
            Record::Put(put) => match put.body {
                BodyRef::Whole { digest, length } => {
                    self.waiting.push(Waiting { key: put.key, position, deadline: put.deadline });
                    self.facts.push(Facts { digest, length, epoch: put.epoch });
                    if self.waiting.len() == TOGETHER {
                        self.enlist();
                    }
                }
                BodyRef::Part { id, ref extents, .. } => {
                    self.enlist();
                    let received = extents.contiguous_end(0);
                    match self.take_part(position, &put, (id, received)) {
                        Some(number) => self.order.push(InOrder { number, position, length: received }),
                        None => self.forgotten.push(put.key),
                    }
                }
            },
            Record::Removed(key) => {
                self.enlist();
                self.inner.let_go(self.loader.forget(&key));
            }
        }
    }

    /// Puts what waits into the index.
    fn enlist(&mut self) {
        let bodies = self.inner.shared.bodies.enlist_all(&self.inner.shared, &self.facts);
        for ((waiting, facts), body) in self.waiting.drain(..).zip(self.facts.drain(..)).zip(bodies) {
            let Waiting { key, position, deadline } = waiting;
            let record = Recorded { position, body };
            let (number, before) = self.loader.put(&key, Loaded { record, deadline });
            self.inner.let_go(before);
            self.order.push(InOrder { number, position, length: facts.length });
        }
    }

    /// A part of a clean epoch is there again; any other one is forgotten, and its file found as a stray.
    fn take_part(&mut self, position: Position, put: &Put<'_>, (id, received): (u64, u64)) -> Option<Number> {
        let shared = &self.inner.shared;
        if !shared.is_trusted(put.epoch) || received == 0 {
            self.inner.let_go(self.loader.forget(&put.key));
            return None;
        }
        shared.metrics.bodies.inc();
        shared.quota.take_anyway(received);
        let body = shared.bodies.add_part(id, received, put.epoch);
        let record = Recorded { position, body };
        let (number, before) = self.loader.put(&put.key, Loaded { record, deadline: put.deadline });
        self.inner.let_go(before);
        Some(number)
    }
}

/// A record in the order of the log.
struct InOrder {
    number: Number,
    position: Position,
    length: u64,
}

impl<C: Contents> Inner<C> {
    fn load_part(&self, part: usize) {
        let loaded = self.read_part(part);
        let log = match loaded {
            Ok((log, report)) => {
                report_faults(part, &report);
                Some(log)
            }
            Err(fault) => {
                let why = format!("the index cannot be read: {fault}");
                tracing::error!(part, "{why}");
                self.shared.health.degrade(&why);
                None
            }
        };
        self.index.finish_loading(part, log);
        self.shared.metrics.unloaded.dec();
        self.stage.part_loaded();
    }

    fn read_part(&self, part: usize) -> Result<(Log, Report), OpenFault> {
        let (disk, directory) = (self.shared.disk(), self.shared.directory.index());
        let mut reading = Reading::new(self, part);
        let (mut log, report) =
            Log::open(disk, &directory, part as u8, |position, record| reading.take(position, record))?;
        reading.enlist();
        let Reading { mut loader, order, forgotten, .. } = reading;
        if self.stage.entries.swap(order.len(), Ordering::Relaxed) == 0 {
            self.shared.bodies.expect(order.len() * SHARDS, SHARDS);
        }
        self.recall(part, &mut loader, &log, order);
        // Or they would be trusted once the rest of their epoch is verified.
        for key in &forgotten {
            log.append(&removal(key));
        }
        Ok((log, report))
    }

    fn let_go(&self, before: Option<Recorded>) {
        if let Some(before) = before {
            self.shared.bodies.forget(&self.shared, before.body);
        }
    }

    /// Hands the order and the frequencies of the last run to the evictor.
    fn recall(
        &self,
        part: usize,
        loader: &mut Loader<'_, Arc<Entry<C>>, C::Refusal>,
        log: &Log,
        mut order: Vec<InOrder>,
    ) {
        order.retain(|known| loader.is_at(known.number, known.position));
        let heat = journal::Heat::read(self.shared.disk(), &self.shared.directory.index(), part as u8);
        let levels = heat.and_then(|heat| heat.levels(log.last(), order.len()));
        let count = order.len();
        let mut evictor = self.evictor.lock();
        for (position, known) in order.iter().enumerate() {
            let level = levels.as_ref().map(|levels| Heat::from_byte(levels[position]));
            let heat = level.unwrap_or_else(|| Heat::unknown(position, count));
            loader.set_frequency(known.number, heat.frequency());
            evictor.recall(known.number.0, heat, known.length);
        }
    }

    /// Writes the order of eviction beside the logs, for the next start.
    pub(crate) fn write_heat(&self) {
        if !self.stage.is_loaded() {
            return;
        }
        let mut by_part: Vec<Vec<(Position, u8)>> = (0..SHARDS).map(|_| Vec::new()).collect();
        for (id, heat) in self.evictor.lock().order() {
            if let Some((part, position, frequency)) = self.index.standing(Number(id)) {
                by_part[part].push((position, heat.with_frequency(frequency).to_byte()));
            }
        }
        let parts = by_part.into_iter().enumerate().filter(|(_, levels)| !levels.is_empty());
        for (part, mut levels) in parts {
            levels.sort_unstable();
            let Some(end) = self.index.with_log(part, |log| log.last()) else { continue };
            let levels = levels.into_iter().map(|(_, level)| level).collect();
            let heat = journal::Heat::new(end, levels);
            let written = heat.write(self.shared.disk(), &self.shared.directory.index(), part as u8);
            if let Err(error) = written {
                tracing::warn!(part, %error, "the order of eviction could not be written");
                return;
            }
        }
    }
}

fn report_faults(part: usize, report: &Report) {
    if report.torn > 0 {
        tracing::info!(part, bytes = report.torn, "the unfinished end of a log was cut off");
    }
    if report.damaged + report.lost > 0 {
        tracing::error!(
            part,
            damaged = report.damaged,
            lost_bytes = report.lost,
            faults = ?report.faults,
            "the index is damaged: entries are lost and will be fetched again"
        );
    }
}
