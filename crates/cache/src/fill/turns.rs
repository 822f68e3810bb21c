//! [`Turns`]: so many at once, so many waiting, and nobody for long.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::Counted;
use crate::{Error, Kind};

/// The right to exchange bytes with origins, for one kind of work.
pub(crate) struct Turns {
    permits: Arc<Semaphore>,
    limits: Limits,
    waiting: Gauge,
}

/// What bounds one kind of work.
pub(crate) struct Limits {
    /// Most at once.
    pub(crate) most: usize,
    /// Most that wait; more are refused at once.
    pub(crate) most_waiting: usize,
    /// How long one waits.
    pub(crate) wait: Duration,
    /// The configuration key of `most`.
    pub(crate) key: &'static str,
}

/// One of those at once.
pub(crate) type Turn = OwnedSemaphorePermit;

impl Turns {
    /// `waiting` shows how many wait.
    pub(crate) fn new(limits: Limits, waiting: Gauge) -> Self {
        let permits = Arc::new(Semaphore::new(limits.most.min(Semaphore::MAX_PERMITS)));
        Self { permits, limits, waiting }
    }

    /// Waits, within limits, for a turn.
    pub(crate) async fn take(&self) -> Result<Turn, Error> {
        if let Ok(turn) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(turn);
        }
        let waiting = usize::try_from(self.waiting.get()).unwrap_or_default();
        if waiting >= self.limits.most_waiting {
            return Err(self.full());
        }
        let _waiting = Counted::new(&self.waiting);
        let turn = Arc::clone(&self.permits).acquire_owned();
        match tokio::time::timeout(self.limits.wait, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(self.full()),
        }
    }

    fn full(&self) -> Error {
        let Limits { most, key, .. } = self.limits;
        let detail = format!(
            "All {most} transfers from origins that may run at once are running: ask again, or raise `{key}`."
        );
        Error::new(Kind::OriginQueueFull, detail)
    }
}
