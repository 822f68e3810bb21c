//! The forward proxy: requests in absolute form and tunnels, as their users and enemies see them.

use scenarios::{impatient, metric, outcome, settled};
use testkit::client::{Client, Response, raw};
use testkit::node::Node;
use testkit::origin::{Origin, Script};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn fresh(body: &str) -> Script {
    Script::answer("200 OK\r\nCache-Control: max-age=60\r\nETag: \"v1\"", body)
}

/// A GET in absolute form.
async fn proxied(node: &Node, url: &str, fields: &str) -> Response {
    let host = url.split('/').nth(2).unwrap_or_default();
    raw(node.address(), format!("GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n"))
        .await
}

#[tokio::test]
async fn an_object_is_one_through_proxy_and_fetch_door() {
    let origin = Origin::start().await;
    origin.route("/a", fresh("abc"));
    let node = impatient().start().await;
    let first =
        proxied(&node, &origin.url("/a"), "Proxy-Connection: keep-alive\r\nX-Forwarded-For: 10.0.0.1\r\n")
            .await;
    assert_eq!(outcome(&first.expect_body(200, "abc")), "MISS");
    settled(&node).await;
    let again = proxied(&node, &origin.url("/a"), "").await.expect_body(200, "abc");
    assert_eq!(outcome(&again), "HIT");
    assert_eq!(outcome(&node.fetch(&origin.url("/a")).await.expect_body(200, "abc")), "HIT");
    let seen = origin.requests_for("/a");
    assert_eq!(seen.len(), 1);
    for name in ["proxy-connection", "x-forwarded-for", "connection"] {
        assert_eq!(seen[0].header(name), None, "{name}");
    }
}

// 4c 46, 51: the guard and the loop check hold for the proxy as well.
#[tokio::test]
async fn a_guarded_address_and_ourselves_are_no_origins() {
    let node = Node::builder().guarded().start().await;
    proxied(&node, "http://169.254.169.254/latest", "").await.expect_refusal(&[403]);
    proxied(&node, "http://127.0.0.1:1/", "").await.expect_refusal(&[403]);
    let own = proxied(&node, &format!("{}/api/v1/health/", node.url()), "").await.expect(200);
    assert_eq!(own.text().trim(), "ok");
}

#[tokio::test]
async fn users_are_asked_for_their_password() {
    let origin = Origin::start().await;
    origin.route("/a", fresh("abc"));
    let builder = impatient();
    let file = builder.directory().join("users");
    std::fs::write(&file, "ann:secret\n").expect("written");
    let node = builder.arg("--proxy-users-file").arg(&file).start().await;
    let refused = proxied(&node, &origin.url("/a"), "").await.expect_refusal(&[407]);
    assert!(refused.header("proxy-authenticate").is_some_and(|value| value.starts_with("Basic ")));
    // `ann:wrong`, then `ann:secret`.
    proxied(&node, &origin.url("/a"), "Proxy-Authorization: Basic YW5uOndyb25n\r\n")
        .await
        .expect_refusal(&[407]);
    proxied(&node, &origin.url("/a"), "Proxy-Authorization: Basic YW5uOnNlY3JldA==\r\n")
        .await
        .expect_body(200, "abc");
    assert_eq!(origin.requests_for("/a")[0].header("proxy-authorization"), None);
    let (_, head) = tunnel(&node, "127.0.0.1:443").await;
    assert!(head.starts_with("HTTP/1.1 407 "), "{head}");
}

async fn tunnel(node: &Node, to: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(node.address()).await.expect("connects");
    stream.write_all(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    testkit::guarded("the head", async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a byte"));
        }
    })
    .await;
    (stream, String::from_utf8(head).expect("text"))
}

#[tokio::test]
async fn a_tunnel_leads_where_it_may_and_is_counted() {
    let origin = Origin::start().await;
    origin.route("/a", Script::answer("200 OK\r\nConnection: close", "abc"));
    let place = origin.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let port = place.rsplit(':').next().expect("a port").to_owned();
    let node = impatient().args(["--proxy-connect", &format!("*:{port}")]).start().await;
    let (mut stream, head) = tunnel(&node, &place).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    stream.write_all(format!("GET /a HTTP/1.1\r\nHost: {place}\r\n\r\n").as_bytes()).await.expect("sent");
    let mut seen = Vec::new();
    testkit::guarded("the answer", async {
        while !seen.ends_with(b"abc") {
            assert!(stream.read_buf(&mut seen).await.expect("bytes") > 0, "ended early");
        }
    })
    .await;
    assert_eq!(metric(&node, "standpipe_tunnels_open", &[]).await, 1.0);
    stream.shutdown().await.expect("said all");
    let ended = async { while metric(&node, "standpipe_tunnels_open", &[]).await > 0.0 {} };
    testkit::guarded("the tunnel to end", ended).await;
    assert_eq!(metric(&node, "standpipe_tunnel_bytes_to_client_total", &[]).await as usize, seen.len());
    for to in ["127.0.0.1:22", "127.0.0.1:80"] {
        let (_, head) = tunnel(&node, to).await;
        assert!(head.starts_with("HTTP/1.1 403 "), "{to}: {head}");
    }
    node.assert_alive().await;
}

#[tokio::test]
async fn the_guard_decides_about_tunnels_too() {
    let node = Node::builder().guarded().args(["--proxy-connect", "*:*"]).start().await;
    for to in ["127.0.0.1:443", "169.254.169.254:80", "2130706433:443", "[::ffff:127.0.0.1]:443"] {
        let (_, head) = tunnel(&node, to).await;
        assert!(head.starts_with("HTTP/1.1 403 "), "{to}: {head}");
    }
}

// An open proxy is found and abused within hours.
#[tokio::test]
async fn strangers_use_the_proxy_only_where_a_rule_names_it() {
    let origin = Origin::start().await;
    origin.route("/a", fresh("abc"));
    let from = |node: &Node, address: &str, url: &str| {
        let host = url.split('/').nth(2).unwrap_or_default().to_owned();
        let request = format!(
            "GET {url} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: {address}\r\nConnection: close\r\n\r\n"
        );
        raw(node.address(), request)
    };
    let config = |rules: &str| format!("[access]\nrules = [{rules}]\ntrusted-proxies = [\"127.0.0.1\"]\n");
    let node = impatient().config(&config("\"allow any\"")).start().await;
    from(&node, "203.0.113.9", &origin.url("/a")).await.expect_refusal(&[403]);
    from(&node, "10.0.0.9", &origin.url("/a")).await.expect_body(200, "abc");
    let node = impatient().config(&config("\"allow any door=proxy\"")).start().await;
    from(&node, "203.0.113.9", &origin.url("/a")).await.expect_body(200, "abc");
}

// 4c 1, 9
#[tokio::test]
async fn content_framed_in_two_ways_reaches_nobody() {
    let origin = Origin::start().await;
    origin.route("/a", Script::answer("200 OK", "abc"));
    let node = impatient().start().await;
    let url = origin.url("/a");
    let host = url.split('/').nth(2).unwrap_or_default();
    for framing in
        ["Content-Length: 4\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 4"]
    {
        let mut client = Client::connect(node.address()).await;
        client
            .send(format!("POST {url} HTTP/1.1\r\nHost: {host}\r\n{framing}\r\n\r\n0\r\n\r\nGET {url} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        client.response("POST").await.expect_refusal(&[400]);
        assert!(client.is_closed().await);
    }
    assert!(origin.requests().is_empty());
}
