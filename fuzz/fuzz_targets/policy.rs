#![no_main]
//! The policy over any response: nothing overflows, what is forbidden is not stored, and a 304 without fields changes nothing.

use std::time::Duration;

use cache::Timestamp;
use cache::policy::{
    Answered, Asked, Demand, Overrides, Reuse, Settings, Stored, Trouble, decide, fields, invalidated,
    may_serve_on_error, may_store,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use libfuzzer_sys::fuzz_target;
use protocols::http::cache_control::Directive::{NoCache, NoStore, Private};
use protocols::http::cache_control::{MAX, RequestControl, ResponseControl};
use url::Url;

fuzz_target!(|input: (u16, u64, u64, &[u8], &[u8])| {
    let (status, at, age, asked, answered) = input;
    let Ok(status) = StatusCode::from_u16(status) else { return };
    let (asked, answered) = (parsed(asked), parsed(answered));
    let url = Url::parse("http://a.example/dir/f?q=1").expect("a URL");
    let (settings, overrides) = (Settings::default(), Overrides::default());
    for named in invalidated(&Method::POST, &url, status, &answered) {
        assert_eq!(named.host_str(), url.host_str());
    }
    let exchange = Asked { method: &Method::GET, url: &url, headers: &asked };
    let response = Answered { status, headers: &answered, at: Timestamp(at) };
    let Ok(storable) = may_store(exchange, response, &settings, &overrides) else { return };
    if !answered.contains_key("cdn-cache-control") {
        let control = ResponseControl::from_headers(&answered);
        assert!(!control.has(Private));
        assert!(
            !control.has(NoStore) || control.has(protocols::http::cache_control::Directive::MustUnderstand)
        );
    }
    let kept = fields::stored(&answered, &storable.excluded);
    assert!(storable.excluded.names().iter().all(|name| !kept.contains_key(name)));
    assert_eq!(fields::updated(&kept, &HeaderMap::new()), kept);

    let freshness = &storable.freshness;
    assert!(freshness.lifetime <= MAX && freshness.stale_while_revalidate <= MAX);
    let request = RequestControl::from_headers(&asked);
    let age = Duration::from_millis(age);
    let stored = Stored { freshness, age, since_validated: age };
    let reuse = decide(stored, request, &settings);
    let served = matches!(reuse, Reuse::Fresh(_) | Reuse::Stale(_) | Reuse::StaleWhileRevalidate);
    assert!(!served || !freshness.demands.has(Demand::NoCache));
    let strict = [Demand::MustRevalidate, Demand::ProxyRevalidate, Demand::SMaxAge]
        .map(|demand| freshness.demands.has(demand));
    if strict.contains(&true) && !freshness.is_fresh(age) {
        assert!(!served);
        assert!(may_serve_on_error(stored, request, Trouble::Unreachable, &settings).is_err());
    }
    assert!(!request.has(NoCache) || !matches!(reuse, Reuse::Stale(_) | Reuse::StaleWhileRevalidate));
});

fn parsed(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let Ok(name) = HeaderName::from_bytes(&line[..colon]) else { continue };
        let Ok(value) = HeaderValue::from_bytes(&line[colon + 1..]) else { continue };
        headers.append(name, value);
    }
    headers
}
