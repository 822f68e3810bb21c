//! What operators see of origins. Handles are made once; labels are the constant reasons of `cache::Kind`.

use std::sync::Arc;

use cache::Error;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// The handles.
pub(crate) struct Metrics {
    requests: Family<ResultLabel, Counter>,
    broken_bodies: Family<ResultLabel, Counter>,
    tunnels: Family<ResultLabel, Counter>,
    pub(crate) redirects: Counter,
    pub(crate) repeats: Counter,
    pub(crate) received: Counter,
    pub(crate) connect_seconds: Histogram,
    connections: Gauge,
    pub(crate) exchanges: Gauge,
    pub(crate) queue: Gauge,
    /// Places lent on because nobody took the bytes that lay.
    pub(crate) lent: Counter,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Arc<Self> {
        let metrics = Self {
            requests: Family::default(),
            broken_bodies: Family::default(),
            tunnels: Family::default(),
            redirects: Counter::default(),
            repeats: Counter::default(),
            received: Counter::default(),
            connect_seconds: Histogram::new([0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]),
            connections: Gauge::default(),
            exchanges: Gauge::default(),
            queue: Gauge::default(),
            lent: Counter::default(),
        };
        let m = &metrics;
        registry.register(
            "standpipe_origin_requests",
            "Requests to origins by result: ok (a final answer's head came) or the reason why not",
            m.requests.clone(),
        );
        registry.register(
            "standpipe_origin_broken_bodies",
            "Bodies from origins that did not come whole, by reason",
            m.broken_bodies.clone(),
        );
        registry.register(
            "standpipe_origin_tunnels",
            "Tunnels asked for by result: ok (it was opened) or the reason why not",
            m.tunnels.clone(),
        );
        registry.register("standpipe_origin_redirects", "Redirects followed", m.redirects.clone());
        registry.register(
            "standpipe_origin_repeats",
            "Requests sent again because a kept connection turned out dead",
            m.repeats.clone(),
        );
        registry.register("standpipe_origin_received_bytes", "Body bytes from origins", m.received.clone());
        registry.register(
            "standpipe_origin_connect_seconds",
            "Time to a usable connection: resolving, TCP, proxy, TLS",
            m.connect_seconds.clone(),
        );
        registry.register(
            "standpipe_origin_connections",
            "Live connections to origins",
            m.connections.clone(),
        );
        registry.register(
            "standpipe_origin_exchanges",
            "Exchanges with origins under way",
            m.exchanges.clone(),
        );
        registry.register(
            "standpipe_origin_places_lent",
            "Places at a host lent on because nobody took the bytes that had come",
            m.lent.clone(),
        );
        registry.register(
            "standpipe_origin_queue",
            "Requests that wait for their host's turn",
            m.queue.clone(),
        );
        Arc::new(metrics)
    }

    pub(crate) fn request<T>(&self, result: &Result<T, Error>) {
        let result = result.as_ref().map_or_else(|error| error.kind.reason(), |_| "ok");
        self.requests.get_or_create(&ResultLabel { result }).inc();
    }

    pub(crate) fn tunnel<T>(&self, result: &Result<T, Error>) {
        let result = result.as_ref().map_or_else(|error| error.kind.reason(), |_| "ok");
        self.tunnels.get_or_create(&ResultLabel { result }).inc();
    }

    pub(crate) fn broken_body(&self, error: &Error) {
        self.broken_bodies.get_or_create(&ResultLabel { result: error.kind.reason() }).inc();
    }

    pub(crate) fn live(&self) -> Live {
        Live::count(&self.connections)
    }
}

/// Counts as one in a gauge for as long as it lives.
pub(crate) struct Live(Gauge);

impl Live {
    pub(crate) fn count(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.dec();
    }
}
