//! [`Requests`]: finished requests by door, outcome and reason, counted without a lock.
//!
//! The registry's family looks label sets up under a lock. Here the few sets that exist (all labels are constants of
//! the program, so hostile clients cannot add any: 4c 84) resolve to their counter through a table that is only
//! ever added to. A table that is full falls back to the family.

use std::sync::OnceLock;

use cache::Outcome;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// Several times the label sets that exist.
const SLOTS: usize = 512;

/// How far a set may stand from its place before the family is asked instead.
const PROBES: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Labels {
    door: &'static str,
    outcome: &'static str,
    reason: &'static str,
}

/// Finished requests.
#[derive(Debug)]
pub(super) struct Requests {
    family: Family<Labels, Counter>,
    slots: Box<[OnceLock<Slot>]>,
}

/// A label set and its counter.
#[derive(Debug)]
struct Slot {
    labels: Known,
    counter: Counter,
}

/// A label set known by the addresses of its constants. Constants with equal text at two addresses have two slots and
/// share the counter.
#[derive(Clone, Copy, Debug)]
struct Known {
    door: &'static str,
    outcome: Option<Outcome>,
    reason: &'static str,
}

impl Default for Requests {
    fn default() -> Self {
        Self { family: Family::default(), slots: (0..SLOTS).map(|_| OnceLock::new()).collect() }
    }
}

impl Requests {
    pub(super) fn family(&self) -> Family<Labels, Counter> {
        self.family.clone()
    }

    pub(super) fn count(&self, door: &'static str, outcome: Option<Outcome>, reason: &'static str) {
        let known = Known { door, outcome, reason };
        let first = known.hash();
        for probe in 0..PROBES {
            let slot = self.slots[(first + probe) % SLOTS]
                .get_or_init(|| Slot { labels: known, counter: self.counter(known) });
            if slot.labels.is(known) {
                slot.counter.inc();
                return;
            }
        }
        self.counter(known).inc();
    }

    /// Requests that `door` has finished, of the sets in the table.
    pub(super) fn count_of(&self, door: &str) -> u64 {
        let slots = self.slots.iter().filter_map(OnceLock::get);
        slots.filter(|slot| slot.labels.door == door).map(|slot| slot.counter.get()).sum()
    }

    fn counter(&self, known: Known) -> Counter {
        let outcome = known.outcome.map_or("none", Outcome::as_str);
        self.family.get_or_create(&Labels { door: known.door, outcome, reason: known.reason }).clone()
    }
}

impl Known {
    fn is(self, other: Self) -> bool {
        std::ptr::eq(self.door, other.door)
            && std::ptr::eq(self.reason, other.reason)
            && self.outcome == other.outcome
    }

    fn hash(self) -> usize {
        let outcome = self.outcome.map_or(0, |outcome| outcome as usize + 1);
        let mixed = self.door.as_ptr().addr() ^ self.reason.as_ptr().addr().rotate_left(17) ^ outcome;
        mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (usize::BITS - 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_still_counts_every_set() {
        let requests = Requests::default();
        // Slices of one text: equal length, different addresses, more than the table holds.
        let text: &'static str = Box::leak("x".repeat(2 * SLOTS).into_boxed_str());
        for start in 0..2 * SLOTS {
            requests.count("fetch", None, &text[start..]);
            requests.count("fetch", None, &text[start..]);
        }
        for start in 0..2 * SLOTS {
            let labels = Labels { door: "fetch", outcome: "none", reason: &text[start..] };
            assert_eq!(requests.family.get_or_create(&labels).get(), 2);
        }
    }
}
