#![no_main]
//! `Cache-Control`: numbers within their limit, and more lines never make it say less that restricts.

use libfuzzer_sys::fuzz_target;
use protocols::http::cache_control::Directive::{
    MustRevalidate, NoCache, NoStore, OnlyIfCached, Private, ProxyRevalidate,
};
use protocols::http::cache_control::{MAX, MAX_LISTED, RequestControl, ResponseControl};

fuzz_target!(|bytes: &[u8]| {
    let lines: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
    let (fewer, all) = (&lines[..lines.len() / 2], &lines[..]);
    let first = ResponseControl::from_lines(fewer.iter().copied());
    let whole = ResponseControl::from_lines(all.iter().copied());
    for directive in [NoStore, NoCache, Private, MustRevalidate, ProxyRevalidate] {
        assert!(whole.has(directive) || !first.has(directive));
    }
    for (before, after) in [(first.max_age, whole.max_age), (first.s_maxage, whole.s_maxage)] {
        assert!(before.is_none_or(|before| after.is_some_and(|after| after <= before)));
        assert!(after.is_none_or(|after| after <= MAX));
    }
    assert!(whole.no_cache_fields().len() <= MAX_LISTED && whole.private_fields().len() <= MAX_LISTED);

    let first = RequestControl::from_lines(fewer.iter().copied());
    let whole = RequestControl::from_lines(all.iter().copied());
    for directive in [NoStore, NoCache, OnlyIfCached] {
        assert!(whole.has(directive) || !first.has(directive));
    }
    assert!(first.max_age.is_none_or(|before| whole.max_age.is_some_and(|after| after <= before)));
    assert!(first.min_fresh <= whole.min_fresh);
});
