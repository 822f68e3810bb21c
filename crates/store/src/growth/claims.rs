//! [`Claims`]: the ranges of a body that somebody has promised to write.
//!
//! A plain value, guarded together with the extents by the lock of [`Growth`](super::Growth), so that "neither committed
//! nor claimed" is one look. Invariants: ranges are sorted, disjoint and not empty; neighbours stay apart, because each is
//! released on its own.
//!
//! Deliberately not here: who holds a claim.

use std::ops::Range;

use crate::extents::gaps_between;

/// Sorted, disjoint, half-open byte ranges.
#[derive(Debug, Default)]
pub(super) struct Claims {
    ranges: Vec<Range<u64>>,
}

impl Claims {
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Claims a range, or a part of one, that [`free`](Self::free) gave.
    pub(super) fn insert(&mut self, range: Range<u64>) {
        let at = self.ranges.partition_point(|known| known.start < range.start);
        debug_assert!(self.ranges.get(at).is_none_or(|next| range.end <= next.start), "claimed once");
        debug_assert!(at == 0 || self.ranges[at - 1].end <= range.start, "claimed once");
        self.ranges.insert(at, range);
    }

    /// The claim of `range` ends.
    pub(super) fn remove(&mut self, range: &Range<u64>) {
        if let Ok(at) = self.ranges.binary_search_by_key(&range.start, |known| known.start) {
            self.ranges.remove(at);
        }
    }

    /// The parts of `range` that nobody has claimed, in order.
    pub(super) fn free(&self, range: Range<u64>) -> Vec<Range<u64>> {
        gaps_between(&self.ranges, range)
    }
}
