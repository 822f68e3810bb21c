//! Text to address.

use std::path::PathBuf;
use std::str::FromStr;

use super::{Address, BadAddress, HostPort};

const LENGTHS: std::ops::RangeInclusive<usize> = 2..=255;
const PATH: std::ops::RangeInclusive<usize> = 1..=107;

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if !LENGTHS.contains(&text.len()) {
            return Err(BadAddress::Length);
        }
        let (prefix, rest) = text.split_once(':').ok_or(BadAddress::Prefix)?;
        match prefix {
            "UNIX" => unix(rest),
            "IP" | "IPv4" => host_port(rest).map(Self::Ip4),
            "IP6" => host_port(rest).map(Self::Ip6),
            "TLS" => host_port(rest).map(Self::Tls),
            "FD" => descriptors(rest),
            _ => Err(BadAddress::Prefix),
        }
    }
}

fn unix(path: &str) -> Result<Address, BadAddress> {
    if !PATH.contains(&path.len()) || path.contains('\0') {
        return Err(BadAddress::Path);
    }
    Ok(Address::Unix(PathBuf::from(path)))
}

fn host_port(text: &str) -> Result<HostPort, BadAddress> {
    let (host, text_of_port) = match text.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once("]:").ok_or(BadAddress::Host)?,
        None => text.split_once(':').unwrap_or(("", text)),
    };
    if text.starts_with('[') && host.is_empty() || host.contains(['[', ']', '\0']) {
        return Err(BadAddress::Host);
    }
    let port = decimal(text_of_port).ok_or(BadAddress::Port)?;
    Ok(HostPort { host: (!host.is_empty()).then(|| host.to_owned()), port })
}

fn descriptors(text: &str) -> Result<Address, BadAddress> {
    let one = |text| match text {
        "-1" => Ok(None),
        _ => decimal(text).map(Some).ok_or(BadAddress::Descriptor),
    };
    let (receive, send) = match text.split_once(':') {
        Some((receive, send)) => (one(receive)?, one(send)?),
        None => (one(text)?, one(text)?),
    };
    match (receive, send) {
        (None, None) => Err(BadAddress::Descriptor),
        _ => Ok(Address::Fd { receive, send }),
    }
}

/// Digits only: no sign, no space.
fn decimal<T: FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
