//! Fields by which one client could make the origin answer others differently without `Vary` saying so. They are no part of
//! the key, so they do not go to the origin where the answer may be shared (web cache poisoning).
//!
//! Names as frameworks and proxies read them: many take `_` for `-`. What a rule forwards by name goes, whatever it is.

use http::HeaderName;

/// Beginnings of such names.
const FAMILIES: [&str; 6] =
    ["x-forwarded", "x-original-", "x-rewrite-", "x-envoy-original-", "x-http-method", "x-override-"];

/// Such names.
const NAMES: [&str; 26] = [
    "base-url",
    "cf-connecting-ip",
    "client-ip",
    "destination",
    "fastly-client-ip",
    "forwarded",
    "front-end-https",
    "proxy",
    "request-uri",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-http-path-override",
    "x-method",
    "x-method-override",
    "x-proxy-url",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-real-url",
    "x-remote-addr",
    "x-remote-ip",
    "x-scheme",
    "x-url-scheme",
];

/// Whether a field is one of them.
pub(super) fn is(name: &HeaderName) -> bool {
    let name = name.as_str();
    let dashed = name.contains('_').then(|| name.replace('_', "-"));
    let name = dashed.as_deref().unwrap_or(name);
    NAMES.binary_search(&name).is_ok() || FAMILIES.iter().any(|family| name.starts_with(family))
}

/// Whether a field among them says what the doors know of the client: they drop what strangers say there.
pub(super) fn is_ours(name: &HeaderName) -> bool {
    matches!(name.as_str(), "forwarded" | "x-forwarded-for" | "x-forwarded-host" | "x-forwarded-proto")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_known_and_others_pass() {
        assert!(NAMES.is_sorted());
        for name in
            ["forwarded", "x-forwarded-for", "x_forwarded_host", "x-forwarded", "x-original_url", "x-real-ip"]
        {
            assert!(is(&HeaderName::from_static(name)), "{name}");
        }
        for name in ["accept", "x-forward", "origin", "x-requested-with", "host", "x-host-name", "user-agent"]
        {
            assert!(!is(&HeaderName::from_static(name)), "{name}");
        }
    }
}
