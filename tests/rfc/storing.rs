//! Clause 1: which answers are stored, and how long they are fresh when the origin does not say (RFC 9111 sections 3 and
//! 4.2.2).

use crate::case::{Cached, Case, From, Origin, asked_again, case, check, check_with, from_now, reused};

/// Every final status that is registered, and some that nobody knows; without 204 and 205, which have no content, and
/// without 206 and 304.
const STATUSES: [u16; 67] = [
    200, 201, 202, 203, 207, 208, 226, 299, 300, 301, 302, 303, 305, 307, 308, 399, 400, 401, 402, 403, 404,
    405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 425, 426, 428,
    429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511, 599, 220, 250, 306, 309, 350,
    419, 450, 520, 550,
];

/// Those of RFC 9110 section 15.1 that stand for a whole answer of their own, but 204.
const HEURISTIC: [u16; 10] = [200, 203, 300, 301, 308, 404, 405, 410, 414, 501];

/// Two GETs with this status: from the store, or asked again.
fn twice(status: u16, fields: &[&str], second: From) -> Case {
    case(format!("{status} {fields:?}")).origin(status, fields).get(&[], Origin(1)).get(&[], second)
}

#[tokio::test]
async fn rfc9111_3_every_final_status_with_explicit_freshness_is_stored() {
    let empty = [204, 205].map(|status| {
        let fields = ["Cache-Control: max-age=60"];
        let case = case(status.to_string()).origin_with(status, &fields, "");
        case.get(&[], Origin(1)).get(&[], Cached(1))
    });
    let rows = STATUSES.map(|status| twice(status, &["Cache-Control: max-age=60"], Cached(1)));
    check(rows.into_iter().chain(empty)).await;
}

