//! A site with the origin `http://host/base/` was left by `/r/app/..%2fsecret`: only segments between plain slashes were
//! looked at, while the origin decodes `%2f` and `%5c` and forgets what follows a `;`.

use testkit::node::Node;
use testkit::origin::{Origin, Script};

#[tokio::test]
async fn no_spelling_of_a_dot_segment_reaches_a_sites_origin() {
    let origin = Origin::start().await;
    origin.route("/base/a", Script::answer("200 OK", "abc"));
    let site = format!("app={}", origin.url("/base/"));
    let node = Node::builder().args(["--site", &site]).start().await;
    for path in
        ["..%2fsecret", "a/..%2F..%2fsecret", "..%5csecret", "..;/secret", "%2e%2e;x/secret", ".%2e%2fx"]
    {
        node.get(&format!("/r/app/{path}")).await.expect_refusal(&[400]);
    }
    assert_eq!(origin.connections(), 0);
    node.get("/r/app/a").await.expect_body(200, "abc");
}
