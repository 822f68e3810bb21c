//! [`Live`]: the fills that run now, and the switch that stops them.

use std::time::Duration;

use tokio::sync::watch;

use super::draining;
use crate::Error;

/// How long stopped fills may take to say so to their followers.
const FAREWELL: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// No new fills.
    Draining,
    /// No fills at all.
    Stopped,
}

pub(crate) struct Live {
    phase: watch::Sender<Phase>,
    count: watch::Sender<usize>,
}

/// One running fill.
pub(crate) struct LiveFill {
    phase: watch::Receiver<Phase>,
    count: watch::Sender<usize>,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Open), count: watch::Sender::new(0) }
    }

    /// Registers a fill, or refuses it when the server drains. Counted before the phase is read, so that a
    /// drain either sees the fill or is seen by it.
    pub(crate) fn enter(&self) -> Option<LiveFill> {
        self.count.send_modify(|count| *count += 1);
        let fill = LiveFill { phase: self.phase.subscribe(), count: self.count.clone() };
        let open = *fill.phase.borrow() == Phase::Open;
        open.then_some(fill)
    }

    pub(crate) async fn drain(&self, grace: Duration) {
        self.phase.send_replace(Phase::Draining);
        if tokio::time::timeout(grace, self.emptied()).await.is_ok() {
            return;
        }
        self.phase.send_replace(Phase::Stopped);
        if tokio::time::timeout(FAREWELL, self.emptied()).await.is_err() {
            tracing::warn!(fills = *self.count.borrow(), "fills still end after the grace period");
        }
    }

    pub(crate) async fn emptied(&self) {
        // The sender lives in `self`: waiting cannot fail.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl LiveFill {
    /// What `work` comes to, unless fills must stop before.
    pub(crate) async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            result = work => result,
            () = self.stopped() => Err(draining()),
        }
    }

    /// Resolves when fills must stop.
    pub(crate) async fn stopped(&self) {
        // Without a sender the cache is gone, and with it everybody who could follow.
        let _ = self.phase.clone().wait_for(|phase| *phase == Phase::Stopped).await;
    }
}

impl Drop for LiveFill {
    fn drop(&mut self) {
        self.count.send_modify(|count| *count -= 1);
    }
}
