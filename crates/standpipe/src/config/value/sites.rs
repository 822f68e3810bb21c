//! Values of sites, rules and the forward proxy.

use std::time::Duration;

use cache::RangeFill;
use cache::policy::{SetCookie, StatusTtl};
use doors::exchange::HostSent;
use doors::exchange::pattern::{HostPattern, PathPattern};
use doors::proxy::ConnectRule;
use http::{HeaderName, Method};
use protocols::http::url::CanonicalUrl;

use super::{ListenAddress, Word, not};

/// The name of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SiteName(pub(crate) String);

impl Word for SiteName {
    fn wanted() -> String {
        "a name of letters, digits, `-`, `_` and `.`".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(is_name) || text.bytes().all(|byte| byte == b'.') {
            return Err(not(&Self::wanted(), text));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The base URL of an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OriginUrl(pub(crate) String);

impl Word for OriginUrl {
    fn wanted() -> String {
        "a URL such as `https://host/path/`, without query".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match CanonicalUrl::parse(text) {
            Ok(url) if url.url.query().is_none() && !text.contains('#') => Ok(Self(text.to_owned())),
            Ok(_) => Err(not(&Self::wanted(), &protocols::http::url::masked(text))),
            Err(error) => Err(error.detail),
        }
    }
}

/// A site in one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SiteFlag {
    pub(crate) name: SiteName,
    pub(crate) origin: OriginUrl,
}

impl Word for SiteFlag {
    fn wanted() -> String {
        "`NAME=URL`".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        let (name, origin) = text.split_once('=').ok_or_else(|| not(&Self::wanted(), text))?;
        Ok(Self { name: SiteName::read(name)?, origin: OriginUrl::read(origin)? })
    }
}

/// Where a site listens, in one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SiteListen {
    pub(crate) name: SiteName,
    pub(crate) address: ListenAddress,
}

impl Word for SiteListen {
    fn wanted() -> String {
        "`NAME=ADDRESS:PORT`".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        let (name, address) = text.split_once('=').ok_or_else(|| not(&Self::wanted(), text))?;
        Ok(Self { name: SiteName::read(name)?, address: ListenAddress::read(address)? })
    }
}

/// A name that the server goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnHost(pub(crate) String);

impl Word for OwnHost {
    fn wanted() -> String {
        "a host name or address without port".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        match HostPattern::parse(text) {
            Ok(HostPattern::Name(name)) if !name.contains(':') || name.starts_with('[') => {
                Ok(Self(name.into()))
            }
            _ => Err(not(&Self::wanted(), text)),
        }
    }
}

/// A word that a part of the server reads itself.
macro_rules! read_by {
    ($(#[$doc:meta] $name:ident($inner:ty), $wanted:literal, $read:expr;)+) => {
        $(
            #[$doc]
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub(crate) struct $name(pub(crate) $inner);

            impl Word for $name {
                fn wanted() -> String {
                    $wanted.to_owned()
                }

                fn read(text: &str) -> Result<Self, String> {
                    let read: fn(&str) -> Option<$inner> = $read;
                    read(text.trim()).map(Self).ok_or_else(|| not(&Self::wanted(), text))
                }
            }
        )+
    };
}

read_by! {
    /// Hosts.
    HostWord(HostPattern), "a host, `*.host` for all below it, or `*`", |text| HostPattern::parse(text).ok();
    /// Paths.
    PathWord(PathPattern), "a path that begins with `/` or `*`; `*` is anything but a slash, `**` anything",
        |text| PathPattern::parse(text).ok();
    /// A method.
    MethodWord(Method), "a method such as `GET`", method;
    /// Statuses.
    ConditionalStatus((u16, u16)), "a status such as `404`, or several such as `500-599`", statuses;
    /// The lifetime of errors.
    StatusTtlWord(StatusTtl), "`STATUS=TTL` or `FIRST-LAST=TTL` such as `404=30s`, statuses from 400 to 599", status_ttl;
    /// A media type.
    MediaType(String), "a media type such as `text/css` or `image/*`", media_type;
    /// A query parameter.
    IgnoredParameter(String), "the name of a query parameter, or its beginning with `*` behind", parameter;
    /// A header field.
    FieldName(HeaderName), "the name of a header field", |text| HeaderName::from_bytes(text.as_bytes()).ok();
    /// What tunnels may lead to.
    ConnectTarget(ConnectRule), "`HOST:PORT`, where HOST may be `*` or `*.name` and PORT may be `*`",
        |text| ConnectRule::parse(text).ok();
}

fn method(text: &str) -> Option<Method> {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
    ];
    known.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(text))
}

