//! `GET http://user:pw@a.app.example/ HTTP/1.0` went to a site that keeps the client's host, and its origin got
//! `Host: user:pw@a.app.example`. With `Host`, the request was always refused.

use testkit::client;
use testkit::node::Node;
use testkit::origin::Origin;

#[tokio::test]
async fn a_user_name_never_becomes_part_of_a_host() {
    let origin = Origin::start().await;
    let toml = format!(
        "[[site]]\nname = \"app\"\norigin = \"{}\"\nhosts = [\"*.app.example\"]\nhost = \"keep\"\n",
        origin.url("/")
    );
    let node = Node::builder().config(&toml).start().await;
    for authority in ["user:pw@a.app.example", "@a.app.example"] {
        let request = format!("GET http://{authority}/ HTTP/1.0\r\n\r\n");
        client::raw(node.address(), request).await.expect_refusal(&[400]);
    }
    assert_eq!(origin.connections(), 0);
}
