//! A 304 that says `private` or `no-store`, and its `Set-Cookie`, went to everybody who had waited with the request that it
//! answered.

use scenarios::settled;
use testkit::node::Node;
use testkit::origin::{Gate, Origin, Script, Step};

#[tokio::test]
async fn a_304_that_is_private_answers_one_request() {
    let (origin, gate) = (Origin::start().await, Gate::new());
    let waits = gate.clone();
    origin.route_with("/a", move |request, _| match request.header("if-none-match") {
        Some(_) => {
            let who = request.header("cookie").unwrap_or_default();
            Script::Steps(vec![Step::Wait(waits.clone())]).then(Step::Send(
                format!("HTTP/1.1 304 Not Modified\r\nCache-Control: private\r\nETag: \"a\"\r\nSet-Cookie: of={who}\r\n\r\n").into(),
            ))
        }
        None => Script::answer("200 OK\r\nCache-Control: max-age=50\r\nAge: 100\r\nETag: \"a\"", "abc"),
    });
    let node = Node::builder().args(["--site", &format!("app={}", origin.url("/"))]).start().await;
    node.get("/r/app/a").await.expect_body(200, "abc");
    settled(&node).await;
    let mut ann = node.client().await;
    ann.start("GET", "/r/app/a", &[("Cookie", "ann")]).await;
    gate.reached(1).await;
    let mut bob = node.client().await;
    bob.start("GET", "/r/app/a", &[("Cookie", "bob")]).await;
    // He is there when a request behind him on another connection is answered.
    node.assert_alive().await;
    gate.open();
    ann.response("GET").await.expect_body(200, "abc");
    let bob = bob.response("GET").await.expect_body(200, "abc");
    assert_ne!(bob.header("set-cookie"), Some("of=ann"));
}
