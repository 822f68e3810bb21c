//! [`Queue`]: ids in order of age, some of them dead, in rings that grow by chunks.
//!
//! Owns the cells and the [`Level`] of the living. Whether a cell lives is for the caller to say: its `lives` is asked
//! once for every cell that is met on the way from the front, and a cell that does not is dropped.
//! In front of what is pushed are the cells of an earlier run, by rank.
//!
//! When more cells are dead than alive, a *sweep* goes through all that there are, [`SWEPT`] at each death: under a lock
//! that others wait for, nobody goes through millions at once. What it has passed stands in front of what it has not.

use std::collections::VecDeque;

use super::Level;
use super::heat::RANKS;

/// Cells of a chunk.
const CHUNK: usize = 1024;
/// Dead cells that are not worth a compaction.
const FEW: usize = 2 * CHUNK;
/// Cells that a death lets a sweep go through.
const SWEPT: usize = 64;
/// Dead cells at the front that are dropped in one go.
const DROPPED: usize = 64;

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

    fn cell(&self, position: usize) -> Option<u32> {
        let at = self.popped + position;
        Some(self.chunks.get(at / CHUNK)?[at % CHUNK])
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
    /// What a sweep has passed; older than all others.
    swept: Ring,
    /// What the sweep has not passed yet; empty when there is none.
    unswept: VecDeque<Ring>,
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
    pub(super) fn bury(&mut self, weight: u64, lives: impl FnMut(u32) -> bool) {
        self.dead += 1;
        self.exit(weight);
        if self.unswept.is_empty() && self.is_mostly_dead() {
            self.begin_sweep();
        }
        self.sweep(SWEPT, lives);
    }

    /// The oldest that lives; it stays. `None` also when there are many dead in front of it: ask again.
    pub(super) fn front(&mut self, mut lives: impl FnMut(u32) -> bool) -> Option<u32> {
        for _ in 0..DROPPED {
            let id = self.oldest()?.front()?;
            if lives(id) {
                return Some(id);
            }
            self.drop_oldest();
            self.dead -= 1;
        }
        None
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
    fn is_mostly_dead(&self) -> bool {
        self.dead > FEW && self.dead > self.level.entries
    }

    /// Drops the dead, all at once.
    pub(super) fn compact(&mut self, mut lives: impl FnMut(u32) -> bool) {
        self.sweep(usize::MAX, &mut lives);
        if self.dead > 0 {
            self.begin_sweep();
            self.sweep(usize::MAX, lives);
        }
    }

    /// From now on a sweep is under way, through what there is now.
    fn begin_sweep(&mut self) {
        let recalled = std::mem::take(&mut self.recalled);
        let rings = [std::mem::take(&mut self.swept)].into_iter().chain(recalled);
        self.unswept = rings.chain([std::mem::take(&mut self.ring)]).collect();
    }

    /// Goes through so many cells.
    fn sweep(&mut self, cells: usize, mut lives: impl FnMut(u32) -> bool) {
        let mut passed = 0;
        while passed < cells
            && let Some(ring) = self.unswept.front_mut()
        {
            let Some(id) = ring.pop() else {
                self.unswept.pop_front();
                continue;
            };
            passed += 1;
            if lives(id) {
                self.swept.push(id);
            } else {
                self.dead -= 1;
            }
        }
    }

    /// All cells, oldest first.
    pub(super) fn cells(&self) -> impl Iterator<Item = u32> {
        self.rings().flat_map(Ring::cells)
    }

    /// All cells, dead ones too.
    pub(super) fn length(&self) -> usize {
        self.rings().map(|ring| ring.length).sum()
    }

    /// The id of a cell, by its position from the oldest on.
    pub(super) fn cell(&self, mut position: usize) -> Option<u32> {
        for ring in self.rings() {
            match position.checked_sub(ring.length) {
                Some(rest) => position = rest,
                None => return ring.cell(position),
            }
        }
        None
    }

    /// Oldest first.
    fn rings(&self) -> impl Iterator<Item = &Ring> {
        [&self.swept].into_iter().chain(&self.unswept).chain(&self.recalled).chain([&self.ring])
    }

    pub(super) fn memory(&self) -> usize {
        self.rings().map(Ring::memory).sum()
    }

    fn oldest(&mut self) -> Option<&mut Ring> {
        if self.swept.length > 0 {
            return Some(&mut self.swept);
        }
        while self.unswept.front().is_some_and(|ring| ring.length == 0) {
            self.unswept.pop_front();
        }
        if !self.unswept.is_empty() {
            return self.unswept.front_mut();
        }
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
