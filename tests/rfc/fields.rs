//! Fields on their way: what passes, what stays, in which order (RFC 9110 sections 5.3, 6.6.1 and 7.6, RFC 9111 section 3.1).

use scenarios::{impatient, settled};
use testkit::client::Response;
use testkit::node::Node;
use testkit::origin::{Origin as Server, Script};

use super::case::{Cached, Case, Origin, case, check, from_now};

const FRESH: &str = "Cache-Control: max-age=600";

/// An answer that is not stored, one that is, and that from the store: the same must be true of all of them.
fn thrice(name: &str, fields: &[&str], expected: impl Fn(Case) -> Case) -> Vec<Case> {
    let passed = case(format!("{name}, passed"))
        .origin(200, &[&["Cache-Control: no-store"][..], fields].concat())
        .get(&[], Origin(1));
    let posted = case(format!("{name}, posted")).origin(200, fields).ask("POST", &[], Origin(1));
    let mut stored = case(name).origin(200, &[&[FRESH][..], fields].concat()).get(&[], Origin(1));
    stored = expected(stored).get(&[], Cached(1));
    stored = expected(stored).ask("HEAD", &[], Cached(1));
    vec![expected(passed), expected(posted), expected(stored)]
}

#[tokio::test]
async fn rfc9110_5_3_repeated_fields_stay_and_keep_their_order() {
    let fields = [
        "X-A: 1",
        "Link: </1>; rel=a",
        "Set-Cookie: a=1, b",
        "X-A: 3, 2",
        "WWW-Authenticate: Basic realm=\"a, b\"",
        "Link: </2>; rel=\"b, c\"",
        "Set-Cookie: c=2",
        "x-a: 1",
        "WWW-Authenticate: Bearer",
        "X-Empty:",
        "Warning: 299 - \"old\"",
        "X-Obs: \u{e9}",
    ];
    check(thrice("repeated", &fields, |case| {
        case.has("X-A", "1, 3, 2, 1")
            .has("Link", "</1>; rel=a, </2>; rel=\"b, c\"")
            .has("Set-Cookie", "a=1, b, c=2")
            .has("WWW-Authenticate", "Basic realm=\"a, b\", Bearer")
            .has("X-Empty", "")
            .has("X-Obs", "\u{e9}")
    }))
    .await;
}

#[tokio::test]
async fn rfc9110_7_6_1_fields_of_the_origins_connection_reach_no_client() {
    let hop = [
        "Connection: X-Hop, keep-alive",
        "Connection: x-other",
        "X-Hop: 1",
        "X-Other: 1",
        "X-Stays: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Authenticate: Basic",
        "Proxy-Authentication-Info: a",
        "Proxy-Connection: keep-alive",
        "TE: trailers",
        "Trailer: X-T",
        "Upgrade: h2c",
    ];
    check(thrice("hop-by-hop", &hop, |row| {
        let gone = [
            "X-Hop",
            "X-Other",
            "Keep-Alive",
            "Proxy-Authenticate",
            "Proxy-Authentication-Info",
            "Proxy-Connection",
            "TE",
            "Trailer",
            "Upgrade",
            "Connection",
        ];
        gone.iter().fold(row.has("X-Stays", "1"), |row, name| row.lacks(name))
    }))
    .await;
}

#[tokio::test]
async fn rfc9110_7_6_1_fields_of_the_clients_connection_reach_no_origin() {
    let fields = [
        ("Connection", "X-Hop, keep-alive"),
        ("Connection", "x-other"),
        ("X-Hop", "1"),
        ("X-Other", "1"),
        ("X-Stays", "1"),
        ("X-Stays", "2"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authorization", "Basic YTpi"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Trailer", "X-T"),
        ("Upgrade", "websocket"),
    ];
    let gone = [
        "X-Hop",
        "X-Other",
        "Keep-Alive",
        "Proxy-Authorization",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Upgrade",
    ];
    check(["GET", "HEAD", "POST", "PUT", "OPTIONS"].map(|method| {
        let row = case(method).origin(200, &[FRESH]).ask(method, &fields, Origin(1)).saw("X-Stays", "1, 2");
        gone.iter().fold(row, |row, name| row.saw_no(name))
    }))
    .await;
}

