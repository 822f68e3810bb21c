//! [`Growth`]: how far a body is, and who waits for more of it.
//!
//! | from | to | by |
//! |---|---|---|
//! | `Filling` | `Filling` with more extents | [`commit`](Growth::commit), [`commit_piece`](Growth::commit_piece) |
//! | `Filling` | `Whole` (all bytes are readable, the digest is not known yet) | [`whole`](Growth::whole) |
//! | `Filling`, `Whole` | `Complete` | [`complete`](Growth::complete) |
//! | `Filling`, `Whole` | `Failed` | [`fail`](Growth::fail) |
//!
//! A body that grows *in pieces* has claims besides extents. Of every byte that it has while `Filling`:
//!
//! | from | to | by |
//! |---|---|---|
//! | missing | claimed | [`claim`](Growth::claim) |
//! | claimed | committed | [`commit_piece`](Growth::commit_piece) |
//! | claimed | missing | [`release`](Growth::release) |
//! | claimed | withheld: written, but the last to come while a digest is promised | [`commit_piece`](Growth::commit_piece) |
//! | withheld | committed | [`commit`](Growth::commit), when the digest is the promised one |
//!
//! `Complete` and `Failed` are final. Owned by a [`Body`](crate::Body); written by its fill and the disk jobs of that
//! fill, read by everybody. Invariants: extents only grow, and not after the end; `committed` is always the end of
//! the extent at 0; every change is visible before its waiters are woken, so no wake-up is lost; a byte is claimed by one
//! at a time, and not after it is committed; one commit closes the last hole.
//!
//! Deliberately not here: where the bytes are.

mod claims;

use std::ops::Range;

use self::claims::Claims;
use crate::extents::Extents;
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::waiters::WaitList;
use crate::{Digest, Failure};

/// Stands for "not known yet" in [`Growth::length`]; no file can be that long.
const UNKNOWN: u64 = u64::MAX;

/// Most pieces of one body that are claimed at a time.
pub(crate) const MOST_CLAIMS: usize = 256;
/// Most extents of a body in pieces: so many that its record stays well below what a record may have.
pub(crate) const MOST_EXTENTS: usize = 16 << 10;

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
    order: Order,
    state: Mutex<State>,
    pub(crate) waiters: WaitList,
}

/// In which order a body grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// From the start on, by one fill.
    Straight,
    /// Wherever somebody has a claim. Without the total length nothing is claimed.
    Pieces(Option<u64>),
}

struct State {
    extents: Extents,
    /// Bytes in `extents`, of a body in pieces.
    bytes: u64,
    claims: Claims,
    /// Written but not committed before the digest is known to be the promised one.
    withheld: Option<Range<u64>>,
    promised: Option<Digest>,
    phase: Phase,
}

/// What of a range can be read, or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranged {
    /// All of it can be read.
    Committed,
    /// This gap, the first such one, is missing and nobody fills it.
    Unclaimed(Range<u64>),
    /// Something is missing and will not come.
    Failed(Failure),
}

/// Whether a commit was the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Bytes are still missing.
    NotYet,
    /// No byte is missing any more: the caller sees to it that the body is hashed.
    Now,
}

impl State {
    fn new(extents: Extents, phase: Phase) -> Self {
        let bytes = extents.total();
        Self { extents, bytes, claims: Claims::default(), withheld: None, promised: None, phase }
    }
}

impl Growth {
    pub(crate) fn new() -> Self {
        Self {
            committed: AtomicU64::new(0),
            length: AtomicU64::new(UNKNOWN),
            order: Order::Straight,
            state: Mutex::new(State::new(Extents::default(), Phase::Filling)),
            waiters: WaitList::default(),
        }
    }

