//! The quota: lowered, zero, too small for an object, for what is in flight, and eviction under those who read.

use std::path::PathBuf;

use scenarios::{EAGER, assert_honest, committed, impatient, metric, outcome, settled, size_of};
use testkit::client::Client;
use testkit::content::{Content, content};
use testkit::node::{Builder, Node, fetch_target, run};
use testkit::origin::{Gate, Origin, Script};

struct Site {
    origin: Origin,
    directory: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        Self { origin: Origin::start().await, directory: tempfile::tempdir().expect("a temporary directory") }
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    fn with_quota(&self, quota: &str) -> Builder {
        impatient().args(EAGER).arg("--store-directory").arg(self.store()).args(["--store-quota", quota])
    }

    /// The n-th object, as long as given.
    async fn fetch(&self, node: &Node, n: u64, length: usize) -> testkit::client::Response {
        let path = format!("/{n}");
        self.origin.route(&path, Script::object(content(n, length)));
        node.fetch(&self.origin.url(&path)).await
    }
}

async fn used(node: &Node) -> f64 {
    metric(node, "standpipe_store_used_bytes", &[]).await
}

/// Waits until the quota has room for what is in it, and nothing is under way.
async fn within(node: &Node, quota: f64) {
    let shrunk = async { while used(node).await > quota {} };
    testkit::guarded("the store to shrink", shrunk).await;
    committed(node).await;
}

// 57: a quota below what is there takes effect at the start, and what is left is exact.
#[tokio::test]
async fn a_lowered_quota_shrinks_the_store_at_once() {
    let site = Site::new().await;
    let node = site.with_quota("1GiB").start().await;
    for n in 0..20 {
        site.fetch(&node, n, 300_000).await.expect(200);
    }
    committed(&node).await;
    assert!(used(&node).await >= 6e6);
    assert!(node.stop().await.success());

    let quota = 2_000_000;
    let node = site.with_quota(&quota.to_string()).start().await;
    within(&node, f64::from(quota)).await;
    let on_disk = async { while size_of(&site.store().join("bodies")) > quota as u64 {} };
    testkit::guarded("the files to go", on_disk).await;
    let left = metric(&node, "standpipe_store_entries", &[]).await;
    assert!((4.0..=6.0).contains(&left), "{left} entries of 300 kB are left");
    for n in 0..20 {
        site.fetch(&node, n, 300_000).await.expect_body(200, content(n, 300_000));
    }
    within(&node, f64::from(quota)).await;
    node.assert_alive().await;
}

// 57: nothing may be stored, and everything is served.
#[tokio::test]
async fn a_quota_of_nothing_serves_and_stores_nothing() {
    let site = Site::new().await;
    let node = site.with_quota("0").start().await;
    for length in [0, 10, 100_000, 1_000_000] {
        let exact = content(length as u64, length);
        for _ in 0..2 {
            site.fetch(&node, length as u64, length).await.expect_body(200, &exact);
        }
    }
    settled(&node).await;
    assert!(used(&node).await < 1.0);
    assert_eq!(size_of(&site.store().join("bodies")), 0);
    node.assert_alive().await;
}

// 57: an object that never fits is served, and pushes nothing out.
#[tokio::test]
async fn an_object_larger_than_the_quota_streams_through_and_evicts_nothing() {
    let site = Site::new().await;
    let node = site.with_quota("2000000").start().await;
    for n in 0..4 {
        site.fetch(&node, n, 300_000).await.expect(200);
    }
    site.origin.route("/huge", Script::generated(77, 30_000_000));
    let url = site.origin.url("/huge");
    let answer = node.fetch(&url).await.expect(200);
    assert_eq!(answer.body.len(), 30_000_000);
    Content::new(77).assert_matches(0, &answer.body);
    settled(&node).await;
    for n in 0..4 {
        let answer = site.fetch(&node, n, 300_000).await.expect_body(200, content(n, 300_000));
        assert_eq!(outcome(&answer), "HIT", "/{n} went for an object that never fits");
    }
}

// 57: the same with the other rule.
#[tokio::test]
async fn an_object_larger_than_the_quota_is_refused_where_the_rule_says_so() {
    let site = Site::new().await;
    let node = site.with_quota("2000000").args(["--fetch-when-full", "refuse"]).start().await;
    let answer = site.fetch(&node, 1, 5_000_000).await.expect_refusal(&[507]);
    assert!(answer.text().contains("quota"), "{}", answer.text());
    // The origin had it: the log says whose doing it is.
    node.logged(&["the store does not take the object", "object_too_large"]).await;
    assert!(!node.stderr().contains("no object from the origin"), "{}", node.stderr());
    site.fetch(&node, 2, 300_000).await.expect_body(200, content(2, 300_000));
    node.assert_alive().await;
}

