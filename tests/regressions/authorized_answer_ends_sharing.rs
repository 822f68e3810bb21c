//! An answer to `Authorization`, which may not be shared, kept everybody else from waiting for each other for ten seconds: one
//! such request, and each of a crowd asked the origin on its own.

use testkit::node::Node;
use testkit::origin::{Gate, Origin, Script, Step};

#[tokio::test]
async fn a_crowd_asks_once_whatever_one_of_them_has_sent() {
    let (origin, gate) = (Origin::start().await, Gate::new());
    let waits = gate.clone();
    origin.route_with("/a", move |request, _| {
        let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 3\r\n\r\nabc";
        match request.header("authorization") {
            Some(_) => Script::raw(answer),
            None => Script::Steps(vec![Step::Wait(waits.clone()), Step::Send(answer.into())]),
        }
    });
    let node = Node::builder().args(["--site", &format!("app={}", origin.url("/"))]).start().await;
    node.request("GET", "/r/app/a", &[("Authorization", "Basic eDp5")]).await.expect(200);
    let (mut one, mut other) = (node.client().await, node.client().await);
    one.start("GET", "/r/app/a", &[]).await;
    gate.reached(1).await;
    // Whoever has it comes past those who wait.
    node.request("GET", "/r/app/a", &[("Authorization", "Basic eDp5")]).await.expect(200);
    other.start("GET", "/r/app/a", &[]).await;
    node.get("/r/app/b").await.expect(404);
    gate.open();
    one.response("GET").await.expect_body(200, "abc");
    other.response("GET").await.expect_body(200, "abc");
    assert_eq!(origin.requests_for("/a").len(), 3);
}
