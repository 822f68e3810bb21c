//! `Cache-Control` (RFC 9111 section 5.2) of responses and of requests, `Pragma` of requests (section 5.4).
//!
//! | written | read as | by |
//! |---|---|---|
//! | any case of a directive's name | that directive | RFC 9111 5.2 |
//! | `max-age="60"` | 60: both forms of an argument are accepted | RFC 9111 5.2 |
//! | several lines, several of a kind | the most restrictive counts, whichever comes first | RFC 9111 4.2.1 |
//! | 2^31 or more seconds | [`MAX`] | RFC 9111 1.2.2 |
//! | no number, or anything beside it | 0, which is stale | RFC 9111 4.2.1 |
//! | `no-cache="a, b"`, `private="a"` | names of fields; without usable names as if there were no argument | RFC 9111 5.2.2.4, 5.2.2.7 |
//! | unknown directives | nothing, whatever their quoted strings hold | RFC 9111 5.2.3 |
//!
//! Where a directive is malformed (`no-store =x`, a quote that does not end), it counts if it restricts and does not if it
//! permits, and so does everything behind a quote without an end.
//!
//! Works on bytes, keeps small integers and bits; allocates only for the names of fields. Knows nothing of freshness.

mod directives;

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderName};

use self::directives::{Argument, Member, Members};
use super::field::{saturating_number, trim};

/// Greatest number of seconds that is told apart (RFC 9111 section 1.2.2).
pub const MAX: u32 = 1 << 31;

/// Most names of fields that one directive may list; with more it counts as if it listed none, for everything.
pub const MAX_LISTED: usize = 32;

/// A directive that is there or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    /// `no-store` (RFC 9111 sections 5.2.1.5, 5.2.2.5).
    NoStore,
    /// `no-cache` without names of fields (RFC 9111 sections 5.2.1.4, 5.2.2.4).
    NoCache,
    /// `private` without names of fields (RFC 9111 section 5.2.2.7).
    Private,
    /// `public` (RFC 9111 section 5.2.2.9).
    Public,
    /// `must-revalidate` (RFC 9111 section 5.2.2.2).
    MustRevalidate,
    /// `proxy-revalidate` (RFC 9111 section 5.2.2.8).
    ProxyRevalidate,
    /// `must-understand` (RFC 9111 section 5.2.2.3).
    MustUnderstand,
    /// `immutable` (RFC 8246 section 2).
    Immutable,
    /// `no-transform` (RFC 9111 sections 5.2.1.6, 5.2.2.6).
    NoTransform,
    /// `only-if-cached` of a request (RFC 9111 section 5.2.1.7).
    OnlyIfCached,
}

/// Directives as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Directives(u16);

impl Directives {
    fn add(&mut self, directive: Directive) {
        self.0 |= 1 << directive as u16;
    }

    fn has(self, directive: Directive) -> bool {
        self.0 & 1 << directive as u16 != 0
    }
}

/// What the `Cache-Control` of a response says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseControl {
    /// `max-age` in seconds (RFC 9111 section 5.2.2.1).
    pub max_age: Option<u32>,
    /// `s-maxage` in seconds (RFC 9111 section 5.2.2.10).
    pub s_maxage: Option<u32>,
    /// `stale-while-revalidate` in seconds (RFC 5861 section 3).
    pub stale_while_revalidate: Option<u32>,
    /// `stale-if-error` in seconds (RFC 5861 section 4).
    pub stale_if_error: Option<u32>,
    directives: Directives,
    /// Only there when fields are listed.
    listed: Option<Box<Listed>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Listed {
    no_cache: Vec<HeaderName>,
    private: Vec<HeaderName>,
}

impl ResponseControl {
    /// Reads all `Cache-Control` lines of a response.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self::from_lines(headers.get_all(CACHE_CONTROL).iter().map(|line| line.as_bytes()))
    }

    /// Reads lines of `Cache-Control`, or of a field with its syntax.
    pub fn from_lines<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut control = Self::default();
        for member in lines.into_iter().flat_map(Members::new) {
            control.read(member);
        }
        control
    }

    /// Whether the directive is there; `no-cache` and `private` only count here when they are about everything.
    pub fn has(&self, directive: Directive) -> bool {
        self.directives.has(directive)
    }

    /// The fields that `no-cache="…"` lists, distinct: they must not be sent again without successful validation.
    pub fn no_cache_fields(&self) -> &[HeaderName] {
        self.listed.as_ref().map_or(&[], |listed| &listed.no_cache)
    }

    /// The fields that `private="…"` lists, distinct: they must not be stored.
    pub fn private_fields(&self) -> &[HeaderName] {
        self.listed.as_ref().map_or(&[], |listed| &listed.private)
    }

    /// Notes a directive that has no argument.
    pub(super) fn add(&mut self, directive: Directive) {
        self.directives.add(directive);
    }

    /// Notes `no-cache` or `private` for the fields of a list, or for everything when the list is of no use.
    pub(super) fn add_listed(&mut self, directive: Directive, list: &[u8]) {
        let Some(names) = field_names(list) else { return self.add(directive) };
        let listed = self.listed.get_or_insert_default();
        let into = if directive == Directive::NoCache { &mut listed.no_cache } else { &mut listed.private };
        for name in names {
            if !into.contains(&name) {
                into.push(name);
            }
        }
        if into.len() > MAX_LISTED {
            into.truncate(MAX_LISTED);
            self.add(directive);
        }
    }

    fn read(&mut self, Member { name, argument }: Member<'_>) {
        if let Some(seconds) = self.seconds(name) {
            smallest(seconds, argument.seconds());
        } else if let Some(directive) = find(&RESTRICTING, name) {
            self.add(directive);
        } else if let Some(directive) = find(&LISTING, name) {
            self.read_listed(directive, &argument);
        } else if let Some(directive) = find(&PERMITTING, name)
            && matches!(argument, Argument::None)
        {
            self.add(directive);
        }
    }

    fn seconds(&mut self, name: &[u8]) -> Option<&mut Option<u32>> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("max-age") {
            Some(&mut self.max_age)
        } else if is("s-maxage") {
            Some(&mut self.s_maxage)
        } else if is("stale-while-revalidate") {
            Some(&mut self.stale_while_revalidate)
        } else if is("stale-if-error") {
            Some(&mut self.stale_if_error)
        } else {
            None
        }
    }

    fn read_listed(&mut self, directive: Directive, argument: &Argument<'_>) {
        match argument.bytes() {
            Some(list) => self.add_listed(directive, &list),
            None => self.add(directive),
        }
    }
}

