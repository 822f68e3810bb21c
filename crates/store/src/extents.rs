//! [`Extents`]: the committed byte ranges of a body.
//!
//! A plain value without locks; [`growth`](crate::growth) owns one for each body. Invariants: ranges are sorted,
//! disjoint, not empty and never touch each other. It only grows: there is deliberately no way to remove a range.

use std::ops::Range;

/// Sorted, disjoint, half-open byte ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extents {
    ranges: Vec<Range<u64>>,
}

impl Extents {
    /// Adds `range` and merges it with what it touches or overlaps.
    pub(crate) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let first = self.ranges.partition_point(|known| known.end < range.start);
        let last = self.ranges.partition_point(|known| known.start <= range.end);
        let touched = &self.ranges[first..last];
        let start = touched.first().map_or(range.start, |known| known.start.min(range.start));
        let end = touched.last().map_or(range.end, |known| known.end.max(range.end));
        if let [known] = &mut self.ranges[first..last] {
            *known = start..end;
            return;
        }
        self.ranges.splice(first..last, std::iter::once(start..end));
    }

    /// Where the committed bytes that begin at `offset` end; `offset` itself when there are none.
    pub(crate) fn contiguous_end(&self, offset: u64) -> u64 {
        let next = self.ranges.partition_point(|known| known.end <= offset);
        match self.ranges.get(next) {
            Some(known) if known.start <= offset => known.end,
            _ => offset,
        }
    }

    /// Committed bytes.
    pub(crate) fn total(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// Where the last committed range ends.
    pub(crate) fn end(&self) -> u64 {
        self.ranges.last().map_or(0, |range| range.end)
    }

    /// The committed ranges, in order.
    pub(crate) fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    /// The parts of `range` that are not committed, in order.
    pub(crate) fn gaps(&self, range: Range<u64>) -> Vec<Range<u64>> {
        gaps_between(&self.ranges, range)
    }
}

/// The parts of `range` that none of the `known` ranges covers, in order; those are sorted and disjoint.
pub(crate) fn gaps_between(known: &[Range<u64>], range: Range<u64>) -> Vec<Range<u64>> {
    let mut gaps = Vec::new();
    let mut at = range.start;
    let first = known.partition_point(|known| known.end <= range.start);
    for known in known[first..].iter().take_while(|known| known.start < range.end) {
        if at < known.start {
            gaps.push(at..known.start);
        }
        at = known.end;
    }
    if at < range.end {
        gaps.push(at..range.end);
    }
    gaps
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use proptest::prelude::*;

    use super::Extents;

    const SIZE: usize = 64;

    fn range() -> impl Strategy<Value = std::ops::Range<u64>> {
        (0..SIZE as u64, 0..=16_u64).prop_map(|(start, length)| start..(start + length).min(SIZE as u64))
    }

    proptest! {
        #[test]
        fn extents_agree_with_a_bitmap(inserts in prop::collection::vec(range(), 0..24), asked in range()) {
            let mut extents = Extents::default();
            let mut bitmap = [false; SIZE];
            for insert in inserts {
                bitmap[insert.start as usize..insert.end as usize].fill(true);
                extents.insert(insert);

                let mut bits = [false; SIZE];
                for known in &extents.ranges {
                    prop_assert!(known.start < known.end);
                    bits[known.start as usize..known.end as usize].fill(true);
                }
                prop_assert_eq!(bits, bitmap);
                prop_assert!(extents.ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
            }

            prop_assert_eq!(extents.total(), bitmap.iter().filter(|set| **set).count() as u64);
            prop_assert_eq!(extents.end(), bitmap.iter().rposition(|set| *set).map_or(0, |last| last as u64 + 1));
            let run = bitmap[asked.start as usize..].iter().take_while(|set| **set).count() as u64;
            prop_assert_eq!(extents.contiguous_end(asked.start), asked.start + run);

            let mut missing = [false; SIZE];
            for gap in extents.gaps(asked.clone()) {
                prop_assert!(gap.start < gap.end);
                missing[gap.start as usize..gap.end as usize].fill(true);
            }
            for at in 0..SIZE {
                let wanted = asked.contains(&(at as u64)) && !bitmap[at];
                prop_assert_eq!(missing[at], wanted);
            }
        }
    }
}
