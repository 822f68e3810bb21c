//! [`Gate`]: holds a script until the test lets it go.

use std::sync::Arc;

use tokio::sync::watch;

use crate::guarded;

/// A shared gate, closed at first. A script waits at it; the test learns that somebody waits, and opens it.
#[derive(Clone, Debug)]
pub struct Gate {
    state: Arc<watch::Sender<State>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    arrived: usize,
    open: bool,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self { state: Arc::new(watch::Sender::new(State::default())) }
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        self.state.send_modify(|state| state.open = true);
    }

    /// Waits until `n` scripts have come to the gate (those let through count).
    pub async fn reached(&self, n: usize) {
        let mut changes = self.state.subscribe();
        let arrived = changes.wait_for(|state| state.arrived >= n);
        guarded("a script to reach the gate", arrived).await.expect("the gate keeps its own sender");
    }

    /// Comes to the gate and waits, without limit, until it is open.
    pub async fn pass(&self) {
        self.state.send_modify(|state| state.arrived += 1);
        let mut changes = self.state.subscribe();
        changes.wait_for(|state| state.open).await.expect("the gate keeps its own sender");
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