/// What the `Cache-Control` of a request says, or in its absence `Pragma`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestControl {
    /// `max-age` in seconds (RFC 9111 section 5.2.1.1).
    pub max_age: Option<u32>,
    /// `min-fresh` in seconds (RFC 9111 section 5.2.1.3). Malformed, it is as if it were not there.
    pub min_fresh: Option<u32>,
    /// `max-stale` in seconds (RFC 9111 section 5.2.1.2); `u32::MAX` when the request names no limit.
    pub max_stale: Option<u32>,
    directives: Directives,
}

impl RequestControl {
    /// Reads all `Cache-Control` lines of a request; when there is none, `Pragma: no-cache` means the same as
    /// `Cache-Control: no-cache` (RFC 9111 section 5.4).
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let lines = |name| headers.get_all(name).iter().map(|line| line.as_bytes());
        if headers.contains_key(CACHE_CONTROL) {
            return Self::from_lines(lines(CACHE_CONTROL));
        }
        let mut control = Self::default();
        let mut pragma = lines(PRAGMA).flat_map(Members::new);
        if pragma.any(|member| member.name.eq_ignore_ascii_case(b"no-cache")) {
            control.directives.add(Directive::NoCache);
        }
        control
    }

    /// Reads lines of `Cache-Control`.
    pub fn from_lines<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut control = Self::default();
        for member in lines.into_iter().flat_map(Members::new) {
            control.read(member);
        }
        control
    }

    /// Whether the directive is there.
    pub fn has(self, directive: Directive) -> bool {
        self.directives.has(directive)
    }

    fn read(&mut self, Member { name, argument }: Member<'_>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("max-age") {
            smallest(&mut self.max_age, argument.seconds());
        } else if is("min-fresh") {
            // The most restrictive is the greatest here, and what is no number demands nothing that could be met.
            self.min_fresh = self.min_fresh.max(argument.number());
        } else if is("max-stale") {
            let limit = if matches!(argument, Argument::None) { u32::MAX } else { argument.seconds() };
            smallest(&mut self.max_stale, limit);
        } else if let Some(directive) = find(&ASKING, name) {
            self.directives.add(directive);
        }
    }
}

/// Directives and their names.
type Names = [(&'static str, Directive)];

/// Those of a response that count whatever stands beside them.
const RESTRICTING: [(&str, Directive); 4] = [
    ("no-store", Directive::NoStore),
    ("must-revalidate", Directive::MustRevalidate),
    ("proxy-revalidate", Directive::ProxyRevalidate),
    ("no-transform", Directive::NoTransform),
];

/// Those of a response that may list fields.
const LISTING: [(&str, Directive); 2] = [("no-cache", Directive::NoCache), ("private", Directive::Private)];

/// Those of a response that allow what would not be allowed otherwise.
const PERMITTING: [(&str, Directive); 3] = [
    ("public", Directive::Public),
    ("must-understand", Directive::MustUnderstand),
    ("immutable", Directive::Immutable),
];

/// Those of a request.
const ASKING: [(&str, Directive); 4] = [
    ("no-cache", Directive::NoCache),
    ("no-store", Directive::NoStore),
    ("no-transform", Directive::NoTransform),
    ("only-if-cached", Directive::OnlyIfCached),
];

fn find(names: &Names, name: &[u8]) -> Option<Directive> {
    let found = names.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
    found.map(|(_, directive)| *directive)
}

/// Keeps the smaller one: of several values the most restrictive counts (RFC 9111 section 4.2.1).
fn smallest(kept: &mut Option<u32>, seconds: u32) {
    *kept = Some(kept.map_or(seconds, |kept| kept.min(seconds)));
}

/// Digits as seconds, at most [`MAX`]; `None` when there is anything but digits.
fn delta_seconds(digits: &[u8]) -> Option<u32> {
    let seconds = saturating_number(digits)?.min(u64::from(MAX));
    u32::try_from(seconds).ok()
}

/// The names of a list of fields; `None` when there is none, or something that no field is called.
fn field_names(list: &[u8]) -> Option<Vec<HeaderName>> {
    let members = list.split(|byte| *byte == b',').map(trim).filter(|member| !member.is_empty());
    let names: Vec<_> =
        members.take(MAX_LISTED + 1).map(HeaderName::from_bytes).collect::<Result<_, _>>().ok()?;
    (!names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests;
