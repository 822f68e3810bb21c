//! One client's request that the origin does not take (a header too large, a type it does not have) took the stored object from
//! everybody else.

use testkit::node::Node;
use testkit::origin::{Origin, Script};

#[tokio::test]
async fn what_is_wrong_with_one_request_says_nothing_about_the_object() {
    let origin = Origin::start().await;
    origin.route_with("/a", |request, _| match request.header("x-large") {
        Some(_) => Script::answer("431 Too Large", ""),
        None => Script::answer("200 OK\r\nCache-Control: max-age=600\r\nETag: \"a\"", "abc"),
    });
    let site = format!("app={}", origin.url("/"));
    let node = Node::builder().args(["--policy-reload-floor", "0s", "--site", &site]).start().await;
    node.get("/r/app/a").await.expect_body(200, "abc");
    node.request("GET", "/r/app/a", &[("X-Large", "1"), ("Cache-Control", "no-cache")]).await.expect(431);
    let after = node.get("/r/app/a").await.expect_body(200, "abc");
    assert!(after.header("cache-status").is_some_and(|status| status.contains("hit")), "{after:?}");
}
