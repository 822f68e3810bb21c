//! [`Slot`] and [`Slots`]: what is known of every entry without a look at the disk, in 40 bytes each.
//!
//! Plain values, owned by a [`Shard`](super::shard::Shard) and guarded by its lock; only the marks change under a read
//! lock. Invariant: a slot's number is not given to another entry before [`Slots::free`].
//!
//! Deliberately not here: hashing and what an entry is.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::Key;
use crate::bodies::BodyId;
use crate::journal::Position;

/// Slots allocated together: growing never copies and never doubles memory. So many that what the allocator adds to a
/// large piece does not count; what is not used yet is not resident.
const CHUNK: usize = 8192;
/// Stands for "none" in a slot.
pub(super) const NONE: u32 = u32::MAX;
/// Seconds that one step of "last used" stands for.
pub(crate) const USED_STEP: u32 = 16;

/// One entry, warm or cold.
pub(super) struct Slot {
    pub(super) key: Key,
    /// Where the record lies; 0, which no record has, when there is none.
    position: u64,
    /// The recorded body; means nothing without a record.
    body: BodyId,
    /// Number of the warm part, or [`NONE`].
    pub(super) warm: u32,
    /// When nobody wants the object any more, as of the record or the last cooling, in seconds since 1970.
    pub(super) deadline: u32,
    pub(super) marks: Marks,
}

/// A slot's durable part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) position: Position,
    pub(crate) body: BodyId,
}

impl Slot {
    /// The durable part, if there is one.
    pub(super) fn record(&self) -> Option<Recorded> {
        let position = Position::from_bits(self.position);
        (self.position != 0).then_some(Recorded { position, body: self.body })
    }

    pub(super) fn set_record(&mut self, record: Option<Recorded>) {
        self.position = record.map_or(0, |record| record.position.to_bits());
        self.body = record.map_or(BodyId::NONE, |record| record.body);
    }
}

/// Frequency (2 bits), pinned, recent (1 bit each), number of labels (3 bits), marked (1 bit) and the time of the last use
/// (24 bits of [`USED_STEP`] seconds). A hit notes some of it.
#[derive(Default)]
pub(super) struct Marks(AtomicU32);

const FREQUENCY: u32 = 0b11;
const PINNED: u32 = 0b100;
/// Used since the cooling hand last passed.
const RECENT: u32 = 0b1000;
const LABELS_SHIFT: u32 = 4;
/// How many labels the record has; the highest stands for this many or more.
const LABELS: u32 = 0b111 << LABELS_SHIFT;
/// The record was marked since it was written.
const MARKED: u32 = 0b1000_0000;
const TIME_SHIFT: u32 = 8;

/// Labels of a slot beyond which they are not counted.
pub(super) const MOST_COUNTED: usize = 7;

impl Marks {
    /// Notes a use at `second`; writes only when that changes something.
    pub(super) fn used(&self, second: u32) {
        let before = self.0.load(Ordering::Relaxed);
        let frequency = ((before & FREQUENCY) + 1).min(FREQUENCY);
        let kept = before & (PINNED | LABELS | MARKED);
        let after = (second / USED_STEP) << TIME_SHIFT | kept | RECENT | frequency;
        if after != before {
            self.0.store(after, Ordering::Relaxed);
        }
    }

    /// The entry is new at `second`: that is no use of it, but it is not idle either.
    pub(super) fn born(&self, second: u32) {
        self.change(|marks| {
            (second / USED_STEP) << TIME_SHIFT | marks & (PINNED | FREQUENCY | LABELS | MARKED) | RECENT
        });
    }

    /// Uses since it was last asked, at most 3.
    pub(super) fn frequency(&self) -> u8 {
        (self.0.load(Ordering::Relaxed) & FREQUENCY) as u8
    }

    pub(super) fn set_frequency(&self, frequency: u8) {
        let frequency = u32::from(frequency) & FREQUENCY;
        self.change(|marks| marks & !FREQUENCY | frequency);
    }

    /// Whether it was used since the last time that this was asked.
    pub(super) fn take_recent(&self) -> bool {
        let recent = self.0.load(Ordering::Relaxed) & RECENT != 0;
        if recent {
            self.change(|marks| marks & !RECENT);
        }
        recent
    }

    pub(super) fn is_pinned(&self) -> bool {
        self.0.load(Ordering::Relaxed) & PINNED != 0
    }

    pub(super) fn set_pinned(&self, pinned: Pinned) {
        self.change(|marks| match pinned {
            Pinned::Yes => marks | PINNED,
            Pinned::No => marks & !PINNED,
        });
    }

    /// How many labels the record has, at most [`MOST_COUNTED`].
    pub(super) fn labels(&self) -> usize {
        ((self.0.load(Ordering::Relaxed) & LABELS) >> LABELS_SHIFT) as usize
    }

    /// Under the shard's write lock only.
    pub(super) fn set_labels(&self, count: usize) {
        let count = (count.min(MOST_COUNTED) as u32) << LABELS_SHIFT;
        self.change(|marks| marks & !LABELS | count);
    }

