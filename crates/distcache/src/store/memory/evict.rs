//! How much there may be, and what goes when there is no more room.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::MutexGuard;

use super::MemorySettings;
use super::arena::PIECE;
use super::shard::Shard;

/// A full store drops this part of its capacity at once,
const PART: usize = 30;
/// but no more than the largest C server does: everybody waits meanwhile.
const AT_ONCE: usize = 60_000 / PART;
/// The same for bytes.
const PIECES_AT_ONCE: usize = 16 * AT_ONCE;

/// Counts sessions and pieces of all shards against their bounds.
pub(super) struct Room {
    sessions: AtomicUsize,
    pieces: AtomicUsize,
    most_sessions: usize,
    most_pieces: usize,
}

impl Room {
    pub(super) fn new(settings: &MemorySettings) -> Self {
        Self {
            sessions: AtomicUsize::new(0),
            pieces: AtomicUsize::new(0),
            most_sessions: settings.sessions.max(1),
            most_pieces: settings.bytes / PIECE,
        }
    }

    pub(super) fn can_ever_hold(&self, pieces: usize) -> bool {
        pieces <= self.most_pieces
    }

    /// Takes room for one session of so many pieces, if there is any.
    pub(super) fn reserve(&self, pieces: usize) -> bool {
        if self.sessions.fetch_add(1, Ordering::Relaxed) >= self.most_sessions {
            self.sessions.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        if self.pieces.fetch_add(pieces, Ordering::Relaxed) + pieces > self.most_pieces {
            self.release(pieces);
            return false;
        }
        true
    }

    /// Gives back the room of one session.
    pub(super) fn release(&self, pieces: usize) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
        self.pieces.fetch_sub(pieces, Ordering::Relaxed);
    }

    /// How many sessions and pieces must go before a session of so many pieces has room. Each bound that is reached
    /// asks for its thirtieth part.
    fn shortage(&self, pieces: usize) -> (usize, usize) {
        let full = self.sessions.load(Ordering::Relaxed) >= self.most_sessions;
        let sessions = if full { (self.most_sessions / PART).clamp(1, AT_ONCE) } else { 0 };
        let missing = (self.pieces.load(Ordering::Relaxed) + pieces).saturating_sub(self.most_pieces);
        let pieces = if missing > 0 { missing.max((self.most_pieces / PART).min(PIECES_AT_ONCE)) } else { 0 };
        (sessions, pieces)
    }
}

/// Drops the sessions that die earliest until there is room for one of so many pieces; returns how many went.
/// O(log n) for each.
pub(super) fn evict(shards: &mut [MutexGuard<'_, Shard>], room: &Room, pieces: usize) -> u64 {
    let (mut sessions, mut pieces) = room.shortage(pieces);
    let next = |shards: &[MutexGuard<'_, Shard>], index: usize| {
        shards[index].earliest().map(|(death, entry)| Reverse((death, index, entry)))
    };
    let mut earliest: BinaryHeap<_> = (0..shards.len()).filter_map(|index| next(shards, index)).collect();
    let mut evicted = 0;
    while sessions > 0 || pieces > 0 {
        let Some(Reverse((_, index, entry))) = earliest.pop() else { break };
        pieces = pieces.saturating_sub(shards[index].remove(entry, room));
        sessions = sessions.saturating_sub(1);
        evicted += 1;
        earliest.extend(next(shards, index));
    }
    evicted
}
