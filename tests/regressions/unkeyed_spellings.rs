//! Fields like `X-Forwarded-Host` were kept from origins where the answer is shared, but not `X_Forwarded_Host`, which servers that
//! make variables of fields take for the same, nor others of the kind.

use testkit::node::Node;
use testkit::origin::{Origin, Script};

#[tokio::test]
async fn no_unkeyed_field_reaches_the_origin_of_a_shared_answer() {
    let origin = Origin::start().await;
    origin.route("/a", Script::answer("200 OK\r\nCache-Control: max-age=600", "abc"));
    let node = Node::builder().args(["--site", &format!("app={}", origin.url("/"))]).start().await;
    let fields = [
        "X_Original_Url",
        "X-Original_Host",
        "X_Host",
        "X-Original-Uri",
        "X-Original-Path",
        "X-Forwarded-Path",
        "X-Forwarded-Uri",
        "X-Forwarded-Protocol",
        "X-Url-Scheme",
        "Front-End-Https",
        "X-Override-Url",
        "X-Envoy-Original-Path",
        "True-Client-Ip",
        "X-Client-Ip",
        "X-Cluster-Client-Ip",
        "Proxy",
    ];
    let sent: Vec<_> = fields.iter().map(|name| (*name, "evil")).collect();
    node.request("GET", "/r/app/a", &sent).await.expect_body(200, "abc");
    let seen = &origin.requests_for("/a")[0];
    let passed: Vec<_> = fields.iter().filter(|name| seen.header(name).is_some()).collect();
    assert_eq!(passed, Vec::<&&str>::new());
}
