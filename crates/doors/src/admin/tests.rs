mod operators;

use std::sync::atomic::Ordering;

use super::*;
use cache::KeyHasher;

use crate::exchange::{Plan, Plans};
use crate::fetch::fake::{Node, field, head, text};

const URL: &str = "url=https://h.example/a?x=1&y=2";

fn door(node: &Node, settings: Settings) -> AdminDoor {
    with_plan(node, settings, Plan::empty())
}

fn with_plan(node: &Node, settings: Settings, plan: Plan) -> AdminDoor {
    AdminDoor::new(Parts {
        cache: node.cache.clone(),
        fetch: node.door.clone(),
        plans: Plans::new(plan, KeyHasher::new([7; 32])),
        responder: node.responder.clone(),
        registry: Arc::clone(&node.registry),
        traffic: Arc::new(|| Traffic { requests: 7, sent_bytes: 1000, saved_bytes: 900, sessions: None }),
        draining: Arc::new(AtomicBool::new(false)),
        settings,
    })
}

async fn store_object(node: &Node) {
    node.read(&format!("/api/v1/fetch?{URL}"), &[]).await;
}

async fn delete(door: &AdminDoor, method: &str, fields: &[(&'static str, &str)]) -> (u16, &'static str) {
    let reply = door.answer(&head(method, &format!("/api/v1/delete?{URL}"), fields), &[]).await;
    (reply.response.status().as_u16(), reply.reason)
}

#[tokio::test]
async fn delete_finds_what_fetch_has_stored() {
    let node = Node::new();
    let door = door(&node, Settings::default());
    assert_eq!(delete(&door, "POST", &[]).await, (404, "not_stored"));
    for method in ["POST", "DELETE"] {
        store_object(&node).await;
        assert_eq!(delete(&door, method, &[]).await, (200, "deleted"));
        assert_eq!(delete(&door, method, &[]).await, (404, "not_stored"));
    }
    assert_eq!(node.origin.asked().len(), 2);
}

#[tokio::test]
async fn delete_says_which_object_and_takes_the_fetch_parameters() {
    let node = Node::new();
    let door = door(&node, Settings::default());
    let token = [("authorization", "Bearer 1")];
    let query = "passheaders=authorization&url=https%3A%2F%2Fh.example%2Fa";
    node.read(&format!("/api/v1/fetch?{query}"), &token).await;
    let answer = async |fields: &[(&'static str, &str)]| {
        door.answer(&head("DELETE", &format!("/api/v1/delete?{query}"), fields), &[]).await
    };
    assert_eq!(answer(&[]).await.response.status(), 404);
    assert_eq!(text(answer(&token).await).await, "deleted https://h.example/a\n");
    let reply = door.answer(&head("POST", "/api/v1/delete", &[]), &[]).await;
    assert_eq!((reply.response.status().as_u16(), reply.reason), (400, "url_missing"));
}

/// user-demand 4c: 16.
#[tokio::test]
async fn get_deletes_only_when_the_operator_says_so() {
    let node = Node::new();
    store_object(&node).await;
    let strict = door(&node, Settings::default());
    for method in ["GET", "HEAD"] {
        let reply = strict.answer(&head(method, &format!("/api/v1/delete?{URL}"), &[]), &[]).await;
        assert_eq!(reply.response.status(), 405);
        assert_eq!(field(&reply, "allow"), Some("POST, DELETE"));
        assert!(text(reply).await.contains("admin.delete-by-get"));
    }
    let open = door(&node, Settings { delete_by: DeleteBy::AlsoGet, ..Settings::default() });
    assert_eq!(delete(&open, "PUT", &[]).await, (405, "method"));
    assert_eq!(delete(&open, "GET", &[]).await, (200, "deleted"));
}

#[tokio::test]
async fn a_page_of_another_site_deletes_nothing() {
    let node = Node::new();
    store_object(&node).await;
    let door = door(&node, Settings { delete_by: DeleteBy::AlsoGet, ..Settings::default() });
    for method in ["GET", "POST", "DELETE"] {
        assert_eq!(delete(&door, method, &[("sec-fetch-site", "cross-site")]).await, (403, "cross_site"));
        assert_eq!(delete(&door, method, &[("origin", "http://evil.example")]).await, (403, "cross_site"));
    }
    assert_eq!(delete(&door, "POST", &[("origin", "http://c:1"), ("host", "c:1")]).await, (200, "deleted"));
}

#[tokio::test]
async fn status_has_the_fields_of_kisscache_and_ours() {
    let node = Node::new();
    store_object(&node).await;
    node.read("/https://h.example/status/404", &[]).await;
    let door = door(&node, Settings { version: "1.2.3", ..Settings::default() });
    for path in ["/api/v1/status/", "/api/v1/status"] {
        let reply = door.answer(&head("GET", path, &[("host", "cache.lab:8001")]), &[]).await;
        assert_eq!(field(&reply, "content-type"), Some("application/json"));
        let status: serde_json::Value = serde_json::from_str(&text(reply).await).unwrap();
        let number = |name: &str| status[name].as_u64().expect(name);
        assert_eq!(number("disk_quota"), 1 << 20);
        assert!(number("disk_usage") > 0 && number("disk_usage_percent") <= 100);
        assert_eq!(number("resources_scheduled") + number("resources_downloading"), 0);
        assert_eq!((number("resources_successes"), number("resources_failures")), (1, 1));
        assert_eq!(number("resources_usage"), 7);
        assert_eq!((number("statistics_successes"), number("statistics_failures")), (1, 1));
        assert_eq!(number("statistics_download"), "https://h.example/a?x=1&y=2".len() as u64);
        assert_eq!((number("statistics_upload"), number("statistics_requests")), (1000, 7));
        assert_eq!(number("saved_bytes"), 900);
        assert!(number("timestamp") > 1_700_000_000);
        assert_eq!(status["instance"], "http://cache.lab:8001");
        assert_eq!(status["version"], "1.2.3");
    }
}

/// user-demand 4c: 57.
#[tokio::test]
async fn status_without_a_quota_is_no_fault() {
    let node = Node::with_quota(0);
    let reply = door(&node, Settings::default()).answer(&head("GET", "/api/v1/status/", &[]), &[]).await;
    assert_eq!(reply.response.status(), 200);
    assert!(text(reply).await.contains("\"disk_usage_percent\": 0"));
}

#[tokio::test]
async fn health_is_503_while_draining_or_when_the_shutdown_file_exists() {
    let node = Node::new();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shutdown");
    let door = door(&node, Settings { shutdown_file: Some(file.clone()), ..Settings::default() });
    let health = async |path: &str| {
        let reply = door.answer(&head("GET", path, &[]), &[]).await;
        (reply.response.status().as_u16(), reply.reason, reply.door, text(reply).await)
    };
    for path in ["/api/v1/health/", "/api/v1/health"] {
        assert_eq!(health(path).await, (200, "healthy", "health", "ok".to_owned()));
    }
    std::fs::write(&file, "").unwrap();
    let (status, reason, _, sentence) = health("/api/v1/health/").await;
    assert_eq!((status, reason), (503, "shutdown_file"));
    assert!(sentence.contains(file.to_str().unwrap()), "{sentence}");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(health("/api/v1/health/").await.0, 200);
    door.0.draining.store(true, Ordering::Relaxed);
    assert_eq!(health("/api/v1/health/").await.1, "draining");
}

#[tokio::test]
async fn metrics_are_openmetrics_text() {
    let node = Node::new();
    let reply = door(&node, Settings::default()).answer(&head("GET", "/metrics", &[]), &[]).await;
    assert_eq!(reply.door, "metrics");
    assert!(
        field(&reply, "content-type").is_some_and(|value| value.starts_with("application/openmetrics-text"))
    );
    let page = text(reply).await;
    assert!(page.contains("standpipe_fetch_targets_parsed_total 0"), "{page}");
    assert!(page.ends_with("# EOF\n"));
}

#[tokio::test]
async fn the_first_page_has_a_line_to_type_with_the_address_that_worked() {
    let node = Node::new();
    let reply = door(&node, Settings::default()).answer(&head("GET", "/", &[("host", "[::1]:9")]), &[]).await;
    assert_eq!(field(&reply, "content-type"), Some("text/plain; charset=utf-8"));
    let page = text(reply).await;
    assert!(page.contains("curl -O 'http://[::1]:9/https://"), "{page}");
    assert!(page.contains("/api/v1/status/") && page.contains("/metrics"));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused_with_what_there_is() {
    let node = Node::new();
    let door = door(&node, Settings::default());
    for path in ["/favicon.ico", "/api/v1/status/x", "/api/v2/fetch", "/metrics/", "/admin/"] {
        let reply = door.answer(&head("GET", path, &[]), &[]).await;
        assert_eq!((reply.response.status().as_u16(), reply.reason), (404, "no_route"), "{path}");
        assert!(text(reply).await.contains("/api/v1/fetch?url="));
    }
    for path in ["/", "/metrics", "/api/v1/status/", "/api/v1/health/"] {
        let reply = door.answer(&head("POST", path, &[]), &[]).await;
        assert_eq!(reply.response.status(), 405, "{path}");
        assert_eq!(field(&reply, "allow"), Some("GET, HEAD"));
    }
}
