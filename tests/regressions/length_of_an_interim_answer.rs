//! A 103 of an origin with `Content-Length: 5` went to the client with it: a client that believes the field takes the beginning of
//! the final answer for content.

use testkit::node::Node;
use testkit::origin::{Origin, Script};

#[tokio::test]
async fn an_interim_answer_declares_no_content() {
    let origin = Origin::start().await;
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 5\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 3\r\n\r\nabc";
    origin.route("/a", Script::raw(format!("{hint}{answer}")));
    let node = Node::builder().args(["--site", &format!("app={}", origin.url("/"))]).start().await;
    let mut client = node.client().await;
    client.start("GET", "/r/app/a", &[]).await;
    let raw = client.some_body(60).await;
    let text = String::from_utf8_lossy(&raw).to_lowercase();
    let (interim, _) = text.split_once("\r\n\r\n").expect("the end of a head");
    assert!(interim.starts_with("http/1.1 103") && interim.contains("link: </a>"), "{interim}");
    assert!(!interim.contains("content-length"), "{interim}");
}
