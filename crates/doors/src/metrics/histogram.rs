//! [`Histogram`]: times in buckets, observed without a lock.
//!
//! The registry's own histogram takes a mutex for each observation; this one adds to plain atomics, spread over a few
//! shards so that executor threads do not pull one cache line to and fro. A reader may see a count without its sum
//! for a moment; over a scrape that is noise.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Upper bounds in nanoseconds: 1, 2.5, 5 from 10 µs to 1000 s, which covers a hit and a huge download.
const BOUNDS: [u64; 24] = {
    let mut bounds = [0; 24];
    let mut decade = 10_000;
    let mut at = 0;
    while at < 24 {
        bounds[at] = decade;
        bounds[at + 1] = decade * 5 / 2;
        bounds[at + 2] = decade * 5;
        decade *= 10;
        at += 3;
    }
    bounds
};

/// Enough that threads seldom share one, few enough to be small.
const SHARDS: usize = 8;

/// Times in buckets; clones share the counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram(Arc<[Shard; SHARDS]>);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    /// The last one is for times above every bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Histogram {
    pub(super) fn observe(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < nanoseconds);
        let shard = &self.0[own_shard()];
        shard.buckets[bucket].fetch_add(1, Relaxed);
        shard.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }
}

/// The shard of this thread, dealt out in turn.
fn own_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static OWN: usize = NEXT.fetch_add(1, Relaxed) % SHARDS);
    OWN.with(|own| *own)
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    #[allow(clippy::cast_precision_loss, reason = "seconds for people; 53 bits are plenty")]
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let total = |at: usize| self.0.iter().map(|shard| shard.buckets[at].load(Relaxed)).sum::<u64>();
        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1e9).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.enumerate().map(|(at, bound)| (bound, total(at))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let nanoseconds: u64 = self.0.iter().map(|shard| shard.nanoseconds.load(Relaxed)).sum();
        encoder.encode_histogram::<NoLabelSet>(nanoseconds as f64 / 1e9, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_rise_from_ten_microseconds_to_five_hundred_seconds() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
        assert_eq!((BOUNDS[0], BOUNDS[23]), (10_000, 500_000_000_000));
    }

    #[test]
    fn a_time_on_a_bound_belongs_to_that_bound() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_micros(10));
        histogram.observe(Duration::from_nanos(10_001));
        histogram.observe(Duration::from_secs(5_000));
        let shard = &histogram.0[own_shard()];
        assert_eq!(shard.buckets[0].load(Relaxed), 1);
        assert_eq!(shard.buckets[1].load(Relaxed), 1);
        assert_eq!(shard.buckets[BOUNDS.len()].load(Relaxed), 1);
    }
}
