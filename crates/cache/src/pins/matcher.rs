//! [`Matcher`]: whether any of many pins covers an entry, at the price of a few look-ups. Pure.

use std::collections::HashSet;

use http::HeaderName;

use super::Subject;
use crate::Head;

/// Fields whose words are tags.
static TAGS: [HeaderName; 3] = [
    HeaderName::from_static("cache-tag"),
    HeaderName::from_static("surrogate-key"),
    HeaderName::from_static("xkey"),
];

#[derive(Default)]
pub(super) struct Matcher {
    urls: HashSet<Box<str>>,
    /// Sorted; none begins with another one.
    prefixes: Vec<Box<str>>,
    tags: HashSet<Box<str>>,
}

impl Matcher {
    pub(super) fn new<'s>(subjects: impl Iterator<Item = &'s Subject>) -> Self {
        let mut matcher = Self::default();
        for subject in subjects {
            match subject {
                Subject::Url(url) => drop(matcher.urls.insert(url.as_str().into())),
                Subject::Prefix(prefix) => matcher.prefixes.push(prefix.as_str().into()),
                Subject::Tag(tag) => drop(matcher.tags.insert(tag.as_str().into())),
            }
        }
        matcher.prefixes.sort_unstable();
        // Behind a prefix stand those that begin with it.
        matcher.prefixes.dedup_by(|longer, shorter| longer.starts_with(&**shorter));
        matcher
    }

    /// Whether an entry of this name with this head is covered.
    pub(super) fn covers(&self, name: &str, head: &Head) -> bool {
        self.urls.contains(name) || self.covers_prefix(name) || self.covers_tags(head)
    }

    /// Strings that begin with a prefix stand together behind it, so that only the last prefix before the name can be
    /// the one it begins with.
    fn covers_prefix(&self, name: &str) -> bool {
        let place = self.prefixes.partition_point(|prefix| **prefix <= *name);
        place.checked_sub(1).is_some_and(|last| name.starts_with(&*self.prefixes[last]))
    }

    fn covers_tags(&self, head: &Head) -> bool {
        if self.tags.is_empty() {
            return false;
        }
        let values = TAGS.iter().flat_map(|name| head.headers.get_all(name));
        values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|text| text.split([',', ' ', '\t']))
            .any(|tag| self.tags.contains(tag))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;
    use crate::Timestamp;
    use crate::head::{Answered, Terms, Wish};

    fn head(fields: &[(&'static str, &'static str)]) -> Head {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let now = Timestamp(0);
        let wish = Wish { keep_until: now, stale_for: std::time::Duration::ZERO };
        let answered = Answered {
            status: http::StatusCode::OK,
            headers: &headers,
            asked_at: now,
            answered_at: now,
            reach: crate::NamedBy::Client,
        };
        Head::sent(answered, headers.clone(), Terms::default(), wish)
    }

    #[test]
    fn tags_are_the_words_of_three_fields() {
        let matcher = Matcher::new([Subject::Tag("b".to_owned())].iter());
        for (field, value, expected) in [
            ("cache-tag", "a,b", true),
            ("cache-tag", "a, b ,c", true),
            ("surrogate-key", "a b", true),
            ("xkey", "b", true),
            ("xkey", "bb B a", false),
            ("x-tag", "b", false),
        ] {
            assert_eq!(matcher.covers("n", &head(&[(field, value)])), expected, "{field}: {value}");
        }
        assert!(matcher.covers("n", &head(&[("xkey", "a"), ("xkey", "b")])));
        assert!(!Matcher::default().covers("", &head(&[("xkey", "")])));
    }

    proptest! {
        #[test]
        fn urls_and_prefixes_are_found_as_by_looking_at_each(
            urls in proptest::collection::vec("[ab/]{0,4}", 0..8),
            prefixes in proptest::collection::vec("[ab/]{0,4}", 0..8),
            names in proptest::collection::vec("[ab/]{0,6}", 1..20),
        ) {
            let head = head(&[]);
            let subjects = urls.iter().cloned().map(Subject::Url);
            let subjects: Vec<_> = subjects.chain(prefixes.iter().cloned().map(Subject::Prefix)).collect();
            let matcher = Matcher::new(subjects.iter());
            for name in names {
                let expected = urls.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix));
                prop_assert_eq!(matcher.covers(&name, &head), expected, "{}", name);
            }
        }
    }
}
