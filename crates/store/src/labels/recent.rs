//! [`Recent`]: the latest purges, for what was claimed before them and comes after them.
//!
//! A claim notes the [`Moment`] at which it was made. When it is published, the purges since then are asked whether they
//! cover the new entry. Bounded: what has been under way for more purges than are remembered counts as covered.
//!
//! Owns the list; one lock, held for a look.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::purge::Mode;
use crate::Contents;

/// Most purges that are remembered.
const MOST: usize = 4096;

/// Whether a purge covers an entry of this name with this head.
pub(crate) type Covers<C> = dyn Fn(&str, &<C as Contents>::Head) -> bool + Send + Sync;

/// How many purges there have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

/// The latest purges.
pub(crate) struct Recent<C: Contents> {
    count: AtomicU64,
    purges: Mutex<VecDeque<(Mode, Arc<Covers<C>>)>>,
}

impl<C: Contents> Default for Recent<C> {
    fn default() -> Self {
        Self { count: AtomicU64::new(0), purges: Mutex::default() }
    }
}

impl<C: Contents> Recent<C> {
    /// What is claimed now may rely on nothing that a later purge covers.
    pub(crate) fn now(&self) -> Moment {
        Moment(self.count.load(Ordering::SeqCst))
    }

    /// Notes a purge, before it looks at anything.
    pub(crate) fn note(&self, mode: Mode, covers: Arc<Covers<C>>) {
        let mut purges = self.purges.lock();
        if purges.len() == MOST {
            purges.pop_front();
        }
        purges.push_back((mode, covers));
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// What the purges since `moment` make of an entry that was published just now; the harder one counts.
    pub(crate) fn since(&self, moment: Moment, name: &str, head: &C::Head) -> Option<Mode> {
        if self.now() == moment {
            return None;
        }
        let purges = self.purges.lock();
        let missed = (self.now().0 - moment.0) as usize;
        if missed > purges.len() {
            return Some(Mode::Hard);
        }
        let covering = purges.iter().rev().take(missed).filter(|(_, covers)| covers(name, head));
        covering.map(|(mode, _)| *mode).max()
    }
}
