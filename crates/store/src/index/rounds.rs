//! What the keeper and the upkeep do to entries of which they know the number, or to all of them, a few at a time.
//!
//! Invariant: no lock is held for longer than a few thousand slots take.

use super::shard::{State, Warm};
use super::slot::{self, Pinned, Recorded};
use super::{Cold, Frame, Index, Number, Removed, Seen};
use crate::Key;
use crate::bodies::BodyId;
use crate::journal::Position;

/// Slots looked at under one lock by those who look at all of them.
const STRIDE: u32 = 4096;

/// What is known of a number, for those who choose victims.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glance {
    pub(crate) key: Key,
    pub(crate) body: BodyId,
    pub(crate) frequency: u8,
    pub(crate) idle: u32,
    pub(crate) pinned: Pinned,
    /// Somebody fetches the key anew.
    pub(crate) is_flying: bool,
}

impl<E: Clone, R: Clone> Index<E, R> {
    /// Takes out a victim, unless somebody fetches its key anew.
    pub(crate) fn evict(&self, number: Number, record: impl FnOnce(&Key) -> Vec<u8>) -> Option<Removed<E>> {
        let mut shard = self.parts[number.part()].shard.write();
        let slot = shard.slots.get(number.within())?;
        slot.record()?;
        if shard.warm(slot).is_some_and(|warm| warm.flight.is_some()) {
            return None;
        }
        let record = record(&slot.key);
        Some(self.take_out(&mut shard, number.within(), &record))
    }

    /// The number may be given to another entry.
    pub(crate) fn free(&self, number: Number) {
        self.parts[number.part()].shard.write().free(number.within());
    }

    pub(crate) fn glance(&self, number: Number) -> Option<Glance> {
        let shard = self.parts[number.part()].shard.read();
        let slot = shard.slots.get(number.within())?;
        let record = slot.record()?;
        Some(Glance {
            key: slot.key,
            body: record.body,
            frequency: slot.marks.frequency(),
            idle: slot.marks.idle(self.second()),
            pinned: if slot.marks.is_pinned() { Pinned::Yes } else { Pinned::No },
            is_flying: shard.warm(slot).is_some_and(|warm| warm.flight.is_some()),
        })
    }

    /// For the order of eviction: place of the record, frequency.
    pub(crate) fn standing(&self, number: Number) -> Option<(Position, u8)> {
        let shard = self.parts[number.part()].shard.read();
        let slot = shard.slots.get(number.within())?;
        Some((slot.record()?.position, slot.marks.frequency()))
    }

    pub(crate) fn set_frequency(&self, number: Number, frequency: u8) {
        let shard = self.parts[number.part()].shard.read();
        if let Some(slot) = shard.slots.get(number.within()) {
            slot.marks.set_frequency(frequency);
        }
    }

