//! Lets connections in, counts them, and sees them out.
//!
//! Stages: `Open → Draining → Cut`. [`Gate::stop`] starts draining: listeners accept what waits for them and close,
//! connections end as soon as nothing is left to answer. [`Gate::stopped`] cuts those that take too long.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::metrics::ConnectionMetrics;
use crate::net::{Incoming, Listener, Stream};

/// After accepting failed for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// Who may come in.
pub(crate) struct GateSettings {
    pub(crate) connections: usize,
    pub(crate) allow_uids: Option<Vec<u32>>,
    pub(crate) handshake: Duration,
    pub(crate) drain: Duration,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    Open,
    Draining,
    Cut,
}

/// See the module.
pub(crate) struct Gate {
    settings: GateSettings,
    open: AtomicUsize,
    stage: AtomicU8,
    changed: Notify,
    presence: Arc<Presence>,
}

/// Counts what [`Gate::stopped`] waits for: listeners, which may accept once more, and connections, accepted or open.
#[derive(Default)]
struct Presence {
    count: AtomicUsize,
    none: Notify,
}

/// One of those, until it is dropped.
struct Present(Arc<Presence>);

/// A connection that was let in.
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    metrics: &'a ConnectionMetrics,
    _present: Present,
}

impl Gate {
    pub(crate) fn new(settings: GateSettings) -> Self {
        let stage = AtomicU8::new(Stage::Open as u8);
        Self { settings, open: AtomicUsize::new(0), stage, changed: Notify::new(), presence: Arc::default() }
    }

    /// How far the end has come.
    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Open,
            1 => Stage::Draining,
            _ => Stage::Cut,
        }
    }

    /// Lets one more connection in, if there is room.
    pub(crate) fn enter<'a>(&'a self, metrics: &'a ConnectionMetrics) -> Option<Pass<'a>> {
        if self.open.fetch_add(1, Ordering::AcqRel) >= self.settings.connections {
            self.open.fetch_sub(1, Ordering::AcqRel);
            metrics.refused_full.up();
            return None;
        }
        metrics.accepted.up();
        metrics.open.up();
        Some(Pass { gate: self, metrics, _present: self.present() })
    }

    /// Begins draining.
    pub(crate) fn stop(&self) {
        self.advance(Stage::Draining);
    }

    /// Waits until draining began and the last connection is over; cuts those that outlast it.
    pub(crate) async fn stopped(&self) {
        self.reached(Stage::Draining).await;
        if timeout(self.settings.drain, self.is_empty()).await.is_err() {
            self.advance(Stage::Cut);
            self.is_empty().await;
        }
    }

    /// Accepts until stopped, or until the listener has nothing more to give. `handle` runs on a task for each.
    pub(crate) async fn accept<F, H>(
        &self,
        mut listener: Listener,
        metrics: &ConnectionMetrics,
        handle: H,
    ) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
        H: Fn(Incoming) -> F,
    {
        let _present = self.present();
        let mut last = None;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.reached(Stage::Draining) => {
                    self.accept_last(&mut listener, &handle);
                    return Ok(());
                }
            };
            match accepted {
                Ok(Some(incoming)) => last = Some(self.spawn(handle(incoming))),
                // The only connection of this listener: it is the listener's life.
                Ok(None) => {
                    if let Some(only) = last {
                        let _ = only.await;
                    }
                    return Ok(());
                }
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => {
                    metrics.accept_errors.up();
                    // A client that changed its mind must not make the others wait.
                    if error.kind() != io::ErrorKind::ConnectionAborted {
                        sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    /// Accepts what has come already: its request may have, too. No more than there may be connections; others go on
    /// connecting meanwhile.
    fn accept_last<F, H>(&self, listener: &mut Listener, handle: &H)
    where
        F: Future<Output = ()> + Send + 'static,
        H: Fn(Incoming) -> F,
    {
        for _ in 0..self.settings.connections {
            match listener.accept_now() {
                Ok(Some(incoming)) => drop(self.spawn(handle(incoming))),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Counts from now on, not from when the task gets its turn.
    fn spawn(&self, handling: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let present = self.present();
        tokio::spawn(async move {
            let _present = present;
            handling.await;
        })
    }

    /// Checks who it is, and has the handshake done.
    pub(crate) async fn admit(&self, incoming: Incoming, metrics: &ConnectionMetrics) -> Option<Stream> {
        if let Some(allowed) = &self.settings.allow_uids
            && let Some(uid) = incoming.uid()
            && !uid.is_ok_and(|uid| allowed.contains(&uid))
        {
            metrics.refused_uid.up();
            return None;
        }
        if incoming.is_ready() {
            return incoming.handshake().await.ok();
        }
        let shaken = tokio::select! {
            shaken = timeout(self.settings.handshake, incoming.handshake()) => shaken,
            () = self.reached(Stage::Draining) => return None,
        };
        if let Ok(Ok(stream)) = shaken {
            return Some(stream);
        }
        metrics.handshake_errors.up();
        None
    }

    fn advance(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    async fn reached(&self, stage: Stage) {
        loop {
            let changed = self.changed.notified();
            if self.stage() >= stage {
                return;
            }
            changed.await;
        }
    }

    async fn is_empty(&self) {
        loop {
            let none = self.presence.none.notified();
            if self.presence.count.load(Ordering::Acquire) == 0 {
                return;
            }
            none.await;
        }
    }

    fn present(&self) -> Present {
        self.presence.count.fetch_add(1, Ordering::AcqRel);
        Present(Arc::clone(&self.presence))
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.metrics.open.down();
        self.gate.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Wakes a connection's task when the stage changes. Registers once, not with every poll: all connections share a lock.
pub(crate) struct StageWatch<'a> {
    gate: &'a Gate,
    changed: Pin<Box<Notified<'a>>>,
    registered: Option<Waker>,
}

impl<'a> StageWatch<'a> {
    pub(crate) fn new(gate: &'a Gate) -> Self {
        Self { gate, changed: Box::pin(gate.changed.notified()), registered: None }
    }

    /// The stage now; the task is woken when it becomes another.
    pub(crate) fn stage(&mut self, cx: &mut Context<'_>) -> Stage {
        let known = self.registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if !known || self.gate.stage() == Stage::Draining {
            while self.changed.as_mut().poll(cx).is_ready() {
                self.changed.set(self.gate.changed.notified());
            }
            self.registered = Some(cx.waker().clone());
        }
        self.gate.stage()
    }
}

/// Errors of a listener that will not pass.
fn is_final(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::NotConnected | io::ErrorKind::Unsupported
    )
}
