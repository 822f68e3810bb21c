//! The client's fields as an origin may see them, and what is said of the client beside them.
//!
//! `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` (RFC 7239) are ours to say: a stranger's copies are dropped, those
//! of a trusted proxy are added to.

use std::net::IpAddr;

use http::header::{self, CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, MAX_FORWARDS};
use http::request::Parts as Head;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use protocols::http::hop;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Who asks, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    /// Who is connected to us.
    pub(crate) peer: IpAddr,
    /// Who asks: the peer, or whom a trusted proxy names.
    pub(crate) address: IpAddr,
    pub(crate) trust: Trust,
    pub(crate) scheme: Scheme,
    /// The host that was asked for.
    pub(crate) host: &'a str,
}

/// Whether the peer's word on others is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Stranger,
    Proxy,
}

/// How the client came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Whether fields would have to be changed before the cache may judge by them. What belongs to a connection does not matter
/// to a hit, unless it names other fields or something varies by what we say of clients.
pub(crate) fn need_care(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| !is_plain(value))
        || [FORWARDED, FOR, PROTO, FORWARDED_HOST].iter().any(|name| headers.contains_key(name))
}

fn is_plain(connection: &HeaderValue) -> bool {
    let value = connection.as_bytes();
    value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
}

/// The request is for us to answer: its hops are used up (RFC 9110 section 7.6.2), or it asks about the server as a whole
/// (RFC 9112 section 3.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndsHere;

/// The client's fields for whoever comes next.
pub(crate) fn for_next(head: &Head) -> Result<HeaderMap, EndsHere> {
    let mut headers = end_to_end(&head.headers);
    if head.method == Method::OPTIONS {
        if head.uri.path() == "*" {
            return Err(EndsHere);
        }
        match hops_left(&head.headers) {
            Some(Hops::None) => return Err(EndsHere),
            Some(Hops::Left(left)) => {
                headers.insert(MAX_FORWARDS, HeaderValue::from(left));
            }
            None => {}
        }
    }
    Ok(headers)
}

/// The client's end-to-end fields (RFC 9110 section 7.6.1).
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    hop::remove(&mut headers);
    for name in [HOST, CONTENT_LENGTH, EXPECT, MAX_FORWARDS] {
        headers.remove(name);
    }
    let twins: Vec<_> = headers.keys().filter(|name| is_twin(name)).cloned().collect();
    for name in twins {
        headers.remove(name);
    }
    headers
}

/// Whether servers that make variables of fields (RFC 3875 section 4.1.18) take it for one that is not the client's to say:
/// `X_Forwarded_For` becomes the same as `X-Forwarded-For`.
fn is_twin(name: &HeaderName) -> bool {
    if !name.as_str().contains('_') {
        return false;
    }
    let meant = name.as_str().replace('_', "-");
    let ours = [CONTENT_LENGTH, MAX_FORWARDS, FOR, PROTO, FORWARDED_HOST];
    ours.iter().chain(&hop::FIELDS).any(|name| *name == *meant)
}

/// Says who asks.
pub(crate) fn tell_of(client: Client<'_>, headers: &mut HeaderMap) {
    let Client { peer, address, trust, scheme, host } = client;
    if trust == Trust::Stranger {
        for name in [FORWARDED, FOR, PROTO, FORWARDED_HOST] {
            headers.remove(name);
        }
    }
    // What a trusted proxy has said stays; the peer is what it could not say.
    let added = if trust == Trust::Proxy && headers.contains_key(FOR) { peer } else { address };
    join(headers, FOR, &added.to_canonical().to_string());
    let quoted_host = host.replace(['"', '\\'], "");
    let node = match added.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    let host_part = if quoted_host.is_empty() { String::new() } else { format!(";host=\"{quoted_host}\"") };
    join(headers, FORWARDED, &format!("for={node}{host_part};proto={}", scheme.as_str()));
    headers.entry(PROTO).or_insert(HeaderValue::from_static(scheme.as_str()));
    if let Ok(host) = HeaderValue::from_str(&quoted_host)
        && !quoted_host.is_empty()
    {
        headers.entry(FORWARDED_HOST).or_insert(host);
    }
}

/// Adds a member to the list that a field is; its lines become one.
fn join(headers: &mut HeaderMap, name: HeaderName, member: &str) {
    let lines = headers.get_all(&name).iter().filter_map(|line| line.to_str().ok());
    let mut members: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
    members.push(member);
    if let Ok(value) = HeaderValue::try_from(members.join(", ")) {
        headers.insert(name, value);
    }
}

