#![no_main]
//! `Via`: whatever stands before, our own member is found.

use http::header::VIA;
use http::{HeaderMap, HeaderValue, Version};
use libfuzzer_sys::fuzz_target;
use protocols::http::via::{Hops, member};

fuzz_target!(|bytes: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        headers.extend(HeaderValue::from_bytes(line).ok().map(|value| (VIA, value)));
    }
    let before = Hops::from_headers(&headers, "standpipe");
    headers.append(VIA, member(Version::HTTP_11, "standpipe"));
    let after = Hops::from_headers(&headers, "standpipe");
    assert_eq!((after.total, after.ours), (before.total + 1, before.ours + 1));
});
