#![no_main]
//! Targets of the fetch door: each has one form, and parameters say the same when they are encoded.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|target: &str| doors::fuzzing::fetch(target));
