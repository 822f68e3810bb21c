#![no_main]
//! Targeted fields: numbers within their limit; a valid field stays valid and says the same behind an unknown member.

use libfuzzer_sys::fuzz_target;
use protocols::http::cache_control::MAX;
use protocols::http::targeted;

fuzz_target!(|bytes: &[u8]| {
    let Some(control) = targeted::parse(bytes.split(|byte| *byte == b'\n')) else { return };
    assert!(control.max_age.is_none_or(|seconds| seconds <= MAX));
    assert!(control.s_maxage.is_none_or(|seconds| seconds <= MAX));
    let lines = [&b"x-unknown=1"[..]].into_iter().chain(bytes.split(|byte| *byte == b'\n'));
    assert_eq!(targeted::parse(lines), Some(control));
});
