//! What an operator decides about a server.

use std::time::Duration;

/// Limits of a server. Every one that is reached is counted in [`ServerMetrics`](super::ServerMetrics).
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Open connections; one too many is closed at once. Default 10 000.
    pub connections: usize,
    /// A connection without a whole request for this long is closed. `None`: never, as C servers do. Default `None`.
    pub idle: Option<Duration>,
    /// A request that has begun must be whole within this time (and a TLS handshake done). Default 10 s.
    pub partial: Duration,
    /// A client that takes none of its answers for this long is cut. Default 30 s.
    pub stalled: Duration,
    /// Bytes of answers to wait for a slow client before its next request is taken up. Default 64 KiB; one answer more
    /// can be held, and as many bytes again that the client has taken already.
    pub output: usize,
    /// Requests of one connection that wait for a store that answers later. Default 64.
    pub in_flight: usize,
    /// Timeouts of ADD below this are raised to it, in milliseconds (httpd's own module sends 0 to 999). Default 0.
    pub min_ttl_ms: u32,
    /// User ids that may connect to a unix socket; `None`: everyone the file's mode lets in. Connections of other kinds
    /// are not concerned. Default `None`.
    pub allow_uids: Option<Vec<u32>>,
    /// Time for open connections to end after a stop. Default 5 s.
    pub drain: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            connections: 10_000,
            idle: None,
            partial: Duration::from_secs(10),
            stalled: Duration::from_secs(30),
            output: 64 * 1024,
            in_flight: 64,
            min_ttl_ms: 0,
            allow_uids: None,
            drain: Duration::from_secs(5),
        }
    }
}
