#![no_main]
//! `Age`: never more than 2^31 seconds.

use http::header::AGE;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use protocols::http::age;

fuzz_target!(|bytes: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        headers.extend(HeaderValue::from_bytes(line).ok().map(|value| (AGE, value)));
    }
    assert!(age::age(&headers) <= age::MAX);
});
