//! Sessions in the memory of this process.
//!
//! A hash map finds sessions, an ordered index knows which dies next. Bounded by sessions and by bytes; a full store
//! drops what dies earliest, of equals the one stored first, a thirtieth of the bound that was reached at a time (2000
//! sessions at most): ADD never fails for fullness. Ids and sessions lie in memory that is locked and left out of core dumps where the system
//! allows it, are wiped when they leave, and never reach a disk.
//!
//! Split into shards by a keyed hash of the id, each with its own lock, held for one operation. Only a full store takes
//! all locks, in order, so that what it drops is the earliest of all. Time: a session is dead once the clock is past its
//! end, whether it has been purged or not; every operation purges a few.

mod arena;
mod evict;
mod shard;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use self::evict::Room;
use self::shard::Shard;
use super::{Added, Answer, FetchResult, Fetched, SessionStore, StoreError};
use crate::clock::{Clock, MonotonicClock};
use crate::limits::ID_AND_SESSION;

/// More than the cores of most machines, few enough to lock all of them now and then.
const SHARDS: usize = 16;
/// Dead sessions that one operation drops on its way, so that many deaths at once stop nobody.
const PURGE: usize = 32;

/// Bounds of a memory store.
#[derive(Clone, Debug)]
pub struct MemorySettings {
    /// Most sessions, at least 1 (C servers: 64 to 60 000). Default 512, as C servers.
    pub sessions: usize,
    /// Most bytes of ids and sessions, counted as they are stored, in pieces of 128 bytes that hold 124. From
    /// [`LEAST_BYTES`](Self::LEAST_BYTES) on every session has room. Default 1 GiB.
    pub bytes: usize,
}

impl MemorySettings {
    /// Bytes that the longest session takes with its id. A store of fewer refuses sessions, one of fewer than 128 all.
    pub const LEAST_BYTES: usize = arena::pieces(ID_AND_SESSION) * arena::PIECE;
}

impl Default for MemorySettings {
    fn default() -> Self {
        Self { sessions: 512, bytes: 1 << 30 }
    }
}

/// What a memory store holds and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// Sessions now, without those that have timed out.
    pub sessions: u64,
    /// Bytes that ids and sessions take, in whole pieces.
    pub bytes: u64,
    /// Sessions dropped before their time to make room, since the start.
    pub evicted: u64,
    /// Sessions that timed out, since the start.
    pub expired: u64,
    /// Bytes of memory set aside for ids and sessions.
    pub reserved: u64,
    /// Bytes of it that the system refused to lock (RLIMIT_MEMLOCK): they could be swapped out.
    pub unlocked: u64,
}

/// Sessions in memory. Answers are always [`Answer::Ready`].
pub struct MemoryStore {
    shards: [Mutex<Shard>; SHARDS],
    room: Room,
    /// Orders sessions that die in the same millisecond.
    stored: AtomicU64,
    evicted: AtomicU64,
    keys: RandomState,
    clock: Arc<dyn Clock>,
}

impl MemoryStore {
    /// An empty store on the system's monotonic clock.
    #[must_use]
    pub fn new(settings: &MemorySettings) -> Self {
        Self::with_clock(settings, Arc::new(MonotonicClock::default()))
    }

    /// An empty store on a clock of the caller.
    #[must_use]
    pub fn with_clock(settings: &MemorySettings, clock: Arc<dyn Clock>) -> Self {
        Self {
            shards: Default::default(),
            room: Room::new(settings),
            stored: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            keys: RandomState::new(),
            clock,
        }
    }

    /// Numbers for operators. Drops what has timed out first.
    #[must_use]
    pub fn stats(&self) -> MemoryStats {
        let mut stats =
            MemoryStats { evicted: self.evicted.load(Ordering::Relaxed), ..MemoryStats::default() };
        for shard in &self.shards {
            let mut shard = shard.lock();
            while shard.purge(self.clock.now_ms(), PURGE, &self.room) == PURGE {
                MutexGuard::bump(&mut shard);
            }
            shard.count(&mut stats);
        }
        stats
    }

