//! [`Heat`]: what a restart needs to know of an entry's place, in one byte.

use super::{MOST_HITS, Place};

/// Steps of age in a queue that survive a restart.
pub(super) const RANKS: usize = 32;

const IN_MAIN: u8 = 0x80;
const RANK_SHIFT: u8 = 2;
const HITS: u8 = MOST_HITS;

/// Queue (1 bit), age in the queue in 32 steps (5 bits), hits (2 bits). The byte can be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heat(u8);

impl Heat {
    /// The youngest of the small queue: an entry of which nothing was stored because it came after.
    pub const NEW: Self = Self(((RANKS - 1) as u8) << RANK_SHIFT);

    /// The place of an entry when nothing was stored, by its position among `of` records in order of age.
    #[must_use]
    pub fn unknown(position: usize, of: usize) -> Self {
        Self::at(Place::Main, position, of)
    }

    /// What [`Heat::to_byte`] gave; every byte means something.
    #[must_use]
    pub fn from_byte(byte: u8) -> Self {
        Self(byte)
    }

    /// The byte to store.
    #[must_use]
    pub fn to_byte(self) -> u8 {
        self.0
    }

    /// Hits, 0 to 3; 0 unless set with [`Heat::with_frequency`].
    #[must_use]
    pub fn frequency(self) -> u8 {
        self.0 & HITS
    }

    /// The same place with this many hits, at most 3.
    #[must_use]
    pub fn with_frequency(self, frequency: u8) -> Self {
        Self(self.0 & !HITS | frequency.min(MOST_HITS))
    }

    pub(super) fn at(place: Place, position: usize, of: usize) -> Self {
        let rank = position.min(of.saturating_sub(1)) * RANKS / of.max(1);
        let rank = (rank as u8) << RANK_SHIFT;
        match place {
            Place::Small => Self(rank),
            Place::Main => Self(rank | IN_MAIN),
        }
    }

    pub(super) fn place(self) -> Place {
        if self.0 & IN_MAIN == 0 { Place::Small } else { Place::Main }
    }

    /// 0 is the oldest.
    pub(super) fn rank(self) -> usize {
        usize::from(self.0 & !IN_MAIN) >> RANK_SHIFT
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_a_heat_and_keeps_its_parts_apart() {
        for byte in 0..=u8::MAX {
            let heat = Heat::from_byte(byte);
            assert_eq!(heat.to_byte(), byte);
            for frequency in 0..=3 {
                let other = heat.with_frequency(frequency);
                assert_eq!(other.frequency(), frequency);
                assert_eq!((other.place(), other.rank()), (heat.place(), heat.rank()));
            }
            assert!(heat.rank() < RANKS);
        }
        assert_eq!(Heat::NEW.with_frequency(200).frequency(), 3);
    }

    #[test]
    fn ranks_follow_positions() {
        assert_eq!(Heat::unknown(0, 1).rank(), 0);
        assert_eq!(Heat::unknown(99, 100).rank(), 31);
        assert_eq!(Heat::unknown(7, 0).rank(), 0, "a position that cannot be");
        let ranks: Vec<_> = (0..1000).map(|position| Heat::unknown(position, 1000).rank()).collect();
        assert!(ranks.is_sorted());
        assert_eq!((Heat::NEW.place(), Heat::NEW.rank()), (Place::Small, 31));
    }
}
