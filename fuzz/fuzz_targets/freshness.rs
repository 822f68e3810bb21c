#![no_main]
//! A freshness record out of the store's log: any bytes are one or none; what is read is written so that it is read again.

use cache::policy::Freshness;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(freshness) = Freshness::decode(&mut &bytes[..]) else { return };
    let mut written = Vec::new();
    freshness.encode(&mut written);
    let mut input = &written[..];
    assert_eq!(Freshness::decode(&mut input), Some(freshness));
    assert!(input.is_empty());
});
