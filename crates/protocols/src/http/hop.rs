//! Fields that belong to one connection and are never stored nor passed on (RFC 9110 section 7.6.1).

use http::header::{
    CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName};

use super::field::trim;

/// Fields of one connection, whether `Connection` names them or not. The proxy's own authentication is among them:
/// it is a secret between two neighbours (RFC 9111 section 3.1). Trailers end with the framing that carried them.
pub const FIELDS: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes [`FIELDS`] and every field that a `Connection` line names.
pub fn remove(headers: &mut HeaderMap) {
    for name in named(headers) {
        headers.remove(name);
    }
    for name in &FIELDS {
        headers.remove(name);
    }
}

/// What the `Connection` lines name; no allocation when there are none or they only hold options such as `close`
/// that no field is named after.
fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    let members =
        headers.get_all(CONNECTION).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let names = members.filter_map(|member| HeaderName::from_bytes(trim(member)).ok());
    names.filter(|name| headers.contains_key(name)).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn left(fields: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        remove(&mut headers);
        headers.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn fields_of_the_connection_go_and_others_stay() {
        let mut fields: Vec<_> =
            vec![("etag", "\"a\""), ("content-length", "3"), ("set-cookie", "a"), ("set-cookie", "b")];
        assert_eq!(left(&fields), ["etag", "content-length", "set-cookie"]);
        fields.extend([
            ("connection", "close"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("proxy-authentication-info", "a"),
            ("proxy-authorization", "Basic a"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("trailer", "a"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
        ]);
        assert_eq!(left(&fields), ["etag", "content-length", "set-cookie"]);
    }

    #[test]
    fn fields_named_by_connection_go_in_any_case_and_from_any_line() {
        let fields = [
            ("connection", "close, X-One ,, upgrade"),
            ("connection", "x-two, x-absent, bad name, \u{7f}".trim_end_matches('\u{7f}')),
            ("x-one", "1"),
            ("x-one", "2"),
            ("x-two", "1"),
            ("x-three", "1"),
        ];
        assert_eq!(left(&fields), ["x-three"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                headers.append(CONNECTION, value);
            }
            headers.append("etag", HeaderValue::from_static("\"a\""));
            remove(&mut headers);
            prop_assert!(!headers.contains_key(CONNECTION));
        }
    }
}
