//! Clause 5: when a stale answer is sent (RFC 9111 section 4.2.4, RFC 5861). What is stale here came with an `Age` beyond its
//! lifetime.

use testkit::origin::{Script, Step};

use crate::case::{Cached, Case, Origin, Ours, case, check, check_with};

/// A stored answer that is stale by 50 s, with these directives besides. The origin closes its connection, so that what
/// fails next is not repeated on another one.
fn stale(name: &str, directives: &str) -> Case {
    let control = format!("Cache-Control: max-age=50{directives}");
    case(name).origin(200, &["Connection: close", "Age: 100", &control]).get(&[], Origin(1))
}

/// The same with a validator.
fn tagged(name: &str, directives: &str) -> Case {
    let control = format!("Cache-Control: max-age=50{directives}");
    let fields = ["Connection: close", "Age: 100", &control, "ETag: \"v1\""];
    case(name).origin(200, &fields).get(&[], Origin(1))
}

/// Directives that forbid to send it stale whatever happens.
const FORBIDDING: [&str; 6] = [
    ", must-revalidate",
    ", proxy-revalidate",
    ", s-maxage=50",
    ", no-cache",
    ", Must-Revalidate",
    ", proxy-revalidate, stale-if-error=1000, stale-while-revalidate=1000",
];

