//! Clause 7: variants of a URL (RFC 9111 section 4.1, RFC 9110 sections 12.4.2 and 12.5.5).

use crate::case::{Cached, Case, Origin, case, check, check_with};

/// Two variants, and what they vary on.
fn varying(name: &str, vary: &str) -> Case {
    let fields = [&*format!("Vary: {vary}"), "Cache-Control: max-age=200"];
    (0..4).fold(case(name), |case, _| case.origin(200, &fields))
}

/// A request with the first value gets an answer that one with the second is sent, too.
fn same(name: &str, value: &str, other: &str) -> Case {
    varying(&format!("{name}: {value:?} is {other:?}"), name)
        .get(&[(name, value)], Origin(1))
        .get(&[(name, other)], Cached(1))
}

/// It is not; after that both are there.
fn different(name: &str, value: &str, other: &str) -> Case {
    varying(&format!("{name}: {value:?} is not {other:?}"), name)
        .get(&[(name, value)], Origin(1))
        .get(&[(name, other)], Origin(2))
        .get(&[(name, value)], Cached(1))
        .get(&[(name, other)], Cached(2))
}

#[tokio::test]
async fn rfc9111_4_1_each_variant_is_stored() {
    check([
        varying("values", "X-Kind")
            .get(&[("X-Kind", "a")], Origin(1))
            .saw("x-kind", "a")
            .get(&[("X-Kind", "a")], Cached(1))
            .get(&[("X-Kind", "b")], Origin(2))
            .saw("x-kind", "b")
            .get(&[("X-Kind", "c")], Origin(3))
            .get(&[("X-Kind", "a"), ("X-Other", "1")], Cached(1))
            .has("vary", "X-Kind")
            .get(&[("X-Kind", "b")], Cached(2))
            .get(&[("x-kind", "c")], Cached(3)),
        varying("absent and present", "X-Kind")
            .get(&[], Origin(1))
            .get(&[("X-Kind", "a")], Origin(2))
            .get(&[], Cached(1))
            .get(&[("X-Kind", "")], Origin(3))
            .get(&[("X-Kind", "a")], Cached(2)),
        varying("several fields", "X-Kind, X-Size")
            .get(&[("X-Kind", "a"), ("X-Size", "1")], Origin(1))
            .get(&[("X-Size", "1"), ("X-Kind", "a")], Cached(1))
            .get(&[("X-Kind", "a"), ("X-Size", "2")], Origin(2))
            .get(&[("X-Kind", "a")], Origin(3))
            .get(&[("X-Kind", "a"), ("X-Size", "1")], Cached(1)),
        varying("what one says is not what the other says", "X-Kind, X-Size")
            .get(&[("X-Kind", "a")], Origin(1))
            .get(&[("X-Size", "a")], Origin(2)),
        varying("an empty one nominates nothing", "")
            .get(&[("X-Kind", "a")], Origin(1))
            .get(&[("X-Kind", "b")], Cached(1)),
        varying("HEAD gets its variant", "X-Kind")
            .get(&[("X-Kind", "a")], Origin(1))
            .get(&[("X-Kind", "b")], Origin(2))
            .ask("HEAD", &[("X-Kind", "a")], Cached(1)),
    ])
    .await;
}

