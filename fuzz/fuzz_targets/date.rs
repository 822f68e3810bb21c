#![no_main]
//! HTTP dates: what is read is read again from what is written.

use libfuzzer_sys::fuzz_target;
use protocols::http::date;

fuzz_target!(|bytes: &[u8]| {
    let Some(seconds) = date::parse(bytes) else { return };
    // A leap second at the end of the last year is beyond it.
    let written = date::format(seconds);
    assert_eq!(date::parse(written.as_bytes()), Some(seconds.min(date::MAX)));
});
