//! Tags by which an origin names what is purged together: `Cache-Tag`, `Surrogate-Key` and `xkey` of a response.
//!
//! No standard defines them. `Cache-Tag` separates by commas, `Surrogate-Key` by white space, `xkey` by both. Case counts.
//! An origin can send any number: what goes beyond the limits, or is no text, is left out and counted.

use std::collections::HashSet;

use http::{HeaderMap, HeaderName};

use super::field::trim;

/// Most tags that are kept of one response.
pub const MAX_TAGS: usize = 64;

/// Most bytes of a tag.
pub const MAX_LENGTH: usize = 256;

/// Tags of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// Distinct, in the order in which they came; at most [`MAX_TAGS`], none empty or longer than [`MAX_LENGTH`].
    pub names: Vec<Box<str>>,
    /// How many members were left out; repetitions are not among them.
    pub dropped: usize,
}

/// How a field separates its tags.
#[derive(Clone, Copy)]
enum Separator {
    Comma,
    Space,
    Both,
}

const FIELDS: [(HeaderName, Separator); 3] = [
    (HeaderName::from_static("cache-tag"), Separator::Comma),
    (HeaderName::from_static("surrogate-key"), Separator::Space),
    (HeaderName::from_static("xkey"), Separator::Both),
];

impl Separator {
    fn is(self, byte: u8) -> bool {
        match self {
            Self::Comma => byte == b',',
            Self::Space => matches!(byte, b' ' | b'\t'),
            Self::Both => matches!(byte, b' ' | b'\t' | b','),
        }
    }
}

impl Tags {
    /// Reads all lines of the three fields; nothing is allocated when there is none.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut tags = Self::default();
        let mut seen = HashSet::new();
        for (name, separator) in &FIELDS {
            let lines = headers.get_all(name).iter().map(|line| line.as_bytes());
            let members = lines.flat_map(|line| line.split(|byte| separator.is(*byte))).map(trim);
            for member in members.filter(|member| !member.is_empty()) {
                tags.add(member, &mut seen);
            }
        }
        tags
    }

    fn add<'a>(&mut self, member: &'a [u8], seen: &mut HashSet<&'a str>) {
        let text = std::str::from_utf8(member).ok().filter(|text| text.len() <= MAX_LENGTH);
        match text {
            Some(text) if seen.contains(text) => {}
            Some(text) if self.names.len() < MAX_TAGS => {
                seen.insert(text);
                self.names.push(text.into());
            }
            _ => self.dropped += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn of(fields: &[(&'static str, &str)]) -> Tags {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect(value));
        }
        Tags::from_headers(&headers)
    }

    fn names(fields: &[(&'static str, &str)]) -> Vec<String> {
        of(fields).names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_field_separates_in_its_own_way() {
        assert_eq!(names(&[("cache-tag", "a b, c ,,d")]), ["a b", "c", "d"]);
        assert_eq!(names(&[("surrogate-key", " a,b  c\td ")]), ["a,b", "c", "d"]);
        assert_eq!(names(&[("xkey", "a, b c,,d")]), ["a", "b", "c", "d"]);
        assert_eq!(names(&[("etag", "a")]), [""; 0]);
    }

    #[test]
    fn several_lines_and_fields_make_one_list_of_distinct_tags() {
        let fields = [("xkey", "c"), ("surrogate-key", "b a"), ("cache-tag", "a"), ("cache-tag", "b, A")];
        assert_eq!(names(&fields), ["a", "b", "A", "c"]);
        assert_eq!(of(&fields).dropped, 0);
    }

    /// 4c 13: a field with thousands of tags.
    #[test]
    fn too_many_and_too_long_and_no_text_is_dropped_and_counted() {
        let many: Vec<_> = (0..MAX_TAGS + 3).map(|number| format!("t{number}")).collect();
        let tags = of(&[("cache-tag", &many.join(",")), ("xkey", "t0 more")]);
        assert_eq!((tags.names.len(), tags.dropped), (MAX_TAGS, 4));

        let (fits, long) = ("f".repeat(MAX_LENGTH), "l".repeat(MAX_LENGTH + 1));
        let tags = of(&[("surrogate-key", &format!("{fits} {long}"))]);
        assert_eq!((tags.names, tags.dropped), (vec![Box::from(fits)], 1));

        let mut headers = HeaderMap::new();
        headers.insert("xkey", HeaderValue::from_bytes(b"a \xff b").expect("a value"));
        let tags = Tags::from_headers(&headers);
        assert_eq!((tags.names.len(), tags.dropped), (2, 1));
    }

    proptest! {
        #[test]
        fn any_bytes_keep_within_the_limits(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut headers = HeaderMap::new();
            for (name, _) in &FIELDS {
                headers.extend(HeaderValue::from_bytes(&bytes).ok().map(|value| (name.clone(), value)));
            }
            let tags = Tags::from_headers(&headers);
            prop_assert!(tags.names.len() <= MAX_TAGS);
            prop_assert!(tags.names.iter().all(|tag| (1..=MAX_LENGTH).contains(&tag.len())));
        }
    }
}
