//! `GET *` was taken for `GET /*` of a site and stored under its key.

use testkit::client;
use testkit::node::Node;
use testkit::origin::Origin;

#[tokio::test]
async fn an_asterisk_is_no_path() {
    let origin = Origin::start().await;
    let toml =
        format!("[[site]]\nname = \"app\"\norigin = \"{}\"\nhosts = [\"app.example\"]\n", origin.url("/"));
    let node = Node::builder().config(&toml).start().await;
    for method in ["GET", "POST"] {
        let request = format!("{method} * HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n");
        client::raw(node.address(), request).await.expect_refusal(&[400]);
    }
    assert_eq!(origin.connections(), 0);
    client::raw(node.address(), "OPTIONS * HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n")
        .await
        .expect(204);
}
