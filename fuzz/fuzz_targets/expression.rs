//! Expressions: whatever the text, an expression that can be matched or an error within the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocols::http::expression::{Expression, Number, Subject, Text};

struct Same<'a>(&'a str);

impl Subject for Same<'_> {
    fn any(&self, _: &Text, fits: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        fits(self.0.as_bytes())
    }

    fn number(&self, _: Number) -> u64 {
        self.0.len() as u64
    }
}

fuzz_target!(|text: &str| match Expression::parse(text) {
    Ok(expression) => {
        expression.matches(&Same(text));
    }
    Err(error) => assert!(error.at <= text.len()),
});
