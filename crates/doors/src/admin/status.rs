//! `/api/v1/status/`: KissCache's fields with the nearest thing we have, and ours beside them.

use http::header::HOST;
use http::request::Parts as RequestHead;
use serde::Serialize;

use super::Parts;
use crate::respond::Page;
use crate::session;

/// What the doors have counted since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests that the fetch door has answered.
    pub requests: u64,
    /// Body bytes sent to clients.
    pub sent_bytes: u64,
    /// Body bytes sent that no origin had to send for them.
    pub saved_bytes: u64,
    /// What the door for TLS sessions holds and did, when there is one.
    pub sessions: Option<session::Counts>,
}

#[derive(Serialize)]
struct Status<'a> {
    // KissCache's.
    timestamp: u64,
    disk_usage: u64,
    disk_usage_percent: u64,
    disk_quota: u64,
    instance: String,
    resources_scheduled: u64,
    resources_downloading: u64,
    resources_successes: u64,
    resources_failures: u64,
    resources_usage: u64,
    statistics_successes: u64,
    statistics_failures: u64,
    statistics_download: u64,
    statistics_upload: u64,
    statistics_requests: u64,
    version: &'a str,
    // Ours.
    entries: u64,
    fills: u64,
    fills_started: u64,
    flights: u64,
    followers: u64,
    memory_usage: u64,
    saved_bytes: u64,
    bypasses: u64,
    pins: u64,
    /// Parts of the index that are still being read after the start.
    index_parts_unloaded: u64,
    /// Why the store does not store; null: it does.
    store_degraded: Option<&'a str>,
    draining: bool,
    /// The door for TLS sessions; null: there is none.
    session: Option<session::Counts>,
}

pub(super) fn page(parts: &Parts, head: &RequestHead) -> Page {
    let stats = parts.cache.stats();
    let usage = parts.cache.reader().usage();
    let traffic = (parts.traffic)();
    let successes = usage.entries.saturating_sub(usage.fills);
    let status = Status {
        timestamp: parts.cache.clock().now().seconds(),
        disk_usage: usage.used,
        disk_usage_percent: percent(usage.used, usage.quota),
        disk_quota: usage.quota,
        instance: base_url(head),
        resources_scheduled: stats.scheduled,
        resources_downloading: stats.filling,
        resources_successes: successes,
        resources_failures: stats.negatives,
        // Uses of an object, on average.
        resources_usage: traffic.requests.checked_div(successes).unwrap_or(0),
        statistics_successes: stats.fills_completed,
        statistics_failures: stats.fills_failed,
        statistics_download: stats.origin_bytes,
        statistics_upload: traffic.sent_bytes,
        statistics_requests: traffic.requests,
        version: parts.settings.version,
        entries: usage.entries,
        fills: usage.fills,
        fills_started: stats.fills_started,
        flights: usage.flights,
        followers: usage.followers,
        memory_usage: usage.memory,
        saved_bytes: traffic.saved_bytes,
        bypasses: stats.bypasses,
        pins: stats.pins,
        index_parts_unloaded: usage.unloaded,
        store_degraded: usage.degraded.as_deref(),
        draining: parts.draining.load(std::sync::atomic::Ordering::Relaxed),
        session: traffic.sessions,
    };
    // A struct of numbers and strings always serialises.
    let body = serde_json::to_string_pretty(&status).unwrap_or_default() + "\n";
    Page { content_type: "application/json", body }
}

/// Rounded; 0 without a quota.
fn percent(used: u64, quota: u64) -> u64 {
    let rounded = (u128::from(used) * 100 + u128::from(quota) / 2).checked_div(u128::from(quota));
    u64::try_from(rounded.unwrap_or(0)).unwrap_or(u64::MAX)
}

/// The address under which the client found us.
pub(super) fn base_url(head: &RequestHead) -> String {
    let host = head.uri.authority().map(|authority| authority.as_str());
    let host = host.or_else(|| head.headers.get(HOST)?.to_str().ok()).filter(|host| is_plain(host));
    format!("http://{}", host.unwrap_or("127.0.0.1:8001"))
}

/// A client's word goes on a page and into a command line: nothing but host and port.
fn is_plain(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentage_is_rounded_and_no_quota_is_no_fault() {
        assert_eq!(percent(0, 0), 0);
        assert_eq!(percent(7, 0), 0);
        assert_eq!(percent(994, 1000), 99);
        assert_eq!(percent(995, 1000), 100);
        assert_eq!(percent(u64::MAX, 1), u64::MAX);
    }

    #[test]
    fn the_address_on_the_page_is_the_one_the_client_used_unless_it_is_odd() {
        let base = |host: &str| {
            let request = http::Request::builder().uri("/").header(HOST, host).body(()).unwrap();
            base_url(&request.into_parts().0)
        };
        assert_eq!(base("cache.lab:8001"), "http://cache.lab:8001");
        assert_eq!(base("[::1]:80"), "http://[::1]:80");
        assert_eq!(base("x' ; rm -rf /"), "http://127.0.0.1:8001");
    }
}
