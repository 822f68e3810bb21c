//! [`Alarm`]: wakes a thread that sleeps until something is to be done.
//!
//! Owned by whoever has work for the thread; ringing is cheap and never waits. Invariant: a ring before the sleep is not
//! lost.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Wakes a thread.
#[derive(Default)]
pub(crate) struct Alarm {
    rang: Mutex<bool>,
    changed: Condvar,
}

impl Alarm {
    pub(crate) fn ring(&self) {
        let mut rang = self.rang.lock();
        if !*rang {
            *rang = true;
            self.changed.notify_all();
        }
    }

    /// Sleeps until the next ring, `longest` at most.
    pub(crate) fn sleep(&self, longest: Duration) {
        let mut rang = self.rang.lock();
        if !*rang {
            self.changed.wait_for(&mut rang, longest);
        }
        *rang = false;
    }
}
