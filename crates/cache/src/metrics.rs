//! [`Metrics`]: what the cache counts. Owned by the cache; fills and the memory of refusals write to it.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type ByResult = Family<[(&'static str, &'static str); 1], Counter>;

/// How a fill ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FillResult {
    /// The whole object is stored.
    Complete,
    /// The origin confirmed the stored object.
    Revalidated,
    /// No object: the origin or the store refused.
    Refused,
    /// The transfer broke and could not be resumed.
    Failed,
    /// The object is not the one that was asked for: sent to those who followed, not stored.
    DigestMismatch,
}

impl FillResult {
    const ALL: [Self; 5] =
        [Self::Complete, Self::Revalidated, Self::Refused, Self::Failed, Self::DigestMismatch];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Revalidated => "revalidated",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::DigestMismatch => "digest_mismatch",
        }
    }
}

#[derive(Default)]
pub(crate) struct Metrics {
    fills: ByResult,
    pub(crate) fills_started: Counter,
    pub(crate) origin_bytes: Counter,
    pub(crate) retries: Counter,
    pub(crate) resumes: Counter,
    pub(crate) take_overs: Counter,
    /// Stored objects made invalid by an unsafe method.
    pub(crate) invalidated: Counter,
    pub(crate) variants_dropped: Counter,
    pub(crate) swept: Counter,
    pub(crate) purges: Counter,
    pub(crate) purged: Counter,
    pub(crate) walks: Gauge,
    pub(crate) prewarming: Gauge,
    pub(crate) negatives: Gauge,
    pub(crate) negatives_dropped: Counter,
    pub(crate) waiting: Gauge,
    pub(crate) scheduled: Gauge,
    pub(crate) filling: Gauge,
    pub(crate) pins: Gauge,
    pub(crate) tags_dropped: Counter,
    pub(crate) bypasses: Gauge,
    pub(crate) bypasses_waiting: Gauge,
}

impl Metrics {
    /// Makes the metrics and registers them; every label value is there from the start.
    pub(crate) fn register(registry: &mut Registry) -> Arc<Self> {
        let it = Self::default();
        for result in FillResult::ALL {
            drop(it.fills.get_or_create(&[("result", result.as_str())]));
        }
        registry.register("standpipe_fills", "Fills that ended, by result", it.fills.clone());
        registry.register("standpipe_fills_started", "Fills that were started", it.fills_started.clone());
        registry.register("standpipe_origin_bytes", "Bytes of bodies from origins", it.origin_bytes.clone());
        registry.register("standpipe_fill_retries", "Attempts repeated before the head", it.retries.clone());
        registry.register("standpipe_fill_resumes", "Broken transfers gone on with", it.resumes.clone());
        registry.register(
            "standpipe_take_overs",
            "Requests that started over because the fill they waited for broke",
            it.take_overs.clone(),
        );
        registry.register(
            "standpipe_swept",
            "Entries removed because nobody wants them kept",
            it.swept.clone(),
        );
        registry.register("standpipe_purges", "Purges that operators asked for", it.purges.clone());
        registry.register("standpipe_purged", "Entries that purges have selected", it.purged.clone());
        registry.register("standpipe_walks", "Looks at all entries now going on", it.walks.clone());
        registry.register("standpipe_prewarming", "Lists of URLs now being fetched", it.prewarming.clone());
        registry.register(
            "standpipe_invalidated",
            "URLs that an unsafe method has made invalid",
            it.invalidated.clone(),
        );
        registry.register(
            "standpipe_variants_dropped",
            "Variants removed because a URL had too many",
            it.variants_dropped.clone(),
        );
        registry.register("standpipe_negatives", "Refusals now remembered", it.negatives.clone());
        registry.register(
            "standpipe_negatives_dropped",
            "Refusals forgotten early because there were too many",
            it.negatives_dropped.clone(),
        );
        registry.register("standpipe_fills_waiting", "Fills waiting for their turn", it.waiting.clone());
        registry.register(
            "standpipe_fills_scheduled",
            "Fills between claim and the origin's first answer",
            it.scheduled.clone(),
        );
        registry.register("standpipe_fills_filling", "Fills now writing", it.filling.clone());
        registry.register("standpipe_pins", "Promises that objects are not evicted", it.pins.clone());
        registry.register(
            "standpipe_tags_dropped",
            "Tags of answers that are not kept because there are too many or they are too long",
            it.tags_dropped.clone(),
        );
        registry.register("standpipe_bypasses", "Objects now streamed past the store", it.bypasses.clone());
        registry.register(
            "standpipe_bypasses_waiting",
            "Requests waiting to be answered past the store",
            it.bypasses_waiting.clone(),
        );
        Arc::new(it)
    }

    pub(crate) fn ended(&self, result: FillResult) {
        self.fills.get_or_create(&[("result", result.as_str())]).inc();
    }

    pub(crate) fn count(&self, result: FillResult) -> u64 {
        self.fills.get_or_create(&[("result", result.as_str())]).get()
    }
}

/// Counts one in a gauge for as long as it lives.
pub(crate) struct Counted(Gauge);

impl Counted {
    pub(crate) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
