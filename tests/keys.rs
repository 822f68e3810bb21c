//! What is the same object and what is not.

use scenarios::{impatient, outcome};
use testkit::client;
use testkit::node::{Node, fetch_target, quote_plus};
use testkit::origin::{Origin, Script};

/// An origin whose answer to anything is the target it was asked for and the token it was shown.
async fn echo() -> Origin {
    let origin = Origin::start().await;
    answer_by_echo(
        &origin,
        &["/", "/a", "/b", "/A", "/a/b", "/a;v=1", "/a%2Fb", "/a%2fb", "/%61", "/a%20b", "/b/c"],
    );
    origin
}

fn answer_by_echo(origin: &Origin, paths: &[&str]) {
    for path in paths {
        origin.route_with(path, |request, _| {
            let token = request.header("authorization").or(request.header("private-token")).unwrap_or("-");
            Script::object(format!("{} {token}", request.target)).into()
        });
    }
}

// 17: same path on two hosts and two ports.
#[tokio::test]
async fn hosts_and_ports_are_kept_apart() {
    let node = Node::start().await;
    let mut origins = Vec::new();
    for ip in ["127.0.0.1", "127.0.0.1", "127.0.0.2"] {
        let origin = Origin::start_on(ip.parse().expect("an address")).await;
        let name = origin.address().to_string();
        origin.route("/same", Script::object(name.clone()));
        origins.push((origin, name));
    }
    for _ in 0..2 {
        for (origin, name) in &origins {
            node.fetch(&origin.url("/same")).await.expect_body(200, name);
        }
    }
    assert!(origins.iter().all(|(origin, _)| origin.requests().len() == 1));
}

// 18: what canonical form makes one, and what it must keep apart; 19: dot segments; 20: order and duplicates.
#[tokio::test]
async fn spellings_of_one_url_are_one_object_and_others_are_not() {
    let (origin, node) = (echo().await, Node::start().await);
    let port = origin.address().port();
    let same = [
        format!("http://127.0.0.1:{port}/a"),
        format!("HTTP://127.0.0.1:{port}/a"),
        format!("http://127.0.0.1:{port}/a#fragment"),
        format!("http://127.0.0.1:{port}/b/../a"),
        format!("http://127.0.0.1:{port}/./a"),
        format!("http://127.0.0.1:{port}/%2e%2e/a"),
        format!("http://127.1:{port}/a"),
        format!("http://0x7f000001:{port}/a"),
    ];
    for url in &same {
        assert!(node.fetch(url).await.expect(200).text().starts_with("/a "), "{url}");
    }
    assert_eq!(origin.requests().len(), 1, "{:?}", origin.requests());
    let different =
        ["/a?", "/a?x=1&y=2", "/a?y=2&x=1", "/a?x=1&x=1", "/a?x=1", "/A", "/a;v=1", "/a/b", "/a%20b"];
    for path in different {
        let answer = node.fetch(&origin.url(path)).await.expect(200);
        assert_eq!(answer.text().split(' ').next(), Some(path));
    }
    // Whether an escaped slash is a slash is the origin's business.
    let escaped = node.fetch(&origin.url("/a%2Fb")).await.expect(200).text();
    assert!(escaped.to_ascii_lowercase().starts_with("/a%2fb"), "{escaped}");
    scenarios::settled(&node).await;
    let plain = node.fetch(&origin.url("/a/b")).await.expect(200);
    assert_eq!((outcome(&plain).as_str(), plain.text().as_str()), ("HIT", "/a/b -"));
    node.assert_alive().await;
}

// 18: trailing dot, punycode, case of host names; they are names of this machine or of nobody.
#[tokio::test]
async fn host_names_have_one_canonical_form() {
    let (origin, node) = (
        Origin::start().await,
        impatient().args(["--allow-origin", "localhost", "--origin-resolver", "system"]).start().await,
    );
    origin.route("/f", Script::object("abc"));
    let port = origin.address().port();
    for host in ["localhost", "LOCALHOST", "LocalHost"] {
        node.fetch(&format!("http://{host}:{port}/f")).await.expect_body(200, "abc");
    }
    assert_eq!(origin.requests().len(), 1);
    for host in [
        "localhost.",
        "xn--nxasmq6b.invalid",
        "b%C3%BCcher.invalid",
        "..",
        "-",
        "a..b.invalid",
        "xn--a.invalid",
    ] {
        let answer = node.get(&format!("/api/v1/fetch?url=http://{host}:{port}/f")).await;
        assert!([200, 400, 403, 502].contains(&answer.status), "{host}: {}", answer.status);
    }
    node.assert_alive().await;
}

// 18: double encoding and NUL arrive at the origin as they were written, or not at all.
#[tokio::test]
async fn percent_encoding_is_decoded_once() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    for path in ["/%2561", "/x%00y", "/%E2%98%83", "/%zz"] {
        origin.route(path, Script::object(path));
    }
    for path in ["/%2561", "/%E2%98%83"] {
        node.fetch(&origin.url(path)).await.expect_body(200, path);
        node.get(&format!("/{}", origin.url(path))).await.expect_body(200, path);
    }
    for path in ["/x%00y", "/%zz"] {
        let answer = node.fetch(&origin.url(path)).await;
        assert!(answer.status == 400 || answer.text() == path, "{path}: {answer:?}");
    }
    let raw_unicode = node.fetch(&origin.url("/☃")).await;
    raw_unicode.expect_body(200, "/%E2%98%83");
    node.assert_alive().await;
}

