//! [`Settings`]: limits of listeners and connections.

use std::time::Duration;

/// Limits of a listener and its connections, with defaults for a busy server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most connections at once; more wait in the kernel's backlog (default 10 000).
    pub max_connections: usize,
    /// Longest pause between accepts while the system is out of descriptors or memory (default 100 ms).
    pub accept_pause: Duration,
    /// From a connection's start, or a request's first byte, to the end of its head (default 30 s).
    pub head_timeout: Duration,
    /// How long a connection may wait for the next request (default 75 s).
    pub idle_timeout: Duration,
    /// How long a reader may take no byte that waits for it (default 60 s).
    pub write_timeout: Duration,
    /// How long responses under way may go on after a drain has begun (default 30 s).
    pub grace: Duration,
    /// Most fields of a request (default 100).
    pub max_headers: usize,
    /// Most bytes of a request's head; also how many bytes of small pieces gather for one write (default 64 KiB, at
    /// least 8 KiB).
    pub max_head_bytes: usize,
    /// HTTP/2: most requests at once on a connection (default 256).
    pub max_streams: u32,
    /// HTTP/2: most requests reset by the client that wait to be forgotten (default 20; more cut the connection).
    pub max_reset_streams: usize,
    /// HTTP/2: most response bytes buffered for one request (default 256 KiB).
    pub max_stream_buffer: usize,
    /// HTTP/2: how often a silent client is pinged (default 20 s).
    pub ping_interval: Duration,
    /// HTTP/2: how long a ping may go unanswered (default 20 s).
    pub ping_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            accept_pause: Duration::from_millis(100),
            head_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(60),
            grace: Duration::from_secs(30),
            max_headers: 100,
            max_head_bytes: 64 * 1024,
            max_streams: 256,
            max_reset_streams: 20,
            max_stream_buffer: 256 * 1024,
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(20),
        }
    }
}
