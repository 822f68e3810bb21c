#![no_main]
//! A record of the index: whatever the bytes behind a right checksum, a record or none; a record is written as it was read.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (behind, content) = input;
    store::fuzzing::record(content, behind);
});
