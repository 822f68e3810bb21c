//! What clients put on the wire: malformed, ambiguous, slow and oversized requests.

use testkit::client::{self, Client, Response};
use testkit::content::content;
use testkit::node::{Node, fetch_target};
use testkit::origin::{Origin, Script};

/// A request that must never be answered on this connection: somebody smuggled it.
const SMUGGLED: &str = "GET /api/v1/status/?smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// Sends a request and what may look like another one behind it. Whatever the server thinks of the first, it
/// answers at most that one and closes.
async fn answered_once(node: &Node, request: impl AsRef<[u8]>) -> Response {
    let mut client = node.client().await;
    client.send(request.as_ref()).await;
    client.send(SMUGGLED).await;
    let first = client.response("GET").await;
    let shown = String::from_utf8_lossy(request.as_ref()).into_owned();
    assert!(client.is_closed().await, "a second answer after {shown:?}, the first was {}", first.status);
    first
}

/// The same, and the answer must be 400.
async fn refused(node: &Node, request: impl AsRef<[u8]>) {
    let shown = String::from_utf8_lossy(request.as_ref()).into_owned();
    let answer = answered_once(node, request).await;
    assert_eq!(answer.status, 400, "{shown:?}");
}

// 1: Content-Length and Transfer-Encoding together.
#[tokio::test]
async fn two_framings_smuggle_nothing() {
    let node = Node::start().await;
    for fields in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Transfer-Encoding: identity, chunked\r\nContent-Length: 3",
    ] {
        let answer = answered_once(
            &node,
            format!("POST /api/v1/delete HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\n"),
        )
        .await;
        assert_eq!(answer.status / 100, 4, "{fields:?}");
    }
    for fields in [
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: gzip",
    ] {
        refused(&node, format!("POST /api/v1/delete HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\n")).await;
    }
    node.assert_alive().await;
}

// 2 and 3: two lengths, and lengths that are no numbers.
#[tokio::test]
async fn ambiguous_lengths_are_refused() {
    let node = Node::start().await;
    for fields in [
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 4",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: -1",
        "Content-Length: 99999999999999999999999",
        "Content-Length: 5 5",
        "Content-Length: ",
        "Content-Length: five",
    ] {
        refused(&node, format!("POST /api/v1/delete HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\nabcde")).await;
    }
    node.assert_alive().await;
}

// 4, 5, 6: chunk sizes that overflow, extensions and trailers that end in a bare LF.
#[tokio::test]
async fn malformed_chunks_end_the_connection() {
    let node = Node::start().await;
    for chunks in [
        "FFFFFFFFFFFFFFFFF\r\nabc",
        "00000000000000000000000000000003\r\nabc\r\n-1\r\n",
        "3;ext\nabc\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
        "3\r\nabcXX0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "0\r\nTrailer: x\n\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "g\r\n",
    ] {
        let text =
            format!("POST /api/v1/delete HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let answer = answered_once(&node, &text).await;
        assert_eq!(answer.status / 100, 4, "{chunks:?}");
    }
    node.assert_alive().await;
}

#[tokio::test]
async fn quoted_chunk_extensions_and_trailers_are_harmless() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/f", Script::object("abc"));
    let target = fetch_target(&origin.url("/f"), "");
    let text = format!(
        "GET {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         3;a=\"b;c\"\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n"
    );
    let mut client = node.client().await;
    client.send(text).await;
    let first = client.response("GET").await;
    assert!(first.status == 400 || first.text() == "abc", "{first:?}");
    // The body was either read to its end, or the connection is over: never taken for a request.
    client.start("GET", "/api/v1/health/", &[]).await;
    let next = client.response("GET").await;
    assert!(next.status == 0 || next.status == 200, "{next:?}");
    node.assert_alive().await;
}

