//! [`Growth`]: how far a body is, and who waits for more of it.
//!
//! | from | to | by |
//! |---|---|---|
//! | `Filling` | `Filling` with more extents | [`commit`](Growth::commit) |
//! | `Filling` | `Whole` (all bytes are readable, the digest is not known yet) | [`whole`](Growth::whole) |
//! | `Filling`, `Whole` | `Complete` | [`complete`](Growth::complete) |
//! | `Filling`, `Whole` | `Failed` | [`fail`](Growth::fail) |
//!
//! `Complete` and `Failed` are final. Owned by a [`Body`](crate::Body); written by its fill and the disk jobs of that
//! fill, read by everybody. Invariants: extents only grow, and not after the end; `committed` is always the end of
//! the extent at 0; every change is visible before its waiters are woken, so no wake-up is lost.
//!
//! Deliberately not here: where the bytes are.

use std::ops::Range;

use crate::extents::Extents;
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::waiters::WaitList;
use crate::{Digest, Failure};

/// Stands for "not known yet" in [`Growth::length`]; no file can be that long.
const UNKNOWN: u64 = u64::MAX;

/// Where a body is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Filling,
    Whole(u64),
    Complete(u64, Digest),
    Failed(Failure),
}

/// How far a body is.
pub(crate) struct Growth {
    /// End of the extent at 0; read without the lock.
    committed: AtomicU64,
    /// The true length, from `Whole` on; read without the lock.
    length: AtomicU64,
    state: Mutex<State>,
    pub(crate) waiters: WaitList,
}

struct State {
    extents: Extents,
    phase: Phase,
}

impl Growth {
    pub(crate) fn new() -> Self {
        Self {
            committed: AtomicU64::new(0),
            length: AtomicU64::new(UNKNOWN),
            state: Mutex::new(State { extents: Extents::default(), phase: Phase::Filling }),
            waiters: WaitList::default(),
        }
    }

    /// A body that was complete in an earlier life.
    pub(crate) fn stored(length: u64, digest: Digest) -> Self {
        let mut extents = Extents::default();
        extents.insert(0..length);
        Self {
            committed: AtomicU64::new(length),
            length: AtomicU64::new(length),
            state: Mutex::new(State { extents, phase: Phase::Complete(length, digest) }),
            waiters: WaitList::default(),
        }
    }

    /// Bytes readable from the start without a gap.
    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// The true length, once it is known that no byte is missing.
    pub(crate) fn length(&self) -> Option<u64> {
        Some(self.length.load(Ordering::Acquire)).filter(|length| *length != UNKNOWN)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state.lock().phase.clone()
    }

    /// The parts of `range` that are not committed.
    pub(crate) fn gaps(&self, range: Range<u64>) -> Vec<Range<u64>> {
        self.state.lock().extents.gaps(range)
    }

    /// Publishes `range`, without a word to those who wait: see [`wake`](Self::wake). Says nothing new after the end.
    pub(crate) fn commit(&self, range: Range<u64>) {
        let mut state = self.state.lock();
        if state.phase == Phase::Filling {
            state.extents.insert(range);
            self.committed.store(state.extents.contiguous_end(0), Ordering::Release);
        }
    }

    /// Wakes everybody who waits for more.
    pub(crate) fn wake(&self) {
        self.waiters.wake_all();
    }

    /// No byte is missing and `length` is the true length. `false` when the body has ended before.
    pub(crate) fn whole(&self, length: u64) -> bool {
        let mut state = self.state.lock();
        if state.phase != Phase::Filling {
            return false;
        }
        assert_eq!(state.extents.contiguous_end(0), length, "a whole body has no gap");
        state.phase = Phase::Whole(length);
        self.length.store(length, Ordering::Release);
        drop(state);
        self.wake();
        true
    }

    /// The bytes are all there and this is their digest. `false` when the body has failed before.
    pub(crate) fn complete(&self, length: u64, digest: Digest) -> bool {
        self.whole(length);
        let mut state = self.state.lock();
        match state.phase {
            Phase::Whole(known) => assert_eq!(known, length, "a whole body keeps its length"),
            Phase::Complete(..) => unreachable!("a body completes once"),
            Phase::Filling | Phase::Failed(_) => return false,
        }
        state.phase = Phase::Complete(length, digest);
        drop(state);
        self.wake();
        true
    }

    /// Nothing more will come. `false` when the body has ended before.
    pub(crate) fn fail(&self, failure: Failure) -> bool {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Complete(..) | Phase::Failed(_)) {
            return false;
        }
        state.phase = Phase::Failed(failure);
        drop(state);
        self.wake();
        true
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::{Growth, Phase};
    use crate::{Digest, reasons};

    #[test]
    fn nothing_changes_after_the_end() {
        let failed = Growth::new();
        failed.commit(0..3);
        assert!(failed.fail(reasons::fill_abandoned()));
        failed.commit(3..5);
        assert!(
            !failed.whole(3)
                && !failed.complete(3, Digest::of(b"abc"))
                && !failed.fail(reasons::fill_abandoned())
        );
        assert_eq!((failed.committed(), failed.length()), (3, None));

        let complete = Growth::new();
        complete.commit(0..3);
        assert!(complete.whole(3) && complete.complete(3, Digest::of(b"abc")));
        assert!(!complete.fail(reasons::fill_abandoned()));
        assert_eq!(complete.phase(), Phase::Complete(3, Digest::of(b"abc")));
    }

    #[test]
    fn bytes_behind_a_gap_are_not_readable_yet() {
        let growth = Growth::new();
        growth.commit(5..8);
        assert_eq!(growth.committed(), 0);
        growth.commit(0..5);
        assert_eq!(growth.committed(), 8);
    }
}
