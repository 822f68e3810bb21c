//! What an operator decides about a proxy.

use std::time::Duration;

/// Limits of a proxy. Every one that is reached is counted in [`ProxyMetrics`](super::ProxyMetrics).
#[derive(Clone, Debug)]
pub struct ProxySettings {
    /// Clients at once; one too many is closed. Default 1024.
    pub clients: usize,
    /// Requests with the server at once; the clients of others wait their turn. Default 512.
    pub in_flight: usize,
    /// Pause between attempts to connect to the server; the first is at once. Default 5 s.
    pub retry: Duration,
    /// A client without a request for this long is closed. `None`: never. Default `None`.
    pub idle: Option<Duration>,
    /// A server that leaves a request unanswered for this long is given up: its requests get status 2, and the proxy
    /// connects again. Default 10 s.
    pub timeout: Duration,
    /// A request of a client that has begun must be whole within this time. Default 10 s.
    pub partial: Duration,
    /// A client that takes none of its answer for this long is cut. Default 30 s.
    pub stalled: Duration,
    /// User ids that may connect to a unix socket; `None`: everyone the file's mode lets in. Default `None`.
    pub allow_uids: Option<Vec<u32>>,
    /// Time for clients to end after a stop. Default 5 s.
    pub drain: Duration,
}

impl Default for ProxySettings {
    fn default() -> Self {
        Self {
            clients: 1024,
            in_flight: 512,
            retry: Duration::from_secs(5),
            idle: None,
            timeout: Duration::from_secs(10),
            partial: Duration::from_secs(10),
            stalled: Duration::from_secs(30),
            allow_uids: None,
            drain: Duration::from_secs(5),
        }
    }
}
