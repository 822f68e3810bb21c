use cache::Outcome;

use super::fake::{Node, field, head, text};

const ENCODED: &str = "/api/v1/fetch?url=https%3A%2F%2Fh.example%2Fa%2Fb.txt%3Fx%3D1%26y%3D2";

fn parsed(node: &Node) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &node.registry).unwrap();
    let line = text.lines().find(|line| line.starts_with("standpipe_fetch_targets_parsed_total "));
    line.and_then(|line| line.rsplit(' ').next()).unwrap().to_owned()
}

#[tokio::test]
async fn every_form_of_one_url_is_one_object() {
    let node = Node::new();
    let forms = [
        ENCODED,
        "/api/v1/fetch/?url=https%3A%2F%2Fh.example%2Fa%2Fb.txt%3Fx%3D1%26y%3D2",
        "/api/v1/fetch/name.bin?url=https%3A%2F%2FH.EXAMPLE%3A443%2Fa%2Fb.txt%3Fx%3D1%26y%3D2",
        "/api/v1/fetch?url=https://h.example/a/b.txt?x=1&y=2",
        "/api/v1/fetch?ttl=1h&url=https://h.example/a/b.txt?x=1&ttl=1d&y=2",
        "/https://h.example/a/b.txt?x=1&y=2",
        "/HTTPS://h.example/a/b.txt?x=1&y=2",
    ];
    node.read(ENCODED, &[]).await;
    for form in forms {
        let reply = node.get(form, &[]).await;
        assert_eq!((reply.response.status().as_u16(), reply.outcome), (200, Some(Outcome::Hit)), "{form}");
        assert_eq!(reply.name.as_deref(), Some("https://h.example/a/b.txt?x=1&y=2"));
        assert_eq!(text(reply).await, "https://h.example/a/b.txt?x=1&y=2", "{form}");
    }
    assert_eq!(node.origin.asked().len(), 1);
}

/// user-demand 4c: 17, 18, 20, 21.
#[tokio::test]
async fn different_urls_are_different_objects() {
    let node = Node::new();
    let urls = [
        "http://h.example/a",
        "https://h.example/a",
        "http://i.example/a",
        "http://h.example:8080/a",
        "http://h.example/A",
        "http://h.example/a%2fb",
        "http://h.example/a/b",
        "http://h.example/a%252fb",
        "http://h.example/a;x",
        "http://h.example/a?",
        "http://h.example/a?x=1&y=2",
        "http://h.example/a?y=2&x=1",
        "http://h.example/a?x=1&x=1",
        "http://h.example/a%00",
    ];
    for url in urls {
        let reply = node.get(&format!("/{url}"), &[]).await;
        assert_eq!(text(reply).await, url);
    }
    assert_eq!(node.origin.asked().len(), urls.len());
}

/// user-demand 4c: 13, 18, 44, 49, 50.
#[tokio::test]
async fn whatever_is_wrong_with_a_request_is_refused_by_name() {
    let node = Node::new();
    let long = format!("/api/v1/fetch?url=https://h.example/{}", "a".repeat(8192));
    let cases = [
        ("/api/v1/fetch", 400, "url_missing"),
        ("/api/v1/fetch?url=", 400, "url_missing"),
        ("/api/v1/fetch/a.bin?ttl=1d", 400, "url_missing"),
        ("/api/v1/fetch?url=x", 400, "url_invalid"),
        ("/api/v1/fetch?url=ftp://h.example/", 400, "url_invalid"),
        ("/api/v1/fetch?url=file:///etc/passwd", 400, "url_invalid"),
        ("/api/v1/fetch?url=javascript%3Aalert(1)", 400, "url_invalid"),
        ("/api/v1/fetch?url=data:text/html,x", 400, "url_invalid"),
        ("/api/v1/fetch?url=https://", 400, "url_invalid"),
        ("/api/v1/fetch?url=https://h.example/%00", 400, "url_invalid"),
        ("/api/v1/fetch?url=https://h.example%0d%0aX:y/", 400, "url_invalid"),
        ("/api/v1/fetch?url=https://h.example/%ff", 400, "url_invalid"),
        ("/api/v1/fetch?url=https://h.example:0/", 400, "url_invalid"),
        (&*long, 414, "url_too_long"),
        ("/api/v1/fetch?url=https://h.example/&ttl=1w", 400, "ttl_invalid"),
        ("/api/v1/fetch?url=https://h.example/&sha256=1", 400, "sha256_invalid"),
        ("/api/v1/fetch?url=https://h.example/&revalidate=no", 400, "revalidate_invalid"),
        ("/api/v1/fetch?url=https://h.example/&passheaders=a%00", 400, "passheaders_invalid"),
        ("/api/v1/fetch?url=https://h.example/&passheaders=Cookie", 403, "passheaders_forbidden"),
        ("/api/v1/fetch/a/b?url=https://h.example/", 404, "no_route"),
        ("/api/v1/fetch/a%2Fb?url=https://h.example/", 404, "no_route"),
        ("/api/v1/fetch/%0d%0a?url=https://h.example/", 400, "filename_invalid"),
        ("/api/v1/fetch/%ff?url=https://h.example/", 400, "filename_invalid"),
        ("/api/v1/fetch/..?url=https://h.example/", 400, "filename_invalid"),
        ("/https:/h.example/a", 400, "url_invalid"),
        ("/https://", 400, "url_invalid"),
        ("/https:///etc/passwd", 400, "url_invalid"),
    ];
    for (target, status, reason) in cases {
        let reply = node.door.answer_now(&head("GET", target, &[])).expect("nothing to wait for");
        assert_eq!((reply.response.status().as_u16(), reply.reason), (status, reason), "{target}");
        assert_eq!(field(&reply, "x-cache"), Some("ERROR from node"));
        let sentence = text(reply).await;
        assert!(sentence.ends_with('\n') && sentence.len() > 20, "{target}: {sentence}");
    }
    assert!(node.origin.asked().is_empty());
}

