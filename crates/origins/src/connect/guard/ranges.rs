//! What is known about address ranges (IANA special-purpose registries, RFC 6890) and addresses within addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The reason of addresses that only an exact rule opens.
pub(super) const METADATA: &str = "a cloud's metadata service";

/// Addresses at which clouds hand out their machines' credentials.
const METADATA_V4: [Ipv4Addr; 5] = [
    Ipv4Addr::new(169, 254, 169, 254), // nearly all
    Ipv4Addr::new(169, 254, 170, 2),   // Amazon, containers
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba
    Ipv4Addr::new(168, 63, 129, 16),   // Azure
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle
];
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), // Amazon
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),  // Amazon, containers
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),  // Google
];

/// (network, prefix length, what it is); the first that contains an address counts.
const FORBIDDEN_V4: [(Ipv4Addr, u32, &str); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "an unspecified address"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "a private address"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "an address behind a carrier's NAT"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "a loopback address"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "a link-local address"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "a private address"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "an address for protocol assignments"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "a documentation address"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a 6to4 relay address"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "a private address"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "a benchmark address"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "a documentation address"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "a documentation address"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "a multicast address"),
    (Ipv4Addr::new(255, 255, 255, 255), 32, "the broadcast address"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "a reserved address"),
];

/// The same for IPv6. Last comes all that is not global unicast (2000::/3).
const FORBIDDEN_V6: [(Ipv6Addr, u32, &str); 23] = [
    (Ipv6Addr::UNSPECIFIED, 128, "the unspecified address"),
    (Ipv6Addr::LOCALHOST, 128, "the loopback address"),
    (Ipv6Addr::UNSPECIFIED, 96, "an IPv4-compatible address"),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, "a local NAT64 address"),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, "a discard address"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, "a Teredo address"),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48, "a benchmark address"),
    (Ipv6Addr::new(0x2001, 0x10, 0, 0, 0, 0, 0, 0), 28, "an ORCHID address"),
    (Ipv6Addr::new(0x2001, 0x20, 0, 0, 0, 0, 0, 0), 28, "an ORCHID address"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "a documentation address"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "an address for protocol assignments"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "a 6to4 address"),
    (Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 0), 16, "a reserved address"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "a documentation address"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "a private (unique local) address"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "a link-local address"),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, "a site-local address"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "a multicast address"),
    (Ipv6Addr::UNSPECIFIED, 3, "a reserved address"),
    (Ipv6Addr::new(0x4000, 0, 0, 0, 0, 0, 0, 0), 3, "a reserved address"),
    (Ipv6Addr::new(0x6000, 0, 0, 0, 0, 0, 0, 0), 3, "a reserved address"),
    (Ipv6Addr::new(0x8000, 0, 0, 0, 0, 0, 0, 0), 2, "a reserved address"),
    (Ipv6Addr::new(0xc000, 0, 0, 0, 0, 0, 0, 0), 2, "a reserved address"),
];

/// What is wrong with an address by itself, as the end of "it is …".
pub(super) fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) if METADATA_V4.contains(&address) => Some(METADATA),
        IpAddr::V6(address) if METADATA_V6.contains(&address) => Some(METADATA),
        IpAddr::V4(address) => FORBIDDEN_V4
            .iter()
            .find(|&&(net, prefix, _)| (address.to_bits() ^ net.to_bits()).leading_zeros() >= prefix)
            .map(|&(_, _, reason)| reason),
        IpAddr::V6(address) => FORBIDDEN_V6
            .iter()
            .find(|&&(net, prefix, _)| (address.to_bits() ^ net.to_bits()).leading_zeros() >= prefix)
            .map(|&(_, _, reason)| reason),
    }
}

/// The addresses that a packet to this one may end at: itself, unless it is only another spelling of an IPv4
/// address, and the IPv4 address it carries.
pub(super) fn faces(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let (outer, carried) = match address {
        IpAddr::V4(_) => (Some(address), None),
        IpAddr::V6(v6) => match embedded(v6) {
            Embedded::None => (Some(address), None),
            Embedded::Spelling(v4) => (None, Some(IpAddr::V4(v4))),
            Embedded::Within(v4) => (Some(address), Some(IpAddr::V4(v4))),
        },
    };
    outer.into_iter().chain(carried)
}

enum Embedded {
    None,
    Spelling(Ipv4Addr),
    Within(Ipv4Addr),
}

fn embedded(address: Ipv6Addr) -> Embedded {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => Embedded::Spelling(v4(g, h)),
        // `::` and `::1` carry nothing.
        (0, 0, 0, 0, 0, 0) if (g, h) > (0, 1) => Embedded::Within(v4(g, h)),
        // SIIT (RFC 2765) and local NAT64 with the usual /96.
        (0, 0, 0, 0, 0xffff, 0) | (0x64, 0xff9b, 1, ..) => Embedded::Within(v4(g, h)),
        (0x2002, ..) => Embedded::Within(v4(b, c)),
        (0x2001, 0, ..) => Embedded::Within(v4(!g, !h)),
        // ISATAP: the interface identifier is [02]00:5efe and the IPv4 address.
        (.., 0 | 0x200, 0x5efe) => Embedded::Within(v4(g, h)),
        _ => Embedded::None,
    }
}
