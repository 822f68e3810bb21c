#![no_main]
//! Canonical URLs: http or https, clean, and canonical once for all.

use libfuzzer_sys::fuzz_target;
use protocols::http::url::CanonicalUrl;

fuzz_target!(|text: &str| {
    let Ok(CanonicalUrl { url, .. }) = CanonicalUrl::parse(text) else { return };
    assert!(matches!(url.scheme(), "http" | "https") && url.host().is_some() && url.port() != Some(0));
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
    assert!(
        url.as_str().len() <= CanonicalUrl::MAX_LENGTH
            && url.as_str().bytes().all(|byte| byte.is_ascii_graphic())
    );
    let again = CanonicalUrl::parse(url.as_str()).expect("a canonical URL is valid");
    assert_eq!(again.url, url);
});
