//! [`Shard`]: one part of the index: slots, the hash table over them, what is warm, and the shard's log.
//!
//! Guarded by one lock of the [`Index`](super::Index). Invariants: one slot a key; a slot in the table has a record, an
//! entry or a flight; a number whose record went away is not given out before the caller frees it; records are appended
//! in the order of the changes.
//!
//! Deliberately not here: locks, the disk, and what an entry is.

use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Probe;

use super::slot::{MOST_COUNTED, Marked, NONE, Recorded, Slot, Slots};
use crate::Key;
use crate::flight::Flying;
use crate::journal::Log;
use crate::labels::pairs::Pairs;

/// Bytes of records of one shard that may wait for a disk that refuses them; beyond, further ones
/// wait as keys only. Removals find a place always: there are at most as many as entries.
const MOST_PENDING: u64 = 1 << 20;

/// One part of the index.
pub(super) struct Shard<E, R> {
    table: HashTable<u32>,
    pub(super) slots: Slots,
    warm: Vec<Option<Warm<E, R>>>,
    free_warm: Vec<u32>,
    /// Where the hand of the clock stands that cools entries.
    pub(super) hand: usize,
    /// `None` in models of the index alone.
    pub(super) log: Option<Log>,
    /// Records appended that are not on the disk yet.
    pub(super) unwritten: u64,
    /// Slots with a record.
    pub(super) records: u64,
    /// Labels of the records.
    pub(super) labels: Pairs,
}

/// The part of a slot that is in memory only.
pub(super) struct Warm<E, R> {
    /// The slot it belongs to.
    pub(super) slot: u32,
    /// Whether the slot's record says what the entry says.
    pub(super) state: State,
    pub(super) entry: Option<E>,
    pub(super) flight: Option<Arc<Flying<E, R>>>,
}

/// Whether a warm entry is recorded as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Recorded,
    New,
}

impl<E: Clone, R> Warm<E, R> {
    /// Puts what `new` makes of the entry in its place, if there is one that `is` accepts. Returns old and new.
    pub(super) fn swap(&mut self, is: impl Fn(&E) -> bool, new: impl FnOnce(&E) -> E) -> Option<(E, E)> {
        let known = self.entry.as_mut().filter(|known| is(known))?;
        self.state = State::New;
        let entry = new(known);
        Some((std::mem::replace(known, entry.clone()), entry))
    }
}

impl<E, R> Shard<E, R> {
    pub(super) fn new() -> Self {
        let (table, slots) = (HashTable::new(), Slots::default());
        Self {
            table,
            slots,
            warm: Vec::new(),
            free_warm: Vec::new(),
            hand: 0,
            log: None,
            unwritten: 0,
            records: 0,
            labels: Pairs::default(),
        }
    }

