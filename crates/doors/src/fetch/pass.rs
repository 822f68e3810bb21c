//! Which request fields may go on to the origin, and which do when nobody says anything.

use http::header::{self, HeaderMap, HeaderName};
use protocols::http::hop;

use crate::respond::Refusal;

/// Fields that say how a fill fetches: with a client's value it would break. Those of one connection come on top.
static NEVER: [HeaderName; 14] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::VIA,
    header::FORWARDED,
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::ACCEPT_ENCODING,
    header::CACHE_CONTROL,
    header::PRAGMA,
];

/// The operator's word on passed fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassHeaders {
    allowed: Box<[HeaderName]>,
    default: Box<[HeaderName]>,
}

/// A setting about passed fields is not written right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPassHeaders {
    /// One sentence that names the field and the fix.
    pub detail: String,
}

impl std::fmt::Display for InvalidPassHeaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for InvalidPassHeaders {}

impl PassHeaders {
    /// `allowed` (setting `fetch.pass-headers`) may be named by `passheaders`; `default` (setting
    /// `fetch.pass-headers-default`), a part of it, is passed when a request has no `passheaders`.
    pub fn new<S: AsRef<str>>(allowed: &[S], default: &[S]) -> Result<Self, InvalidPassHeaders> {
        let names =
            |texts: &[S]| texts.iter().map(|text| parse(text.as_ref())).collect::<Result<Box<_>, _>>();
        let pass = Self { allowed: names(allowed)?, default: names(default)? };
        match pass.default.iter().find(|name| !pass.allowed.contains(name)) {
            None => Ok(pass),
            Some(name) => {
                let detail = format!(
                    "fetch.pass-headers-default names {name}, which fetch.pass-headers does not; add it there"
                );
                Err(InvalidPassHeaders { detail })
            }
        }
    }

    /// Fields passed when a request has no `passheaders`.
    pub(super) fn unnamed(&self) -> &[HeaderName] {
        &self.default
    }

    /// Whether a request carries a field that is passed without being named: then its target alone does not
    /// say what it asks for.
    pub(super) fn applies_to(&self, headers: &HeaderMap) -> bool {
        self.default.iter().any(|name| headers.contains_key(name))
    }

    /// Refuses names that the operator does not allow.
    pub(super) fn check(&self, names: &[HeaderName]) -> Result<(), Refusal> {
        let Some(name) = names.iter().find(|name| !self.allowed.contains(name)) else { return Ok(()) };
        let detail = format!(
            "the parameter passheaders names {name}, which is not allowed here; the operator can add it to \
             the setting fetch.pass-headers"
        );
        Err(Refusal::forbidden("passheaders_forbidden", detail))
    }
}

fn parse(text: &str) -> Result<HeaderName, InvalidPassHeaders> {
    let invalid =
        |problem: &str| InvalidPassHeaders { detail: format!("fetch.pass-headers: `{text}` {problem}") };
    let name = HeaderName::from_bytes(text.trim().as_bytes())
        .map_err(|_| invalid("is no field name; write it as in `Authorization`"))?;
    if NEVER.contains(&name) || hop::FIELDS.contains(&name) {
        return Err(invalid("belongs to the connection or to the fill and cannot be passed; remove it"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn name(text: &'static str) -> HeaderName {
        HeaderName::from_static(text)
    }

    #[test]
    fn only_allowed_names_pass_whatever_their_case() {
        let pass = PassHeaders::new(&["Authorization", " PRIVATE-TOKEN "], &["private-token"]).unwrap();
        assert!(pass.check(&[name("authorization"), name("private-token")]).is_ok());
        let refusal = pass.check(&[name("authorization"), name("cookie")]).unwrap_err();
        assert_eq!(refusal.status, http::StatusCode::FORBIDDEN);
        assert!(refusal.detail.contains("cookie") && refusal.detail.contains("fetch.pass-headers"));
        assert_eq!(pass.unnamed(), [name("private-token")]);
    }

    #[test]
    fn defaults_apply_only_when_the_request_has_them() {
        let pass = PassHeaders::new(&["authorization"], &["authorization"]).unwrap();
        let mut headers = HeaderMap::new();
        assert!(!pass.applies_to(&headers));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer t"));
        assert!(pass.applies_to(&headers));
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let detail =
            |allowed: &[&str], default: &[&str]| PassHeaders::new(allowed, default).unwrap_err().detail;
        assert!(detail(&["a b"], &[]).contains("`a b` is no field name"));
        assert!(detail(&["Host"], &[]).contains("cannot be passed"));
        assert!(detail(&["If-None-Match"], &[]).contains("cannot be passed"));
        assert!(detail(&[], &["x-token"]).contains("x-token, which fetch.pass-headers does not"));
    }
}
