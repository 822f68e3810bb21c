//! `Range: bytes=99999999-` of an object that was not there made us ask for pieces; the origin's 416 with `max-age` was stored
//! and answered everybody, with a range or without.

use testkit::node::Node;
use testkit::origin::{Origin, Script};

#[tokio::test]
async fn a_416_is_not_what_others_get() {
    let origin = Origin::start().await;
    origin.route_with("/a", |request, _| match request.header("range") {
        Some(_) => Script::answer("416 No\r\nContent-Range: bytes */3\r\nCache-Control: max-age=600", ""),
        None => Script::answer("200 OK\r\nCache-Control: max-age=600\r\nETag: \"a\"", "abc"),
    });
    let node = Node::builder().args(["--site", &format!("app={}", origin.url("/"))]).start().await;
    node.request("GET", "/r/app/a", &[("Range", "bytes=99999999-")]).await.expect(416);
    node.get("/r/app/a").await.expect_body(200, "abc");
}
