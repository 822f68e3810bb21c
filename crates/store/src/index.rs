//! [`Index`]: key → entry and flight, warm or cold, in shards.
//!
//! Owns the slots, the warm entries, the flights and, by shard, the log in which changes are recorded. Called by the
//! store's two sides, by claims and fills, and by the keeper; nobody else changes an entry. Invariants: one flight a key;
//! a record is appended under the lock under which the slot changes; values that leave the index are dropped by the
//! caller, outside the lock. A hit takes one shard's read lock for one probe and one reference count.
//!
//! An entry is *warm* when it is in memory, and *cold* when only its record is. What is warm without a record has not
//! reached the disk yet. A number whose record went away is in the caller's hands until [`Index::free`].
//!
//! Deliberately not here: what an entry is (a type parameter, so that loom can drive the index alone), reading records,
//! and the choice of victims.

mod labelled;
mod loading;
mod partial;
mod rounds;
mod shard;
mod slot;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

pub(crate) use self::labelled::{Gone, Look, Numbered};
pub(crate) use self::loading::{Loaded, Loader, Unwritten};
pub(crate) use self::partial::Holes;
use self::shard::{Shard, State, Warm};
use self::slot::NONE;
pub(crate) use self::slot::{Pinned, Recorded};
use crate::Key;
use crate::bodies::BodyId;
use crate::flight::Flying;
use crate::journal::{Located, Position};
use crate::metrics::Level;
use crate::sync::RwLock;
use crate::waiters::WaitList;

/// Number of shards; a power of two.
#[cfg(not(loom))]
pub(crate) const SHARDS: usize = 64;
#[cfg(loom)]
pub(crate) const SHARDS: usize = 1;

/// Bits of a [`Number`] that count within a shard.
const WITHIN: u32 = 26;

/// Key → entry `E` and flight with refusal `R`.
pub(crate) struct Index<E, R> {
    parts: Box<[Part<E, R>]>,
    levels: Levels,
    /// The coarse time that uses are noted with, in seconds since 1970.
    second: AtomicU32,
}

/// The counts that an index keeps.
#[derive(Clone, Default)]
pub(crate) struct Levels {
    pub(crate) entries: Level,
    pub(crate) warm: Level,
    pub(crate) flights: Level,
    /// Records that are not on the disk yet, beside other things that a crash would lose.
    pub(crate) uncommitted: Level,
}

/// In cache lines of its own (two are fetched at once): readers of one shard do not slow those of the next.
#[repr(align(128))]
struct Part<E, R> {
    shard: RwLock<Shard<E, R>>,
    is_loaded: AtomicBool,
    is_wanted: AtomicBool,
    arrived: WaitList,
}

/// An entry's number: for the eviction order and for looks at all entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number(pub(crate) u32);

/// What a caller found, or got.
pub(crate) enum Probed<E, R> {
    Found(E),
    /// To be warmed up first; then probe again.
    Cold(Cold),
    Flying(Arc<Flying<E, R>>),
    Claimed {
        flight: Arc<Flying<E, R>>,
        previous: Option<E>,
        /// A body with holes that waits for the rest.
        part: Option<Cold>,
    },
}

/// What there is of a key.
pub(crate) enum Seen<E> {
    Warm(E),
    Cold(Cold),
    Absent,
}

/// A cold entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cold {
    pub(crate) key: Key,
    pub(crate) record: Recorded,
}

/// What left the index.
pub(crate) struct Removed<E> {
    /// The warm entry, to be dropped by the caller.
    pub(crate) entry: Option<E>,
    /// The durable part, which the caller settles and frees.
    pub(crate) erased: Option<Erased>,
}

/// A durable part that went away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Erased {
    pub(crate) number: Number,
    pub(crate) body: BodyId,
}

/// A record that is to be appended.
#[derive(Default)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) deadline: u32,
    pub(crate) labels: Vec<u64>,
}

/// What was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    /// The number of the entry, new when [`Noted::first`].
    pub(crate) number: Number,
    /// Whether the number had no record before.
    pub(crate) is_first: bool,
    /// The record of another body that this one replaces.
    pub(crate) replaced: Option<Erased>,
}

