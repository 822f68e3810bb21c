//! [`Leaving`]: entries that have left the index, and what must still be done about them on the disk.
//!
//! One disk job at a time works them off, [`TURN`] and then the others' jobs, so that nobody who waits for bytes is behind
//! a million deletions. Whoever takes an entry out hands it over here. Invariants: what is handed over is seen to, once;
//! while something waits, a job is under way. Bounded by the index: an entry's number is free again only after that.
//!
//! Deliberately not here: what is done ([`recording`](crate::recording)).

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::index::Erased;
use crate::shared::Settling;
use crate::store::Inner;
use crate::{Contents, Entry};

/// Entries seen to before others have their turn.
const TURN: usize = 64;

/// Entries that have left the index.
pub(crate) struct Leaving<C: Contents>(Mutex<Waiting<C>>);

struct Waiting<C: Contents> {
    left: VecDeque<Left<C>>,
    /// Whether a job is under way.
    has_job: bool,
}

/// What an entry has left behind; the entry itself, if it was warm, because its end is work as well.
type Left<C> = (Erased, Option<Arc<Entry<C>>>);

impl<C: Contents> Default for Leaving<C> {
    fn default() -> Self {
        Self(Mutex::new(Waiting { left: VecDeque::new(), has_job: false }))
    }
}

impl<C: Contents> Leaving<C> {
    /// Adds one; `true` when that needs a job.
    fn add(&self, left: Left<C>) -> bool {
        let mut waiting = self.0.lock();
        waiting.left.push_back(left);
        !std::mem::replace(&mut waiting.has_job, true)
    }

    fn next(&self) -> Option<Left<C>> {
        self.0.lock().left.pop_front()
    }

    /// The job ends; `false` when there is more to do.
    fn ends(&self) -> bool {
        let mut waiting = self.0.lock();
        if waiting.left.is_empty() {
            // After a million of them it would be large for ever.
            *waiting = Waiting { left: VecDeque::new(), has_job: false };
        }
        !waiting.has_job
    }
}

impl<C: Contents> Inner<C> {
    /// Leaves it to the disk threads to see to what an entry has left behind.
    pub(crate) fn see_off(self: &Arc<Self>, erased: Erased, entry: Option<Arc<Entry<C>>>) {
        if self.leaving.add((erased, entry)) {
            Turn { settling: Some(self.shared.settling()), inner: self.clone() }.begin();
        }
    }
}

/// A turn of the job. Also one that panics is followed by the next.
struct Turn<C: Contents> {
    /// Goes before the store, whose end waits for it.
    settling: Option<Settling>,
    inner: Arc<Inner<C>>,
}

impl<C: Contents> Turn<C> {
    fn begin(self) {
        let inner = self.inner.clone();
        inner.shared.pool.push(move || self.run());
    }

    fn run(self) {
        for _ in 0..TURN {
            let Some((erased, entry)) = self.inner.leaving.next() else { return };
            // The entry first: while it holds the body, the file stays, and when the store ends nobody comes back to it.
            drop(entry);
            self.inner.settle_erased(erased);
        }
    }
}

impl<C: Contents> Drop for Turn<C> {
    fn drop(&mut self) {
        if !self.inner.leaving.ends() {
            Turn { settling: self.settling.take(), inner: self.inner.clone() }.begin();
        }
    }
}
