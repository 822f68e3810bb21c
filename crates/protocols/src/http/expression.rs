//! [`Expression`]: which stored objects are meant, in a line that people can write.
//!
//! ```text
//! host == "x" && path ~ "/a/*" && (status >= 400 || age > 1h) && header.content-type == "text/html" && !(tag == "t")
//! ```
//!
//! | field | is | compared by |
//! |---|---|---|
//! | `url`, `host`, `path`, `tag`, `header.NAME` | text | `==` `!=` `~` (`*` is any run of characters, `?` is one) |
//! | `status`, `uses` | number | `==` `!=` `<` `<=` `>` `>=` |
//! | `size` | number with `B`, `KB`, `MB`, `GB`, `TB`, `KiB`, `MiB`, `GiB`, `TiB` | the same |
//! | `age`, `idle` | number with `s`, `m`, `h`, `d`, `w` | the same |
//!
//! `!`, `&&`, `||` bind in this order. What an object has several of (tags, header lines) fits when one of them does; `!=`
//! is the opposite of `==`, so it fits when none does.
//!
//! Pure; length, depth and number of comparisons are bounded. Time of a match: pattern × text for each comparison.

mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

use http::HeaderName;

/// Which stored objects are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression(Node);

/// Most bytes of an expression.
pub const MAX_LENGTH: usize = 4096;
/// Most parentheses and negations within each other.
pub const MAX_DEPTH: usize = 32;
/// Most comparisons.
pub const MAX_COMPARISONS: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Text(Text, Box<Pattern>),
    Number(Number, Order, u64),
}

/// A field that is text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// The whole URL, secrets masked.
    Url,
    /// Host of the URL, without port.
    Host,
    /// Path of the URL, without query.
    Path,
    /// The tags of the response.
    Tag,
    /// The lines of a field of the response.
    Header(HeaderName),
}

/// A field that is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Status of the response.
    Status,
    /// Seconds since the origin made the response.
    Age,
    /// Bytes of the body.
    Size,
    /// Seconds since the last use.
    Idle,
    /// Uses that are remembered.
    Uses,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equal,
    NotEqual,
    Less,
    AtMost,
    More,
    AtLeast,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Exactly(Vec<u8>),
    Like(Vec<u8>),
}

/// An object as an expression sees it.
pub trait Subject {
    /// Whether `fits` says so of any of the field's values.
    fn any(&self, field: &Text, fits: &mut dyn FnMut(&[u8]) -> bool) -> bool;
    /// The value of a number.
    fn number(&self, field: Number) -> u64;
}

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidExpression {
    /// Bytes before the place.
    pub at: usize,
    /// What is wrong there, and what would be right.
    pub detail: String,
}

impl fmt::Display for InvalidExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: {}", self.at + 1, self.detail)
    }
}

impl std::error::Error for InvalidExpression {}

impl Expression {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, InvalidExpression> {
        parse::parse(text).map(Self)
    }

    /// Whether an object is meant.
    pub fn matches(&self, subject: &impl Subject) -> bool {
        self.0.matches(subject)
    }
}

impl Node {
    fn matches(&self, subject: &impl Subject) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.matches(subject)),
            Self::Any(nodes) => nodes.iter().any(|node| node.matches(subject)),
            Self::Not(node) => !node.matches(subject),
            Self::Text(field, pattern) => subject.any(field, &mut |text| pattern.fits(text)),
            Self::Number(field, order, wanted) => order.holds(subject.number(*field), *wanted),
        }
    }
}

impl Order {
    fn holds(self, value: u64, wanted: u64) -> bool {
        match self {
            Self::Equal => value == wanted,
            Self::NotEqual => value != wanted,
            Self::Less => value < wanted,
            Self::AtMost => value <= wanted,
            Self::More => value > wanted,
            Self::AtLeast => value >= wanted,
        }
    }
}

impl Pattern {
    fn fits(&self, text: &[u8]) -> bool {
        match self {
            Self::Exactly(wanted) => wanted == text,
            Self::Like(pattern) => like(pattern, text),
        }
    }
}

/// `*` is any run, `?` any byte. Only the last `*` has to be tried again: what an earlier one takes more, a later one could
/// have taken.
fn like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen, mut again) = (0, 0, None);
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                again = Some((at + 1, seen));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[seen] => {
                (at, seen) = (at + 1, seen + 1);
            }
            _ => {
                let Some((after, from)) = again else { return false };
                again = Some((after, from + 1));
                (at, seen) = (after, from + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}
