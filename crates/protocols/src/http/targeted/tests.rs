use http::HeaderValue;
use proptest::prelude::*;

use super::super::cache_control::Directive::{
    Immutable, MustRevalidate, MustUnderstand, NoCache, NoStore, NoTransform, Private, ProxyRevalidate,
    Public,
};
use super::*;

fn of(lines: &[&str]) -> Option<ResponseControl> {
    parse(lines.iter().map(|line| line.as_bytes()))
}

fn valid(line: &str) -> ResponseControl {
    of(&[line]).expect(line)
}

#[test]
fn rfc9213_2_1_directives_are_members_of_a_dictionary() {
    let control = valid("max-age=60, s-maxage=70, stale-while-revalidate=80, stale-if-error=90");
    assert_eq!((control.max_age, control.s_maxage), (Some(60), Some(70)));
    assert_eq!((control.stale_while_revalidate, control.stale_if_error), (Some(80), Some(90)));
    for (text, directive) in [
        ("no-store", NoStore),
        ("no-store=?1", NoStore),
        ("must-revalidate", MustRevalidate),
        ("proxy-revalidate", ProxyRevalidate),
        ("must-understand", MustUnderstand),
        ("no-transform", NoTransform),
        ("public", Public),
        ("immutable", Immutable),
        ("no-cache", NoCache),
        ("private", Private),
    ] {
        assert!(valid(text).has(directive), "{text}");
        assert!(!valid("max-age=1").has(directive), "{text}");
    }
    let control = valid("no-cache=\"a, B\", private=\"c\"");
    assert_eq!(control.no_cache_fields(), ["a", "b"]);
    assert_eq!(control.private_fields(), ["c"]);
    assert!(!control.has(NoCache) && !control.has(Private));
}

#[test]
fn rfc9213_2_1_what_is_empty_or_malformed_is_as_if_absent() {
    assert_eq!(of(&[]), None);
    for text in [
        "",
        "  ",
        "max-age=60,",
        ",max-age=60",
        "max-age=60, &&&&&",
        "max-age=60; &",
        "max-age =60",
        "max-age= 60",
        "MaX-aGe=60",
        "No-Store",
        "max-age=60 no-store",
        "max-age=1234567890123456",
        "max-age=--1",
        "no-cache=\"a",
        "no-cache=\"\u{fc}\"",
        "no-cache='a'",
        "(a b)",
    ] {
        assert_eq!(of(&[text]), None, "{text}");
    }
}

#[test]
fn rfc9213_2_1_values_of_another_type_are_as_if_the_member_were_absent() {
    for text in [
        "max-age=\"60\"",
        "max-age=60.0",
        "max-age",
        "max-age=a",
        "max-age=(60)",
        "max-age=:YQ==:",
        "max-age=@60",
        "no-store=?0",
        "no-store=1",
        "no-store=\"a\"",
        "no-cache=a",
        "no-cache=?0",
        "private=(\"a\")",
        "foo",
    ] {
        assert_eq!(valid(text), ResponseControl::default(), "{text}");
    }
    assert_eq!(valid("foo;max-age=1, max-age=60;no-store, no-store=5").max_age, Some(60));
}

#[test]
fn rfc9651_3_2_of_equal_keys_the_last_counts_whatever_its_type() {
    assert_eq!(valid("max-age=60, max-age=600").max_age, Some(600));
    assert_eq!(valid("max-age=600, max-age=60").max_age, Some(60));
    assert_eq!(valid("max-age=60, max-age=(1 2)").max_age, None);
    assert!(!valid("no-store, no-store=1").has(NoStore));
    assert!(valid("no-store=1, no-store").has(NoStore));
    assert_eq!(of(&["max-age=60", "max-age=600, no-store"]).map(|control| control.max_age), Some(Some(600)));
}

/// 4c 40: overflowing and negative numbers.
#[test]
fn rfc9111_1_2_2_numbers_saturate() {
    for (text, seconds) in [
        ("max-age=2147483648", MAX),
        ("max-age=99999999999", MAX),
        ("max-age=999999999999999", MAX),
        ("max-age=0", 0),
        ("max-age=-1", 0),
        ("max-age=-999999999999999", 0),
    ] {
        assert_eq!(valid(text).max_age, Some(seconds), "{text}");
    }
}

#[test]
fn rfc9213_2_2_the_first_valid_target_counts() {
    let own = HeaderName::from_static("standpipe-cache-control");
    let targets = [own.clone(), CDN_CACHE_CONTROL];
    let max_age = |fields: &[(&HeaderName, &'static str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        first_valid(&headers, &targets)?.max_age
    };
    assert_eq!(max_age(&[(&CDN_CACHE_CONTROL, "max-age=2"), (&own, "max-age=1")]), Some(1));
    assert_eq!(max_age(&[(&CDN_CACHE_CONTROL, "max-age=2"), (&own, "max-age=1,")]), Some(2));
    assert_eq!(max_age(&[(&CDN_CACHE_CONTROL, "max-age=2"), (&own, "")]), Some(2));
    assert_eq!(max_age(&[(&CDN_CACHE_CONTROL, "max-age=2"), (&own, "no-store")]), None);
    assert_eq!(max_age(&[]), None);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        parse([&bytes[..]]);
    }

    #[test]
    fn plain_fields_say_the_same_as_in_cache_control(max_age in 0..10_000_000_000_u64, shared: bool, flags in 0..8_u8) {
        let mut field = format!("{}={max_age}", if shared { "s-maxage" } else { "max-age" });
        for (bit, name) in ["no-store", "no-cache", "must-revalidate"].iter().enumerate() {
            if flags & 1 << bit != 0 {
                field = format!("{field}, {name}");
            }
        }
        prop_assert_eq!(valid(&field), ResponseControl::from_lines([field.as_bytes()]));
    }
}