/// An origin that fails before it has said anything.
fn failures() -> [(&'static str, Script); 4] {
    [
        ("reset", Script::reset()),
        ("closed", Script::Steps(vec![Step::Close])),
        ("no HTTP", Script::raw("220 mail.example ESMTP\r\n\r\n").then(Step::Close)),
        ("half a head", Script::raw("HTTP/1.1 200 OK\r\nContent-Le").then(Step::Close)),
    ]
}

#[tokio::test]
async fn rfc9111_4_2_4_what_is_stale_is_asked_for_again() {
    check([
        stale("without a validator", "")
            .get(&[], Origin(2))
            .saw_no("if-none-match")
            .saw_no("if-modified-since"),
        stale("stale-if-error alone", ", stale-if-error=1000").get(&[], Origin(2)),
        stale("confirmed with fields that make it fresh", "")
            .origin(200, &["Cache-Control: max-age=50"])
            .get(&[], Origin(2))
            .get(&[], Cached(2)),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_4_2_4_an_origin_that_fails_is_stood_in_for() {
    check(failures().map(|(name, script)| {
        let case = stale(name, "").origin_raw(script).get(&[], Cached(1)).asking(1);
        // Nor is that a reason to forget it, or to give it another age.
        case.has_within("age", 100..=200).has("cache-control", "max-age=50").get(&[], Origin(3))
    }))
    .await;
}

#[tokio::test]
async fn rfc9111_4_2_4_an_origin_that_breaks_off_before_its_first_byte_is_stood_in_for() {
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
    let broken = || Script::raw(short).then(Step::Close);
    check([
        stale("without a validator", "").origin_raw(broken()).get(&[], Cached(1)).asking(1),
        tagged("with a validator", "").origin_raw(broken()).get(&[], Cached(1)).asking(1),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_4_2_4_only_within_a_bound() {
    let of = |name: &str, age: u64| {
        let case = case(name)
            .origin(200, &[&format!("Age: {age}"), "Cache-Control: max-age=50", "Connection: close"]);
        case.origin_raw(Script::reset()).get(&[], Origin(1))
    };
    check([
        of("a day, nearly", 86_300).get(&[], Cached(1)).asking(1),
        of("more than a day", 86_500).get(&[], Ours(502)).asking(1),
    ])
    .await;
    check_with(
        "[policy]\nstale-on-error = \"5min\"\n",
        [
            of("within five minutes", 250).get(&[], Cached(1)).asking(1),
            of("beyond them", 400).get(&[], Ours(502)).asking(1),
        ],
    )
    .await;
    let never = [of("never", 100).get(&[], Ours(502)).asking(1)];
    check_with("[policy]\nstale-on-error = \"0s\"\n", never).await;
}

// RFC 9111 sections 5.2.2.2, 5.2.2.4, 5.2.2.8 and 5.2.2.10.
#[tokio::test]
async fn rfc9111_4_2_4_never_against_a_directive_that_forbids_it() {
    let unreachable = FORBIDDING.map(|directives| {
        let case = stale(&format!("unreachable{directives}"), directives);
        // With `no-cache` and no validator nothing is stored in the first place.
        case.origin_raw(Script::reset()).get(&[], Ours(502)).asking(1)
    });
    let failing = FORBIDDING.map(|directives| {
        let directives = format!("{directives}, stale-if-error=1000");
        tagged(&format!("failing{directives}"), &directives).origin(503, &[]).get(&[], Origin(2))
    });
    let behind = FORBIDDING.map(|directives| {
        let directives = format!("{directives}, stale-while-revalidate=1000");
        stale(&format!("behind{directives}"), &directives).get(&[], Origin(2))
    });
    let validated = ["must-revalidate", "no-cache"].map(|directive| {
        let control = format!("Cache-Control: max-age=50, {directive}");
        let case = case(format!("with a validator, {directive}"));
        let case = case
            .origin(200, &["Age: 100", &control, "ETag: \"v1\"", "Connection: close"])
            .get(&[], Origin(1));
        let case =
            case.origin_raw(Script::reset()).get(&[], Ours(502)).asking(1).saw("if-none-match", "\"v1\"");
        case.origin(304, &["ETag: \"v1\""]).get(&[], Cached(1)).asking(1)
    });
    check(unreachable.into_iter().chain(failing).chain(behind).chain(validated)).await;
}

#[tokio::test]
async fn rfc5861_4_an_error_is_passed_on_without_stale_if_error() {
    let rows = [500, 501, 502, 503, 504, 505, 404, 403, 429].map(|status| {
        let case = tagged(&status.to_string(), "").origin(status, &["Retry-After: 7"]).get(&[], Origin(2));
        case.has("retry-after", "7")
    });
    check(rows).await;
}

#[tokio::test]
async fn rfc5861_4_within_stale_if_error_it_stands_in_for_errors() {
    let errors = [500, 502, 503, 504].map(|status| {
        let case = tagged(&status.to_string(), ", stale-if-error=1000").origin(status, &[]);
        // The next request asks again, and gets what is right then.
        case.get(&[], Cached(1)).asking(1).has_within("age", 100..=200).get(&[], Origin(3))
    });
    let answers = [404, 410, 403, 501, 505, 429].map(|status| {
        let case = tagged(&format!("{status} is an answer"), ", stale-if-error=1000").origin(status, &[]);
        case.get(&[], Origin(2))
    });
    let bounds = [
        tagged("beyond it", ", stale-if-error=10").origin(503, &[]).get(&[], Origin(2)),
        stale("beyond it, unreachable", ", stale-if-error=10")
            .origin_raw(Script::reset())
            .get(&[], Ours(502))
            .asking(1),
        stale("within it, unreachable", ", stale-if-error=1000")
            .origin_raw(Script::reset())
            .get(&[], Cached(1))
            .asking(1),
        tagged("zero", ", stale-if-error=0").origin(503, &[]).get(&[], Origin(2)),
        tagged("no number", ", stale-if-error=long").origin(503, &[]).get(&[], Origin(2)),
        tagged("the request wants it confirmed", ", stale-if-error=1000")
            .origin(503, &[])
            .get(&[("Cache-Control", "no-cache")], Origin(2)),
    ];
    let validator = case("an error to a validation is none of the stored answer")
        .origin(200, &["Age: 100", "Cache-Control: max-age=50, stale-if-error=1000", "ETag: \"v1\""])
        .origin(503, &[])
        .origin(304, &["ETag: \"v1\"", "Age: 0"])
        .get(&[], Origin(1))
        .get(&[], Cached(1))
        .asking(1)
        .saw("if-none-match", "\"v1\"")
        .get(&[], Cached(1))
        .asking(1)
        .get(&[], Cached(1));
    check(errors.into_iter().chain(answers).chain(bounds).chain([validator])).await;
}

#[tokio::test]
async fn rfc5861_4_what_has_no_validator_stands_in_for_errors_too() {
    check([500, 502, 503, 504].map(|status| {
        let case = stale(&status.to_string(), ", stale-if-error=1000").origin(status, &[]);
        case.get(&[], Cached(1)).asking(1).get(&[], Origin(3))
    }))
    .await;
}

#[tokio::test]
async fn rfc5861_4_a_rule_allows_and_forbids_it() {
    let rule = |limit: &str| format!("[[rule]]\nsite = \"rfc\"\nstale-if-error = \"{limit}\"\n");
    check_with(
        &rule("1h"),
        [
            tagged("503", "").origin(503, &[]).get(&[], Cached(1)).asking(1),
            stale("unreachable", "").origin_raw(Script::reset()).get(&[], Cached(1)).asking(1),
            tagged("in place of the origin's", ", stale-if-error=10")
                .origin(503, &[])
                .get(&[], Cached(1))
                .asking(1),
            tagged("never against must-revalidate", ", must-revalidate").origin(503, &[]).get(&[], Origin(2)),
        ],
    )
    .await;
    check_with(
        &rule("0s"),
        [
            tagged("503", ", stale-if-error=1000").origin(503, &[]).get(&[], Origin(2)),
            stale("unreachable", "").origin_raw(Script::reset()).get(&[], Ours(502)).asking(1),
        ],
    )
    .await;
}

#[tokio::test]
async fn rfc5861_3_within_stale_while_revalidate_it_is_sent_at_once_and_validated_behind() {
    let fresh = ["Cache-Control: max-age=50", "ETag: \"v2\""];
    let control = "Cache-Control: max-age=50, stale-while-revalidate=1000";
    check([
        stale("replaced behind", ", stale-while-revalidate=1000")
            .origin(200, &fresh)
            .get(&[], Cached(1))
            .asking(1)
            .has_within("age", 100..=200)
            .get(&[], Cached(2)),
        case("confirmed behind")
            .origin(200, &["Age: 100", control, "ETag: \"v1\""])
            .origin(304, &["Age: 0", "ETag: \"v1\""])
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .asking(1)
            .saw("if-none-match", "\"v1\"")
            .get(&[], Cached(1))
            .has_within("age", 0..=49),
        stale("the origin fails behind", ", stale-while-revalidate=1000")
            .origin_raw(Script::reset())
            .origin(200, &fresh)
            .get(&[], Cached(1))
            .asking(1)
            .get(&[], Cached(1))
            .asking(1)
            .get(&[], Cached(3)),
        stale("an error behind", ", stale-while-revalidate=1000")
            .origin(503, &[])
            .origin(200, &fresh)
            .get(&[], Cached(1))
            .asking(1)
            .get(&[], Cached(1))
            .asking(1)
            .get(&[], Cached(3)),
        stale("beyond it", ", stale-while-revalidate=10").get(&[], Origin(2)),
        stale("zero", ", stale-while-revalidate=0").get(&[], Origin(2)),
        stale("no number", ", stale-while-revalidate=x").get(&[], Origin(2)),
        stale("the request wants it young", ", stale-while-revalidate=1000")
            .get(&[("Cache-Control", "max-age=1000")], Origin(2)),
        stale("the request wants it confirmed", ", stale-while-revalidate=1000")
            .get(&[("Cache-Control", "no-cache")], Origin(2)),
    ])
    .await;
}

#[tokio::test]
async fn rfc5861_3_a_rule_allows_and_forbids_it() {
    let rule = |limit: &str| format!("[[rule]]\nsite = \"rfc\"\nstale-while-revalidate = \"{limit}\"\n");
    check_with(
        &rule("1h"),
        [
            stale("allowed", "").get(&[], Cached(1)).asking(1),
            stale("never against s-maxage", ", s-maxage=50").get(&[], Origin(2)),
        ],
    )
    .await;
    check_with(&rule("0s"), [stale("forbidden", ", stale-while-revalidate=1000").get(&[], Origin(2))]).await;
}
