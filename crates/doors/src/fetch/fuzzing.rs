//! The fetch door's targets, for the fuzz targets: each has one form, and parameters say the same when they are encoded.

use std::fmt::Write as _;

use super::params::{Params, Revalidate};
use super::routes::{Route, owns, route};

/// Checks a target, a path with or without a query.
pub fn fetch(target: &str) {
    let Some(route) = route(target) else { return };
    assert!(owns(target.split('?').next().unwrap_or_default()));
    let query = match route {
        Route::Query { filename, query } => {
            assert!(filename.is_none_or(|name| !name.contains(['/', '?'])));
            query
        }
        Route::Verbatim(url) => {
            let url = url.to_ascii_lowercase();
            return assert!(url.starts_with("http://") || url.starts_with("https://"));
        }
        Route::Merged => return,
    };
    let Ok(params) = Params::parse(query) else { return };
    assert!(params.ttl.is_none_or(|ttl| ttl.as_secs() > 0 && ttl.subsec_nanos() == 0));
    assert_eq!(Params::parse(&encoded(&params)).ok(), Some(params));
}

/// The parameters as a careful client would write them.
fn encoded(params: &Params<'_>) -> String {
    let mut query = format!("url={}", all(&params.url));
    let mut add = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = write!(query, "&{name}={}", all(&value));
    };
    if let Some(ttl) = params.ttl {
        add("ttl", format!("{}s", ttl.as_secs()));
    }
    if let Some(names) = &params.pass {
        add("passheaders", names.iter().map(http::HeaderName::as_str).collect::<Vec<_>>().join(","));
    }
    if let Some(digest) = params.sha256 {
        add("sha256", digest.to_string());
    }
    if params.revalidate == Some(Revalidate::Always) {
        add("revalidate", "always".to_owned());
    }
    query
}

/// Every byte percent-encoded.
fn all(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        let _ = write!(encoded, "%{byte:02x}");
        encoded
    })
}
