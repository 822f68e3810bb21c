//! Many at once: one origin request, identical bytes, nobody waits for another.

use scenarios::{impatient, metric, outcome};
use testkit::client::{Client, Ending};
use testkit::content::{Content, content};
use testkit::node::{Node, fetch_target};
use testkit::origin::{End, Framing, Gate, Origin, Script};

/// `n` clients that have sent their request.
async fn crowd(node: &Node, url: &str, n: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..n {
        let mut client = node.client().await;
        client.start("GET", &fetch_target(url, ""), &[]).await;
        clients.push(client);
    }
    clients
}

/// Reads everybody's answer at the same time and checks every byte.
async fn all_exact(clients: Vec<Client>, seed: u64, len: u64) -> Vec<String> {
    let mut tasks = tokio::task::JoinSet::new();
    for mut client in clients {
        tasks.spawn(async move {
            let head = client.head("GET").await;
            assert_eq!(head.status, 200, "{head:?}");
            let (content, mut at) = (Content::new(seed), 0);
            let ending = client
                .body(&head, |bytes| {
                    content.assert_matches(at, bytes);
                    at += bytes.len() as u64;
                })
                .await;
            assert_eq!((at, ending), (len, Ending::Complete));
            outcome(&head)
        });
    }
    tasks.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_get_identical_bytes_of_one_origin_request() {
    for framing in [Framing::Length, Framing::Chunked] {
        let (origin, node) = (Origin::start().await, Node::start().await);
        let gate = Gate::new();
        let len = 8 << 20;
        origin.route("/f", Script::generated(7, len).framing(framing).pause_at(3 << 20, &gate));
        let clients = crowd(&node, &origin.url("/f"), 50).await;
        gate.reached(1).await;
        gate.open();
        let outcomes = all_exact(clients, 7, len).await;
        assert_eq!(outcomes.iter().filter(|outcome| *outcome == "MISS").count(), 1, "{outcomes:?}");
        assert_eq!(origin.requests().len(), 1);
        scenarios::settled(&node).await;
        assert_eq!(all_exact(crowd(&node, &origin.url("/f"), 50).await, 7, len).await, vec!["HIT"; 50]);
        assert_eq!(origin.requests().len(), 1);
        node.assert_alive().await;
    }
}

#[tokio::test]
async fn followers_get_what_is_there_while_the_origin_pauses() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let gate = Gate::new();
    let bytes = content(7, 500_000);
    origin.route("/f", Script::object(bytes.clone()).pause_at(300_000, &gate));
    let mut clients = crowd(&node, &origin.url("/f"), 5).await;
    for client in &mut clients {
        let head = client.head("GET").await;
        assert_eq!((head.status, head.content_length()), (200, Some(500_000)));
        assert!(client.some_body(300_000).await == bytes[..300_000]);
    }
    gate.open();
    for client in &mut clients {
        assert!(client.some_body(200_000).await == bytes[300_000..]);
    }
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_fill_outlives_the_client_that_started_it() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let gate = Gate::new();
    let bytes = content(7, 500_000);
    origin.route("/f", Script::object(bytes.clone()).pause_at(300_000, &gate));
    let mut first = node.client().await;
    first.start("GET", &fetch_target(&origin.url("/f"), ""), &[]).await;
    first.head("GET").await;
    first.some_body(1000).await;
    gate.reached(1).await;
    drop(first);
    gate.open();
    node.fetch(&origin.url("/f")).await.expect_body(200, &bytes);
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_comes_disturbs_nobody() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let gate = Gate::new();
    origin.route("/f", Script::object("abc").head_after(&gate));
    let first = crowd(&node, &origin.url("/f"), 1).await;
    gate.reached(1).await;
    let others = crowd(&node, &origin.url("/f"), 3).await;
    drop(first);
    gate.open();
    for mut client in others {
        client.response("GET").await.expect_body(200, "abc");
    }
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_failed_fill_is_the_truth_for_all_and_the_next_one_succeeds() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    let (gate, bytes) = (Gate::new(), content(7, 500_000));
    let bad = Script::object(bytes.clone())
        .without_validators()
        .pause_at(300_000, &gate)
        .cut_at(300_000, End::Reset);
    origin.route_each("/f", vec![bad.into(), Script::object(bytes.clone()).into()]);
    let mut clients = crowd(&node, &origin.url("/f"), 10).await;
    gate.reached(1).await;
    let mut heads = Vec::new();
    for client in &mut clients[..5] {
        heads.push(client.head("GET").await);
        client.some_body(100_000).await;
    }
    gate.open();
    for (client, head) in clients.iter_mut().zip(&heads) {
        let mut rest = 0;
        let ending = client.body(head, |bytes| rest += bytes.len()).await;
        assert!(matches!(ending, Ending::Cut | Ending::Reset) && rest <= 200_000, "{ending:?} after {rest}");
    }
    for client in &mut clients[5..] {
        scenarios::assert_honest(&client.response("GET").await, &bytes);
    }
    node.fetch(&origin.url("/f")).await.expect_body(200, &bytes);
    node.assert_alive().await;
}

