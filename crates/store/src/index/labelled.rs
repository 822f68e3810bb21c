//! What purges and walks do to entries of which they know the label, or to all of them.
//!
//! Invariant: what is found by its number is dealt with under the same lock.

use super::shard::{Shard, State};
use super::slot::Marked;
use super::{Cold, Erased, Index, Seen};
use crate::Key;
use crate::bodies::BodyId;
use crate::journal::Position;

/// Entries that are dealt with under one lock.
const TOGETHER: usize = 1024;

/// Slots looked at under one lock by those who look at all of them.
const STRIDE: u32 = 4096;

/// What has left the index together.
pub(crate) struct Gone<E> {
    /// To be dropped by the caller.
    pub(crate) entries: Vec<E>,
    /// To be settled by the caller.
    pub(crate) erased: Vec<Erased>,
}

/// What is known of an entry beside name and head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) idle: u32,
    pub(crate) uses: u8,
    pub(crate) is_warm: bool,
    pub(crate) is_partial: bool,
    pub(crate) is_pinned: bool,
    pub(crate) is_marked: bool,
}

/// What there is of a number.
pub(crate) struct Numbered<E> {
    pub(crate) key: Key,
    pub(crate) seen: Seen<E>,
    pub(crate) look: Look,
}

impl<E: Clone, R: Clone> Index<E, R> {
    /// Entries of a shard that have a label and are not recorded as they are; `has_label` is asked of such.
    pub(crate) fn unrecorded(&self, part: usize, has_label: impl Fn(&E) -> bool) -> Vec<Key> {
        let shard = self.parts[part].shard.read();
        let found = |place| {
            let warm = shard.at_hand(place).filter(|warm| warm.state == State::New)?;
            warm.entry.as_ref().filter(|entry| has_label(entry)).map(|_| shard.slots[warm.slot].key)
        };
        (0..shard.warm_places()).filter_map(found).collect()
    }

    /// Takes out some entries whose records have a label, from slot `from` of a shard on, with what `record` makes of their
    /// keys as the records of that; and where to go on.
    pub(crate) fn remove_labelled(
        &self,
        part: usize,
        label: u64,
        from: u32,
        record: impl Fn(&Key, &mut Vec<u8>),
    ) -> (Gone<E>, Option<u32>) {
        let mut shard = self.parts[part].shard.write();
        let (numbers, next) = some_with(&shard, label, from);
        let mut gone = Gone { entries: Vec::new(), erased: Vec::with_capacity(numbers.len()) };
        let mut frame = Vec::new();
        for (number, _) in numbers {
            frame.clear();
            record(&shard.slots[number].key, &mut frame);
            let removed = self.take_out(&mut shard, number, &frame);
            gone.entries.extend(removed.entry);
            gone.erased.extend(removed.erased);
        }
        (gone, next)
    }

    /// Marks some entries whose records have a label, from slot `from` of a shard on; returns their bodies and where to go
    /// on.
    pub(crate) fn mark_labelled(
        &self,
        part: usize,
        label: u64,
        from: u32,
        record: impl Fn(&Key, &mut Vec<u8>),
        mark: impl Fn(&E),
    ) -> (Vec<BodyId>, Option<u32>) {
        let mut shard = self.parts[part].shard.write();
        let (numbers, next) = some_with(&shard, label, from);
        let mut frame = Vec::new();
        for (number, _) in &numbers {
            frame.clear();
            record(&shard.slots[*number].key, &mut frame);
            self.mark_slot(&mut shard, *number, &frame, &mark);
        }
        (numbers.into_iter().map(|(_, body)| body).collect(), next)
    }

    /// The bodies of some entries whose records have a label, from slot `from` of a shard on, and where to go on.
    pub(crate) fn count_labelled(&self, part: usize, label: u64, from: u32) -> (Vec<BodyId>, Option<u32>) {
        let shard = self.parts[part].shard.read();
        let (numbers, next) = some_with(&shard, label, from);
        (numbers.into_iter().map(|(_, body)| body).collect(), next)
    }

