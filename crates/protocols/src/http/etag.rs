//! Entity tags (RFC 9110 section 8.8.3) and the lists of them in `If-Match` and `If-None-Match`.

use http::HeaderValue;
use http::header::GetAll;

use super::field::trim;

/// An entity tag (RFC 9110 section 8.8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag {
    /// Whether it only promises equivalent, not equal bytes (`W/"…"`).
    pub weak: bool,
    /// The opaque part without quotes.
    pub opaque: Box<[u8]>,
}

impl EntityTag {
    /// One entity tag and nothing else; `None` when malformed (no quotes, lower-case `w/`, forbidden bytes).
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value = trim(value);
        let (weak, quoted) = match value.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, value),
        };
        let opaque = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        opaque.iter().all(|byte| is_etagc(*byte)).then(|| Self { weak, opaque: opaque.into() })
    }

    /// Both strong and the same: equal bytes are promised (RFC 9110 section 8.8.3.2).
    pub fn strong_eq(&self, other: &Self) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// The same, whether weak or strong (RFC 9110 section 8.8.3.2).
    pub fn weak_eq(&self, other: &Self) -> bool {
        self.opaque == other.opaque
    }

    /// The tag as a field value, with quotes. `None` for an opaque part that no tag can have.
    pub fn to_header(&self) -> Option<HeaderValue> {
        let prefix: &[u8] = if self.weak { b"W/\"" } else { b"\"" };
        self.opaque.iter().all(|byte| is_etagc(*byte)).then_some(())?;
        HeaderValue::from_bytes(&[prefix, &self.opaque, b"\""].concat()).ok()
    }
}

/// Visible ASCII but the quote, or a byte beyond ASCII.
fn is_etagc(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)
}

/// Most tags of one list that are looked at.
pub const MAX_TAGS: usize = 256;

/// `If-Match` or `If-None-Match`, of all their lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagList {
    /// `*`: any representation there is.
    Any,
    /// The well-formed tags among the first [`MAX_TAGS`] members; malformed members match nothing.
    Tags(Vec<EntityTag>),
}

impl TagList {
    /// `None` when the field is absent.
    pub fn from_lines(lines: GetAll<'_, HeaderValue>) -> Option<Self> {
        let mut lines = lines.iter().peekable();
        let first = lines.next()?;
        if trim(first.as_bytes()) == b"*" && lines.peek().is_none() {
            return Some(Self::Any);
        }
        let members = std::iter::once(first).chain(lines).flat_map(|line| Members { rest: line.as_bytes() });
        Some(Self::Tags(members.take(MAX_TAGS).filter_map(EntityTag::parse).collect()))
    }
}

/// Members of a list of entity tags, which may contain commas within quotes. A quote cannot be escaped.
struct Members<'a> {
    rest: &'a [u8],
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
        let mut quoted = false;
        let end = self.rest.iter().position(|byte| {
            quoted ^= *byte == b'"';
            *byte == b',' && !quoted
        });
        let (member, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        Some(member)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::IF_NONE_MATCH;
    use proptest::prelude::*;

    use super::*;

    fn tag(text: &str) -> EntityTag {
        EntityTag::parse(text.as_bytes()).expect(text)
    }

    fn list(lines: &[&str]) -> Option<TagList> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IF_NONE_MATCH, HeaderValue::from_str(line).expect(line));
        }
        TagList::from_lines(headers.get_all(IF_NONE_MATCH))
    }

    #[test]
    fn well_formed_tags() {
        for (text, weak, opaque) in [
            ("\"xyzzy\"", false, &b"xyzzy"[..]),
            ("W/\"xyzzy\"", true, b"xyzzy"),
            ("\"\"", false, b""),
            (" \"a,b\\\" ", false, b"a,b\\"),
            ("\"\u{e9}\"", false, "\u{e9}".as_bytes()),
            ("\"W/\"", false, b"W/"),
        ] {
            assert_eq!(
                EntityTag::parse(text.as_bytes()),
                Some(EntityTag { weak, opaque: opaque.into() }),
                "{text}"
            );
        }
    }

    #[test]
    fn malformed_tags_are_none() {
        for text in [
            "",
            "\"",
            "xyzzy",
            "w/\"a\"",
            "W/",
            "W/a",
            "W /\"a\"",
            "\"a b\"",
            "\"a\"b\"",
            "\"a\"x",
            "\"\x7f\"",
            "'a'",
            "*",
            "\"a\", \"b\"",
        ] {
            assert_eq!(EntityTag::parse(text.as_bytes()), None, "{text}");
        }
    }

    /// The table of RFC 9110 section 8.8.3.2.
    #[test]
    fn strong_and_weak_comparison() {
        for (left, right, strong, weak) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ] {
            let (left, right) = (tag(left), tag(right));
            assert_eq!((left.strong_eq(&right), left.weak_eq(&right)), (strong, weak), "{left:?} {right:?}");
        }
    }

    #[test]
    fn lists_of_several_lines_with_commas_in_quotes_and_empty_members() {
        let tags = TagList::Tags(vec![tag("\"a\""), tag("W/\"b,c\""), tag("\"d\"")]);
        assert_eq!(list(&["\"a\", W/\"b,c\" ,,", ", \"d\""]), Some(tags));
        assert_eq!(list(&[]), None);
        assert_eq!(list(&[""]), Some(TagList::Tags(vec![])));
    }

    #[test]
    fn a_star_stands_alone() {
        assert_eq!(list(&["*"]), Some(TagList::Any));
        assert_eq!(list(&[" * "]), Some(TagList::Any));
        assert_eq!(list(&["*, \"a\""]), Some(TagList::Tags(vec![tag("\"a\"")])));
        assert_eq!(list(&["*", "\"a\""]), Some(TagList::Tags(vec![tag("\"a\"")])));
        assert_eq!(list(&["\"*\""]), Some(TagList::Tags(vec![tag("\"*\"")])));
    }

    #[test]
    fn malformed_members_are_left_out() {
        assert_eq!(
            list(&["a, \"b\", w/\"c\", \"d\"e, \"f\""]),
            Some(TagList::Tags(vec![tag("\"b\""), tag("\"f\"")]))
        );
        assert_eq!(list(&["\"open"]), Some(TagList::Tags(vec![])));
    }

    #[test]
    fn long_lists_are_cut() {
        let text = "\"a\",".repeat(MAX_TAGS) + "\"b\"";
        assert_eq!(list(&[&text]), Some(TagList::Tags(vec![tag("\"a\""); MAX_TAGS])));
    }

    proptest! {
        #[test]
        fn tags_round_trip(weak: bool, opaque in proptest::collection::vec(any::<u8>().prop_filter("etagc", |byte| is_etagc(*byte)), 0..20)) {
            let tag = EntityTag { weak, opaque: opaque.into() };
            let header = tag.to_header().expect("well-formed");
            prop_assert_eq!(EntityTag::parse(header.as_bytes()), Some(tag));
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(tag) = EntityTag::parse(&bytes) {
                let header = tag.to_header().expect("parsed");
                prop_assert_eq!(header.as_bytes(), trim(&bytes));
            }
            let mut members = Members { rest: &bytes };
            prop_assert!(members.all(|member| !member.is_empty()));
        }
    }
}
