//! Invalidation: what requests with unsafe methods make doubtful (RFC 9111 section 4.4).

use scenarios::{impatient, outcome, settled};
use testkit::client;
use testkit::node::Node;
use testkit::origin::{Origin as Server, Ranges, Script};

use super::case::{Cached, Case, Origin, case, check, check_with};

const FRESH: &str = "Cache-Control: max-age=600";

/// Something stored, and what `method` on it is answered.
fn after(name: impl Into<String>, method: &str, status: u16, fields: &[&str]) -> Case {
    case(name)
        .origin(200, &[FRESH])
        .origin(status, fields)
        .origin(200, &[FRESH])
        .get(&[], Origin(1))
        .get(&[], Cached(1))
        .ask(method, &[], Origin(2))
        .saw_method(method)
}

#[tokio::test]
async fn rfc9111_4_4_unsafe_and_unknown_methods_invalidate_their_target() {
    check(
        ["POST", "PUT", "DELETE", "PATCH", "PROPPATCH", "M-SEARCH", "BREW", "get"]
            .map(|method| after(method, method, 200, &[]).get(&[], Origin(3)).get(&[], Cached(3))),
    )
    .await;
}

#[tokio::test]
async fn rfc9111_4_4_safe_methods_invalidate_nothing() {
    check([after("OPTIONS", "OPTIONS", 200, &[]).get(&[], Cached(1))]).await;
}

#[tokio::test]
async fn rfc9111_4_4_every_2xx_and_3xx_invalidates_and_no_error_does() {
    let done = [200, 201, 202, 204, 205, 299, 301, 303, 307, 308].map(|status| {
        let body = after(status.to_string(), "POST", status, &[]);
        // RFC 9110 section 15.3.6: a 205 has no content.
        if status == 205 { body.body("") } else { body }.get(&[], Origin(3))
    });
    check(done).await;
    let refused = [400, 401, 403, 404, 409, 412, 422, 500, 502, 503]
        .map(|status| after(status.to_string(), "POST", status, &[]).get(&[], Cached(1)));
    check(refused).await;
}

#[tokio::test]
async fn rfc9111_4_4_what_was_invalidated_does_not_come_back_as_stale() {
    check([case("origin in trouble")
        .origin(200, &["Cache-Control: max-age=600, stale-if-error=600"])
        .origin(204, &[])
        .origin(503, &[])
        .get(&[], Origin(1))
        .ask("DELETE", &[], Origin(2))
        .get(&[], Origin(3))])
    .await;
}

#[tokio::test]
async fn rfc9111_4_4_all_variants_of_the_target_go_and_no_other_query() {
    check([
        case("variants")
            .origin(200, &[FRESH, "Vary: X-Kind"])
            .origin(200, &[FRESH, "Vary: X-Kind"])
            .origin(204, &[])
            .origin(200, &[FRESH, "Vary: X-Kind"])
            .origin(200, &[FRESH, "Vary: X-Kind"])
            .get(&[("X-Kind", "1")], Origin(1))
            .get(&[("X-Kind", "2")], Origin(2))
            .get(&[("X-Kind", "1")], Cached(1))
            .ask("POST", &[("X-Kind", "3")], Origin(3))
            .get(&[("X-Kind", "1")], Origin(4))
            .get(&[("X-Kind", "2")], Origin(5)),
        case("query")
            .origin(200, &[FRESH])
            .origin(200, &[FRESH])
            .origin(204, &[])
            .origin(200, &[FRESH])
            .get(&[], Origin(1))
            .at("?a=1")
            .get(&[], Origin(2))
            .at("?a=2")
            .ask("POST", &[], Origin(3))
            .at("?a=1")
            .get(&[], Cached(2))
            .at("?a=2")
            .get(&[], Origin(4))
            .at("?a=1"),
    ])
    .await;
}

/// Another object of the site, and a request for the first one whose answer names it.
fn naming(field: &str, status: u16) -> Case {
    case(format!("{status} {field}"))
        .origin(status, &[field])
        .origin_at("other", 200, &[FRESH])
        .origin_at("other", 200, &[FRESH])
        .get(&[], Origin(1))
        .at("other")
        .ask("POST", &[], Origin(1))
}

