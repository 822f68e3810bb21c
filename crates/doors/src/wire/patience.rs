//! [`Patience`]: a deadline that costs one look at the clock while nobody waits long.
//!
//! A timer that is set anew for each request is a noticeable part of a small hit. Here the timer stays where it was
//! set; when it fires too early it is moved, so a busy connection touches the timer wheel once per limit.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Waits for progress, up to a limit given by each wait.
#[derive(Debug, Default)]
pub(super) struct Patience {
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// There was progress: the next wait begins anew.
    pub(super) fn renew(&mut self) {
        self.since = None;
    }

    /// Whether a wait is going on.
    pub(super) fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// Ready when `limit` has passed since the first call after the last progress.
    pub(super) fn poll_lost(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let deadline = since + limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}
