//! [`ManualClock`]: the time of day as the test says.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache::{Clock, Timestamp};

/// A clock that stands still until told. Share it in an `Arc` with the cache under test.
#[derive(Debug)]
pub struct ManualClock {
    milliseconds: AtomicU64,
}

impl ManualClock {
    /// A clock that shows 2026-01-01 00:00 UTC.
    pub fn new() -> Self {
        Self::at(Timestamp(1_767_225_600_000))
    }

    /// A clock that shows `moment`.
    pub const fn at(moment: Timestamp) -> Self {
        Self { milliseconds: AtomicU64::new(moment.0) }
    }

    /// Moves on by `span`.
    pub fn advance(&self, span: Duration) {
        self.set(self.now().after(span));
    }

    /// Jumps, backwards too.
    pub fn set(&self, moment: Timestamp) {
        self.milliseconds.store(moment.0, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.milliseconds.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_only_when_told() {
        let clock = ManualClock::at(Timestamp(5_000));
        assert_eq!(clock.now(), Timestamp(5_000));
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.now(), Timestamp(7_000));
        clock.set(Timestamp(1));
        assert_eq!(clock.now(), Timestamp(1));
    }
}
