#![no_main]
//! Hop-by-hop fields: none is left, and removing twice changes nothing.

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use protocols::http::hop;

fuzz_target!(|bytes: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let Ok(name) = HeaderName::from_bytes(&line[..colon]) else { continue };
        let Ok(value) = HeaderValue::from_bytes(&line[colon + 1..]) else { continue };
        headers.append(name, value);
    }
    hop::remove(&mut headers);
    assert!(hop::FIELDS.iter().all(|name| !headers.contains_key(name)));
    let once = headers.clone();
    hop::remove(&mut headers);
    assert_eq!(headers, once);
});