// 7: folded lines, space before the colon, NUL, CR alone.
#[tokio::test]
async fn malformed_field_lines_are_refused() {
    let node = Node::start().await;
    for line in [
        "X-A : b",
        "X-A: b\r\n folded",
        "X-A: a\0b",
        "X-A: a\rb",
        "X A: b",
        ": b",
        "no colon",
        "X-\u{e9}: b",
        " X-A: b",
    ] {
        refused(&node, format!("GET /api/v1/health/ HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n")).await;
    }
    for request in [
        "GET  /api/v1/health/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /api/v1/health/ HTTP/3.7\r\nHost: a\r\n\r\n",
        "GET /api/v1/health/\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GE(T /api/v1/health/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
        "{\"json\": true}\r\n\r\n",
    ] {
        let answer = answered_once(&node, request).await;
        assert!(answer.status == 400 || answer.status == 0, "{request:?}: {}", answer.status);
    }
    node.assert_alive().await;
}

// 8: HTTP/1.0 with Transfer-Encoding.
#[tokio::test]
async fn chunked_http_1_0_is_not_trusted() {
    let node = Node::start().await;
    let text = "POST /api/v1/delete HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(answered_once(&node, text).await.status / 100, 4);
    node.assert_alive().await;
}

#[tokio::test]
async fn http_1_0_clients_get_a_body_that_ends_with_the_connection_or_a_length() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let bytes = content(1, 200_000);
    origin.route("/f", Script::object(bytes.clone()).framing(testkit::origin::Framing::Chunked));
    for _ in 0..2 {
        let mut client = node.client().await;
        client.send(format!("GET {} HTTP/1.0\r\n\r\n", fetch_target(&origin.url("/f"), ""))).await;
        let answer = client.response("GET").await;
        assert_eq!((answer.status, answer.header("transfer-encoding")), (200, None));
        assert!(answer.body == bytes);
        assert!(client.is_closed().await);
    }
}

// 9: a GET with a body on a hit, then a pipelined request.
#[tokio::test]
async fn the_body_of_a_get_is_never_taken_for_a_request() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/f", Script::object("abc"));
    let target = fetch_target(&origin.url("/f"), "");
    node.get(&target).await.expect_body(200, "abc");
    let body = SMUGGLED;
    let mut client = node.client().await;
    client
        .send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
        .await;
    client.start("GET", "/api/v1/health/", &[]).await;
    let first = client.response("GET").await;
    assert!(first.status == 400 || first.text() == "abc", "{first:?}");
    let next = client.response("GET").await;
    assert!(next.status == 0 || next.text().trim() == "ok", "the body was answered: {next:?}");
    assert!(!node.stderr().contains("smuggled"));
    node.assert_alive().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    for n in 0..8 {
        origin.route(&format!("/{n}"), Script::object(content(n, 70_000 * n as usize)));
    }
    let mut client = node.client().await;
    for round in 0..2 {
        for n in 0..8 {
            let method = if n == 3 { "HEAD" } else { "GET" };
            client.start(method, &fetch_target(&origin.url(&format!("/{n}")), ""), &[]).await;
        }
        for n in 0..8 {
            let answer = client.response(if n == 3 { "HEAD" } else { "GET" }).await;
            let body = if n == 3 { content(0, 0) } else { content(n, 70_000 * n as usize) };
            answer.expect_body(200, body);
        }
        assert_eq!(origin.requests().len(), 8, "round {round}");
    }
}

// 10: Upgrade answered as if nothing was asked.
#[tokio::test]
async fn an_upgrade_is_not_granted() {
    let node = Node::start().await;
    let mut client = node.client().await;
    let fields = [
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", "h2c, websocket"),
        ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
    ];
    client.request("GET", "/api/v1/health/", &fields).await.expect(200);
    client.request("GET", "/api/v1/health/", &[]).await.expect(200);
}

// 11: Expect: 100-continue, and the client never sends its body.
#[tokio::test]
async fn expect_continue_gets_its_final_answer() {
    let node = Node::start().await;
    let mut client = node.client().await;
    let fields = [("Expect", "100-continue"), ("Content-Length", "5")];
    client.start("GET", "/api/v1/health/", &fields).await;
    let answer = client.response("GET").await;
    assert!([200, 400].contains(&answer.status), "{answer:?}");
    client.start("POST", "/api/v1/delete", &fields).await;
    let answer = client.response("POST").await;
    assert!(answer.status == 0 || answer.status / 100 == 4, "{answer:?}");
    node.assert_alive().await;
}