impl<E: Clone, R: Clone> Index<E, R> {
    /// An empty index of which nothing is loaded yet.
    pub(crate) fn new(levels: Levels) -> Self {
        let part = |_| Part {
            shard: RwLock::new(Shard::new()),
            is_loaded: AtomicBool::new(false),
            is_wanted: AtomicBool::new(false),
            arrived: WaitList::default(),
        };
        Self { parts: (0..SHARDS).map(part).collect(), levels, second: AtomicU32::new(0) }
    }

    /// The time that uses are noted with.
    pub(crate) fn set_second(&self, second: u32) {
        self.second.store(second, Ordering::Relaxed);
    }

    pub(crate) fn second(&self) -> u32 {
        self.second.load(Ordering::Relaxed)
    }

    /// The entry of `key` if it is warm.
    #[cfg(loom)]
    pub(crate) fn get(&self, key: &Key) -> Option<E> {
        self.get_if(key, |_| true)
    }

    /// The entry of `key` if it is warm; this is no use of it.
    pub(crate) fn peek(&self, key: &Key) -> Option<E> {
        if !self.is_loaded(key) {
            return None;
        }
        let shard = self.part(key).shard.read();
        shard.warm(&shard.slots[shard.find(key)?])?.entry.clone()
    }

    /// The durable part of `key`.
    pub(crate) fn recorded(&self, key: &Key) -> Option<Recorded> {
        if !self.is_loaded(key) {
            return None;
        }
        let shard = self.part(key).shard.read();
        shard.slots[shard.find(key)?].record()
    }

    /// Where the record of `key` is to be read, if it still names the body of `known`.
    pub(crate) fn locate(&self, key: &Key, known: Recorded) -> Option<Located> {
        let shard = self.part(key).shard.read();
        let record = shard.slots[shard.find(key)?].record().filter(|record| record.body == known.body)?;
        Some(shard.log.as_ref()?.locate(record.position))
    }

    /// What there is of `key`, whose shard must have been loaded.
    pub(crate) fn see(&self, key: &Key) -> Seen<E> {
        let shard = self.part(key).shard.read();
        let Some(number) = shard.find(key) else { return Seen::Absent };
        let slot = &shard.slots[number];
        if let Some(entry) = shard.warm(slot).and_then(|warm| warm.entry.clone()) {
            slot.marks.used(self.second());
            return Seen::Warm(entry);
        }
        slot.record().map_or(Seen::Absent, |record| Seen::Cold(Cold { key: *key, record }))
    }

    /// Ends the flight of `key`; the entry, if there is one, stays.
    pub(crate) fn release(&self, key: &Key) {
        self.change(key, |warm| warm.flight = None);
    }

    /// Ends the flight of `key` and puts `entry` in place of the one that was there, which is returned.
    pub(crate) fn publish(&self, key: &Key, entry: E) -> Option<E> {
        self.change(key, |warm| {
            (warm.flight, warm.state) = (None, State::New);
            warm.entry.replace(entry)
        })
        .flatten()
    }

    /// Ends the flight of `key` and replaces the entry by what `new` makes of it, if there is one that `is` accepts;
    /// otherwise does nothing. Returns old and new.
    pub(crate) fn republish(
        &self,
        key: &Key,
        is: impl Fn(&E) -> bool,
        new: impl FnOnce(&E) -> E,
    ) -> Option<(E, E)> {
        self.change(key, |warm| {
            let swapped = warm.swap(is, new)?;
            warm.flight = None;
            Some(swapped)
        })
        .flatten()
    }

    /// Replaces the entry by what `new` makes of it, if there is one that `is` accepts. Returns old and new.
    pub(crate) fn replace(
        &self,
        key: &Key,
        is: impl Fn(&E) -> bool,
        new: impl FnOnce(&E) -> E,
    ) -> Option<(E, E)> {
        self.change(key, |warm| warm.swap(is, new)).flatten()
    }

    /// Puts `previous` in place of the entry, if there is one that `is` accepts; a flight goes on. Returns the old
    /// entry. With nothing to put back, an older record is what the key has again.
    pub(crate) fn put_back(&self, key: &Key, is: impl Fn(&E) -> bool, previous: Option<E>) -> Option<E> {
        let has_record = self.recorded(key).is_some();
        self.change(key, |warm| {
            warm.entry.as_ref().filter(|entry| is(entry))?;
            warm.state = if has_record { State::Recorded } else { State::New };
            std::mem::replace(&mut warm.entry, previous)
        })
        .flatten()
    }

