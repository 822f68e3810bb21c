//! The answer to a HEAD freshened the stored GET although the HEAD had taken the client's `X-Host` and the like to the origin:
//! what the origin made of them was served to everybody.

use scenarios::settled;
use testkit::node::Node;
use testkit::origin::{Origin, Script};

#[tokio::test]
async fn a_head_does_not_poison_what_is_stored() {
    let origin = Origin::start().await;
    origin.route_with("/a", |request, _| {
        let host = request.header("x-host").unwrap_or("good").to_owned();
        if request.method == "GET" {
            return Script::answer(
                &format!("200 OK\r\nCache-Control: max-age=50\r\nAge: 100\r\nETag: \"a\"\r\nLink: <//{host}/x>"),
                "abc",
            );
        }
        Script::raw(format!(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nETag: \"a\"\r\nLink: <//{host}/x>\r\nContent-Length: 3\r\n\r\n"
        ))
    });
    let node = Node::builder().args(["--site", &format!("app={}", origin.url("/"))]).start().await;
    node.get("/r/app/a").await.expect_body(200, "abc");
    settled(&node).await;
    node.request("HEAD", "/r/app/a", &[("X-Host", "evil")]).await.expect(200);
    let after = node.get("/r/app/a").await.expect_body(200, "abc");
    assert_eq!(after.header("link"), Some("<//good/x>"));
}
