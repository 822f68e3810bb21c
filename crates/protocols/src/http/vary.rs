//! `Vary` (RFC 9110 section 12.5.5) and the values of a request that choose a variant (RFC 9111 section 4.1).
//!
//! Two requests choose the same variant when the fields that `Vary` nominates have equal [`normalised`] values:
//!
//! | field | normalisation |
//! |---|---|
//! | absent | none: absent is not the same as empty |
//! | several lines | joined by `, ` (RFC 9110 5.3) |
//! | white space around commas and at the ends | `, ` and none; within quotes it stays |
//! | `Accept-Language`, `Accept-Encoding` | lower case, weights as numbers (1 when missing, 0 kept), sorted by weight, then name |
//! | `Accept-Encoding` | `x-gzip` is `gzip`, `x-compress` is `compress` (RFC 9110 8.4.1) |
//! | fields that are no lists, such as `Cookie` and `User-Agent` | only trimmed |
//!
//! What is not of the expected syntax is compared as it stands, so that normalisation never makes two different requests
//! one. Pure; whoever hashes the values gives the hash.

mod weighted;

use std::borrow::Cow;

use http::header::{
    ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, FROM, HOST, ORIGIN, REFERER, USER_AGENT, VARY,
};
use http::{HeaderMap, HeaderName};

use super::field::trim;

/// Most fields that are nominated together unless somebody sets another number.
pub const MAX_FIELDS: usize = 16;

/// Which fields of a request a response depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// None.
    None,
    /// `*`, or too many to compare, or something that no field is called: the response answers no other request.
    Any,
    /// These.
    Fields(Nominated),
}

/// Nominated fields: at least one, distinct, sorted by name.
#[derive(Default, Clone, Debug, PartialEq, Eq)]
pub struct Nominated(Box<[HeaderName]>);

impl Vary {
    /// Reads all `Vary` lines of a response; more than `most` distinct names count as [`Vary::Any`].
    pub fn from_headers(headers: &HeaderMap, most: usize) -> Self {
        Self::from_lines(headers.get_all(VARY).iter().map(|line| line.as_bytes()), most)
    }

    /// Reads lines of `Vary`.
    pub fn from_lines<'a>(lines: impl IntoIterator<Item = &'a [u8]>, most: usize) -> Self {
        let members = lines.into_iter().flat_map(|line| line.split(|byte| *byte == b',')).map(trim);
        let mut names = Vec::new();
        for member in members.filter(|member| !member.is_empty()) {
            // The asterisk may be part of a name, but none consists of it alone.
            let name = HeaderName::from_bytes(member).ok().filter(|name| name != "*");
            let Some(name) = name else { return Self::Any };
            if names.contains(&name) {
                continue;
            }
            if names.len() >= most {
                return Self::Any;
            }
            names.push(name);
        }
        if names.is_empty() {
            return Self::None;
        }
        names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        Self::Fields(Nominated(names.into()))
    }
}

impl Nominated {
    /// The names.
    pub fn names(&self) -> &[HeaderName] {
        &self.0
    }

    /// Feeds what these fields say in `request` to a hash: equal bytes, however cut, exactly when the variant is the same,
    /// wherever the names stood in `Vary`.
    pub fn feed(&self, request: &HeaderMap, mut sink: impl FnMut(&[u8])) {
        let mut part = |bytes: &[u8]| {
            sink(&(bytes.len() as u64).to_le_bytes());
            sink(bytes);
        };
        for name in &self.0 {
            part(name.as_str().as_bytes());
            match normalised(request, name) {
                None => part(b""),
                // One byte more than the value, so that an empty one is not as an absent one.
                Some(value) => part(&[b"=", &value[..]].concat()),
            }
        }
    }
}

/// What a field of a request says, in a form that is equal for equal meaning; `None` when the field is absent.
pub fn normalised(request: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let mut lines = request.get_all(name).iter().map(|line| trim(line.as_bytes()));
    let first = lines.next()?;
    let value = lines.fold(Cow::Borrowed(first), |value, line| Cow::Owned([&value, line].join(&b", "[..])));
    if *name == ACCEPT_LANGUAGE || *name == ACCEPT_ENCODING {
        let alias = if *name == ACCEPT_ENCODING { weighted::coding } else { weighted::as_is };
        if let Some(normal) = weighted::normalised(&value, alias) {
            return Some(normal);
        }
    }
    // A last line that is empty leaves a space behind its comma.
    Some(if NO_LISTS.contains(name) { trim(&value).to_vec() } else { spaced(&value) })
}

/// Fields in which a comma separates nothing.
const NO_LISTS: [HeaderName; 7] = [AUTHORIZATION, COOKIE, FROM, HOST, ORIGIN, REFERER, USER_AGENT];

/// The value with one space behind every comma that is not quoted and none before it.
fn spaced(value: &[u8]) -> Vec<u8> {
    let mut normal = Vec::with_capacity(value.len() + 8);
    let (mut quoted, mut escaped) = (false, false);
    let mut after_comma = false;
    for byte in value.iter().copied() {
        if after_comma && matches!(byte, b' ' | b'\t') {
            continue;
        }
        after_comma = byte == b',' && !quoted;
        if after_comma {
            normal.truncate(normal.trim_ascii_end().len());
            normal.extend_from_slice(b", ");
            continue;
        }
        quoted ^= byte == b'"' && !escaped;
        escaped = quoted && byte == b'\\' && !escaped;
        normal.push(byte);
    }
    normal.truncate(normal.trim_ascii_end().len());
    normal
}

#[cfg(test)]
mod tests;
