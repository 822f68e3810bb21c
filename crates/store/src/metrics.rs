//! [`Metrics`]: what the store counts, under the prefix `standpipe_store_`.
//!
//! The levels are not copies: the quota and the counts of [`Usage`](crate::Usage) live in them.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// A number that goes up and down; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Level(Gauge<u64, AtomicU64>);

impl Level {
    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }

    pub(crate) fn inc(&self) {
        self.0.inc();
    }

    pub(crate) fn dec(&self) {
        self.0.dec();
    }

    pub(crate) fn set(&self, amount: u64) {
        self.0.set(amount);
    }

    pub(crate) fn add(&self, amount: u64) {
        self.0.inc_by(amount);
    }

    pub(crate) fn sub(&self, amount: u64) {
        self.0.dec_by(amount);
    }

    /// Counts one thing that was there `before` and is there `after` the change, or not.
    pub(crate) fn follow(&self, before: bool, after: bool) {
        match (before, after) {
            (false, true) => self.inc(),
            (true, false) => self.dec(),
            _ => {}
        }
    }

    /// The number itself, for compare-and-exchange.
    pub(crate) fn atomic(&self) -> &AtomicU64 {
        self.0.inner()
    }
}

/// What the store counts.
#[derive(Default)]
pub(crate) struct Metrics {
    pub(crate) used: Level,
    pub(crate) quota: Level,
    pub(crate) memory: Level,
    pub(crate) entries: Level,
    pub(crate) max_entries: Level,
    pub(crate) flights: Level,
    pub(crate) fills: Level,
    pub(crate) pieces: Level,
    pub(crate) followers: Level,
    pub(crate) queue: Level,
    pub(crate) open_files: Level,
    pub(crate) disk_errors: Counter,
    pub(crate) deduplicated: Counter,
    pub(crate) read_ahead: Counter,
    pub(crate) warm: Level,
    pub(crate) uncommitted: Level,
    pub(crate) bodies: Level,
    pub(crate) evicted: Counter,
    pub(crate) evicted_bytes: Counter,
    pub(crate) suspended: Counter,
    pub(crate) resumed: Counter,
    pub(crate) closed: Counter,
    pub(crate) warmed: Counter,
    pub(crate) cooled: Counter,
    pub(crate) damaged: Counter,
    pub(crate) verified: Counter,
    pub(crate) strays: Counter,
    pub(crate) journal_bytes: Counter,
    pub(crate) compactions: Counter,
    pub(crate) degraded: Level,
    pub(crate) unloaded: Level,
    pub(crate) unchecked: Level,
}

impl Metrics {
    /// Creates the metrics and registers them.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("standpipe_store");
        let bytes = [
            ("used", "Bytes counted against the quota, reserved ones included", &metrics.used),
            ("quota", "Most bytes of bodies", &metrics.quota),
            ("memory", "Bytes of small bodies held in memory", &metrics.memory),
        ];
        for (name, help, level) in bytes {
            registry.register_with_unit(name, help, Unit::Bytes, level.0.clone());
        }
        let counts = [
            ("entries", "Entries in the index", &metrics.entries),
            ("max_entries", "Most entries", &metrics.max_entries),
            ("warm_entries", "Entries held in memory, ready to be sent", &metrics.warm),
            ("bodies", "Complete bodies on the disk", &metrics.bodies),
            ("uncommitted", "Changes that a crash would lose now", &metrics.uncommitted),
            ("loading_shards", "Shards of the index that are still to be loaded", &metrics.unloaded),
            ("unchecked", "1 until what was loaded has been compared with the files", &metrics.unchecked),
            ("degraded", "1 while the disk takes nothing and the store does not store", &metrics.degraded),
            ("flights", "Claims without a decision yet", &metrics.flights),
            ("fills", "Bodies now growing", &metrics.fills),
            ("piece_fills", "Pieces of bodies with holes now being written", &metrics.pieces),
            ("followers", "Readers of growing bodies", &metrics.followers),
            ("disk_queue", "Jobs waiting for a disk thread", &metrics.queue),
            ("open_files", "Body files held open for reading", &metrics.open_files),
        ];
        for (name, help, level) in counts {
            registry.register(name, help, level.0.clone());
        }
        let events = [
            ("disk_errors", "Disk operations that failed", &metrics.disk_errors),
            ("deduplicated", "Bodies dropped because an equal one was there", &metrics.deduplicated),
            ("evicted", "Entries evicted to make room", &metrics.evicted),
            ("evicted_bytes", "Bytes of the bodies of evicted entries", &metrics.evicted_bytes),
            ("suspended", "Interrupted fills whose bytes were kept", &metrics.suspended),
            ("resumed", "Fills that went on with what was kept", &metrics.resumed),
            ("closed", "Bodies with holes that have become whole", &metrics.closed),
            ("warmed", "Entries read from the disk because they were asked for", &metrics.warmed),
            ("cooled", "Entries that gave up their memory", &metrics.cooled),
            ("damaged", "Entries and bodies dropped because they were not what was stored", &metrics.damaged),
            (
                "verified",
                "Bodies whose digest was checked after an unclean stop or by a scrub",
                &metrics.verified,
            ),
            ("strays", "Files deleted because no entry named them", &metrics.strays),
            ("journal_bytes", "Bytes of records written", &metrics.journal_bytes),
            ("compactions", "Logs rewritten without their garbage", &metrics.compactions),
            ("read_ahead", "Chunks that had to be read from the disk before sending", &metrics.read_ahead),
        ];
        for (name, help, counter) in events {
            registry.register(name, help, counter.clone());
        }
        metrics
    }
}
