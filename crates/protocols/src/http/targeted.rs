//! Targeted cache control (RFC 9213): `CDN-Cache-Control` and fields of an operator's own, as Structured Fields.
//!
//! Such a field is a dictionary of RFC 9651 and strict as such: one malformed byte and the field is as good as absent,
//! unlike in `Cache-Control`. When one is valid, its directives stand in place of `Cache-Control` and `Expires`
//! (RFC 9213 section 2.2); the caller sees to that. The field itself goes on to the client unchanged.
//!
//! | member | read as | by |
//! |---|---|---|
//! | `max-age=60` | 60 seconds | RFC 9213 2.1 |
//! | `max-age="60"`, `max-age=60.0`, `no-store=?0` | nothing: no value of the directive's type | RFC 9213 2.1 |
//! | `max-age=-1` | 0: an integer, but no delta-seconds | RFC 9111 4.2.1 |
//! | `no-cache="a, b"` | names of fields | RFC 9213 2.1 |
//! | the same key twice | the last one, whatever its type | RFC 9651 3.2 |
//! | parameters, unknown keys | nothing | RFC 9213 2.1, RFC 9111 5.2.3 |

use std::borrow::Cow;
use std::convert::Infallible;

use http::{HeaderMap, HeaderName};
use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor,
};
use sfv::{BareItemFromInput, KeyRef, Parser, StringRef};

use super::cache_control::{Directive, MAX, ResponseControl};

/// The field's name.
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// The directives of the first of the fields `targets` that is there, not empty and valid (RFC 9213 section 2.2).
pub fn first_valid(headers: &HeaderMap, targets: &[HeaderName]) -> Option<ResponseControl> {
    targets.iter().find_map(|name| parse(headers.get_all(name).iter().map(|line| line.as_bytes())))
}

/// Reads all lines of one targeted field; `None` when it is absent, empty or malformed (RFC 9213 section 2.1).
pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<ResponseControl> {
    let field = joined(lines)?;
    let known = Parser::new(&field).parse_dictionary_with_visitor(Known::default()).ok()?;
    (known.members > 0).then(|| known.control())
}

/// The lines as one (RFC 9651 section 4.2); copied only when there are several.
fn joined<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<Cow<'a, [u8]>> {
    let mut lines = lines.into_iter();
    let mut field = Cow::Borrowed(lines.next()?);
    for line in lines {
        let field = field.to_mut();
        field.extend_from_slice(b", ");
        field.extend_from_slice(line);
    }
    Some(field)
}

/// What is known of a dictionary's members while it is read.
#[derive(Default)]
struct Known<'a> {
    members: usize,
    seconds: [Option<u32>; SECONDS.len()],
    /// Bits in the order of [`PLAIN`].
    plain: u16,
    listed: [Option<Fields<'a>>; LISTED.len()],
}

/// What `no-cache` or `private` is about.
enum Fields<'a> {
    All,
    Named(Cow<'a, StringRef>),
}

const SECONDS: [&str; 4] = ["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"];

const PLAIN: [(&str, Directive); 7] = [
    ("no-store", Directive::NoStore),
    ("must-revalidate", Directive::MustRevalidate),
    ("proxy-revalidate", Directive::ProxyRevalidate),
    ("must-understand", Directive::MustUnderstand),
    ("no-transform", Directive::NoTransform),
    ("public", Directive::Public),
    ("immutable", Directive::Immutable),
];

const LISTED: [(&str, Directive); 2] = [("no-cache", Directive::NoCache), ("private", Directive::Private)];

impl<'a> Known<'a> {
    /// Takes a member's value, or, with `None`, forgets what an earlier member of that key said.
    fn note(&mut self, key: &str, value: Option<BareItemFromInput<'a>>) {
        if let Some(place) = SECONDS.iter().position(|known| *known == key) {
            self.seconds[place] = match value {
                Some(BareItemFromInput::Integer(seconds)) => Some(delta_seconds(seconds.into())),
                _ => None,
            };
        } else if let Some(place) = PLAIN.iter().position(|(known, _)| *known == key) {
            let is_there = matches!(value, Some(BareItemFromInput::Boolean(true)));
            self.plain = self.plain & !(1 << place) | u16::from(is_there) << place;
        } else if let Some(place) = LISTED.iter().position(|(known, _)| *known == key) {
            self.listed[place] = match value {
                Some(BareItemFromInput::Boolean(true)) => Some(Fields::All),
                Some(BareItemFromInput::String(names)) => Some(Fields::Named(names)),
                _ => None,
            };
        }
    }

    fn control(self) -> ResponseControl {
        let mut control = ResponseControl::default();
        [control.max_age, control.s_maxage, control.stale_while_revalidate, control.stale_if_error] =
            self.seconds;
        for (place, (_, directive)) in PLAIN.into_iter().enumerate() {
            if self.plain & 1 << place != 0 {
                control.add(directive);
            }
        }
        for ((_, directive), fields) in LISTED.into_iter().zip(self.listed) {
            match fields {
                None => {}
                Some(Fields::All) => control.add(directive),
                Some(Fields::Named(names)) => control.add_listed(directive, names.as_str().as_bytes()),
            }
        }
        control
    }
}

/// At least 0, at most [`MAX`].
fn delta_seconds(seconds: i64) -> u32 {
    u32::try_from(seconds.clamp(0, i64::from(MAX))).unwrap_or(MAX)
}

/// One member of the dictionary.
struct Entry<'v, 'a> {
    known: &'v mut Known<'a>,
    key: &'a KeyRef,
}

impl<'a> DictionaryVisitor<'a> for Known<'a> {
    type Out = Self;
    type Error = Infallible;

    fn entry(&mut self, key: &'a KeyRef) -> Result<impl EntryVisitor<'a>, Infallible> {
        self.members += 1;
        Ok(Entry { known: self, key })
    }

    fn finish(self) -> Result<Self, Infallible> {
        Ok(self)
    }
}

impl<'a> EntryVisitor<'a> for Entry<'_, 'a> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'a>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'a>, Infallible> {
        self.known.note(self.key.as_str(), None);
        Ok(Ignored)
    }
}

impl<'a> ItemVisitor<'a> for Entry<'_, 'a> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        value: BareItemFromInput<'a>,
    ) -> Result<impl ParameterVisitor<'a, Out = ()>, Infallible> {
        self.known.note(self.key.as_str(), Some(value));
        Ok(Ignored)
    }
}

#[cfg(test)]
mod tests;
