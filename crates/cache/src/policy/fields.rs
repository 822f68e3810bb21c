//! Fields of responses: which are kept (RFC 9111 section 3.1), which a 304 updates (section 3.2), which an answer that was
//! not validated leaves out (section 5.2.2.4).
//!
//! Every end-to-end field is kept, repeated ones in their order, `Date` as it came. Dropped are the fields of one
//! connection, those that `Connection` names, those the response or a rule excludes, and those that are ours to say.

use std::collections::HashSet;

use http::header::{AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderMap, HeaderName};
use protocols::http::hop;

use super::Freshness;
use crate::head::own;

/// What every answer says anew: the stored `Age` is not today's, and the length is that of the stored bytes.
const OURS: [HeaderName; 2] = [AGE, CONTENT_LENGTH];

/// Fields that belong to the stored bytes, which a 304 did not change (RFC 9111 section 3.2).
const OF_THE_BYTES: [HeaderName; 2] = [CONTENT_ENCODING, CONTENT_RANGE];

/// Fields that a response must not be stored with, although they are end-to-end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excluded(pub(super) Vec<HeaderName>);

impl Excluded {
    /// These fields.
    pub fn of(names: impl IntoIterator<Item = HeaderName>) -> Self {
        Self(names.into_iter().collect())
    }

    /// Their names.
    pub fn names(&self) -> &[HeaderName] {
        &self.0
    }
}

/// The fields of a response that are stored, in memory of their own.
pub fn stored(headers: &HeaderMap, excluded: &Excluded) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(headers.len() + 4);
    let end_to_end = end_to_end(headers);
    for (name, value) in headers.iter().filter(|(name, _)| end_to_end.contains_key(*name)) {
        if !excluded.0.contains(name) {
            kept.append(name, own(value));
        }
    }
    kept
}

/// The stored fields after a 304: each of its fields stands in place of the stored ones of that name, or is added. What
/// comes out is to be judged by [`super::may_store`] and stored by [`stored`] like a new head.
pub fn updated(stored: &HeaderMap, not_modified: &HeaderMap) -> HeaderMap {
    let mut updates = end_to_end(not_modified);
    for name in &OF_THE_BYTES {
        updates.remove(name);
    }
    let mut merged = HeaderMap::with_capacity(stored.len() + updates.len() + 4);
    let mut done = HashSet::new();
    for name in stored.keys().chain(not_modified.keys()) {
        if !done.insert(name) {
            continue;
        }
        let from = if updates.contains_key(name) { &updates } else { stored };
        for value in from.get_all(name) {
            merged.append(name, value.clone());
        }
    }
    merged
}

/// Removes what an answer that was not validated must not hold.
pub fn unvalidated(headers: &mut HeaderMap, freshness: &Freshness) {
    for name in &freshness.unvalidated {
        headers.remove(name);
    }
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    hop::remove(&mut kept);
    for name in &OURS {
        kept.remove(name);
    }
    kept
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn map(fields: &[(&str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name: HeaderName = name.parse().expect("a name");
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    fn lines(headers: &HeaderMap) -> Vec<String> {
        let line =
            |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().expect("text"));
        headers.iter().map(line).collect()
    }

    /// 4c 41 among others: repeated `Set-Cookie` stays whole.
    #[test]
    fn rfc9111_3_1_end_to_end_fields_stay_in_order() {
        let headers = map(&[
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("link", "<a>"),
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("set-cookie", "a=1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("link", "<b>"),
            ("age", "5"),
            ("content-length", "3"),
            ("set-cookie", "b=2"),
            ("proxy-authenticate", "Basic"),
            ("x-last", "1"),
        ]);
        assert_eq!(
            lines(&stored(&headers, &Excluded::default())),
            [
                "date: Sun, 06 Nov 1994 08:49:37 GMT",
                "link: <a>",
                "link: <b>",
                "set-cookie: a=1",
                "set-cookie: b=2",
                "x-last: 1",
            ]
        );
    }

    #[test]
    fn rfc9111_5_2_2_7_excluded_fields_are_not_stored() {
        let headers = map(&[("set-cookie", "a=1"), ("a", "1"), ("set-cookie", "b=2"), ("b", "1")]);
        let excluded = Excluded(vec![http::header::SET_COOKIE, HeaderName::from_static("b")]);
        assert_eq!(lines(&stored(&headers, &excluded)), ["a: 1"]);
    }

    #[test]
    fn stored_fields_do_not_keep_the_buffer_they_came_in() {
        let buffer = bytes::Bytes::from(vec![b'a'; 64 * 1024]);
        let mut headers = HeaderMap::new();
        headers.insert("a", HeaderValue::from_maybe_shared(buffer.slice(..3)).expect("a value"));
        let kept = stored(&headers, &Excluded::default());
        drop(headers);
        assert_eq!(kept["a"], "aaa");
        assert!(buffer.is_unique());
    }

    /// 4c 37 and 36: a 304 with other fields, and with another coding.
    #[test]
    fn rfc9111_3_2_a_304_replaces_and_adds_but_leaves_what_belongs_to_the_bytes() {
        let before = map(&[
            ("etag", "\"a\""),
            ("link", "<a>"),
            ("content-encoding", "gzip"),
            ("link", "<b>"),
            ("content-type", "text/plain"),
            ("x-stays", "1"),
        ]);
        let answer = map(&[
            ("x-new", "1"),
            ("link", "<c>"),
            ("content-encoding", "br"),
            ("content-range", "bytes 0-1/2"),
            ("content-length", "10"),
            ("age", "7"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("content-type", "text/html"),
            ("x-new", "2"),
        ]);
        assert_eq!(
            lines(&updated(&before, &answer)),
            [
                "etag: \"a\"",
                "link: <c>",
                "content-encoding: gzip",
                "content-type: text/html",
                "x-stays: 1",
                "x-new: 1",
                "x-new: 2",
            ]
        );
    }

    #[test]
    fn rfc9111_5_2_2_4_listed_fields_are_left_out_of_unvalidated_answers() {
        let mut headers = map(&[("a", "1"), ("b", "1"), ("a", "2")]);
        let freshness =
            Freshness { unvalidated: [HeaderName::from_static("a")].into(), ..Freshness::default() };
        unvalidated(&mut headers, &freshness);
        assert_eq!(lines(&headers), ["b: 1"]);
    }
}
