//! Requests as raw bytes against a bound listener with the real doors.

mod http2;
mod proxied;
mod purging;
mod sites;

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;

use cache::{KeyHasher, Tunnel, Tunnels};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use prometheus_client::registry::Registry;
use testkit::client::{Client, Response, raw, request};

use super::*;
use crate::access::Rules;
use crate::admin::LONGEST_CONTENT;
use crate::exchange::{Plan, Plans};
use crate::fetch::fake::Node;
use crate::listen::{self, Drainer, Settings};
use crate::proxy::{TunnelSettings, Tunneler, Users};
use crate::{admin, proxy, site};

const FETCH_A: &str = "/api/v1/fetch?url=http://origin.example/a";
const BODY_A: &str = "http://origin.example/a";

/// Tunnels that give back what they get.
struct Echoes;

impl Tunnels for Echoes {
    fn open(&self, host: &str, _port: u16) -> BoxFuture<'static, Result<Tunnel, cache::Error>> {
        let is_there = host != "down.example";
        async move {
            if !is_there {
                return Err(cache::Error::new(cache::Kind::OriginUnreachable, "nobody there"));
            }
            let (near, far) = tokio::io::duplex(1024);
            tokio::spawn(async move {
                let (mut from, mut to) = tokio::io::split(far);
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = tokio::io::AsyncWriteExt::shutdown(&mut to).await;
            });
            Ok(Box::pin(near) as Tunnel)
        }
        .boxed()
    }
}

/// A served node; ends with the test.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) drainer: Drainer,
    pub(crate) ended: tokio::task::JoinHandle<()>,
    pub(crate) node: Node,
    pub(crate) plans: Plans,
    pub(crate) access: InForce,
    registry: Registry,
}

impl Running {
    pub(crate) fn start(settings: Settings) -> Self {
        Self::with_plan(settings, Plan::empty())
    }

    pub(crate) fn with_plan(settings: Settings, plan: Plan) -> Self {
        Self::made(settings, plan, |listener| listener)
    }

    pub(crate) fn with_tls(certificates: listen::Certificates) -> Self {
        Self::made(Settings::default(), Plan::empty(), |listener| listener.with_tls(certificates))
    }

    fn made(settings: Settings, plan: Plan, way: impl FnOnce(listen::Listener) -> listen::Listener) -> Self {
        let node = Node::new();
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let hasher = KeyHasher::new([7; 32]);
        let plans = Plans::new(plan, hasher);
        let admin = AdminDoor::new(admin::Parts {
            cache: node.cache.clone(),
            fetch: node.door.clone(),
            plans: plans.clone(),
            responder: node.responder.clone(),
            registry: Arc::clone(&node.registry),
            traffic: Arc::new(admin::Traffic::default),
            draining: Arc::new(AtomicBool::new(false)),
            settings: admin::Settings::default(),
        });
        let tunnels = Tunneler::new(Arc::new(Echoes), TunnelSettings::default(), &mut registry);
        let access = Rules::new::<&str>(&["deny any path=/secret", "allow loopback"], &[]);
        let access = InForce::new(access.expect("right rules"));
        let service = Service::new(Parts {
            access: access.clone(),
            reload: Some(Arc::new(|| Err("it is not TOML".to_owned()))),
            site: SiteDoor::new(site::Parts {
                cache: node.cache.clone(),
                responder: node.responder.clone(),
                plans: plans.clone(),
                content_patience: Duration::from_secs(60),
            }),
            proxy: ProxyDoor::new(proxy::Parts {
                cache: node.cache.clone(),
                responder: node.responder.clone(),
                plans: plans.clone(),
                users: Users::default(),
                tunnels,
                content_patience: Duration::from_secs(60),
            }),
            hosts: Box::new(["ours.example".into()]),
            fetch: node.door.clone(),
            admin,
            responder: node.responder.clone(),
            log: AccessLog::off(),
            metrics,
            name: Arc::from("node"),
            max_target: MAX_TARGET,
        });
        let listener = way(listen::bind(([127, 0, 0, 1], 0).into()).expect("a port"));
        let address = listener.local_addr().expect("bound");
        let (drainer, drain) = listen::drain();
        let ended = tokio::spawn(listener.serve(service, settings, drain));
        Self { address, drainer, ended, node, plans, access, registry }
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("encodes");
        text
    }

    /// Sends the bytes, which must be refused with `status`, on a connection that then ends.
    async fn refuses(&self, bytes: impl AsRef<[u8]>, status: u16) -> Response {
        let mut client = Client::connect(self.address).await;
        let shown = String::from_utf8_lossy(&bytes.as_ref()[..bytes.as_ref().len().min(200)]).into_owned();
        client.send(bytes).await;
        let response = client.response("GET").await;
        assert_eq!(response.status, status, "{shown:?}: {:?}", response.text());
        assert!(response.is_complete(), "{shown:?}");
        assert!(client.is_closed().await, "{shown:?}");
        response
    }
}

fn start() -> Running {
    Running::start(Settings::default())
}

