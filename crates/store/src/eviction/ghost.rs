//! [`Ghost`]: remembers which entries left a queue, until as many bytes as its window left after them.
//!
//! A table of buckets, 4 bytes a slot: 16 bits of the fingerprint and the time, counted in bytes that were
//! remembered, in *ticks* of 1/4096 of the window. A slot is not cleared when its time is over, only taken for empty; a
//! sweep that goes with the ticks clears it before its 16-bit time comes round again.
//!
//! It is approximate and may be: another key with the same 16 bits in the same bucket is taken for known (8 in
//! 65536), and a full bucket forgets its oldest slot early.

const SLOTS: usize = 8;
/// Buckets of an empty ghost: 4 KiB.
const FEWEST: usize = 128;
/// Ticks of a window.
const TICKS: u64 = 4096;
/// Ticks in which the sweep goes over the whole table; with a window it is well below the 65536 of a stamp.
const SWEEP: u64 = 16384;

/// High half: 16 bits of the fingerprint, never 0. Low half: when it was remembered. 0: empty.
type Slot = u32;

pub(super) struct Ghost {
    buckets: Vec<[Slot; SLOTS]>,
    most_buckets: usize,
    window: u64,
    /// Bytes of a tick.
    tick: u64,
    /// Bytes remembered since the last tick.
    rest: u64,
    ticks: u64,
    /// Where the sweep is, in buckets times [`SWEEP`].
    swept: u64,
}

impl Ghost {
    /// A ghost for `window` bytes that never has more than `most_slots` slots (but a few).
    pub(super) fn new(window: u64, most_slots: usize) -> Self {
        let mut ghost = Self {
            buckets: vec![[0; SLOTS]; FEWEST],
            most_buckets: most_slots / SLOTS,
            window: 0,
            tick: 1,
            rest: 0,
            ticks: 0,
            swept: 0,
        };
        ghost.set_window(window);
        ghost
    }

    /// Changes the window; what is remembered keeps its place in it.
    pub(super) fn set_window(&mut self, window: u64) {
        self.window = window;
        self.tick = window.div_ceil(TICKS).max(1);
        self.rest = self.rest.min(self.tick - 1);
    }

    /// Grows with the number of entries that can come here. A bucket is copied to both buckets that it becomes: where a
    /// slot does not belong, it is not found and its time goes by.
    pub(super) fn fit(&mut self, entries: usize) {
        while self.slots() < entries && self.buckets.len() * 2 <= self.most_buckets {
            self.buckets.extend_from_within(..);
        }
    }

    /// Remembers an entry that left. One that is longer than the window is not worth the memory.
    pub(super) fn remember(&mut self, fingerprint: u64, weight: u64) {
        if weight > self.window {
            return;
        }
        let (now, window) = (self.ticks, self.window_ticks());
        let bucket = self.bucket(fingerprint);
        let oldest = bucket.iter_mut().max_by_key(|slot| age(**slot, now).unwrap_or(u64::MAX));
        if let Some(slot) = oldest {
            *slot = u32::from(tag(fingerprint)) << 16 | (now & 0xffff) as u32;
        }
        let passed = self.rest + weight;
        self.rest = passed % self.tick;
        self.ticks += passed / self.tick;
        self.sweep(passed / self.tick, window);
    }

    /// Whether an entry is remembered.
    pub(super) fn knows(&mut self, fingerprint: u64) -> bool {
        self.find(fingerprint).is_some()
    }

    /// If an entry is remembered, how many bytes were since; it is forgotten with that.
    pub(super) fn take(&mut self, fingerprint: u64) -> Option<u64> {
        let tick = self.tick;
        let (slot, age) = self.find(fingerprint)?;
        *slot = 0;
        Some(age * tick)
    }

    /// The slot of an entry that is remembered, and its age in ticks.
    fn find(&mut self, fingerprint: u64) -> Option<(&mut Slot, u64)> {
        let (now, window) = (self.ticks, self.window_ticks());
        let wanted = u32::from(tag(fingerprint));
        self.bucket(fingerprint).iter_mut().find_map(|slot| {
            let age = age(*slot, now).filter(|age| *age <= window)?;
            (*slot >> 16 == wanted).then_some((slot, age))
        })
    }

    pub(super) fn slots(&self) -> usize {
        self.buckets.len() * SLOTS
    }

    pub(super) fn memory(&self) -> usize {
        self.buckets.capacity() * SLOTS * size_of::<Slot>()
    }

