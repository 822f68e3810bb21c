//! Connecting, keeping, waiting and giving up (user demand 4c 33, 42, 43), and proxies.

use super::*;
use crate::ProxySettings;
use testkit::origin::{BlackHole, Gate, Step};
use tokio::io::AsyncReadExt;

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let origin = Origin::start().await;
    origin.route("/", ok("x"));
    let bench = Bench::new();
    for _ in 0..5 {
        bench.get(&origin.url("/")).await.expect("an answer");
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn a_kept_connection_that_dies_costs_one_silent_repeat() {
    let origin = Origin::start().await;
    let dies = Script::Steps(vec![Step::Close]);
    origin.route_each("/", vec![ok("one"), dies.clone(), ok("two"), dies]);
    let bench = Bench::new();
    bench.get(&origin.url("/")).await.expect("an answer");
    assert_eq!(bench.get(&origin.url("/")).await.expect("an answer").1, "two");
    assert_eq!(bench.http.0.metrics.repeats.get(), 1);
    // The repeat dies as well, on a connection that is new: that is the origin's word.
    assert_eq!(bench.refusal(&origin.url("/")).await.kind, Kind::OriginBroken);
    assert_eq!(origin.requests().len(), 5);
}

#[tokio::test]
async fn a_new_connection_that_dies_is_the_origins_fault_and_not_repeated() {
    let origin = Origin::start().await;
    origin.route("/fin", Script::Steps(vec![Step::Close]));
    origin.route("/rst", Script::reset());
    origin.route("/half", Script::raw("HTTP/1.1 200 OK\r\nContent-Le").then(Step::Close));
    let bench = Bench::new();
    assert_eq!(bench.refusal(&origin.url("/fin")).await.kind, Kind::OriginBroken);
    assert_eq!(bench.refusal(&origin.url("/rst")).await.kind, Kind::OriginUnreachable);
    assert_eq!(bench.refusal(&origin.url("/half")).await.kind, Kind::OriginBroken);
    assert_eq!(origin.requests().len(), 3);
}

// 43
#[tokio::test]
async fn a_refused_port_is_told_at_once() {
    let address = Origin::start().await.stop().await;
    let error = Bench::new().refusal(&format!("http://{address}/")).await;
    assert_eq!(error.kind, Kind::OriginUnreachable);
    assert!(error.detail.contains(&address.to_string()) && error.detail.contains("refused"), "{error}");
}

// 42
#[tokio::test]
async fn the_next_address_is_tried_when_one_fails() {
    let origin = Origin::start().await;
    origin.route("/", ok("x"));
    let bench = Bench::resolving(settings(), |_, _| {
        Ok((1..=9).rev().map(|last| IpAddr::from([127, 0, 0, last])).collect())
    });
    assert_eq!(bench.get(&named(&origin, "files.example", "/")).await.expect("an answer").1, "x");
}

#[tokio::test]
async fn connecting_is_bounded() {
    let hole = BlackHole::start().await;
    let bench = Bench::with(Settings { connect_timeout: SHORT, ..settings() });
    let error = bench.refusal(&hole.url("/")).await;
    assert_eq!(error.kind, Kind::OriginTimeout);
    assert!(error.detail.starts_with("no connection to 127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn the_wait_for_the_head_is_bounded() {
    let origin = Origin::start().await;
    origin.route("/", Script::silence());
    let bench = Bench::with(Settings { first_byte_timeout: SHORT, ..settings() });
    let error = bench.refusal(&origin.url("/")).await;
    assert_eq!(error.kind, Kind::OriginTimeout);
    assert!(error.detail.contains("did not begin to answer within 200ms"), "{error}");
}

// 33
#[tokio::test]
async fn the_wait_for_the_rest_of_a_body_is_bounded() {
    let origin = Origin::start().await;
    origin
        .route("/", Script::raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n99 of 100").then(Step::Stall));
    let bench = Bench::with(Settings { idle_timeout: SHORT, ..settings() });
    let error = bench.refusal(&origin.url("/")).await;
    assert_eq!(error.kind, Kind::OriginTimeout);
    assert!(error.detail.contains("within 200ms"), "{error}");
}

#[tokio::test]
async fn a_place_is_held_until_the_body_is_dropped() {
    let origin = Origin::start().await;
    let gate = Gate::new();
    let start = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na";
    origin.route("/slow", Script::raw(start).then(Step::Wait(gate.clone())).then(Step::Send("b".into())));
    origin.route("/next", ok("x"));
    let bench = Bench::with(Settings { max_connections_per_host: 1, max_queue_per_host: 0, ..settings() });
    let first = bench.fetch(&origin.url("/slow")).await.expect("an answer");
    assert_eq!(bench.refusal(&origin.url("/next")).await.kind, Kind::OriginQueueFull);
    gate.open();
    assert_eq!(whole(first.body).await.expect("bytes"), "ab");
    let dropped = bench.fetch(&origin.url("/slow")).await.expect("the place is free again");
    drop(dropped);
    bench.get(&origin.url("/next")).await.expect("the place is free again");
    assert_eq!(bench.http.0.metrics.exchanges.get(), 0);
}

#[tokio::test]
async fn a_dropped_body_drops_the_connection() {
    let origin = Origin::start().await;
    let stalls = Script::raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na").then(Step::Stall);
    origin.route_each("/", vec![stalls, ok("x")]);
    let bench = Bench::new();
    drop(bench.fetch(&origin.url("/")).await.expect("an answer"));
    bench.get(&origin.url("/")).await.expect("an answer");
    let seen = origin.requests();
    assert_ne!(seen[0].connection, seen[1].connection);
}

fn through(proxy: &str) -> Settings {
    let pair = |name: &str| (name.to_owned(), proxy.to_owned());
    let proxies = ProxySettings::from_env([pair("http_proxy"), pair("https_proxy")]).expect("a proxy");
    Settings { proxies, ..settings() }
}

#[tokio::test]
async fn a_proxy_gets_the_whole_url_and_its_own_credentials() {
    let proxy = Origin::start().await;
    proxy.route("/a?b", ok("x"));
    let bench = Bench::with(through(&format!("http://u:p@{}", proxy.address())));
    assert_eq!(bench.get("http://files.example/a?b").await.expect("an answer").1, "x");
    let seen = &proxy.requests()[0];
    assert_eq!(seen.target, "http://files.example/a?b");
    assert_eq!(seen.header("proxy-authorization"), Some("Basic dTpw"));
    assert_eq!(bench.queries.load(Ordering::Relaxed), 0, "names are the proxy's matter");
    assert_eq!(bench.refusal("http://10.0.0.1/").await.kind, Kind::OriginForbidden);
}

#[tokio::test]
async fn https_goes_through_a_tunnel() {
    let (proxy, served) = tunnel_proxy(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n").await;
    let served = tokio::spawn(async move {
        let (head, mut stream) = served.await.expect("no panic");
        // TLS begins with a handshake record.
        (head, stream.read_u8().await.expect("TLS"))
    });
    let bench = Bench::with(through(&format!("http://u:p@{proxy}")));
    let error = bench.refusal("https://files.example/").await;
    assert_eq!(error.kind, Kind::OriginUnreachable, "the proxy hangs up in the handshake");
    let (head, record) = guarded("the tunnel", served).await.expect("no panic");
    assert!(head.starts_with("CONNECT files.example:443 HTTP/1.1\r\nHost: files.example:443\r\n"), "{head}");
    assert!(head.contains("Proxy-Authorization: Basic dTpw\r\n"), "{head}");
    assert_eq!(record, 22);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named() {
    let proxy = Origin::start().await;
    let bench = Bench::with(through(&format!("http://{}", proxy.address())));
    proxy.route("files.example:443", Script::answer("407 Proxy Authentication Required", ""));
    let error = bench.refusal("https://files.example/").await;
    assert_eq!(error.kind, Kind::OriginUnreachable);
    assert!(
        error.detail.contains(&proxy.address().to_string()) && error.detail.contains("credentials"),
        "{error}"
    );
}
