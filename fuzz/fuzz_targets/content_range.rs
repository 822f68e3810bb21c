#![no_main]
//! `Content-Range`: what is read is consistent and is written as it was read.

use libfuzzer_sys::fuzz_target;
use protocols::http::range::ContentRange;

fuzz_target!(|bytes: &[u8]| {
    let Some(value) = ContentRange::parse(bytes) else { return };
    if let Some((first, last)) = value.range {
        assert!(first <= last && value.total.is_none_or(|total| last < total));
    }
    assert_eq!(ContentRange::parse(value.to_string().as_bytes()), Some(value));
});
