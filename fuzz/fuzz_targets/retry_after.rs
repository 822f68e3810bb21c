#![no_main]
//! `Retry-After`: a date is never further away than from 1970.

use libfuzzer_sys::fuzz_target;
use protocols::http::retry_after::parse;

fuzz_target!(|input: (u64, &[u8])| {
    let (now, bytes) = input;
    assert!(parse(bytes, now) <= parse(bytes, 0));
});