#[tokio::test]
async fn a_store_full_of_pinned_objects_says_that_pins_hold_them_and_how_to_end_one() {
    let site = Site::new().await;
    let node = site.with_quota("2000000").args(["--fetch-when-full", "refuse"]).start().await;
    let server = node.url();
    let prefix = site.origin.url("/");
    let pinned = run(["pin", "--server", &server, "--prefix", &prefix, "--ttl", "1d"]).await;
    assert!(pinned.status.success());
    for n in 0..6 {
        site.fetch(&node, n, 300_000).await.expect(200);
    }
    settled(&node).await;
    let answer = site.fetch(&node, 7, 300_000).await.expect_refusal(&[507]);
    for part in ["pins in force: 1", "`standpipe pins`", "`standpipe unpin ID`"] {
        assert!(answer.text().contains(part), "{part}: {}", answer.text());
    }
    let id = String::from_utf8(pinned.stdout).expect("an id");
    assert!(run(["unpin", "--server", &server, id.trim()]).await.status.success());
    // What was pinned is let go behind that.
    let taken = async { while site.fetch(&node, 7, 300_000).await.status != 200 {} };
    testkit::guarded("room for another object", taken).await;
}

// 58: an object goes while a hundred clients read it: all of them get all of it.
#[tokio::test]
async fn a_hundred_readers_of_an_evicted_object_get_all_of_it() {
    const LENGTH: usize = 6_000_000;
    let site = Site::new().await;
    let node = site.with_quota("10000000").start().await;
    let exact = content(58, LENGTH);
    site.fetch(&node, 58, LENGTH).await.expect(200);
    committed(&node).await;
    let target = fetch_target(&site.origin.url("/58"), "");
    let mut readers = Vec::new();
    for _ in 0..100 {
        let mut client = Client::connect(node.address()).await;
        client.start("GET", &target, &[]).await;
        let head = client.head("GET").await;
        assert_eq!(client.some_body(1).await, exact[..1]);
        readers.push((client, head));
    }
    // Deleted by name, and pushed out by others, while it is read.
    let delete = target.replace("/fetch?", "/delete?");
    node.request("POST", &delete, &[("Content-Length", "0")]).await.expect(200);
    for n in 0..20 {
        let answer = site.fetch(&node, n, 900_000).await;
        assert_honest(&answer, &content(n, 900_000));
        assert!(used(&node).await <= 10_000_000.0, "the quota counts what is still read");
    }
    let content = Content::new(58);
    for (client, _) in &mut readers {
        let rest = client.some_body(LENGTH - 1).await;
        content.assert_matches(1, &rest);
    }
    drop(readers);
    within(&node, 10_000_000.0).await;
    node.assert_alive().await;
}

// 58: eviction picks what nobody reads; what all read again and again stays.
#[tokio::test]
async fn what_is_in_use_outlives_what_was_wanted_once() {
    let site = Site::new().await;
    let node = site.with_quota("4000000").start().await;
    for n in 1000..1004 {
        site.fetch(&node, n, 200_000).await.expect(200);
    }
    for n in 0..60 {
        site.fetch(&node, n, 200_000).await.expect_body(200, content(n, 200_000));
        for hot in 1000..1004 {
            site.fetch(&node, hot, 200_000).await.expect_body(200, content(hot, 200_000));
        }
    }
    for hot in 1000..1004 {
        let answer = site.fetch(&node, hot, 200_000).await;
        assert_eq!(outcome(&answer), "HIT", "/{hot}");
    }
    let (evicted, asked) =
        (metric(&node, "standpipe_store_evicted_total", &[]).await, site.origin.requests_for("/1000").len());
    assert!(evicted >= 40.0, "{evicted}");
    assert_eq!(asked, 1, "a hot object was fetched again");
    within(&node, 4_000_000.0).await;
}

// 60: what is in flight would be more than the quota: never more than the quota is taken, and nobody gets a wrong byte.
#[tokio::test]
async fn fills_that_together_exceed_the_quota_are_held_to_it() {
    const LENGTH: usize = 1_000_000;
    let site = Site::new().await;
    let node = site.with_quota("4000000").start().await;
    let gate = Gate::new();
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..12_u64 {
        let path = format!("/{n}");
        site.origin.route(&path, Script::object(content(n, LENGTH)).pause_at(500_000, &gate));
        let (mut client, target) = (node.client().await, fetch_target(&site.origin.url(&path), ""));
        clients.spawn(async move {
            let answer = client.request("GET", &target, &[]).await;
            (n, answer)
        });
    }
    gate.reached(12).await;
    assert!(used(&node).await <= 4_000_000.0, "{}", used(&node).await);
    assert!(size_of(&site.store()) <= 4_000_000 + (1 << 20), "bodies, and a little for the index");
    gate.open();
    while let Some(answer) = clients.join_next().await {
        let (n, answer) = answer.expect("no panic");
        answer.expect_body(200, content(n, LENGTH));
    }
    within(&node, 4_000_000.0).await;
    node.assert_alive().await;
}
