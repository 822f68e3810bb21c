//! Clause 6: what a request says about the answer it wants (RFC 9111 sections 5.2.1 and 5.4, RFC 8246).

use scenarios::{impatient, settled};
use testkit::origin::{Gate, Origin as Server, Script, Step};

use crate::case::{Cached, Case, Origin, Ours, case, check, check_with};

/// Requests that want an answer confirmed are obeyed however young it is.
const NO_FLOOR: &str = "[policy]\nreload-floor = \"0s\"\n";

/// A stored answer of 100 s that is fresh for 100 s more, with more fields.
fn fresh(name: &str, fields: &[&str]) -> Case {
    let fields = [&["Age: 100", "Cache-Control: max-age=200"][..], fields].concat();
    case(name).origin(200, &fields).get(&[], Origin(1))
}

/// A stored answer of 100 s that has been stale for 50 s, with more directives.
fn stale(name: &str, directives: &str) -> Case {
    let control = format!("Cache-Control: max-age=50{directives}");
    case(name).origin(200, &["Age: 100", &control]).get(&[], Origin(1))
}

fn control(value: &str) -> [(&str, &str); 1] {
    [("Cache-Control", value)]
}

#[tokio::test]
async fn rfc9111_5_2_1_1_max_age_bounds_the_age() {
    let immutable = ["Age: 100", "Cache-Control: max-age=200, immutable", "ETag: \"v1\""];
    check_with(
        NO_FLOOR,
        [
            fresh("younger", &[]).get(&control("max-age=180"), Cached(1)),
            fresh("older", &[]).get(&control("max-age=90"), Origin(2)),
            fresh("older, with a validator", &["ETag: \"v1\""])
                .origin(304, &["ETag: \"v1\"", "Age: 0"])
                .get(&control("max-age=90"), Cached(1))
                .asking(1)
                .saw("if-none-match", "\"v1\"")
                .get(&control("max-age=90"), Cached(1)),
            fresh("huge", &[]).get(&control("max-age=99999999999999999999"), Cached(1)),
            fresh("no number", &[]).get(&control("max-age=x"), Origin(2)),
            fresh("the smaller of two", &[]).get(&control("max-age=180, max-age=90"), Origin(2)),
            stale("it makes nothing fresh", "").get(&control("max-age=1000"), Origin(2)),
            case("RFC 8246: what is immutable stays")
                .origin(200, &immutable)
                .get(&[], Origin(1))
                .get(&control("max-age=0"), Cached(1)),
        ],
    )
    .await;
}

#[tokio::test]
async fn rfc9111_5_2_1_1_max_age_0_is_a_conditional_request() {
    let fields =
        ["Cache-Control: max-age=200", "ETag: \"v1\"", "Last-Modified: Tue, 06 Jan 2026 10:00:00 GMT"];
    check_with(
        NO_FLOOR,
        [
            case("confirmed")
                .origin(200, &fields)
                .origin(304, &["ETag: \"v1\""])
                .get(&[], Origin(1))
                .get(&control("max-age=0"), Cached(1))
                .asking(1)
                .saw("if-none-match", "\"v1\"")
                .saw("if-modified-since", "Tue, 06 Jan 2026 10:00:00 GMT"),
            case("changed")
                .origin(200, &fields)
                .origin(200, &["Cache-Control: max-age=200", "ETag: \"v2\""])
                .get(&[], Origin(1))
                .get(&control("max-age=0"), Origin(2))
                .saw("if-none-match", "\"v1\"")
                .get(&[], Cached(2)),
            case("no validator")
                .origin(200, &["Cache-Control: max-age=200"])
                .get(&[], Origin(1))
                .get(&control("max-age=0"), Origin(2)),
        ],
    )
    .await;
}

