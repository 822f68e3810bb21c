//! [`Memo`]: from the bytes of a request target to what they mean, so that a repeated hit parses no URL. The same bytes
//! may mean different things in different [`Scope`]s: on different sites, for instance.
//!
//! State: sets of four slots, each behind a small lock of its own; readers of different sets never meet, and
//! readers of one set do not wait for each other. A full set replaces its slots in turn: forgetting costs one parse.
//! Invariants: a value is handed out only for exactly the bytes it was kept for; memory is bounded by the number of
//! slots and [`LONGEST_TARGET`]. Does not know what the values mean, nor that credentials must not come in here.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::RwLock;

/// Most bytes of a target that is kept; longer ones are parsed every time.
pub(crate) const LONGEST_TARGET: usize = 2048;

/// Slots of one set.
const WAYS: usize = 4;

/// Within what a target means something.
pub(crate) type Scope = u32;

pub(crate) struct Memo<V> {
    sets: Box<[RwLock<Set<V>>]>,
    /// Keyed by chance at start, so that nobody outside can aim for one set.
    hasher: RandomState,
}

struct Set<V> {
    slots: [Option<Slot<V>>; WAYS],
    /// The slot that is replaced next.
    next: usize,
}

struct Slot<V> {
    hash: u64,
    scope: Scope,
    target: Box<str>,
    value: Arc<V>,
}

impl<V> Memo<V> {
    /// Room for about `entries` values (rounded up to full sets); 0 remembers nothing.
    pub(crate) fn new(entries: usize) -> Self {
        let sets = entries.div_ceil(WAYS);
        let empty = || RwLock::new(Set { slots: [const { None }; WAYS], next: 0 });
        Self { sets: std::iter::repeat_with(empty).take(sets).collect(), hasher: RandomState::new() }
    }

    pub(crate) fn find(&self, scope: Scope, target: &str) -> Option<Arc<V>> {
        let hash = self.hasher.hash_one((scope, target));
        let set = self.set(hash)?.read();
        set.find(hash, scope, target).map(|slot| Arc::clone(&slot.value))
    }

    pub(crate) fn keep(&self, scope: Scope, target: &str, value: &Arc<V>) {
        if target.len() > LONGEST_TARGET {
            return;
        }
        let hash = self.hasher.hash_one((scope, target));
        let Some(set) = self.set(hash) else { return };
        let mut set = set.write();
        if set.find(hash, scope, target).is_some() {
            return;
        }
        let place = set.next;
        set.slots[place] = Some(Slot { hash, scope, target: target.into(), value: Arc::clone(value) });
        set.next = (place + 1) % WAYS;
    }

    fn set(&self, hash: u64) -> Option<&RwLock<Set<V>>> {
        // The upper half picks the set; a multiplication spreads it over any number of sets.
        let place = ((hash >> 32) * self.sets.len() as u64) >> 32;
        self.sets.get(usize::try_from(place).ok()?)
    }
}

impl<V> Set<V> {
    fn find(&self, hash: u64, scope: Scope, target: &str) -> Option<&Slot<V>> {
        let is_it = |slot: &&Slot<V>| slot.hash == hash && slot.scope == scope && *slot.target == *target;
        self.slots.iter().flatten().find(is_it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_for_its_own_bytes_only() {
        let memo = Memo::new(64);
        memo.keep(0, "/a?url=x", &Arc::new(1));
        memo.keep(0, "/a?url=y", &Arc::new(2));
        assert_eq!(memo.find(0, "/a?url=x").as_deref(), Some(&1));
        assert_eq!(memo.find(0, "/a?url=y").as_deref(), Some(&2));
        assert_eq!(memo.find(0, "/a?url=X"), None);
        assert_eq!(memo.find(0, "/a?url=x "), None);
    }

    #[test]
    fn a_value_comes_back_in_its_own_scope_only() {
        let memo = Memo::new(64);
        memo.keep(1, "/a", &Arc::new(1));
        memo.keep(2, "/a", &Arc::new(2));
        assert_eq!(memo.find(1, "/a").as_deref(), Some(&1));
        assert_eq!(memo.find(2, "/a").as_deref(), Some(&2));
        assert_eq!(memo.find(3, "/a"), None);
    }

    #[test]
    fn it_never_holds_more_than_its_slots() {
        let memo = Memo::new(8);
        let values: Vec<_> = (0..1000).map(Arc::new).collect();
        for value in &values {
            memo.keep(0, &format!("/{value}"), value);
        }
        let held = values.iter().filter(|value| Arc::strong_count(value) > 1).count();
        assert!((4..=8).contains(&held), "{held}");
        // The newest of a set is never the one that goes.
        assert_eq!(memo.find(0, "/999").as_deref(), Some(&999));
    }

    #[test]
    fn keeping_twice_takes_one_slot() {
        let memo = Memo::new(4);
        let first = Arc::new(0);
        memo.keep(0, "/first", &first);
        for _ in 0..10 {
            memo.keep(0, "/second", &Arc::new(1));
        }
        assert!(memo.find(0, "/first").is_some());
    }

    #[test]
    fn long_targets_and_a_memo_of_nothing_remember_nothing() {
        let memo = Memo::new(64);
        let long = "/".repeat(LONGEST_TARGET + 1);
        memo.keep(0, &long, &Arc::new(1));
        assert_eq!(memo.find(0, &long), None);
        let memo = Memo::new(0);
        memo.keep(0, "/a", &Arc::new(1));
        assert_eq!(memo.find(0, "/a"), None);
    }
}
