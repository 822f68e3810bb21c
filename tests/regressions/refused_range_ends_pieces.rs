//! One range beyond the end of an object, and for ten seconds no range of it was stored or shared.

use testkit::node::Node;
use testkit::origin::{Origin, Script};

#[tokio::test]
async fn a_416_says_nothing_about_other_ranges() {
    let origin = Origin::start().await;
    let object = Script::generated(1, 3 << 20).etag("\"a\"").header("Cache-Control", "max-age=600");
    origin.route("/a", object);
    let node = Node::builder().args(["--site", &format!("app={}", origin.url("/"))]).start().await;
    node.request("GET", "/r/app/a", &[("Range", "bytes=99999999-")]).await.expect(416);
    node.request("GET", "/r/app/a", &[("Range", "bytes=0-9")]).await.expect(206);
    let again = node.request("GET", "/r/app/a", &[("Range", "bytes=0-9")]).await.expect(206);
    assert!(again.header("cache-status").is_some_and(|status| status.contains("hit")), "{again:?}");
}
