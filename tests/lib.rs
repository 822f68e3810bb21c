//! Scenarios against the built binary: what its users and its enemies do, over real sockets.
//!
//! One file an area (see the `[[test]]` targets), one file in `regressions/` for every bug that was fixed. Comments
//! name the numbers of the hostile inputs and faults they cover. This library holds what several areas share.
//!
//! Every scenario of a fault ends in the same three questions: was the client told the truth ([`assert_honest`]),
//! is what is served afterwards exact ([`assert_recovers`]), does the server go on (`Node::assert_alive`).
#![forbid(unsafe_code)]

pub mod session;

use testkit::client::Response;
use testkit::node::{Builder, Node};
use testkit::origin::{Origin, Script};

/// A server that gives up on a bad origin within about a second and remembers no refusal.
pub fn impatient() -> Builder {
    Node::builder()
        .args(["--fill-retry-for", "200ms", "--fill-resume-for", "300ms", "--fill-retry-pause", "5ms"])
        .args(["--origin-first-byte-timeout", "1s", "--origin-idle-timeout", "500ms"])
        .args(["--origin-connect-timeout", "1s"])
        .args(["--negative-gone", "0s", "--negative-other", "0s"])
}

/// A server that asks the origin again on every request without `ttl`, yet keeps what it has.
pub fn suspicious() -> Builder {
    impatient().args(["--fetch-default-ttl", "0s"])
}

/// Panics unless the answer is honest about an object that should be `exact`: all of it, a part of it with a broken
/// connection, or a complete refusal that blames the origin.
#[track_caller]
pub fn assert_honest(answer: &Response, exact: &[u8]) {
    match answer.status {
        200 if answer.is_complete() => {
            assert!(answer.body == exact, "a clean end on wrong bytes: {answer:?}")
        }
        200 => {
            assert!(answer.is_broken(), "nobody can tell that this is not all: {:?}", answer.ending);
            assert!(exact.starts_with(&answer.body), "wrong bytes before the break");
        }
        // A transfer that fails in the moment of its answer takes the head with it.
        0 => assert!(answer.is_broken()),
        _ => {
            answer.clone().expect_refusal(&[502, 504]);
        }
    }
}

/// Makes the origin honest, asks again and panics unless the answer is exact: nothing wrong was kept.
pub async fn assert_recovers(node: &Node, origin: &Origin, path: &str, exact: &[u8]) {
    settled(node).await;
    origin.route(path, Script::object(exact.to_vec()).etag("\"honest\""));
    node.fetch(&origin.url(path)).await.expect_body(200, exact);
    node.assert_alive().await;
}

/// The whole life of a fault: the origin answers by `bad`, the client must be told the truth; then the origin is
/// honest and the client gets everything. Returns the first answer.
pub async fn survive(
    node: &Node,
    origin: &Origin,
    path: &str,
    bad: impl Into<Script>,
    exact: &[u8],
) -> Response {
    origin.route(path, bad);
    let answer = node.fetch(&origin.url(path)).await;
    assert_honest(&answer, exact);
    assert_recovers(node, origin, path, exact).await;
    answer
}

/// The outcome as `X-Cache` tells it: `HIT`, `MISS`, …
#[track_caller]
pub fn outcome(answer: &Response) -> String {
    let field = answer.header("x-cache").unwrap_or_else(|| panic!("no X-Cache: {answer:?}"));
    field.split(' ').next().unwrap_or_default().to_owned()
}

/// Waits until no fill is under way: a client may have its last byte a moment before the object counts as stored.
pub async fn settled(node: &Node) {
    let idle = async {
        while metric(node, "standpipe_store_flights", &[]).await
            + metric(node, "standpipe_store_fills", &[]).await
            > 0.0
        {}
    };
    testkit::guarded("fills to end", idle).await;
}

/// Settings under which the store commits and tidies up as often as a test can wait for.
pub const EAGER: [&str; 6] =
    ["--store-commit-interval", "20ms", "--store-free-floor", "0", "--store-compact-from", "4KiB"];

/// Waits until the store is loaded, nothing is under way, and a crash would lose nothing any more.
pub async fn committed(node: &Node) {
    let levels = ["fills", "flights", "loading_shards", "unchecked", "uncommitted"];
    let quiet = async {
        loop {
            let text = node.get("/metrics").await.expect(200).text();
            if levels.iter().all(|level| value(&text, &format!("standpipe_store_{level}"), &[]) == 0.0) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    testkit::guarded("everything to be on disk", quiet).await;
}

/// Bytes of all files below a directory; one that is not there has none.
pub fn size_of(directory: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            entry.metadata().map_or(0, |meta| if meta.is_dir() { size_of(&entry.path()) } else { meta.len() })
        })
        .sum()
}

/// All files below a directory, links among them; one that is not there has none.
pub fn files_below(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_directory { files.extend(files_below(&entry.path())) } else { files.push(entry.path()) }
    }
    files
}

/// Waits until a metric is at least `least`: requests are counted a moment after their last byte.
pub async fn counted(node: &Node, name: &str, labels: &[&str], least: f64) {
    let reached = async { while metric(node, name, labels).await < least {} };
    testkit::guarded(&format!("{name} {labels:?} to reach {least}"), reached).await;
}

/// The value of a metric: all lines that start with `name` and contain each of `labels`, summed.
pub async fn metric(node: &Node, name: &str, labels: &[&str]) -> f64 {
    value(&node.get("/metrics").await.expect(200).text(), name, labels)
}

fn value(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    metrics
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
