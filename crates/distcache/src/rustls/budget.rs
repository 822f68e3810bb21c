//! How long a thread may wait for sessions: so much in every window of 100 ms, whatever it is asked.

use std::cell::Cell;
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_millis(100);

thread_local! {
    /// When the window of this thread began, and how much of it was spent waiting. One for all stores: it is the
    /// thread that is scarce.
    static WAITED: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
}

/// The share of a window that waiting may take.
pub(super) struct Budget(Duration);

impl Budget {
    pub(super) fn new(share: Duration) -> Self {
        Self(share)
    }

    /// How long the current thread may still wait.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.0.saturating_sub(spent(now).1)
    }

    /// The current thread has waited so long, from this moment on.
    pub(super) fn spend(&self, begun: Instant, waited: Duration) {
        let (window, spent) = spent(begun);
        WAITED.set(Some((window, spent + waited)));
    }
}

fn spent(now: Instant) -> (Instant, Duration) {
    match WAITED.get() {
        Some((window, spent)) if now.saturating_duration_since(window) < WINDOW => (window, spent),
        _ => (now, Duration::ZERO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_waits_for_so_long_in_a_window_and_another_thread_has_its_own() {
        let milliseconds = Duration::from_millis;
        let (budget, now) = (Budget::new(milliseconds(20)), Instant::now());
        assert_eq!(budget.left(now), milliseconds(20));
        budget.spend(now, milliseconds(15));
        assert_eq!(budget.left(now + milliseconds(15)), milliseconds(5));
        budget.spend(now + milliseconds(50), milliseconds(30));
        assert_eq!(budget.left(now + milliseconds(99)), Duration::ZERO);
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!(budget.left(now), milliseconds(20)));
        });
        assert_eq!(budget.left(now + milliseconds(100)), milliseconds(20));
    }
}
