use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn vary(lines: &[&str]) -> Vary {
    Vary::from_lines(lines.iter().map(|line| line.as_bytes()), MAX_FIELDS)
}

fn names(lines: &[&str]) -> Vec<String> {
    match vary(lines) {
        Vary::Fields(nominated) => nominated.names().iter().map(ToString::to_string).collect(),
        other => panic!("{lines:?} is {other:?}"),
    }
}

fn request(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).expect(name);
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect(value));
    }
    headers
}

fn normal(name: &str, lines: &[&str]) -> Option<String> {
    let fields: Vec<_> = lines.iter().map(|line| (name, *line)).collect();
    let value = normalised(&request(&fields), &HeaderName::from_bytes(name.as_bytes()).expect(name))?;
    Some(String::from_utf8(value).expect("text"))
}

fn fed(lines: &[&str], fields: &[(&str, &str)]) -> Vec<u8> {
    let Vary::Fields(nominated) = vary(lines) else { panic!("{lines:?}") };
    let mut bytes = Vec::new();
    nominated.feed(&request(fields), |part| bytes.extend_from_slice(part));
    bytes
}

#[test]
fn rfc9110_12_5_5_names_in_any_case_order_and_number_of_lines() {
    assert_eq!(names(&["Foo"]), ["foo"]);
    assert_eq!(names(&["Foo, bar,,FOO ", "", "baz"]), ["bar", "baz", "foo"]);
    assert_eq!(vary(&[]), Vary::None);
    assert_eq!(vary(&["", " , "]), Vary::None);
}

/// 4c 22: `Vary: *`, and names nobody can send.
#[test]
fn rfc9111_4_1_an_asterisk_anywhere_never_matches() {
    for lines in [
        &["*"][..],
        &["*, *"],
        &["*", "*"],
        &[", *"],
        &["", "*"],
        &["*, Foo"],
        &["Foo, *"],
        &["Foo", " * "],
        &["foo bar"],
        &["f\u{fc}"],
    ] {
        assert_eq!(vary(lines), Vary::Any, "{lines:?}");
    }
}

/// 4c 22: hundreds of nominated fields.
#[test]
fn too_many_names_never_match() {
    let list = |count: usize| (0..count).map(|number| format!("f{number}")).collect::<Vec<_>>().join(",");
    assert_eq!(names(&[&list(MAX_FIELDS), "f0, F1"]).len(), MAX_FIELDS);
    assert_eq!(vary(&[&list(MAX_FIELDS + 1)]), Vary::Any);
    assert_eq!(vary(&[&list(500)]), Vary::Any);
}

#[test]
fn rfc9111_4_1_white_space_and_lines_are_normalised() {
    for (lines, value) in [
        (&["1,2"][..], "1, 2"),
        (&[" 1, 2 "], "1, 2"),
        (&["1 \t,\t 2"], "1, 2"),
        (&["1", "2"], "1, 2"),
        (&["", "2"], ", 2"),
        (&["1,,2"], "1,, 2"),
        (&["a  b"], "a  b"),
        (&["\"a,b\" ,c"], "\"a,b\", c"),
        (&["\"a\\\",b\" ,c"], "\"a\\\",b\", c"),
        (&["\"a , b"], "\"a , b"),
        (&["a\\,b"], "a\\, b"),
        (&[""], ""),
    ] {
        assert_eq!(normal("foo", lines).as_deref(), Some(value), "{lines:?}");
    }
}

#[test]
fn fields_that_are_no_lists_are_only_trimmed() {
    for name in ["cookie", "user-agent", "authorization", "referer", "origin", "host", "from"] {
        assert_ne!(normal(name, &["a,b"]), normal(name, &["a, b"]), "{name}");
        assert_eq!(normal(name, &[" a,b "]), normal(name, &["a,b"]), "{name}");
        assert_eq!(normal(name, &["a", ""]), normal(name, &["a,"]), "{name}");
    }
}

