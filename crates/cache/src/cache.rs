//! [`Cache`]: the parts put together, and what is asked of the cache besides answers: counts, deletion, drain.
//!
//! Owns the store's write side, the origin, the memory of refusals and the limits on fills. Every door holds a
//! clone. Decides nothing itself: `lookup` answers, `fill` fetches.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use crate::exchange::Unstorables;
use crate::explain::{Answers, Watched};
use crate::fill::{Limits, Live, Turns};
use crate::metrics::{FillResult, Metrics};
use crate::negative::Negatives;
use crate::pins::Pins;
use crate::prewarm::Prewarms;
use crate::purge::labels;
use crate::{Clock, Head, Origin, Refusal, Settings, Target};

/// What the cache keeps in the store.
pub enum Http {}

impl store::Contents for Http {
    type Head = Head;
    type Refusal = Refusal;

    fn encode(head: &Head, into: &mut Vec<u8>) {
        head.encode(into);
    }

    fn decode(bytes: &[u8]) -> Option<Head> {
        Head::decode(bytes)
    }

    fn deadline(head: &Head) -> u32 {
        head.deadline()
    }

    fn labels(secret: &[u8; 32], name: &str, head: &Head) -> Vec<u64> {
        labels::of(secret, name, head)
    }

    fn mark(head: &Head) {
        head.mark();
    }
}

/// What the cache is built from.
pub struct Parts {
    /// The write side of the store; nobody else holds it.
    pub store: store::Writer<Http>,
    /// Where bytes come from.
    pub origin: Arc<dyn Origin>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Limits and spans.
    pub settings: Settings,
}

/// Lifetime and present counts for status pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Fills ever started.
    pub fills_started: u64,
    /// Fills that stored an object or confirmed the stored one.
    pub fills_completed: u64,
    /// Fills that ended without an object.
    pub fills_failed: u64,
    /// Bytes taken from origins.
    pub origin_bytes: u64,
    /// Refusals now remembered.
    pub negatives: u64,
    /// Fills between claim and the origin's first answer.
    pub scheduled: u64,
    /// Fills now writing.
    pub filling: u64,
    /// Objects now streamed past the store.
    pub bypasses: u64,
    /// Pins.
    pub pins: u64,
}

/// The cache. Clones share everything.
#[derive(Clone)]
pub struct Cache {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: store::Writer<Http>,
    pub(crate) reader: store::Reader<Http>,
    pub(crate) origin: Arc<dyn Origin>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) negatives: Negatives,
    pub(crate) unstorables: Unstorables,
    pub(crate) pins: Pins,
    /// For fills.
    pub(crate) turns: Turns,
    /// For requests that are answered past the store: those who read slowly must not keep fills away.
    pub(crate) bypass_turns: Turns,
    pub(crate) live: Live,
    /// What origins have answered lately.
    pub(crate) answers: Arc<Answers>,
    /// For looks at all entries.
    pub(crate) walks: Arc<Semaphore>,
    pub(crate) prewarms: Prewarms,
}

impl Cache {
    /// Puts the parts together and registers the metrics.
    pub fn new(parts: Parts, registry: &mut Registry) -> Self {
        let Parts { store, origin, clock, settings } = parts;
        let metrics = Metrics::register(registry);
        let answers = Arc::new(Answers::new(settings.operators.remembered_keys));
        let limits = |key: &'static str, most: usize| Limits {
            most,
            most_waiting: settings.max_waiting_fills,
            wait: settings.fill_wait,
            key,
        };
        let inner = Inner {
            reader: store.reader(),
            negatives: Negatives::new(&settings, Arc::clone(&metrics)),
            unstorables: Unstorables::new(&settings),
            pins: Pins::default(),
            turns: Turns::new(limits("fill.max", settings.max_fills), metrics.waiting.clone()),
            bypass_turns: Turns::new(
                limits("fill.max-bypasses", settings.max_bypasses),
                metrics.bypasses_waiting.clone(),
            ),
            live: Live::new(),
            walks: Arc::new(Semaphore::new(settings.operators.max_walks)),
            prewarms: Prewarms::default(),
            origin: Arc::new(Watched::new(origin, &answers, &clock)),
            answers,
            store,
            clock,
            settings,
            metrics,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Forgets the object (and any remembered refusal); those who read it go on. Says whether there was one.
    pub async fn delete(&self, target: &Target) -> bool {
        self.inner.negatives.forget_all(target.key);
        self.withdraw(target).await
    }

    /// Begins to compare every stored body with its digest, reading at most so many bytes a second; what is damaged is
    /// dropped. `false` when that is going on already.
    pub fn start_scrub(&self, bytes_per_second: u64) -> bool {
        self.inner.store.start_scrub(bytes_per_second)
    }

    /// Ends it early; `false` when it is not going on.
    pub fn stop_scrub(&self) -> bool {
        self.inner.store.stop_scrub()
    }

    /// The read side of the store.
    pub fn reader(&self) -> store::Reader<Http> {
        self.inner.reader.clone()
    }

    /// The clock of all caching decisions.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Lifetime and present counts.
    pub fn stats(&self) -> Stats {
        let metrics = &self.inner.metrics;
        let present = |gauge: &prometheus_client::metrics::gauge::Gauge| gauge.get().max(0).cast_unsigned();
        Stats {
            fills_started: metrics.fills_started.get(),
            fills_completed: metrics.count(FillResult::Complete) + metrics.count(FillResult::Revalidated),
            fills_failed: metrics.count(FillResult::Refused)
                + metrics.count(FillResult::Failed)
                + metrics.count(FillResult::DigestMismatch),
            origin_bytes: metrics.origin_bytes.get(),
            negatives: present(&metrics.negatives),
            scheduled: present(&metrics.scheduled),
            filling: present(&metrics.filling),
            bypasses: present(&metrics.bypasses),
            pins: present(&metrics.pins),
        }
    }

    /// Stops starting fills, waits for running ones at most `grace`, then fails the rest (`draining`).
    /// Stored and growing objects are still answered meanwhile.
    pub async fn drain(&self, grace: Duration) {
        self.inner.live.drain(grace).await;
    }
}
