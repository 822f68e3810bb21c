//! [`Index`]: key → entry and flight, in shards.
//!
//! Owns the slots. Called by the store's two sides and by claims and fills; nobody else changes an entry.
//! Invariants: one slot a key, hence one flight a key; a slot without entry and flight does not exist; values
//! that leave the index are dropped by the caller, outside the lock. A lookup takes one shard's read lock for as
//! long as one probe and one reference count take.
//!
//! Deliberately not here: what an entry is (a type parameter, so that loom can drive the index alone) and eviction.

use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Probe;

use crate::Key;
use crate::flight::Flying;
use crate::metrics::Level;
use crate::sync::RwLock;

/// Number of shards; a power of two.
#[cfg(not(loom))]
const SHARDS: usize = 64;
#[cfg(loom)]
const SHARDS: usize = 1;

/// Key → entry `E` and flight with refusal `R`.
pub(crate) struct Index<E, R> {
    shards: Box<[Shard<E, R>]>,
    entries: Level,
    flights: Level,
}

type Shard<E, R> = RwLock<HashTable<Slot<E, R>>>;

struct Slot<E, R> {
    key: Key,
    entry: Option<E>,
    flight: Option<Arc<Flying<E, R>>>,
}

/// What a caller found, or got.
pub(crate) enum Probed<E, R> {
    Found(E),
    Flying(Arc<Flying<E, R>>),
    Claimed { flight: Arc<Flying<E, R>>, previous: Option<E> },
}

impl<E: Clone, R: Clone> Index<E, R> {
    /// An empty index that keeps its counts in the given levels.
    pub(crate) fn new(entries: Level, flights: Level) -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::new(HashTable::new())).collect();
        Self { shards, entries, flights }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<E> {
        let shard = self.shard(key).read();
        shard.find(hash(key), |slot| slot.key == *key)?.entry.clone()
    }

    /// The accepted entry, else the flight under way, else a new flight that the caller leads.
    pub(crate) fn probe(&self, key: &Key, accept: impl Fn(&E) -> bool) -> Probed<E, R> {
        if let Some(found) = self.get_if(key, &accept) {
            return Probed::Found(found);
        }
        let mut shard = self.shard(key).write();
        let slot = match shard.entry(hash(key), |slot| slot.key == *key, |slot| hash(&slot.key)) {
            Probe::Occupied(slot) => slot.into_mut(),
            Probe::Vacant(vacant) => vacant.insert(Slot { key: *key, entry: None, flight: None }).into_mut(),
        };
        // Somebody may have published between the two locks.
        if let Some(entry) = slot.entry.as_ref().filter(|entry| accept(entry)) {
            return Probed::Found(entry.clone());
        }
        if let Some(flight) = &slot.flight {
            return Probed::Flying(flight.clone());
        }
        let flight = Arc::new(Flying::new());
        slot.flight = Some(flight.clone());
        self.flights.inc();
        Probed::Claimed { flight, previous: slot.entry.clone() }
    }

    /// Ends the flight of `key`; the entry, if there is one, stays.
    pub(crate) fn release(&self, key: &Key) {
        self.change(key, |slot| slot.flight = None);
    }

    /// Ends the flight of `key` and puts `entry` in place of the one that was there, which is returned.
    pub(crate) fn publish(&self, key: &Key, entry: E) -> Option<E> {
        self.change(key, |slot| {
            slot.flight = None;
            slot.entry.replace(entry)
        })
        .flatten()
    }

    /// Ends the flight of `key` and replaces the entry, if there is one that `is` accepts; otherwise does nothing.
    /// Returns the old entry.
    pub(crate) fn republish(&self, key: &Key, is: impl Fn(&E) -> bool, entry: E) -> Option<E> {
        self.change(key, |slot| {
            let known = slot.entry.as_mut().filter(|known| is(known))?;
            slot.flight = None;
            Some(std::mem::replace(known, entry))
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
        self.change(key, |slot| {
            let known = slot.entry.as_mut().filter(|known| is(known))?;
            let entry = new(known);
            Some((std::mem::replace(known, entry.clone()), entry))
        })
        .flatten()
    }

    /// Takes the entry out, if there is one that `is` accepts; a flight goes on.
    pub(crate) fn remove(&self, key: &Key, is: impl Fn(&E) -> bool) -> Option<E> {
        self.change(key, |slot| slot.entry.take_if(|entry| is(entry))).flatten()
    }

    /// Puts `previous` in place of the entry, if there is one that `is` accepts; a flight goes on. Returns the old entry.
    pub(crate) fn put_back(&self, key: &Key, is: impl Fn(&E) -> bool, previous: Option<E>) -> Option<E> {
        self.change(key, |slot| {
            slot.entry.as_ref().filter(|entry| is(entry))?;
            std::mem::replace(&mut slot.entry, previous)
        })
        .flatten()
    }

    /// Calls `visit` with every entry, shard by shard, without holding a lock meanwhile.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&E)) {
        for shard in &self.shards {
            let entries: Vec<E> = shard.read().iter().filter_map(|slot| slot.entry.clone()).collect();
            entries.iter().for_each(&mut visit);
        }
    }

    fn get_if(&self, key: &Key, accept: impl Fn(&E) -> bool) -> Option<E> {
        let shard = self.shard(key).read();
        let slot = shard.find(hash(key), |slot| slot.key == *key)?;
        slot.entry.as_ref().filter(|entry| accept(entry)).cloned()
    }

    /// Changes the slot of `key`, drops it when it is empty afterwards, and keeps the counts.
    fn change<T>(&self, key: &Key, change: impl FnOnce(&mut Slot<E, R>) -> T) -> Option<T> {
        let mut shard = self.shard(key).write();
        let mut occupied = shard.find_entry(hash(key), |slot| slot.key == *key).ok()?;
        let slot = occupied.get_mut();
        let before = (slot.entry.is_some(), slot.flight.is_some());
        let result = change(slot);
        self.entries.follow(before.0, slot.entry.is_some());
        self.flights.follow(before.1, slot.flight.is_some());
        if slot.entry.is_none() && slot.flight.is_none() {
            occupied.remove();
        }
        Some(result)
    }

    fn shard(&self, key: &Key) -> &Shard<E, R> {
        &self.shards[key.as_bytes()[15] as usize % SHARDS]
    }
}

/// Keys are keyed hashes already: their first half is the hash, their last byte chooses the shard.
fn hash(key: &Key) -> u64 {
    let (half, _) = key.as_bytes().split_first_chunk().expect("a key has 16 bytes");
    u64::from_le_bytes(*half)
}
