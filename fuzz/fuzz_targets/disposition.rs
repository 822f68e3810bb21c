#![no_main]
//! `Content-Disposition`: any name gives one field of visible ASCII; safe names are safe.

use libfuzzer_sys::fuzz_target;
use protocols::http::disposition::{MAX_NAME, attachment, file_name, safe_name};
use url::Url;

fuzz_target!(|name: &str| {
    assert!(attachment(name).to_str().is_ok());
    let from_url =
        Url::parse("http://h/").and_then(|base| base.join(name)).ok().and_then(|url| file_name(&url));
    for safe in [safe_name(name), from_url].into_iter().flatten() {
        assert!(safe.len() <= MAX_NAME && !safe.contains(['/', '\\', '\0', '\r', '\n']));
        assert!(!matches!(&*safe, "" | "." | ".."));
        assert_eq!(safe_name(&safe).as_deref(), Some(&*safe));
    }
});
