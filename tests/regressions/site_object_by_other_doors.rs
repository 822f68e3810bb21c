//! What a site had fetched from a private address was given to whoever named that address to the fetch door or the proxy,
//! which may not reach it.

use testkit::client;
use testkit::node::Node;
use testkit::origin::{Origin, Script};

#[tokio::test]
async fn what_is_stored_for_a_site_does_not_open_its_origin() {
    let origin = Origin::start().await;
    origin.route("/a", Script::answer("200 OK\r\nCache-Control: max-age=600\r\nETag: \"a\"", "abc"));
    let site = format!("app={}", origin.url("/"));
    let node = Node::builder().guarded().args(["--site", &site]).start().await;
    node.get("/r/app/a").await.expect_body(200, "abc");
    let url = origin.url("/a");
    node.fetch(&url).await.expect_refusal(&[403]);
    let host = url.split('/').nth(2).expect("a host");
    client::request(node.address(), "GET", &url, &[("Host", host)]).await.expect_refusal(&[403]);
    node.get("/r/app/a").await.expect_body(200, "abc");
}
