//! [`next`]: what a reader can do, given how far its body is.
//!
//! A function of [`Growth`] alone, so that loom can try it against a fill. Invariants: nothing is taken before it is
//! committed, or verified where a digest is expected; a clean end needs the whole range or the body's true end; a
//! failure comes after all that was committed.

use std::ops::Range;

use super::LAST_BLOCK;
use crate::growth::{Growth, Phase};
use crate::{Digest, Failure, reasons};

/// What a reader can do next.
pub(crate) enum Next {
    /// Bytes are committed up to this offset.
    Take(u64),
    End,
    Fail(Failure),
}

fn is_behind(growth: &Growth, declared: Option<u64>, position: u64) -> bool {
    growth.is_in_pieces() && declared.is_some_and(|declared| position >= declared)
}

/// What a reader that still wants `range` can do now; `None`: wait.
pub(crate) fn next(
    growth: &Growth,
    declared: Option<u64>,
    range: Range<u64>,
    expected: Option<&Digest>,
) -> Option<Next> {
    let Range { start: position, end } = range;
    if range.is_empty() {
        return Some(Next::End);
    }
    let readable = growth.readable(position);
    if expected.is_none() && position < readable {
        return Some(Next::Take(readable.min(end)));
    }
    // After the phase, nothing can be missed: an ended body commits no more.
    let phase = growth.phase();
    let committed = growth.readable(position);
    let released = match (expected, &phase) {
        (None, _) => committed,
        (Some(expected), Phase::Complete(_, digest)) if expected == digest => committed,
        (Some(expected), Phase::Complete(_, digest)) => {
            return Some(Next::Fail(reasons::digest_mismatch(expected, digest)));
        }
        (Some(_), _) => {
            let length = declared.or_else(|| growth.length()).unwrap_or(committed);
            // Also of a part the last block is held back, or who asks for parts would never hear of a mismatch.
            committed.min(length.min(end).saturating_sub(LAST_BLOCK))
        }
    };
    if position < released {
        return Some(Next::Take(released.min(end)));
    }
    match phase {
        // The rest of a body with holes has been read, and its beginning may still be missing.
        Phase::Filling if expected.is_none() && is_behind(growth, declared, position) => Some(Next::End),
        Phase::Complete(..) => Some(Next::End),
        Phase::Whole(_) if expected.is_none() => Some(Next::End),
        Phase::Filling | Phase::Whole(_) => None,
        Phase::Failed(failure) => Some(Next::Fail(failure)),
    }
}
