//! The end of the service: a signal begins it, a second one cuts it short.
//!
//! ```text
//! serving ─ SIGTERM, SIGINT ─► leaving ─ `server.drain-delay` ─► draining ─┬─ fills and answers done ─► ended, 0
//!                                 │                                        ├─ `server.grace` is over ─► what is left is cut, ended, 0
//!                                 └────────── second signal ───────────────┴──────────────────────────► ended at once, 1
//! ```
//!
//! Leaving: health answers 503, all else goes on. Draining: besides, nothing is accepted, no fill starts; fills that run
//! and answers that flow go on.
//! Invariant: an answer is never cut before the grace period is over.

use std::io;
use std::sync::atomic::Ordering;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use crate::assemble::App;

/// The signals that end the service.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on these signals do not kill the process.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next signal's name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Serves until a signal comes, then drains. An error means that a listener died by itself.
pub(crate) async fn serve_until_signal(app: App, signals: &mut Signals) -> Result<(), String> {
    let App { listeners, session, service, settings, drainer, drain, cache, store, draining, drain_delay } =
        app;
    let grace = settings.grace;
    let mut serving = JoinSet::new();
    for listener in listeners {
        serving.spawn(listener.serve(service.clone(), settings.clone(), drain.clone()));
    }
    if let Some(session) = session {
        serving.spawn(session.serve(drain.clone()));
    }
    drop((service, drain));
    let sweeping = tokio::spawn(cache.clone().sweep_forever());

    let died = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, delay = ?drain_delay, grace = ?grace, "draining; a second signal ends at once");
            false
        }
        _ = serving.join_next() => {
            tracing::error!("a listener died");
            true
        }
    };
    draining.store(true, Ordering::Relaxed);
    let drained = async {
        tokio::time::sleep(drain_delay).await;
        drainer.begin();
        cache.drain(grace).await;
        // Each ends with its last connection, within the grace period.
        while serving.join_next().await.is_some() {}
    };
    tokio::select! {
        () = drained => tracing::info!("drained"),
        signal = signals.next() => {
            return Err(format!("{signal} while draining: ended at once"));
        }
    }
    sweeping.abort();
    // A failure is in the log: the next start verifies what it finds.
    let _ = store.close().await;
    if died { Err("a listener died; the log says why".to_owned()) } else { Ok(()) }
}
