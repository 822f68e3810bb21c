#![no_main]
//! Files of keys: remarks and blanks say nothing, and a key that is there twice is one too many.

use distcache::store::{Keys, KeysError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let read = Keys::parse(text);
    // 32 bytes are a key whatever they are; with the remark it is more.
    if text.len() <= 32 {
        return;
    }
    let remarked = Keys::parse(&[b"# a remark behind which all is the same\n \n", text].concat());
    assert_eq!(read.is_ok(), remarked.is_ok());
    if read.is_err() {
        return;
    }
    let twice = Keys::parse(&[text, b"\n", text].concat());
    assert!(matches!(twice, Err(KeysError::Count)));
});
