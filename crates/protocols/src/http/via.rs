//! `Via` (RFC 9110 section 7.6.3): who handled a message before us. It finds loops.

use http::header::VIA;
use http::{HeaderMap, HeaderValue, Version};

use super::field::is_tchar;

/// What the `Via` lines of a message say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hops {
    /// Members in all; malformed ones count.
    pub total: usize,
    /// Those that bear the pseudonym asked for.
    pub ours: usize,
}

impl Hops {
    /// Counts members, and among them those received by `pseudonym` (in any case, and without its port).
    pub fn from_headers(headers: &HeaderMap, pseudonym: &str) -> Self {
        let members = headers.get_all(VIA).iter().flat_map(|line| Members::of(line.as_bytes()));
        members.fold(Self::default(), |hops, member| {
            let ours = received_by(member).is_some_and(|name| is_named(name, pseudonym));
            Self { total: hops.total + 1, ours: hops.ours + usize::from(ours) }
        })
    }
}

/// A member that names us: `1.1 standpipe`. Characters that a pseudonym cannot hold become `_`.
pub fn member(version: Version, pseudonym: &str) -> HeaderValue {
    let version = match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    };
    let pseudonym = pseudonym.chars().map(|char| match u8::try_from(char) {
        Ok(byte) if is_tchar(byte) => char,
        _ => '_',
    });
    let text: String = version.chars().chain([' ']).chain(pseudonym).collect();
    HeaderValue::try_from(text).expect("tokens are visible ASCII")
}

/// The second word of a member, after the protocol.
fn received_by(member: &[u8]) -> Option<&[u8]> {
    member.split(|byte| matches!(byte, b' ' | b'\t' | b'(')).filter(|word| !word.is_empty()).nth(1)
}

fn is_named(received_by: &[u8], pseudonym: &str) -> bool {
    let pseudonym = pseudonym.as_bytes();
    let Some((name, port)) = received_by.split_at_checked(pseudonym.len()) else { return false };
    name.eq_ignore_ascii_case(pseudonym) && matches!(port, [] | [b':', ..])
}

/// Members of one line. Comments may hold commas, other comments and escaped characters.
struct Members<'a> {
    rest: &'a [u8],
    /// A comment that is not closed is none, or it could hide us from ourselves: from there on every comma separates.
    comments: Comments,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comments {
    Closed,
    Broken,
}

impl<'a> Members<'a> {
    fn of(line: &'a [u8]) -> Self {
        Self { rest: line, comments: Comments::Closed }
    }

    /// The first comma outside comments, or the end.
    fn member_end(&mut self) -> usize {
        if self.comments == Comments::Closed {
            let (mut depth, mut escaped) = (0_usize, false);
            for (index, byte) in self.rest.iter().enumerate() {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = depth > 0,
                    b'(' => depth += 1,
                    b')' => depth = depth.saturating_sub(1),
                    b',' if depth == 0 => return index,
                    _ => {}
                }
            }
            if depth == 0 {
                return self.rest.len();
            }
            self.comments = Comments::Broken;
        }
        self.rest.iter().position(|byte| *byte == b',').unwrap_or(self.rest.len())
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while let [b' ' | b'\t' | b',', rest @ ..] = self.rest {
            self.rest = rest;
        }
        if self.rest.is_empty() {
            return None;
        }
        let end = self.member_end();
        let (member, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(member)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hops(lines: &[&'static str]) -> (usize, usize) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(VIA, HeaderValue::from_static(line));
        }
        let Hops { total, ours } = Hops::from_headers(&headers, "standpipe");
        (total, ours)
    }

    /// 4c 51: a loop through ourselves.
    #[test]
    fn members_are_counted_and_ours_are_found() {
        for (lines, expected) in [
            (&[][..], (0, 0)),
            (&[""], (0, 0)),
            (&[" , ,"], (0, 0)),
            (&["1.1 standpipe"], (1, 1)),
            (&["1.0 fred, 1.1 p.example.net"], (2, 0)),
            (&["1.0 fred", "HTTP/1.1 STANDPIPE:8001 (a comment)"], (2, 1)),
            (&["1.1 standpipe, 1.1 other, 2 standpipe"], (3, 2)),
            (&["1.1\tstandpipe(comment)"], (1, 1)),
            (&["1.1 standpipe2, 1.1 standpipe.example, 1.1 my-standpipe"], (3, 0)),
            (&["1.1 a (standpipe, 1.1 standpipe, (b, c) \\), d), 1.1 e"], (2, 0)),
            (&["standpipe"], (1, 0)),
            (&["1.1 a (never closed, 1.1 standpipe"], (2, 1)),
            (&["1.1 a), 1.1 standpipe"], (2, 1)),
            (&["1.1 a\\, 1.1 standpipe"], (2, 1)),
        ] {
            assert_eq!(hops(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_line_of_open_comments_is_read_once() {
        let line = "(,".repeat(1 << 20);
        assert_eq!(Members::of(line.as_bytes()).count(), 1 << 20);
    }

    #[test]
    fn our_member_is_found_again() {
        assert_eq!(member(Version::HTTP_11, "standpipe"), "1.1 standpipe");
        assert_eq!(member(Version::HTTP_2, "standpipe"), "2 standpipe");
        assert_eq!(member(Version::HTTP_10, "a b\r\n\u{fc}(,"), "1.0 a_b_____");
    }

    proptest! {
        #[test]
        fn members_round_trip(pseudonym in "[a-zA-Z0-9.~_-]{1,20}", before in "([a-z0-9. ,()\\\\]){0,20}") {
            let mut headers = HeaderMap::new();
            headers.append(VIA, HeaderValue::from_str(&before).expect("visible"));
            headers.append(VIA, member(Version::HTTP_11, &pseudonym));
            prop_assert!(Hops::from_headers(&headers, &pseudonym).ours >= 1);
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(Members::of(&bytes).count() <= bytes.len());
        }
    }
}
