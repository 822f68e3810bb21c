//! Address to socket address. Names are looked up by the system, on the caller's thread.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use super::{Address, HostPort};

impl Address {
    /// Whether [`resolve`](Self::resolve) answers without asking anybody.
    pub(crate) fn is_numeric(&self) -> bool {
        match self {
            Self::Ip4(at) | Self::Ip6(at) | Self::Tls(at) => {
                at.host.as_ref().is_none_or(|host| host.parse::<IpAddr>().is_ok())
            }
            Self::Unix(_) | Self::Fd { .. } => true,
        }
    }

    /// The socket address of a TCP form, `None` for the others. Blocks while the system looks a name up.
    ///
    /// # Errors
    /// The name is not known, or has no address of the family that the form asks for.
    pub fn resolve(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Self::Unix(_) | Self::Fd { .. } => Ok(None),
            Self::Ip4(at) => first(at, Ipv4Addr::UNSPECIFIED.into(), SocketAddr::is_ipv4).map(Some),
            Self::Ip6(at) => first(at, Ipv6Addr::UNSPECIFIED.into(), SocketAddr::is_ipv6).map(Some),
            Self::Tls(at) => first(at, Ipv4Addr::UNSPECIFIED.into(), |_| true).map(Some),
        }
    }
}

fn first(at: &HostPort, all: IpAddr, fits: fn(&SocketAddr) -> bool) -> io::Result<SocketAddr> {
    let Some(host) = &at.host else { return Ok(SocketAddr::new(all, at.port)) };
    let mut found = (host.as_str(), at.port).to_socket_addrs()?;
    found.find(fits).ok_or_else(|| {
        io::Error::new(io::ErrorKind::AddrNotAvailable, format!("{host} has no address of this family"))
    })
}
