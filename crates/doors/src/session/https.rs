//! The counters of TLS sessions that our own HTTPS listeners share, as metrics `standpipe_session_https_*`: one sum over
//! all of them, for which site a session was is nobody's business here.

use std::fmt;
use std::sync::Arc;

use distcache::metrics::Counter;
use distcache::rustls::{SharedMetrics, SharedSessions};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use super::metrics::{Page, of_sessions};

/// Shows what became of the sessions of HTTPS listeners.
pub fn register_https(registry: &mut Registry, shared: Vec<Arc<SharedSessions>>) {
    of_sessions(registry).register_collector(Box::new(OfListeners(shared)));
}

#[derive(Debug)]
struct OfListeners(Vec<Arc<SharedSessions>>);

impl OfListeners {
    fn sum(&self, counter: impl Fn(&SharedMetrics) -> &Counter) -> u64 {
        self.0.iter().map(|shared| counter(shared.metrics()).get()).sum()
    }
}

impl Collector for OfListeners {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let fetches = [
            ([("result", "local")], self.sum(|metrics| &metrics.local_hits)),
            ([("result", "shared")], self.sum(|metrics| &metrics.shared_hits)),
            ([("result", "miss")], self.sum(|metrics| &metrics.misses)),
            ([("result", "late")], self.sum(|metrics| &metrics.late)),
            ([("result", "breaker")], self.sum(|metrics| &metrics.refused_breaker)),
            ([("result", "share")], self.sum(|metrics| &metrics.refused_share)),
        ];
        page.counters("https_fetches", "Sessions that HTTPS handshakes asked for, by result", &fetches)?;
        let uploads = [
            ([("result", "stored")], self.sum(|metrics| &metrics.uploaded)),
            ([("result", "local")], self.sum(|metrics| &metrics.kept_local)),
            ([("result", "lost")], self.sum(|metrics| &metrics.lost)),
        ];
        page.counters("https_uploads", "Sessions that HTTPS handshakes made, by where they are", &uploads)?;
        let given_up = self.0.iter().any(|shared| !shared.breaker().is_closed());
        page.gauge("https_given_up", "1 while HTTPS listeners do not ask the store", u64::from(given_up))
    }
}