    /// Clears old slots in as many buckets as fall to these ticks.
    fn sweep(&mut self, ticks: u64, window: u64) {
        let count = self.buckets.len() as u64;
        let before = self.swept / SWEEP;
        self.swept += ticks * count;
        for at in before..self.swept / SWEEP {
            for slot in &mut self.buckets[(at % count) as usize] {
                if age(*slot, self.ticks).is_some_and(|age| age > window) {
                    *slot = 0;
                }
            }
        }
        self.swept %= SWEEP * count;
    }

    /// Ticks of the window: [`TICKS`], fewer if it has not as many bytes.
    fn window_ticks(&self) -> u64 {
        self.window / self.tick
    }

    fn bucket(&mut self, fingerprint: u64) -> &mut [Slot; SLOTS] {
        let count = self.buckets.len() as u64;
        &mut self.buckets[((fingerprint >> 16) % count) as usize]
    }
}

/// Part of the fingerprint that a slot holds.
fn tag(fingerprint: u64) -> u16 {
    (fingerprint as u16).max(1)
}

/// Ticks since a slot was written; `None` for an empty one.
fn age(slot: Slot, now: u64) -> Option<u64> {
    (slot != 0).then(|| now.wrapping_sub(u64::from(slot & 0xffff)) & 0xffff)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Spreads evenly over the buckets.
    fn fingerprint(number: u64) -> u64 {
        number << 16 | (number % 65535 + 1)
    }

    #[test]
    fn an_entry_is_known_until_the_window_is_full_of_younger_ones() {
        let mut ghost = Ghost::new(1000, 1 << 20);
        ghost.remember(fingerprint(0), 10);
        for number in 1..100 {
            ghost.remember(fingerprint(number), 10);
        }
        assert!(ghost.knows(fingerprint(0)));
        ghost.remember(fingerprint(100), 10);
        assert!(!ghost.knows(fingerprint(0)));
        assert_eq!(ghost.take(fingerprint(1)), Some(1000));
        assert_eq!(ghost.take(fingerprint(1)), None, "it was forgotten when it came back");
    }

    #[test]
    fn a_window_of_any_length_holds_what_it_should() {
        for window in [100_u64, 5_000, 1 << 30, 1 << 50] {
            let mut ghost = Ghost::new(window, 1 << 20);
            let weight = window.div_ceil(50);
            for number in 0..100 {
                ghost.remember(fingerprint(number), weight);
            }
            let known = (0..100).filter(|number| ghost.knows(fingerprint(*number))).count();
            assert!((48..=51).contains(&known), "{known} in {window}");
        }
    }

    #[test]
    fn nothing_comes_back_when_the_time_comes_round() {
        let mut ghost = Ghost::new(100, 1 << 20);
        for number in 0..400 {
            ghost.remember(fingerprint(number), 1);
        }
        for number in 0..200_000 {
            // All in the last buckets, which push nothing out of the others.
            ghost.remember(fingerprint(127 + number * 128), 1);
            if number % 64 == 0 && ghost.ticks > 600 {
                let back = (0..127).find(|number| ghost.knows(fingerprint(*number)));
                assert_eq!(back, None, "after {number}");
            }
        }
    }

    #[test]
    fn growing_forgets_nothing_and_has_an_end() {
        let mut ghost = Ghost::new(1 << 20, 8192);
        for number in 0..500 {
            ghost.remember(fingerprint(number), 1);
        }
        ghost.fit(1_000_000);
        assert_eq!(ghost.slots(), 8192);
        assert!((0..500).all(|number| ghost.knows(fingerprint(number))));
        assert!((500..1000).all(|number| !ghost.knows(fingerprint(number))));
    }

    #[test]
    fn a_full_bucket_forgets_its_oldest() {
        let mut ghost = Ghost::new(1 << 20, 0);
        let same_bucket = |number: u64| number << 32 | (number + 1);
        for number in 0..9 {
            ghost.remember(same_bucket(number), 1000);
        }
        assert!(!ghost.knows(same_bucket(0)));
        assert!((1..9).all(|number| ghost.knows(same_bucket(number))));
    }

    #[test]
    fn an_object_longer_than_the_window_pushes_nothing_out() {
        let mut ghost = Ghost::new(100, 1 << 10);
        ghost.remember(fingerprint(1), 1);
        ghost.remember(fingerprint(2), 101);
        assert!(ghost.knows(fingerprint(1)) && !ghost.knows(fingerprint(2)));
    }
}
