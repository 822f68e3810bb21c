//! POST whose answer a later GET may get (RFC 9110 section 9.3.3).

use super::case::{Cached, Case, Origin, case, check};

const FRESH: &str = "Cache-Control: max-age=600";
const OWN: &str = "Content-Location: {path}";

/// A POST that is answered so.
fn post(name: &str, status: u16, fields: &[&str]) -> Case {
    case(name)
        .origin(status, fields)
        .origin(200, &[FRESH])
        .ask("POST", &[], Origin(1))
        .content("question")
        .saw_method("POST")
}

#[tokio::test]
async fn rfc9110_9_3_3_a_post_answers_later_gets_when_it_says_so() {
    let rows = [
        post("relative", 200, &[FRESH, OWN]),
        post("absolute", 200, &[FRESH, "Content-Location: {origin}{path}"]),
        post("Expires", 200, &[&format!("Expires: {}", super::case::from_now(600)), OWN]),
        post("s-maxage", 200, &["Cache-Control: s-maxage=600", OWN]),
        post("201", 201, &[FRESH, OWN]),
    ];
    check(rows.map(|row| {
        row.get(&[], Cached(1))
            .has("Content-Length", "8")
            .ask("HEAD", &[], Cached(1))
            // Never another POST.
            .ask("POST", &[], Origin(2))
            .content("question")
            .get(&[], Origin(3))
    }))
    .await;
}

#[tokio::test]
async fn rfc9110_9_3_3_a_post_answers_no_get_otherwise() {
    let rows = [
        post("no Content-Location", 200, &[FRESH]),
        post("another place", 200, &[FRESH, "Content-Location: {path}other"]),
        post("another query", 200, &[FRESH, "Content-Location: {path}?q"]),
        post("another origin", 200, &[FRESH, "Content-Location: http://elsewhere.example{path}"]),
        post("two of them", 200, &[FRESH, OWN, OWN]),
        post("no freshness", 200, &[OWN]),
        post("a guess", 200, &["Cache-Control: public", "Last-Modified: Tue, 06 Jan 2026 10:00:00 GMT", OWN]),
        post("no-store", 200, &["Cache-Control: no-store, max-age=600", OWN]),
        post("private", 200, &["Cache-Control: private, max-age=600", OWN]),
        post("an error", 404, &[FRESH, OWN]),
    ];
    check(rows.map(|row| row.get(&[], Origin(2)).saw_method("GET").get(&[], Cached(2)))).await;
}

#[tokio::test]
async fn rfc9110_9_3_3_other_methods_answer_no_get() {
    check(["PUT", "PATCH", "PROPFIND"].map(|method| {
        case(method).origin(200, &[FRESH, OWN]).ask(method, &[], Origin(1)).get(&[], Origin(2))
    }))
    .await;
}

#[tokio::test]
async fn rfc9110_9_3_3_the_answer_stands_in_place_of_what_was_stored() {
    check([
        case("the new one")
            .origin(200, &[FRESH])
            .origin(200, &[FRESH, OWN])
            .get(&[], Origin(1))
            .ask("POST", &[], Origin(2))
            .content("question")
            .get(&[], Cached(2)),
        // RFC 9111 section 3.5 holds for it as for any other.
        case("authorization")
            .origin(200, &[FRESH, OWN])
            .ask("POST", &[("Authorization", "Basic YW5uOnNlY3JldA==")], Origin(1))
            .content("question")
            .get(&[], Origin(2)),
        case("request no-store")
            .origin(200, &[FRESH, OWN])
            .ask("POST", &[("Cache-Control", "no-store")], Origin(1))
            .content("question")
            .get(&[], Origin(2)),
        // What one client says of itself is no part of the key.
        case("unkeyed")
            .origin(200, &[FRESH, OWN])
            .ask("POST", &[("X-Host", "evil.example"), ("X-Original-URL", "/other")], Origin(1))
            .content("question")
            .get(&[], Origin(2)),
    ])
    .await;
}
