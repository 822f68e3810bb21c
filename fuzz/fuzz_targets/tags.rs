#![no_main]
//! Tags: distinct and within their limits, whatever comes.

use std::collections::HashSet;

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use protocols::http::tags::{MAX_LENGTH, MAX_TAGS, Tags};

fuzz_target!(|bytes: &[u8]| {
    let mut headers = HeaderMap::new();
    let names = ["cache-tag", "surrogate-key", "xkey"];
    for (line, name) in bytes.split(|byte| *byte == b'\n').zip(names.into_iter().cycle()) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    let tags = Tags::from_headers(&headers);
    assert!(tags.names.len() <= MAX_TAGS);
    assert!(tags.names.iter().all(|tag| (1..=MAX_LENGTH).contains(&tag.len())));
    assert_eq!(tags.names.iter().collect::<HashSet<_>>().len(), tags.names.len());
});
