//! [`GivenUp`]: names in `bodies/` that were given up although a record on the disk may still have them.
//!
//! A power cut brings such a record back, and with it the trust in its body. So whoever takes the name again has to make
//! the new file durable first. Owned by [`Bodies`](super::Bodies), told by the keeper of its rounds. Invariant: a name
//! whose removal is not on the disk is known here. Names share places: one too many costs a sync.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Digest;

/// Places; a power of two. 8 bytes each.
const PLACES: usize = 8192;

/// Names that were given up although a record on the disk may still have them.
pub(crate) struct GivenUp {
    /// The newest round in which a name of that place was given up.
    places: Box<[AtomicU64]>,
    /// The round that will write what is recorded now.
    round: AtomicU64,
    /// The newest round that has written everything.
    done: AtomicU64,
}

impl GivenUp {
    pub(super) fn new() -> Self {
        let places = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Self { places, round: AtomicU64::new(1), done: AtomicU64::new(0) }
    }

    /// The name is given up; that is recorded already.
    pub(super) fn note(&self, digest: &Digest) {
        self.place(digest).store(self.round.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Whether a record on the disk may still have the name.
    pub(super) fn is_recorded(&self, digest: &Digest) -> bool {
        self.place(digest).load(Ordering::SeqCst) > self.done.load(Ordering::SeqCst)
    }

    /// A round begins, before it looks what is to be written.
    pub(crate) fn begin_round(&self) -> u64 {
        self.round.fetch_add(1, Ordering::SeqCst)
    }

    /// The round has written everything.
    pub(crate) fn end_round(&self, round: u64) {
        self.done.fetch_max(round, Ordering::SeqCst);
    }

    fn place(&self, digest: &Digest) -> &AtomicU64 {
        &self.places[super::hash(digest) as usize % PLACES]
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::GivenUp;
    use crate::Digest;

    #[test]
    fn a_name_is_known_until_a_round_that_began_later_has_written_everything() {
        let (given_up, digest) = (GivenUp::new(), Digest::of(b"body"));
        assert!(!given_up.is_recorded(&digest));
        let under_way = given_up.begin_round();
        given_up.note(&digest);
        given_up.end_round(under_way);
        assert!(given_up.is_recorded(&digest), "that round may have passed the record");
        let failed = given_up.begin_round();
        let next = given_up.begin_round();
        assert!(given_up.is_recorded(&digest), "round {failed} has not ended");
        given_up.end_round(next);
        assert!(!given_up.is_recorded(&digest));
    }
}
