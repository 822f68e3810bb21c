//! What the doors count: requests, bytes, times, connections.
//!
//! Owns the doors' metric handles. Registered once at the start; `wire`, `listen`, `access_log` and `service` count
//! through clones that share everything.
//!
//! Counting takes no lock: label sets resolve to handles once ([`requests`]), histograms are plain atomics
//! ([`histogram`]). Does not count what the cache, the store or the origins do; they register their own.

mod histogram;
mod requests;

use std::sync::Arc;
use std::time::Duration;

use cache::{Outcome, Source};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use self::histogram::Histogram;
use self::requests::Requests;
use crate::admin::Traffic;

/// Handles to the doors' metrics; clones share the counts.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Handles>);

#[derive(Debug)]
struct Handles {
    requests: Requests,
    bytes_from_cache: Counter,
    bytes_from_origin: Counter,
    saved_bytes: Counter,
    request_duration: Histogram,
    first_byte: Histogram,
    connections: Counter,
    connections_live: Gauge,
    connections_waiting: Gauge,
    accept_errors: Counter,
    handshake_errors: Counter,
    write_stalls: Counter,
    read_timeouts: Counter,
    floods: Counter,
    lines_dropped: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: &'static str,
}

impl Metrics {
    /// Registers the doors' metrics, all of them with the prefix `standpipe_`.
    pub fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("standpipe");
        let requests = Requests::default();
        registry.register("requests", "Requests finished, by door, outcome and reason", requests.family());
        let bytes = Family::<SourceLabel, Counter>::default();
        registry.register(
            "bytes_sent",
            "Body bytes handed to clients, by where they came from",
            bytes.clone(),
        );
        let from = |source| bytes.get_or_create(&SourceLabel { source }).clone();
        Self(Arc::new(Handles {
            requests,
            bytes_from_cache: from("cache"),
            bytes_from_origin: from("origin"),
            saved_bytes: counter(registry, "saved_bytes", "Body bytes that no origin had to send again"),
            request_duration: histogram(registry, "request_duration", "From request head to last byte"),
            first_byte: histogram(registry, "first_byte", "From request head to the first byte of the body"),
            connections: counter(registry, "connections", "Connections accepted"),
            connections_live: gauge(registry, "connections_live", "Connections open now"),
            connections_waiting: gauge(
                registry,
                "connections_full",
                "1 while the connection limit holds back accepts",
            ),
            accept_errors: counter(
                registry,
                "accept_errors",
                "Accepts that failed, for want of descriptors mostly",
            ),
            handshake_errors: counter(
                registry,
                "tls_handshake_errors",
                "TLS handshakes of clients that failed or took too long",
            ),
            write_stalls: counter(
                registry,
                "write_stalls",
                "Connections cut because their reader took nothing",
            ),
            read_timeouts: counter(
                registry,
                "read_timeouts",
                "Connections closed idle or with a head too slow",
            ),
            floods: counter(
                registry,
                "floods",
                "Connections cut because much came that belonged to no request",
            ),
            lines_dropped: counter(
                registry,
                "access_log_dropped_lines",
                "Access-log lines lost to a full queue",
            ),
        }))
    }

    /// The doors' counts for status pages.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            requests: self.0.requests.count_of("fetch"),
            sent_bytes: self.0.bytes_from_cache.get() + self.0.bytes_from_origin.get(),
            saved_bytes: self.0.saved_bytes.get(),
            sessions: None,
        }
    }

    /// Counts a finished request.
    pub(crate) fn request_finished(
        &self,
        door: &'static str,
        outcome: Option<Outcome>,
        reason: &'static str,
    ) {
        self.0.requests.count(door, outcome, reason);
    }

    /// Observes how long a request took and when its first byte was there.
    pub(crate) fn request_took(&self, first_byte: Duration, duration: Duration) {
        self.0.first_byte.observe(first_byte);
        self.0.request_duration.observe(duration);
    }

    /// Counts body bytes handed to the wire.
    pub(crate) fn bytes_sent(&self, source: Source, outcome: Option<Outcome>, bytes: u64) {
        match source {
            Source::Cache => self.0.bytes_from_cache.inc_by(bytes),
            Source::Origin => self.0.bytes_from_origin.inc_by(bytes),
        };
        if source == Source::Cache || outcome == Some(Outcome::Follow) {
            self.0.saved_bytes.inc_by(bytes);
        }
    }

    /// Counts a connection for as long as the guard lives.
    pub(crate) fn connection_opened(&self) -> LiveConnection {
        self.0.connections.inc();
        self.0.connections_live.inc();
        LiveConnection(self.clone())
    }

    /// Says whether the connection limit holds back accepts.
    pub(crate) fn connections_full(&self, full: FullHouse) {
        self.0.connections_waiting.set(full as i64);
    }

    /// Counts an accept that failed.
    pub(crate) fn accept_failed(&self) {
        self.0.accept_errors.inc();
    }

    /// Counts a TLS handshake that came to nothing.
    pub(crate) fn handshake_failed(&self) {
        self.0.handshake_errors.inc();
    }

    /// Counts a connection cut because its reader took nothing.
    pub(crate) fn write_stalled(&self) {
        self.0.write_stalls.inc();
    }

    /// Counts a connection closed for silence.
    pub(crate) fn flooded(&self) {
        self.0.floods.inc();
    }

    pub(crate) fn read_timed_out(&self) {
        self.0.read_timeouts.inc();
    }

    /// Counts an access-log line that found the queue full.
    pub(crate) fn line_dropped(&self) {
        self.0.lines_dropped.inc();
    }
}

