//! 38: redirects, the good ones and the others. (Those to private addresses: `ssrf.rs`.)

use scenarios::{impatient, outcome, settled};
use testkit::client;
use testkit::node::{Node, fetch_target};
use testkit::origin::{Origin, Script};

#[tokio::test]
async fn redirects_are_followed_and_the_object_is_kept_under_the_asked_url() {
    for status in [301, 302, 303, 307, 308] {
        let (origin, node) = (Origin::start().await, Node::start().await);
        let there = origin.url("/there");
        origin.route("/absolute", Script::redirect(status, &there));
        origin.route("/relative", Script::redirect(status, "there"));
        origin.route("/rooted", Script::redirect(status, "/there#fragment"));
        origin.route("/there", Script::object("abc"));
        for path in ["/absolute", "/relative", "/rooted"] {
            node.fetch(&origin.url(path)).await.expect_body(200, "abc");
            settled(&node).await;
            let again = node.fetch(&origin.url(path)).await.expect_body(200, "abc");
            assert_eq!(outcome(&again), "HIT", "{status} {path}");
        }
    }
}

#[tokio::test]
async fn ten_hops_are_followed_and_eleven_are_not() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    for n in 1..=11 {
        origin.route(&format!("/{n}"), Script::redirect(302, &format!("/{}", n - 1)));
    }
    origin.route("/0", Script::object("abc"));
    node.fetch(&origin.url("/10")).await.expect_body(200, "abc");
    node.fetch(&origin.url("/11")).await.expect_refusal(&[502, 508]);
    node.assert_alive().await;
}

#[tokio::test]
async fn circles_end_at_once() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    origin.route("/self", Script::redirect(302, "/self"));
    origin.route("/a", Script::redirect(302, "/b"));
    origin.route("/b", Script::redirect(302, "/a"));
    for path in ["/self", "/a"] {
        node.fetch(&origin.url(path)).await.expect_refusal(&[502, 508]);
    }
    assert!(origin.requests().len() < 30, "{}", origin.requests().len());
    node.assert_alive().await;
}

#[tokio::test]
async fn bad_locations_are_a_broken_origin() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    for (index, location) in [
        "",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "data:,abc",
        "javascript:1",
        "http://",
        "http://[::1",
        "//",
        "http://127.0.0.1:99999/",
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/{index}");
        origin.route(&path, Script::redirect(302, location));
        let answer = node.fetch(&origin.url(&path)).await;
        assert!(
            [400, 403, 502, 508].contains(&answer.status) && answer.is_complete(),
            "{location:?}: {answer:?}"
        );
    }
    origin.route("/none", Script::answer("302 Found", "where?"));
    let answer = node.fetch(&origin.url("/none")).await;
    assert!([302, 502].contains(&answer.status) && answer.is_complete(), "{answer:?}");
    let evil = Script::raw("HTTP/1.1 302 Found\r\nLocation: /\u{0}\r\nContent-Length: 0\r\n\r\n");
    origin.route("/nul", evil);
    node.fetch(&origin.url("/nul")).await.expect_refusal(&[502]);
    node.assert_alive().await;
}

#[tokio::test]
async fn credentials_stay_on_their_host() {
    let (origin, node) = (
        Origin::start().await,
        impatient().args(["--fetch-pass-headers", "Authorization,Private-Token"]).start().await,
    );
    let other = Origin::start_on("127.0.0.2".parse().expect("an address")).await;
    origin.route("/same", Script::redirect(302, "/there"));
    origin.route("/cross", Script::redirect(302, &other.url("/there")));
    origin.route("/there", Script::object("abc"));
    other.route("/there", Script::object("abc"));
    let fields = [("Authorization", "Bearer hush"), ("Private-Token", "hush")];
    for path in ["/same", "/cross"] {
        let target = fetch_target(&origin.url(path), "&passheaders=Authorization,Private-Token");
        client::get_with(node.address(), &target, &fields).await.expect_body(200, "abc");
    }
    assert_eq!(origin.requests_for("/there")[0].header("authorization"), Some("Bearer hush"));
    assert_eq!(origin.requests_for("/there")[0].header("private-token"), Some("hush"));
    let crossed = &other.requests()[0];
    assert_eq!((crossed.header("authorization"), crossed.header("private-token")), (None, None));
    let with_password = origin.url("/cross?2").replace("http://", "http://user:hush@");
    node.fetch(&with_password).await.expect_body(200, "abc");
    assert!(other.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn errors_behind_a_redirect_are_told() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    origin.route("/f", Script::redirect(302, "/gone"));
    origin.route("/gone", Script::answer("410 Gone", "x"));
    node.fetch(&origin.url("/f")).await.expect_refusal(&[410]);
}
