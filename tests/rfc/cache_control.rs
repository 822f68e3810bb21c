//! Clause 3: how `Cache-Control` of answers is read (RFC 9111 section 5.2) and what its directives mean (5.2.2).

use crate::case::{Cached, Origin, asked_again, case, check, from_now, reused};

#[tokio::test]
async fn rfc9111_5_2_names_of_directives_have_any_case() {
    check([
        reused("MAX-AGE", &["Cache-Control: MAX-AGE=60"]),
        reused("Max-Age", &["cache-control: Max-Age=60"]),
        reused("S-MaxAge", &["CACHE-CONTROL: S-MaxAge=60"]),
        asked_again("No-Store", &["Cache-Control: No-Store, max-age=60"]),
        asked_again("PRIVATE", &["Cache-Control: PRIVATE, max-age=60"]),
        asked_again("No-Cache", &["Cache-Control: No-Cache, max-age=60"]),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_5_2_an_argument_is_a_token_or_a_quoted_string() {
    check([
        reused("quoted number", &["Cache-Control: max-age=\"60\""]),
        asked_again("quoted zero", &["Cache-Control: max-age=\"0\""]),
        reused("quoted s-maxage", &["Cache-Control: s-maxage=\"60\", max-age=0"]),
        asked_again("a directive in quotes gives no lifetime", &["Cache-Control: ext=\"a, max-age=3600\""]),
        asked_again("nor with another quote in it", &["Cache-Control: ext=\"a\\\", max-age=3600, \\\"b\""]),
        reused("a directive in quotes takes none", &["Cache-Control: ext=\"no-store, private\", max-age=60"]),
        reused("nor with another quote in it", &["Cache-Control: ext=\"a\\\", no-store, \\\"\", max-age=60"]),
        reused("a quoted backslash at the end", &["Cache-Control: ext=\"a\\\\\", max-age=60"]),
        asked_again("a quote without an end", &["Cache-Control: ext=\"a, max-age=60"]),
        asked_again("no-store behind it", &["Cache-Control: max-age=60, ext=\"a, no-store"]),
        asked_again("single quotes", &["Cache-Control: max-age='60'"]),
    ])
    .await;
}

#[tokio::test]
async fn rfc9110_5_3_several_lines_are_one_list() {
    check([
        reused("lifetime in the second line", &["Cache-Control: public", "Cache-Control: max-age=60"]),
        asked_again("no-store in the second line", &["Cache-Control: max-age=60", "Cache-Control: no-store"]),
        asked_again("no-store in the first line", &["Cache-Control: no-store", "Cache-Control: max-age=60"]),
        asked_again(
            "private in the third line",
            &["Cache-Control: max-age=60", "X: y", "Cache-Control:", "cache-control: private"],
        ),
        reused("empty members", &["Cache-Control: ,, public ,\t, max-age=60 ,"]),
        reused("no white space", &["Cache-Control: public,max-age=60,no-transform"]),
        reused("much of it", &["Cache-Control: \t public \t,\t  max-age=60  "]),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_4_2_1_of_several_values_the_most_restrictive_counts() {
    check([
        asked_again("the longer one first", &["Age: 50", "Cache-Control: max-age=100, max-age=10"]),
        asked_again("the longer one last", &["Age: 50", "Cache-Control: max-age=10, max-age=100"]),
        asked_again("in two lines", &["Age: 50", "Cache-Control: max-age=100", "Cache-Control: max-age=10"]),
        asked_again("s-maxage", &["Age: 50", "Cache-Control: s-maxage=100, max-age=500, s-maxage=10"]),
        asked_again("one is no number", &["Age: 50", "Cache-Control: max-age=100, max-age=x"]),
        reused("the same twice", &["Age: 50", "Cache-Control: max-age=100, max-age=100"]),
        asked_again("public and private", &["Cache-Control: public, private, max-age=60"]),
        asked_again(
            "no-cache whole and with fields",
            &["Cache-Control: no-cache=\"x-a\", no-cache, max-age=60", "ETag: \"v1\""],
        )
        .saw("if-none-match", "\"v1\""),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_4_2_1_a_lifetime_that_is_no_number_is_none() {
    let expires = format!("Expires: {}", from_now(1000));
    let values =
        ["=x", "=1.5", "=-1", "=+60", "=", "=\"\"", "", "=60s", "=6 0", "= 60", " =60", "=0x60", "=\"60"];
    let rows = values.map(|value| {
        let control = format!("Cache-Control: max-age{value}");
        asked_again(control.clone(), &[&control, &expires])
    });
    let shared = ["=x", "", "=-1"].map(|value| {
        let control = format!("Cache-Control: s-maxage{value}, max-age=60");
        asked_again(control.clone(), &[&control])
    });
    let good = [reused("leading zeros", &["Age: 50", "Cache-Control: max-age=00060"])];
    check(rows.into_iter().chain(shared).chain(good)).await;
}

#[tokio::test]
async fn rfc9111_5_2_3_unknown_directives_are_ignored() {
    check([
        reused("a word", &["Cache-Control: sideways, max-age=60"]),
        reused("with a number", &["Cache-Control: max-age=60, pre-check=0, post-check=0"]),
        reused("with a string", &["Cache-Control: community=\"UCI\", max-age=60"]),
        reused(
            "what a directive begins like",
            &["Cache-Control: no-stored, privateer, no-cached, max-age=60"],
        ),
        asked_again("what ends like a directive", &["Cache-Control: xmax-age=60, x-max-age=60"]),
        asked_again("what begins like a lifetime", &["Cache-Control: max-ages=60, max-age-x=60, maxage=60"]),
        reused(
            "directives of requests",
            &["Cache-Control: only-if-cached, min-fresh=1000, max-stale, max-age=60"],
        ),
        reused("bytes beyond ASCII", &["Cache-Control: ext=\"\u{e4}\", max-age=60"]),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_5_2_2_5_no_store_is_not_stored() {
    let later = format!("Expires: {}", from_now(1000));
    check([
        asked_again("alone", &["Cache-Control: no-store", "ETag: \"v1\""]).saw_no("if-none-match"),
        asked_again("with a lifetime", &["Cache-Control: no-store, max-age=60"]),
        asked_again("with Expires", &["Cache-Control: no-store", &later]),
        asked_again("with public", &["Cache-Control: public, no-store, s-maxage=60"]),
        asked_again("with an argument", &["Cache-Control: no-store=0, max-age=60"]),
        asked_again("with a list", &["Cache-Control: no-store=\"x-a\", max-age=60"]),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_5_2_2_7_private_is_not_stored_nor_are_the_fields_it_lists() {
    let secret = ["X-Secret: 1", "X-Open: 1"];
    let with = |control: &'static str| [&[control][..], &secret].concat();
    check([
        asked_again("private", &with("Cache-Control: private, max-age=60")),
        asked_again("with s-maxage", &with("Cache-Control: private, s-maxage=60")),
        case("a list")
            .origin(200, &with("Cache-Control: private=\"x-secret\", max-age=60"))
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .lacks("x-secret")
            .has("x-open", "1"),
        case("two in another case")
            .origin(200, &with("Cache-Control: max-age=60, private=\"X-Other , X-SECRET\""))
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .lacks("x-secret")
            .has("x-open", "1"),
        case("as a token")
            .origin(200, &with("Cache-Control: max-age=60, private=x-secret"))
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .lacks("x-secret")
            .has("x-open", "1"),
        asked_again("a list of nothing", &with("Cache-Control: max-age=60, private=\"\"")),
        asked_again("a list of what no field is called", &with("Cache-Control: max-age=60, private=\"a b\"")),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_5_2_2_7_private_fields_reach_the_client_that_they_are_for() {
    check([case("the one who asked the origin")
        .origin(200, &["Cache-Control: private=\"x-secret\", max-age=60", "X-Secret: 1"])
        .get(&[], Origin(1))
        .has("x-secret", "1")
        .get(&[], Cached(1))
        .lacks("x-secret")])
    .await;
}

#[tokio::test]
async fn rfc9111_5_2_2_4_no_cache_is_validated_each_time() {
    let fields = ["Cache-Control: no-cache, max-age=60", "ETag: \"v1\""];
    check([
        case("confirmed each time")
            .origin(200, &fields)
            .origin(304, &fields)
            .origin(304, &fields)
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .asking(1)
            .saw("if-none-match", "\"v1\"")
            .get(&[], Cached(1))
            .asking(1),
        case("changed").origin(200, &fields).origin(200, &fields).get(&[], Origin(1)).get(&[], Origin(2)),
        asked_again("no validator", &["Cache-Control: no-cache, max-age=60"]),
        asked_again("with s-maxage", &["Cache-Control: no-cache, s-maxage=60", "ETag: \"v1\""])
            .saw("if-none-match", "\"v1\""),
        asked_again("with immutable", &["Cache-Control: no-cache, max-age=60, immutable", "ETag: \"v1\""]),
        asked_again("a list of nothing", &["Cache-Control: no-cache=\"\", max-age=60", "ETag: \"v1\""]),
        asked_again("no argument", &["Cache-Control: no-cache=, max-age=60", "ETag: \"v1\""]),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_5_2_2_4_fields_that_no_cache_lists_are_not_sent_without_validation() {
    check([
        case("fresh")
            .origin(200, &["Cache-Control: no-cache=\"x-secret\", max-age=60", "X-Secret: 1", "X-Open: 1"])
            .get(&[], Origin(1))
            .has("x-secret", "1")
            .get(&[], Cached(1))
            .lacks("x-secret")
            .has("x-open", "1"),
        case("several lines of it")
            .origin(
                200,
                &[
                    "Cache-Control: no-cache=\"a,Set-Cookie\", max-age=60",
                    "Set-Cookie: a=1",
                    "Set-Cookie: b=2",
                ],
            )
            .get(&[], Origin(1))
            .has("set-cookie", "a=1, b=2")
            .get(&[], Cached(1))
            .lacks("set-cookie"),
        case("validated")
            .origin(
                200,
                &[
                    "Age: 100",
                    "Cache-Control: no-cache=\"x-secret\", max-age=60",
                    "X-Secret: 1",
                    "ETag: \"v1\"",
                ],
            )
            .origin(304, &["ETag: \"v1\""])
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .asking(1)
            .has("x-secret", "1")
            .get(&[], Cached(1))
            .lacks("x-secret"),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_5_2_2_3_must_understand_goes_before_no_store_for_known_statuses_only() {
    let both = ["Cache-Control: must-understand, no-store, max-age=60"];
    let alone = ["Cache-Control: must-understand, max-age=60"];
    let stored = [200, 203, 301, 404, 410, 503].map(|status| {
        let case = case(format!("{status} is known")).origin(status, &both).get(&[], Origin(1));
        case.get(&[], Cached(1))
    });
    let unknown = [299, 399, 499, 599].map(|status| {
        let case = case(format!("{status} is not")).origin(status, &alone).get(&[], Origin(1));
        case.get(&[], Origin(2))
    });
    let others = [
        reused("known, without no-store", &alone),
        asked_again("with private", &["Cache-Control: must-understand, private, max-age=60"]),
        asked_again("in quotes", &["Cache-Control: ext=\"must-understand\", no-store, max-age=60"]),
    ];
    check(stored.into_iter().chain(unknown).chain(others)).await;
}

#[tokio::test]
async fn rfc9111_5_4_pragma_of_an_answer_means_nothing() {
    check([
        reused("beside Cache-Control", &["Pragma: no-cache", "Cache-Control: max-age=60"]),
        reused("beside Expires", &["Pragma: no-cache", &format!("Expires: {}", from_now(1000))]),
        asked_again("alone", &["Pragma: max-age=60"]),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_5_2_directives_reach_the_client_as_they_came() {
    let control = "max-age=60, Ext=\"a, b\",  stale-if-error=5,proxy-revalidate";
    check([case("every directive")
        .origin(200, &[&format!("Cache-Control: {control}"), "Pragma: no-cache", "Expires: 0"])
        .get(&[], Origin(1))
        .has("cache-control", control)
        .has("expires", "0")
        .get(&[], Cached(1))
        .has("cache-control", control)
        .has("pragma", "no-cache")
        .has("expires", "0")])
    .await;
}
