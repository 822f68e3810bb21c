//! [`Queue`]: ids in order of age, some of them dead, in rings that grow by chunks.
//!
//! Owns the cells and the [`Level`] of the living. Whether a cell lives is for the caller to say: its `lives` is asked
//! once for every cell that is met on the way from the front, and a cell that does not is dropped.
//! In front of what is pushed are the cells of an earlier run, by rank.

use std::collections::VecDeque;

use super::Level;
use super::heat::RANKS;

/// Cells of a chunk.
const CHUNK: usize = 1024;
/// Dead cells that are not worth a compaction.
const FEW: usize = 2 * CHUNK;

/// Ids in chunks, so that growth neither moves nor doubles what is there.
#[derive(Default)]
struct Ring {
    chunks: VecDeque<Box<[u32; CHUNK]>>,
    /// Cells of the first chunk that were popped.
    popped: usize,
    length: usize,
}

impl Ring {
    fn push(&mut self, id: u32) {
        let at = self.popped + self.length;
        if at == self.chunks.len() * CHUNK {
            self.chunks.push_back(Box::new([0; CHUNK]));
        }
        self.chunks[at / CHUNK][at % CHUNK] = id;
        self.length += 1;
    }

    fn front(&self) -> Option<u32> {
        (self.length > 0).then(|| self.chunks[0][self.popped])
    }

    fn pop(&mut self) -> Option<u32> {
        let id = self.front()?;
        self.popped += 1;
        self.length -= 1;
        if self.popped == CHUNK {
            self.chunks.pop_front();
            self.popped = 0;
        }
        Some(id)
    }

    fn cells(&self) -> impl Iterator<Item = u32> {
        self.chunks.iter().flat_map(|chunk| chunk.iter().copied()).skip(self.popped).take(self.length)
    }

    fn memory(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<u32>() + self.chunks.capacity() * size_of::<usize>()
    }
}

/// One queue of an evictor.
#[derive(Default)]
pub(super) struct Queue {
    /// What lives in it.
    pub(super) level: Level,
    /// Cells of an earlier run; all are older than those of `ring`. Goes away when it is used up.
    recalled: Vec<Ring>,
    ring: Ring,
    dead: usize,
}

impl Queue {
    /// Adds the youngest.
    pub(super) fn push(&mut self, id: u32, weight: u64) {
        self.ring.push(id);
        self.enter(weight);
    }

    /// A dead cell lives again.
    pub(super) fn revive(&mut self, weight: u64) {
        self.dead -= 1;
        self.enter(weight);
    }

    /// Adds a cell of an earlier run; rank 0 is the oldest.
    pub(super) fn recall(&mut self, id: u32, rank: usize, weight: u64) {
        if self.recalled.is_empty() {
            self.recalled.resize_with(RANKS, Ring::default);
        }
        self.recalled[rank].push(id);
        self.enter(weight);
    }

    /// A living cell somewhere in the queue died.
    pub(super) fn bury(&mut self, weight: u64) {
        self.dead += 1;
        self.exit(weight);
    }

    /// The oldest that lives; it stays.
    pub(super) fn front(&mut self, mut lives: impl FnMut(u32) -> bool) -> Option<u32> {
        loop {
            let id = self.oldest()?.front()?;
            if lives(id) {
                return Some(id);
            }
            self.drop_oldest();
            self.dead -= 1;
        }
    }

    /// Takes out the cell that `front` found.
    pub(super) fn pop(&mut self, weight: u64) {
        self.drop_oldest();
        self.exit(weight);
    }

    /// Makes the cell that `front` found the youngest.
    pub(super) fn rotate(&mut self) {
        if let Some(id) = self.drop_oldest() {
            self.ring.push(id);
        }
    }

    /// Whether going through all cells is paid for by the dead among them.
    pub(super) fn is_mostly_dead(&self) -> bool {
        self.dead > FEW && self.dead > self.level.entries
    }

    /// Drops the dead.
    pub(super) fn compact(&mut self, mut lives: impl FnMut(u32) -> bool) {
        if self.dead == 0 {
            return;
        }
        for ring in self.recalled.iter_mut().chain([&mut self.ring]) {
            let mut living = Ring::default();
            while let Some(id) = ring.pop() {
                if lives(id) {
                    living.push(id);
                }
            }
            *ring = living;
        }
        self.dead = 0;
    }

    /// All cells, oldest first.
    pub(super) fn cells(&self) -> impl Iterator<Item = u32> {
        self.recalled.iter().chain([&self.ring]).flat_map(Ring::cells)
    }

    pub(super) fn memory(&self) -> usize {
        self.ring.memory() + self.recalled.iter().map(Ring::memory).sum::<usize>()
    }

    fn oldest(&mut self) -> Option<&mut Ring> {
        if let Some(rank) = self.recalled.iter().position(|ring| ring.length > 0) {
            return self.recalled.get_mut(rank);
        }
        self.recalled = Vec::new();
        Some(&mut self.ring)
    }

    fn drop_oldest(&mut self) -> Option<u32> {
        self.oldest()?.pop()
    }

    fn enter(&mut self, weight: u64) {
        self.level.entries += 1;
        self.level.bytes += weight;
    }

    fn exit(&mut self, weight: u64) {
        debug_assert!(self.level.bytes >= weight, "an entry weighs now what it did not weigh before");
        self.level.entries -= 1;
        self.level.bytes = self.level.bytes.saturating_sub(weight);
    }
}