    /// Makes a cold entry warm, unless it has changed meanwhile; one that is warm already is returned instead. `mark` is
    /// called with one whose record was marked.
    pub(crate) fn warm_up(&self, cold: &Cold, entry: E, mark: impl FnOnce(&E)) -> Option<E> {
        let mut shard = self.part(&cold.key).shard.write();
        let number = shard.find(&cold.key)?;
        let is_same = shard.slots[number].record().is_some_and(|record| record.body == cold.record.body);
        if !is_same {
            return None;
        }
        shard.slots[number].marks.used(self.second());
        let is_marked = shard.slots[number].marks.is_marked();
        let warm = shard.warm_or_add(number);
        if warm.entry.is_none() {
            if is_marked {
                mark(&entry);
            }
            (warm.entry, warm.state) = (Some(entry), State::Recorded);
            self.levels.warm.inc();
        }
        warm.entry.clone()
    }

    /// Takes the entry out, if it is one that `is` accepts, with its record; a flight goes on.
    pub(crate) fn remove(
        &self,
        key: &Key,
        is: impl Fn(&Seen<E>) -> bool,
        record: &[u8],
    ) -> Option<Removed<E>> {
        let mut shard = self.part(key).shard.write();
        let number = shard.find(key)?;
        let slot = &shard.slots[number];
        let seen = match (shard.warm(slot).and_then(|warm| warm.entry.clone()), slot.record()) {
            (Some(entry), _) => Seen::Warm(entry),
            (None, Some(record)) => Seen::Cold(Cold { key: *key, record }),
            (None, None) => return None,
        };
        is(&seen).then(|| self.take_out(&mut shard, number, record))
    }

    fn take_out(&self, shard: &mut Shard<E, R>, number: u32, record: &[u8]) -> Removed<E> {
        let entry = shard.warm_mut(number).and_then(|warm| warm.entry.take());
        if entry.is_some() {
            self.levels.warm.dec();
        }
        let part = number_of_part(&shard.slots[number].key);
        // What has nothing warm any more gives up its warm part first, so that no empty slot is made for it.
        shard.tidy(number);
        let erased = shard.slots.get(number).filter(|slot| slot.record().is_some()).map(|_| number);
        let erased = erased.and_then(|number| {
            let record_of = shard.erase(number)?;
            self.append(shard, record);
            Some(Erased { number: Number::new(part, number), body: record_of.body })
        });
        self.levels.entries.dec();
        Removed { entry, erased }
    }

    /// Appends the record of the entry of `key`, if it is one that `is` accepts, and notes where it lies.
    pub(crate) fn record(
        &self,
        key: &Key,
        is: impl Fn(&E) -> bool,
        record: &Frame,
        body: BodyId,
    ) -> Option<Noted> {
        let mut shard = self.part(key).shard.write();
        let number = shard.find(key)?;
        shard.warm(&shard.slots[number])?.entry.as_ref().filter(|entry| is(entry))?;
        let position = self.append_again(&mut shard, &record.bytes)?;
        let part = number_of_part(key);
        let before = shard.slots[number].record();
        let (number, replaced) = match before {
            // Pairs of other labels go with the number.
            Some(before) if before.body != body || !shard.has_labels(number, &record.labels) => {
                shard.erase(number);
                let new = shard.find(key).expect("what is warm stays in the table");
                (new, Some(Erased { number: Number::new(part, number), body: before.body }))
            }
            _ => (number, None),
        };
        shard.set_record(number, Recorded { position, body }, record.deadline);
        let is_first = before.is_none() || replaced.is_some();
        if is_first {
            shard.set_labels(number, &record.labels);
            shard.slots[number].marks.born(self.second());
        }
        Some(Noted { number: Number::new(part, number), is_first, replaced })
    }