/// They meet at an object that is stale; whoever comes when it has been confirmed is within the floor.
#[tokio::test]
async fn rfc9111_5_2_1_1_many_that_say_max_age_0_ask_the_origin_once() {
    let (origin, gate) = (Server::start().await, Gate::new());
    let stale = "200 OK\r\nAge: 100\r\nCache-Control: max-age=50\r\nETag: \"v1\"";
    let confirmed = "HTTP/1.1 304 Not Modified\r\nAge: 0\r\nETag: \"v1\"\r\n\r\n";
    let gated = Script::Steps(vec![Step::Wait(gate.clone()), Step::Send(confirmed.into())]);
    origin.route_each("/a", vec![Script::answer(stale, "answer"), gated]);
    let site = format!("[[site]]\nname = \"rfc\"\norigin = \"{}\"\n", origin.url("/"));
    let node = impatient().config(&format!("{site}[policy]\nreload-floor = \"1h\"\n")).start().await;
    node.get("/r/rfc/a").await.expect_body(200, "answer");
    settled(&node).await;
    let mut clients = Vec::new();
    for number in 0..20 {
        let mut client = node.client().await;
        let wish = if number % 2 == 0 { "max-age=0" } else { "no-cache" };
        client.start("GET", "/r/rfc/a", &control(wish)).await;
        clients.push(client);
    }
    gate.reached(1).await;
    gate.open();
    for mut client in clients {
        client.response("GET").await.expect_body(200, "answer");
    }
    let asked = origin.requests();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].header("if-none-match"), Some("\"v1\""));
}

#[tokio::test]
async fn rfc9111_5_2_1_2_max_stale_takes_what_is_stale() {
    let forbidding = ["must-revalidate", "proxy-revalidate", "s-maxage=50", "no-cache"].map(|directive| {
        let case = stale(&format!("never against {directive}"), &format!(", {directive}"));
        case.get(&control("max-stale"), Origin(2))
    });
    let others = [
        stale("within the limit", "").get(&control("max-stale=80"), Cached(1)).has_within("age", 100..=200),
        stale("beyond it", "").get(&control("max-stale=20"), Origin(2)),
        stale("no limit", "").get(&control("max-stale"), Cached(1)),
        stale("a quoted limit", "").get(&control("max-stale=\"80\""), Cached(1)),
        stale("zero", "").get(&control("max-stale=0"), Origin(2)),
        stale("no number", "").get(&control("max-stale=x"), Origin(2)),
        stale("the smaller of two", "").get(&control("max-stale=80, max-stale=20"), Origin(2)),
        stale("with a max-age that it keeps", "").get(&control("max-age=150, max-stale=80"), Cached(1)),
        stale("with a max-age that it exceeds", "").get(&control("max-age=90, max-stale=80"), Origin(2)),
        stale("with no-cache", "").get(&control("max-stale, no-cache"), Origin(2)),
    ];
    check(forbidding.into_iter().chain(others)).await;
}