    /// Marks the entry of a key, if there is one.
    pub(crate) fn mark(&self, key: &Key, record: &[u8], mark: impl Fn(&E)) {
        let mut shard = self.part(key).shard.write();
        if let Some(number) = shard.find(key) {
            self.mark_slot(&mut shard, number, record, mark);
        }
    }

    /// A record that is marked already is not marked again.
    fn mark_slot(&self, shard: &mut Shard<E, R>, number: u32, record: &[u8], mark: impl Fn(&E)) {
        let slot = &shard.slots[number];
        if let Some(entry) = shard.warm(slot).and_then(|warm| warm.entry.as_ref()) {
            mark(entry);
        }
        if slot.record().is_some() && !slot.marks.is_marked() {
            slot.marks.set_marked(Marked::Yes);
            self.append(shard, record);
        }
    }

    /// Whether the record of a key has these labels and no others; `true` when there is none.
    pub(crate) fn has_labels(&self, key: &Key, labels: &[u64]) -> bool {
        let shard = self.part(key).shard.read();
        let recorded = shard.find(key).filter(|number| shard.slots[*number].record().is_some());
        recorded.is_none_or(|number| shard.has_labels(number, labels))
    }

    /// The body of a key whose record lies there, and what else is known of it.
    pub(crate) fn at(&self, key: &Key, position: Position) -> Option<(BodyId, Look)> {
        let shard = self.part(key).shard.read();
        let number = shard.find(key)?;
        let record = shard.slots[number].record().filter(|record| record.position == position)?;
        Some((record.body, self.look(&shard, number)))
    }

    /// What else is known of an entry.
    pub(crate) fn look_at(&self, key: &Key) -> Option<Look> {
        let shard = self.part(key).shard.read();
        Some(self.look(&shard, shard.find(key)?))
    }

    /// What there is of the entries from slot `from` of a shard on, and where to go on.
    pub(crate) fn numbered(&self, part: usize, from: u32) -> (Vec<Numbered<E>>, Option<u32>) {
        let shard = self.parts[part].shard.read();
        let to = shard.slots.end().min(from.saturating_add(STRIDE));
        let numbered = |number| {
            let slot = &shard.slots[number];
            let seen = match (shard.warm(slot).and_then(|warm| warm.entry.clone()), slot.record()) {
                (Some(entry), _) => Seen::Warm(entry),
                (None, Some(record)) => Seen::Cold(Cold { key: slot.key, record }),
                (None, None) => return None,
            };
            Some(Numbered { key: slot.key, seen, look: self.look(&shard, number) })
        };
        ((from..to).filter_map(numbered).collect(), (to < shard.slots.end()).then_some(to))
    }

    fn look(&self, shard: &Shard<E, R>, number: u32) -> Look {
        let slot = &shard.slots[number];
        Look {
            idle: slot.marks.idle(self.second()),
            uses: slot.marks.frequency(),
            is_warm: shard.warm(slot).is_some_and(|warm| warm.entry.is_some()),
            is_partial: slot.record().is_some_and(|record| record.body.is_part()),
            is_pinned: slot.marks.is_pinned(),
            is_marked: slot.marks.is_marked(),
        }
    }
}

/// Some slots whose records have a label, from one on, with their bodies; and where to go on. Buried ones have no record.
fn some_with<E, R>(shard: &Shard<E, R>, label: u64, from: u32) -> (Vec<(u32, BodyId)>, Option<u32>) {
    let mut next = None;
    let mut found = Vec::with_capacity(TOGETHER);
    for number in shard.labels.slots(label, from) {
        if found.len() == TOGETHER {
            next = Some(number);
            break;
        }
        let record = shard.slots.get(number).and_then(|slot| slot.record());
        found.extend(record.map(|record| (number, record.body)));
    }
    (found, next)
}