    /// A body of `total` bytes that grows in pieces and has some of them.
    pub(crate) fn in_pieces(total: Option<u64>, extents: Extents) -> Self {
        let (bytes, first) = (extents.total(), extents.contiguous_end(0));
        let whole = total.filter(|total| *total == bytes);
        Self {
            committed: AtomicU64::new(first),
            length: AtomicU64::new(whole.unwrap_or(UNKNOWN)),
            order: Order::Pieces(total),
            state: Mutex::new(State::new(extents, whole.map_or(Phase::Filling, Phase::Whole))),
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
            order: Order::Straight,
            state: Mutex::new(State::new(extents, Phase::Complete(length, digest))),
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

    pub(crate) fn extents(&self) -> Extents {
        self.state.lock().extents.clone()
    }

    /// Whether the body grows, or has grown, in pieces.
    pub(crate) fn is_in_pieces(&self) -> bool {
        self.order != Order::Straight
    }

    /// Whether bytes of a body in pieces are missing.
    pub(crate) fn is_partial(&self) -> bool {
        // A body that has become whole is looked at without the lock.
        self.is_in_pieces() && self.length().is_none() && self.state.lock().phase == Phase::Filling
    }

    /// Whether somebody has claimed a piece.
    pub(crate) fn has_claims(&self) -> bool {
        self.is_in_pieces() && self.state.lock().claims.len() > 0
    }

    /// Where the readable bytes that begin at `offset` end.
    pub(crate) fn readable(&self, offset: u64) -> u64 {
        let committed = self.committed();
        if offset < committed || !self.is_in_pieces() {
            return committed;
        }
        self.state.lock().extents.contiguous_end(offset)
    }

    /// Claims what of `range`, widened to multiples of `size`, is neither committed nor claimed, cut at those multiples: in
    /// order, at most `most` pieces.
    pub(crate) fn claim(&self, range: Range<u64>, size: u64, most: usize) -> Vec<Range<u64>> {
        let Order::Pieces(Some(total)) = self.order else { return Vec::new() };
        let start = range.start / size * size;
        let end = range.end.min(total).div_ceil(size).saturating_mul(size).min(total);
        let mut state = self.state.lock();
        if state.phase != Phase::Filling || range.is_empty() || range.start >= total {
            return Vec::new();
        }
        let room = MOST_CLAIMS.saturating_sub(state.claims.len());
        // Each claim may become an extent of its own.
        let apart = MOST_EXTENTS.saturating_sub(state.extents.ranges().len() + state.claims.len());
        let most = most.min(room).min(apart);
        let gaps = state.extents.gaps(start..end);
        let free = gaps.into_iter().flat_map(|gap| state.claims.free(gap));
        let pieces: Vec<_> = free.flat_map(|free| cut(free, size)).take(most).collect();
        pieces.iter().for_each(|piece| state.claims.insert(piece.clone()));
        pieces
    }

    /// Ends the claim of a piece; what of it is not committed can be claimed again. Wakes everybody who waits.
    pub(crate) fn release(&self, piece: &Range<u64>) {
        let mut state = self.state.lock();
        state.claims.remove(piece);
        let withheld = state.withheld.clone().filter(|withheld| piece.contains(&withheld.start));
        if let Some(withheld) = withheld {
            // Nobody else is to write what only waits for its digest.
            state.claims.insert(withheld);
        }
        drop(state);
        self.wake();
    }

    /// Publishes a range of a claimed piece, unless it is the last and a digest is promised. Wakes nobody yet.
    pub(crate) fn commit_piece(&self, range: Range<u64>) -> Closed {
        let mut state = self.state.lock();
        if state.phase != Phase::Filling || range.is_empty() {
            return Closed::NotYet;
        }
        let bytes = state.bytes + (range.end - range.start);
        let total = match self.order {
            Order::Pieces(Some(total)) if total == bytes => total,
            _ => {
                self.extend(&mut state, range);
                return Closed::NotYet;
            }
        };
        if state.promised.is_some() {
            state.withheld = Some(range);
            return Closed::Now;
        }
        self.extend(&mut state, range);
        state.phase = Phase::Whole(total);
        self.length.store(total, Ordering::Release);
        Closed::Now
    }

    fn extend(&self, state: &mut State, range: Range<u64>) {
        state.bytes += range.end - range.start;
        state.extents.insert(range);
        self.committed.store(state.extents.contiguous_end(0), Ordering::Release);
    }

    /// From now on the whole must have this digest; `false` when it is too late, or it must have another.
    pub(crate) fn promise(&self, digest: Digest) -> bool {
        let mut state = self.state.lock();
        if state.phase != Phase::Filling || state.withheld.is_some() {
            return false;
        }
        *state.promised.get_or_insert(digest) == digest
    }

    pub(crate) fn promised(&self) -> Option<Digest> {
        self.state.lock().promised
    }

    /// What there is to say about a range; `None`: all that is missing is being written.
    pub(crate) fn look(&self, range: Range<u64>) -> Option<Ranged> {
        let state = self.state.lock();
        if let Phase::Whole(_) | Phase::Complete(..) = state.phase {
            return Some(Ranged::Committed);
        }
        let end = match self.order {
            Order::Pieces(Some(total)) => range.end.min(total),
            _ => range.end,
        };
        let gaps = state.extents.gaps(range.start..end);
        if gaps.is_empty() {
            return Some(Ranged::Committed);
        }
        if let Phase::Failed(failure) = &state.phase {
            return Some(Ranged::Failed(failure.clone()));
        }
        if self.order == Order::Straight {
            return None;
        }
        let free = gaps.into_iter().find_map(|gap| state.claims.free(gap).into_iter().next());
        free.map(Ranged::Unclaimed)
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

/// Cuts a range at the multiples of `size`.
fn cut(range: Range<u64>, size: u64) -> impl Iterator<Item = Range<u64>> {
    let next = move |at: u64| (at / size + 1).saturating_mul(size).min(range.end);
    let first = Some(range.start).filter(|start| *start < range.end);
    std::iter::successors(first, move |at| Some(next(*at)).filter(|at| *at < range.end))
        .map(move |at| at..next(at))
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
