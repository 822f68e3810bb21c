//! [`Settings`]: every limit and span of the cache, with its default.

use std::time::Duration;

/// Settings with their defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long after the first attempt further ones may start before the origin's head is there (default 8 s).
    /// An attempt that is under way is not cut by this: the origin's own timeouts end it.
    pub retry_for: Duration,
    /// How long a broken transfer is resumed without progress (default 30 s).
    pub resume_for: Duration,
    /// First pause between attempts, doubled each time, with full jitter (default 100 ms).
    pub retry_pause: Duration,
    /// Longest pause between attempts that the origin did not ask for (default 2 s).
    pub retry_pause_max: Duration,
    /// Memory of 404 and 410 (default 30 s).
    pub negative_gone: Duration,
    /// Memory of other refusals (default 10 s).
    pub negative_other: Duration,
    /// How long the store is not tried with an object that it broke off for want of space or for its disk (default 2 min).
    pub negative_unstorable: Duration,
    /// Most refusals remembered (default 10 000); the oldest goes first.
    pub negative_entries: usize,
    /// How long past its time an object may be served while the origin is down (default 1 d).
    pub stale_if_error: Duration,
    /// Most fills at once (default 512).
    pub max_fills: usize,
    /// Most fills waiting for their turn (default 4096); more are refused at once.
    pub max_waiting_fills: usize,
    /// How long a fill waits for its turn (default 10 s).
    pub fill_wait: Duration,
    /// Most requests at once that are answered past the store because it cannot take the object (default 512). As many
    /// may wait as fills may, and as long.
    pub max_bypasses: usize,
    /// Length of the pieces in which ranges of objects are fetched that are not there (default 1 MiB).
    pub piece: u64,
    /// Most variants of one URL (default 64); the oldest goes first.
    pub max_variants: usize,
    /// Most pins at once (default 1000).
    pub max_pins: usize,
    /// How often a waiting request starts over when the fill it waited for ends without a decision (default 3).
    pub take_overs: u32,
    /// A body that paused this long is committed up to its last byte (default 5 ms).
    pub flush_pause: Duration,
    /// Time between two removals of objects that nobody wants kept any more (default 60 s).
    pub sweep_interval: Duration,
    /// Most entries removed in one pass over the store (default 4096); then another pass follows at once.
    pub sweep_batch: usize,
    /// What operators ask for.
    pub operators: Operators,
}

/// Limits on what operators ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operators {
    /// Most looks at all entries at once (default 2): purges by prefix or expression, lists; more are refused.
    pub max_walks: usize,
    /// How long a purge or a list is waited for (default 60 s); then a purge goes on by itself.
    pub patience: Duration,
    /// Most lists that are prewarmed at once (default 4).
    pub max_prewarms: usize,
    /// Most URLs of such a list (default 100 000).
    pub prewarm_urls: usize,
    /// Most of them fetched at once, for each list (default 8).
    pub prewarm_width: usize,
    /// Most URLs of which the last answers of origins are remembered (default 1024).
    pub remembered_keys: usize,
}

impl Default for Operators {
    fn default() -> Self {
        Self {
            max_walks: 2,
            patience: Duration::from_secs(60),
            max_prewarms: 4,
            prewarm_urls: 100_000,
            prewarm_width: 8,
            remembered_keys: 1024,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retry_for: Duration::from_secs(8),
            resume_for: Duration::from_secs(30),
            retry_pause: Duration::from_millis(100),
            retry_pause_max: Duration::from_secs(2),
            negative_gone: Duration::from_secs(30),
            negative_other: Duration::from_secs(10),
            negative_unstorable: Duration::from_secs(120),
            negative_entries: 10_000,
            stale_if_error: Duration::from_secs(24 * 60 * 60),
            max_fills: 512,
            max_waiting_fills: 4096,
            fill_wait: Duration::from_secs(10),
            max_bypasses: 512,
            piece: 1 << 20,
            max_variants: 64,
            max_pins: 1000,
            take_overs: 3,
            flush_pause: Duration::from_millis(5),
            sweep_interval: Duration::from_secs(60),
            sweep_batch: 4096,
            operators: Operators::default(),
        }
    }
}