#[tokio::test]
async fn rfc9111_4_4_location_and_content_location_of_the_same_origin_are_invalidated() {
    let forms = ["other", "{path}other", "{origin}{path}other", "{origin}{path}other#part", "./x/../other"];
    let rows = forms.iter().flat_map(|form| {
        [naming(&format!("Location: {form}"), 201), naming(&format!("Content-Location: {form}"), 200)]
    });
    check(rows.map(|row| row.get(&[], Origin(2)).at("other").get(&[], Cached(2)).at("other"))).await;
}

#[tokio::test]
async fn rfc9111_4_4_nothing_of_another_origin_and_nothing_an_error_names_is_invalidated() {
    let rows = [
        naming("Location: http://127.0.0.1:1{path}other", 201),
        naming("Location: https://elsewhere.example{path}other", 201),
        naming("Content-Location: //elsewhere.example{path}other", 200),
        naming("Location: {path}other?", 201),
        naming("Location: {path}other", 409),
        naming("Content-Location: {path}other", 500),
    ];
    check(rows.map(|row| row.get(&[], Cached(1)).at("other"))).await;
}

// A site that passes the client's `Host` on has the origins' objects by host, and what is named is one of the same host.
#[tokio::test]
async fn rfc9111_4_4_what_a_kept_host_names_is_invalidated() {
    check_with(
        "host = \"keep\"\n",
        [
            naming("Location: other", 201).get(&[], Origin(2)).at("other"),
            naming("Content-Location: {path}other", 200).get(&[], Origin(2)).at("other"),
        ],
    )
    .await;
}

#[tokio::test]
async fn rfc9111_4_4_an_unsafe_request_at_one_door_counts_for_all() {
    let origin = Server::start().await;
    origin.route_with("/a", |request, before| match request.method.as_str() {
        "GET" => Script::answer(&format!("200 OK\r\n{FRESH}"), format!("answer {before}")),
        _ => Script::answer("200 OK", "done"),
    });
    let toml = format!("[[site]]\nname = \"rfc\"\norigin = \"{}\"\n", origin.url("/"));
    let node = impatient().config(&toml).start().await;
    let host = origin.address().to_string();
    let proxied = async |node: &Node, method: &str| {
        let url = origin.url("/a");
        let request = format!(
            "{method} {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        client::raw(node.address(), request).await.expect(200)
    };
    node.get("/r/rfc/a").await.expect_body(200, "answer 0");
    settled(&node).await;
    assert_eq!(outcome(&node.fetch(&origin.url("/a")).await.expect_body(200, "answer 0")), "HIT");
    proxied(&node, "POST").await;
    node.get("/r/rfc/a").await.expect_body(200, "answer 2");
    settled(&node).await;
    node.request("DELETE", "/r/rfc/a", &[]).await.expect_body(200, "done");
    node.fetch(&origin.url("/a")).await.expect_body(200, "answer 4");
}

// What is stored in pieces is stored as well.
#[tokio::test]
async fn rfc9111_4_4_pieces_are_invalidated() {
    let origin = Server::start().await;
    let (old, new) = (testkit::content::content(1, 300_000), testkit::content::content(2, 300_000));
    let object = |bytes: &[u8]| Script::object(bytes.to_vec()).header("Cache-Control", "max-age=600");
    origin.route("/a", object(&old));
    let toml = format!(
        "[[site]]\nname = \"rfc\"\norigin = \"{}\"\n[[rule]]\nrange-fill = \"pieces\"\n",
        origin.url("/")
    );
    let node = impatient().args(["--fill-piece", "64KiB"]).config(&toml).start().await;
    let range = [("Range", "bytes=0-9")];
    node.request("GET", "/r/rfc/a", &range).await.expect_body(206, &old[..10]);
    settled(&node).await;
    origin.route("/a", object(&new).ranges(Ranges::Ignored));
    node.request("PUT", "/r/rfc/a", &[]).await.expect(200);
    node.request("GET", "/r/rfc/a", &range).await.expect_body(206, &new[..10]);
}