    /// The entry, if it is one that `is` accepts, goes, and the record of its part comes in its place: in one step, so that
    /// whoever learns that the entry has failed finds the part. Not when the key has another record.
    pub(crate) fn suspend(
        &self,
        key: &Key,
        is: impl Fn(&E) -> bool,
        record: &Frame,
        body: BodyId,
    ) -> Option<(Number, E)> {
        let mut shard = self.part(key).shard.write();
        let number = shard.find(key)?;
        if shard.slots[number].record().is_some() {
            return None;
        }
        shard.warm(&shard.slots[number])?.entry.as_ref().filter(|entry| is(entry))?;
        let position = self.append(&mut shard, &record.bytes)?;
        let entry = shard.warm_mut(number)?.entry.take()?;
        self.levels.warm.dec();
        shard.set_record(number, Recorded { position, body }, record.deadline);
        shard.set_labels(number, &record.labels);
        shard.slots[number].marks.born(self.second());
        shard.tidy(number);
        Some((Number::new(number_of_part(key), number), entry))
    }

    /// Appends another record of an entry with the same body, if it is one that `is` accepts and has that record.
    pub(crate) fn record_again(
        &self,
        key: &Key,
        is: impl Fn(&E) -> bool,
        known: Recorded,
        record: &Frame,
    ) -> bool {
        let mut shard = self.part(key).shard.write();
        let Some(number) = shard.find(key) else { return false };
        let slot = &shard.slots[number];
        let is_same = slot.record().is_some_and(|record| record.body == known.body)
            && shard.has_labels(number, &record.labels)
            && shard.warm(slot).and_then(|warm| warm.entry.as_ref()).is_some_and(is);
        if !is_same {
            return false;
        }
        let Some(position) = self.append_again(&mut shard, &record.bytes) else { return false };
        shard.set_record(number, Recorded { position, ..known }, record.deadline);
        true
    }

    /// Appends a newer record of an entry that has one; not while so many bytes wait for the disk that only what must not
    /// be lost may join them.
    fn append_again(&self, shard: &mut Shard<E, R>, record: &[u8]) -> Option<Position> {
        if shard.is_full() { None } else { self.append(shard, record) }
    }

    /// Whether so many records of the shard of `key` wait for the disk that no more are taken but removals.
    pub(crate) fn is_full(&self, key: &Key) -> bool {
        self.part(key).shard.read().is_full()
    }

    /// The entry of `key` if it is warm and accepted.
    pub(crate) fn get_if(&self, key: &Key, accept: impl Fn(&E) -> bool) -> Option<E> {
        if !self.is_loaded(key) {
            return None;
        }
        let shard = self.part(key).shard.read();
        let slot = &shard.slots[shard.find(key)?];
        let entry = shard.warm(slot)?.entry.as_ref().filter(|entry| accept(entry))?;
        slot.marks.used(self.second());
        Some(entry.clone())
    }

    /// Changes what is warm of `key`, drops what is empty afterwards, and keeps the counts.
    fn change<T>(&self, key: &Key, change: impl FnOnce(&mut Warm<E, R>) -> T) -> Option<T> {
        let mut shard = self.part(key).shard.write();
        let number = shard.find(key)?;
        let has_record = shard.slots[number].record().is_some();
        let warm = shard.warm_mut(number)?;
        let before = (warm.entry.is_some(), warm.flight.is_some());
        let result = change(warm);
        let after = (warm.entry.is_some(), warm.flight.is_some());
        self.levels.entries.follow(before.0 || has_record, after.0 || has_record);
        self.levels.warm.follow(before.0, after.0);
        self.levels.flights.follow(before.1, after.1);
        shard.tidy(number);
        Some(result)
    }

    fn append(&self, shard: &mut Shard<E, R>, record: &[u8]) -> Option<Position> {
        let position = match &mut shard.log {
            Some(log) => log.append(record),
            // Models of the index have no disk.
            None if cfg!(loom) => Position::from_bits(shard.unwritten + 1),
            None => return None,
        };
        shard.unwritten += 1;
        self.levels.uncommitted.inc();
        Some(position)
    }

    fn part(&self, key: &Key) -> &Part<E, R> {
        &self.parts[number_of_part(key)]
    }
}

impl Number {
    fn new(part: usize, within: u32) -> Self {
        debug_assert!(within < 1 << WITHIN && within != NONE);
        Self((part as u32) << WITHIN | within)
    }

    pub(crate) fn part(self) -> usize {
        (self.0 >> WITHIN) as usize
    }

    fn within(self) -> u32 {
        self.0 & ((1 << WITHIN) - 1)
    }
}

pub(crate) fn number_of_part(key: &Key) -> usize {
    key.as_bytes()[15] as usize % SHARDS
}
