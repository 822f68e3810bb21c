#![no_main]
//! Redirects: wherever an origin sends us, credentials stay with the server they are for.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let mut lines = text.split(|byte| *byte == b'\n');
    let Some(Ok(start)) = lines.next().map(std::str::from_utf8) else { return };
    origins::fuzzing::redirects(start, lines);
});
