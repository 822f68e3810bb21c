use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};

use super::super::{AdminDoor, Parts, Settings, Traffic};
use super::*;
use cache::KeyHasher;

use crate::exchange::{Plan, Plans};
use crate::fetch::fake::{Node, field, head, text};

fn door(node: &Node) -> AdminDoor {
    AdminDoor::new(Parts {
        cache: node.cache.clone(),
        fetch: node.door.clone(),
        plans: Plans::new(Plan::empty(), KeyHasher::new([7; 32])),
        responder: node.responder.clone(),
        registry: Arc::clone(&node.registry),
        traffic: Arc::new(Traffic::default),
        draining: Arc::new(AtomicBool::new(false)),
        settings: Settings::default(),
    })
}

async fn ask(door: &AdminDoor, method: &str, path: &str, content: &str) -> (u16, &'static str, String) {
    let reply = door.answer(&head(method, path, &[]), content.as_bytes()).await;
    assert_eq!(reply.door, "admin");
    (reply.response.status().as_u16(), reply.reason, text(reply).await)
}

async fn listed(door: &AdminDoor) -> Value {
    let (status, _, body) = ask(door, "GET", "/api/v1/pins", "").await;
    assert_eq!(status, 200);
    serde_json::from_str::<Value>(&body).unwrap()["pins"].clone()
}

#[tokio::test]
async fn a_pin_is_made_shown_listed_and_taken_away() {
    let node = Node::new();
    let door = door(&node);
    assert_eq!(listed(&door).await, json!([]));
    let wanted = r#"{"prefix": "HTTPS://H.example:443/a/", "ttl": "7d", "name": "release 5"}"#;
    let reply = door.answer(&head("POST", "/api/v1/pins", &[]), wanted.as_bytes()).await;
    assert_eq!((reply.response.status().as_u16(), reply.reason), (201, "pinned"));
    assert_eq!(field(&reply, "content-type"), Some("application/json"));
    let location = field(&reply, "location").unwrap().to_owned();
    let pin: Value = serde_json::from_str(&text(reply).await).unwrap();
    assert_eq!(pin["prefix"], "https://h.example/a/");
    assert_eq!(pin["name"], "release 5");
    let lasts = pin["until"].as_u64().unwrap() - pin["created"].as_u64().unwrap();
    assert!((7 * 86_400..=7 * 86_400 + 1).contains(&lasts), "{lasts}");
    assert_eq!(location, format!("/api/v1/pins/{}", pin["id"].as_str().unwrap()));

    assert_eq!(pin["applied"], true);
    let mut in_list = pin.clone();
    in_list.as_object_mut().unwrap().remove("applied");
    assert_eq!(listed(&door).await, json!([in_list]));
    let (status, _, shown) = ask(&door, "GET", &location, "").await;
    assert_eq!((status, serde_json::from_str::<Value>(&shown).unwrap()), (200, pin));
    assert_eq!(ask(&door, "DELETE", &location, "").await.1, "unpinned");
    for method in ["GET", "DELETE"] {
        let (status, reason, sentence) = ask(&door, method, &location, "").await;
        assert_eq!((status, reason), (404, "no_pin"));
        assert!(sentence.contains("/api/v1/pins"));
    }
    assert_eq!(listed(&door).await, json!([]));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_the_form() {
    let node = Node::new();
    let door = door(&node);
    for (wanted, reason) in [
        ("", "pin_invalid"),
        ("[]", "pin_invalid"),
        (r#"{"ttl": "7d"}"#, "pin_invalid"),
        (r#"{"url": "https://h/", "tag": "a", "ttl": "7d"}"#, "pin_invalid"),
        (r#"{"url": "https://h/"}"#, "pin_invalid"),
        (r#"{"url": "https://h/", "ttl": "7 weeks"}"#, "ttl_invalid"),
        (r#"{"url": "https://h/", "ttl": "0s"}"#, "ttl_invalid"),
        (r#"{"url": "ftp://h/", "ttl": "7d"}"#, "pin_invalid"),
        (r#"{"prefix": "https://", "ttl": "7d"}"#, "pin_invalid"),
        (r#"{"tag": "a b", "ttl": "7d"}"#, "pin_invalid"),
        (r#"{"tag": "", "ttl": "7d"}"#, "pin_invalid"),
        (r#"{"url": "https://h/", "ttl": "7d", "for": "me"}"#, "pin_invalid"),
        (r#"{"url": "https://h/", "ttl": "7d", "name": "\u001b[2J"}"#, "pin_invalid"),
    ] {
        let (status, found, sentence) = ask(&door, "POST", "/api/v1/pins", wanted).await;
        assert_eq!((status, found), (400, reason), "{wanted}: {sentence}");
    }
    assert_eq!(listed(&door).await, json!([]));
}

#[tokio::test]
async fn a_page_of_another_site_neither_pins_nor_unpins() {
    let node = Node::new();
    let door = door(&node);
    let wanted = br#"{"tag": "a", "ttl": "7d"}"#;
    for (method, path) in [("POST", "/api/v1/pins"), ("DELETE", "/api/v1/pins/0")] {
        let reply = door.answer(&head(method, path, &[("sec-fetch-site", "cross-site")]), wanted).await;
        assert_eq!((reply.response.status().as_u16(), reply.reason), (403, "cross_site"));
    }
    assert_eq!(listed(&door).await, json!([]));
}

#[tokio::test]
async fn other_methods_and_paths_are_not_offered() {
    let node = Node::new();
    let door = door(&node);
    for (method, path, allow) in [
        ("DELETE", "/api/v1/pins", OF_LIST),
        ("PUT", "/api/v1/pins/", OF_LIST),
        ("POST", "/api/v1/pins/0", OF_ONE),
    ] {
        let reply = door.answer(&head(method, path, &[]), b"").await;
        assert_eq!((reply.response.status().as_u16(), field(&reply, "allow")), (405, Some(allow)));
    }
    assert_eq!(ask(&door, "GET", "/api/v1/pinsx", "").await.1, "no_route");
}
