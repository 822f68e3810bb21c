//! CONNECT with `Content-Length` opened a tunnel: its first bytes were the request's content to one reader and the tunnel's to
//! another.

use testkit::client;
use testkit::node::Node;
use testkit::origin::Origin;

#[tokio::test]
async fn a_connect_that_declares_content_is_refused() {
    let origin = Origin::start().await;
    let host = origin.url("");
    let host = host.trim_start_matches("http://").trim_end_matches('/');
    let node = Node::builder().args(["--proxy-connect", "*:*"]).start().await;
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let request = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n{framing}\r\n\r\n");
        client::raw(node.address(), request).await.expect_refusal(&[400]);
    }
    assert_eq!(origin.connections(), 0);
}
