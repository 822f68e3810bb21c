//! A 304 with `Cache-Control: private="set-cookie"` put its `Set-Cookie` into the stored head, and everybody got one user's
//! session.

use scenarios::settled;
use testkit::node::Node;
use testkit::origin::{Origin, Script};

#[tokio::test]
async fn fields_that_are_private_stay_private_after_a_304() {
    let origin = Origin::start().await;
    let node = Node::builder().args(["--site", &format!("app={}", origin.url("/"))]).start().await;
    origin.route_with("/a", move |request, before| {
        let fields = format!(
            "Cache-Control: private=\"set-cookie\", max-age={}\r\nETag: \"a\"\r\nSet-Cookie: s={before}",
            50 + before * 500
        );
        match request.header("if-none-match") {
            Some(_) => Script::raw(format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n\r\n")),
            None => Script::answer(&format!("200 OK\r\nAge: 100\r\n{fields}"), "abc"),
        }
    });
    node.get("/r/app/a").await.expect_body(200, "abc");
    settled(&node).await;
    node.get("/r/app/a").await.expect_body(200, "abc");
    let stored = node.get("/r/app/a").await.expect_body(200, "abc");
    assert_eq!(stored.header("set-cookie"), None);
    assert_eq!(origin.requests_for("/a").len(), 2);
}
