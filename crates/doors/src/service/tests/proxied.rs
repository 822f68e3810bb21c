//! The forward proxy and its tunnels through a bound listener.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

fn absolute(method: &str, url: &str, host: &str, fields: &str) -> String {
    format!("{method} {url} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")
}

#[tokio::test]
async fn an_absolute_target_is_fetched_and_has_the_key_of_the_fetch_door() {
    let server = start();
    let mut client = Client::connect(server.address).await;
    let fields = "Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\n";
    client.send(absolute("GET", "http://Origin.example:80/fresh", "origin.example", fields)).await;
    let first = client.response("GET").await.expect_body(200, "http://origin.example/fresh");
    assert_eq!(first.header("x-cache"), Some("MISS from node"));
    client.send(absolute("GET", "http://origin.example/fresh", "origin.example", "")).await;
    let again = client.response("GET").await.expect_body(200, "http://origin.example/fresh");
    assert_eq!(again.header("x-cache"), Some("HIT from node"));
    let fetched = client.request("GET", "/http://origin.example/fresh", &[]).await.expect(200);
    assert_eq!(fetched.header("x-cache"), Some("HIT from node"));
    let asked = server.node.origin.asked();
    assert_eq!(asked.len(), 1);
    for name in ["proxy-connection", "proxy-authorization", "x-forwarded-for"] {
        assert!(!asked[0].headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn absolute_targets_that_name_us_are_our_own_pages() {
    let server = start();
    let ours = server.address.to_string();
    for host in [&*ours, "ours.example"] {
        let response =
            raw(server.address, absolute("GET", &format!("http://{host}/api/v1/health/"), host, "")).await;
        response.expect(200);
    }
    assert!(server.node.origin.asked().is_empty());
}

#[tokio::test]
async fn a_rule_about_a_url_holds_for_the_proxy_too() {
    let server = start();
    let access = Rules::new::<&str>(&["deny any path=/http://secret.example", "allow loopback"], &[]);
    server.access.replace(access.expect("right"));
    raw(server.address, absolute("GET", "http://secret.example/x", "secret.example", ""))
        .await
        .expect_refusal(&[403]);
    raw(server.address, absolute("GET", "http://public.example/x", "public.example", "")).await.expect(200);
}

async fn tunnel(server: &Running, to: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(server.address).await.expect("connects");
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
async fn a_tunnel_passes_bytes_both_ways_and_is_counted() {
    let server = start();
    let (mut stream, head) = tunnel(&server, "origin.example:443").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    assert!(server.metrics().contains("standpipe_tunnels_open 1"));
    stream.write_all(b"hello").await.expect("sent");
    let mut echoed = [0; 5];
    testkit::guarded("the echo", stream.read_exact(&mut echoed)).await.expect("five bytes");
    assert_eq!(&echoed, b"hello");
    stream.shutdown().await.expect("said all");
    assert_eq!(testkit::guarded("the end", stream.read(&mut echoed)).await.expect("a clean end"), 0);
    let recorded = async {
        while !server.metrics().contains("door=\"connect\",outcome=\"bypass\",reason=\"tunnel\"} 1") {
            tokio::task::yield_now().await;
        }
    };
    testkit::guarded("the tunnel to be recorded", recorded).await;
    let metrics = server.metrics();
    for line in ["tunnels_open 0", "tunnel_bytes_to_origin_total 5", "tunnel_bytes_to_client_total 5"] {
        assert!(metrics.contains(&format!("standpipe_{line}")), "{line} is missing in\n{metrics}");
    }
}

// 4c 50
#[tokio::test]
async fn tunnels_lead_only_where_they_may() {
    let server = start();
    for (to, status) in [
        ("origin.example:22", 403),
        ("origin.example:80", 403),
        ("down.example:443", 502),
        ("origin.example:0", 400),
        ("origin.example:", 400),
    ] {
        let (_, head) = tunnel(&server, to).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{to}: {head}");
    }
}

#[tokio::test]
async fn a_drain_cuts_tunnels_at_the_end_of_the_grace_period() {
    let server = Running::start(Settings { grace: Duration::from_millis(20), ..Settings::default() });
    let (mut stream, _) = tunnel(&server, "origin.example:443").await;
    server.drainer.begin();
    testkit::guarded("the listener to end", server.ended).await.expect("no panic");
    assert!(matches!(testkit::guarded("the end", stream.read(&mut [0])).await, Ok(0) | Err(_)));
}
