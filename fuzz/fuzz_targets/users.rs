#![no_main]
//! Lists of the proxy's users: each line lets in who says the same, and nobody who says more or less.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| doors::fuzzing::users(text));
