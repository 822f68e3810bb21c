//! What a proxy counts.

use crate::metrics::{ConnectionMetrics, Counter};

/// Counters of a proxy since it was made; `connected` is a level.
#[derive(Debug, Default)]
pub struct ProxyMetrics {
    /// Its clients.
    pub clients: ConnectionMetrics,
    /// Requests sent to the server.
    pub requests: Counter,
    /// Answers passed to clients.
    pub answers: Counter,
    /// Requests answered with status 2 because the server was not there, or was lost.
    pub answered_disconnected: Counter,
    /// Answers whose client was gone.
    pub orphans: Counter,
    /// Answers from the server that nobody had asked for.
    pub unasked: Counter,
    /// Times a client had to wait because as many requests as allowed were with the server.
    pub back_pressure: Counter,
    /// 1 while the server is connected.
    pub connected: Counter,
    /// Attempts to connect to the server.
    pub connects: Counter,
    /// Attempts that failed.
    pub connect_errors: Counter,
    /// Connections to the server that ended.
    pub disconnects: Counter,
}
