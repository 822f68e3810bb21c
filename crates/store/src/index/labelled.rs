//! What purges and walks do to entries of which they know the label, or to all of them.
//!
//! Invariant: whoever deals with a number that he has found before looks again, under the lock, whether it still is what he
//! was looking for.

use super::shard::{Shard, State};
use super::slot::Marked;
use super::{Cold, Erased, Index, Recorded, Seen};
use crate::Key;
use crate::bodies::BodyId;
use crate::journal::Position;

/// Slots looked at under one lock by those who look at all of them.
const STRIDE: u32 = 4096;

/// Entries with a label.
#[derive(Default)]
pub(crate) struct Labelled {
    /// By the number of their record.
    pub(crate) numbers: Vec<u32>,
    /// Those without a record that says what they are.
    pub(crate) keys: Vec<Key>,
}

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
    /// The entries of a shard with a label; `has_label` is asked of those that are not recorded as they are.
    pub(crate) fn labelled(&self, part: usize, label: u64, has_label: impl Fn(&E) -> bool) -> Labelled {
        let shard = self.parts[part].shard.read();
        let mut found = Labelled { numbers: shard.labels.slots(label).collect(), keys: Vec::new() };
        for place in 0..shard.warm_places() {
            let Some(warm) = shard.at_hand(place).filter(|warm| warm.state == State::New) else { continue };
            if warm.entry.as_ref().is_some_and(&has_label) {
                found.keys.push(shard.slots[warm.slot].key);
            }
        }
        found
    }

    /// Takes those of `numbers` out that have the label, with `record` as the record of that.
    pub(crate) fn remove_labelled(
        &self,
        part: usize,
        numbers: &[u32],
        label: u64,
        record: impl Fn(&Key) -> Vec<u8>,
    ) -> Gone<E> {
        let mut shard = self.parts[part].shard.write();
        let mut gone = Gone { entries: Vec::new(), erased: Vec::with_capacity(numbers.len()) };
        for number in numbers {
            if recorded(&shard, *number, label).is_none() {
                continue;
            }
            let record = record(&shard.slots[*number].key);
            let removed = self.take_out(&mut shard, *number, &record);
            gone.entries.extend(removed.entry);
            gone.erased.extend(removed.erased);
        }
        gone
    }

    /// Marks those of `numbers` that have the label; returns their bodies.
    pub(crate) fn mark_labelled(
        &self,
        part: usize,
        numbers: &[u32],
        label: u64,
        record: impl Fn(&Key) -> Vec<u8>,
        mark: impl Fn(&E),
    ) -> Vec<BodyId> {
        let mut shard = self.parts[part].shard.write();
        let mut bodies = Vec::with_capacity(numbers.len());
        for number in numbers {
            let Some(known) = recorded(&shard, *number, label) else { continue };
            bodies.push(known.body);
            let record = record(&shard.slots[*number].key);
            self.mark_slot(&mut shard, *number, &record, &mark);
        }
        bodies
    }

    /// The bodies of those of `numbers` that have the label.
    pub(crate) fn bodies_of(&self, part: usize, numbers: &[u32], label: u64) -> Vec<BodyId> {
        let shard = self.parts[part].shard.read();
        numbers.iter().filter_map(|number| Some(recorded(&shard, *number, label)?.body)).collect()
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

/// The record of a number, if it has the label.
fn recorded<E, R>(shard: &Shard<E, R>, number: u32, label: u64) -> Option<Recorded> {
    let record = shard.slots.get(number)?.record()?;
    shard.labels.has(label, number).then_some(record)
}