/// user-demand 4c: 16.
#[tokio::test]
async fn only_get_and_head_fetch() {
    let node = Node::new();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PURGE", "TRACE"] {
        let reply = node.door.answer_now(&head(method, ENCODED, &[])).expect("nothing to wait for");
        assert_eq!(reply.response.status(), 405, "{method}");
        assert_eq!(field(&reply, "allow"), Some("GET, HEAD"));
    }
    assert!(node.origin.asked().is_empty());
}

/// LAVA's way, kisscache.md 7.2. user-demand 4c: 23.
#[tokio::test]
async fn head_fills_and_declares_the_length_that_get_has() {
    let node = Node::new();
    let reply = node.answer(&head("HEAD", ENCODED, &[])).await;
    let length = "https://h.example/a/b.txt?x=1&y=2".len().to_string();
    assert_eq!(field(&reply, "content-length"), Some(&*length));
    assert_eq!(text(reply).await, "");
    let reply = node.get(ENCODED, &[]).await;
    assert_eq!(field(&reply, "content-length"), Some(&*length));
    assert_eq!(text(reply).await.len().to_string(), length);
    assert_eq!(node.origin.asked().len(), 1);
}

#[tokio::test]
async fn ranges_and_conditions_are_passed_to_the_cache() {
    let node = Node::new();
    node.read(ENCODED, &[]).await;
    let part = node.get(ENCODED, &[("range", "bytes=0-4")]).await;
    assert_eq!(part.response.status(), 206);
    assert_eq!(field(&part, "content-length"), Some("5"));
    assert_eq!(text(part).await, "https");
    let unchanged = node.get(ENCODED, &[("if-none-match", "\"v1\"")]).await;
    assert_eq!(unchanged.response.status(), 304);
    assert_eq!(field(&unchanged, "content-length"), None);
    let whole = node.get(ENCODED, &[("range", "bytes=0-4"), ("range", "bytes=0-1")]).await;
    assert_eq!(whole.response.status(), 200);
}

#[tokio::test]
async fn a_file_name_is_the_asked_one_or_on_the_fetch_routes_that_of_the_url() {
    let node = Node::new();
    let shown = async |target: &str| {
        let reply = node.get(target, &[]).await;
        field(&reply, "content-disposition").map(str::to_owned)
    };
    let named = "/api/v1/fetch/a%20b%22.bin?url=https://h.example/a/b.txt";
    let expected = "attachment; filename=\"a b\\\".bin\"; filename*=UTF-8''a%20b%22.bin";
    assert_eq!(shown(named).await.as_deref(), Some(expected));
    assert_eq!(shown(ENCODED).await.as_deref(), Some("attachment; filename=\"b.txt\""));
    assert_eq!(shown("/api/v1/fetch?url=https://h.example/a/").await, None);
    assert_eq!(shown("/https://h.example/a/b.txt").await, None);
}

#[tokio::test]
async fn what_comes_from_an_origin_is_sandboxed() {
    let node = Node::new();
    for target in [ENCODED, ENCODED, "/https://h.example/page.html"] {
        let reply = node.get(target, &[]).await;
        assert!(
            field(&reply, "content-security-policy").is_some_and(|policy| policy.starts_with("sandbox;"))
        );
        assert_eq!(field(&reply, "x-content-type-options"), Some("nosniff"));
        assert_eq!(field(&reply, "set-cookie"), None);
        assert_eq!(field(&reply, "etag"), Some("\"v1\""));
    }
}

