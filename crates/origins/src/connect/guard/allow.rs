//! [`AllowOrigin`]: one rule of `--allow-origin`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use url::Host;

/// Opens the guard: `CIDR`, `address`, `host` or `*.host`, each but CIDR also with `:port`.
///
/// With a port the rule opens that port alone, also one that is never HTTP; without one it opens every port that
/// may be HTTP. `*.host` covers the names below `host`, not `host` itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowOrigin {
    what: What,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Net(IpNet),
    Host(String),
    Below(String),
}

impl AllowOrigin {
    /// Whether the rule covers this host, or its address when that is known. `host` is in lower case.
    pub(super) fn names(&self, host: &str, address: Option<IpAddr>) -> bool {
        match &self.what {
            What::Net(net) => address.is_some_and(|address| net.contains(&address)),
            What::Host(name) => name == host,
            What::Below(name) => {
                host.strip_suffix(name.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
        }
    }

    /// Whether the rule holds at this port.
    pub(super) fn covers_port(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }

    /// The port, when the rule names one.
    pub(super) const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether the rule names one address or one host.
    pub(super) fn is_exact(&self) -> bool {
        match &self.what {
            What::Net(net) => net.prefix_len() == net.max_prefix_len(),
            What::Host(_) => true,
            What::Below(_) => false,
        }
    }
}

impl FromStr for AllowOrigin {
    type Err = InvalidAllowOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self { what: What::Net(net.trunc()), port: None });
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { what: What::Net(address.into()), port: None });
        }
        let invalid = || InvalidAllowOrigin { text: text.to_owned() };
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !text.ends_with(']') => (name, Some(port.parse().map_err(|_| invalid())?)),
            _ => (text, None),
        };
        let what = What::parse(name).ok_or_else(invalid)?;
        Ok(Self { what, port })
    }
}

impl What {
    fn parse(name: &str) -> Option<Self> {
        let (name, below) = match name.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (name, false),
        };
        if name.contains(['*', '/', '@']) {
            return None;
        }
        // The same reading as a URL's host: IDNA, lower case, an IPv4 address in any notation.
        match (Host::parse(name).ok()?, below) {
            (Host::Domain(name), below) => {
                // IDNA knows other dots and stars than the usual ones. Two dots at the end are those of no name,
                // and with one of them gone the rest may be an address.
                let name = name.strip_suffix('.').unwrap_or(&name);
                let is_name = !name.is_empty() && !name.ends_with('.') && !name.contains('*');
                let what = if below { Self::Below } else { Self::Host };
                is_name.then(|| what(name.to_owned()))
            }
            (Host::Ipv4(address), false) => Some(Self::Net(IpAddr::from(address).into())),
            (Host::Ipv6(address), false) => Some(Self::Net(IpAddr::from(address).into())),
            (Host::Ipv4(_) | Host::Ipv6(_), true) => None,
        }
    }
}

impl fmt::Display for AllowOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.what, self.port) {
            (What::Net(net), None) => write!(f, "{net}"),
            (What::Net(IpNet::V6(net)), Some(_)) => write!(f, "[{}]", net.addr()),
            (What::Net(IpNet::V4(net)), Some(_)) => write!(f, "{}", net.addr()),
            (What::Host(name), _) => f.write_str(name),
            (What::Below(name), _) => write!(f, "*.{name}"),
        }?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A text that is no rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAllowOrigin {
    text: String,
}

impl fmt::Display for InvalidAllowOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        write!(f, "`{text}` is no CIDR, address, host or *.host, the last three optionally with :port")
    }
}

impl std::error::Error for InvalidAllowOrigin {}
