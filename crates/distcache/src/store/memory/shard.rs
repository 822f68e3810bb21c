//! One shard: the entries of some ids, the map that finds them, the index of their deaths.
//!
//! An entry number is valid from `insert` to `remove`; nothing outside keeps one beyond its lock.

use std::collections::BTreeSet;
use std::io;

use hashbrown::HashTable;
use subtle::ConstantTimeEq;

use super::MemoryStats;
use super::arena::{self, Arena, PIECE};
use super::evict::Room;

/// When a session dies, in milliseconds, and how many were stored before it.
pub(super) type Death = (u64, u64);

#[derive(Clone, Copy)]
struct Entry {
    hash: u64,
    death: Death,
    first: u32,
    session: u16,
    id: u8,
}

/// See the module.
#[derive(Default)]
pub(super) struct Shard {
    entries: Vec<Entry>,
    /// Entries that are not in use.
    free: Vec<u32>,
    by_id: HashTable<u32>,
    by_death: BTreeSet<(Death, u32)>,
    arena: Arena,
    pieces: usize,
    expired: u64,
}

impl Shard {
    /// The living entry of this id. A dead one is removed on the way.
    pub(super) fn find(&mut self, hash: u64, id: &[u8], now: u64, room: &Room) -> Option<u32> {
        let Self { entries, by_id, arena, .. } = self;
        let found = by_id.find(hash, |entry| {
            let entry = &entries[*entry as usize];
            entry.hash == hash && arena.start(entry.first, entry.id).ct_eq(id).into()
        });
        let number = *found?;
        if self.entries[number as usize].death.0 >= now {
            return Some(number);
        }
        self.expired += 1;
        self.remove(number, room);
        None
    }

    /// Stores a session whose id is not there and whose room is reserved.
    ///
    /// # Errors
    /// The system has no memory for it; nothing was stored.
    pub(super) fn insert(&mut self, hash: u64, id: &[u8], session: &[u8], death: Death) -> io::Result<()> {
        let first = self.arena.store(id, session)?;
        let entry = Entry { hash, death, first, session: session.len() as u16, id: id.len() as u8 };
        let number = match self.free.pop() {
            Some(number) => {
                self.entries[number as usize] = entry;
                number
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        let entries = &self.entries;
        self.by_id.insert_unique(hash, number, |entry| entries[*entry as usize].hash);
        self.by_death.insert((death, number));
        self.pieces += arena::pieces(id.len() + session.len());
        Ok(())
    }

    /// Appends the session to `out`.
    pub(super) fn copy(&self, number: u32, out: &mut Vec<u8>) {
        let entry = &self.entries[number as usize];
        self.arena.copy(entry.first, usize::from(entry.id), usize::from(entry.session), out);
    }

    /// Removes an entry and wipes it; returns how many pieces it took.
    pub(super) fn remove(&mut self, number: u32, room: &Room) -> usize {
        let entry = self.entries[number as usize];
        if let Ok(found) = self.by_id.find_entry(entry.hash, |other| *other == number) {
            found.remove();
        }
        self.by_death.remove(&(entry.death, number));
        self.free.push(number);
        let pieces = arena::pieces(usize::from(entry.id) + usize::from(entry.session));
        self.arena.wipe(entry.first, pieces);
        self.pieces -= pieces;
        room.release(pieces);
        pieces
    }

    /// The entry that dies first.
    pub(super) fn earliest(&self) -> Option<(Death, u32)> {
        self.by_death.first().copied()
    }

    /// Removes at most so many entries that are dead; returns how many.
    pub(super) fn purge(&mut self, now: u64, most: usize, room: &Room) -> usize {
        for purged in 0..most {
            match self.earliest() {
                Some((death, number)) if death.0 < now => self.remove(number, room),
                _ => return purged,
            };
            self.expired += 1;
        }
        most
    }

    /// Adds its numbers to those of the other shards.
    pub(super) fn count(&self, stats: &mut MemoryStats) {
        stats.sessions += self.by_id.len() as u64;
        stats.bytes += (self.pieces * PIECE) as u64;
        stats.expired += self.expired;
        stats.reserved += self.arena.reserved() as u64;
        stats.unlocked += self.arena.unlocked() as u64;
    }
}
