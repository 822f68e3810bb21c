//! The fetch door follows redirects; a site and the proxy then gave what it had found elsewhere in place of the redirect. With
//! an origin that redirects anywhere, strangers could put their page under a site's URL.

use testkit::client;
use testkit::node::Node;
use testkit::origin::{Origin, Script};

#[tokio::test]
async fn what_a_redirect_led_the_fetch_door_to_is_no_object_of_the_site() {
    let (origin, other) = (Origin::start().await, Origin::start().await);
    other.route("/a", Script::answer("200 OK\r\nCache-Control: max-age=600\r\nETag: \"a\"", "stranger"));
    origin.route("/go", Script::redirect(302, &other.url("/a")));
    let node = Node::builder().args(["--site", &format!("app={}", origin.url("/"))]).start().await;
    let url = origin.url("/go");
    node.fetch(&url).await.expect_body(200, "stranger");
    node.get("/r/app/go").await.expect(302);
    let host = url.split('/').nth(2).expect("a host");
    client::request(node.address(), "GET", &url, &[("Host", host)]).await.expect(302);
    node.fetch(&url).await.expect_body(200, "stranger");
}