    /// Notes whether the entry of `key` is pinned.
    pub(crate) fn set_pinned(&self, key: &Key, pinned: Pinned) {
        let shard = self.part(key).shard.read();
        if let Some(number) = shard.find(key) {
            shard.slots[number].marks.set_pinned(pinned);
        }
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn is_pinned(&self, key: &Key) -> bool {
        let shard = self.part(key).shard.read();
        shard.find(key).is_some_and(|number| shard.slots[number].marks.is_pinned())
    }

    /// Cools entries that were not used since the hand last passed, from one shard: `judge` says of a warm entry with a
    /// record whether it may go, and its deadline; `frame` makes a new record of one whose deadline has grown, because
    /// when it is warm again, the record is all that is known. Returns what has been cooled, to be dropped by the caller.
    pub(crate) fn cool(
        &self,
        part: usize,
        most: usize,
        judge: impl Fn(&E) -> Option<u32>,
        frame: impl Fn(&E) -> Option<Frame>,
    ) -> Vec<E> {
        let mut shard = self.parts[part].shard.write();
        let mut cooled = Vec::new();
        for _ in 0..shard.warm_places() {
            if cooled.len() == most {
                break;
            }
            let place = shard.hand % shard.warm_places();
            shard.hand = place + 1;
            let may_cool = |warm: &&Warm<E, R>| warm.flight.is_none() && warm.state == State::Recorded;
            let Some(warm) = shard.at_hand(place).filter(may_cool) else { continue };
            let (number, Some(entry)) = (warm.slot, &warm.entry) else { continue };
            let slot = &shard.slots[number];
            if slot.record().is_none() || slot.marks.take_recent() {
                continue;
            }
            let Some(deadline) = judge(entry) else { continue };
            if deadline > slot.deadline
                && let (Some(record), Some(frame)) = (slot.record(), frame(entry))
                && let Some(position) = self.append_again(&mut shard, &frame.bytes)
            {
                shard.set_record(number, Recorded { position, ..record }, deadline);
            }
            cooled.extend(shard.warm_mut(number).and_then(|warm| warm.entry.take()));
            shard.tidy(number);
            self.levels.warm.dec();
        }
        cooled
    }

    /// Keys of entries whose deadline is before `second`, at most `most`, from slot `from` of a shard on; and where to go
    /// on, unless all have been looked at. `deadline` is asked of warm ones, whose deadline may have grown; `None`: not yet.
    pub(crate) fn expired(
        &self,
        part: usize,
        from: u32,
        second: u32,
        deadline: impl Fn(&E) -> Option<u32>,
    ) -> (Vec<Key>, Option<u32>) {
        let shard = self.parts[part].shard.read();
        let to = shard.slots.end().min(from.saturating_add(STRIDE));
        let is_over = |slot: &slot::Slot| match shard.warm(slot).and_then(|warm| warm.entry.as_ref()) {
            Some(entry) => deadline(entry).is_some_and(|deadline| deadline < second),
            None => slot.record().is_some() && slot.deadline < second,
        };
        let slots = (from..to).map(|number| &shard.slots[number]).filter(|slot| !slot.marks.is_pinned());
        let over =
            slots.filter(|slot| slot.deadline < second && is_over(slot)).map(|slot| slot.key).collect();
        (over, (to < shard.slots.end()).then_some(to))
    }

    /// Warm entries of a shard whose deadline has outgrown the one in their record: `is_worth` says so of what was noted
    /// and of what is wanted now. From a place of the clock on, and where to go on.
    pub(crate) fn outgrown(
        &self,
        part: usize,
        from: usize,
        deadline: impl Fn(&E) -> u32,
        is_worth: impl Fn(u32, u32) -> bool,
    ) -> (Vec<E>, Option<usize>) {
        let shard = self.parts[part].shard.read();
        let to = shard.warm_places().min(from.saturating_add(STRIDE as usize));
        let outgrown = |place| {
            let warm = shard.at_hand(place)?;
            let (slot, entry) = (&shard.slots[warm.slot], warm.entry.as_ref()?);
            slot.record()?;
            is_worth(slot.deadline, deadline(entry)).then(|| entry.clone())
        };
        ((from..to).filter_map(outgrown).collect(), (to < shard.warm_places()).then_some(to))
    }

    /// What there is of the entries from slot `from` of a shard on, and where to go on.
    pub(crate) fn page(&self, part: usize, from: u32) -> (Vec<(Key, Seen<E>)>, Option<u32>) {
        let shard = self.parts[part].shard.read();
        let to = shard.slots.end().min(from.saturating_add(STRIDE));
        let seen = |number| {
            let slot = &shard.slots[number];
            if let Some(entry) = shard.warm(slot).and_then(|warm| warm.entry.clone()) {
                return Some((slot.key, Seen::Warm(entry)));
            }
            let record = slot.record()?;
            Some((slot.key, Seen::Cold(Cold { key: slot.key, record })))
        };
        ((from..to).filter_map(seen).collect(), (to < shard.slots.end()).then_some(to))
    }
}
