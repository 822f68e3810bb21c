#![no_main]
//! Heads of requests: what is let through can be read in one way only.

use http::Version;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
        doors::fuzzing::head(bytes, version);
    }
});
