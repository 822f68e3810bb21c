#![no_main]
//! The files beside the index's logs: which starts ended cleanly, what is used how often, and what all of them begin with.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| store::fuzzing::files(bytes));
