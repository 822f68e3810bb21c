use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

const OLD: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const TIME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const NEW: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const SECONDS: u64 = 784_111_777;

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).expect(value)))
        .collect()
}

fn conditions(fields: &[(&'static str, &str)]) -> Conditions {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(*name, HeaderValue::from_str(value).expect(value));
    }
    Conditions::from_headers(&map)
}

fn stored(etag: &str) -> Validators {
    let etag = Some(EntityTag::parse(etag.as_bytes()).expect(etag));
    Validators { etag, last_modified: Some(SECONDS), date: Some(SECONDS + 3600) }
}

/// RFC 9110 section 13.2.2: precedence and comparison of every condition.
#[test]
fn verdicts() {
    use Verdict::{Failed, NotModified, Proceed};
    let table: &[(&[(&'static str, &str)], Verdict)] = &[
        (&[], Proceed),
        (&[("if-match", "\"a\"")], Proceed),
        (&[("if-match", "\"x\", \"a\"")], Proceed),
        (&[("if-match", "\"x\""), ("if-match", "\"a\"")], Proceed),
        (&[("if-match", "*")], Proceed),
        (&[("if-match", "\"x\"")], Failed),
        (&[("if-match", "W/\"a\"")], Failed),
        (&[("if-match", "a")], Failed),
        (&[("if-none-match", "\"a\"")], NotModified),
        (&[("if-none-match", "W/\"a\"")], NotModified),
        (&[("if-none-match", "\"x\", W/\"a\"")], NotModified),
        (&[("if-none-match", "\"x\""), ("if-none-match", "\"a\"")], NotModified),
        (&[("if-none-match", "*")], NotModified),
        (&[("if-none-match", "\"x\"")], Proceed),
        (&[("if-none-match", "a")], Proceed),
        (&[("if-modified-since", TIME)], NotModified),
        (&[("if-modified-since", NEW)], NotModified),
        (&[("if-modified-since", OLD)], Proceed),
        (&[("if-modified-since", "yesterday")], Proceed),
        (&[("if-modified-since", TIME), ("if-modified-since", TIME)], Proceed),
        (&[("if-unmodified-since", TIME)], Proceed),
        (&[("if-unmodified-since", NEW)], Proceed),
        (&[("if-unmodified-since", OLD)], Failed),
        (&[("if-unmodified-since", "yesterday")], Proceed),
        // Tags win over dates, also malformed tags.
        (&[("if-match", "\"a\""), ("if-unmodified-since", OLD)], Proceed),
        (&[("if-none-match", "\"x\""), ("if-modified-since", TIME)], Proceed),
        (&[("if-none-match", "x"), ("if-modified-since", TIME)], Proceed),
        // 412 wins over 304.
        (&[("if-match", "\"x\""), ("if-none-match", "\"a\"")], Failed),
        (&[("if-unmodified-since", OLD), ("if-none-match", "\"a\"")], Failed),
        (&[("if-match", "\"a\""), ("if-none-match", "\"a\"")], NotModified),
        (&[("if-unmodified-since", TIME), ("if-modified-since", TIME)], NotModified),
    ];
    for (fields, verdict) in table {
        assert_eq!(conditions(fields).evaluate(&stored("\"a\"")), *verdict, "{fields:?}");
    }
}

#[test]
fn a_stored_weak_tag_satisfies_if_none_match_only() {
    let stored = stored("W/\"a\"");
    assert_eq!(conditions(&[("if-none-match", "\"a\"")]).evaluate(&stored), Verdict::NotModified);
    assert_eq!(conditions(&[("if-match", "\"a\"")]).evaluate(&stored), Verdict::Failed);
    assert_eq!(conditions(&[("if-match", "W/\"a\"")]).evaluate(&stored), Verdict::Failed);
}

#[test]
fn without_validators_only_tags_decide() {
    let none = Validators::default();
    for (fields, verdict) in [
        (("if-match", "\"a\""), Verdict::Failed),
        (("if-match", "*"), Verdict::Proceed),
        (("if-none-match", "\"a\""), Verdict::Proceed),
        (("if-none-match", "*"), Verdict::NotModified),
        (("if-modified-since", TIME), Verdict::Proceed),
        (("if-unmodified-since", TIME), Verdict::Proceed),
    ] {
        assert_eq!(conditions(&[fields]).evaluate(&none), verdict, "{fields:?}");
    }
}

/// RFC 9111 section 4.3.2.
#[test]
fn if_modified_since_is_compared_with_date_when_there_is_no_last_modified() {
    let stored = Validators { date: Some(SECONDS), ..Validators::default() };
    assert_eq!(conditions(&[("if-modified-since", TIME)]).evaluate(&stored), Verdict::NotModified);
    assert_eq!(conditions(&[("if-modified-since", OLD)]).evaluate(&stored), Verdict::Proceed);
    assert_eq!(conditions(&[("if-unmodified-since", OLD)]).evaluate(&stored), Verdict::Proceed);
}

/// 4c 26: If-Range strong, weak, date, wrong.
#[test]
fn if_range_matches_strongly_or_not_at_all() {
    for (value, applies) in [
        ("\"a\"", true),
        ("W/\"a\"", false),
        ("\"x\"", false),
        ("a", false),
        ("*", false),
        ("\"a\", \"b\"", false),
        (TIME, true),
        ("Sunday, 06-Nov-94 08:49:37 GMT", true),
        (OLD, false),
        (NEW, false),
        ("", false),
    ] {
        let conditions = conditions(&[("if-range", value)]);
        assert!(!conditions.is_empty(), "{value}");
        assert_eq!(conditions.range_applies(&stored("\"a\"")), applies, "{value}");
        assert_eq!(conditions.evaluate(&stored("\"a\"")), Verdict::Proceed, "{value}");
    }
    assert!(conditions(&[]).range_applies(&stored("\"a\"")));
    assert!(!conditions(&[("if-range", "\"a\"")]).range_applies(&stored("W/\"a\"")));
    assert!(!conditions(&[("if-range", "\"a\"")]).range_applies(&Validators::default()));
    assert!(!conditions(&[("if-range", "\"a\""), ("if-range", "\"a\"")]).range_applies(&stored("\"a\"")));
}

#[test]
fn a_last_modified_close_to_date_is_weak() {
    let on = |date| Validators { etag: None, last_modified: Some(SECONDS), date };
    let if_range = conditions(&[("if-range", TIME)]);
    for (date, strong) in [
        (Some(SECONDS + 60), true),
        (Some(SECONDS + 59), false),
        (Some(SECONDS), false),
        (Some(0), false),
        (None, false),
    ] {
        assert_eq!(if_range.range_applies(&on(date)), strong, "{date:?}");
        assert_eq!(on(date).strong(), strong.then(|| TIME.to_owned()), "{date:?}");
    }
    let far = Validators { last_modified: Some(u64::MAX), date: Some(u64::MAX), etag: None };
    assert_eq!(far.strong(), Some(date::format(u64::MAX)));
}

#[test]
fn the_strong_validator_is_the_tag_where_there_is_one() {
    assert_eq!(stored("\"a\"").strong().as_deref(), Some("\"a\""));
    assert_eq!(stored("W/\"a\"").strong(), None);
    assert_eq!(stored("\"\u{e9}\"").strong(), None);
    assert_eq!(Validators::default().strong(), None);
}

#[test]
fn validators_are_read_once_and_strictly() {
    let map = headers(&[("etag", "\"a\""), ("last-modified", TIME), ("date", NEW)]);
    let validators = Validators::from_headers(&map);
    let etag = EntityTag::parse(b"\"a\"");
    assert_eq!(validators, Validators { etag, last_modified: Some(SECONDS), date: Some(SECONDS + 1) });
    assert!(!validators.is_empty());

    let broken = headers(&[("etag", "a"), ("last-modified", "0"), ("date", TIME)]);
    assert!(Validators::from_headers(&broken).is_empty());

    let mut twice = map;
    twice.append(ETAG, HeaderValue::from_static("\"b\""));
    assert_eq!(Validators::from_headers(&twice).etag, None);
}

#[test]
fn no_conditions_are_empty() {
    assert!(conditions(&[("range", "bytes=0-1"), ("accept", "*/*")]).is_empty());
    for field in ["if-match", "if-none-match"] {
        assert!(!conditions(&[(field, "\"a\"")]).is_empty(), "{field}");
    }
    for field in ["if-modified-since", "if-unmodified-since"] {
        assert!(!conditions(&[(field, TIME)]).is_empty(), "{field}");
        assert!(conditions(&[(field, "never")]).is_empty(), "{field}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(name in 0..8_usize, value in proptest::collection::vec(any::<u8>(), 0..64)) {
        let names = [&IF_MATCH, &IF_NONE_MATCH, &IF_MODIFIED_SINCE, &IF_UNMODIFIED_SINCE, &IF_RANGE, &ETAG, &LAST_MODIFIED, &DATE];
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.append(names[name], value);
        }
        let validators = Validators::from_headers(&headers);
        let conditions = Conditions::from_headers(&headers);
        conditions.evaluate(&validators);
        conditions.range_applies(&validators);
        validators.strong();
    }

    #[test]
    fn the_strong_validator_makes_the_range_apply(etag in "(W/)?\"[a-z,]{0,4}\"|", gap in 0..120_u64) {
        let etag = EntityTag::parse(etag.as_bytes());
        let validators = Validators { etag, last_modified: Some(SECONDS), date: Some(SECONDS + gap) };
        if let Some(strong) = validators.strong() {
            prop_assert!(conditions(&[("if-range", &strong)]).range_applies(&validators));
        }
    }
}
