#![no_main]
//! Entity tags: what is read is written as it was read.

use libfuzzer_sys::fuzz_target;
use protocols::http::conditional::EntityTag;

fuzz_target!(|bytes: &[u8]| {
    let Some(tag) = EntityTag::parse(bytes) else { return };
    let header = tag.to_header().expect("a parsed tag is a field value");
    assert!(tag.weak_eq(&tag) && tag.strong_eq(&tag) != tag.weak);
    assert_eq!(EntityTag::parse(header.as_bytes()), Some(tag));
});
