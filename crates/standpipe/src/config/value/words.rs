//! Values that mean something to one part of the server: addresses, rules, levels, choices. Each is checked by the part
//! that will use it, so that a mistake is found where it was written and not at the first request.

use std::net::{Ipv6Addr, SocketAddr};
use std::str::FromStr;

use doors::access::Rules;
use origins::AllowOrigin;
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::{Word, not};

/// Address and port to listen on. `:8001` means every address of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress(pub(crate) SocketAddr);

impl Word for ListenAddress {
    fn wanted() -> String {
        "an address and port such as `127.0.0.1:8001`, `[::1]:8001` or `:8001`".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(port) = text.strip_prefix(':') {
            let port = port.parse().map_err(|_| not(&Self::wanted(), text))?;
            return Ok(Self(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))));
        }
        let address = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        let address = address.as_deref().unwrap_or(text);
        SocketAddr::from_str(address).map(Self).map_err(|_| not(&Self::wanted(), text))
    }
}

/// A rule that the access rules accept.
#[derive(Clone, Debug)]
pub(crate) struct AccessRule(String);

impl Word for AccessRule {
    fn wanted() -> String {
        "a rule `allow|deny NETWORK [door=NAME|…] [method=NAME|…] [path=/prefix]`, NETWORK being a network, an address, \
         `any`, `loopback` or `private`"
            .to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        Rules::new(&[text], &[]).map(|_| Self(text.to_owned())).map_err(|error| error.to_string())
    }
}

impl AsRef<str> for AccessRule {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A network whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug)]
pub(crate) struct TrustedProxy(String);

impl Word for TrustedProxy {
    fn wanted() -> String {
        "a network such as `10.0.0.0/8`, or an address".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        Rules::new(&[], &[text]).map(|_| Self(text.to_owned())).map_err(|error| error.to_string())
    }
}

impl AsRef<str> for TrustedProxy {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// What opens the guard of origins.
#[derive(Clone, Debug)]
pub(crate) struct OriginRule(pub(crate) AllowOrigin);

impl Word for OriginRule {
    fn wanted() -> String {
        "a network, or an address or host (`*.host`: all below it) with or without `:port`".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: origins::InvalidAllowOrigin| error.to_string())
    }
}

/// What is logged, by part.
#[derive(Clone, Debug)]
pub(crate) struct LogLevel(pub(crate) Targets);

impl Word for LogLevel {
    fn wanted() -> String {
        "`error`, `warn`, `info`, `debug`, `trace` or `off`, and any number of `PART=LEVEL`, separated by commas".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        // A misspelt level alone would be taken for the name of a part.
        let is_level = |word: &str| word.is_empty() || word.parse::<LevelFilter>().is_ok();
        let is_known = text.split(',').all(|word| word.contains('=') || is_level(word.trim()));
        match text.parse() {
            Ok(targets) if is_known => Ok(Self(targets)),
            _ => Err(not(&Self::wanted(), text)),
        }
    }
}

/// The value of a header field.
#[derive(Clone, Debug)]
pub(crate) struct FieldValue(pub(crate) String);

impl Word for FieldValue {
    fn wanted() -> String {
        "the value of a header field: visible ASCII".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
            return Err(not(&Self::wanted(), text));
        }
        Ok(Self(text.trim().to_owned()))
    }
}

/// A type with a few words as values: `choice!(LogFormat { Auto = "auto", Json = "json" })`.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$variant_doc])* $variant),+ }

        impl Word for $name {
            fn wanted() -> String {
                format!("one of {}", [$(concat!("`", $word, "`")),+].join(", "))
            }

            fn read(text: &str) -> Result<Self, String> {
                match text.trim() {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(not(&Self::wanted(), text)),
                }
            }
        }
    };
}

choice!(
    /// How log lines look.
    LogFormat {
        /// Human on a terminal, JSON otherwise.
        Auto = "auto",
        /// One line for people.
        Human = "human",
        /// One JSON object a line.
        Json = "json",
    }
);

choice!(
    /// How access log lines look.
    AccessLog {
        /// Human on a terminal, JSON otherwise.
        Auto = "auto",
        /// One line for people.
        Human = "human",
        /// One JSON object a line.
        Json = "json",
        /// None.
        Off = "off",
    }
);

choice!(
    /// What becomes of a request whose object the store cannot take.
    WhenFull {
        /// It is streamed from the origin, uncached.
        Stream = "stream",
        /// It is refused.
        Refuse = "refuse",
    }
);

choice!(
    /// Who resolves host names.
    Resolver {
        /// Our own resolver, which knows how long an answer lives.
        Hickory = "hickory",
        /// The system's, which also knows its name service switch.
        System = "system",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listen_address_is_an_address_with_a_port() {
        let parse = |text| ListenAddress::read(text).map(|address| address.0.to_string());
        assert_eq!(parse("127.0.0.1:8001").as_deref(), Ok("127.0.0.1:8001"));
        assert_eq!(parse("localhost:0").as_deref(), Ok("127.0.0.1:0"));
        assert_eq!(parse(":80").as_deref(), Ok("[::]:80"));
        for text in ["127.0.0.1", "example.com:80", "1.2.3.4:99999", ":", ""] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rules_are_checked_where_they_are_written() {
        assert!(AccessRule::read("allow 10.0.0.0/8 door=fetch").is_ok());
        assert!(AccessRule::read("permit 10.0.0.0/8").is_err());
        assert!(TrustedProxy::read("10.0.0.1").is_ok());
        assert!(TrustedProxy::read("ten").is_err());
        assert!(OriginRule::read("10.0.0.0/8").is_ok());
        assert!(OriginRule::read("10.0.0.0/99").is_err());
        assert!(LogLevel::read("info,cache=debug").is_ok());
        assert!(LogLevel::read("inof").is_err());
        assert!(LogLevel::read("cache=loud").is_err());
        assert!(FieldValue::read("a\nb").is_err());
    }
}
