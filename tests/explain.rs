//! What operators are told about a request, by the built binary.

use scenarios::{outcome, settled};
use serde_json::Value;
use testkit::node::{Node, run};
use testkit::origin::{Origin, Script};

async fn explain(node: &Node, query: &str) -> Value {
    let answer = node.get(&format!("/api/v1/explain?{query}")).await.expect(200);
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[tokio::test]
async fn an_explanation_of_a_site_is_what_then_happens() {
    let origin = Origin::start().await;
    let node = Node::builder().arg("--site").arg(format!("shop={}", origin.url(""))).start().await;
    origin.route("/a", Script::object("abc").header("Cache-Control", "max-age=600"));
    origin.route("/p", Script::object("abc").header("Cache-Control", "private"));
    let target = "url=/r/shop/a";
    assert_eq!(explain(&node, target).await["answer"], "miss");
    assert_eq!(outcome(&node.get("/r/shop/a").await.expect(200)), "MISS");
    settled(&node).await;
    let hit = explain(&node, target).await;
    assert_eq!(
        (&hit["answer"], &hit["reason"], &hit["state"]),
        (&"hit".into(), &"fresh".into(), &"complete".into())
    );
    assert_eq!((&hit["freshness"]["lifetime"], &hit["freshness"]["basis"]), (&600.into(), &"max_age".into()));
    assert_eq!(outcome(&node.get("/r/shop/a").await.expect(200)), "HIT");
    let reload = explain(&node, "url=/r/shop/a&header=Cache-Control:%20max-age=0").await;
    assert!(["revalidate", "hit"].contains(&reload["answer"].as_str().expect("a word")), "{reload}");
    node.get("/r/shop/p").await.expect(200);
    let private = explain(&node, "url=/r/shop/p").await;
    assert_eq!((&private["state"], &private["origin"][0]["storable"]), (&"absent".into(), &"private".into()));
    assert!(private["because"].to_string().contains("says private"), "{private}");
}

#[tokio::test]
async fn variants_are_listed_and_the_one_of_the_request_is_named() {
    let origin = Origin::start().await;
    let node = Node::builder().arg("--site").arg(format!("shop={}", origin.url(""))).start().await;
    let script =
        Script::object("abc").header("Cache-Control", "max-age=600").header("Vary", "Accept-Language");
    origin.route("/a", script);
    for language in ["de", "en"] {
        node.request("GET", "/r/shop/a", &[("Accept-Language", language)]).await.expect(200);
        settled(&node).await;
    }
    let german = explain(&node, "url=/r/shop/a&header=Accept-Language:%20de").await;
    let variants = german["variants"].as_array().expect("a list");
    let selected: Vec<_> = variants.iter().filter(|variant| variant["selected"] == true).collect();
    assert_eq!((variants.len(), selected.len(), &german["answer"]), (2, 1, &"hit".into()));
    assert_eq!(german["object"]["key"], selected[0]["key"]);
    assert_eq!(explain(&node, "url=/r/shop/a&header=Accept-Language:%20fr").await["answer"], "miss");
}

#[tokio::test]
async fn the_command_prints_it_for_people() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/a", Script::object("abc"));
    let url = origin.url("/a");
    node.fetch(&url).await.expect(200);
    settled(&node).await;
    let output = run(["explain", &url, "--server", &node.url()]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in
        ["url ", "rule         fetch", "answer       hit (fresh)", "because ", "origin       200 to GET"]
    {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    let output = run(["explain", &url, "--json", "--server", &node.url()]).await;
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["answer"], "hit");
}

#[tokio::test]
async fn the_api_describes_itself() {
    let node = Node::start().await;
    let answer = node.get("/api/v1/openapi.json").await.expect(200);
    let description: Value = serde_json::from_slice(&answer.body).expect("JSON");
    for path in
        ["/api/v1/purge", "/api/v1/explain", "/api/v1/entries/{key}", "/api/v1/reload", "/api/v1/fetch"]
    {
        assert!(description["paths"][path].is_object(), "no {path}");
    }
}
