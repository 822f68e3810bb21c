//! Values of the door for TLS sessions.

use std::net::IpAddr;

use distcache::Address;

use super::{Word, not};

/// Where the door listens. Descriptors of the process make no sense in a configuration.
#[derive(Clone, Debug)]
pub(crate) struct SessionAddress(pub(crate) Address);

impl Word for SessionAddress {
    fn wanted() -> String {
        "an address such as `UNIX:/run/standpipe/sessions`, `IP:127.0.0.1:9001`, `IP6:[::1]:9001` or `TLS:9001`".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        match text.trim().parse() {
            Ok(Address::Fd { .. }) | Err(_) => Err(not(&Self::wanted(), text)),
            Ok(address) => Ok(Self(address)),
        }
    }
}

/// Through what HTTPS listeners share their TLS sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HttpsSessions {
    /// Not at all.
    Off,
    /// The store of this node's own door.
    Own,
    /// A session server, here or elsewhere.
    Server(Address),
    /// A Valkey or Redis; the URL is checked when it is opened.
    Redis(String),
}

impl Word for HttpsSessions {
    fn wanted() -> String {
        "`off`, `own`, an address such as `UNIX:/run/standpipe/sessions`, `IP:10.0.0.5:9001` or `TLS:sessions.example:9001`, or `redis://…`".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        match text.trim() {
            "off" => Ok(Self::Off),
            "own" => Ok(Self::Own),
            // Not repeated in a message: there may be a password in it.
            url if url.starts_with("redis") => Ok(Self::Redis(url.to_owned())),
            address => match address.parse() {
                Ok(Address::Fd { .. }) | Err(_) => Err(not(&Self::wanted(), text)),
                Ok(address) if !address.can_connect() => {
                    Err(format!("`{address}` has no host; to listen is for `session.listen`"))
                }
                Ok(address) => Ok(Self::Server(address)),
            },
        }
    }
}

/// The address of somebody who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerAddress(pub(crate) IpAddr);

impl Word for PeerAddress {
    fn wanted() -> String {
        "an address such as `10.0.0.7` or `::1`".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        text.trim().parse().map(Self).map_err(|_| not(&Self::wanted(), text))
    }
}

/// The mode of a unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketMode(pub(crate) u32);

impl Word for SocketMode {
    fn wanted() -> String {
        "an octal mode such as `0660`".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        let digits = text.trim();
        let is_octal = !digits.is_empty() && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        match u32::from_str_radix(digits, 8) {
            Ok(mode) if is_octal && mode <= 0o7777 => Ok(Self(mode)),
            _ => Err(not(&Self::wanted(), text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_distcache_without_descriptors() {
        let read = |text| SessionAddress::read(text).map(|address| address.0.to_string());
        assert_eq!(read("UNIX:/run/s").as_deref(), Ok("UNIX:/run/s"));
        assert_eq!(read(" IP:9001 ").as_deref(), Ok("IP:9001"));
        for text in ["", "FD:3", "127.0.0.1:9001", "unix:/run/s"] {
            assert!(read(text).is_err_and(|problem| problem.contains("UNIX:")), "{text}");
        }
    }

    #[test]
    fn https_listeners_share_through_a_place_that_can_be_reached() {
        let read = HttpsSessions::read;
        assert_eq!(read("off"), Ok(HttpsSessions::Off));
        assert_eq!(read(" own "), Ok(HttpsSessions::Own));
        assert!(matches!(read("UNIX:/run/s"), Ok(HttpsSessions::Server(_))));
        assert_eq!(read("rediss://h/"), Ok(HttpsSessions::Redis("rediss://h/".to_owned())));
        assert!(read("IP:9001").is_err_and(|problem| problem.contains("no host")));
        for text in ["", "on", "FD:3", "127.0.0.1:9001", "http://h/"] {
            assert!(read(text).is_err_and(|problem| problem.contains("`own`")), "{text}");
        }
    }

    #[test]
    fn peers_are_addresses_without_a_port() {
        assert!(PeerAddress::read("::1").is_ok());
        assert!(PeerAddress::read("10.0.0.7:1").is_err());
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(SocketMode::read("0660"), Ok(SocketMode(0o660)));
        assert_eq!(SocketMode::read("7777"), Ok(SocketMode(0o7777)));
        for text in ["", "0o660", "rw", "+660", "10000", "8"] {
            assert!(SocketMode::read(text).is_err(), "{text}");
        }
    }
}
