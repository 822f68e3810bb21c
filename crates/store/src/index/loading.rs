//! The index and the disk: loading at start, what waits to be written, records that move.
//!
//! Called by the start, the keeper and the upkeep only. Invariant: a part answers after all of its records are in.

use std::sync::atomic::Ordering;

use super::shard::Shard;
use super::slot::{Marked, Recorded};
use super::{Index, Levels, Number};
use crate::Key;
use crate::journal::{Log, Move, Pending, Position};
use crate::sync::RwLockWriteGuard;

/// Records that are to be written.
pub(crate) struct Unwritten {
    pub(crate) pending: Pending,
    pub(crate) bytes: u64,
    records: u64,
}

/// A record found at start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded<'a> {
    pub(crate) record: Recorded,
    pub(crate) deadline: u32,
    pub(crate) labels: &'a [u64],
}

/// Loading, writing out, compacting.
impl<E: Clone, R: Clone> Index<E, R> {
    /// Whether the shard of `key` has been loaded.
    pub(crate) fn is_loaded(&self, key: &Key) -> bool {
        self.part(key).is_loaded.load(Ordering::Acquire)
    }

    /// Waits until the shard of `key` has been loaded, and has it loaded before others.
    pub(crate) async fn loaded(&self, key: &Key) {
        let part = self.part(key);
        let is_loaded = || part.is_loaded.load(Ordering::Acquire).then_some(());
        if is_loaded().is_none() {
            part.is_wanted.store(true, Ordering::Relaxed);
            part.arrived.until(is_loaded).await;
        }
    }

    /// Whether somebody waits for this shard.
    pub(crate) fn is_wanted(&self, part: usize) -> bool {
        self.parts[part].is_wanted.load(Ordering::Relaxed)
    }

    /// Puts a record that was found at start in an unloaded shard. Returns the number and the record it replaces.
    pub(crate) fn loader(&self, part: usize) -> Loader<'_, E, R> {
        Loader { part, shard: self.parts[part].shard.write(), levels: &self.levels }
    }

    /// From now on the shard answers.
    pub(crate) fn finish_loading(&self, part: usize, log: Option<Log>) {
        self.parts[part].shard.write().log = log;
        self.parts[part].is_loaded.store(true, Ordering::Release);
        self.parts[part].arrived.wake_all();
    }

    /// Does something with the log of a shard, under its lock.
    pub(crate) fn with_log<T>(&self, part: usize, work: impl FnOnce(&mut Log) -> T) -> Option<T> {
        self.parts[part].shard.write().log.as_mut().map(work)
    }

    /// What waits to be written of a shard's log.
    pub(crate) fn take_pending(&self, part: usize) -> Option<Unwritten> {
        let mut shard = self.parts[part].shard.write();
        let log = shard.log.as_mut()?;
        let bytes = log.pending_bytes();
        let pending = log.take_pending()?;
        Some(Unwritten { pending, bytes, records: shard.unwritten })
    }

    /// Notes what has been written.
    pub(crate) fn written(&self, part: usize, unwritten: Unwritten) {
        let mut shard = self.parts[part].shard.write();
        if let Some(log) = &mut shard.log {
            log.written(unwritten.pending);
        }
        shard.unwritten -= unwritten.records;
        self.levels.uncommitted.sub(unwritten.records);
    }

    /// Notes that records have moved, where they still are the ones.
    pub(crate) fn moved(&self, part: usize, moves: &[Move]) {
        let mut shard = self.parts[part].shard.write();
        for Move { key, from, to } in moves {
            let Some(number) = shard.find(key) else { continue };
            let slot = &mut shard.slots[number];
            if let Some(record) = slot.record().filter(|record| record.position == *from) {
                slot.set_record(Some(Recorded { position: *to, ..record }));
            }
        }
    }

    /// Number of records of a shard.
    pub(crate) fn live_records(&self, part: usize) -> u64 {
        self.parts[part].shard.read().records
    }
}

/// A shard while it is loaded: nobody else can reach it.
pub(crate) struct Loader<'a, E, R> {
    part: usize,
    shard: RwLockWriteGuard<'a, Shard<E, R>>,
    levels: &'a Levels,
}

impl<E, R> Loader<'_, E, R> {
    /// So many records are to be expected: the table need not grow in steps.
    pub(crate) fn expect(&mut self, records: usize) {
        self.shard.reserve(records);
    }

    /// Puts a record in the place of an older one, whose body is returned.
    pub(crate) fn put(&mut self, key: &Key, loaded: Loaded<'_>) -> (Number, Option<Recorded>) {
        let mut number = self.shard.find_or_add(key);
        let before = self.shard.slots[number].record();
        if before.is_some() && !self.shard.has_labels(number, loaded.labels) {
            self.shard.erase(number);
            self.shard.free(number);
            number = self.shard.find_or_add(key);
        }
        self.shard.set_record(number, loaded.record, loaded.deadline);
        if self.shard.slots[number].marks.labels() == 0 {
            self.shard.set_labels(number, loaded.labels);
        }
        if before.is_none() {
            self.levels.entries.inc();
        }
        (Number::new(self.part, number), before)
    }

    /// Forgets a key; its body is returned.
    pub(crate) fn forget(&mut self, key: &Key) -> Option<Recorded> {
        let number = self.shard.find(key)?;
        let before = self.shard.slots[number].record()?;
        self.shard.erase(number);
        self.shard.free(number);
        self.levels.entries.dec();
        Some(before)
    }

    /// The record of a key was marked.
    pub(crate) fn mark(&mut self, key: &Key) {
        if let Some(number) = self.shard.find(key) {
            self.shard.slots[number].marks.set_marked(Marked::Yes);
        }
    }

    /// Whether there is a record of this key.
    pub(crate) fn knows(&self, key: &Key) -> bool {
        self.shard.find(key).is_some_and(|number| self.shard.slots[number].record().is_some())
    }

    /// Sets what a hit would have noted.
    pub(crate) fn set_frequency(&mut self, number: Number, frequency: u8) {
        self.shard.slots[number.within()].marks.set_frequency(frequency);
    }

    /// Whether the record of a number lies there.
    pub(crate) fn is_at(&self, number: Number, position: Position) -> bool {
        let record = self.shard.slots.get(number.within()).and_then(|slot| slot.record());
        record.is_some_and(|record| record.position == position)
    }
}
