//! Bodies with holes in the index: an entry may be warm while its record says that its body is a part.
//!
//! Invariant: the record of a part goes in one step with the decision that it goes. Deliberately not here: what is idle.

use std::sync::Arc;

use super::{Cold, Erased, Index, Number, Probed, number_of_part};
use crate::flight::Flying;

/// Whether the caller can do something with a body that has holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holes {
    /// It cannot: a key with such a body is to be filled.
    Hidden,
    /// It can: a cold one is warmed up.
    Shown,
}

impl<E: Clone, R: Clone> Index<E, R> {
    /// The accepted entry, else the flight under way, else a new flight that the caller leads; or a cold entry.
    pub(crate) fn probe(&self, key: &crate::Key, holes: Holes, accept: impl Fn(&E) -> bool) -> Probed<E, R> {
        if let Some(found) = self.get_if(key, &accept) {
            return Probed::Found(found);
        }
        let mut shard = self.part(key).shard.write();
        let number = shard.find_or_add(key);
        let record = shard.slots[number].record();
        let warm = shard.warm_or_add(number);
        // Somebody may have published between the two locks.
        if let Some(entry) = warm.entry.as_ref().filter(|entry| accept(entry)) {
            return Probed::Found(entry.clone());
        }
        if let Some(flight) = &warm.flight {
            return Probed::Flying(flight.clone());
        }
        let cold = record.filter(|_| warm.entry.is_none());
        if let Some(record) = cold.filter(|record| holes == Holes::Shown || !record.body.is_part()) {
            shard.tidy(number);
            return Probed::Cold(Cold { key: *key, record });
        }
        let flight = Arc::new(Flying::new());
        warm.flight = Some(flight.clone());
        self.levels.flights.inc();
        let part = record.filter(|record| record.body.is_part()).map(|record| Cold { key: *key, record });
        Probed::Claimed { flight, previous: warm.entry.clone(), part }
    }

    /// Takes the record of a part away, with the entry that is warm, which must be idle; else nothing happens.
    pub(crate) fn take_part(
        &self,
        part: &Cold,
        is_idle: impl Fn(&E) -> bool,
        record: &[u8],
    ) -> Option<(Erased, Option<E>)> {
        let mut shard = self.part(&part.key).shard.write();
        let number = shard.find(&part.key)?;
        shard.slots[number].record().filter(|known| known.body == part.record.body)?;
        let warm = shard.warm_mut(number);
        if warm.as_ref().and_then(|warm| warm.entry.as_ref()).is_some_and(|entry| !is_idle(entry)) {
            return None;
        }
        let entry = warm.and_then(|warm| warm.entry.take());
        if entry.is_some() {
            self.levels.warm.dec();
        }
        shard.tidy(number);
        shard.erase(number);
        self.append(&mut shard, record);
        self.levels.entries.dec();
        Some((Erased { number: self.number_in(part, number), body: part.record.body }, entry))
    }

    /// Takes the record of a part away; what is warm stays.
    pub(crate) fn drop_part(&self, part: &Cold, record: &[u8]) -> Option<Erased> {
        let mut shard = self.part(&part.key).shard.write();
        let number = shard.find(&part.key)?;
        shard.slots[number].record().filter(|known| known.body == part.record.body)?;
        let has_entry = shard.warm(&shard.slots[number]).is_some_and(|warm| warm.entry.is_some());
        shard.erase(number);
        self.append(&mut shard, record);
        if !has_entry {
            self.levels.entries.dec();
        }
        Some(Erased { number: self.number_in(part, number), body: part.record.body })
    }

    /// Whether the entry with this number is warm and `is` says so of it.
    pub(crate) fn is_warm_and(&self, number: Number, is: impl Fn(&E) -> bool) -> bool {
        let shard = self.parts[number.part()].shard.read();
        let warm = shard.slots.get(number.within()).and_then(|slot| shard.warm(slot));
        warm.and_then(|warm| warm.entry.as_ref()).is_some_and(is)
    }

    fn number_in(&self, part: &Cold, number: u32) -> Number {
        Number::new(number_of_part(&part.key), number)
    }
}
