//! From a host and port to a connection: resolve, judge, connect to exactly the judged address.
//!
//! ```text
//! Endpoint ─► guard: port, name ─► resolve ─► guard: each address ─► TCP ─► (proxy) ─► TLS
//! ```
//!
//! Owns no state but the resolver's cache and the TLS configuration. Every new connection passes here, so every
//! redirect and every retry is judged again; a kept connection stays with the address that was judged.

pub(crate) mod connector;
pub mod guard;
pub(crate) mod link;
pub mod proxy;
pub mod resolve;
pub(crate) mod tls;

use std::fmt;
use std::net::IpAddr;

use cache::{Error, Kind};
use url::{Host, Url};

/// A host and port. The host is in lower case, an IPv6 address without brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
}

impl Endpoint {
    pub(crate) fn new(host: &str, port: u16) -> Self {
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        Self { host: host.to_ascii_lowercase().into(), port }
    }

    /// Where a URL points to; [`Kind::UrlInvalid`] unless it is http or https with a host.
    pub(crate) fn of_url(url: &Url) -> Result<Self, Error> {
        if !matches!(url.scheme(), "http" | "https") {
            let detail = format!("only http and https can be fetched, not {}", url.scheme());
            return Err(Error::new(Kind::UrlInvalid, detail));
        }
        match (url.host_str(), url.port_or_known_default()) {
            (Some(host), Some(port)) => Ok(Self::new(host, port)),
            _ => Err(Error::new(Kind::UrlInvalid, "the URL names no host")),
        }
    }

    /// A host given as text, in any of the ways that a URL takes, and an IPv6 address without brackets as well;
    /// [`Kind::UrlInvalid`] when it is none.
    pub(crate) fn of_host(host: &str, port: u16) -> Result<Self, Error> {
        let host = host.parse().map_or_else(|_| Host::parse(host), |address| Ok(Host::Ipv6(address)));
        match host {
            Ok(host) => Ok(Self::new(&host.to_string(), port)),
            Err(error) => {
                Err(Error::new(Kind::UrlInvalid, format!("that is no host to connect to: {error}")))
            }
        }
    }

    /// The host as an address, when it is one.
    pub(crate) fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}
