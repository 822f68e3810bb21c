//! [`Drain`]: how connections learn that the server wants to end.

use tokio::sync::watch;

/// Begins a drain; the server's one switch. Dropping it begins the drain too.
#[derive(Debug)]
pub struct Drainer(watch::Sender<Phase>);

/// Tells that a drain has begun; clones all learn it.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<Phase>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    Draining,
}

/// A switch and what listens to it.
pub fn drain() -> (Drainer, Drain) {
    let (sender, receiver) = watch::channel(Phase::Serving);
    (Drainer(sender), Drain(receiver))
}

impl Drainer {
    /// Stops accepting; connections end after their current response.
    pub fn begin(&self) {
        self.0.send_replace(Phase::Draining);
    }
}

impl Drain {
    /// Whether the drain has begun.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow() == Phase::Draining || self.0.has_changed().is_err()
    }

    /// Resolves once the drain has begun.
    pub async fn begun(&mut self) {
        // An error means that the switch is gone, which counts as begun.
        let _ = self.0.wait_for(|phase| *phase == Phase::Draining).await;
    }
}
