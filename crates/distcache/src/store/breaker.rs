//! Keeps callers from waiting for a store that is down.
//!
//! | phase | who gets through | ends |
//! |---|---|---|
//! | closed | everyone | open, after [`BreakerSettings::failures`] failures in a row |
//! | open | nobody | probing, with the first caller after the pause |
//! | probing | that one caller | closed when it succeeds; open when it fails, with a pause twice as long |
//!
//! Whoever gets through holds a [`Permit`] and gives a verdict with it. Verdicts that belong to a phase that is over
//! count for nothing, so a late failure cannot close out a store that has come back. Deliberately has no timer and no
//! task: it acts when somebody calls. It is also what spaces attempts to reconnect: there is none without a caller.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::metrics::Counter;

/// When to give a store up, and when to try it again.
#[derive(Clone, Debug)]
pub struct BreakerSettings {
    /// Failures in a row until nobody gets through any more, at least 1. Default 5.
    pub failures: u32,
    /// Time until one caller tries again. Default 100 ms.
    pub pause: Duration,
    /// What the pause grows to, doubling with every try that fails. Default 5 s.
    pub longest: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: 5, pause: Duration::from_millis(100), longest: Duration::from_secs(5) }
    }
}

/// See the module. Shared by reference; every call takes a lock for nanoseconds.
pub struct Breaker {
    settings: BreakerSettings,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    opened: Counter,
    refused: Counter,
}

struct State {
    phase: Phase,
    /// Grows with every change of phase; a verdict of another epoch is void.
    epoch: u64,
    /// In a row.
    failures: u32,
    /// The next one, in milliseconds.
    pause: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { until: u64 },
    Probing,
}

/// Leave to ask the store. Dropped without a verdict it counts as neither, and the next caller may probe.
pub struct Permit {
    breaker: Arc<Breaker>,
    epoch: u64,
    settled: bool,
}

impl Breaker {
    /// Closed.
    #[must_use]
    pub fn new(settings: BreakerSettings, clock: Arc<dyn Clock>) -> Arc<Self> {
        let state = State { phase: Phase::Closed, epoch: 0, failures: 0, pause: first_pause(&settings) };
        let (opened, refused) = Default::default();
        Arc::new(Self { settings, clock, state: Mutex::new(state), opened, refused })
    }

    /// Leave to ask the store; `None`: it is down, do not wait for it.
    #[must_use]
    pub fn admit(self: &Arc<Self>) -> Option<Permit> {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Closed => {}
            Phase::Open { until } if self.clock.now_ms() >= until => state.enter(Phase::Probing),
            Phase::Open { .. } | Phase::Probing => {
                self.refused.up();
                return None;
            }
        }
        Some(Permit { breaker: Arc::clone(self), epoch: state.epoch, settled: false })
    }

    /// Whether everyone gets through.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.lock().phase == Phase::Closed
    }

    /// How often it opened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened.get()
    }

    /// Callers that did not get through.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.get()
    }

    fn open(&self, state: &mut State) {
        let until = self.clock.now_ms() + state.pause;
        state.pause = (2 * state.pause).min(milliseconds(self.settings.longest)).max(1);
        state.enter(Phase::Open { until });
        self.opened.up();
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
        self.failures = 0;
    }
}

impl Permit {
    /// The store answered, whatever it said.
    pub fn succeeded(mut self) {
        self.settled = true;
        let mut state = self.breaker.state.lock();
        if state.epoch != self.epoch {
            return;
        }
        state.failures = 0;
        if state.phase == Phase::Probing {
            state.pause = first_pause(&self.breaker.settings);
            state.enter(Phase::Closed);
        }
    }

    /// The store did not answer, or cannot do its work.
    pub fn failed(mut self) {
        self.settled = true;
        let mut state = self.breaker.state.lock();
        if state.epoch != self.epoch {
            return;
        }
        state.failures += 1;
        if state.phase == Phase::Probing || state.failures >= self.breaker.settings.failures {
            self.breaker.open(&mut state);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.breaker.state.lock();
        if !self.settled && state.epoch == self.epoch && state.phase == Phase::Probing {
            let until = self.breaker.clock.now_ms();
            state.enter(Phase::Open { until });
        }
    }
}

fn first_pause(settings: &BreakerSettings) -> u64 {
    milliseconds(settings.pause.min(settings.longest)).max(1)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 4)
}
