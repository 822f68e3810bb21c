#![no_main]
//! What opens the guard of origins: it is shown as it can be written.

use libfuzzer_sys::fuzz_target;
use origins::AllowOrigin;

fuzz_target!(|text: &str| {
    let Ok(rule) = text.parse::<AllowOrigin>() else { return };
    assert_eq!(rule.to_string().parse(), Ok(rule));
});
