//! [`Pairs`]: which slots of a shard have a label, in about 9 bytes for an entry and a label.
//!
//! A pair is 38 bits of the label above 26 bits of the slot's number; pairs are kept in order, in blocks. Of two labels
//! with the same 38 bits each is taken for the other, which happens to one label in some ten thousand when there are
//! millions: then a purge takes out more than it was asked to, and that is fetched again.
//!
//! What is known of a slot alone does not say which pairs it has, and its pairs are all over the list. So a slot that goes
//! is *buried*: its number is given to nobody until a hand, which moves on by a block at every few burials, has been all
//! round since and has dropped its pairs.
//!
//! A plain value without IO; guarded by its shard's lock. No call takes longer than a block, but [`Pairs::slots`], which
//! takes as long as the answer.

use hashbrown::HashSet;

/// Bits of a slot's number.
const SLOT_BITS: u32 = 26;
/// Most pairs of a block.
const BLOCK: usize = 512;
/// Pairs for which a block grows at once: doubling would leave a quarter of all room unused.
const STEP: usize = 32;
/// Burials after which the hand moves on.
const PACE: u32 = 16;

/// Which slots have which labels.
#[derive(Default)]
pub(crate) struct Pairs {
    /// None is empty.
    blocks: Vec<Vec<u64>>,
    /// Buried before the hand was last at the beginning: their pairs are dropped where it passes.
    dying: HashSet<u32>,
    /// Buried since.
    dead: HashSet<u32>,
    hand: usize,
    /// Burials since the hand moved.
    debt: u32,
}

impl Pairs {
    /// Notes that a slot has a label.
    pub(crate) fn add(&mut self, label: u64, slot: u32) {
        let pair = pair(label, slot);
        let Some(at) = self.block_of(pair) else {
            let mut block = Vec::with_capacity(STEP);
            block.push(pair);
            return self.blocks.push(block);
        };
        let block = &mut self.blocks[at];
        let Err(within) = block.binary_search(&pair) else { return };
        if block.len() < BLOCK {
            return insert(block, within, pair);
        }
        // What comes in order fills its blocks.
        let middle = if within == BLOCK { BLOCK } else { BLOCK / 2 };
        let mut rest = block.split_off(middle);
        block.shrink_to_fit();
        match within.checked_sub(middle) {
            Some(within) => insert(&mut rest, within, pair),
            None => insert(block, within, pair),
        }
        self.blocks.insert(at + 1, rest);
        if at < self.hand {
            self.hand += 1;
        }
    }

    /// Whether a slot has a label.
    pub(crate) fn has(&self, label: u64, slot: u32) -> bool {
        let pair = pair(label, slot);
        self.block_of(pair).is_some_and(|at| self.blocks[at].binary_search(&pair).is_ok())
    }

    /// The slots with a label, ascending, from one on; buried ones may be among them.
    pub(crate) fn slots(&self, label: u64, from: u32) -> impl Iterator<Item = u32> {
        let (first, last) = (pair(label, from), pair(label, (1 << SLOT_BITS) - 1));
        let at = self.block_of(first).unwrap_or(self.blocks.len());
        let pairs = self.blocks[at.min(self.blocks.len())..].iter().flatten().copied();
        pairs.skip_while(move |pair| *pair < first).take_while(move |pair| *pair <= last).map(slot)
    }

    /// A slot with labels has gone. `free` is called with those that may be given to another entry.
    pub(crate) fn bury(&mut self, slot: u32, free: impl FnMut(u32)) {
        self.dead.insert(slot);
        self.debt += 1;
        if self.debt >= PACE {
            self.debt = 0;
            self.advance(free);
        }
    }

    /// Drops pairs of buried slots from the block at the hand.
    fn advance(&mut self, free: impl FnMut(u32)) {
        if self.hand >= self.blocks.len() {
            std::mem::take(&mut self.dying).into_iter().for_each(free);
            self.dying = std::mem::take(&mut self.dead);
            self.hand = 0;
        }
        let (hand, dying) = (self.hand, &self.dying);
        if let Some(block) = self.blocks.get_mut(hand) {
            block.retain(|pair| !dying.contains(&slot(*pair)));
            if self.tidy(hand) == Tidied::Kept {
                self.hand += 1;
            }
        }
    }

    /// Drops an empty block, and joins one with that before it when both find room.
    fn tidy(&mut self, at: usize) -> Tidied {
        let length = self.blocks[at].len();
        let before = at.checked_sub(1).map(|before| self.blocks[before].len());
        if length > 0 && before.is_none_or(|before| before + length > BLOCK / 2) {
            let block = &mut self.blocks[at];
            if block.capacity() > length + 2 * STEP {
                block.shrink_to(length + STEP);
            }
            return Tidied::Kept;
        }
        let block = self.blocks.remove(at);
        if let Some(before) = at.checked_sub(1) {
            self.blocks[before].extend(block);
        }
        Tidied::Gone
    }

    /// The block in which a pair is, or belongs.
    fn block_of(&self, pair: u64) -> Option<usize> {
        let after = self.blocks.partition_point(|block| block.first().is_some_and(|first| *first <= pair));
        (!self.blocks.is_empty()).then(|| after.saturating_sub(1))
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(|block| block.capacity() * size_of::<u64>()).sum();
        blocks + self.blocks.capacity() * size_of::<Vec<u64>>()
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn len(&self) -> usize {
        self.blocks.iter().map(Vec::len).sum()
    }
}

fn insert(block: &mut Vec<u64>, within: usize, pair: u64) {
    if block.len() == block.capacity() {
        block.reserve_exact(STEP);
    }
    block.insert(within, pair);
}

/// What became of a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tidied {
    Kept,
    Gone,
}

fn pair(label: u64, slot: u32) -> u64 {
    label >> SLOT_BITS << SLOT_BITS | u64::from(slot)
}

fn slot(pair: u64) -> u32 {
    (pair & ((1 << SLOT_BITS) - 1)) as u32
}
