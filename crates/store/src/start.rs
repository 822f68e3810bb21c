//! Loading: from the logs on disk to the index in memory, part by part, by a few threads.
//!
//! A part that somebody waits for is loaded next. When all are there, the names in `bodies/` are compared with what the
//! records name ([`upkeep`](crate::upkeep) does that). Invariant: a part answers only when all of its records are known.
//! A log that cannot be read is rebuilt empty, loudly; one of a newer version stops the start, before anything is changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

use crate::bodies::{BodyId, Facts};
use crate::eviction::Heat;
use crate::extents::Extents;
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
    /// Changes of the pins; 0 when they are not known yet.
    pins: AtomicU64,
    /// The change up to which entries have been compared with the pins.
    compared: AtomicU64,
    /// Parts that the records name; whether their files are there is not known yet.
    unseen: Mutex<Vec<Unseen>>,
    /// Records could not be read that may be there at the next start.
    is_incomplete: AtomicBool,
}

/// A part whose file was not looked at yet.
pub(crate) struct Unseen {
    pub(crate) key: Key,
    pub(crate) body: BodyId,
    pub(crate) id: u64,
    /// Bytes that the file must have at least.
    pub(crate) received: u64,
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

    /// Whether every entry has been compared with the pins as they are now.
    pub(crate) fn are_pins_compared(&self) -> bool {
        self.compared.load(Ordering::Acquire) == self.pins()
    }

    /// All entries have been compared with the pins as they were after this change.
    pub(crate) fn pins_compared(&self, change: u64) {
        self.compared.fetch_max(change, Ordering::AcqRel);
        self.arrived.wake_all();
    }

    /// Waits until every entry has been compared with the pins.
    pub(crate) async fn compared(&self) {
        self.arrived.until(|| self.are_pins_compared().then_some(())).await;
    }

    /// Whether there may be entries of which nothing is known.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.is_incomplete.load(Ordering::Acquire)
    }

    /// The parts whose files are to be looked at; asked for once.
    pub(crate) fn take_unseen(&self) -> Vec<Unseen> {
        std::mem::take(&mut *self.unseen.lock())
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

/// Cells of the order of eviction that are looked at under one lock.
const HEAT_AT_ONCE: usize = 1 << 16;

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
    /// Of those that wait.
    labels: Vec<u64>,
}

struct Waiting {
    key: Key,
    position: Position,
    deadline: u32,
    /// Where its labels end.
    labels: usize,
}

impl<'a, C: Contents> Reading<'a, C> {
    fn new(inner: &'a Inner<C>, part: usize) -> Self {
        let mut loader = inner.index.loader(part);
        let expected = inner.stage.entries.load(Ordering::Relaxed);
        loader.expect(expected);
        let order = Vec::with_capacity(expected);
        let (waiting, facts, forgotten, labels) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { inner, loader, waiting, facts, order, forgotten, labels }
    }

    fn take(&mut self, position: Position, record: Record<'_>) {
        match record {
            Record::Put(put) => match put.body {
                BodyRef::Whole { digest, length } => {
                    self.labels.extend(put.labels());
                    let labels = self.labels.len();
                    self.waiting.push(Waiting { key: put.key, position, deadline: put.deadline, labels });
                    self.facts.push(Facts { digest, length, epoch: put.epoch });
                    if self.waiting.len() == TOGETHER {
                        self.enlist();
                    }
                }
                BodyRef::Part { id, ref extents, .. } => {
                    self.enlist();
                    let received = extents.total();
                    match self.take_part(position, &put, (id, extents)) {
                        Some(number) => self.order.push(InOrder { number, position, length: received }),
                        None => self.forgotten.push(put.key),
                    }
                }
            },
            Record::Removed(key) => {
                self.enlist();
                self.inner.let_go(self.loader.forget(&key));
            }
            Record::Marked(key) => {
                self.enlist();
                self.loader.mark(&key);
            }
        }
    }

