//! When the origin keeps what it sends to `Authorization` private, such a client's piece of an object with holes took the
//! object from everybody, and cut off who was reading it.

use testkit::node::Node;
use testkit::origin::{Origin, Script};

const PIECE: usize = 1 << 20;
const TOTAL: usize = 3 * PIECE;

#[tokio::test]
async fn what_one_client_may_not_share_leaves_the_object_to_the_others() {
    let origin = Origin::start().await;
    origin.route_with("/a", |request, _| {
        let range = request.header("range").expect("a range");
        let (first, last) = range.trim_start_matches("bytes=").split_once('-').expect("a range");
        let (first, last): (usize, usize) = (first.parse().expect("digits"), last.parse().expect("digits"));
        let last = last.min(TOTAL - 1);
        let control = request.header("authorization").map_or("max-age=600", |_| "private");
        let head = format!(
            "206 P\r\nETag: \"a\"\r\nCache-Control: {control}\r\nContent-Range: bytes {first}-{last}/{TOTAL}"
        );
        Script::answer(&head, vec![b'a'; last + 1 - first])
    });
    let site = format!(
        "[[site]]\nname = \"app\"\norigin = \"{}\"\n[[rule]]\nrange-fill = \"pieces\"\n",
        origin.url("/")
    );
    let node = Node::builder().config(&site).start().await;
    node.request("GET", "/r/app/a", &[("Range", "bytes=0-1")]).await.expect_body(206, "aa");
    let private = [("Range", "bytes=2097152-2097153"), ("Authorization", "Basic eDp5")];
    node.request("GET", "/r/app/a", &private).await.expect_body(206, "aa");
    let again = node.request("GET", "/r/app/a", &[("Range", "bytes=0-1")]).await;
    assert!(again.header("cache-status").is_some_and(|status| status.contains("hit")), "{again:?}");
}