// 19: dot segments, raw and encoded, never reach a file or another path of ours.
#[tokio::test]
async fn dot_segments_never_leave_the_doors() {
    let node = Node::start().await;
    for target in [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/v1/fetch/..?url=",
        "/api/v1/fetch/%2e%2e%2f%2e%2e%2fetc%2fpasswd?url=",
        "/..%5c..%5cetc",
        "//etc/passwd",
        "/http:/../../etc/passwd",
        "/store/bodies",
    ] {
        node.get(target).await.expect_refusal(&[400, 403, 404]);
    }
    node.assert_alive().await;
}

// 21: values that would collide when they are just put one after the other.
#[tokio::test]
async fn passed_fields_and_urls_never_collide_when_joined() {
    let origin = echo().await;
    let node = Node::builder().args(["--fetch-pass-headers", "Authorization,Private-Token"]).start().await;
    let fetch = async |path: &str, fields: &[client::Field<'_>]| {
        let target = fetch_target(&origin.url(path), "&passheaders=Authorization,Private-Token");
        client::get_with(node.address(), &target, fields).await.expect(200).text()
    };
    assert_eq!(fetch("/a", &[("Authorization", "bc")]).await, "/a bc");
    assert_eq!(fetch("/a", &[("Private-Token", "bc")]).await, "/a bc");
    assert_eq!(fetch("/a", &[("Authorization", "b"), ("Private-Token", "c")]).await, "/a b");
    assert_eq!(fetch("/a?authorization:bc", &[]).await, "/a?authorization:bc -");
    assert_eq!(fetch("/a", &[]).await, "/a -");
    assert_eq!(origin.requests().len(), 5, "five different things");
    assert_eq!(fetch("/a", &[("authorization", "bc")]).await, "/a bc");
    assert_eq!(origin.requests().len(), 5, "field names have no case");
}

#[tokio::test]
async fn two_tokens_are_two_objects_and_neither_is_written_anywhere() {
    let origin = echo().await;
    let node = Node::builder().args(["--fetch-pass-headers", "Authorization"]).start().await;
    let target = fetch_target(&origin.url("/a"), "&passheaders=authorization");
    for token in ["Bearer hush-one", "Bearer hush-two"] {
        for _ in 0..2 {
            let answer = client::get_with(node.address(), &target, &[("Authorization", token)]).await;
            answer.expect_body(200, format!("/a {token}"));
        }
    }
    node.get(&target).await.expect_body(200, "/a -");
    node.fetch(&origin.url("/a")).await.expect_body(200, "/a -");
    assert_eq!(origin.requests().len(), 3);
    let files = files_below(node.directory());
    let log = node.stderr();
    node.stop().await;
    assert!(!log.contains("hush-"), "{log}");
    for (path, bytes) in files {
        let is_body = path.contains("/bodies/") || path.contains("/fills/") || path.contains("/parts/");
        assert!(is_body || !bytes.windows(5).any(|window| window == b"hush-"), "a token in {path}");
    }
}

#[tokio::test]
async fn only_names_that_the_operator_allows_are_passed() {
    let origin = echo().await;
    let node = Node::builder().args(["--fetch-pass-headers", "Private-Token"]).start().await;
    let url = origin.url("/a");
    for names in ["Authorization", "Private-Token,Cookie", "Host", "Content-Length", "a%0D%0Ab"] {
        let target = fetch_target(&url, &format!("&passheaders={names}"));
        let fields = [("Authorization", "hush"), ("Cookie", "hush")];
        let answer = client::get_with(node.address(), &target, &fields).await.expect_refusal(&[400, 403]);
        assert!(
            answer.text().contains("passheaders") || answer.text().contains("pass-headers"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(origin.requests().len(), 0);
    let closed = Node::start().await;
    closed.get(&fetch_target(&url, "&passheaders=Private-Token")).await.expect_refusal(&[400, 403]);
}

// 18: userinfo.
#[tokio::test]
async fn a_password_in_the_url_is_used_and_hidden() {
    let (origin, node) = (echo().await, Node::start().await);
    let port = origin.address().port();
    let with = node.fetch(&format!("http://user:hush%40@127.0.0.1:{port}/a")).await.expect(200);
    assert_eq!(with.text(), "/a Basic dXNlcjpodXNoQA==");
    assert_eq!(node.fetch(&origin.url("/a")).await.expect(200).text(), "/a -");
    let other = node.fetch(&format!("http://user:other@127.0.0.1:{port}/a")).await.expect(200);
    assert_ne!(other.text(), with.text());
    node.fetch(&origin.url("/a?X-Amz-Signature=hush&token=hush&plain=seen")).await.expect(200);
    let line = node.logged(&["plain=seen"]).await;
    assert!(!line.contains("hush"), "{line}");
    assert!(!node.stderr().contains("hush"), "{}", node.stderr());
}

// 14 and 18: the door's own parameters do not leak into the key, nor the key's into the door.
#[tokio::test]
async fn parameters_of_the_door_and_of_the_origin_are_kept_apart() {
    let (origin, node) = (echo().await, Node::start().await);
    let inner = quote_plus(&origin.url("/a?ttl=1d&url=x&sha256=00"));
    let answer = node.get(&format!("/api/v1/fetch?url={inner}")).await.expect(200);
    assert_eq!(answer.text(), "/a?ttl=1d&url=x&sha256=00 -");
    scenarios::settled(&node).await;
    let outer = node.get(&format!("/api/v1/fetch?url={inner}&ttl=1h")).await.expect(200);
    assert_eq!(outcome(&outer), "HIT");
}

/// Every file below a directory, with its bytes.
fn files_below(directory: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).expect("a readable directory").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                found.push((path.display().to_string(), bytes));
            }
        }
    }
    found
}
