//! Starting again on the same directory: after a clean end, after a kill, in another place, with another version's
//! index, with very many entries.

use std::path::{Path, PathBuf};
use std::time::Duration;

use scenarios::{EAGER, committed, files_below, impatient, metric, outcome, settled};
use testkit::content::content;
use testkit::node::{Builder, Node, command};
use testkit::origin::{Framing, Origin, Script};

/// Lengths around all borders: memory or file, window, page.
const LENGTHS: [usize; 8] = [0, 1, 65_536, 65_537, 262_144, 262_145, 700_001, 2_500_000];

/// A directory and an origin that outlive servers.
struct Site {
    origin: Origin,
    directory: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        let origin = Origin::start().await;
        for (n, length) in LENGTHS.into_iter().enumerate() {
            let object = Script::object(content(n as u64, length)).header("Age", "100");
            let object = if n % 2 == 0 { object } else { object.framing(Framing::Chunked) };
            origin.route(&format!("/{n}"), object);
        }
        Self { origin, directory: tempfile::tempdir().expect("a temporary directory") }
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    fn builder(&self) -> Builder {
        impatient().args(EAGER).arg("--store-directory").arg(self.store())
    }

    async fn start(&self) -> Node {
        self.builder().start().await
    }

    async fn fill(&self, node: &Node) {
        for (n, length) in LENGTHS.into_iter().enumerate() {
            let url = self.origin.url(&format!("/{n}"));
            node.fetch(&url).await.expect_body(200, content(n as u64, length));
        }
        committed(node).await;
    }

    /// Everything is there, and the origin is not asked.
    async fn assert_kept(&self, node: &Node) {
        let asked = self.origin.requests().len();
        for (n, length) in LENGTHS.into_iter().enumerate() {
            let url = self.origin.url(&format!("/{n}"));
            let answer = node.fetch(&url).await.expect_body(200, content(n as u64, length));
            assert_eq!(outcome(&answer), "HIT", "{url}");
        }
        assert_eq!(self.origin.requests().len(), asked, "the origin was asked again");
    }

    /// A store with everything in it, and no server.
    async fn filled(&self) {
        let node = self.start().await;
        self.fill(&node).await;
        assert!(node.stop().await.success());
    }
}

#[tokio::test]
async fn a_clean_restart_keeps_everything() {
    let site = Site::new().await;
    let node = site.start().await;
    site.fill(&node).await;
    let url = site.origin.url("/6");
    let before = node.fetch(&url).await.expect(200);
    let (entries, used) = counts(&node).await;
    assert!(node.stop().await.success());

    let node = site.start().await;
    site.assert_kept(&node).await;
    let after = node.fetch(&url).await.expect(200);
    for field in ["etag", "last-modified", "content-type", "repr-digest", "accept-ranges"] {
        assert_eq!(after.header(field), before.header(field), "{field}");
    }
    let age = |answer: &testkit::client::Response| {
        answer.header("age").map(|age| age.parse::<u64>().expect("a number"))
    };
    assert!(age(&after) >= age(&before) && age(&before) >= Some(100), "{:?} {:?}", age(&after), age(&before));
    let etag = after.header("etag").expect("an ETag").to_owned();
    node.fetch_with(&url, &[("If-None-Match", &etag)]).await.expect(304);
    let part = node.fetch_with(&url, &[("Range", "bytes=700000-")]).await.expect(206);
    assert_eq!(part.body, content(6, 700_001)[700_000..]);
    node.fetch_head(&url).await.expect(200);
    assert_eq!(counts(&node).await, (entries, used));
    node.assert_alive().await;
}

async fn counts(node: &Node) -> (f64, f64) {
    let entries = metric(node, "standpipe_store_entries", &[]).await;
    (entries, metric(node, "standpipe_store_used_bytes", &[]).await)
}

// 53: what was committed survives a kill, and a head that a 304 has changed is the changed one.
#[tokio::test]
async fn a_kill_costs_nothing_that_was_committed() {
    let site = Site::new().await;
    let bytes = content(1, 90_000);
    let object = || Script::object(bytes.clone());
    site.origin.route_each(
        "/f",
        vec![object().header("X-Version", "1").into(), object().header("X-Version", "2").into()],
    );
    let mut node = site.start().await;
    site.fill(&node).await;
    let url = site.origin.url("/f");
    node.fetch(&url).await.expect(200);
    settled(&node).await;
    let target = testkit::node::fetch_target(&url, "&revalidate=always");
    assert_eq!(outcome(&node.get(&target).await.expect(200)), "REVALIDATED");
    committed(&node).await;
    assert!(!node.stderr().contains("did not end cleanly"), "nothing was before");
    node.kill().await;

    let node = site.start().await;
    node.logged(&["WARN", "the last run did not end cleanly", "compared with their digests"]).await;
    site.assert_kept(&node).await;
    let answer = node.fetch(&url).await.expect_body(200, &bytes);
    assert_eq!((outcome(&answer).as_str(), answer.header("x-version")), ("HIT", Some("2")));
}

#[tokio::test]
async fn what_was_deleted_stays_deleted() {
    let site = Site::new().await;
    let mut node = site.start().await;
    site.fill(&node).await;
    let delete = format!("/api/v1/delete?url={}", testkit::node::quote_plus(&site.origin.url("/3")));
    node.request("POST", &delete, &[("Content-Length", "0")]).await.expect(200);
    committed(&node).await;
    node.kill().await;
    let node = site.start().await;
    assert_eq!(outcome(&node.fetch(&site.origin.url("/3")).await.expect(200)), "MISS");
}