    /// Puts what waits into the index.
    fn enlist(&mut self) {
        let mut begin = 0;
        let bodies = self.inner.shared.bodies.enlist_all(&self.inner.shared, &self.facts);
        for ((waiting, facts), body) in self.waiting.drain(..).zip(self.facts.drain(..)).zip(bodies) {
            let Waiting { key, position, deadline, labels: end } = waiting;
            let record = Recorded { position, body };
            let labels = &self.labels[std::mem::replace(&mut begin, end)..end];
            let (number, before) = self.loader.put(&key, Loaded { record, deadline, labels });
            self.inner.let_go(before);
            self.order.push(InOrder { number, position, length: facts.length });
        }
        self.labels.clear();
    }

    /// A part of a clean epoch is there again; any other one is forgotten, and its file found as a stray.
    fn take_part(
        &mut self,
        position: Position,
        put: &Put<'_>,
        (id, extents): (u64, &Extents),
    ) -> Option<Number> {
        let shared = &self.inner.shared;
        let received = extents.total();
        if !shared.is_trusted(put.epoch) || received == 0 {
            self.inner.let_go(self.loader.forget(&put.key));
            return None;
        }
        let body = shared.bodies.enlist_part(shared, id, received, put.epoch);
        self.inner.stage.unseen.lock().push(Unseen { key: put.key, body, id, received: extents.end() });
        let record = Recorded { position, body };
        let labels: Vec<u64> = put.labels().collect();
        let (number, before) =
            self.loader.put(&put.key, Loaded { record, deadline: put.deadline, labels: &labels });
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
                self.stage.is_incomplete.store(true, Ordering::Release);
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
        self.recall(part, &mut loader, order);
        // Or they would be trusted once the rest of their epoch is verified. What has become whole since stays.
        for key in forgotten.iter().filter(|key| !loader.knows(key)) {
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
        mut order: Vec<InOrder>,
    ) {
        order.retain(|known| loader.is_at(known.number, known.position));
        let heat = journal::Heat::read(self.shared.disk(), &self.shared.directory.index(), part as u8);
        let mut levels = heat.iter().flat_map(journal::Heat::levels).peekable();
        let count = order.len();
        let mut evictor = self.evictor.lock();
        for (place, known) in order.iter().enumerate() {
            while levels.next_if(|(position, _)| *position < known.position).is_some() {}
            let level = levels.next_if(|(position, _)| *position == known.position);
            let heat = match level {
                Some((_, level)) => Heat::from_byte(level),
                // It came after the heat was written.
                None if heat.is_some() => Heat::NEW,
                None => Heat::unknown(place, count),
            };
            loader.set_frequency(known.number, heat.frequency());
            evictor.recall(known.number.0, heat, known.length);
        }
    }

    /// Writes the places of a shard's entries in the order of eviction beside its log, for the next start.
    pub(crate) fn write_heat(&self, part: usize) {
        if !self.stage.is_loaded() {
            return;
        }
        let mut levels: Vec<(Position, u8)> = Vec::new();
        let mut from = Some(0);
        while let Some(at) = from {
            let mut page = Vec::new();
            let is_ours = |id| Number(id).part() == part;
            from = self.evictor.lock().page(at, HEAT_AT_ONCE, is_ours, |id, heat| page.push((id, heat)));
            levels.extend(page.into_iter().filter_map(|(id, heat)| {
                let (position, frequency) = self.index.standing(Number(id))?;
                Some((position, heat.with_frequency(frequency).to_byte()))
            }));
        }
        // The order goes on changing meanwhile: what was met twice counts once.
        levels.sort_unstable();
        levels.dedup_by_key(|(position, _)| *position);
        let heat = journal::Heat::new(&levels);
        let written = &self.settings.heat[part];
        if levels.is_empty() || written.swap(heat.sum(), Ordering::Relaxed) == heat.sum() {
            return;
        }
        if let Err(error) = heat.write(self.shared.disk(), &self.shared.directory.index(), part as u8) {
            written.store(0, Ordering::Relaxed);
            tracing::warn!(part, %error, "the order of eviction could not be written");
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
