#![no_main]
//! Masking: a secret after any text is hidden, and stays so when masked again.

use libfuzzer_sys::fuzz_target;
use protocols::http::url::masked;

fuzz_target!(|text: &str| {
    masked(&masked(text));
    // The fuzzer finds the word itself.
    assert!(text.contains("5ECRET") || !masked(&format!("{text}&token=5ECRET")).contains("5ECRET"));
});
