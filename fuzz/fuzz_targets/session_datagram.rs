#![no_main]
//! Datagrams of stunnel's `sessiond`: what is understood is within its limits.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| distcache::stunnel::fuzzing::datagram(bytes));
