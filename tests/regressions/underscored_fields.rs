//! A stranger's `X_Forwarded_For` reached the origins of sites, where servers that make variables of fields take it for
//! `X-Forwarded-For`.

use testkit::node::Node;
use testkit::origin::{Origin, Script};

#[tokio::test]
async fn a_strangers_word_on_itself_does_not_come_in_by_another_spelling() {
    let origin = Origin::start().await;
    origin.route("/a", Script::answer("200 OK\r\nCache-Control: no-store", "abc"));
    let node = Node::builder().args(["--site", &format!("app={}", origin.url("/"))]).start().await;
    let fields = [("X_Forwarded_For", "10.0.0.1"), ("X-Forwarded_Host", "evil"), ("X_Own", "1")];
    node.request("POST", "/r/app/a", &fields).await.expect_body(200, "abc");
    let seen = &origin.requests_for("/a")[0];
    assert_eq!(seen.header("x_forwarded_for"), None);
    assert_eq!(seen.header("x-forwarded_host"), None);
    assert_eq!(seen.header("x_own"), Some("1"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
}
