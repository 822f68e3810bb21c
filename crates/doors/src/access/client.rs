//! The client's address: the peer's, or what trusted proxies say in `X-Forwarded-For`.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};

use super::network::{Network, unmapped};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Walks `X-Forwarded-For` from the right, past trusted proxies, to the first address that is not one.
/// The left part is the client's own word and is never read; garbage ends the walk at the last good address.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = unmapped(peer);
    for line in headers.get_all(&X_FORWARDED_FOR).iter().rev() {
        let Ok(line) = line.to_str() else { return client };
        for hop in line.rsplit(',') {
            if !is_trusted(client) {
                return client;
            }
            let Some(address) = parse_hop(hop.trim()) else { return client };
            client = unmapped(address);
        }
    }
    client
}

/// An address, with or without a port or brackets.
fn parse_hop(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUSTED: &str = "10.0.0.0/8";

    fn found(peer: &str, lines: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&X_FORWARDED_FOR, http::HeaderValue::from_bytes(line).unwrap());
        }
        let trusted = [Network::parse(TRUSTED).unwrap()];
        client(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(found("203.0.113.9", &[b"10.1.2.3"]), "203.0.113.9");
    }

    #[test]
    fn the_walk_starts_at_the_right_and_skips_trusted_proxies() {
        assert_eq!(found("10.0.0.1", &[b"127.0.0.1, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(found("10.0.0.1", &[b"1.1.1.1, 203.0.113.9, 10.0.0.3,10.0.0.2"]), "203.0.113.9");
        assert_eq!(found("10.0.0.1", &[b"203.0.113.9", b"10.0.0.2"]), "203.0.113.9");
        assert_eq!(found("10.0.0.1", &[b"10.0.0.9, 10.0.0.2"]), "10.0.0.9");
        assert_eq!(found("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn ports_brackets_and_mapped_forms_are_read() {
        assert_eq!(found("::ffff:10.0.0.1", &[b"203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(found("10.0.0.1", &[b"[2001:db8::1]:80, ::ffff:10.0.0.2"]), "2001:db8::1");
        assert_eq!(found("10.0.0.1", &[b"[2001:db8::1]"]), "2001:db8::1");
    }

    #[test]
    fn garbage_ends_the_walk_at_the_last_good_address() {
        let garbage: [&[u8]; 6] = [b"unknown", b"", b"203.0.113.9, ", b"a, b", b"\xff\xfe", b"1.2.3.4.5"];
        for line in garbage {
            assert_eq!(found("10.0.0.1", &[line]), "10.0.0.1", "{line:?}");
        }
        assert_eq!(found("10.0.0.1", &[b"203.0.113.9, junk, 10.0.0.2"]), "10.0.0.2");
    }
}
