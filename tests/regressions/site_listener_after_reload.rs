//! The address of a site that a reload had taken away answered like a main listener: operators' pages and the fetch door.

use scenarios::impatient;
use testkit::client;
use testkit::origin::{Origin, Script};

#[tokio::test]
async fn the_address_of_a_site_that_is_gone_answers_nothing() {
    let origin = Origin::start().await;
    origin.route("/a", Script::answer("200 OK\r\nCache-Control: max-age=60", "abc"));
    let site = |name: &str| format!("[[site]]\nname = \"{name}\"\norigin = \"{}\"\n", origin.url("/"));
    let toml = format!("{}listen = [\"127.0.0.1:0\"]\n", site("docs"));
    let node = impatient().config(&toml).start().await;
    let line = node.stdout().lines().find(|line| line.contains("for the site docs")).map(str::to_owned);
    let address: std::net::SocketAddr =
        line.and_then(|line| line.rsplit('/').next()?.parse().ok()).expect("it says where");
    client::get(address, "/a").await.expect_body(200, "abc");
    std::fs::write(node.directory().join("standpipe.toml"), site("other")).expect("written");
    node.request("POST", "/api/v1/reload", &[]).await.expect(200);
    for path in ["/a", "/metrics", "/api/v1/status/", "/r/other/a", &format!("/{}", origin.url("/a"))] {
        let refused = client::get(address, path).await.expect_refusal(&[404]);
        assert!(refused.text().contains("not configured any more"), "{path}: {}", refused.text());
    }
    client::request(address, "POST", "/api/v1/purge", &[]).await.expect(404);
    client::request(address, "PURGE", "/a", &[]).await.expect(404);
    node.get("/r/other/a").await.expect(200);
}
