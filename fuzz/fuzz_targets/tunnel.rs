#![no_main]
//! What CONNECT asks for: asked again by its canonical name it is the same, and a rule that names it allows it.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|target: &str| doors::fuzzing::tunnel(target));
