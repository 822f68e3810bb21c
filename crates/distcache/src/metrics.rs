//! Numbers that operators read: plain counters, so that any metrics library can show them.
//!
//! Every limit of a server or a proxy has one that says how often it was reached.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts up, or up and down when it is a level. Relaxed: exact in itself, not ordered with anything else.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// One more.
    pub fn up(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// One less; only for levels, by whoever counted it up.
    pub fn down(&self) {
        self.sub(1);
    }

    /// So many less; only for levels, by whoever counted them up.
    pub fn sub(&self, by: u64) {
        self.0.fetch_sub(by, Ordering::Relaxed);
    }
}

/// What became of connections; the server and the proxy both count it. `open` is a level.
#[derive(Debug, Default)]
pub struct ConnectionMetrics {
    /// Open now.
    pub open: Counter,
    /// Let in.
    pub accepted: Counter,
    /// Closed at once because there were too many.
    pub refused_full: Counter,
    /// Closed at once because of their user id.
    pub refused_uid: Counter,
    /// Accepting failed (descriptors or memory ran out); tried again after a pause.
    pub accept_errors: Counter,
    /// TLS handshakes that failed or took too long.
    pub handshake_errors: Counter,
    /// Closed because of malformed bytes.
    pub closed_malformed: Counter,
    /// Closed because no request came for too long.
    pub closed_idle: Counter,
    /// Closed because a request that had begun was not whole in time, or never was.
    pub closed_partial: Counter,
    /// Closed because the client did not take its answers.
    pub closed_stalled: Counter,
    /// Cut because they outlasted the time for draining.
    pub closed_drained: Counter,
}
