//! Purge, explain, entries, prewarm and the description of it all.

use cache::policy;
use serde_json::{Value, json};

use super::*;
use crate::admin::routes::{Place, ROUTES};
use crate::exchange::HostSent;
use crate::exchange::SiteSettings;
use crate::exchange::pattern::HostPattern;

async fn post(door: &AdminDoor, path: &str, content: &str) -> (u16, &'static str, String) {
    let reply = door.answer(&head("POST", path, &[]), content.as_bytes()).await;
    (reply.response.status().as_u16(), reply.reason, text(reply).await)
}

async fn get(door: &AdminDoor, path: &str) -> (u16, Value) {
    let reply = door.answer(&head("GET", path, &[]), &[]).await;
    let status = reply.response.status().as_u16();
    (status, serde_json::from_str(&text(reply).await).unwrap_or_default())
}

async fn purge(door: &AdminDoor, wanted: Value) -> Value {
    let (status, reason, answer) = post(door, "/api/v1/purge", &wanted.to_string()).await;
    assert_eq!((status, reason), (200, "purged"), "{answer}");
    serde_json::from_str(&answer).expect("JSON")
}

#[tokio::test]
async fn a_purge_selects_in_five_ways_and_counts() {
    let node = Node::new();
    let door = door(&node, Settings::default());
    let length = "https://h.example/a".len();
    for (wanted, count) in [
        (json!({"url": "https://h.example/a"}), 1),
        (json!({"url": "/https://h.example/a"}), 1),
        (json!({"prefix": "https://h.example/"}), 1),
        (json!({"host": "h.example"}), 1),
        (json!({"tag": "x"}), 0),
        (json!({"expression": "host == \"h.example\" && header.content-type == \"text/html\""}), 1),
    ] {
        node.read("/https://h.example/a", &[]).await;
        let answer = json!({"entries": count, "bytes": count * length});
        let with = |member: &str, value: Value| {
            let mut wanted = wanted.clone();
            wanted[member] = value;
            wanted
        };
        assert_eq!(purge(&door, with("dry_run", json!(true))).await, answer, "{wanted}");
        assert_eq!(purge(&door, with("mode", json!("soft"))).await, answer, "{wanted}");
        assert_eq!(purge(&door, wanted.clone()).await, answer, "{wanted}");
        assert_eq!(purge(&door, wanted.clone()).await["entries"], 0, "{wanted}");
    }
}