#[tokio::test]
async fn a_refusal_before_the_head_is_shared_by_all_who_waited() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let gate = Gate::new();
    origin.route(
        "/f",
        testkit::origin::Script::Steps(vec![
            testkit::origin::Step::Wait(gate.clone()),
            testkit::origin::Step::Send("HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx".into()),
        ]),
    );
    let clients = crowd(&node, &origin.url("/f"), 20).await;
    gate.reached(1).await;
    gate.open();
    for mut client in clients {
        client.response("GET").await.expect_refusal(&[404]);
    }
    assert_eq!(origin.requests().len(), 1);
}

// 58 at this stage: the object is deleted while a hundred readers stream it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_under_a_hundred_readers_cuts_nobody() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let len = 4 << 20;
    origin.route("/f", Script::generated(7, len));
    let url = origin.url("/f");
    let first = node.fetch(&url).await.expect(200);
    scenarios::settled(&node).await;
    Content::new(7).assert_matches(0, &first.body);
    let mut clients = Vec::new();
    for mut client in crowd(&node, &url, 100).await {
        let head = client.head("GET").await;
        let begun = client.some_body(1000).await;
        Content::new(7).assert_matches(0, &begun);
        assert_eq!(head.content_length(), Some(len));
        clients.push(client);
    }
    let delete = format!("/api/v1/delete?url={url}");
    node.request("POST", &delete, &[("Content-Length", "0")]).await.expect(200);
    for mut client in clients {
        let rest = client.some_body(len as usize - 1000).await;
        Content::new(7).assert_matches(1000, &rest);
    }
    assert_eq!(outcome(&node.fetch(&url).await.expect(200)), "MISS");
    node.assert_alive().await;
}

#[tokio::test]
async fn deleting_a_growing_object_leaves_its_followers_whole() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let (gate, bytes) = (Gate::new(), content(7, 500_000));
    origin.route_each(
        "/f",
        vec![Script::object(bytes.clone()).pause_at(300_000, &gate).into(), Script::object("new").into()],
    );
    let url = origin.url("/f");
    let mut clients = crowd(&node, &url, 3).await;
    for client in &mut clients {
        client.head("GET").await;
        assert!(client.some_body(100_000).await == bytes[..100_000]);
    }
    gate.reached(1).await;
    let delete = format!("/api/v1/delete?url={url}");
    let deleted = node.request("POST", &delete, &[("Content-Length", "0")]).await;
    assert!([200, 404].contains(&deleted.status), "{deleted:?}");
    gate.open();
    for client in &mut clients {
        assert!(client.some_body(400_000).await == bytes[100_000..]);
    }
    let after = node.fetch(&url).await.expect(200);
    assert!(after.body == b"new" || after.body == bytes);
    node.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gigabyte_flows_past_in_little_memory() {
    let (origin, node) =
        (Origin::start().await, Node::builder().args(["--store-quota", "2GiB"]).start().await);
    let len = 1_u64 << 30;
    if free_bytes(node.directory()) < 3 * len / 2 {
        eprintln!("SKIPPED: needs 1.5 GiB of free disk at {}", node.directory().display());
        return;
    }
    origin.route("/f", Script::generated(7, len));
    let others = tokio::spawn(all_exact(crowd(&node, &origin.url("/f"), 2).await, 7, len));
    let mut observer = crowd(&node, &origin.url("/f"), 1).await.remove(0);
    let head = observer.head("GET").await;
    let (mut at, mut most) = (0_u64, 0);
    let ending = observer
        .body(&head, |bytes| {
            let before = at >> 26;
            at += bytes.len() as u64;
            if at >> 26 > before {
                most = most.max(own_memory(node.pid()));
            }
        })
        .await;
    assert_eq!((at, ending), (len, Ending::Complete));
    others.await.expect("no panic");
    assert_eq!(origin.requests().len(), 1);
    assert!(most > 0 && most < 100 << 20, "{} MiB", most >> 20);
    assert!(metric(&node, "standpipe_origin_bytes_total", &[]).await >= len as f64);
}

/// Memory of a process that is its own: without pages of files, which the kernel takes back when it needs them.
fn own_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("procfs");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("RssAnon");
    line.split_ascii_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") << 10
}

fn free_bytes(directory: &std::path::Path) -> u64 {
    let stat = rustix::fs::statvfs(directory).expect("a directory");
    stat.f_bavail * stat.f_frsize
}

#[tokio::test]
async fn a_head_waits_for_the_first_byte_of_its_body_unless_only_the_head_is_asked_for() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let bytes = content(7, 300_000);
    for (path, framing) in [("/length", Framing::Length), ("/chunked", Framing::Chunked)] {
        let gate = Gate::new();
        origin.route(path, Script::object(bytes.clone()).framing(framing).pause_at(0, &gate));
        let url = origin.url(path);
        let clients = crowd(&node, &url, 3).await;
        gate.reached(1).await;
        node.fetch_head(&url).await.expect(200);
        gate.open();
        for mut client in clients {
            client.response("GET").await.expect_body(200, &bytes);
        }
    }
}
