//! What operators take out of the store, and what they have confirmed, of the built binary.

use scenarios::{EAGER, committed, outcome, settled};
use serde_json::{Value, json};
use testkit::node::{Node, run};
use testkit::origin::{Origin, Script};

fn site(origin: &Origin) -> String {
    format!("shop={}", origin.url("/shop"))
}

async fn post(node: &Node, path: &str, content: &str) -> Value {
    let mut client = node.client().await;
    let length = content.len();
    client
        .send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{content}"))
        .await;
    let answer = client.response("POST").await;
    assert!([200, 202].contains(&answer.status), "{answer:?}");
    serde_json::from_slice(&answer.body).expect("JSON")
}

async fn purge(node: &Node, wanted: Value) -> u64 {
    let answer = post(node, "/api/v1/purge", &wanted.to_string()).await;
    answer["entries"].as_u64().expect("a number")
}

fn object(tags: &str) -> Script {
    Script::object("abc").header("Cache-Control", "max-age=600").header("Surrogate-Key", tags).into()
}

#[tokio::test]
async fn sites_and_the_fetch_door_are_purged_by_tag_through_a_restart() {
    let origin = Origin::start().await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let start = || {
        let builder = Node::builder().args(EAGER).arg("--site").arg(site(&origin));
        builder.arg("--store-directory").arg(directory.path().join("store")).start()
    };
    for (path, tags) in [("/shop/a", "x y"), ("/shop/b", "y"), ("/f", "y z")] {
        origin.route(path, object(tags));
    }
    let node = start().await;
    let targets = ["/r/shop/a".to_owned(), "/r/shop/b".to_owned(), format!("/{}", origin.url("/f"))];
    for target in &targets {
        node.get(target).await.expect_body(200, "abc");
    }
    settled(&node).await;
    committed(&node).await;
    assert!(node.stop().await.success());
    let node = start().await;
    assert_eq!(purge(&node, json!({"tag": "y", "dry_run": true})).await, 3);
    assert_eq!(purge(&node, json!({"tag": "x"})).await, 1);
    assert_eq!(purge(&node, json!({"tag": "z", "mode": "soft"})).await, 1);
    assert_eq!(outcome(&node.get(&targets[0]).await.expect(200)), "MISS");
    assert_eq!(outcome(&node.get(&targets[1]).await.expect(200)), "HIT");
    assert_eq!(outcome(&node.get(&targets[2]).await.expect(200)), "REVALIDATED");
    settled(&node).await;
    assert_eq!(outcome(&node.get(&targets[2]).await.expect(200)), "HIT");
}

#[tokio::test]
async fn a_purge_that_was_answered_survives_a_kill() {
    let origin = Origin::start().await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let start = || {
        let builder = Node::builder().args(["--store-commit-interval", "20ms"]);
        builder.arg("--store-directory").arg(directory.path().join("store")).start()
    };
    for path in ["/a", "/b"] {
        origin.route(path, object(path));
    }
    let mut node = start().await;
    for path in ["/a", "/b"] {
        node.fetch(&origin.url(path)).await.expect_body(200, "abc");
    }
    committed(&node).await;
    assert_eq!(purge(&node, json!({"prefix": origin.url("/a")})).await, 1);
    assert_eq!(purge(&node, json!({"expression": "path == \"/b\"", "mode": "soft"})).await, 1);
    node.kill().await;
    let node = start().await;
    assert_eq!(outcome(&node.fetch(&origin.url("/a")).await.expect(200)), "MISS");
    assert_eq!(outcome(&node.fetch(&origin.url("/b")).await.expect(200)), "REVALIDATED");
}

#[tokio::test]
async fn the_method_purge_takes_out_what_its_target_names() {
    let origin = Origin::start().await;
    origin.route("/shop/a", object("x"));
    let node = Node::builder().arg("--site").arg(site(&origin)).start().await;
    for expected in ["MISS", "HIT"] {
        assert_eq!(outcome(&node.get("/r/shop/a").await.expect(200)), expected);
        settled(&node).await;
    }
    let purged = node.request("PURGE", "/r/shop/a", &[]).await.expect(200);
    assert!(purged.text().contains("\"entries\": 1"), "{purged:?}");
    assert_eq!(outcome(&node.get("/r/shop/a").await.expect(200)), "MISS");
    let guarded =
        Node::builder().args(["--access-rules", "deny any door=admin", "--access-rules", "allow loopback"]);
    guarded.start().await.request("PURGE", "/http://a.example/", &[]).await.expect_refusal(&[403]);
}

#[tokio::test]
async fn the_commands_purge_list_and_prewarm() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    for path in ["/a", "/bb"] {
        origin.route(path, object("t"));
    }
    let list = node.directory().join("list");
    let urls = format!("{}\n# none\n{}\n{}\n", origin.url("/a"), origin.url("/bb"), origin.url("/missing"));
    std::fs::write(&list, urls).expect("written");
    let server = node.url();
    let command = async |arguments: &[&str]| {
        let output = run(arguments.iter().copied().chain(["--server", server.as_str()])).await;
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), text)
    };
    let (code, text) = command(&["prewarm", list.to_str().expect("text")]).await;
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("/missing: ") && text.contains("2 of 3 URLs are stored"), "{text}");
    assert_eq!(origin.requests_for("/a").len(), 1);
    let (code, text) = command(&["entries", "--sort", "age"]).await;
    assert_eq!((code, text.lines().count()), (Some(0), 2), "{text}");
    assert!(text.contains("200  fresh") && text.contains("/bb"), "{text}");
    let (code, text) = command(&["purge", "--tag", "t", "--dry-run"]).await;
    assert_eq!((code, &*text), (Some(0), "2 objects, 6 bytes would be purged\n"));
    let (code, text) = command(&["purge", &origin.url("/a")]).await;
    assert_eq!((code, &*text), (Some(0), "1 object, 3 bytes purged\n"));
    assert_eq!(command(&["entries", "--tag", "t", "--json"]).await.1.lines().count(), 1);
    let (code, text) = command(&["purge", "--expression", "hots == 1"]).await;
    assert_eq!(code, Some(1));
    assert!(text.contains("at character 1: `hots` is no field"), "{text}");
    assert_eq!(command(&["purge"]).await.0, Some(2));
}
