//! [`Flying`]: one claim under way and everybody who waits for its decision.
//!
//! Owned together by the claim, the index slot and the waiters. Invariant: decided once, by the claim.
//! Deliberately not here: entries and keys; the types are parameters so that loom can drive this alone.

use crate::sync::Mutex;
use crate::waiters::WaitList;

/// How a flight ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Landing<E, R> {
    Entry(E),
    Refused(R),
    Abandoned,
}

/// A claim under way.
pub(crate) struct Flying<E, R> {
    landing: Mutex<Option<Landing<E, R>>>,
    waiters: WaitList,
}

impl<E: Clone, R: Clone> Flying<E, R> {
    pub(crate) fn new() -> Self {
        Self { landing: Mutex::new(None), waiters: WaitList::default() }
    }

    /// Ends the flight and wakes everybody who waits for it.
    pub(crate) fn decide(&self, landing: Landing<E, R>) {
        let before = self.landing.lock().replace(landing);
        assert!(before.is_none(), "a flight is decided once");
        self.waiters.wake_all();
    }

    /// Waits for the decision.
    pub(crate) async fn decided(&self) -> Landing<E, R> {
        self.waiters.until(|| self.landing.lock().clone()).await
    }
}
