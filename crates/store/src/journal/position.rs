//! [`Position`]: where a record lies in the logs of its shard.

/// Bits of the offset; the 24 above are the number of the file.
const OFFSET_BITS: u32 = 40;

/// The offset behind which no record may end.
pub(super) const LAST_OFFSET: u64 = (1 << OFFSET_BITS) - 1;

/// The highest number that a compaction gives to a file. Some are left for the files that follow it.
pub(super) const LAST_FILE: u32 = (1 << 24) - 64;

/// Where a record lies: file and offset. Later records of a shard have greater positions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Position(u64);

impl Position {
    /// `file` is at most 24 bits, `offset` at most 40: more would be another position.
    pub(super) fn new(file: u32, offset: u64) -> Self {
        debug_assert!(file < 1 << 24 && offset <= LAST_OFFSET);
        Self(u64::from(file) << OFFSET_BITS | offset)
    }

    /// The number of the file.
    pub(crate) fn file(self) -> u32 {
        (self.0 >> OFFSET_BITS) as u32
    }

    /// Where the record begins in its file, in bytes.
    pub(crate) fn offset(self) -> u64 {
        self.0 & LAST_OFFSET
    }

    /// As a number, for a compact slot.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// What [`to_bits`](Self::to_bits) gave.
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl std::fmt::Debug for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}:{}", self.file(), self.offset())
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::{LAST_OFFSET, Position};

    #[test]
    fn a_position_keeps_both_numbers_and_orders_by_file_first() {
        let highest = Position::new((1 << 24) - 1, LAST_OFFSET);
        assert_eq!(
            (highest.file(), highest.offset(), highest.to_bits()),
            ((1 << 24) - 1, LAST_OFFSET, u64::MAX)
        );
        assert_eq!(Position::from_bits(highest.to_bits()), highest);
        assert!(Position::new(1, LAST_OFFSET) < Position::new(2, 0));
    }
}
