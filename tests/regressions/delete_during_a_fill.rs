//! `POST /api/v1/delete` took out what was stored, but not what was about to be: a purge of the same URL does.

use testkit::node::Node;
use testkit::origin::{Gate, Origin, Script, Step};

#[tokio::test]
async fn what_was_asked_for_before_a_delete_is_not_stored_after_it() {
    let (origin, gate) = (Origin::start().await, Gate::new());
    let waits = gate.clone();
    origin.route_with("/a", move |_, before| {
        let fresh = |body: &str| {
            format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 3\r\n\r\n{body}")
        };
        match before {
            0 => Script::Steps(vec![Step::Wait(waits.clone()), Step::Send(fresh("old").into())]),
            _ => Script::raw(fresh("new")),
        }
    });
    let node = Node::builder().args(["--site", &format!("app={}", origin.url("/"))]).start().await;
    let mut slow = node.client().await;
    slow.start("GET", "/r/app/a", &[]).await;
    gate.reached(1).await;
    node.request("POST", &format!("/api/v1/delete?url={}", origin.url("/a")), &[]).await;
    gate.open();
    slow.response("GET").await.expect_body(200, "old");
    node.get("/r/app/a").await.expect_body(200, "new");
}
