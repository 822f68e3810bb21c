//! Behind a proxy, everything was taken for what any client may name: what a site had fetched from a private address by it was
//! given to whoever named that address to the fetch door.

use testkit::node::Node;
use testkit::origin::{Origin, Script};

#[tokio::test]
async fn a_private_address_stays_the_operators_behind_a_proxy() {
    let proxy = Origin::start().await;
    proxy.route("/a", Script::answer("200 OK\r\nCache-Control: max-age=600", "abc"));
    let node = Node::builder()
        .guarded()
        .env("http_proxy", proxy.url("/"))
        .args(["--site", "app=http://10.1.2.3/"])
        .start()
        .await;
    node.get("/r/app/a").await.expect_body(200, "abc");
    node.fetch("http://10.1.2.3/a").await.expect_refusal(&[403]);
    node.get("/r/app/a").await.expect_body(200, "abc");
}
