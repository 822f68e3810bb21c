//! The contract with LAVA dispatchers, Linaro's test-definitions and the Tezos scripts, as they speak today.

use scenarios::impatient;
use testkit::client::{self, Field, Response};
use testkit::content::content;
use testkit::node::{Node, quote_plus};
use testkit::origin::{End, Origin, Script};

/// What python-requests sends for a LAVA dispatcher.
const FIELDS: [Field<'static>; 4] = [
    ("User-Agent", "lava-dispatcher 2026.10"),
    ("Accept-Encoding", ""),
    ("Accept", "*/*"),
    ("Connection", "keep-alive"),
];

/// Statuses on which LAVA tries again.
const AGAIN: [u16; 13] = [408, 413, 420, 425, 429, 430, 500, 502, 503, 504, 507, 509, 529];

/// A download as LAVA does it: HEAD, then GET with the length compared; both tried again on [`AGAIN`].
async fn download(node: &Node, url_format: &str, url: &str) -> Option<Vec<u8>> {
    let target = url_format.replace("%s", &quote_plus(url));
    let head = tried(node, "HEAD", &target).await;
    if head.status != 200 {
        return None;
    }
    let announced = head.content_length();
    let answer = tried(node, "GET", &target).await;
    let length = answer.content_length();
    let whole = answer.status == 200 && answer.is_complete() && length == announced;
    let counted = length.is_none_or(|length| length == answer.body.len() as u64);
    (whole && counted).then_some(answer.body)
}

async fn tried(node: &Node, method: &str, target: &str) -> Response {
    for _ in 0..9 {
        let answer = client::request(node.address(), method, target, &FIELDS).await;
        if !AGAIN.contains(&answer.status) && !answer.is_broken() {
            return answer;
        }
    }
    client::request(node.address(), method, target, &FIELDS).await
}

#[tokio::test]
async fn head_comes_first_with_the_length_and_then_get() {
    for format in ["/api/v1/fetch?url=%s", "/api/v1/fetch/?url=%s"] {
        let (origin, node) = (Origin::start().await, Node::start().await);
        let bytes = content(1, 1_000_000);
        origin.route("/build 1/Image.gz", Script::object(bytes.clone()));
        origin.route("/build%201/Image.gz", Script::object(bytes.clone()));
        let got = download(&node, format, &origin.url("/build 1/Image.gz")).await;
        assert!(got.is_some_and(|got| got == bytes), "{format}");
        assert_eq!(origin.requests().len(), 1, "one origin request for HEAD and GET");
    }
}

#[tokio::test]
async fn a_plus_in_the_quoted_url_is_a_plus_and_a_plus_sign_is_a_space() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    for path in ["/a%20b", "/a+b"] {
        origin.route(path, Script::object(path));
    }
    assert_eq!(download(&node, "/api/v1/fetch?url=%s", &origin.url("/a b")).await, Some(b"/a%20b".to_vec()));
    assert_eq!(download(&node, "/api/v1/fetch?url=%s", &origin.url("/a+b")).await, Some(b"/a+b".to_vec()));
}

#[tokio::test]
async fn test_definitions_append_the_raw_url() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/suite/rootfs.tar.xz", Script::object("abc"));
    let http_cache = "/api/v1/fetch?url=%s".replace("%s", "");
    node.get(&format!("{http_cache}{}", origin.url("/suite/rootfs.tar.xz"))).await.expect_body(200, "abc");
    let slashed = "/api/v1/fetch/?url=";
    node.get(&format!("{slashed}{}", origin.url("/suite/rootfs.tar.xz"))).await.expect_body(200, "abc");
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_passing_fault_of_the_origin_is_survived_by_the_clients_tries() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    let bytes = content(2, 400_000);
    let bad = || Script::answer("503 Busy", "busy");
    let mut scripts: Vec<Script> = (0..30).map(|_| bad()).collect();
    scripts.push(Script::object(bytes.clone()).without_validators().cut_at(200_000, End::Reset).into());
    scripts.push(Script::object(bytes.clone()).into());
    origin.route_each("/f", scripts);
    // However often the server itself tries: nine tries of the client reach the good answer or end in the truth.
    let mut got = None;
    for _ in 0..10 {
        got = download(&node, "/api/v1/fetch?url=%s", &origin.url("/f")).await;
        if got.is_some() {
            break;
        }
    }
    assert!(got.is_some_and(|got| got == bytes));
    node.assert_alive().await;
}

#[tokio::test]
async fn a_missing_artefact_fails_at_once_and_truthfully() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    assert_eq!(download(&node, "/api/v1/fetch?url=%s", &origin.url("/nothing")).await, None);
    assert_eq!(origin.requests().len(), 1, "404 is neither tried again nor asked for twice");
}

#[tokio::test]
async fn no_room_is_507_which_clients_try_again() {
    let origin = Origin::start().await;
    let node = impatient().args(["--store-quota", "1MiB"]).start().await;
    origin.route("/big", Script::generated(1, 50 << 20));
    let target = format!("/api/v1/fetch?url={}", quote_plus(&origin.url("/big")));
    let answer = client::request(node.address(), "HEAD", &target, &FIELDS).await;
    assert!([200, 507].contains(&answer.status), "{answer:?}");
    let answer = client::request(node.address(), "GET", &target, &FIELDS).await;
    assert!(
        answer.status == 507 || (answer.status == 200 && answer.body.len() == 50 << 20),
        "{}",
        answer.status
    );
    node.assert_alive().await;
}

#[tokio::test]
async fn the_liveness_check_of_the_tezos_scripts_is_answered() {
    let node = Node::start().await;
    let answer = client::head(node.address(), "/").await;
    assert!(answer.status < 500 && answer.is_complete(), "{answer:?}");
}

#[tokio::test]
async fn a_length_is_announced_whenever_the_origin_announced_one() {
    // LAVA needs content-length; an object that came in chunks has one as soon as it is complete.
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/f", Script::object(content(1, 5000)).framing(testkit::origin::Framing::Chunked));
    let url = origin.url("/f");
    node.fetch(&url).await.expect_body(200, content(1, 5000));
    assert_eq!(node.fetch_head(&url).await.expect(200).content_length(), Some(5000));
    assert_eq!(node.fetch(&url).await.expect(200).content_length(), Some(5000));
}