    /// Whether so many records wait for the disk that no more are taken but removals.
    pub(super) fn is_full(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.pending_bytes() > MOST_PENDING)
    }

    /// Makes room for so many more slots.
    pub(super) fn reserve(&mut self, count: usize) {
        let slots = &self.slots;
        self.table.reserve(count, |number| hash(&slots[*number].key));
    }

    pub(super) fn find(&self, key: &Key) -> Option<u32> {
        self.table.find(hash(key), |number| self.slots[*number].key == *key).copied()
    }

    pub(super) fn find_or_add(&mut self, key: &Key) -> u32 {
        let slots = &mut self.slots;
        let found = self.table.entry(
            hash(key),
            |number| slots[*number].key == *key,
            |number| hash(&slots[*number].key),
        );
        match found {
            Probe::Occupied(known) => *known.get(),
            Probe::Vacant(vacant) => {
                let number = slots.add(*key);
                vacant.insert(number);
                number
            }
        }
    }

    pub(super) fn warm(&self, slot: &Slot) -> Option<&Warm<E, R>> {
        self.warm.get(slot.warm as usize)?.as_ref()
    }

    pub(super) fn warm_mut(&mut self, number: u32) -> Option<&mut Warm<E, R>> {
        self.warm.get_mut(self.slots[number].warm as usize)?.as_mut()
    }

    /// The warm part of a slot, made when there is none.
    pub(super) fn warm_or_add(&mut self, number: u32) -> &mut Warm<E, R> {
        if self.slots[number].warm == NONE {
            let place = self.free_warm.pop().unwrap_or_else(|| {
                self.warm.push(None);
                (self.warm.len() - 1) as u32
            });
            self.warm[place as usize] =
                Some(Warm { slot: number, state: State::New, entry: None, flight: None });
            self.slots[number].warm = place;
        }
        self.warm_mut(number).expect("just made")
    }

    /// The warm part at a place of the clock, and how many places there are.
    pub(super) fn at_hand(&self, place: usize) -> Option<&Warm<E, R>> {
        self.warm.get(place)?.as_ref()
    }

    pub(super) fn warm_places(&self) -> usize {
        self.warm.len()
    }

    /// Drops what a slot no longer needs: an empty warm part; a slot without record, entry and flight. Returns whether
    /// there still is a slot in the table.
    pub(super) fn tidy(&mut self, number: u32) -> bool {
        let is_empty = |warm: &Warm<E, R>| warm.entry.is_none() && warm.flight.is_none();
        if self.warm(&self.slots[number]).is_some_and(is_empty) {
            let place = std::mem::replace(&mut self.slots[number].warm, NONE);
            self.warm[place as usize] = None;
            self.free_warm.push(place);
        }
        let slot = &self.slots[number];
        if slot.warm != NONE || slot.record().is_some() {
            return true;
        }
        self.unlink(number);
        self.free(number);
        false
    }

    /// Takes the record of a slot away. What is warm goes on under another number, because the caller still has to
    /// settle what was known of this one: he frees it then.
    pub(super) fn erase(&mut self, number: u32) -> Option<Recorded> {
        let record = self.slots[number].record()?;
        self.renumber(number);
        self.slots[number].set_record(None);
        self.records -= 1;
        Some(record)
    }

    /// Notes where the record of a slot lies; what is warm says the same.
    pub(super) fn set_record(&mut self, number: u32, record: Recorded, deadline: u32) {
        let slot = &mut self.slots[number];
        self.records += u64::from(slot.record().is_none());
        slot.set_record(Some(record));
        slot.deadline = deadline;
        // A record says itself whether its entry is marked.
        slot.marks.set_marked(Marked::No);
        if let Some(warm) = self.warm_mut(number) {
            warm.state = State::Recorded;
        }
    }

    /// Whether the record of a slot has these labels and no others.
    pub(super) fn has_labels(&self, number: u32, labels: &[u64]) -> bool {
        let count = self.slots[number].marks.labels();
        count == labels.len()
            && count < MOST_COUNTED
            && labels.iter().all(|label| self.labels.has(*label, number))
    }

    /// Notes the labels of a slot that has none.
    pub(super) fn set_labels(&mut self, number: u32, labels: &[u64]) {
        self.slots[number].marks.set_labels(labels.len());
        labels.iter().for_each(|label| self.labels.add(*label, number));
    }

    /// A number may be given to another entry, when its labels are gone too.
    pub(super) fn free(&mut self, number: u32) {
        let slots = &mut self.slots;
        match slots[number].marks.labels() {
            0 => slots.free(number),
            _ => self.labels.bury(number, |number| slots.free(number)),
        }
    }

    /// Moves what is warm, and the marks of use, to a new slot of the same key, which takes the old one's place in the
    /// table; without anything warm the key leaves the table. Returns the new number.
    fn renumber(&mut self, number: u32) -> Option<u32> {
        let (key, warm) = (self.slots[number].key, self.slots[number].warm);
        if warm == NONE {
            self.unlink(number);
            return None;
        }
        let new = self.slots.add(key);
        self.slots[new].warm = std::mem::replace(&mut self.slots[number].warm, NONE);
        self.slots[new].marks = self.slots[number].marks.take_use();
        let warm = self.warm[warm as usize].as_mut().expect("a slot's warm part");
        (warm.slot, warm.state) = (new, State::New);
        let place = self.table.find_mut(hash(&key), |known| *known == number).expect("a slot in the table");
        *place = new;
        Some(new)
    }

    fn unlink(&mut self, number: u32) {
        let hash = hash(&self.slots[number].key);
        let found = self.table.find_entry(hash, |known| *known == number);
        let Ok(found) = found else { unreachable!("a slot is in the table") };
        found.remove();
    }
}

/// Keys are keyed hashes already: their first half is the hash, their last byte chooses the shard.
fn hash(key: &Key) -> u64 {
    let (half, _) = key.as_bytes().split_first_chunk().expect("a key has 16 bytes");
    u64::from_le_bytes(*half)
}