/// Whether there is room for another connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FullHouse {
    No = 0,
    Yes = 1,
}

/// Counts one connection as live.
#[derive(Debug)]
pub(crate) struct LiveConnection(Metrics);

impl Drop for LiveConnection {
    fn drop(&mut self) {
        self.0.0.connections_live.dec();
    }
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

fn histogram(registry: &mut Registry, name: &str, help: &str) -> Histogram {
    let histogram = Histogram::default();
    registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).expect("encodes");
        text
    }

    #[test]
    fn everything_counted_is_exported_with_the_prefix() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        metrics.request_finished("fetch", Some(Outcome::Hit), "fresh");
        metrics.request_finished("fetch", Some(Outcome::Hit), "fresh");
        metrics.request_finished("admin", None, "status");
        metrics.bytes_sent(Source::Cache, Some(Outcome::Hit), 10);
        metrics.bytes_sent(Source::Origin, Some(Outcome::Follow), 5);
        metrics.bytes_sent(Source::Origin, Some(Outcome::Miss), 3);
        metrics.request_took(Duration::from_micros(3), Duration::from_millis(2));
        assert_eq!(
            metrics.traffic(),
            Traffic { requests: 2, sent_bytes: 18, saved_bytes: 15, sessions: None }
        );
        let guard = metrics.connection_opened();
        let text = encoded(&registry);
        for line in [
            "standpipe_requests_total{door=\"fetch\",outcome=\"hit\",reason=\"fresh\"} 2",
            "standpipe_requests_total{door=\"admin\",outcome=\"none\",reason=\"status\"} 1",
            "standpipe_bytes_sent_total{source=\"cache\"} 10",
            "standpipe_bytes_sent_total{source=\"origin\"} 8",
            "standpipe_saved_bytes_total 15",
            "standpipe_connections_live 1",
            "standpipe_request_duration_seconds_count 1",
            "standpipe_first_byte_seconds_bucket{le=\"0.0001\"} 1",
            "standpipe_first_byte_seconds_bucket{le=\"+Inf\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        drop(guard);
        assert!(encoded(&registry).contains("standpipe_connections_live 0"));
    }
}