fn statuses(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (200..600).contains(status));
    let (first, last) = (status(first)?, status(last)?);
    (first <= last).then_some((first, last))
}

fn status_ttl(text: &str) -> Option<StatusTtl> {
    let (range, ttl) = text.split_once('=')?;
    let (from, to) = statuses(range).filter(|(from, _)| *from >= 400)?;
    Some(StatusTtl { from, to, seconds: seconds(Duration::read(ttl.trim()).ok()?) })
}

fn media_type(text: &str) -> Option<String> {
    let (kind, sub) = text.split_once('/')?;
    let is_token =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    (is_token(kind) && is_token(sub) && !kind.contains('*')).then(|| text.to_ascii_lowercase())
}

fn parameter(text: &str) -> Option<String> {
    let name = text.strip_suffix('*').unwrap_or(text);
    let is_name =
        name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'*' | b'&' | b'=' | b'#'));
    (is_name && !text.is_empty()).then(|| text.to_owned())
}

/// Whole seconds, as the policy has them.
pub(crate) fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// A choice that another crate makes something of.
macro_rules! choice_of {
    ($(#[$doc:meta] $name:ident($inner:ty) { $($word:literal = $value:expr),+ })+) => {
        $(
            #[$doc]
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub(crate) struct $name(pub(crate) $inner);

            impl Word for $name {
                fn wanted() -> String {
                    format!("one of {}", [$(concat!("`", $word, "`")),+].join(", "))
                }

                fn read(text: &str) -> Result<Self, String> {
                    match text.trim() {
                        $($word => Ok(Self($value)),)+
                        _ => Err(not(&Self::wanted(), text)),
                    }
                }
            }
        )+
    };
}

choice_of! {
    /// `Host` for the origin.
    KeptHost(HostSent) { "origin" = HostSent::Origin, "keep" = HostSent::Keep }
    /// Answers with `Set-Cookie`.
    SetCookieWord(SetCookie) { "keep" = SetCookie::Keep, "strip" = SetCookie::Strip, "refuse" = SetCookie::Refuse }
    /// How ranges are fetched.
    RangeFillWord(RangeFill) { "auto" = RangeFill::Auto, "pieces" = RangeFill::Pieces, "whole" = RangeFill::Whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_are_named_and_have_a_base() {
        let read = |text| SiteFlag::read(text).map(|site| (site.name.0, site.origin.0));
        assert_eq!(read("a=http://h/x=1"), Ok(("a".to_owned(), "http://h/x=1".to_owned())));
        for text in ["a", "=http://h", "a b=http://h", "..=http://h", "a=ftp://h", "a=http://h/?q", "a=h"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(SiteListen::read("a=:9000").is_ok());
        assert!(SiteListen::read("a=x").is_err());
    }

    #[test]
    fn statuses_and_their_lifetimes_keep_their_bounds() {
        assert_eq!(statuses("404"), Some((404, 404)));
        assert_eq!(statuses("500-599"), Some((500, 599)));
        for text in ["", "99", "600", "599-500", "4xx", "-"] {
            assert_eq!(statuses(text), None, "{text}");
        }
        assert_eq!(status_ttl("404=30s"), Some(StatusTtl { from: 404, to: 404, seconds: 30 }));
        for text in ["404", "200=1s", "404=30", "=1s"] {
            assert_eq!(status_ttl(text), None, "{text}");
        }
    }

    #[test]
    fn names_of_hosts_types_and_parameters_are_checked() {
        assert!(OwnHost::read("cache.example").is_ok());
        assert!(OwnHost::read("*.example").is_err() && OwnHost::read("h:80").is_err());
        assert_eq!(media_type("Image/*").as_deref(), Some("image/*"));
        assert!(media_type("*/*").is_none() && media_type("image").is_none());
        assert!(parameter("utm_*").is_some() && parameter("*").is_some());
        assert!(parameter("a&b").is_none() && parameter("").is_none() && parameter("a*b").is_none());
        assert!(ConnectTarget::read("*:443").is_ok() && ConnectTarget::read("h").is_err());
    }
}
