//! The proxy: many local clients share one connection to a server.
//!
//! Each client has at most one request with the server at a time; its further requests wait in its socket. Requests get
//! a uid of the proxy's own on the way out and their client's uid on the way back; payloads pass unread. A server that
//! is not there answers nothing, so the proxy answers for it: status 2, never an empty payload.
//!
//! Clients are served as those of a server are ([`crate::server`]); [`Requests`](requests::Requests) is what they share
//! with the one task that talks to the server.

mod backend;
mod metrics;
mod relay;
mod requests;
mod settings;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use tokio::task::AbortHandle;

use self::relay::{Relay, Shared};
use crate::net::{Connector, Listener};
use crate::serve::{Front, Gate, GateSettings, Limits};

pub use metrics::ProxyMetrics;
pub use settings::ProxySettings;

/// A proxy with one server behind it. Clones are the same proxy; it ends with its last clone.
#[derive(Clone)]
pub struct Proxy {
    front: Arc<Front<Relay>>,
    backend: Arc<Backend>,
}

/// The task that talks to the server.
struct Backend(AbortHandle);

impl Drop for Backend {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Proxy {
    /// Starts connecting to the server, on a task of the current runtime. A server that is not there is tried again
    /// every [`ProxySettings::retry`].
    #[must_use]
    pub fn start(server: Connector, settings: ProxySettings) -> Self {
        let gate = Gate::new(GateSettings {
            connections: settings.clients,
            allow_uids: settings.allow_uids,
            handshake: settings.partial,
            drain: settings.drain,
        });
        let limits = Limits {
            idle: settings.idle,
            partial: settings.partial,
            stalled: settings.stalled,
            output: 1,
            in_flight: 1,
        };
        let shared = Arc::new(Shared::new(settings.in_flight.max(1)));
        let task = backend::run(Arc::clone(&shared), server, settings.retry, settings.timeout);
        let backend = Arc::new(Backend(tokio::spawn(task).abort_handle()));
        Self { front: Arc::new(Front { service: Relay(shared), limits, gate }), backend }
    }

    /// Its counters.
    #[must_use]
    pub fn metrics(&self) -> &Arc<ProxyMetrics> {
        &self.front.service.0.metrics
    }

    /// Accepts clients until [`stop`](Self::stop), or until the one client of an `FD:` listener is gone.
    ///
    /// # Errors
    /// Only when the listener is broken for good.
    pub async fn serve(&self, listener: Listener) -> io::Result<()> {
        self.front.listen(listener).await
    }

    /// Accept no more; requests under way are answered, then everything is closed. Returns at once.
    pub fn stop(&self) {
        self.front.gate.stop();
    }

    /// Waits until [`stop`](Self::stop) was called and the last client is gone; clients that take longer than
    /// [`ProxySettings::drain`] are cut.
    pub async fn stopped(&self) {
        self.front.gate.stopped().await;
        self.backend.0.abort();
    }
}