#[tokio::test]
async fn rfc9111_5_2_1_3_min_fresh_wants_freshness_to_last() {
    check([
        fresh("it lasts", &[]).get(&control("min-fresh=20"), Cached(1)),
        fresh("it does not", &[]).get(&control("min-fresh=120"), Origin(2)),
        fresh("the greater of two", &[]).get(&control("min-fresh=120, min-fresh=20"), Origin(2)),
        fresh("huge", &[]).get(&control("min-fresh=99999999999999999999"), Origin(2)),
        fresh("no number", &[]).get(&control("min-fresh=x"), Cached(1)),
        stale("stale", ", stale-while-revalidate=1000").get(&control("min-fresh=1"), Origin(2)),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_5_2_1_4_no_cache_wants_it_confirmed() {
    check_with(
        NO_FLOOR,
        [
            fresh("confirmed", &["ETag: \"v1\""])
                .origin(304, &["ETag: \"v1\""])
                .get(&control("no-cache"), Cached(1))
                .asking(1)
                .saw("if-none-match", "\"v1\""),
            fresh("no validator", &[])
                .origin(200, &["Cache-Control: max-age=60"])
                .get(&control("no-cache"), Origin(2))
                .get(&[], Cached(2)),
            fresh("any case", &[]).get(&control("No-Cache"), Origin(2)),
            fresh("the second line", &[])
                .get(&[("Cache-Control", "max-age=1000"), ("Cache-Control", "no-cache")], Origin(2)),
            fresh("in quotes", &[]).get(&control("ext=\"no-cache\""), Cached(1)),
            fresh("unknown directives", &[])
                .get(&control("no-cached, public, s-maxage=0, must-revalidate"), Cached(1)),
            fresh("what is immutable, too", &[]).get(&control("no-cache"), Origin(2)),
            fresh("never without it, whatever happens", &["Connection: close"])
                .origin_raw(Script::reset())
                .get(&control("no-cache"), Ours(502))
                .asking(1)
                .get(&[], Cached(1)),
        ],
    )
    .await;
}

#[tokio::test]
async fn rfc9111_5_2_1_5_no_store_of_a_request_keeps_its_answer_from_being_stored() {
    check([
        case("absent")
            .origin(200, &["Cache-Control: max-age=200"])
            .origin(200, &["Cache-Control: max-age=200"])
            .get(&control("no-store"), Origin(1))
            .get(&[], Origin(2))
            .get(&[], Cached(2)),
        fresh("what is stored already may be sent", &[]).get(&control("no-store"), Cached(1)),
        stale("what is stale is not, and the answer is not stored, either", "")
            .origin(200, &["Cache-Control: max-age=200"])
            .get(&control("no-store"), Origin(2))
            .get(&[], Origin(3)),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_5_2_1_7_only_if_cached_never_asks_the_origin() {
    check([
        case("absent").get(&control("only-if-cached"), Ours(504)).get(&[], Origin(1)),
        fresh("fresh", &[]).get(&control("only-if-cached"), Cached(1)),
        stale("stale", "").get(&control("only-if-cached"), Ours(504)),
        stale("stale, with a validator", "").get(&control("only-if-cached"), Ours(504)),
        stale("stale and taken", "").get(&control("only-if-cached, max-stale"), Cached(1)),
        stale("must-revalidate", ", must-revalidate").get(&control("only-if-cached, max-stale"), Ours(504)),
        fresh("too old", &[]).get(&control("only-if-cached, min-fresh=1000"), Ours(504)),
        case("HEAD").ask("HEAD", &control("only-if-cached"), Ours(504)),
        case("with no-store").get(&control("only-if-cached, no-store"), Ours(504)),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_5_4_pragma_counts_when_there_is_no_cache_control() {
    check_with(
        NO_FLOOR,
        [
            fresh("alone", &[]).get(&[("Pragma", "no-cache")], Origin(2)),
            fresh("any case", &[]).get(&[("Pragma", "No-Cache")], Origin(2)),
            fresh("in a list", &[]).get(&[("Pragma", "x, no-cache")], Origin(2)),
            fresh("another word", &[]).get(&[("Pragma", "cache")], Cached(1)),
            fresh("beside Cache-Control", &[])
                .get(&[("Pragma", "no-cache"), ("Cache-Control", "max-age=1000")], Cached(1)),
            fresh("before Cache-Control that says nothing", &[])
                .get(&[("Pragma", "no-cache"), ("Cache-Control", "x")], Cached(1)),
        ],
    )
    .await;
}

#[tokio::test]
async fn rfc9111_5_2_1_within_the_floor_reloads_do_not_reach_the_origin() {
    check_with(
        "[policy]\nreload-floor = \"1h\"\n",
        [
            fresh("no-cache", &["ETag: \"v1\""]).get(&control("no-cache"), Cached(1)),
            fresh("max-age=0", &["ETag: \"v1\""]).get(&control("max-age=0"), Cached(1)),
            fresh("Pragma", &["ETag: \"v1\""]).get(&[("Pragma", "no-cache")], Cached(1)),
            stale("what is stale is no matter of reloads", "").get(&control("no-cache"), Origin(2)),
            fresh("min-fresh is none, either", &[]).get(&control("min-fresh=1000"), Origin(2)),
            case("nor is no-cache of the answer")
                .origin(200, &["Cache-Control: no-cache", "ETag: \"v1\""])
                .get(&[], Origin(1))
                .get(&control("no-cache"), Origin(2)),
        ],
    )
    .await;
}
