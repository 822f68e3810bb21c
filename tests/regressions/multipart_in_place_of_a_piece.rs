//! Asked for a piece, an origin sent `multipart/byteranges` with the right `Content-Range` beside it; its boundaries became bytes
//! of the object.

use testkit::node::Node;
use testkit::origin::{Origin, Script};

const MIB: usize = 1 << 20;
const TOTAL: usize = 18 * MIB;

#[tokio::test]
async fn the_boundaries_of_several_parts_are_no_bytes_of_the_object() {
    let origin = Origin::start().await;
    origin.route_with("/a", |request, before| {
        let fields = "Cache-Control: max-age=600\r\nETag: \"a\"";
        let Some(range) = request.header("range") else {
            return Script::answer(&format!("200 OK\r\n{fields}"), vec![b'a'; TOTAL]);
        };
        let (first, last) = range.trim_start_matches("bytes=").split_once('-').expect("a range");
        let (first, last): (usize, usize) = (first.parse().expect("digits"), last.parse().expect("digits"));
        let last = last.min(TOTAL - 1);
        let (content_type, before) = match before {
            0 => ("text/plain", ""),
            _ => ("multipart/byteranges; boundary=q", "--q\r\n\r\n"),
        };
        let body = [before.as_bytes(), &vec![b'a'; last + 1 - first]].concat();
        let head = format!(
            "206 P\r\n{fields}\r\nContent-Type: {content_type}\r\nContent-Range: bytes {first}-{last}/{TOTAL}"
        );
        Script::answer(&head, body)
    });
    let node = Node::builder().args(["--site", &format!("app={}", origin.url("/"))]).start().await;
    node.request("GET", "/r/app/a", &[("Range", "bytes=0-9")]).await.expect_body(206, "aaaaaaaaaa");
    let whole = node.get("/r/app/a").await;
    assert!(whole.body.iter().all(|byte| *byte == b'a'), "boundaries in the body");
}