/// One hop fewer; `None` when there is none left, or the field is not there or says nothing (RFC 9110 section 7.6.2).
fn hops_left(headers: &HeaderMap) -> Option<Hops> {
    let text = headers.get(header::MAX_FORWARDS)?.to_str().ok()?.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse::<u32>().unwrap_or(u32::MAX).checked_sub(1).map_or(Hops::None, Hops::Left))
}

/// How far a request may still go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hops {
    /// Not past us.
    None,
    /// Past us, and so many further.
    Left(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn told(peer: &str, address: &str, trust: Trust, list: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = fields(list);
        let parsed = |text: &str| text.parse::<IpAddr>().expect("an address");
        let (peer, address) = (parsed(peer), parsed(address));
        tell_of(Client { peer, address, trust, scheme: Scheme::Https, host: "h.example:8443" }, &mut headers);
        [FOR, PROTO, FORWARDED_HOST, FORWARDED]
            .iter()
            .map(|name| headers[name].to_str().expect("text").to_owned())
            .collect()
    }

    // Poisoning through unkeyed input (user-demand.md 4b).
    #[test]
    fn a_strangers_word_on_itself_is_replaced() {
        let list = [("x-forwarded-for", "10.0.0.9"), ("x-forwarded-host", "evil"), ("forwarded", "for=evil")];
        assert_eq!(
            told("203.0.113.9", "203.0.113.9", Trust::Stranger, &list),
            ["203.0.113.9", "https", "h.example:8443", "for=203.0.113.9;host=\"h.example:8443\";proto=https"]
        );
        assert_eq!(
            told("2001:db8::1", "2001:db8::1", Trust::Stranger, &[])[3],
            "for=\"[2001:db8::1]\";host=\"h.example:8443\";proto=https"
        );
    }

    #[test]
    fn a_trusted_proxys_word_is_added_to() {
        let list =
            [("x-forwarded-for", "198.51.100.7"), ("x-forwarded-proto", "http"), ("forwarded", "for=x")];
        assert_eq!(
            told("10.0.0.1", "198.51.100.7", Trust::Proxy, &list),
            [
                "198.51.100.7, 10.0.0.1",
                "http",
                "h.example:8443",
                "for=x, for=10.0.0.1;host=\"h.example:8443\";proto=https"
            ]
        );
    }

    #[test]
    fn fields_of_the_connection_and_those_it_names_stay_here() {
        let list = [
            ("connection", "keep-alive, x-secret"),
            ("x-secret", "1"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("te", "trailers"),
            ("host", "h"),
            ("content-length", "5"),
            ("expect", "100-continue"),
            ("cookie", "a"),
            ("accept", "b"),
        ];
        let left: Vec<String> = end_to_end(&fields(&list)).keys().map(ToString::to_string).collect();
        assert_eq!(left, ["cookie", "accept"]);
    }

    #[test]
    fn a_field_is_not_smuggled_in_by_another_spelling_of_its_name() {
        let list =
            [("x_forwarded_for", "1"), ("x-forwarded_host", "2"), ("content_length", "3"), ("x_own", "4")];
        let left: Vec<String> = end_to_end(&fields(&list)).keys().map(ToString::to_string).collect();
        assert_eq!(left, ["x_own"]);
    }

    #[test]
    fn only_unusual_requests_need_care() {
        for list in [&[][..], &[("connection", "Keep-Alive")], &[("connection", "close"), ("cookie", "x")]] {
            assert!(!need_care(&fields(list)), "{list:?}");
        }
        for list in [[("connection", "close, cookie")], [("x-forwarded-for", "x")], [("forwarded", "x")]] {
            assert!(need_care(&fields(&list)), "{list:?}");
        }
    }

    #[test]
    fn hops_are_counted_down() {
        let left = |value| hops_left(&fields(&[("max-forwards", value)]));
        assert_eq!(left("0"), Some(Hops::None));
        assert_eq!(left("10"), Some(Hops::Left(9)));
        assert_eq!(left("99999999999999"), Some(Hops::Left(u32::MAX - 1)));
        assert_eq!(left("-1"), None);
        assert_eq!(hops_left(&HeaderMap::new()), None);
    }
}
