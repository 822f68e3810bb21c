//! [`Guard`]: which hosts, ports and addresses may be fetched from at all (SSRF, user demand 4c 44-50).
//!
//! A pure value: no resolving, no state. The connector asks it twice for every connection, for the host and port
//! before resolving and for each address after.
//!
//! Invariants: an address that carries another one (mapped, NAT64, 6to4, Teredo, ISATAP) passes only when both
//! pass. IPv4-mapped and `64:ff9b::/96` addresses are nothing but their IPv4 address and are judged as it, so
//! IPv6-only networks with DNS64 work. What nobody announces as a web server (6to4, Teredo, IPv4-compatible, local
//! NAT64) is refused whatever it carries. A cloud's metadata service opens only to a rule that names exactly it:
//! neither `0.0.0.0/0` nor `*.example` gives credentials away.
//!
//! It deliberately knows nothing of clients: who may ask for what is the door's access rules.

mod allow;
mod ranges;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use cache::{Error, Kind, NamedBy};

pub use allow::{AllowOrigin, InvalidAllowOrigin};

/// Names under which clouds answer with their machines' credentials.
const METADATA_NAMES: [&str; 9] = [
    "instance-data",
    "instance-data.ec2.internal",
    "metadata",
    "metadata.azure.internal",
    "metadata.google.internal",
    "metadata.goog",
    "metadata.packet.net",
    "metadata.platformequinix.com",
    "metadata.tencentyun.com",
];

/// Ports that never speak HTTP, as browsers have them (WHATWG Fetch, "bad port"), and databases and caches whose
/// line protocols take an HTTP request for commands.
const NEVER_HTTP: [u16; 91] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103,
    104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 445, 465, 512, 513,
    514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 873, 989, 990, 993, 995, 1719,
    1720, 1723, 2049, 3306, 3389, 3659, 4045, 4190, 5060, 5061, 5432, 6000, 6379, 6380, 6566, 6665, 6666,
    6667, 6668, 6669, 6679, 6697, 11211, 27017,
];

/// Judges hosts, ports and addresses. Without rules only public addresses and likely HTTP ports pass.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    rules: Arc<[AllowOrigin]>,
    named_by: NamedBy,
}

impl Guard {
    /// A guard that `rules` open.
    pub fn new(rules: Vec<AllowOrigin>) -> Self {
        Self { rules: rules.into(), named_by: NamedBy::Client }
    }

    /// The same for hosts that the configuration names, as a site's: every address and port but a cloud's metadata
    /// service, for what a name resolves to is not always in the operator's hand.
    #[must_use]
    pub fn for_operator(mut self) -> Self {
        self.named_by = NamedBy::Operator;
        self
    }

    /// Who must name a host for it to be reached, at this address if it is known.
    pub(crate) fn reach(&self, host: &str, port: u16, address: Option<IpAddr>) -> NamedBy {
        let clients = Self { rules: Arc::clone(&self.rules), named_by: NamedBy::Client };
        let is_open = clients.check_host(host, port).is_ok()
            && address.is_none_or(|address| clients.check_address(host, port, address).is_ok());
        if is_open { NamedBy::Client } else { NamedBy::Operator }
    }

    /// Judges what is known before resolving: port, metadata names, and the address when the host is one.
    ///
    /// # Errors
    /// [`Kind::OriginForbidden`] with a sentence that names the host, the reason and the rule that would open it.
    pub fn check_host(&self, host: &str, port: u16) -> Result<(), Error> {
        let host = normal(host);
        let literal: Option<IpAddr> = host.parse().ok();
        if NEVER_HTTP.binary_search(&port).is_ok() && !self.opens_port(&host, port, literal) {
            return Err(Forbidden::Port { host: &host, port }.into());
        }
        if METADATA_NAMES.contains(&host.as_str()) && !self.opens_metadata(&host, port, literal) {
            return Err(Forbidden::MetadataName { host: &host }.into());
        }
        literal.map_or(Ok(()), |address| self.check_address(&host, port, address))
    }

    /// Judges an address that `host` has.
    ///
    /// # Errors
    /// [`Kind::OriginForbidden`] with a sentence that names the address, the reason and the rule that would open it.
    pub fn check_address(&self, host: &str, port: u16, address: IpAddr) -> Result<(), Error> {
        let host = normal(host);
        for face in ranges::faces(address) {
            let Some(reason) = ranges::forbidden(face) else { continue };
            let open = match reason {
                ranges::METADATA => self.opens_metadata(&host, port, Some(face)),
                _ => self.opens(&host, port, face),
            };
            if !open {
                return Err(Forbidden::Address { host: &host, address, face, reason }.into());
            }
        }
        Ok(())
    }

    fn opens(&self, host: &str, port: u16, address: IpAddr) -> bool {
        self.named_by == NamedBy::Operator
            || self.rules.iter().any(|rule| rule.covers_port(port) && rule.names(host, Some(address)))
    }

    /// Only the exact address or a known metadata name opens a metadata service: a host that is allowed for its
    /// private address may not turn into one by a change in DNS.
    fn opens_metadata(&self, host: &str, port: u16, address: Option<IpAddr>) -> bool {
        let host = if METADATA_NAMES.contains(&host) { host } else { "" };
        self.rules.iter().any(|rule| rule.is_exact() && rule.covers_port(port) && rule.names(host, address))
    }

    /// Only a rule with exactly this port opens a port.
    fn opens_port(&self, host: &str, port: u16, literal: Option<IpAddr>) -> bool {
        self.named_by == NamedBy::Operator
            || self.rules.iter().any(|rule| rule.port() == Some(port) && rule.names(host, literal))
    }
}

/// Lower case, without brackets and final dot.
fn normal(host: &str) -> String {
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Why not, for people.
enum Forbidden<'a> {
    Port { host: &'a str, port: u16 },
    MetadataName { host: &'a str },
    Address { host: &'a str, address: IpAddr, face: IpAddr, reason: &'static str },
}

impl fmt::Display for Forbidden<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Port { host, port } => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
                write!(f, "port {port} of {host} is never HTTP; --allow-origin {host}:{port} opens it")
            }
            Self::MetadataName { host } => {
                write!(f, "{host} is a cloud's metadata service; --allow-origin {host} opens it")
            }
            Self::Address { host, address, face, reason } => {
                write!(f, "{address}")?;
                if host.parse() != Ok(address) {
                    write!(f, " (address of {host})")?;
                }
                if face != address {
                    write!(f, ", which stands for {face},")?;
                }
                write!(f, " is {reason}; --allow-origin {face} opens it")?;
                if host.parse::<IpAddr>().is_err() && reason != ranges::METADATA {
                    write!(f, ", and so does --allow-origin {host}")?;
                }
                Ok(())
            }
        }
    }
}

impl From<Forbidden<'_>> for Error {
    fn from(forbidden: Forbidden<'_>) -> Self {
        Self::new(Kind::OriginForbidden, forbidden.to_string())
    }
}
