//! Validation: what the origin is asked, what clients' conditions get, what a 304 changes, and HEAD beside GET.

use super::case::{Cached, Case, Origin, case, check, from_now};

const TAG: &str = "ETag: \"a\"";
const MODIFIED: &str = "Last-Modified: Tue, 06 Jan 2026 10:00:00 GMT";
const DAY: &str = "Tue, 06 Jan 2026 10:00:00 GMT";
const FRESH: &str = "Cache-Control: max-age=600";
const SHORT: &str = "Cache-Control: max-age=50";
const OLD: &str = "Age: 100";

/// Something stale that can be validated.
fn stale(name: &str, validators: &[&str]) -> Case {
    case(name).origin(200, &[&[SHORT, OLD][..], validators].concat())
}

#[tokio::test]
async fn rfc9111_4_3_1_all_validators_are_sent() {
    check([
        stale("both", &[TAG, MODIFIED])
            .origin(304, &[TAG])
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .asking(1)
            .saw("If-None-Match", "\"a\"")
            .saw("If-Modified-Since", DAY),
        stale("a weak tag", &["ETag: W/\"a\""])
            .origin(304, &["ETag: W/\"a\""])
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .asking(1)
            .saw("If-None-Match", "W/\"a\"")
            .saw_no("If-Modified-Since"),
        stale("a date", &[MODIFIED])
            .origin(304, &[])
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .asking(1)
            .saw_no("If-None-Match")
            .saw("If-Modified-Since", DAY),
        stale("none", &[])
            .get(&[], Origin(1))
            .get(&[], Origin(2))
            .saw_no("If-None-Match")
            .saw_no("If-Modified-Since"),
        // What a client has is its own business: everybody shares what comes of the question.
        stale("a client's own", &[TAG, MODIFIED])
            .origin(304, &[FRESH, TAG])
            .get(&[], Origin(1))
            .get(&[("If-None-Match", "\"mine\""), ("If-Modified-Since", &from_now(0))], Cached(1))
            .asking(1)
            .saw("If-None-Match", "\"a\"")
            .saw("If-Modified-Since", DAY)
            .get(&[("If-None-Match", "\"a\"")], Cached(1))
            .status(304),
        stale("no-cache", &[TAG])
            .origin(304, &[TAG])
            .get(&[], Origin(1))
            .get(&[("Cache-Control", "no-cache"), ("If-None-Match", "\"a\"")], Cached(1))
            .status(304)
            .asking(1)
            .saw("If-None-Match", "\"a\""),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_4_3_3_every_answer_but_304_stands_in_place_of_the_stored_one() {
    check([
        stale("another version", &[TAG])
            .origin(200, &[FRESH, "ETag: \"b\""])
            .get(&[], Origin(1))
            .get(&[], Origin(2))
            .saw("If-None-Match", "\"a\"")
            .has("ETag", "\"b\"")
            .get(&[], Cached(2)),
        stale("gone", &[TAG])
            .origin(410, &[FRESH])
            .get(&[], Origin(1))
            .get(&[], Origin(2))
            .get(&[], Cached(2)),
        stale("an error that must be told", &["Cache-Control: must-revalidate", TAG])
            .origin(500, &[])
            .get(&[], Origin(1))
            .get(&[], Origin(2)),
        // RFC 9111 section 4.3.4: it is about something else.
        stale("304 for another tag", &[TAG])
            .origin(304, &["ETag: \"b\""])
            .origin(200, &[FRESH, "ETag: \"b\""])
            .get(&[], Origin(1))
            .get(&[], Origin(3))
            .asking(2)
            .saw_no("If-None-Match")
            .get(&[], Cached(3)),
        case("304 that nobody asked for").origin(304, &[FRESH, TAG]).get(&[], Origin(1)).get(&[], Origin(2)),
    ])
    .await;
}

/// A fresh object asked for under conditions, twice: when nothing is stored, and from the store.
fn conditional(validators: &[&str], conditions: &[(&str, &str)], status: u16) -> Case {
    case(format!("{conditions:?} of {validators:?}"))
        .origin(200, &[&[FRESH][..], validators].concat())
        .get(conditions, Origin(1))
        .status(status)
        .saw_no("If-None-Match")
        .saw_no("If-Modified-Since")
        .get(conditions, Cached(1))
        .status(status)
        .get(&[], Cached(1))
        .ask("HEAD", conditions, Cached(1))
        .status(status)
}

#[tokio::test]
async fn rfc9110_13_1_2_if_none_match_compares_weakly_and_knows_lists() {
    let tags = |value, status| conditional(&[TAG, MODIFIED], &[("If-None-Match", value)], status);
    check([
        tags("\"a\"", 304),
        tags("W/\"a\"", 304),
        tags("\"b\", W/\"a\" ,\"c\"", 304),
        tags("\"with, comma\",\"a\"", 304),
        tags(", ,\"a\"", 304),
        tags("*", 304),
        tags("\"b\"", 200),
        tags("\"A\"", 200),
        tags("a", 200),
        tags("\"b, \"", 200),
        conditional(&["ETag: W/\"a\""], &[("If-None-Match", "\"a\"")], 304),
        conditional(&["ETag: W/\"a\""], &[("If-None-Match", "W/\"a\"")], 304),
        conditional(&[TAG], &[("If-None-Match", "\"b\""), ("If-None-Match", "\"a\"")], 304),
        conditional(&[MODIFIED], &[("If-None-Match", "\"a\"")], 200),
        conditional(&[], &[("If-None-Match", "*")], 304),
    ])
    .await;
}

#[tokio::test]
async fn rfc9110_13_2_2_if_none_match_goes_before_if_modified_since() {
    let both = |tag, date: &str, status| {
        let conditions = [("If-None-Match", tag), ("If-Modified-Since", date)];
        conditional(&[TAG, MODIFIED], &conditions, status)
    };
    check([
        both("\"b\"", DAY, 200),
        both("\"b\"", &from_now(0), 200),
        both("\"a\"", "Mon, 05 Jan 2026 10:00:00 GMT", 304),
        both("\"a\"", "no date", 304),
        conditional(&[MODIFIED], &[("If-None-Match", "\"b\""), ("If-Modified-Since", DAY)], 200),
    ])
    .await;
}

#[tokio::test]
async fn rfc9110_13_1_3_if_modified_since_takes_every_form_of_date() {
    let since = |value: &str, status| conditional(&[MODIFIED], &[("If-Modified-Since", value)], status);
    check([
        since(DAY, 304),
        since("Tue, 06 Jan 2026 10:00:01 GMT", 304),
        since("Tuesday, 06-Jan-26 10:00:00 GMT", 304),
        since("Tue Jan  6 10:00:00 2026", 304),
        since("Tue, 06 Jan 2026 09:59:59 GMT", 200),
        since("2026-01-06T10:00:00Z", 200),
        since("", 200),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_4_3_2_if_modified_since_is_compared_with_date_where_nothing_says_when_it_changed() {
    let (then, earlier, later) = (from_now(-300), from_now(-301), from_now(-299));
    let dated = format!("Date: {then}");
    let since = |value: &str, status| conditional(&[&dated, TAG], &[("If-Modified-Since", value)], status);
    check([
        since(&then, 304),
        since(&later, 304),
        since(&earlier, 200),
        // Without a `Date` the time when it came.
        conditional(&[TAG], &[("If-Modified-Since", &from_now(30))], 304),
        conditional(&[TAG], &[("If-Modified-Since", &from_now(-30))], 200),
    ])
    .await;
}

// RFC 9110 section 13.2.1: a condition is about what would be 2xx without it.
#[tokio::test]
async fn rfc9110_13_2_1_conditions_mean_nothing_to_errors_and_redirects() {
    let rows = [404, 410, 301, 500].map(|status| {
        let conditions = [("If-None-Match", "\"a\""), ("If-Modified-Since", DAY)];
        case(status.to_string())
            .origin(status, &[FRESH, TAG, MODIFIED])
            .get(&conditions, Origin(1))
            .get(&conditions, Cached(1))
    });
    check(rows).await;
}

#[tokio::test]
async fn rfc9110_15_4_5_a_304_has_the_fields_that_say_what_it_is_about() {
    let (date, expires) = (from_now(-5), from_now(595));
    let dates = [format!("Date: {date}"), format!("Expires: {expires}")];
    let fields = [FRESH, TAG, "Content-Location: /x", "Vary: Accept", "Content-Type: text/css", "X-A: 1"];
    let lines = [&fields[..], &[&dates[0], &dates[1]]].concat();
    let not_modified = |case: Case| {
        case.status(304)
            .has("Cache-Control", "max-age=600")
            .has("ETag", "\"a\"")
            .has("Content-Location", "/x")
            .has("Vary", "Accept")
            .has("Date", &date)
            .has("Expires", &expires)
            .lacks("Content-Length")
            .lacks("Content-Range")
    };
    let condition = [("If-None-Match", "\"a\"")];
    let mut row = case("GET and HEAD").origin(200, &lines).get(&[], Origin(1));
    row = not_modified(row.get(&condition, Cached(1)));
    check([not_modified(row.ask("HEAD", &condition, Cached(1)))]).await;
}

#[tokio::test]
async fn rfc9111_3_2_a_304_updates_every_stored_field_but_length_and_those_of_the_connection() {
    let stored = ["Content-Type: text/plain", "X-A: 1", "X-A: 2", "X-B: 1", "Set-Cookie: a=1", TAG];
    let now = from_now(-1);
    let said = [
        FRESH,
        TAG,
        "Content-Type: text/css",
        "X-A: 3",
        "X-New: 1",
        "X-New: 2",
        "Set-Cookie: b=2",
        "Content-Length: 99",
        "Connection: X-Hop",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Authenticate: Basic",
    ];
    let updated = |case: Case| {
        case.has("X-A", "3")
            .has("X-B", "1")
            .has("X-New", "1, 2")
            .has("Set-Cookie", "b=2")
            .has("Content-Type", "text/css")
            .has("Cache-Control", "max-age=600")
            .has("Date", &now)
            .has("Content-Length", "8")
            .lacks("X-Hop")
            .lacks("Keep-Alive")
            .lacks("Proxy-Authenticate")
    };
    let mut row = stale("fields", &stored)
        .origin(304, &[&said[..], &[&format!("Date: {now}")]].concat())
        .get(&[], Origin(1));
    row = updated(row.get(&[], Cached(1)).asking(1));
    row = updated(row.get(&[], Cached(1)));
    check([row]).await;
}

#[tokio::test]
async fn rfc9111_4_3_4_a_304_begins_a_new_life() {
    check([
        stale("fresh again", &[TAG])
            .origin(304, &[FRESH])
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .asking(1)
            .get(&[], Cached(1)),
        stale("old when it came", &[TAG])
            .origin(304, &[FRESH, "Age: 1000"])
            .origin(304, &[FRESH])
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .asking(1)
            .get(&[], Cached(1))
            .asking(1)
            .get(&[], Cached(1)),
        stale("without another word", &[TAG])
            .origin(304, &[])
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .asking(1)
            .get(&[], Cached(1)),
        stale("not to be kept any more", &[TAG])
            .origin(304, &["Cache-Control: no-store"])
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .asking(1)
            .get(&[], Origin(3))
            .saw_no("If-None-Match"),
        // Only the variant that was asked about.
        case("one variant")
            .origin(200, &[SHORT, OLD, TAG, "Vary: X-Kind", "X-Of: 1"])
            .origin(200, &[SHORT, OLD, "ETag: \"b\"", "Vary: X-Kind", "X-Of: 2"])
            .origin(304, &[FRESH, TAG, "Vary: X-Kind", "X-Of: 3"])
            .origin(304, &[FRESH, "ETag: \"b\"", "Vary: X-Kind"])
            .get(&[("X-Kind", "1")], Origin(1))
            .get(&[("X-Kind", "2")], Origin(2))
            .get(&[("X-Kind", "1")], Cached(1))
            .asking(1)
            .saw("If-None-Match", "\"a\"")
            .has("X-Of", "3")
            .get(&[("X-Kind", "2")], Cached(2))
            .asking(1)
            .saw("If-None-Match", "\"b\"")
            .has("X-Of", "2"),
    ])
    .await;
}

#[tokio::test]
async fn rfc9110_9_3_2_head_is_answered_from_a_stored_get() {
    check([
        case("fresh")
            .origin(200, &[FRESH, TAG, "Content-Type: text/css"])
            .get(&[], Origin(1))
            .ask("HEAD", &[], Cached(1))
            .has("Content-Length", "8")
            .has("Content-Type", "text/css")
            .has("ETag", "\"a\""),
        // RFC 9110 section 14.2: a range means something to GET alone.
        case("range")
            .origin(200, &[FRESH, TAG])
            .get(&[], Origin(1))
            .ask("HEAD", &[("Range", "bytes=0-0")], Cached(1))
            .has("Content-Length", "8")
            .lacks("Content-Range"),
        case("an error").origin(404, &[FRESH]).get(&[], Origin(1)).ask("HEAD", &[], Cached(1)),
        case("nothing stored")
            .origin(200, &[FRESH, TAG])
            .ask("HEAD", &[("If-None-Match", "\"b\"")], Origin(1))
            .saw_method("HEAD")
            .has("Content-Length", "8")
            .get(&[], Origin(2)),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_4_3_5_the_answer_to_a_head_updates_the_stored_get() {
    check([
        stale("the same", &[TAG, "X-A: 1"])
            .origin(200, &[FRESH, TAG, "X-A: 2", "Connection: X-Hop", "X-Hop: 1"])
            .get(&[], Origin(1))
            .ask("HEAD", &[], Origin(2))
            .saw_method("HEAD")
            .has("X-A", "2")
            .lacks("X-Hop")
            .get(&[], Cached(1))
            .has("X-A", "2")
            .has("Cache-Control", "max-age=600")
            .lacks("X-Hop"),
        stale("the same date", &[MODIFIED])
            .origin(200, &[FRESH, MODIFIED])
            .get(&[], Origin(1))
            .ask("HEAD", &[], Origin(2))
            .get(&[], Cached(1)),
        stale("no answer about it", &[TAG])
            .origin(503, &[])
            .origin(304, &[FRESH])
            .get(&[], Origin(1))
            .ask("HEAD", &[("Cache-Control", "no-cache")], Origin(2))
            .get(&[], Cached(1))
            .asking(1)
            .saw("If-None-Match", "\"a\""),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_4_3_5_the_answer_to_a_head_shows_that_the_stored_get_has_changed() {
    let row = |name, stored: &str, said: &[&str], body| {
        stale(name, &[stored])
            .origin_with(200, &[&[FRESH][..], said].concat(), body)
            .origin(200, &[FRESH])
            .get(&[], Origin(1))
            .ask("HEAD", &[], Origin(2))
            .saw_method("HEAD")
            .get(&[], Origin(3))
            .saw_no("If-None-Match")
            .saw_no("If-Modified-Since")
            .get(&[], Cached(3))
    };
    check([
        row("another tag", TAG, &["ETag: \"b\""], "answer 2"),
        row("no tag any more", TAG, &[], "answer 2"),
        row("another length", TAG, &[TAG], "longer than it was"),
        row("another date", MODIFIED, &["Last-Modified: Wed, 07 Jan 2026 10:00:00 GMT"], "answer 2"),
    ])
    .await;
}

// What one client says of itself may change the answer to its HEAD; others must neither get that, nor lose what is stored.
#[tokio::test]
async fn rfc9111_4_3_5_a_head_of_one_client_does_no_harm_to_others() {
    let row = |name: &str, field: (&str, &str)| {
        stale(name, &[TAG, "X-A: 1"])
            .origin(200, &[FRESH, TAG, "X-A: 2"])
            .origin(304, &[FRESH, TAG])
            .get(&[], Origin(1))
            .ask("HEAD", &[field], Origin(2))
            .get(&[], Cached(1))
            .asking(1)
            .saw("If-None-Match", "\"a\"")
            .has("X-A", "1")
    };
    check([
        row("authorization", ("Authorization", "Basic YW5uOnNlY3JldA==")),
        row("no-store", ("Cache-Control", "no-store")),
    ])
    .await;
}

// Nobody can tell from the stored answer that this field made it.
#[tokio::test]
async fn rfc9111_4_3_5_fields_that_are_no_part_of_the_key_do_not_change_what_is_stored() {
    check(["X-Host", "X-Original-URL", "X-Forwarded-Scheme"].map(|name| {
        stale(name, &[TAG])
            .origin(200, &[FRESH, TAG])
            .get(&[], Origin(1))
            .ask("HEAD", &[(name, "evil.example")], Origin(2))
            .saw_no(name)
    }))
    .await;
}