// To name an end-to-end field in `Connection` takes it away from the origin; it must not leave the cache in doubt about the
// key.
#[tokio::test]
async fn rfc9110_7_6_1_a_named_field_is_as_if_it_had_not_come() {
    check([
        case("selecting")
            .origin(200, &[FRESH, "Vary: X-Kind"])
            .origin(200, &[FRESH, "Vary: X-Kind"])
            .get(&[("X-Kind", "1"), ("Connection", "X-Kind")], Origin(1))
            .saw_no("X-Kind")
            .get(&[("X-Kind", "1")], Origin(2))
            .saw("X-Kind", "1")
            .get(&[], Cached(1))
            .get(&[("X-Kind", "2"), ("Connection", "close, X-Kind")], Cached(1)),
        case("conditions")
            .origin(200, &[FRESH, "ETag: \"a\""])
            .get(&[], Origin(1))
            .get(&[("If-None-Match", "\"a\""), ("Connection", "If-None-Match")], Cached(1)),
    ])
    .await;
}

#[tokio::test]
async fn rfc9110_6_6_1_date_is_the_origins() {
    let date = from_now(-300);
    check(thrice("minutes ago", &[&format!("Date: {date}")], |case| case.has("Date", &date))).await;
}

#[tokio::test]
async fn rfc9110_6_6_1_without_a_date_the_time_of_reception_is_told() {
    let (origin, node) = with_site().await;
    let sent = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 3\r\n\r\nabc";
    origin.route("/a", Script::raw(sent));
    let first = node.get("/r/rfc/a").await.expect_body(200, "abc");
    settled(&node).await;
    let again = node.get("/r/rfc/a").await.expect_body(200, "abc");
    assert!(first.header("date").is_some_and(|date| date.ends_with(" GMT")), "{first:?}");
    assert_eq!(again.header("date"), first.header("date"));
}

async fn with_site() -> (Server, Node) {
    let origin = Server::start().await;
    let toml =
        format!("[server]\nname = \"node\"\n[[site]]\nname = \"rfc\"\norigin = \"{}\"\n", origin.url("/"));
    let node = impatient().config(&toml).start().await;
    (origin, node)
}

fn lines<'a>(answer: &'a Response, name: &str) -> Vec<&'a str> {
    let lines = answer.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    lines.map(|(_, value)| value.as_str()).collect()
}

// RFC 9211 section 2: each cache adds its own member behind those of the caches before it.
#[tokio::test]
async fn rfc9110_7_6_3_via_and_cache_status_grow_at_their_end() {
    let (origin, node) = with_site().await;
    let head = "200 OK\r\nCache-Control: max-age=600\r\nVia: 1.0 inner\r\nCache-Status: Inner; hit";
    origin.route("/a", Script::answer(head, "abc"));
    for _ in 0..2 {
        let fields = [("Via", "1.0 first, 2 second"), ("Via", "1.1 third")];
        let answer = node.request("GET", "/r/rfc/a", &fields).await.expect_body(200, "abc");
        settled(&node).await;
        assert_eq!(lines(&answer, "via").join(", "), "1.0 inner, 1.1 node");
        let status = lines(&answer, "cache-status");
        assert!(status[0] == "Inner; hit" && status[1].starts_with("node; "), "{status:?}");
        let seen = origin.requests_for("/a").remove(0);
        let via: Vec<_> = seen.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("via")).collect();
        let via: Vec<_> = via.into_iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(via.join(", "), "1.0 first, 2 second, 1.1 third, 1.1 node");
    }
    assert_eq!(origin.requests_for("/a").len(), 1);
}

// RFC 9110 section 6.5.1: fields behind the content are no fields of its head.
#[tokio::test]
async fn rfc9110_6_5_1_trailers_do_not_become_fields() {
    let (origin, node) = with_site().await;
    let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n\
                  3\r\nabc\r\n0\r\nX-T: 1\r\nSet-Cookie: a=1\r\nCache-Control: no-store\r\n\r\n";
    origin.route("/a", Script::raw(answer));
    for _ in 0..2 {
        let answer = node.get("/r/rfc/a").await.expect_body(200, "abc");
        settled(&node).await;
        assert_eq!(
            (answer.header("x-t"), answer.header("set-cookie"), answer.header("trailer")),
            (None, None, None)
        );
    }
    assert_eq!(origin.requests_for("/a").len(), 1);
}
