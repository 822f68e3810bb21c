//! Networks as people write them: a CIDR, an address, or one of the words `any`, `loopback`, `private`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The networks that one word or CIDR stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Network {
    /// `any`.
    Any,
    /// `loopback`: 127.0.0.0/8 and ::1.
    Loopback,
    /// `private`: RFC 1918, link-local (RFC 3927, RFC 4291) and unique local addresses (RFC 4193).
    Private,
    /// One CIDR or address.
    Net(IpNet),
}

/// A text is no network; the message says what is wrong with it and how to write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidNetwork {
    /// One sentence that names the text and the fix.
    pub detail: String,
}

impl std::fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for InvalidNetwork {}

impl Network {
    pub(super) fn parse(text: &str) -> Result<Self, InvalidNetwork> {
        match text {
            "any" => return Ok(Self::Any),
            "loopback" => return Ok(Self::Loopback),
            "private" => return Ok(Self::Private),
            _ => {}
        }
        let net = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse::<IpNet>().map_err(|_| not_a_network(text))?,
        };
        if net != net.trunc() {
            let detail = format!("the network `{text}` has host bits set; write `{}`", net.trunc());
            return Err(InvalidNetwork { detail });
        }
        Ok(Self::Net(unmapped_net(net)))
    }

    /// Whether `address`, which is never IPv4-mapped, lies within.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Loopback => address.is_loopback(),
            Self::Private => is_private(address),
            Self::Net(net) => net.contains(&address),
        }
    }
}

/// The address as it is compared: IPv4-mapped IPv6 (`::ffff:a.b.c.d`) becomes IPv4.
pub(super) fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => is_private_v6(v6),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    address.is_private() || address.is_link_local()
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_unique_local() || address.is_unicast_link_local()
}

/// `::ffff:10.0.0.0/104` means `10.0.0.0/8`: requests are compared as IPv4, so rules must be, too.
fn unmapped_net(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let Some(address) = v6.addr().to_ipv4_mapped() else { return net };
    match v6.prefix_len().checked_sub(96).map(|length| Ipv4Net::new(address, length)) {
        Some(Ok(v4)) => IpNet::V4(v4),
        _ => IpNet::V6(Ipv6Net::new_assert(v6.addr(), v6.prefix_len())),
    }
}

fn not_a_network(text: &str) -> InvalidNetwork {
    let detail = format!(
        "`{text}` is no network; write a CIDR such as `10.0.0.0/8`, an address, `any`, `loopback` or `private`"
    );
    InvalidNetwork { detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        Network::parse(network).unwrap().contains(unmapped(address.parse().unwrap()))
    }

    #[test]
    fn words_and_cidrs_contain_what_they_name() {
        let inside = [
            ("any", "203.0.113.9"),
            ("any", "2001:db8::1"),
            ("loopback", "127.8.9.10"),
            ("loopback", "::1"),
            ("loopback", "::ffff:127.0.0.1"),
            ("private", "10.1.2.3"),
            ("private", "172.31.255.255"),
            ("private", "192.168.0.1"),
            ("private", "169.254.1.1"),
            ("private", "fd00::1"),
            ("private", "fe80::1"),
            ("private", "::ffff:10.0.0.1"),
            ("192.0.2.0/24", "192.0.2.255"),
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7", "::ffff:192.0.2.7"),
            ("::ffff:192.0.2.0/120", "192.0.2.7"),
            ("2001:db8::/32", "2001:db8:ffff::"),
            ("0.0.0.0/0", "198.51.100.1"),
        ];
        for (network, address) in inside {
            assert!(contains(network, address), "{network} {address}");
        }
        let outside = [
            ("loopback", "128.0.0.1"),
            ("private", "172.32.0.1"),
            ("private", "8.8.8.8"),
            ("private", "2001:db8::1"),
            ("192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "2001:db8::1"),
            ("::/0", "192.0.2.1"),
        ];
        for (network, address) in outside {
            assert!(!contains(network, address), "{network} {address}");
        }
    }

    #[test]
    fn host_bits_are_refused_with_the_right_network() {
        let error = Network::parse("10.0.0.1/8").unwrap_err();
        assert_eq!(error.detail, "the network `10.0.0.1/8` has host bits set; write `10.0.0.0/8`");
        assert!(Network::parse("2001:db8::1/64").unwrap_err().detail.contains("`2001:db8::/64`"));
    }

    #[test]
    fn garbage_is_refused() {
        for text in ["", "localhost", "10.0.0", "10.0.0.0/33", "010.0.0.1", "10.0.0.0/8/8", "ANY"] {
            assert!(Network::parse(text).is_err(), "{text}");
        }
    }
}
