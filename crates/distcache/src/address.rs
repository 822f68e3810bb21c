//! Address strings: where a server listens, where a client connects.
//!
//! | form | connect | listen | |
//! |---|:-:|:-:|---|
//! | `UNIX:path` | y | y | at most 107 bytes of path |
//! | `IP:host:port`, `IPv4:host:port` | y | y | first IPv4 address of the host |
//! | `IP:port`, `IP::port`, `IPv4:` likewise | n | y | all IPv4 interfaces |
//! | `IP6:[host]:port`, `IP6:host:port` | y | y | ours; first IPv6 address of the host |
//! | `IP6:port`, `IP6::port` | n | y | ours; all IPv6 interfaces |
//! | `TLS:host:port`, `TLS:[host]:port` | y | y | ours; TLS over TCP, IPv6 in brackets |
//! | `TLS:port`, `TLS::port` | n | y | ours; all IPv4 interfaces |
//! | `FD:n`, `FD:r:s` | y | y | sockets or pipes of the process by number (receive, send), -1 for one of both: one-way |
//!
//! Prefixes are case-sensitive; 2 to 255 characters. Parsing touches nothing outside: names are looked up by
//! [`Address::resolve`].

mod parse;
mod resolve;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

/// A parsed address string.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// `UNIX:`
    Unix(PathBuf),
    /// `IP:` and `IPv4:`
    Ip4(HostPort),
    /// `IP6:`
    Ip6(HostPort),
    /// `TLS:`
    Tls(HostPort),
    /// `FD:`
    Fd {
        /// Descriptor to receive from.
        receive: Option<i32>,
        /// Descriptor to send to.
        send: Option<i32>,
    },
}

/// Host and port; without a host, all interfaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Name or number, without brackets.
    pub host: Option<String>,
    /// 0 lets the system choose, when listening.
    pub port: u16,
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadAddress {
    /// Shorter than 2 or longer than 255 characters.
    Length,
    /// None of the prefixes.
    Prefix,
    /// `UNIX:` with an empty path, one over 107 bytes, or one with a zero byte.
    Path,
    /// The port is not a decimal number up to 65535, or something follows it.
    Port,
    /// The host is empty within brackets, or its brackets do not match.
    Host,
    /// A descriptor is not a decimal number, or both halves are -1.
    Descriptor,
}

impl Address {
    /// Whether a client can connect to it.
    #[must_use]
    pub fn can_connect(&self) -> bool {
        match self {
            Self::Ip4(at) | Self::Ip6(at) | Self::Tls(at) => at.host.is_some(),
            Self::Unix(_) | Self::Fd { .. } => true,
        }
    }

    /// Whether a server can listen on it. Every form can.
    #[must_use]
    pub fn can_listen(&self) -> bool {
        true
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, at) = match self {
            Self::Unix(path) => return write!(f, "UNIX:{}", path.display()),
            Self::Fd { receive, send } if receive == send => return write!(f, "FD:{}", number(*receive)),
            Self::Fd { receive, send } => return write!(f, "FD:{}:{}", number(*receive), number(*send)),
            Self::Ip4(at) => ("IP", at),
            Self::Ip6(at) => ("IP6", at),
            Self::Tls(at) => ("TLS", at),
        };
        match &at.host {
            None => write!(f, "{prefix}:{}", at.port),
            Some(host) if host.contains(':') => write!(f, "{prefix}:[{host}]:{}", at.port),
            Some(host) => write!(f, "{prefix}:{host}:{}", at.port),
        }
    }
}

fn number(descriptor: Option<i32>) -> i32 {
    descriptor.unwrap_or(-1)
}

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "an address has 2 to 255 characters",
            Self::Prefix => "an address starts with UNIX:, IP:, IPv4:, IP6:, TLS: or FD:",
            Self::Path => "a socket path has 1 to 107 bytes, none of them zero",
            Self::Port => "a port is a decimal number up to 65535, and the end of the address",
            Self::Host => "a host is a name or a number, in brackets where it contains colons",
            Self::Descriptor => "a descriptor is a decimal number, or -1 for one of two",
        })
    }
}

impl std::error::Error for BadAddress {}
