//! A POST took out what was stored, but not what a GET before it was about to store: the answer of before the change stayed
//! fresh after it.

use testkit::node::Node;
use testkit::origin::{Gate, Origin, Script, Step};

#[tokio::test]
async fn what_was_asked_for_before_a_change_is_not_stored_after_it() {
    let (origin, gate) = (Origin::start().await, Gate::new());
    let waits = gate.clone();
    origin.route_with("/a", move |request, before| {
        let fresh = |body: &str| {
            format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 3\r\n\r\n{body}")
        };
        match (request.method.as_str(), before) {
            ("POST", _) => Script::answer("200 OK", ""),
            (_, 0) => Script::Steps(vec![Step::Wait(waits.clone()), Step::Send(fresh("old").into())]),
            _ => Script::raw(fresh("new")),
        }
    });
    let node = Node::builder().args(["--site", &format!("app={}", origin.url("/"))]).start().await;
    let mut slow = node.client().await;
    slow.start("GET", "/r/app/a", &[]).await;
    gate.reached(1).await;
    node.request("POST", "/r/app/a", &[]).await.expect(200);
    gate.open();
    slow.response("GET").await.expect_body(200, "old");
    node.get("/r/app/a").await.expect_body(200, "new");
}