#[tokio::test]
async fn rfc9111_3_a_lifetime_in_any_form_is_explicit_freshness() {
    let (later, past) = (format!("Expires: {}", from_now(1000)), format!("Expires: {}", from_now(-1000)));
    check([
        reused("s-maxage", &["Cache-Control: s-maxage=60"]),
        reused("Expires", &[&later]),
        twice(418, &[&later], Cached(1)),
        twice(503, &["Cache-Control: s-maxage=60"], Cached(1)),
        asked_again("nothing", &[]),
        asked_again("Date alone", &[&format!("Date: {}", from_now(0))]),
        asked_again("public alone", &["Cache-Control: public"]),
        asked_again("must-revalidate alone", &["Cache-Control: must-revalidate"]),
        asked_again("Expires in the past", &[&past]),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_3_neither_206_nor_304_is_stored_as_a_whole() {
    let part = ["Cache-Control: max-age=60", "Content-Range: bytes 0-7/8", "ETag: \"v1\""];
    let partial = ["Cache-Control: max-age=60", "Content-Range: bytes 0-7/100", "ETag: \"v1\""];
    check([
        // Nobody asked for a part: the whole is asked for again.
        case("206 of all, unasked").origin(206, &part).get(&[], Origin(2)).asking(2).get(&[], Origin(3)),
        case("206 of a part, unasked")
            .origin(206, &partial)
            .get(&[], Origin(2))
            .asking(2)
            .get(&[], Origin(3)),
        case("304, unasked")
            .origin(304, &["Cache-Control: max-age=60", "ETag: \"v1\""])
            .get(&[], Origin(1))
            .get(&[], Origin(2))
            .saw_no("if-none-match"),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_3_answers_to_other_methods_answer_no_get() {
    let fields = ["Cache-Control: max-age=60", "ETag: \"v1\""];
    let methods = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "QUERY", "TRACEROUTE"];
    check(methods.map(|method| {
        let case = case(method).origin(200, &fields).origin(200, &fields).ask(method, &[], Origin(1));
        case.saw_method(method).get(&[], Origin(2)).saw_no("if-none-match").get(&[], Cached(2))
    }))
    .await;
}

#[tokio::test]
async fn rfc9110_9_2_3_a_method_that_is_not_cacheable_never_gets_a_stored_answer() {
    check(["POST", "OPTIONS", "PROPFIND"].map(|method| {
        let case = case(method).origin(200, &["Cache-Control: max-age=60"]).get(&[], Origin(1));
        case.ask(method, &[], Origin(2)).ask(method, &[], Origin(3))
    }))
    .await;
}

#[tokio::test]
async fn rfc9111_4_2_2_a_lifetime_is_guessed_from_last_modified_for_statuses_of_rfc9110_15_1() {
    let old = format!("Last-Modified: {}", from_now(-100_000));
    let guessed = HEURISTIC.map(|status| twice(status, &[&old], Cached(1)));
    let empty = case("204").origin(204, &[&old]).get(&[], Origin(1)).get(&[], Cached(1));
    check(guessed.into_iter().chain([empty])).await;
}

#[tokio::test]
async fn rfc9111_4_2_2_for_other_statuses_a_lifetime_is_guessed_only_with_public() {
    let old = format!("Last-Modified: {}", from_now(-100_000));
    let others = || STATUSES.into_iter().filter(|status| !HEURISTIC.contains(status));
    let without = others().map(|status| {
        let case = case(format!("{status}")).origin(status, &[&old]).get(&[], Origin(1));
        // Nothing is stored that could be validated, either.
        case.get(&[], Origin(2)).saw_no("if-modified-since")
    });
    let with = others().map(|status| twice(status, &[&old, "Cache-Control: public"], Cached(1)));
    check(without.chain(with)).await;
}

#[tokio::test]
async fn rfc9111_4_2_2_the_guess_is_a_tenth_of_the_time_since_the_last_change_and_bounded() {
    let (date, changed) = (format!("Date: {}", from_now(0)), format!("Last-Modified: {}", from_now(-10_000)));
    let long_ago = format!("Last-Modified: {}", from_now(-100_000_000));
    let (ahead, past) =
        (format!("Last-Modified: {}", from_now(10_000)), format!("Expires: {}", from_now(-10)));
    check([
        reused("younger than a tenth", &[&date, &changed, "Age: 900"]),
        asked_again("older than a tenth", &[&date, &changed, "Age: 1100"]).saw_some("if-modified-since"),
        reused("younger than a day", &[&date, &long_ago, "Age: 80000"]),
        asked_again("older than a day", &[&date, &long_ago, "Age: 90000"]),
        asked_again("a change in the future", &[&date, &ahead]),
        asked_again("no date", &["Last-Modified: yesterday"]),
        asked_again("Expires in the past", &[&date, &changed, &past]),
        asked_again("Expires that is no date", &[&date, &changed, "Expires: 0"]),
        asked_again("max-age=0", &[&date, &changed, "Cache-Control: max-age=0"]),
        asked_again("no-store", &[&date, &changed, "Cache-Control: no-store"]).saw_no("if-modified-since"),
    ])
    .await;
    check_with(
        "[policy]\nheuristic-max = \"10min\"\n",
        [
            reused("younger than the bound", &[&date, &long_ago, "Age: 500"]),
            asked_again("older than the bound", &[&date, &long_ago, "Age: 700"]),
        ],
    )
    .await;
}

#[tokio::test]
async fn rfc9111_4_2_2_without_last_modified_nothing_is_guessed() {
    let tagged = HEURISTIC.map(|status| {
        let case = case(format!("{status} with ETag")).origin(status, &["ETag: \"v1\""]).get(&[], Origin(1));
        case.get(&[], Origin(2))
    });
    let bare = HEURISTIC.map(|status| twice(status, &[], Origin(2)));
    check(tagged.into_iter().chain(bare)).await;
}

#[tokio::test]
async fn rfc9111_4_3_1_a_validator_is_of_use_without_any_lifetime() {
    check([
        asked_again("ETag", &["ETag: \"v1\""]).saw("if-none-match", "\"v1\""),
        case("ETag confirmed")
            .origin(200, &["ETag: \"v1\""])
            .origin(304, &["ETag: \"v1\""])
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .asking(1)
            .saw("if-none-match", "\"v1\""),
        case("404 with ETag confirmed")
            .origin(404, &["ETag: \"v1\""])
            .origin(304, &["ETag: \"v1\""])
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .asking(1)
            .saw("if-none-match", "\"v1\""),
    ])
    .await;
}
