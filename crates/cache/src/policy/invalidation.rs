//! Which stored URLs a request with an unsafe method makes doubtful (RFC 9111 section 4.4).

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, Method, StatusCode};
use url::Url;

/// Most `Location` and `Content-Location` lines that are looked at.
const MAX_LINES: usize = 8;

/// The URLs whose stored responses must not be used again without validation after `method` on `url` was answered so: the
/// target first, then those that `Location` and `Content-Location` name on the same origin. None when the method is safe or
/// the answer an error.
///
/// Distinct, without fragments and users, otherwise as written: whoever takes them makes them canonical like any other URL.
pub fn invalidated(method: &Method, url: &Url, status: StatusCode, headers: &HeaderMap) -> Vec<Url> {
    if is_safe(method) || !(status.is_success() || status.is_redirection()) {
        return Vec::new();
    }
    let mut urls = vec![bare(url.clone())];
    let lines = [LOCATION, CONTENT_LOCATION].into_iter().flat_map(|name| headers.get_all(name));
    for line in lines.take(MAX_LINES) {
        let named = std::str::from_utf8(line.as_bytes()).ok().and_then(|text| url.join(text).ok());
        let named = named.map(bare);
        urls.extend(named.filter(|named| same_origin(named, url) && !urls.contains(named)));
    }
    urls
}

/// RFC 9110 section 9.2.1; any other method may change something, known or not.
fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method)
}

/// Scheme, host and port (RFC 9110 section 4.3.1): elsewhere one site could empty the cache of another.
fn same_origin(one: &Url, other: &Url) -> bool {
    let origin =
        |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
    one.has_host() && origin(one) == origin(other)
}

/// The URL as a cache knows it.
pub(super) fn bare(mut url: Url) -> Url {
    url.set_fragment(None);
    // Fails for URLs without a host, which have no user either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    const URL: &str = "http://a.example/dir/f?q=1";

    fn of(method: &str, status: u16, fields: &[(HeaderName, &'static str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        let method = Method::from_bytes(method.as_bytes()).expect(method);
        let url = Url::parse(URL).expect(URL);
        let urls = invalidated(&method, &url, StatusCode::from_u16(status).expect("a status"), &headers);
        urls.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rfc9111_4_4_unsafe_and_unknown_methods_invalidate_their_target() {
        for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "PROPPATCH", "post", "get", "X"] {
            assert_eq!(of(method, 200, &[]), [URL], "{method}");
        }
        for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            assert_eq!(of(method, 200, &[(LOCATION, "/other")]), [""; 0], "{method}");
        }
    }

    #[test]
    fn rfc9111_4_4_errors_do_not_invalidate() {
        for status in [200, 201, 204, 299, 301, 303, 304, 399] {
            assert_eq!(of("POST", status, &[]), [URL], "{status}");
        }
        for status in [100, 199, 400, 404, 409, 500, 503, 599] {
            assert_eq!(of("POST", status, &[(LOCATION, "/other")]), [""; 0], "{status}");
        }
    }

    #[test]
    fn rfc9111_4_4_location_and_content_location_of_the_same_origin_count() {
        for (location, named) in [
            ("http://a.example/g", Some("http://a.example/g")),
            ("http://A.example:80/g", Some("http://a.example/g")),
            ("/g#part", Some("http://a.example/g")),
            ("g", Some("http://a.example/dir/g")),
            ("?q=2", Some("http://a.example/dir/f?q=2")),
            ("//a.example/g", Some("http://a.example/g")),
            ("//user:secret@a.example/g", Some("http://a.example/g")),
            ("https://a.example/g", None),
            ("http://a.example:81/g", None),
            ("http://b.example/g", None),
            ("//b.example/g", None),
            ("mailto:a@a.example", None),
            ("http://[", None),
            ("", None),
            ("#part", None),
        ] {
            let expected: Vec<_> = [URL].into_iter().chain(named).collect();
            assert_eq!(of("PUT", 201, &[(LOCATION, location)]), expected, "{location}");
            assert_eq!(of("PUT", 201, &[(CONTENT_LOCATION, location)]), expected, "{location}");
        }
        let both = [(CONTENT_LOCATION, "/c"), (LOCATION, "/l"), (LOCATION, "/c")];
        assert_eq!(of("PUT", 201, &both), [URL, "http://a.example/l", "http://a.example/c"]);
    }

    #[test]
    fn a_thousand_locations_are_not_looked_at() {
        let fields: Vec<_> = ["/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9"]
            .into_iter()
            .map(|value| (LOCATION, value))
            .collect();
        assert_eq!(of("PUT", 201, &fields).len(), 1 + MAX_LINES);
    }

    proptest! {
        #[test]
        fn nothing_of_another_origin_is_ever_invalidated(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut headers = HeaderMap::new();
            headers.extend(HeaderValue::from_bytes(&bytes).ok().map(|value| (LOCATION, value)));
            let url = Url::parse(URL).expect(URL);
            for named in invalidated(&Method::POST, &url, StatusCode::OK, &headers) {
                prop_assert!(named.as_str().starts_with("http://a.example/"), "{named}");
                prop_assert_eq!(named.fragment(), None);
            }
        }
    }
}
