//! The counters of a session server, of its store and of a proxy, as metrics `standpipe_session_*`.
//!
//! Read when they are asked for: serving counts in plain atomics of its own.

use std::fmt;
use std::sync::Arc;

use distcache::MemoryStore;
use distcache::metrics::ConnectionMetrics;
use distcache::proxy::ProxyMetrics;
use distcache::server::ServerMetrics;
use distcache::store::redis::RedisStore;
use distcache::stunnel::{Sessiond, SessiondMetrics};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::Kept;

/// What is shown of a server.
pub struct Shown {
    /// The server.
    pub server: Arc<ServerMetrics>,
    /// Its store.
    pub kept: Kept,
    /// What serves stunnels from the same store.
    pub sessiond: Option<Sessiond>,
}

/// Shows a server and its store.
pub fn register(registry: &mut Registry, shown: Shown) {
    of_sessions(registry).register_collector(Box::new(shown));
}

/// Shows a proxy.
pub fn register_proxy(registry: &mut Registry, proxy: Arc<ProxyMetrics>) {
    of_sessions(registry).register_collector(Box::new(OfProxy(proxy)));
}

pub(super) fn of_sessions(registry: &mut Registry) -> &mut Registry {
    registry.sub_registry_with_prefix("standpipe").sub_registry_with_prefix("session")
}

#[derive(Debug)]
struct OfProxy(Arc<ProxyMetrics>);