#[tokio::test]
async fn doors_are_reached_by_their_paths_and_every_request_is_counted() {
    let server = start();
    let mut client = Client::connect(server.address).await;
    let first = client.request("GET", FETCH_A, &[]).await.expect_body(200, BODY_A);
    assert_eq!(first.header("x-cache"), Some("MISS from node"));
    server.node.read(FETCH_A, &[]).await;
    let again = client.request("GET", "/http://origin.example/a", &[]).await.expect_body(200, BODY_A);
    assert_eq!(again.header("x-cache"), Some("HIT from node"));
    client.request("GET", "/api/v1/status/", &[]).await.expect(200);
    client.request("GET", "/nothing-here", &[]).await.expect(404);
    let metrics = server.metrics();
    for line in [
        "{door=\"fetch\",outcome=\"hit\"",
        "{door=\"fetch\",outcome=\"miss\"",
        "{door=\"admin\",outcome=\"none\"",
    ] {
        assert!(
            metrics.contains(&format!("standpipe_requests_total{line}")),
            "{line} is missing in\n{metrics}"
        );
    }
}

// 4c 23
#[tokio::test]
async fn head_declares_the_length_that_get_has_and_sends_nothing() {
    let server = start();
    let mut client = Client::connect(server.address).await;
    for target in [FETCH_A, "/api/v1/status/", "/nothing-here"] {
        let head = client.request("HEAD", target, &[]).await;
        let get = client.request("GET", target, &[]).await;
        assert_eq!((head.status, head.ending), (get.status, get.ending), "{target}");
        assert_eq!(head.content_length(), Some(get.body.len() as u64), "{target}");
        assert_eq!(head.content_length(), get.content_length(), "{target}");
    }
    let fields = [("If-None-Match", "\"v1\"")];
    for method in ["GET", "HEAD"] {
        let unchanged = client.request(method, FETCH_A, &fields).await.expect(304);
        assert_eq!(unchanged.content_length(), None);
    }
}

#[tokio::test]
async fn access_rules_are_asked_and_named() {
    let server = start();
    let denied = request(server.address, "GET", "/secret/x", &[]).await.expect_refusal(&[403]);
    assert!(denied.text().contains("deny any path=/secret"), "{}", denied.text());
}

#[tokio::test]
async fn a_reload_that_fails_says_why() {
    let server = start();
    let refused = request(server.address, "POST", "/api/v1/reload", &[]).await.expect_refusal(&[422]);
    assert!(refused.text().contains("it is not TOML"), "{}", refused.text());
    request(server.address, "GET", "/api/v1/reload", &[]).await.expect_refusal(&[405]);
}

// 4c 1, 2, 3, 4, 5, 6, 8: whatever could be framed in two ways is refused and the connection ends.
#[tokio::test]
async fn doubtful_framing_is_refused_and_the_connection_closed() {
    let server = start();
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding:\x0bchunked",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: -1",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 18446744073709551616",
        "Content-Length: 99999999999999999999999999",
    ] {
        server
            .refuses(format!("POST /api/v1/delete HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n0\r\n\r\n"), 400)
            .await;
        server.refuses(format!("GET {FETCH_A} HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n0\r\n\r\n"), 400).await;
    }
    for chunks in ["FFFFFFFFFFFFFFFFF\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n", "0\r\nX: y\n\n"] {
        let head = "POST /api/v1/delete HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        server.refuses(format!("{head}{chunks}"), 400).await;
    }
    server.refuses("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400).await;
    assert!(server.node.origin.asked().is_empty());
}

// 4c 7
#[tokio::test]
async fn malformed_heads_are_refused() {
    let server = start();
    for head in [
        "GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n",
        "GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / x HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: h\r\n\r\n",
        "GET / HTTP/3.0\r\nHost: h\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: h\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03 hello",
    ] {
        server.refuses(head, 400).await;
    }
    // Each is counted when its connection has ended, which the client may see a moment earlier.
    let counted = async {
        while !server.metrics().contains("reason=\"malformed\"} 14") {
            tokio::task::yield_now().await;
        }
    };
    testkit::guarded("the last one to be counted", counted).await;
}

// 4c 9
#[tokio::test]
async fn a_get_with_a_body_cannot_hide_a_second_request() {
    let server = start();
    let mut client = Client::connect(server.address).await;
    client.request("GET", FETCH_A, &[]).await.expect(200);
    let hidden = "GET /api/v1/fetch?url=http://origin.example/hidden HTTP/1.1\r\nHost: h\r\n\r\n";
    for method in ["GET", "HEAD"] {
        let bytes = format!(
            "{method} {FETCH_A} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{hidden}",
            hidden.len()
        );
        let mut client = Client::connect(server.address).await;
        client.send(bytes).await;
        let refused = client.response(method).await.expect_refusal(&[400]);
        assert_eq!(refused.header("connection"), Some("close"));
        assert!(client.is_closed().await);
    }
    assert_eq!(server.node.origin.asked().len(), 1, "nobody asked for the hidden one");
    // A length of nothing is no body.
    client.request("GET", FETCH_A, &[("Content-Length", "0")]).await.expect_body(200, BODY_A);
}

