#![no_main]
//! `Repr-Digest`: what is read is read again from what is written.

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use protocols::http::digest::{REPR_DIGEST, header_value, sha256};

fuzz_target!(|bytes: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        headers.extend(HeaderValue::from_bytes(line).ok().map(|value| (REPR_DIGEST, value)));
    }
    let Some(digest) = sha256(&headers, &REPR_DIGEST) else { return };
    headers.insert(REPR_DIGEST, header_value(&digest));
    assert_eq!(sha256(&headers, &REPR_DIGEST), Some(digest));
});
