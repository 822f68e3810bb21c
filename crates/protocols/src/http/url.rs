//! Canonical URLs of fetchable things.
//!
//! A canonical URL is what the key is made of, so two resources must never get the same one: percent-escapes, the
//! order of the query, an empty query and the letters of the path stay as they were written. Only what RFC 3986
//! calls equivalent is made equal (case of scheme and host, default port, dot segments), plus the encoding of
//! characters that no URL may hold. Whether the host may be asked is not decided here.

use std::fmt;
use std::sync::Arc;

use ::url::{Host, Url};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use percent_encoding::percent_decode_str;

pub use self::mask::masked;

mod mask;

/// An http or https URL in canonical form, with what must not be in it taken out.
#[derive(Clone, Debug)]
pub struct CanonicalUrl {
    /// No userinfo, no fragment.
    pub url: Url,
    /// Value of `Authorization: Basic …` when the URL had userinfo; marked as sensitive.
    pub authorization: Option<HeaderValue>,
    /// For people: query values that look like secrets masked.
    pub display: Arc<str>,
}

/// Why a text is not a URL we can fetch; one sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidUrl {
    /// The sentence; it names the fix and holds nothing of the URL.
    pub detail: String,
}

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for InvalidUrl {}

impl CanonicalUrl {
    /// Most bytes of a URL, as written and in canonical form.
    pub const MAX_LENGTH: usize = 8192;

    /// The canonical form of an absolute http or https URL.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        check_text(text)?;
        let mut url = Url::parse(text)
            .map_err(|error| refuse(format!("the URL is malformed ({error}); correct it")))?;
        check_host(&url)?;
        let authorization = authorization(&url)?;
        url.set_fragment(None);
        if url.set_username("").is_err() || url.set_password(None).is_err() {
            return Err(refuse("the URL cannot carry a user name; remove it"));
        }
        check_length(url.as_str())?;
        let display = masked(url.as_str()).into();
        Ok(Self { url, authorization, display })
    }
}

fn refuse(detail: impl Into<String>) -> InvalidUrl {
    InvalidUrl { detail: detail.into() }
}

/// What the parser of the url crate would silently repair.
fn check_text(text: &str) -> Result<(), InvalidUrl> {
    check_length(text)?;
    if text.chars().any(char::is_control) {
        return Err(refuse("the URL holds a control character; remove it or percent-encode it"));
    }
    if text.trim() != text {
        return Err(refuse("the URL begins or ends with a space; remove it or write %20"));
    }
    let rest = ["http://", "https://"].into_iter().find_map(|scheme| {
        let (start, rest) = text.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let Some(rest) = rest else {
        return Err(refuse("the URL must be absolute and begin with http:// or https://"));
    };
    let before_query = rest.split(['?', '#']).next().unwrap_or(rest);
    if before_query.contains('\\') {
        return Err(refuse("the URL holds a backslash; write / or %5C"));
    }
    if before_query.is_empty() || before_query.starts_with('/') {
        return Err(no_host());
    }
    Ok(())
}

fn check_length(text: &str) -> Result<(), InvalidUrl> {
    let max = CanonicalUrl::MAX_LENGTH;
    if text.len() > max {
        return Err(refuse(format!("the URL is longer than {max} bytes; shorten it")));
    }
    Ok(())
}

fn check_host(url: &Url) -> Result<(), InvalidUrl> {
    match url.host() {
        None => return Err(no_host()),
        Some(Host::Domain(name)) if name.split('.').all(str::is_empty) => return Err(no_host()),
        Some(_) => {}
    }
    if url.port() == Some(0) {
        return Err(refuse("port 0 cannot be reached; name a port from 1 to 65535 or none"));
    }
    Ok(())
}

fn no_host() -> InvalidUrl {
    refuse("the URL names no host; write https://host/path")
}

/// Userinfo as Basic credentials (RFC 7617).
fn authorization(url: &Url) -> Result<Option<HeaderValue>, InvalidUrl> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let user: Vec<u8> = percent_decode_str(url.username()).collect();
    let password: Vec<u8> = percent_decode_str(url.password().unwrap_or_default()).collect();
    if user.iter().chain(&password).any(u8::is_ascii_control) {
        return Err(refuse("the URL's user name or password holds a control character; remove it"));
    }
    if user.contains(&b':') {
        return Err(refuse(
            "the URL's user name holds a colon, which Basic authentication forbids; use another name",
        ));
    }
    let credentials = STANDARD.encode([user, password].join(&b':'));
    let mut value = HeaderValue::try_from(format!("Basic {credentials}")).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests;