// 4c 10
#[tokio::test]
async fn an_upgrade_is_not_taken_and_the_connection_goes_on() {
    let server = start();
    let mut client = Client::connect(server.address).await;
    for upgrade in ["websocket", "h2c", "TLS/1.3"] {
        let fields =
            [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", upgrade), ("HTTP2-Settings", "AAMAAABk")];
        client.request("GET", FETCH_A, &fields).await.expect_body(200, BODY_A);
    }
}

// 4c 11
#[tokio::test]
async fn expectations_are_met_or_refused() {
    let server = start();
    let mut client = Client::connect(server.address).await;
    client.request("GET", FETCH_A, &[("Expect", "100-continue")]).await.expect_body(200, BODY_A);
    // The body never comes: the answer does not wait for it.
    let post = "POST /api/v1/delete?url=http://origin.example/none HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    raw(server.address, post).await.expect_refusal(&[404]);
    server.refuses(format!("GET {FETCH_A} HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\n\r\n"), 417).await;
}

// 4c 13
#[tokio::test]
async fn too_much_is_refused_with_the_status_for_it() {
    let server = start();
    let long = |length: usize| format!("{FETCH_A}?{}", "x".repeat(length - FETCH_A.len() - 1));
    let mut client = Client::connect(server.address).await;
    client.request("GET", &long(MAX_TARGET), &[]).await.expect(200);
    let refused = client.request("GET", &long(MAX_TARGET + 1), &[]).await.expect_refusal(&[414]);
    assert!(refused.text().contains("8193"), "{}", refused.text());
    let many: String = (0..10_000).map(|n| format!("X-{n}: y\r\n")).collect();
    for fields in [&many, &format!("X: {}\r\n", "y".repeat(1 << 20)), &"X: y\r\n".repeat(101)] {
        server.refuses(format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"), 431).await;
    }
    let head = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(1 << 20));
    server.refuses(head, 431).await;
}

// 4c 14
#[tokio::test]
async fn the_host_is_one_and_the_same_everywhere() {
    let server = start();
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
        "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: a:81\r\n\r\n",
        "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET https://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        server.refuses(head, 400).await;
    }
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]:8001\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET http://Ours.example:80/ HTTP/1.1\r\nHost: ours.example\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        raw(server.address, head).await.expect(200);
    }
}

// 4c 51
#[tokio::test]
async fn a_request_that_has_been_here_is_a_loop() {
    let server = start();
    for via in ["1.1 node", "1.0 a, 1.1 NODE (b)"] {
        server.refuses(format!("GET {FETCH_A} HTTP/1.1\r\nHost: h\r\nVia: {via}\r\n\r\n"), 508).await;
    }
    request(server.address, "GET", FETCH_A, &[("Via", "1.1 other-node")]).await.expect(200);
}

// 4c 16
#[tokio::test]
async fn methods_that_no_door_has_are_refused() {
    let server = start();
    for method in ["TRACE /", "CONNECT /", "PURGE /nothing", "PUT /http://origin.example/a"] {
        let response = raw(server.address, format!("{method} HTTP/1.1\r\nHost: h:443\r\n\r\n")).await;
        let expected: &[u16] = match method {
            "CONNECT /" => &[400, 405],
            "PURGE /nothing" => &[404],
            _ => &[405],
        };
        response.expect_refusal(expected);
    }
}

fn post_pin(content: &str, length: usize) -> String {
    format!("POST /api/v1/pins HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{content}")
}

#[tokio::test]
async fn a_pin_comes_as_json() {
    let running = start();
    let content = r#"{"tag": "v5", "ttl": "7d"}"#;
    let mut client = Client::connect(running.address).await;
    client.send(post_pin(content, content.len())).await;
    let response = client.response("POST").await;
    assert_eq!(response.status, 201, "{}", response.text());
    assert!(response.text().contains("\"tag\": \"v5\""));
    // The connection is good for another request.
    assert!(client.request("GET", "/api/v1/pins", &[]).await.text().contains("\"tag\": \"v5\""));
}

#[tokio::test]
async fn content_that_is_too_long_is_refused_and_the_connection_closed() {
    let running = start();
    let content = format!("{{\"tag\": \"{}\"", "a".repeat(LONGEST_CONTENT));
    let mut client = Client::connect(running.address).await;
    client.send(post_pin(&content, content.len())).await;
    let response = client.response("POST").await;
    assert_eq!(response.status, 413, "{}", response.text());
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_client_that_leaves_within_its_content_pins_nothing() {
    let running = start();
    let mut client = Client::connect(running.address).await;
    client.send(post_pin(r#"{"tag": "v5", "ttl": "7d"}"#, 1000)).await;
    drop(client);
    let list = request(running.address, "GET", "/api/v1/pins", &[]).await;
    assert!(list.text().contains("\"pins\": []"));
}
