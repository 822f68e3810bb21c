//! What the server and the proxy have in common: accepting connections, and taking requests from them one after the
//! other. What a request means is for a [`Service`] to say.

mod connection;
mod gate;
mod scratch;
mod timing;

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::error::Malformed;
use crate::message::Message;
use crate::metrics::ConnectionMetrics;
use crate::net::{Incoming, Listener};

pub(crate) use connection::Limits;
pub(crate) use gate::{Gate, GateSettings};
pub(crate) use scratch::Scratch;
pub(crate) use timing::Alarm;

/// Answers requests.
pub(crate) trait Service: Send + Sync + 'static {
    /// An answer that is not there yet. Dropped when its client is gone.
    type Later: Send + Unpin;

    /// Appends a whole answer to `out` at once, or gives what has to be waited for. An error closes the connection
    /// without an answer.
    fn call(&self, request: Message<'_>, out: &mut Vec<u8>) -> Result<Option<Self::Later>, Malformed>;

    /// Appends the answer to `out` as soon as it is there.
    fn poll(&self, later: &mut Self::Later, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<()>;

    /// A client had to wait, because it or the store was slow.
    fn held_back(&self);

    /// Where to count connections.
    fn connections(&self) -> &ConnectionMetrics;
}

/// A service with its gate.
pub(crate) struct Front<V> {
    pub(crate) service: V,
    pub(crate) limits: Limits,
    pub(crate) gate: Gate,
}

impl<V: Service> Front<V> {
    /// Accepts until the gate is stopped, or until the listener has nothing more to give.
    pub(crate) async fn listen(self: &Arc<Self>, listener: Listener) -> io::Result<()> {
        let attend = |incoming| {
            let front = Arc::clone(self);
            async move { front.attend(incoming).await }
        };
        self.gate.accept(listener, self.service.connections(), attend).await
    }

    /// Serves one connection until it is over.
    pub(crate) async fn attend_stream<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) {
        let Some(_pass) = self.gate.enter(self.service.connections()) else { return };
        if connection::serve(&self.service, &self.limits, &self.gate, &mut stream).await {
            self.say_goodbye(&mut stream).await;
        }
    }

    async fn attend(&self, incoming: Incoming) {
        let connections = self.service.connections();
        let Some(_pass) = self.gate.enter(connections) else { return };
        let Some(mut stream) = self.gate.admit(incoming, connections).await else { return };
        let in_order = connection::serve(&self.service, &self.limits, &self.gate, &mut stream).await;
        if in_order && stream.says_goodbye() {
            self.say_goodbye(&mut stream).await;
        }
    }

    async fn say_goodbye<S: AsyncWrite + Unpin>(&self, stream: &mut S) {
        // How it ends is of no use to anybody any more.
        let _ = timeout(self.limits.partial, stream.shutdown()).await;
    }
}
