//! The server: puts requests of many connections to a store.
//!
//! One task for each connection; a store that answers at once is called on that task. Requests of a connection are
//! answered in their order. Everything is bounded by [`ServerSettings`] and counted in [`ServerMetrics`].
//!
//! Fastest is one current-thread runtime for each core, each with a [`Listener::try_clone`] of the listener and a clone
//! of the server: connections then never change threads. A multi-thread runtime serves as well.

mod answers;
mod metrics;
mod settings;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use self::answers::Answers;
use crate::limits::TIMEOUT_MS;
use crate::net::Listener;
use crate::serve::{Front, Gate, GateSettings, Limits};
use crate::store::SessionStore;

pub use metrics::ServerMetrics;
pub use settings::ServerSettings;

/// Serves one store on any number of listeners. Clones are the same server.
#[derive(Clone)]
pub struct Server {
    front: Arc<Front<Answers>>,
}

impl Server {
    /// A server that does nothing yet.
    #[must_use]
    pub fn new(store: Arc<dyn SessionStore>, settings: ServerSettings) -> Self {
        let gate = Gate::new(GateSettings {
            connections: settings.connections,
            allow_uids: settings.allow_uids,
            handshake: settings.partial,
            drain: settings.drain,
        });
        let limits = Limits {
            idle: settings.idle,
            partial: settings.partial,
            stalled: settings.stalled,
            output: settings.output.max(1),
            in_flight: settings.in_flight.max(1),
        };
        let service = Answers::new(store, settings.min_ttl_ms.min(TIMEOUT_MS));
        Self { front: Arc::new(Front { service, limits, gate }) }
    }

    /// Its counters.
    #[must_use]
    pub fn metrics(&self) -> &Arc<ServerMetrics> {
        self.front.service.metrics()
    }

    /// Accepts connections and serves each on a task of the current runtime, until [`stop`](Self::stop), or until the
    /// one connection of an `FD:` listener is over. Several listeners: call it for each.
    ///
    /// # Errors
    /// Only when the listener is broken for good; a shortage of descriptors is waited out and counted.
    pub async fn serve(&self, listener: Listener) -> io::Result<()> {
        self.front.listen(listener).await
    }

    /// Serves one connection until it is over. Counts as a connection; one too many is closed at once.
    pub async fn serve_connection<S: AsyncRead + AsyncWrite + Unpin + Send>(&self, stream: S) {
        self.front.attend_stream(stream).await;
    }

    /// Accept no more, answer what has been received, then close. Returns at once.
    pub fn stop(&self) {
        self.front.gate.stop();
    }

    /// Waits until [`stop`](Self::stop) was called and the last connection is over; connections that take longer than
    /// [`ServerSettings::drain`] are cut.
    pub async fn stopped(&self) {
        self.front.gate.stopped().await;
    }
}
