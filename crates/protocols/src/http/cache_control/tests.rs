use http::HeaderValue;
use proptest::prelude::*;

use super::Directive::{
    Immutable, MustRevalidate, MustUnderstand, NoCache, NoStore, NoTransform, OnlyIfCached, Private,
    ProxyRevalidate, Public,
};
use super::*;

fn response(lines: &[&str]) -> ResponseControl {
    ResponseControl::from_lines(lines.iter().map(|line| line.as_bytes()))
}

fn request(lines: &[&str]) -> RequestControl {
    RequestControl::from_lines(lines.iter().map(|line| line.as_bytes()))
}

fn names(fields: &[HeaderName]) -> Vec<&str> {
    fields.iter().map(HeaderName::as_str).collect()
}

#[test]
fn rfc9111_5_2_names_in_any_case() {
    let control = response(&["No-StOrE, MaX-aGe=60, PUBLIC"]);
    assert!(control.has(NoStore) && control.has(Public));
    assert_eq!(control.max_age, Some(60));
}

#[test]
fn rfc9111_5_2_2_every_directive_of_a_response() {
    let all = [
        ("no-store", NoStore),
        ("no-cache", NoCache),
        ("private", Private),
        ("public", Public),
        ("must-revalidate", MustRevalidate),
        ("proxy-revalidate", ProxyRevalidate),
        ("must-understand", MustUnderstand),
        ("immutable", Immutable),
        ("no-transform", NoTransform),
    ];
    for (text, directive) in all {
        let control = response(&[text]);
        for (_, other) in all {
            assert_eq!(control.has(other), other == directive, "{text}: {other:?}");
        }
    }
    let control = response(&["max-age=1, s-maxage=2, stale-while-revalidate=3, stale-if-error=4"]);
    assert_eq!((control.max_age, control.s_maxage), (Some(1), Some(2)));
    assert_eq!((control.stale_while_revalidate, control.stale_if_error), (Some(3), Some(4)));
}

#[test]
fn rfc9111_4_2_1_of_several_the_most_restrictive_counts() {
    for lines in [
        &["max-age=1800, max-age=1"][..],
        &["max-age=1, max-age=1800"],
        &["max-age=1800", "max-age=1"],
        &["max-age=1", "max-age=1800"],
    ] {
        assert_eq!(response(lines).max_age, Some(1), "{lines:?}");
    }
    assert_eq!(response(&["max-age=60", "max-age=x"]).max_age, Some(0));
    let control = response(&["no-cache=\"a\", no-cache"]);
    assert!(control.has(NoCache));
}

/// 4c 40: overflowing and malformed numbers.
#[test]
fn rfc9111_1_2_2_numbers_saturate_and_rfc9111_4_2_1_malformed_ones_are_stale() {
    for (text, seconds) in [
        ("max-age=0", 0),
        ("max-age=003600", 3600),
        ("max-age=\"3600\"", 3600),
        ("max-age=2147483647", MAX - 1),
        ("max-age=2147483648", MAX),
        ("max-age=2147483649", MAX),
        ("max-age=99999999999", MAX),
        ("max-age=18446744073709551616", MAX),
        ("max-age=99999999999999999999999999999999999999", MAX),
        ("max-age", 0),
        ("max-age=", 0),
        ("max-age=\"\"", 0),
        ("max-age=-1", 0),
        ("max-age=+1", 0),
        ("max-age=3600.0", 0),
        ("max-age=3600a", 0),
        ("max-age=a3600", 0),
        ("max-age='3600'", 0),
        ("max-age=3600 1", 0),
        ("max-age=3600;x", 0),
        ("max-age =3600", 0),
        ("max-age= 3600", 0),
        ("max-age=\" 3600\"", 0),
        ("max-age=\"36\\00\"", 0),
        ("max-age=\"3600", 0),
        ("max-age:3600", 0),
    ] {
        assert_eq!(response(&[text]).max_age, Some(seconds), "{text}");
    }
}

#[test]
fn rfc9111_5_2_quoted_strings_hide_what_looks_like_directives() {
    for text in [
        "ext=\"max-age=3600\"",
        "ext=\"a, max-age=3600\"",
        "ext=\"a\\\", max-age=3600\"",
        "ext=a\"b, max-age=3600\"",
        "\"no-store, max-age=3600\"",
        "max-ages=3600, xmax-age=3600",
        "",
        " ,, ,\t",
    ] {
        assert_eq!(response(&[text]), ResponseControl::default(), "{text}");
    }
    assert_eq!(response(&["ext=\"a\\\\\", max-age=7"]).max_age, Some(7));
    assert_eq!(response(&["max-age=1, ext=\"max-age=3600\""]).max_age, Some(1));
    assert_eq!(response(&[",, ext = \"a\" , max-age=7 ,"]).max_age, Some(7));
}

#[test]
fn malformed_directives_count_when_they_restrict_and_not_when_they_permit() {
    for text in ["no-store=1", "no-store =x", "no-store x", "no-store=\"x", "ext=\"x, no-store"] {
        assert!(response(&[text]).has(NoStore), "{text}");
    }
    for text in ["public=1", "public =x", "public x", "public=\"x", "ext=\"x, public", "p\u{fc}blic"] {
        assert!(!response(&[text]).has(Public), "{text}");
    }
    assert_eq!(response(&["ext=\"x, max-age=3600"]).max_age, Some(0));
    let control = response(&["private=\"a, max-age=60"]);
    assert!(control.has(Private));
    assert_eq!(control.max_age, Some(0));
}

