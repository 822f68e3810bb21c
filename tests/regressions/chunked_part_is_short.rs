//! A 206 that said to be all of the object, but ended its chunks before that, was stored as the whole: short, for everybody,
//! and with a clean end.

use testkit::node::Node;
use testkit::origin::{Origin, Script};

#[tokio::test]
async fn a_part_that_is_shorter_than_it_says_is_not_the_whole() {
    let origin = Origin::start().await;
    origin.route_with("/a", |request, _| match request.header("range") {
        Some(_) => Script::raw(
            "HTTP/1.1 206 Part\r\nContent-Range: bytes 0-5/6\r\nETag: \"a\"\r\nCache-Control: max-age=600\r\n\
             Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
        None => Script::answer("200 OK\r\nCache-Control: max-age=600\r\nETag: \"a\"", "abcdef"),
    });
    let node = Node::builder().args(["--site", &format!("app={}", origin.url("/"))]).start().await;
    let mut client = node.client().await;
    client.start("GET", "/r/app/a", &[("Range", "bytes=0-")]).await;
    let head = client.head("GET").await;
    client.body(&head, |_| ()).await;
    node.get("/r/app/a").await.expect_body(200, "abcdef");
}