#[tokio::test]
async fn the_status_of_the_origin_goes_on_with_a_name_for_the_log() {
    let node = Node::new();
    let reply = node.get("/api/v1/fetch?url=https://h.example/status/404", &[]).await;
    assert_eq!((reply.response.status().as_u16(), reply.reason), (404, "origin_status"));
    assert_eq!(reply.name.as_deref(), Some("https://h.example/status/404"));
    assert_eq!(text(reply).await, "the origin said 404 Not Found\n");
}

#[tokio::test]
async fn passed_fields_reach_the_origin_and_separate_objects() {
    let node = Node::new();
    let target = "/api/v1/fetch?passheaders=authorization&url=https://h.example/a";
    for token in ["Bearer 1", "Bearer 2", "Bearer 1"] {
        node.read(target, &[("authorization", token)]).await;
    }
    let asked = node.origin.asked();
    let tokens: Vec<_> = asked.iter().map(|request| &request.credentials["authorization"]).collect();
    assert_eq!(tokens, ["Bearer 1", "Bearer 2"]);
    // Without the field it is the anonymous object, which nobody has asked for yet.
    node.read(target, &[]).await;
    assert!(node.origin.asked().last().is_some_and(|request| request.credentials.is_empty()));
    // A field that nobody names is not passed.
    let plain = node.get("/https://h.example/a", &[("authorization", "Bearer 1")]).await;
    assert_eq!(plain.outcome, Some(Outcome::Hit));
}

#[tokio::test]
async fn what_belongs_to_one_client_is_never_remembered_for_another() {
    let node = Node::new();
    let target = "/https://h.example/secret";
    // The default list passes private-token, so the same target means another object with it.
    node.read(target, &[]).await;
    node.read(target, &[("private-token", "t")]).await;
    node.read(target, &[]).await;
    let asked = node.origin.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].credentials["private-token"], "t");
    // An empty passheaders= passes nothing.
    let none = "/api/v1/fetch?passheaders=&url=https://h.example/secret";
    let reply = node.get(none, &[("private-token", "t")]).await;
    assert_eq!(reply.outcome, Some(Outcome::Hit));
    let with_password = "/https://user:pw@h.example/secret";
    node.read(with_password, &[]).await;
    assert_eq!(node.origin.asked().len(), 3);
    assert!(node.door.0.memo.find(super::SCOPE, with_password).is_none());
    assert!(node.door.0.memo.find(super::SCOPE, target).is_some());
}

#[tokio::test]
async fn a_repeated_target_is_parsed_once() {
    let node = Node::new();
    node.read(ENCODED, &[]).await;
    assert_eq!(parsed(&node), "1");
    for _ in 0..3 {
        node.read(ENCODED, &[]).await;
    }
    assert_eq!(parsed(&node), "1");
}

#[tokio::test]
async fn revalidate_always_asks_the_origin_each_time() {
    let node = Node::new();
    let target = "/api/v1/fetch?url=https://h.example/a&revalidate=always";
    node.read(target, &[]).await;
    let reply = node.get(target, &[]).await;
    assert_eq!(reply.outcome, Some(Outcome::Revalidated));
    assert_eq!(text(reply).await, "https://h.example/a");
    let asked = node.origin.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].headers["if-none-match"], "\"v1\"");
}

#[tokio::test]
async fn a_wrong_digest_is_never_delivered() {
    let node = Node::new();
    let target = |digest: cache::Digest| format!("/api/v1/fetch?url=https://h.example/a&sha256={digest}");
    let wrong = node.get(&target(cache::Digest::of(b"other")), &[]).await;
    assert_eq!((wrong.response.status().as_u16(), wrong.reason), (502, "digest_mismatch"));
    let right = node.get(&target(cache::Digest::of(b"https://h.example/a")), &[]).await;
    assert_eq!(right.response.status(), 200);
    assert_eq!(text(right).await, "https://h.example/a");
}

#[tokio::test]
async fn a_remembered_refusal_says_so() {
    let node = Node::new();
    let first = node.get("/http://h.example/status/404", &[]).await;
    assert_eq!((first.outcome, field(&first, "x-cache")), (Some(Outcome::Error), Some("ERROR from node")));
    let second = node.get("/http://h.example/status/404", &[]).await;
    assert_eq!(
        (second.outcome, field(&second, "x-cache")),
        (Some(Outcome::Negative), Some("NEGATIVE from node"))
    );
    assert_eq!(field(&second, "cache-status"), Some("node; hit; detail=origin_status"));
    assert_eq!(node.origin.asked().len(), 1);
}