#[test]
fn rfc9111_5_2_2_4_no_cache_and_rfc9111_5_2_2_7_private_list_fields() {
    let control = response(&["no-cache=\"Set-Cookie, a,, A\", private=b, private=\"c\""]);
    assert_eq!(names(control.no_cache_fields()), ["set-cookie", "a"]);
    assert_eq!(names(control.private_fields()), ["b", "c"]);
    assert!(!control.has(NoCache) && !control.has(Private));

    for text in ["private=\"\"", "private=\" , \"", "private=\"a b\"", "private=", "private=\"a\" x"] {
        let control = response(&[text]);
        assert!(control.has(Private), "{text}");
        assert!(control.private_fields().is_empty(), "{text}");
    }
    assert_eq!(names(response(&["no-cache=\"\\a\""]).no_cache_fields()), ["a"]);
}

/// 4c 13: more names than anybody needs.
#[test]
fn too_many_listed_fields_count_as_all() {
    let list = |count: usize| (0..count).map(|number| format!("f{number}")).collect::<Vec<_>>().join(",");
    let control = response(&[&format!("no-cache=\"{}\"", list(MAX_LISTED))]);
    assert_eq!((control.has(NoCache), control.no_cache_fields().len()), (false, MAX_LISTED));
    let control = response(&[&format!("no-cache=\"{}\", no-cache=\"g\"", list(MAX_LISTED))]);
    assert_eq!((control.has(NoCache), control.no_cache_fields().len()), (true, MAX_LISTED));
    let control = response(&[&format!("no-cache=\"{}\"", list(10_000))]);
    assert_eq!((control.has(NoCache), control.no_cache_fields().len()), (true, MAX_LISTED));
}

#[test]
fn rfc9111_5_2_1_every_directive_of_a_request() {
    let control = request(&["max-age=1, min-fresh=2", "max-stale=3"]);
    assert_eq!((control.max_age, control.min_fresh, control.max_stale), (Some(1), Some(2), Some(3)));
    for (text, directive) in [
        ("No-Cache", NoCache),
        ("no-store", NoStore),
        ("no-transform", NoTransform),
        ("only-if-cached", OnlyIfCached),
    ] {
        assert!(request(&[text]).has(directive), "{text}");
        assert!(!request(&["max-age=1"]).has(directive), "{text}");
    }
}

#[test]
fn rfc9111_5_2_1_most_restrictive_wishes_count() {
    for (text, max_age, min_fresh, max_stale) in [
        ("max-age=5, max-age=3", Some(3), None, None),
        ("max-age=x", Some(0), None, None),
        ("min-fresh=5, min-fresh=9, min-fresh=x", None, Some(9), None),
        ("min-fresh=x", None, None, None),
        ("max-stale", None, None, Some(u32::MAX)),
        ("max-stale, max-stale=5", None, None, Some(5)),
        ("max-stale=99999999999", None, None, Some(MAX)),
        ("max-stale=x", None, None, Some(0)),
        ("max-stale x", None, None, Some(0)),
        ("s-maxage=5, must-revalidate", None, None, None),
    ] {
        let control = request(&[text]);
        assert_eq!(
            (control.max_age, control.min_fresh, control.max_stale),
            (max_age, min_fresh, max_stale),
            "{text}"
        );
    }
}

#[test]
fn rfc9111_5_4_pragma_counts_without_cache_control_only() {
    let of = |fields: &[(HeaderName, &'static str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        RequestControl::from_headers(&headers).has(NoCache)
    };
    assert!(of(&[(PRAGMA, "No-Cache")]));
    assert!(of(&[(PRAGMA, "x"), (PRAGMA, "a=b, no-cache")]));
    assert!(!of(&[(PRAGMA, "x=\"a, no-cache\"")]));
    assert!(!of(&[(PRAGMA, "no-cache"), (CACHE_CONTROL, "max-stale=5")]));
    assert!(!of(&[(PRAGMA, "no-cache"), (CACHE_CONTROL, "")]));
    assert!(!of(&[]));
}

/// A list of what stands between commas outside of quotes, by another way than the parser's.
fn split_by_regular_grammar(text: &str) -> Vec<String> {
    let (mut members, mut current, mut inside) = (Vec::new(), String::new(), false);
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            ',' if !inside => members.push(std::mem::take(&mut current)),
            '\\' if inside => {
                current.push(char);
                current.extend(chars.next());
            }
            _ => {
                inside ^= char == '"';
                current.push(char);
            }
        }
    }
    members.push(current);
    members
}

proptest! {
    #[test]
    fn any_bytes_are_survived(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..4)) {
        let control = ResponseControl::from_lines(lines.iter().map(Vec::as_slice));
        prop_assert!(control.max_age.unwrap_or(0) <= MAX && control.s_maxage.unwrap_or(0) <= MAX);
        RequestControl::from_lines(lines.iter().map(Vec::as_slice));
    }

    #[test]
    fn members_are_found_wherever_they_stand(
        members in proptest::collection::vec("[a-z]{1,3}(=(\"([ ,a-z]|\\\\[\",a])*\"|[a-z]{1,3}))?|no-store|max-age=[0-9]{1,3}", 0..8),
        space in "[ \t]{0,2}",
    ) {
        let line = members.join(&format!("{space},{space}"));
        let control = response(&[&line]);
        let split = split_by_regular_grammar(&line);
        let found: Vec<_> = split.iter().map(|member| member.trim()).collect();
        prop_assert_eq!(control.has(NoStore), found.contains(&"no-store"));
        let smallest = found.iter().filter_map(|member| member.strip_prefix("max-age=")?.parse().ok()).min();
        prop_assert_eq!(control.max_age, smallest);
    }

    #[test]
    fn lines_may_be_joined(one in "[a-z=,0-9 -]{0,20}", other in "[a-z=,0-9 -]{0,20}") {
        prop_assert_eq!(response(&[&one, &other]), response(&[&format!("{one},{other}")]));
    }
}
