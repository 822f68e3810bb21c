//! Clause 4: `CDN-Cache-Control` and targeted fields of an operator's own (RFC 9213).

use crate::case::{Cached, Origin, asked_again, case, check, check_with, from_now, reused};

#[tokio::test]
async fn rfc9213_2_2_a_valid_targeted_field_stands_in_place_of_cache_control_and_expires() {
    let (later, past) = (format!("Expires: {}", from_now(1000)), format!("Expires: {}", from_now(-1000)));
    check([
        reused("alone", &["CDN-Cache-Control: max-age=60"]),
        reused("before no-store", &["CDN-Cache-Control: max-age=60", "Cache-Control: no-store"]),
        reused("before private", &["CDN-Cache-Control: max-age=60", "Cache-Control: private, max-age=0"]),
        reused("before no-cache", &["CDN-Cache-Control: max-age=60", "Cache-Control: no-cache"]),
        reused("before s-maxage", &["CDN-Cache-Control: max-age=60", "Cache-Control: s-maxage=0"]),
        reused("before Expires", &["CDN-Cache-Control: max-age=60", &past]),
        asked_again("no lifetime", &["CDN-Cache-Control: max-age=0", "Cache-Control: max-age=60"]),
        asked_again("no-store", &["CDN-Cache-Control: no-store", "Cache-Control: max-age=60", &later]),
        asked_again("private", &["CDN-Cache-Control: private", "Cache-Control: max-age=60"]),
        asked_again(
            "no-cache",
            &["CDN-Cache-Control: no-cache", "Cache-Control: max-age=60", "ETag: \"v1\""],
        )
        .saw("if-none-match", "\"v1\""),
        asked_again(
            "a lifetime elsewhere",
            &["CDN-Cache-Control: must-revalidate", "Cache-Control: max-age=60"],
        ),
        asked_again("Expires elsewhere", &["CDN-Cache-Control: must-revalidate", &later]),
        asked_again(
            "an unknown directive alone",
            &["CDN-Cache-Control: sideways", "Cache-Control: max-age=60"],
        ),
        reused("s-maxage in it", &["CDN-Cache-Control: max-age=0, s-maxage=60"]),
        asked_again(
            "the age counts",
            &["Age: 100", "CDN-Cache-Control: max-age=60", "Cache-Control: max-age=600"],
        ),
        reused(
            "public with a guess",
            &[
                "CDN-Cache-Control: public",
                "Cache-Control: no-store",
                &format!("Last-Modified: {}", from_now(-100_000)),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn rfc9213_2_1_a_malformed_targeted_field_is_ignored_as_a_whole() {
    let malformed = [
        "max-age=60, &",
        "max-age=60,",
        ", max-age=60",
        "Max-Age=60",
        "max-age = 60",
        "max-age=60 no-transform",
        "max-age=60; ",
        "max-age=1234567890123456",
        "max-age=\"60",
        "max-age='60'",
        "max-age=",
        "max-age=60, no-cache=\"\u{e4}\"",
        "",
    ];
    // Each would say the contrary of what counts then.
    let stored = malformed.map(|value| {
        let field = format!("CDN-Cache-Control: no-store, {value}");
        let name = format!("{value:?} does not forbid");
        match value {
            "" => reused(name, &["CDN-Cache-Control:", "Cache-Control: max-age=60"]),
            _ => reused(name, &[&field, "Cache-Control: max-age=60"]),
        }
    });
    let unstored = malformed.map(|value| {
        let field = format!("CDN-Cache-Control: {value}");
        asked_again(format!("{value:?} does not allow"), &[&field, "Cache-Control: no-store"])
    });
    check(stored.into_iter().chain(unstored)).await;
}

#[tokio::test]
async fn rfc9213_2_1_members_are_structured_items() {
    let lines = ["CDN-Cache-Control: no-store", "CDN-Cache-Control: no-store=?0, max-age=60"];
    check([
        reused("parameters are ignored", &["CDN-Cache-Control: max-age=60;a=b;c"]),
        reused("unknown members", &["CDN-Cache-Control: a=(b c), d=:aGk=:, e=1.5, max-age=60"]),
        reused("the last of a key", &["CDN-Cache-Control: max-age=0, max-age=60"]),
        asked_again("the last of a key", &["CDN-Cache-Control: max-age=60, max-age=0"]),
        reused("several lines", &["CDN-Cache-Control: public", "CDN-Cache-Control: max-age=60"]),
        reused("a directive that is off", &lines),
        asked_again(
            "a lifetime that is a string",
            &["CDN-Cache-Control: max-age=\"60\"", "Cache-Control: max-age=60"],
        ),
        asked_again(
            "a lifetime with a fraction",
            &["CDN-Cache-Control: max-age=60.0", "Cache-Control: max-age=60"],
        ),
        asked_again(
            "a lifetime below zero",
            &["CDN-Cache-Control: max-age=-60", "Cache-Control: max-age=60"],
        ),
        case("fields in a list")
            .origin(200, &["CDN-Cache-Control: max-age=60, private=\"x-secret\"", "X-Secret: 1"])
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .lacks("x-secret"),
    ])
    .await;
}

#[tokio::test]
async fn rfc9213_3_the_field_reaches_the_client_unchanged() {
    let fields =
        ["CDN-Cache-Control: max-age=60;a=b, Oops", "CDN-Cache-Control: x", "Cache-Control: max-age=60"];
    check([
        case("valid")
            .origin(200, &["CDN-Cache-Control: max-age=60;a=b", "Cache-Control: no-store"])
            .get(&[], Origin(1))
            .has("cdn-cache-control", "max-age=60;a=b")
            .get(&[], Cached(1))
            .has("cdn-cache-control", "max-age=60;a=b")
            .has("cache-control", "no-store"),
        case("malformed, in two lines")
            .origin(200, &fields)
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .has("cdn-cache-control", "max-age=60;a=b, Oops, x"),
    ])
    .await;
}

#[tokio::test]
async fn rfc9213_2_2_fields_for_others_mean_nothing() {
    check(
        ["Surrogate-Control", "Lab-Cache-Control", "CDN-Cache-Controls", "X-CDN-Cache-Control"]
            .map(|name| asked_again(name, &[&format!("{name}: max-age=60"), "Cache-Control: max-age=0"])),
    )
    .await;
}

#[tokio::test]
async fn rfc9213_2_2_an_own_target_has_the_rank_it_is_given() {
    let own = "[policy]\ntargets = [\"Lab-Cache-Control\", \"CDN-Cache-Control\"]\n";
    check_with(
        own,
        [
            reused("own alone", &["Lab-Cache-Control: max-age=60", "Cache-Control: no-store"]),
            reused("own before CDN", &["CDN-Cache-Control: no-store", "Lab-Cache-Control: max-age=60"]),
            asked_again("own forbids", &["Lab-Cache-Control: no-store", "CDN-Cache-Control: max-age=60"]),
            reused("own is malformed", &["Lab-Cache-Control: no-store,", "CDN-Cache-Control: max-age=60"]),
            reused("own is empty", &["Lab-Cache-Control:", "CDN-Cache-Control: max-age=60"]),
            reused(
                "both are malformed",
                &["Lab-Cache-Control: &", "CDN-Cache-Control: &", "Cache-Control: max-age=60"],
            ),
            case("own reaches the client")
                .origin(200, &["Lab-Cache-Control: max-age=60"])
                .get(&[], Origin(1))
                .get(&[], Cached(1))
                .has("lab-cache-control", "max-age=60"),
        ],
    )
    .await;
    check_with(
        "[policy]\ntargets = [\"Lab-Cache-Control\"]\n",
        [asked_again("CDN is none of ours", &["CDN-Cache-Control: max-age=60", "Cache-Control: max-age=0"])],
    )
    .await;
}
