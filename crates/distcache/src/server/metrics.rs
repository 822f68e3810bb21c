//! What a server counts.

use crate::metrics::{ConnectionMetrics, Counter};

/// Counters of a server since it was made.
#[derive(Debug, Default)]
pub struct ServerMetrics {
    /// Its connections.
    pub connections: ConnectionMetrics,
    /// ADDs answered.
    pub adds: Counter,
    /// ADDs that stored a session.
    pub adds_stored: Counter,
    /// ADDs refused because the id was taken or there was no room.
    pub adds_duplicate: Counter,
    /// ADDs refused because of what was in them.
    pub adds_refused: Counter,
    /// GETs answered.
    pub gets: Counter,
    /// GETs answered with a session.
    pub get_hits: Counter,
    /// REMOVEs answered.
    pub removes: Counter,
    /// REMOVEs that removed.
    pub remove_hits: Counter,
    /// HAVEs answered.
    pub haves: Counter,
    /// HAVEs that found.
    pub have_hits: Counter,
    /// Requests answered with status 2 because the store failed.
    pub store_errors: Counter,
    /// Times a connection had to wait until its client took answers, or the store gave some.
    pub back_pressure: Counter,
}

impl ServerMetrics {
    /// Requests answered, refused ones and misses included.
    #[must_use]
    pub fn operations(&self) -> u64 {
        [&self.adds, &self.gets, &self.removes, &self.haves].iter().map(|counter| counter.get()).sum()
    }
}
