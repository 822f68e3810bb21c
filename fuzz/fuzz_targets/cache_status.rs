#![no_main]
//! `Cache-Status`: any text gives one field of visible ASCII.

use libfuzzer_sys::fuzz_target;
use protocols::http::cache_status::{CacheStatus, Source};

fuzz_target!(|input: (&str, Option<i64>, Option<&str>, Option<&str>)| {
    let (cache, ttl, key, detail) = input;
    let status = CacheStatus { cache, source: Source::Cache, ttl, key, detail };
    assert!(status.to_header().to_str().is_ok());
});
