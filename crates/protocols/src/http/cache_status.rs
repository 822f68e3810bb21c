//! Writer of `Cache-Status` (RFC 9211): how this cache handled a request.
//!
//! One member; a response that already has the field gets it appended, after those of caches nearer to the origin.

use std::fmt::{self, Write as _};

use http::{HeaderName, HeaderValue};

use super::field::is_tchar;

/// The field's name.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Greatest integer of a structured field (RFC 9651 section 3.3.1).
const MAX_INTEGER: i64 = 999_999_999_999_999;

/// How a cache handled a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStatus<'a> {
    /// Name of the cache.
    pub cache: &'a str,
    /// Where the answer came from.
    pub source: Source,
    /// Remaining freshness in seconds; negative when stale.
    pub ttl: Option<i64>,
    /// Key of the entry, as far as people may see it.
    pub key: Option<&'a str>,
    /// The reason, in the cache's own words.
    pub detail: Option<&'a str>,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The cache alone (`hit`).
    Cache,
    /// Neither: the request was refused before either was asked.
    Nowhere,
    /// The request was forwarded (`fwd`).
    Forwarded {
        /// Why.
        reason: Forward,
        /// Status of the origin's answer, when it is not the one sent (`fwd-status`).
        status: Option<u16>,
        /// Whether the answer was stored (`stored`).
        stored: Stored,
        /// Whether this request shared another one's forwarding (`collapsed`).
        collapsed: Collapsed,
    },
}

/// Why a request was forwarded (RFC 9211 section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// The cache was told not to handle it.
    Bypass,
    /// Its method demands it.
    Method,
    /// Nothing is stored for the URL.
    UriMiss,
    /// Nothing stored fits the request's fields.
    VaryMiss,
    /// Nothing stored can be used, no matter why.
    Miss,
    /// The request's own directives.
    Request,
    /// What is stored is stale.
    Stale,
    /// Only part of it is stored.
    Partial,
}

/// Whether the forwarded answer was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was.
    Yes,
    /// It was not; nobody expects it (left out).
    No,
    /// It could not be (`stored=?0`).
    Unable,
}

/// Whether a request shared another one's forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collapsed {
    /// It did.
    Yes,
    /// It was forwarded itself.
    No,
}

impl Forward {
    fn token(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

impl CacheStatus<'_> {
    /// As a field value. Characters that a structured field cannot hold become `?`.
    pub fn to_header(&self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("a structured field is visible ASCII")
    }
}

impl fmt::Display for CacheStatus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(f, self.cache)?;
        match self.source {
            Source::Cache => f.write_str("; hit")?,
            Source::Nowhere => {}
            Source::Forwarded { reason, status, stored, collapsed } => {
                write!(f, "; fwd={}", reason.token())?;
                if let Some(status) = status {
                    write!(f, "; fwd-status={status}")?;
                }
                f.write_str(match stored {
                    Stored::Yes => "; stored",
                    Stored::No => "",
                    Stored::Unable => "; stored=?0",
                })?;
                if collapsed == Collapsed::Yes {
                    f.write_str("; collapsed")?;
                }
            }
        }
        if let Some(ttl) = self.ttl {
            write!(f, "; ttl={}", ttl.clamp(-MAX_INTEGER, MAX_INTEGER))?;
        }
        if let Some(key) = self.key {
            f.write_str("; key=")?;
            write_string(f, key)?;
        }
        if let Some(detail) = self.detail {
            f.write_str("; detail=")?;
            write_name(f, detail)?;
        }
        Ok(())
    }
}

/// As a token where it is one, otherwise as a string.
fn write_name(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    if is_token(text) { f.write_str(text) } else { write_string(f, text) }
}

/// RFC 9651 section 3.3.4, which is not the token of RFC 9110.
fn is_token(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*')
        && text.bytes().all(|byte| is_tchar(byte) || matches!(byte, b':' | b'/'))
}

/// RFC 9651 section 3.3.3.
fn write_string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for char in text.chars() {
        match char {
            '"' | '\\' => write!(f, "\\{char}")?,
            ' '..='~' => f.write_char(char)?,
            _ => f.write_char('?')?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HIT: CacheStatus<'_> =
        CacheStatus { cache: "standpipe", source: Source::Cache, ttl: None, key: None, detail: None };

    fn forwarded(
        reason: Forward,
        status: Option<u16>,
        stored: Stored,
        collapsed: Collapsed,
    ) -> CacheStatus<'static> {
        CacheStatus { source: Source::Forwarded { reason, status, stored, collapsed }, ..HIT }
    }

    #[test]
    fn hits_and_forwards() {
        let table = [
            (HIT, "standpipe; hit"),
            (CacheStatus { ttl: Some(376), ..HIT }, "standpipe; hit; ttl=376"),
            (
                CacheStatus { source: Source::Nowhere, detail: Some("no_route"), ..HIT },
                "standpipe; detail=no_route",
            ),
            (
                CacheStatus { ttl: Some(-5), detail: Some("stale-if-error"), ..HIT },
                "standpipe; hit; ttl=-5; detail=stale-if-error",
            ),
            (
                forwarded(Forward::UriMiss, None, Stored::Yes, Collapsed::Yes),
                "standpipe; fwd=uri-miss; stored; collapsed",
            ),
            (
                forwarded(Forward::Stale, Some(304), Stored::No, Collapsed::No),
                "standpipe; fwd=stale; fwd-status=304",
            ),
            (
                forwarded(Forward::Bypass, None, Stored::Unable, Collapsed::No),
                "standpipe; fwd=bypass; stored=?0",
            ),
        ];
        for (status, text) in table {
            assert_eq!(status.to_header(), text);
        }
    }

    #[test]
    fn every_reason_has_the_name_of_the_rfc() {
        use Forward::{Bypass, Method, Miss, Partial, Request, Stale, UriMiss, VaryMiss};
        let reasons = [Bypass, Method, UriMiss, VaryMiss, Miss, Request, Stale, Partial];
        let names = ["bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"];
        assert_eq!(reasons.map(Forward::token), names);
    }

    #[test]
    fn names_that_are_no_tokens_are_strings() {
        for (cache, text) in [
            ("*a:b/c", "*a:b/c; hit"),
            ("cache one", "\"cache one\"; hit"),
            ("1cache", "\"1cache\"; hit"),
            ("", "\"\"; hit"),
            ("a\"b\\c", "\"a\\\"b\\\\c\"; hit"),
            ("a\r\nb\u{fc}", "\"a??b?\"; hit"),
        ] {
            assert_eq!(CacheStatus { cache, ..HIT }.to_header(), text, "{cache:?}");
        }
    }

    #[test]
    fn a_key_is_a_string_and_a_ttl_is_clamped() {
        let status = CacheStatus { ttl: Some(i64::MIN), key: Some("a"), ..HIT };
        assert_eq!(status.to_header(), "standpipe; hit; ttl=-999999999999999; key=\"a\"");
    }

    proptest! {
        #[test]
        fn any_text_gives_a_field(cache: String, key: Option<String>, detail: Option<String>, ttl: Option<i64>) {
            let status = CacheStatus { cache: &cache, ttl, key: key.as_deref(), detail: detail.as_deref(), ..HIT };
            prop_assert!(status.to_header().to_str().is_ok());
        }
    }
}