    /// The shard of this id, with some dead sessions less, and the hash to look for in it.
    fn shard(&self, id: &[u8]) -> (MutexGuard<'_, Shard>, u64, u64) {
        let hash = self.keys.hash_one(id);
        let now = self.clock.now_ms();
        // The map of the shard uses the lowest and the highest bits.
        let mut shard = self.shards[(hash >> 40) as usize % SHARDS].lock();
        shard.purge(now, PURGE, &self.room);
        (shard, hash, now)
    }

    fn insert(&self, id: &[u8], session: &[u8], timeout_ms: u32) -> Added {
        let pieces = arena::pieces(id.len() + session.len());
        if !self.room.can_ever_hold(pieces) {
            return Added::NoRoom;
        }
        let (mut shard, hash, now) = self.shard(id);
        if shard.find(hash, id, now, &self.room).is_some() {
            return Added::Duplicate;
        }
        let death = (now + u64::from(timeout_ms), self.stored.fetch_add(1, Ordering::Relaxed));
        if self.room.reserve(pieces) {
            return self.fill_room(&mut shard, hash, id, session, death);
        }
        drop(shard);
        let mut shards: Vec<_> = self.shards.iter().map(Mutex::lock).collect();
        self.make_room(&mut shards, pieces, now);
        let shard = &mut shards[(hash >> 40) as usize % SHARDS];
        // The lock was released for a moment.
        if shard.find(hash, id, now, &self.room).is_some() {
            self.room.release(pieces);
            return Added::Duplicate;
        }
        self.fill_room(shard, hash, id, session, death)
    }

    /// Reserves room for a session, at the cost of others.
    fn make_room(&self, shards: &mut [MutexGuard<'_, Shard>], pieces: usize, now: u64) {
        loop {
            let expired: usize = shards.iter_mut().map(|shard| shard.purge(now, PURGE, &self.room)).sum();
            if self.room.reserve(pieces) {
                return;
            }
            if expired == 0 {
                let evicted = evict::evict(shards, &self.room, pieces);
                self.evicted.fetch_add(evicted, Ordering::Relaxed);
            }
        }
    }

    fn fill_room(&self, shard: &mut Shard, hash: u64, id: &[u8], session: &[u8], death: (u64, u64)) -> Added {
        match shard.insert(hash, id, session, death) {
            Ok(()) => Added::Stored,
            // The system has no more memory.
            Err(_) => {
                self.room.release(arena::pieces(id.len() + session.len()));
                Added::NoRoom
            }
        }
    }
}

impl SessionStore for MemoryStore {
    fn add(&self, id: &[u8], session: &[u8], timeout_ms: u32) -> Answer<Result<Added, StoreError>> {
        Answer::Ready(Ok(self.insert(id, session, timeout_ms)))
    }

    fn get(&self, id: &[u8], out: &mut Vec<u8>) -> Answer<FetchResult> {
        let (mut shard, hash, now) = self.shard(id);
        let Some(entry) = shard.find(hash, id, now, &self.room) else {
            return Answer::Ready(Ok(Fetched::Absent));
        };
        shard.copy(entry, out);
        Answer::Ready(Ok(Fetched::Appended))
    }

    fn take(&self, id: &[u8], out: &mut Vec<u8>) -> Answer<FetchResult> {
        let (mut shard, hash, now) = self.shard(id);
        let Some(entry) = shard.find(hash, id, now, &self.room) else {
            return Answer::Ready(Ok(Fetched::Absent));
        };
        shard.copy(entry, out);
        shard.remove(entry, &self.room);
        Answer::Ready(Ok(Fetched::Appended))
    }

    fn remove(&self, id: &[u8]) -> Answer<Result<bool, StoreError>> {
        let (mut shard, hash, now) = self.shard(id);
        let found = shard.find(hash, id, now, &self.room);
        if let Some(entry) = found {
            shard.remove(entry, &self.room);
        }
        Answer::Ready(Ok(found.is_some()))
    }

    fn have(&self, id: &[u8]) -> Answer<Result<bool, StoreError>> {
        let (mut shard, hash, now) = self.shard(id);
        Answer::Ready(Ok(shard.find(hash, id, now, &self.room).is_some()))
    }

    fn len(&self) -> Answer<Result<u64, StoreError>> {
        Answer::Ready(Ok(self.stats().sessions))
    }
}
