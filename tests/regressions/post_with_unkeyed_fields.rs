//! The answer to a POST that a later GET may get was stored although the POST had taken the client's `X-Original-URL` and the
//! like to the origin.

use testkit::node::Node;
use testkit::origin::{Origin, Script};

#[tokio::test]
async fn a_post_does_not_poison_what_is_stored() {
    let origin = Origin::start().await;
    origin.route_with("/a", |request, _| {
        let body = request.header("x-original-url").unwrap_or("good").to_owned();
        Script::answer("200 OK\r\nCache-Control: max-age=600\r\nContent-Location: /a", body)
    });
    let node = Node::builder().args(["--site", &format!("app={}", origin.url("/"))]).start().await;
    node.request("POST", "/r/app/a", &[("X-Original-URL", "/evil")]).await.expect(200);
    node.get("/r/app/a").await.expect_body(200, "good");
}