#[test]
fn rfc9110_12_5_4_languages_with_equal_meaning_are_equal() {
    let expected = normal("accept-language", &["en, de"]);
    for lines in [&["de, en"][..], &["DE,EN"], &["en;q=1, de;q=1.000"], &["de", "en"], &["en, de, en"]] {
        assert_eq!(normal("accept-language", lines), expected, "{lines:?}");
    }
    for lines in [&["en"][..], &["en, de;q=0.9"], &["en, de;q=0"], &["en, de, fr"], &["en, de-at"], &[""]] {
        assert_ne!(normal("accept-language", lines), expected, "{lines:?}");
    }
    let graded = normal("accept-language", &["fr;q=0, *;q=0.5 , DE ; q=0.80,en"]);
    assert_eq!(graded.as_deref(), Some("en, de;q=0.800, *;q=0.500, fr;q=0.000"));
}

#[test]
fn rfc9110_12_5_3_codings_with_equal_meaning_are_equal() {
    assert_eq!(normal("accept-encoding", &["br,GZIP"]).as_deref(), Some("br, gzip"));
    assert_eq!(normal("accept-encoding", &["x-gzip, br"]).as_deref(), Some("br, gzip"));
    assert_eq!(normal("accept-encoding", &["identity;q=0"]).as_deref(), Some("identity;q=0.000"));
    assert_ne!(normal("accept-encoding", &[""]), None);
    assert_eq!(normal("accept-language", &["x-gzip"]).as_deref(), Some("x-gzip"));
}

#[test]
fn malformed_weights_are_compared_as_they_stand() {
    for value in [
        "EN;q=2",
        "EN;q=1.001",
        "EN;q=0.1234",
        "EN;q=.5",
        "EN;q=",
        "EN;x=1",
        "EN;q=0.5;x=1",
        "EN;q=500",
        "EN DE",
        ";q=1",
    ] {
        assert_eq!(normal("accept-language", &[value]).as_deref(), Some(value), "{value}");
    }
    let long = vec!["EN"; 65].join(", ");
    assert_eq!(normal("accept-language", &[&long]), Some(long));
}

#[test]
fn rfc9111_4_1_absent_is_not_empty() {
    assert_eq!(normal("foo", &[]), None);
    assert_eq!(normal("foo", &[""]).as_deref(), Some(""));
    assert_ne!(fed(&["foo"], &[]), fed(&["foo"], &[("foo", "")]));
}

#[test]
fn the_order_of_names_does_not_change_what_is_hashed() {
    let fields = [("foo", "1"), ("bar", "abc"), ("other", "x")];
    let turned = [("other", "y"), ("bar", "abc"), ("foo", "1")];
    assert_eq!(fed(&["Foo, Bar"], &fields), fed(&["bar", "foo"], &turned));
    assert_ne!(fed(&["Foo, Bar"], &fields), fed(&["Foo"], &fields));
}

/// 4c 21: what is equal only when joined is not equal.
#[test]
fn parts_that_join_to_the_same_text_are_different() {
    assert_ne!(fed(&["a, b"], &[("a", "1"), ("b", "2")]), fed(&["a, b"], &[("a", "1b2"), ("b", "")]));
    assert_ne!(fed(&["a, b"], &[("a", "1")]), fed(&["a, b"], &[("b", "1")]));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..80), name in "foo|accept-language|accept-encoding|cookie") {
        Vary::from_lines([&bytes[..]], MAX_FIELDS);
        let mut headers = HeaderMap::new();
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        headers.extend(HeaderValue::from_bytes(&bytes).ok().map(|value| (name.clone(), value)));
        normalised(&headers, &name);
    }

    #[test]
    fn normalised_values_are_their_own_normal_form(
        value in "[a-zA-Z,; \t=\"\\\\q0-9.*-]{0,40}|((en|de|\\*)( ?; ?q=(0\\.[0-9]{1,3}|1|0))? ?, ?){0,5}",
        name in "foo|accept-language|accept-encoding|cookie",
    ) {
        let once = normal(&name, &[&value]).expect("there is one");
        prop_assert_eq!(normal(&name, &[&once]), Some(once));
    }

    /// Only white space and, in quotes, nothing at all may differ between two values of one normal form.
    #[test]
    fn normalisation_of_unknown_fields_changes_white_space_only(value in "[a-c,\" \t]{0,30}") {
        let bare = |text: &str| text.replace([' ', '\t'], "");
        prop_assert_eq!(bare(&normal("foo", &[&value]).expect("there is one")), bare(&value));
    }
}