#[tokio::test]
async fn a_purge_that_makes_no_sense_is_refused_with_its_form() {
    let node = Node::new();
    let door = door(&node, Settings::default());
    for (content, part) in [
        ("", "cannot be read"),
        ("{}", "one of url"),
        (r#"{"tag": "a", "host": "b"}"#, "one of url"),
        (r#"{"tag": ""}"#, "one of url"),
        (r#"{"tags": "a"}"#, "unknown field"),
        (r#"{"tag": "a", "mode": "medium"}"#, "unknown variant"),
        (r#"{"prefix": "/a"}"#, "prefix: "),
        (r#"{"expression": "age > "}"#, "at character 7"),
    ] {
        let (status, reason, sentence) = post(&door, "/api/v1/purge", content).await;
        assert_eq!((status, reason), (400, "purge_invalid"), "{content}");
        assert!(sentence.contains(part), "{content}: {sentence}");
    }
    assert_eq!(get(&door, "/api/v1/purge").await.0, 405);
    let foreign = head("POST", "/api/v1/purge", &[("sec-fetch-site", "cross-site")]);
    assert_eq!(door.answer(&foreign, b"{\"tag\": \"a\"}").await.reason, "cross_site");
}

#[tokio::test]
async fn explain_says_what_the_fetch_door_would_do() {
    let node = Node::new();
    let door = door(&node, Settings::default());
    let (status, absent) = get(&door, "/api/v1/explain?url=https://h.example/a").await;
    assert_eq!((status, &absent["answer"], &absent["rule"]), (200, &json!("miss"), &json!("fetch")));
    node.read("/https://h.example/a", &[]).await;
    let (_, stored) = get(&door, "/api/v1/explain?url=https%3A%2F%2Fh.example%2Fa&header=Accept:%20x").await;
    assert_eq!((&stored["answer"], &stored["state"]), (&json!("hit"), &json!("complete")));
    assert_eq!(stored["origin"][0]["status"], 200);
    for (query, reason) in [
        ("", "url_missing"),
        ("url=ftp://a/", "url_invalid"),
        ("url=/r/none/x", "url_invalid"),
        ("url=https://a/&header=x", "header_invalid"),
        ("url=https://a/&door=x", "url_invalid"),
        ("url=https://a/&door=site", "url_invalid"),
    ] {
        let reply = door.answer(&head("GET", &format!("/api/v1/explain?{query}"), &[]), &[]).await;
        assert_eq!((reply.response.status().as_u16(), reply.reason), (400, reason), "{query}");
    }
}

#[tokio::test]
async fn explain_finds_the_site_of_a_host_or_a_path() {
    let node = Node::new();
    let site = SiteSettings {
        name: "shop".to_owned(),
        origins: vec!["http://origin.example/base".to_owned()],
        hosts: vec![HostPattern::parse("shop.example").unwrap()],
        prefix: None,
        host: HostSent::Origin,
    };
    let plan = Plan::new(vec![site], Vec::new(), policy::Settings::default(), 16).expect("a plan");
    let door = with_plan(&node, Settings::default(), plan);
    for url in ["https://shop.example/x?y=1", "/r/shop/x?y=1"] {
        let url = url.replace('?', "%3F").replace('=', "%3D");
        let (status, explained) = get(&door, &format!("/api/v1/explain?url={url}")).await;
        assert_eq!((status, &explained["url"]), (200, &json!("http://origin.example/base/x?y=1")));
        assert_ne!(explained["rule"], "fetch");
    }
    let (_, proxied) = get(&door, "/api/v1/explain?url=http://other.example/x&door=proxy").await;
    assert_eq!((&proxied["url"], &proxied["answer"]), (&json!("http://other.example/x"), &json!("miss")));
}

#[tokio::test]
async fn entries_are_listed_and_shown_by_their_key() {
    let node = Node::new();
    let door = door(&node, Settings::default());
    for path in ["a", "bb", "ccc"] {
        node.read(&format!("/https://h.example/{path}"), &[]).await;
    }
    let (status, page) =
        get(&door, "/api/v1/entries?limit=2&host=h.example&sort=size&state=fresh&status=200").await;
    assert_eq!(
        (status, page["entries"].as_array().map(Vec::len), &page["remaining"]),
        (200, Some(2), &json!(3))
    );
    assert_eq!(page["entries"][0]["url"], "https://h.example/ccc");
    let next = page["next"].as_str().expect("a cursor");
    let (_, page) = get(&door, &format!("/api/v1/entries?limit=2&cursor={next}")).await;
    assert_eq!((&page["entries"][0]["url"], &page["next"]), (&json!("https://h.example/a"), &Value::Null));
    let key = page["entries"][0]["key"].as_str().expect("a key");
    assert_eq!(get(&door, &format!("/api/v1/entries/{key}")).await.1["url"], "https://h.example/a");
    assert_eq!(get(&door, "/api/v1/entries/00").await.0, 404);
    for query in ["sort=x", "state=x", "limit=0", "limit=1001", "status=x", "expression=x"] {
        assert_eq!(get(&door, &format!("/api/v1/entries?{query}")).await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn a_list_is_fetched_and_its_events_end() {
    let node = Node::new();
    let door = door(&node, Settings::default());
    for list in [
        "https://h.example/1\n\n# old\nhttps://h.example/2\n",
        r#"["https://h.example/1", "https://h.example/2"]"#,
    ] {
        let (status, reason, begun) = post(&door, "/api/v1/prewarm?ttl=1d", list).await;
        assert_eq!((status, reason), (202, "prewarming"), "{begun}");
        let begun: Value = serde_json::from_str(&begun).expect("JSON");
        assert_eq!(begun["urls"], 2);
        let id = begun["id"].as_str().expect("an id");
        let reply = door.answer(&head("GET", &format!("/api/v1/prewarm/{id}/events"), &[]), &[]).await;
        assert_eq!(field(&reply, "content-type"), Some("text/event-stream"));
        let events = text(reply).await;
        let last = events.trim_end().rsplit("\n\n").next().expect("an event");
        let data: Value = last
            .strip_prefix("event: end\ndata: ")
            .and_then(|data| serde_json::from_str(data).ok())
            .expect("an end");
        assert_eq!(
            (&data["stored"], &data["failed"], &data["state"]),
            (&json!(2), &json!(0), &json!("done"))
        );
        assert_eq!(get(&door, &format!("/api/v1/prewarm/{id}")).await.1["state"], "done");
    }
    assert_eq!(node.origin.asked().len(), 2, "what is there is not fetched again");
    for list in ["ftp://a/", "[\"x\"]", "[1]"] {
        assert_eq!(post(&door, "/api/v1/prewarm", list).await.1, "prewarm_invalid", "{list}");
    }
    assert_eq!(get(&door, "/api/v1/prewarm/99").await.0, 404);
    let cancelled = door.answer(&head("DELETE", "/api/v1/prewarm/1", &[]), &[]).await;
    assert_eq!(cancelled.response.status(), 200);
}

#[tokio::test]
async fn every_route_is_described_and_everything_described_is_a_route() {
    let node = Node::new();
    let door = door(&node, Settings { version: "1.2.3", ..Settings::default() });
    let (status, description) = get(&door, "/api/v1/openapi.json").await;
    assert_eq!((status, &description["info"]["version"]), (200, &json!("1.2.3")));
    let paths = description["paths"].as_object().expect("paths");
    for route in ROUTES.iter().filter(|route| route.template.starts_with("/api/v1/")) {
        let path = &paths[route.template];
        assert_eq!(
            path.as_object().map(serde_json::Map::len),
            Some(route.operations.len()),
            "{}",
            route.template
        );
        if route.place == Place::Elsewhere {
            continue;
        }
        let mut allowed: Vec<String> = Vec::new();
        for method in ["GET", "POST", "DELETE"] {
            let target = route.template.replace("{key}", "00").replace("{id}", "1");
            let reply = door.answer(&head(method, &target, &[]), &[]).await;
            assert_ne!(reply.reason, "no_route", "{method} {target}");
            if reply.response.status() != 405 {
                allowed.push(method.to_lowercase());
            }
        }
        let described: Vec<&str> = route.operations.iter().map(|operation| operation.method).collect();
        assert_eq!(allowed, described, "{}", route.template);
    }
    let owned = paths.keys().all(|path| ROUTES.iter().any(|route| route.template == path));
    assert!(owned);
}
