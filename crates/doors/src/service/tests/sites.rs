//! Sites through a bound listener.

use super::*;
use crate::exchange::pattern::HostPattern;
use crate::exchange::{HostSent, SiteSettings};

fn site(name: &str) -> SiteSettings {
    SiteSettings {
        name: name.to_owned(),
        origins: vec![format!("http://{name}.example/base")],
        hosts: vec![HostPattern::parse(&format!("www.{name}.example")).expect("a host")],
        prefix: None,
        host: HostSent::Origin,
    }
}

fn start() -> Running {
    let plan = Plan::new(vec![site("shop"), site("news")], vec![], Default::default(), 64);
    Running::with_plan(Settings::default(), plan.expect("right"))
}

#[tokio::test]
async fn a_site_is_reached_by_path_and_by_host_and_is_one_object() {
    let server = start();
    let mut client = Client::connect(server.address).await;
    let exact = "http://shop.example/base/fresh?x=%41";
    let first = client.request("GET", "/r/shop/fresh?x=%41", &[]).await.expect_body(200, exact);
    assert_eq!(first.header("x-cache"), Some("MISS from node"));
    // The origin's own page: nothing is taken from it or added to it.
    assert_eq!(first.header("set-cookie"), Some("a=b"));
    assert_eq!(first.header("content-security-policy"), None);
    assert_eq!(first.header("x-content-type-options"), None);
    assert_eq!(first.header("via"), Some("1.1 node"));
    client.send("GET /fresh?x=%41 HTTP/1.1\r\nHost: WWW.shop.example:8080\r\n\r\n").await;
    let again = client.response("GET").await.expect_body(200, exact);
    assert_eq!(again.header("x-cache"), Some("HIT from node"), "{again:?}");
    client.send("GET http://www.shop.example/fresh?x=%41 HTTP/1.1\r\nHost: www.shop.example\r\n\r\n").await;
    let again = client.response("GET").await.expect_body(200, exact);
    assert_eq!(again.header("x-cache"), Some("HIT from node"));
    assert_eq!(server.node.origin.asked().len(), 1);
    assert!(server.metrics().contains("door=\"site\",outcome=\"hit\""));
}

// RFC 9110 section 7.6.1; poisoning through unkeyed input (user-demand.md 4b).
#[tokio::test]
async fn the_origin_sees_end_to_end_fields_and_our_word_on_the_client() {
    let server = start();
    let fields = [
        ("Connection", "close, X-Hop"),
        ("X-Hop", "1"),
        ("X-Forwarded-For", "10.9.9.9"),
        ("Forwarded", "for=evil"),
        ("Cookie", "c=1"),
        ("Content-Length", "4"),
    ];
    let mut client = Client::connect(server.address).await;
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    client.send(format!("POST /r/shop/form HTTP/1.1\r\nHost: h.example\r\n{fields}\r\nbody")).await;
    client.response("POST").await.expect_body(200, "body");
    let asked = server.node.origin.asked().remove(0);
    let seen = |name: &str| asked.headers.get(name).map(|value| value.to_str().expect("text").to_owned());
    assert_eq!(seen("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(seen("forwarded").as_deref(), Some("for=127.0.0.1;host=\"h.example\";proto=http"));
    assert_eq!(seen("cookie").as_deref(), Some("c=1"));
    for name in ["x-hop", "connection", "host", "content-length"] {
        assert_eq!(seen(name), None, "{name}");
    }
}

// 4c 1-5, 8
#[tokio::test]
async fn content_is_taken_in_one_framing_only() {
    let server = start();
    let chunked =
        "POST /r/shop/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
    let mut client = Client::connect(server.address).await;
    client.send(chunked).await;
    client.response("POST").await.expect_body(200, "body");
    client.request("GET", "/r/shop/b", &[]).await.expect(200);
    for (fields, status) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", 400),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 501),
        ("Content-Length: 5\r\nContent-Length: 6", 400),
        ("Content-Length: +5", 400),
    ] {
        server
            .refuses(format!("POST /r/shop/a HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n0\r\n\r\n"), status)
            .await;
    }
    server.refuses("POST /r/shop/a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400).await;
    assert_eq!(server.node.origin.asked().len(), 2);
}

