#![no_main]
//! Preconditions against validators: the strong validator always satisfies `If-Range`.

use http::header::{
    DATE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use protocols::http::conditional::{Conditions, Validators};

const NAMES: [http::HeaderName; 8] =
    [DATE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED];

fuzz_target!(|bytes: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some((name, value)) = line.split_first() else { continue };
        let Ok(value) = HeaderValue::from_bytes(value) else { continue };
        headers.append(&NAMES[usize::from(*name) % NAMES.len()], value);
    }
    let validators = Validators::from_headers(&headers);
    let conditions = Conditions::from_headers(&headers);
    conditions.evaluate(&validators);
    conditions.range_applies(&validators);
    if let Some(strong) = validators.strong() {
        headers.insert(IF_RANGE, HeaderValue::try_from(strong).expect("a validator is a field value"));
        assert!(Conditions::from_headers(&headers).range_applies(&validators));
    }
});
