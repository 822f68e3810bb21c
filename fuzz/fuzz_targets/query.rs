#![no_main]
//! Query strings: pairs come from the text, decoding shortens.

use libfuzzer_sys::fuzz_target;
use protocols::http::query::{Plus, decode, decode_bytes, pairs};

fuzz_target!(|text: &str| {
    for (name, value) in pairs(text) {
        assert!(name.len() + value.len() <= text.len() && !name.contains(['&', '=']));
        for plus in [Plus::Literal, Plus::Space] {
            let bytes = decode_bytes(value, plus);
            assert!(bytes.len() <= value.len());
            assert_eq!(decode(value, plus).is_ok(), std::str::from_utf8(&bytes).is_ok());
        }
    }
});