#[tokio::test]
async fn a_store_that_was_moved_works_in_its_new_place() {
    let site = Site::new().await;
    site.filled().await;
    let elsewhere = site.directory.path().join("else/where");
    std::fs::create_dir_all(elsewhere.parent().expect("a parent")).expect("made");
    std::fs::rename(site.store(), &elsewhere).expect("moved");
    let node = impatient().args(EAGER).arg("--store-directory").arg(&elsewhere).start().await;
    site.assert_kept(&node).await;
    assert!(!site.store().exists(), "the old place is not used again");
}

#[tokio::test]
async fn a_copied_store_works_too() {
    let site = Site::new().await;
    site.filled().await;
    let copy = site.directory.path().join("copy");
    copy_tree(&site.store(), &copy);
    let node = impatient().args(EAGER).arg("--store-directory").arg(&copy).start().await;
    site.assert_kept(&node).await;
}

fn copy_tree(from: &Path, to: &Path) {
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).expect("below"));
        std::fs::create_dir_all(target.parent().expect("a parent")).expect("made");
        std::fs::copy(&file, target).expect("copied");
    }
}

// 59: an index from a newer version is left alone.
#[tokio::test]
async fn an_index_of_a_newer_version_is_refused_and_untouched() {
    let site = Site::new().await;
    site.filled().await;
    let log = logs(&site.store()).pop().expect("a log");
    let mut bytes = std::fs::read(&log).expect("readable");
    bytes[8..10].copy_from_slice(&9999_u16.to_le_bytes());
    let sum = crc32c::crc32c(&bytes[..12]);
    bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(&log, &bytes).expect("written");
    let before = contents(&site.store().join("index"));

    let mut server = command();
    server.args(["--listen", "127.0.0.1:0", "--store-directory"]).arg(site.store());
    let output = testkit::guarded("the server to refuse", server.output()).await.expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("newer version") && said.contains("9999") && !said.contains("panicked"), "{said}");
    assert!(contents(&site.store().join("index")) == before, "the index was changed");
}

// 59 and 54: an index that is nothing but garbage is rebuilt empty, loudly, and never served from.
#[tokio::test]
async fn an_unreadable_index_is_rebuilt_empty_and_loudly() {
    let site = Site::new().await;
    site.filled().await;
    for file in files_below(&site.store().join("index")) {
        let garbage: Vec<u8> = (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        std::fs::write(file, garbage).expect("written");
    }
    for round in 0..2 {
        let node = site.start().await;
        if round == 0 {
            node.logged(&["WARN", "index"]).await;
        }
        site.fill(&node).await;
        site.assert_kept(&node).await;
        node.assert_alive().await;
        assert!(node.stop().await.success());
    }
}

fn logs(store: &Path) -> Vec<PathBuf> {
    let mut logs = files_below(&store.join("index"));
    logs.retain(|path| path.extension().is_some_and(|suffix| suffix == "log"));
    logs.sort();
    logs
}

fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = files_below(directory);
    files.sort();
    files.into_iter().map(|file| (file.clone(), std::fs::read(file).expect("readable"))).collect()
}

// 59: very many entries. The first request is answered at once, not when everything is loaded.
#[tokio::test]
async fn two_hundred_thousand_entries_are_there_again_and_hinder_nobody() {
    const ENTRIES: u64 = 200_000;
    let site = Site::new().await;
    site.filled().await;
    multiply(&site.store(), ENTRIES);
    let node = site.start().await;
    let first = tokio::time::timeout(Duration::from_secs(10), site.assert_kept(&node)).await;
    assert!(first.is_ok(), "a hit waits for the whole index");
    committed(&node).await;
    let entries = metric(&node, "standpipe_store_entries", &[]).await;
    assert_eq!(entries as u64, ENTRIES + LENGTHS.len() as u64);
    assert!(node.stop().await.success());
    let node = site.start().await;
    committed(&node).await;
    assert_eq!(counts(&node).await.0 as u64, ENTRIES + LENGTHS.len() as u64);
    node.assert_alive().await;
}

/// Adds entries to the logs of a store that nobody uses: the last record of a log, again and again under other keys of
/// the same shard. A record is length, kind, key, rest, checksum; the key's last byte chooses the shard.
fn multiply(store: &Path, entries: u64) {
    let logs: Vec<_> =
        logs(store).into_iter().filter(|log| log.metadata().is_ok_and(|m| m.len() > 64)).collect();
    let mut random = fastrand::Rng::with_seed(59);
    for (place, log) in logs.iter().enumerate() {
        let mut bytes = std::fs::read(log).expect("readable");
        let record = first_record(&bytes);
        let share = entries / logs.len() as u64 + u64::from((place as u64) < entries % logs.len() as u64);
        for _ in 0..share {
            let mut copy = record.clone();
            random.fill(&mut copy[5..20]);
            let end = copy.len() - 4;
            let sum = crc32c::crc32c(&copy[..end]);
            copy[end..].copy_from_slice(&sum.to_le_bytes());
            bytes.extend_from_slice(&copy);
        }
        std::fs::write(log, bytes).expect("written");
    }
}

/// The first record behind the header of 16 bytes.
fn first_record(log: &[u8]) -> Vec<u8> {
    let length = u32::from_le_bytes(log[16..20].try_into().expect("4 bytes")) as usize;
    let record = log[16..16 + length + 8].to_vec();
    let sum = crc32c::crc32c(&record[..record.len() - 4]);
    assert_eq!(record[record.len() - 4..], sum.to_le_bytes(), "not a record as this test knows them");
    record
}
