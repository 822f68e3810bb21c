//! The members of a `Cache-Control` line: a name, and an argument as token or quoted string (RFC 9111 section 5.2).

use std::borrow::Cow;

use super::super::field::is_tchar;
use super::delta_seconds;

/// One directive.
pub(super) struct Member<'a> {
    /// As written; never empty.
    pub(super) name: &'a [u8],
    pub(super) argument: Argument<'a>,
}

/// What follows a directive's name.
pub(super) enum Argument<'a> {
    /// Nothing.
    None,
    /// `=token`.
    Token(&'a [u8]),
    /// `="…"`: what stands between the quotes, as written.
    Quoted(&'a [u8]),
    /// Something else, or the line is broken before this place.
    Malformed,
}

impl Argument<'_> {
    /// As seconds; 0 when it is no number.
    pub(super) fn seconds(&self) -> u32 {
        self.number().unwrap_or(0)
    }

    /// As seconds; `None` when it is no number.
    pub(super) fn number(&self) -> Option<u32> {
        match self {
            Self::Token(digits) | Self::Quoted(digits) => delta_seconds(digits),
            Self::None | Self::Malformed => None,
        }
    }

    /// As text without escapes; `None` when there is none.
    pub(super) fn bytes(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Token(token) => Some(Cow::Borrowed(token)),
            Self::Quoted(quoted) => Some(unescaped(quoted)),
            Self::None | Self::Malformed => None,
        }
    }
}

/// Without the backslashes of quoted pairs (RFC 9110 section 5.6.4).
fn unescaped(quoted: &[u8]) -> Cow<'_, [u8]> {
    if !quoted.contains(&b'\\') {
        return Cow::Borrowed(quoted);
    }
    let mut escaped = false;
    let bytes = quoted.iter().copied().filter(|byte| {
        escaped = *byte == b'\\' && !escaped;
        !escaped
    });
    Cow::Owned(bytes.collect())
}

/// The members of one line, in order.
pub(super) struct Members<'a> {
    rest: &'a [u8],
    /// A quote did not end: nobody knows any more what is inside of quotes and what is not.
    broken: bool,
}

impl<'a> Members<'a> {
    pub(super) fn new(line: &'a [u8]) -> Self {
        Self { rest: line, broken: false }
    }

    /// Takes bytes from the front as long as they are of a kind.
    fn take(&mut self, of_kind: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !of_kind(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn argument(&mut self) -> Argument<'a> {
        let Some(value) = self.rest.strip_prefix(b"=") else { return Argument::None };
        self.rest = value;
        if !value.starts_with(b"\"") {
            let token = self.take(is_tchar);
            return if token.is_empty() { Argument::Malformed } else { Argument::Token(token) };
        }
        match quoted_length(value) {
            Some(length) => {
                self.rest = &value[length..];
                Argument::Quoted(&value[1..length - 1])
            }
            // The search for the next comma finds that out, too.
            None => Argument::Malformed,
        }
    }

    /// Skips to the next comma that is not quoted; whether there was nothing but white space before it.
    fn is_clean_to_comma(&mut self) -> bool {
        let mut clean = true;
        loop {
            self.take(|byte| matches!(byte, b' ' | b'\t'));
            match self.rest {
                [] => return clean,
                [b',', rest @ ..] => {
                    self.rest = rest;
                    return clean;
                }
                [b'"', ..] if !self.broken => match quoted_length(self.rest) {
                    Some(length) => self.rest = &self.rest[length..],
                    None => self.broken = true,
                },
                [_, rest @ ..] => self.rest = rest,
            }
            clean = false;
        }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        loop {
            self.take(|byte| matches!(byte, b' ' | b'\t' | b','));
            if self.rest.is_empty() {
                return None;
            }
            let was_broken = self.broken;
            let name = self.take(is_tchar);
            let argument = self.argument();
            let clean = self.is_clean_to_comma();
            if name.is_empty() {
                continue;
            }
            let sound = clean && !was_broken && !self.broken;
            return Some(Member { name, argument: if sound { argument } else { Argument::Malformed } });
        }
    }
}

/// Length of the quoted string at the start, with its quotes; `None` when it does not end.
fn quoted_length(value: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let inside = value.iter().skip(1).position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    Some(inside + 2)
}