    /// Whether the record was marked since it was written.
    pub(super) fn is_marked(&self) -> bool {
        self.0.load(Ordering::Relaxed) & MARKED != 0
    }

    /// Under the shard's write lock only.
    pub(super) fn set_marked(&self, marked: Marked) {
        self.change(|marks| match marked {
            Marked::Yes => marks | MARKED,
            Marked::No => marks & !MARKED,
        });
    }

    /// Takes what belongs to the entry, and leaves what belongs to the record.
    pub(super) fn take_use(&mut self) -> Self {
        let marks = self.0.get_mut();
        let of_record = *marks & (LABELS | MARKED);
        Self(AtomicU32::new(std::mem::replace(marks, of_record) & !(LABELS | MARKED)))
    }

    /// Seconds between the last noted use and `second`, rounded down to steps.
    pub(super) fn idle(&self, second: u32) -> u32 {
        let used = self.0.load(Ordering::Relaxed) >> TIME_SHIFT;
        let now = (second / USED_STEP) & (u32::MAX >> TIME_SHIFT);
        now.saturating_sub(used).saturating_mul(USED_STEP)
    }

    fn change(&self, change: impl Fn(u32) -> u32) {
        // Only a hit writes beside us; a lost mark of one use does no harm.
        self.0.store(change(self.0.load(Ordering::Relaxed)), Ordering::Relaxed);
    }
}

/// Whether an entry is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pinned {
    Yes,
    No,
}

impl From<bool> for Pinned {
    fn from(is_pinned: bool) -> Self {
        if is_pinned { Self::Yes } else { Self::No }
    }
}

/// Whether a record was marked since it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marked {
    Yes,
    No,
}

/// The slots of a shard by number.
#[derive(Default)]
pub(super) struct Slots {
    chunks: Vec<Vec<Slot>>,
    free: Vec<u32>,
}

impl Slots {
    /// A slot for `key` with nothing in it.
    pub(super) fn add(&mut self, key: Key) -> u32 {
        let (body, marks) = (BodyId::NONE, Marks::default());
        let slot = Slot { key, position: 0, body, warm: NONE, deadline: 0, marks };
        if let Some(number) = self.free.pop() {
            self[number] = slot;
            return number;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let chunks = self.chunks.len();
        let last = self.chunks.last_mut().expect("there is a chunk with room");
        last.push(slot);
        ((chunks - 1) * CHUNK + last.len() - 1) as u32
    }

    /// The number may be given to another entry.
    pub(super) fn free(&mut self, number: u32) {
        self.free.push(number);
    }

    pub(super) fn get(&self, number: u32) -> Option<&Slot> {
        self.chunks.get(number as usize / CHUNK)?.get(number as usize % CHUNK)
    }

    /// One more than the highest number ever given.
    pub(super) fn end(&self) -> u32 {
        self.chunks.last().map_or(0, |last| ((self.chunks.len() - 1) * CHUNK + last.len()) as u32)
    }
}

impl std::ops::Index<u32> for Slots {
    type Output = Slot;

    fn index(&self, number: u32) -> &Slot {
        &self.chunks[number as usize / CHUNK][number as usize % CHUNK]
    }
}

impl std::ops::IndexMut<u32> for Slots {
    fn index_mut(&mut self, number: u32) -> &mut Slot {
        &mut self.chunks[number as usize / CHUNK][number as usize % CHUNK]
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::{Marks, Pinned, Slot, Slots, USED_STEP};
    use crate::Key;

    #[test]
    fn a_slot_takes_40_bytes() {
        assert_eq!(size_of::<Slot>(), 40);
    }

    #[test]
    fn marks_count_uses_and_keep_the_pin() {
        let marks = Marks::default();
        marks.set_pinned(Pinned::Yes);
        let second = 1_800_000_000;
        (0..5).for_each(|_| marks.used(second));
        assert_eq!((marks.frequency(), marks.is_pinned(), marks.idle(second)), (3, true, 0));
        assert_eq!((marks.take_recent(), marks.take_recent()), (true, false));
        assert_eq!(marks.idle(second + 10 * USED_STEP), 10 * USED_STEP);
        marks.set_frequency(1);
        marks.set_pinned(Pinned::No);
        assert_eq!((marks.frequency(), marks.is_pinned(), marks.idle(second)), (1, false, 0));
    }

    #[test]
    fn numbers_are_dense_and_used_again_after_free() {
        let mut slots = Slots::default();
        let numbers: Vec<u32> = (0..20_000).map(|key| slots.add(Key::new([key as u8; 16]))).collect();
        assert!(numbers.iter().copied().eq(0..20_000));
        assert_eq!(slots.end(), 20_000);
        slots.free(7);
        assert_eq!(slots.add(Key::new([1; 16])), 7);
        assert_eq!(slots.add(Key::new([1; 16])), 20_000);
    }
}
