//! The clients' side: every request goes to the table of [`Requests`], every reply back under its client's uid.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::ProxyMetrics;
use super::requests::{Reply, Requests, Ticket};
use crate::error::Malformed;
use crate::frame::Direction;
use crate::limits::ADD_PREFIX;
use crate::message::{Message, encode};
use crate::metrics::ConnectionMetrics;
use crate::operation::{Operation, Status};
use crate::serve::Service;

/// What clients and backend share.
pub(super) struct Shared {
    pub(super) requests: Mutex<Requests>,
    pub(super) metrics: Arc<ProxyMetrics>,
}

impl Shared {
    pub(super) fn new(most: usize) -> Self {
        Self { requests: Mutex::new(Requests::new(most)), metrics: Arc::default() }
    }
}

/// See the module.
pub(super) struct Relay(pub(super) Arc<Shared>);

/// A request that was taken on. Dropped before it is answered, its answer will be an orphan.
pub(super) struct Asked {
    shared: Arc<Shared>,
    ticket: Ticket,
    uid: u32,
    operation: Operation,
}

impl Service for Relay {
    type Later = Asked;

    fn call(&self, request: Message<'_>, out: &mut Vec<u8>) -> Result<Option<Asked>, Malformed> {
        let Message { uid, operation, payload } = request;
        if operation == Operation::Add && payload.len() < ADD_PREFIX {
            // The server would close its one connection, which belongs to all clients.
            return Err(Malformed::Prefix);
        }
        let metrics = &self.0.metrics;
        let asked = self.0.requests.lock().ask(operation, payload, Instant::now());
        let Some((ticket, queued)) = asked else {
            metrics.answered_disconnected.up();
            reply(out, uid, operation, &Reply::Disconnected);
            return Ok(None);
        };
        metrics.requests.up();
        if queued {
            metrics.back_pressure.up();
        }
        Ok(Some(Asked { shared: Arc::clone(&self.0), ticket, uid, operation }))
    }

    fn poll(&self, asked: &mut Asked, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<()> {
        let fetched = ready!(self.0.requests.lock().fetch(asked.ticket, cx));
        if fetched != Reply::Disconnected {
            self.0.metrics.answers.up();
        }
        reply(out, asked.uid, asked.operation, &fetched);
        Poll::Ready(())
    }

    /// A client that sends its next request before it has its answer waits; that is no shortage.
    fn held_back(&self) {}

    fn connections(&self) -> &ConnectionMetrics {
        &self.0.metrics.clients
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.shared.requests.lock().abandon(self.ticket);
    }
}

/// Never an empty payload: C clients would hang on it.
fn reply(out: &mut Vec<u8>, uid: u32, operation: Operation, reply: &Reply) {
    let payload: &[u8] = match reply {
        Reply::Payload(payload) if !payload.is_empty() => payload,
        _ => &[Status::Disconnected as u8],
    };
    encode(out, Direction::Response, uid, operation, &[payload]).expect("a decoded payload fits a message");
}