// 12: a head that never ends, and a client that never reads.
#[tokio::test]
async fn a_slow_head_is_cut_off_and_disturbs_nobody() {
    let node = Node::builder().args(["--server-header-timeout", "300ms"]).start().await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut client = node.client().await;
        client.send("GET /api/v1/health/ HTTP/1.1\r\nX-Slow: ").await;
        slow.push(client);
    }
    node.assert_alive().await;
    for client in &mut slow {
        let answer = client.response("GET").await;
        assert!(answer.status == 0 || answer.status == 408, "{answer:?}");
    }
    node.assert_alive().await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_disconnected_and_holds_nobody_up() {
    let origin = Origin::start().await;
    let node = Node::builder().args(["--server-write-timeout", "500ms"]).start().await;
    let len = 32 << 20;
    origin.route("/f", Script::generated(2, len));
    let mut lazy = node.client().await;
    lazy.start("GET", &fetch_target(&origin.url("/f"), ""), &[]).await;
    let head = lazy.head("GET").await;
    // The fill does not wait for him, and neither do others.
    let other = node.fetch(&origin.url("/f")).await.expect(200);
    assert_eq!(other.body.len() as u64, len);
    node.logged(&["GET", "/f", "broken"]).await;
    let ending = lazy.body(&head, |_| {}).await;
    assert!(matches!(ending, client::Ending::Cut | client::Ending::Reset), "{ending:?}");
    node.assert_alive().await;
}

// 13: ten thousand fields, a field of a megabyte, a URL of many kilobytes.
#[tokio::test]
async fn oversized_heads_are_refused() {
    let node = Node::start().await;
    let many = "X-A: b\r\n".repeat(10_000);
    let big = format!("X-A: {}\r\n", "b".repeat(1 << 20));
    let url = "x".repeat(100_000);
    let cases = [
        (format!("GET /api/v1/health/ HTTP/1.1\r\nHost: a\r\n{many}\r\n"), vec![400, 431]),
        (format!("GET /api/v1/health/ HTTP/1.1\r\nHost: a\r\n{big}\r\n"), vec![400, 431]),
        (
            format!("GET /api/v1/fetch?url=http://127.0.0.1/{url} HTTP/1.1\r\nHost: a\r\n\r\n"),
            vec![400, 414, 431],
        ),
    ];
    for (request, statuses) in cases {
        let answer = client::raw(node.address(), request).await;
        // The rest of a huge request may still be on its way: then the answer can be lost to a reset.
        assert!(
            statuses.contains(&answer.status) || answer.is_broken(),
            "{} {:?}",
            answer.status,
            answer.ending
        );
        node.assert_alive().await;
    }
}

#[tokio::test]
async fn a_long_url_works_up_to_its_limit() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let path = format!("/{}", "x".repeat(4500));
    origin.route(&path, Script::object("abc"));
    node.fetch(&origin.url(&path)).await.expect_body(200, "abc");
}

// 14: absolute-form target that disagrees with Host; no Host at all; two of them.
#[tokio::test]
async fn the_target_wins_over_host_and_host_is_required() {
    let node = Node::start().await;
    let absolute = format!("GET {}/api/v1/health/ HTTP/1.1\r\nHost: elsewhere.invalid\r\n\r\n", node.url());
    let answer = client::raw(node.address(), absolute).await;
    assert!([200, 400, 403, 404].contains(&answer.status), "{answer:?}");
    let other = "GET http://127.0.0.1:9/api/v1/health/ HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(client::raw(node.address(), other).await.status >= 400);
    refused(&node, "GET /api/v1/health/ HTTP/1.1\r\n\r\n").await;
    refused(&node, "GET /api/v1/health/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await;
    for request in [
        "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let answer = client::raw(node.address(), request).await;
        assert!([400, 403, 404, 405].contains(&answer.status), "{request:?}: {}", answer.status);
    }
    node.assert_alive().await;
}

#[tokio::test]
async fn half_closed_clients_get_their_answer() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/f", Script::object("abc"));
    let mut client = Client::connect(node.address()).await;
    client.start("GET", &fetch_target(&origin.url("/f"), ""), &[]).await;
    client.finish().await;
    let answer = client.response("GET").await;
    assert!(answer.status == 0 || answer.text() == "abc", "{answer:?}");
    node.assert_alive().await;
}
