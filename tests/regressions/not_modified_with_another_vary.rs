//! A 304 that names another `Vary` was merged into the stored head, but which requests the object answers stayed as it was:
//! one user's page went to the others.

use scenarios::settled;
use testkit::node::Node;
use testkit::origin::{Origin, Script};

#[tokio::test]
async fn a_304_that_changes_vary_changes_who_is_answered() {
    let origin = Origin::start().await;
    origin.route_with("/a", |request, _| match request.header("if-none-match") {
        Some(_) => Script::raw(
            "HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=600\r\nETag: \"a\"\r\nVary: Cookie\r\n\r\n",
        ),
        None => Script::answer(
            "200 OK\r\nCache-Control: max-age=50\r\nAge: 100\r\nETag: \"a\"",
            request.header("cookie").unwrap_or_default(),
        ),
    });
    let node = Node::builder().args(["--site", &format!("app={}", origin.url("/"))]).start().await;
    for _ in 0..2 {
        node.request("GET", "/r/app/a", &[("Cookie", "ann")]).await.expect_body(200, "ann");
        settled(&node).await;
    }
    let before = origin.requests_for("/a").len();
    node.request("GET", "/r/app/a", &[("Cookie", "bob")]).await.expect(200);
    assert_eq!(origin.requests_for("/a").len(), before + 1, "bob was answered with what is stored for ann");
}
