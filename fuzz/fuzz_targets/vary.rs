#![no_main]
//! `Vary`: names are distinct and sorted, and what is normalised is its own normal form.

use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use protocols::http::vary::{MAX_FIELDS, Vary, normalised};

fuzz_target!(|bytes: &[u8]| {
    let lines = || bytes.split(|byte| *byte == b'\n');
    if let Vary::Fields(nominated) = Vary::from_lines(lines(), MAX_FIELDS) {
        assert!((1..=MAX_FIELDS).contains(&nominated.names().len()));
        assert!(nominated.names().is_sorted_by(|one, other| one.as_str() < other.as_str()));
        assert!(nominated.names().iter().all(|name| name != "*"));
        let fed = |headers: &HeaderMap| {
            let mut bytes = Vec::new();
            nominated.feed(headers, |part| bytes.extend_from_slice(part));
            bytes
        };
        let mut empty = HeaderMap::new();
        let absent = fed(&empty);
        empty.insert(nominated.names()[0].clone(), HeaderValue::from_static(""));
        assert_ne!(fed(&empty), absent);
    }
    for name in [HeaderName::from_static("foo"), ACCEPT_LANGUAGE, ACCEPT_ENCODING, COOKIE] {
        let mut request = HeaderMap::new();
        for line in lines() {
            request.extend(HeaderValue::from_bytes(line).ok().map(|value| (name.clone(), value)));
        }
        let Some(once) = normalised(&request, &name) else { continue };
        let value = HeaderValue::from_bytes(&once).expect("made of field values");
        let again = HeaderMap::from_iter([(name.clone(), value)]);
        assert_eq!(normalised(&again, &name), Some(once));
    }
});