/// Metrics being written.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder)
    }

    /// One counter with a value for each of some words.
    pub(super) fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: &[([(&str, &str); N], u64)],
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in rows {
            ConstCounter::new(*value).encode(family.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn memory(&mut self, memory: &MemoryStore) -> fmt::Result {
        let held = memory.stats();
        self.gauge("sessions", "Sessions held", held.sessions)?;
        self.gauge("bytes", "Bytes that ids and sessions take", held.bytes)?;
        self.counter("evicted", "Sessions dropped before their time to make room", held.evicted)?;
        self.counter("expired", "Sessions that timed out", held.expired)?;
        self.gauge("reserved_bytes", "Bytes of memory set aside for sessions", held.reserved)?;
        self.gauge("unlocked_bytes", "Bytes of it that the system would not lock", held.unlocked)
    }

    fn redis(&mut self, redis: &RedisStore) -> fmt::Result {
        let (store, breaker) = (redis.metrics(), redis.breaker());
        self.counter("store_operations", "Operations sent to the store", store.operations.get())?;
        self.gauge("store_in_flight", "Operations under way at the store", store.in_flight.get())?;
        let failed = [
            ([("reason", "full")], store.refused_full.get()),
            ([("reason", "breaker")], breaker.refused()),
            ([("reason", "unanswered")], store.unanswered.get()),
            ([("reason", "failed")], store.failed.get()),
            ([("reason", "unreadable")], store.unreadable.get()),
        ];
        self.counters("store_failures", "Operations that the store did not do, by reason", &failed)?;
        self.gauge("store_connected", "1 while the store is connected", store.connected.get())?;
        self.counter("store_connects", "Connections made to the store", store.connects.get())?;
        self.counter("store_connect_errors", "Attempts that failed", store.connect_failures.get())?;
        self.gauge("store_given_up", "1 while the store is not asked", u64::from(!breaker.is_closed()))?;
        self.counter("store_give_ups", "Times the store was given up for a while", breaker.opened())
    }

    fn sessiond(&mut self, sessiond: &SessiondMetrics) -> fmt::Result {
        let row = |operation, result, value| ([("operation", operation), ("result", result)], value);
        let hits = sessiond.get_hits.get();
        let requests = [
            row("new", "stored", sessiond.news.get()),
            row("new", "refused", sessiond.news_refused.get()),
            row("get", "hit", hits),
            row("get", "miss", sessiond.gets.get().saturating_sub(hits)),
            row("remove", "done", sessiond.removes.get()),
        ];
        self.counters("sessiond_requests", "Requests of stunnels, by operation and result", &requests)?;
        let dropped = [
            ([("reason", "malformed")], sessiond.malformed.get()),
            ([("reason", "address")], sessiond.refused_address.get()),
            ([("reason", "full")], sessiond.refused_full.get()),
            ([("reason", "unsent")], sessiond.unsent.get()),
            ([("reason", "store")], sessiond.store_errors.get()),
        ];
        self.counters("sessiond_dropped", "Requests of stunnels that were not served, by reason", &dropped)
    }

    fn connections(&mut self, connections: &ConnectionMetrics) -> fmt::Result {
        let ConnectionMetrics {
            open,
            accepted,
            refused_full,
            refused_uid,
            accept_errors,
            handshake_errors,
            closed_malformed,
            closed_idle,
            closed_partial,
            closed_stalled,
            closed_drained,
        } = connections;
        self.gauge("connections_open", "Connections open now", open.get())?;
        self.counter("connections", "Connections let in", accepted.get())?;
        let refused = [
            ([("reason", "full")], refused_full.get()),
            ([("reason", "uid")], refused_uid.get()),
            ([("reason", "handshake")], handshake_errors.get()),
        ];
        self.counters("connections_refused", "Connections not let in, by reason", &refused)?;
        let closed = [
            ([("reason", "malformed")], closed_malformed.get()),
            ([("reason", "idle")], closed_idle.get()),
            ([("reason", "partial")], closed_partial.get()),
            ([("reason", "stalled")], closed_stalled.get()),
            ([("reason", "drained")], closed_drained.get()),
        ];
        self.counters("connections_closed", "Connections closed by us, by reason", &closed)?;
        self.counter(
            "accept_errors",
            "Accepts that failed, for want of descriptors mostly",
            accept_errors.get(),
        )
    }
}

impl Collector for Shown {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (server, mut page) = (&self.server, Page(encoder));
        let row = |operation, result, value| ([("operation", operation), ("result", result)], value);
        // Read in an order that keeps a difference from going below zero.
        let (get_hits, remove_hits) = (server.get_hits.get(), server.remove_hits.get());
        let (have_hits, failed) = (server.have_hits.get(), server.store_errors.get());
        let operations = [
            row("add", "stored", server.adds_stored.get()),
            row("add", "duplicate", server.adds_duplicate.get()),
            row("add", "refused", server.adds_refused.get()),
            row("get", "hit", get_hits),
            row("get", "miss", server.gets.get().saturating_sub(get_hits)),
            row("remove", "hit", remove_hits),
            row("remove", "miss", server.removes.get().saturating_sub(remove_hits)),
            row("have", "hit", have_hits),
            row("have", "miss", server.haves.get().saturating_sub(have_hits)),
        ];
        page.counters("operations", "Requests answered, by operation and result", &operations)?;
        page.counter("store_errors", "Requests answered with status 2: the store failed", failed)?;
        let waits = server.back_pressure.get();
        page.counter("back_pressure", "Times a connection waited for its client or the store", waits)?;
        page.connections(&server.connections)?;
        if let Some(memory) = &self.kept.memory {
            page.memory(memory)?;
        }
        if let Some(redis) = &self.kept.redis {
            page.redis(redis)?;
        }
        match &self.sessiond {
            Some(sessiond) => page.sessiond(sessiond.metrics()),
            None => Ok(()),
        }
    }
}

impl Collector for OfProxy {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (proxy, mut page) = (&self.0, Page(encoder));
        page.counter("proxy_requests", "Requests sent to the server", proxy.requests.get())?;
        page.counter("proxy_answers", "Answers passed to clients", proxy.answers.get())?;
        let disconnected = proxy.answered_disconnected.get();
        page.counter("proxy_disconnected", "Requests answered with status 2: no server", disconnected)?;
        page.counter("proxy_orphans", "Answers whose client was gone", proxy.orphans.get())?;
        page.counter("proxy_unasked", "Answers that nobody had asked for", proxy.unasked.get())?;
        let waits = proxy.back_pressure.get();
        page.counter("proxy_back_pressure", "Times a client waited for others' requests", waits)?;
        page.gauge("proxy_connected", "1 while the server is connected", proxy.connected.get())?;
        page.counter("proxy_connects", "Attempts to connect to the server", proxy.connects.get())?;
        page.counter("proxy_connect_errors", "Attempts that failed", proxy.connect_errors.get())?;
        page.counter("proxy_disconnects", "Connections to the server that ended", proxy.disconnects.get())?;
        page.connections(&proxy.clients)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}