// 4c 9: CVE-2025-4366 of another proxy.
#[tokio::test]
async fn a_hit_with_content_hides_no_second_request() {
    let server = start();
    let mut client = Client::connect(server.address).await;
    client.request("GET", "/r/shop/fresh", &[]).await.expect(200);
    let hidden = "GET /r/shop/hidden HTTP/1.1\r\nHost: h\r\n\r\n";
    let request =
        format!("GET /r/shop/fresh HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len());
    server.refuses(request, 400).await;
    assert_eq!(server.node.origin.asked().len(), 1);
}

// RFC 8297: a hint is worth nothing later.
#[tokio::test]
async fn an_early_hint_comes_before_the_final_answer_is_there() {
    let server = start();
    let mut client = Client::connect(server.address).await;
    client.start("GET", "/r/shop/fresh", &[]).await;
    client.response("GET").await.expect(200);
    let mut stream = tokio::net::TcpStream::connect(server.address).await.expect("connects");
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    // The hint is for the second of two; nothing of it may land in the first one's answer.
    let requests = "GET /r/shop/fresh HTTP/1.1\r\nHost: h\r\n\r\nGET http://shop.example/hint HTTP/1.1\r\nHost: shop.example\r\n\r\n";
    stream.write_all(requests.as_bytes()).await.expect("sent");
    let mut seen = Vec::new();
    let hint = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
    testkit::guarded("the hint", async {
        while !seen.ends_with(hint) {
            stream.read_buf(&mut seen).await.expect("bytes");
        }
    })
    .await;
    let text = String::from_utf8_lossy(&seen).into_owned();
    assert!(
        text.starts_with("HTTP/1.1 200 OK\r\n")
            && text.contains("http://shop.example/base/freshHTTP/1.1 103 "),
        "{text}"
    );
    server.node.origin.release();
    let mut rest = Vec::new();
    testkit::guarded("the answer", async {
        while !rest.ends_with(b"http://shop.example/hint") {
            stream.read_buf(&mut rest).await.expect("bytes");
        }
    })
    .await;
    assert!(rest.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn http_1_0_gets_no_interim_answer() {
    let server = start();
    let mut client = Client::connect(server.address).await;
    client.send("GET http://shop.example/hint HTTP/1.0\r\n\r\n").await;
    server.node.origin.release();
    client.response("GET").await.expect_body(200, "http://shop.example/hint");
}

// 4c 16; RFC 9110 sections 7.6.2 and 9.3.8
#[tokio::test]
async fn hops_end_here_and_traces_are_refused() {
    let server = start();
    let mut client = Client::connect(server.address).await;
    let last = client.request("OPTIONS", "/r/shop/", &[("Max-Forwards", "0")]).await.expect(204);
    assert!(last.header("allow").is_some_and(|allow| allow.contains("OPTIONS")));
    assert!(server.node.origin.asked().is_empty());
    client.request("OPTIONS", "/r/shop/", &[("Max-Forwards", "3")]).await.expect(200);
    assert_eq!(server.node.origin.asked()[0].headers["max-forwards"], "2");
    server.refuses("TRACE /r/shop/ HTTP/1.1\r\nHost: h\r\n\r\n", 405).await;
}

#[tokio::test]
async fn another_plan_is_in_force_from_the_next_request_on() {
    let server = start();
    let mut client = Client::connect(server.address).await;
    client.request("GET", "/r/news/fresh", &[]).await.expect(200);
    server.plans.replace(Plan::new(vec![site("shop")], vec![], Default::default(), 64).expect("right"));
    client.request("GET", "/r/news/fresh", &[]).await.expect(404);
    client.request("GET", "/r/shop/fresh", &[]).await.expect(200);
}