#[tokio::test]
async fn rfc9110_12_5_5_names_have_any_case_and_come_in_any_number_of_lines() {
    let lines = |name: &str, lines: &[&str]| {
        let fields = [&["Cache-Control: max-age=200"][..], lines].concat();
        let case = case(name).origin(200, &fields).origin(200, &fields);
        case.get(&[("X-Kind", "a"), ("X-Size", "1")], Origin(1))
            .get(&[("X-Kind", "a"), ("X-Size", "1")], Cached(1))
            .get(&[("X-Kind", "a"), ("X-Size", "2")], Origin(2))
            .get(&[("X-Kind", "b"), ("X-Size", "1")], Origin(3))
    };
    check([
        lines("one line", &["Vary: X-Kind, X-Size"]),
        lines("any case", &["VARY: x-kind,X-SIZE"]),
        lines("two lines", &["Vary: X-Kind", "Vary: X-Size"]),
        lines("empty members", &["Vary: , X-Kind ,,\t X-Size ,"]),
        lines("named twice", &["Vary: X-Kind, X-Size, x-kind"]),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_4_1_an_asterisk_anywhere_never_matches() {
    let values: [&[&str]; 6] = [
        &["Vary: *"],
        &["Vary: X-Kind, *"],
        &["Vary: *, X-Kind"],
        &["Vary: X-Kind", "Vary: *"],
        &["Vary: *", "Vary: X-Kind"],
        &["Vary: ,\t*\t,"],
    ];
    check(values.map(|lines| {
        let fields = [&["Cache-Control: max-age=200", "ETag: \"v1\""][..], lines].concat();
        let case = case(format!("{lines:?}")).origin(200, &fields).origin(200, &fields);
        case.get(&[("X-Kind", "a")], Origin(1)).get(&[("X-Kind", "a")], Origin(2)).get(&[], Origin(3))
    }))
    .await;
}

#[tokio::test]
async fn rfc9111_4_1_white_space_and_lines_make_no_difference() {
    let lines = |name: &str, one: &[&'static str], other: &[&'static str]| {
        let of =
            |values: &[&'static str]| -> Vec<_> { values.iter().map(|&value| ("X-Kind", value)).collect() };
        varying(name, "X-Kind").get(&of(one), Origin(1)).get(&of(other), Cached(1))
    };
    check([
        same("X-Kind", "a, b", "a,b"),
        same("X-Kind", "a, b", "a \t,\t b"),
        same("X-Kind", "a", "  a\t"),
        lines("two lines", &["a, b"], &["a", "b"]),
        lines("three lines", &["a, b, c"], &["a,b", "c"]),
        different("X-Kind", "a, b", "b, a"),
        different("X-Kind", "a, b", "A, b"),
        different("X-Kind", "a b", "ab"),
        different("X-Kind", "\"a, b\"", "\"a,b\""),
        different("X-Kind", "a, b", "a; b"),
    ])
    .await;
}

#[tokio::test]
async fn rfc9110_12_5_4_languages_that_mean_the_same_share() {
    let name = "Accept-Language";
    check([
        same(name, "de, en", "en, de"),
        same(name, "de, en", "DE,En"),
        same(name, "de;q=1.0, en;q=0.5", "de, en;q=0.50"),
        same(name, "en;q=0.5, de", "de;q=1, en ; q=0.500"),
        same(name, "de, de", "de"),
        different(name, "de, en;q=0.5", "en, de;q=0.5"),
        different(name, "de, en;q=0.5", "de, en;q=0.4"),
        different(name, "de", "de, en"),
        different(name, "de", "de-AT"),
        different(name, "de;q=0", "de"),
        different(name, "de;q=x", "de"),
    ])
    .await;
}

#[tokio::test]
async fn rfc9110_12_5_3_codings_that_mean_the_same_share() {
    let name = "Accept-Encoding";
    check([
        same(name, "gzip, br", "br,gzip"),
        same(name, "gzip", "GZIP"),
        same(name, "gzip;q=1", "gzip"),
        same(name, "gzip", "x-gzip"),
        same(name, "gzip;q=0.8, br", "br;q=1.0, gzip;q=0.80"),
        different(name, "gzip", "br"),
        different(name, "gzip", "gzip, br"),
        different(name, "gzip", "gzip;q=0"),
        different(name, "identity;q=0", "identity"),
        // No field is no preference, an empty one is a wish for no coding (RFC 9110 section 12.5.3).
        varying("absent and empty", name)
            .get(&[], Origin(1))
            .get(&[(name, "")], Origin(2))
            .get(&[], Cached(1)),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_4_1_fields_that_are_no_lists_are_compared_as_they_are() {
    check([
        different("Cookie", "a=1; b=2", "b=2; a=1"),
        different("User-Agent", "A (b,c)", "A (b, c)"),
        same("User-Agent", "A (b,c)", "A (b,c) "),
        different("Referer", "http://a.example/?b,c", "http://a.example/?b, c"),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_4_1_what_an_origin_varies_on_may_change() {
    let fresh = "Cache-Control: max-age=200";
    check([
        case("other fields")
            .origin(200, &["Vary: X-Kind", fresh])
            .origin(200, &["Vary: X-Size", fresh])
            .get(&[("X-Kind", "a"), ("X-Size", "1")], Origin(1))
            .get(&[("X-Kind", "b"), ("X-Size", "2")], Origin(2))
            .get(&[("X-Kind", "c"), ("X-Size", "2")], Cached(2))
            .get(&[("X-Kind", "a"), ("X-Size", "3")], Cached(1))
            // Of several that match, the latest.
            .get(&[("X-Kind", "a"), ("X-Size", "2")], Cached(2)),
        case("nothing any more")
            .origin(200, &["Vary: X-Kind", fresh])
            .origin(200, &[fresh])
            .get(&[("X-Kind", "a")], Origin(1))
            .get(&[("X-Kind", "b")], Origin(2))
            .get(&[("X-Kind", "c")], Cached(2))
            .get(&[], Cached(2)),
        case("something at last")
            .origin(200, &["Age: 300", fresh])
            .origin(200, &["Vary: X-Kind", fresh])
            .get(&[("X-Kind", "a")], Origin(1))
            .get(&[("X-Kind", "b")], Origin(2))
            .get(&[("X-Kind", "b")], Cached(2))
            .get(&[("X-Kind", "a")], Origin(3)),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_4_3_1_each_variant_is_validated_with_its_own_validator() {
    let of = |tag: &'static str| [tag, "Vary: X-Kind", "Age: 300", "Cache-Control: max-age=200"];
    let (a, b) = (of("ETag: \"a\""), of("ETag: \"b\""));
    check([case("two")
        .origin(200, &a)
        .origin(200, &b)
        .origin(304, &["ETag: \"a\"", "Age: 0", "Vary: X-Kind"])
        .get(&[("X-Kind", "a")], Origin(1))
        .get(&[("X-Kind", "b")], Origin(2))
        .get(&[("X-Kind", "a")], Cached(1))
        .asking(1)
        .saw("if-none-match", "\"a\"")
        .get(&[("X-Kind", "a")], Cached(1))
        .get(&[("X-Kind", "b")], Origin(4))
        .saw("if-none-match", "\"b\"")])
    .await;
}

#[tokio::test]
async fn rfc9111_4_1_variants_are_bounded_in_number() {
    let of = |value: &'static str| [("X-Kind", value)];
    let case = varying("the oldest goes", "X-Kind")
        .get(&of("a"), Origin(1))
        .get(&of("b"), Origin(2))
        .get(&of("c"), Origin(3))
        .get(&of("b"), Cached(2))
        .get(&of("c"), Cached(3))
        .get(&of("a"), Origin(4));
    check_with("[fill]\nmax-variants = 2\n", [case]).await;
    let many: Vec<_> = (0..17).map(|number| format!("X-{number}")).collect();
    let (few, many) = (many[..16].join(", "), many.join(", "));
    check([
        varying("as many fields as are compared", &few).get(&[], Origin(1)).get(&[], Cached(1)),
        varying("more fields than are compared", &many).get(&[], Origin(1)).get(&[], Origin(2)),
    ])
    .await;
}
