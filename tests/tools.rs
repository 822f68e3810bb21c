//! `fsck`, `scrub`, `export` and `import` on real stores.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use scenarios::{EAGER, committed, files_below, impatient, outcome};
use testkit::content::content;
use testkit::node::{Builder, Node, run};
use testkit::origin::{Origin, Script};

struct Site {
    origin: Origin,
    directory: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        Self { origin: Origin::start().await, directory: tempfile::tempdir().expect("a temporary directory") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn builder(&self) -> Builder {
        impatient().args(EAGER).arg("--store-directory").arg(self.path("store"))
    }

    async fn fill(&self, node: &Node, path: &str, bytes: &[u8]) {
        self.origin
            .route(path, Script::object(bytes.to_vec()).last_modified("Tue, 06 Jan 2026 10:00:00 GMT"));
        node.fetch(&self.origin.url(path)).await.expect_body(200, bytes);
    }

    async fn tool(&self, arguments: &[&str]) -> Output {
        let store = self.path("store").display().to_string();
        run(arguments.iter().copied().chain(["--store-directory", store.as_str()])).await
    }

    /// The exported file for a path.
    fn exported(&self, path: &str) -> PathBuf {
        self.path("tree").join("http").join(self.origin.address().to_string()).join(path)
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", said(output));
}

#[tokio::test]
async fn fsck_finds_what_is_wrong_and_repairs_it() {
    let site = Site::new().await;
    assert_code(&site.tool(&["fsck"]).await, 1);
    let node = site.builder().start().await;
    for n in 0..4 {
        site.fill(&node, &format!("/{n}"), &content(n, 100_000 + n as usize)).await;
    }
    committed(&node).await;
    assert!(node.stop().await.success());
    let clean = site.tool(&["fsck"]).await;
    assert_code(&clean, 0);
    assert!(said(&clean).ends_with("clean\n"), "{}", said(&clean));

    let mut bodies = files_below(&site.path("store/bodies"));
    bodies.sort();
    let mut bytes = std::fs::read(&bodies[0]).expect("readable");
    bytes[777] ^= 4;
    std::fs::write(&bodies[0], bytes).expect("writable");
    std::fs::OpenOptions::new()
        .write(true)
        .open(&bodies[1])
        .and_then(|file| file.set_len(5))
        .expect("writable");
    std::fs::remove_file(&bodies[2]).expect("removed");
    let stray = site.path("store/bodies/00").join("0".repeat(64));
    std::fs::create_dir_all(stray.parent().expect("a parent")).expect("made");
    std::fs::write(&stray, "stray").expect("writable");

    let quick = site.tool(&["fsck", "--quick"]).await;
    assert_code(&quick, 3);
    let found = site.tool(&["fsck", "--json"]).await;
    assert_code(&found, 3);
    let report: serde_json::Value = serde_json::from_slice(&found.stdout).expect("JSON");
    let mut kinds: Vec<_> = report["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|finding| finding["kind"].as_str().expect("a word"))
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["damaged", "damaged", "missing", "stray"], "{report:#}");
    assert_eq!((&report["problems"], &report["entries"]), (&3.into(), &4.into()));
    assert!(stray.exists() && bodies[0].exists(), "looking changes nothing");

    assert_code(&site.tool(&["fsck", "--repair"]).await, 0);
    let again = site.tool(&["fsck"]).await;
    assert_code(&again, 0);
    assert!(said(&again).contains("1 entries") && !stray.exists(), "{}", said(&again));
    let node = site.builder().start().await;
    for n in 0..4 {
        site.fill(&node, &format!("/{n}"), &content(n, 100_000 + n as usize)).await;
    }
    node.assert_alive().await;
}

#[tokio::test]
async fn a_scrub_tells_how_far_it_is() {
    let site = Site::new().await;
    let node = site.builder().start().await;
    let ask = async |method: &str, query: &str| {
        node.request(method, &format!("/api/v1/scrub{query}"), &[("Content-Length", "0")]).await
    };
    let never: serde_json::Value =
        serde_json::from_slice(&ask("GET", "").await.expect(200).body).expect("JSON");
    assert_eq!((&never["running"], &never["begun"]), (&false.into(), &0.into()), "{never}");
    for n in 0..3 {
        site.fill(&node, &format!("/{n}"), &content(n, 300_000)).await;
    }
    committed(&node).await;
    // At this rate it goes on for seconds.
    ask("POST", "?rate=100KB").await.expect(200);
    ask("POST", "").await.expect_refusal(&[409]);
    ask("POST", "?rate=fast").await.expect_refusal(&[400]);
    ask("PUT", "").await.expect_refusal(&[405]);
    ask("DELETE", "").await.expect(200);
    let ended = async {
        loop {
            let text = ask("GET", "").await.expect(200).text();
            if text.contains("\"running\": false") {
                return;
            }
        }
    };
    testkit::guarded("the scrub to stop", ended).await;
    let whole = run(["scrub", "--server", &node.url(), "--rate", "1GB"]).await;
    assert_code(&whole, 0);
    assert!(
        said(&whole).contains("3 bodies with 900000 of 900000 bytes compared, 0 damaged"),
        "{}",
        said(&whole)
    );
    node.assert_alive().await;
}

#[tokio::test]
async fn an_export_is_a_tree_of_links_that_follows_a_live_server() {
    let site = Site::new().await;
    let node = site.builder().start().await;
    let tree = site.path("tree").display().to_string();
    site.fill(&node, "/a/one.iso", &content(1, 300_000)).await;
    site.fill(&node, "/a/two%20words+c.txt", b"two").await;
    site.fill(&node, "/b/same", &content(1, 300_000)).await;
    committed(&node).await;
    // Closed to other users, as every file of the store is, until it is exported.
    let mode = |path: &Path| path.metadata().expect("there").mode() & 0o777;
    for file in files_below(&site.path("store")) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    assert_eq!((mode(&site.path("store")), mode(&site.path("store/bodies"))), (0o700, 0o700));
    let output = site.tool(&["export", "--tree", &tree]).await;
    assert_code(&output, 0);
    assert_eq!((mode(&site.exported("a/one.iso")), mode(&site.exported("a"))), (0o644, 0o755));
    assert_eq!(std::fs::read(site.exported("a/one.iso")).expect("exported"), content(1, 300_000));
    assert_eq!(std::fs::read(site.exported("a/two words+c.txt")).expect("exported"), b"two");
    let inode = |path: &Path| path.metadata().expect("there").ino();
    let body = files_below(&site.path("store/bodies"))
        .into_iter()
        .find(|body| body.metadata().is_ok_and(|m| m.len() == 300_000));
    assert_eq!(inode(&site.exported("a/one.iso")), inode(&body.expect("a body")), "a link, not a copy");
    assert_eq!(inode(&site.exported("b/same")), inode(&site.exported("a/one.iso")));
    let seconds = site.exported("a/one.iso").metadata().expect("there").mtime();
    assert_eq!(seconds, 1_767_693_600, "the origin's Last-Modified");

    // What changes at the origin changes in the tree; what is new comes, what was there stays.
    site.fill(&node, "/c", b"new").await;
    site.origin.route("/b/same", Script::object("different").etag("\"2\""));
    let target = testkit::node::fetch_target(&site.origin.url("/b/same"), "&revalidate=always");
    node.get(&target).await.expect_body(200, "different");
    committed(&node).await;
    let output = site.tool(&["export", "--tree", &tree]).await;
    assert_code(&output, 0);
    assert!(
        said(&output).contains("2 linked") && said(&output).contains("2 were there"),
        "{}",
        said(&output)
    );
    assert_eq!(std::fs::read(site.exported("b/same")).expect("exported"), b"different");
    assert_eq!(std::fs::read(site.exported("a/one.iso")).expect("exported"), content(1, 300_000));
    node.assert_alive().await;
}

#[tokio::test]
async fn an_export_leaves_out_what_no_file_can_stand_for_and_says_so() {
    let site = Site::new().await;
    let node = site.builder().args(["--fetch-pass-headers", "X-Token"]).start().await;
    let paths =
        ["/ok", "/query?x=1", "/dir/", "/twice//slash", "/enc%2foded", "/nul%00", "/taken", "/taken/below"];
    for path in paths {
        site.fill(&node, path, path.as_bytes()).await;
    }
    let long = format!("/{}", "l".repeat(300));
    site.fill(&node, &long, b"long").await;
    site.fill(&node, "/spelled~", b"one").await;
    site.fill(&node, "/spelled%7e", b"two").await;
    site.origin.route("/coded", Script::object("zzz").header("Content-Encoding", "gzip"));
    node.fetch(&site.origin.url("/coded")).await.expect(200);
    site.origin.route("/private", Script::object("secret"));
    let private = testkit::node::fetch_target(&site.origin.url("/private"), "&passheaders=X-Token");
    node.request("GET", &private, &[("X-Token", "t")]).await.expect_body(200, "secret");
    committed(&node).await;
    assert!(node.stop().await.success());

    let tree = site.path("tree").display().to_string();
    let output = site.tool(&["export", "--tree", &tree]).await;
    assert_code(&output, 3);
    let said = said(&output);
    for left_out in [
        "/query?x=1",
        "/dir/",
        "/twice//slash",
        "/enc%2foded",
        "/nul%00",
        &long,
        "/coded",
        "/private",
        "/taken",
        "/spelled",
    ] {
        assert!(said.contains(left_out), "{left_out} is not in {said}");
    }
    assert_eq!(std::fs::read(site.exported("ok")).expect("exported"), b"/ok");
    // One of two that want one place has it.
    let files = files_below(&site.path("tree"));
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(
        !files
            .iter()
            .any(|file| std::fs::read(file).is_ok_and(|bytes| bytes == b"secret" || bytes == b"zzz"))
    );
}

#[tokio::test]
async fn an_export_of_one_host_has_only_that() {
    let site = Site::new().await;
    let other = Origin::start_on("127.0.0.2".parse().expect("an address")).await;
    let node = site.builder().start().await;
    site.fill(&node, "/here", b"here").await;
    other.route("/there", Script::object("there"));
    node.fetch(&other.url("/there")).await.expect(200);
    committed(&node).await;
    let tree = site.path("tree").display().to_string();
    assert_code(&site.tool(&["export", "--tree", &tree, "--host", "127.0.0.2"]).await, 0);
    let files = files_below(&site.path("tree"));
    assert!(files.len() == 1 && files[0].ends_with("there"), "{files:?}");
    assert_code(
        &site.tool(&["export", "--tree", &tree, "--host", &site.origin.address().to_string()]).await,
        0,
    );
    assert_eq!(files_below(&site.path("tree")).len(), 2);
}

#[tokio::test]
async fn an_imported_mirror_is_served_as_if_it_had_been_fetched() {
    let site = Site::new().await;
    let (mirror, base) = (site.path("mirror"), site.origin.url("/debian"));
    let files: [(&str, Vec<u8>); 5] = [
        ("pool/m/a_1.0+b1~2.deb", content(1, 400_000).to_vec()),
        ("pool/m/same.deb", content(1, 400_000).to_vec()),
        ("dists/Release", b"Origin: Debian\n".to_vec()),
        ("with space.txt", b"x".to_vec()),
        ("empty", Vec::new()),
    ];
    for (path, bytes) in &files {
        let file = mirror.join(path);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("made");
        std::fs::write(file, bytes).expect("written");
    }
    std::os::unix::fs::symlink("/etc/passwd", mirror.join("link")).expect("made");
    let mirror = mirror.display().to_string();
    let output = site.tool(&["import", "--tree", &mirror, "--base", &base]).await;
    assert_code(&output, 3);
    assert!(
        said(&output).contains("5 objects") && said(&output).contains("link: it is a symbolic link"),
        "{}",
        said(&output)
    );

    let node = site.builder().start().await;
    for (path, bytes) in &files {
        let url = format!("{base}/{}", path.replace(' ', "%20"));
        let answer = node.fetch(&url).await.expect_body(200, bytes);
        assert_eq!(outcome(&answer), "HIT", "{url}");
        assert!(answer.header("last-modified").is_some(), "{url}");
    }
    let deb = node.fetch(&format!("{base}/pool/m/same.deb")).await;
    assert_eq!(deb.header("content-type"), Some("application/vnd.debian.binary-package"));
    assert_eq!(site.origin.requests().len(), 0, "the origin was asked");
    assert_eq!(scenarios::metric(&node, "standpipe_store_used_bytes", &[]).await as u64, 400_000 + 15 + 1);
    // The origin knows the date that the mirror has kept.
    let modified = deb.header("last-modified").expect("checked").to_owned();
    site.origin.route(
        "/debian/pool/m/same.deb",
        Script::object(content(1, 400_000)).etag("").last_modified(&modified),
    );
    let target = testkit::node::fetch_target(&format!("{base}/pool/m/same.deb"), "&revalidate=always");
    assert_eq!(outcome(&node.get(&target).await.expect(200)), "REVALIDATED");
    committed(&node).await;
    assert!(node.stop().await.success());

    // What is there stays, also when the mirror says otherwise.
    std::fs::write(site.path("mirror").join("dists/Release"), "older\n").expect("written");
    let output = site.tool(&["import", "--tree", &mirror, "--base", &base]).await;
    assert!(
        said(&output).contains("0 objects") && said(&output).contains("5 were there"),
        "{}",
        said(&output)
    );
    let node = site.builder().start().await;
    node.fetch(&format!("{base}/dists/Release")).await.expect_body(200, "Origin: Debian\n");
}

#[tokio::test]
async fn what_was_exported_can_be_imported() {
    let site = Site::new().await;
    let node = site.builder().start().await;
    site.fill(&node, "/a/b%20c.iso", &content(3, 200_000)).await;
    site.fill(&node, "/%25odd%3f", b"odd").await;
    committed(&node).await;
    assert!(node.stop().await.success());
    let tree = site.path("tree").display().to_string();
    assert_code(&site.tool(&["export", "--tree", &tree]).await, 0);
    std::fs::rename(site.path("store"), site.path("old")).expect("moved");
    let root = site.exported("").display().to_string();
    assert_code(&site.tool(&["import", "--tree", &root, "--base", &site.origin.url("/")]).await, 0);
    let node = site.builder().start().await;
    let asked = site.origin.requests().len();
    for (path, bytes) in [("/a/b%20c.iso", content(3, 200_000).to_vec()), ("/%25odd%3F", b"odd".to_vec())] {
        let answer = node.fetch(&site.origin.url(path)).await.expect_body(200, &bytes);
        assert_eq!(outcome(&answer), "HIT", "{path}");
        assert_eq!(answer.header("last-modified"), Some("Tue, 06 Jan 2026 10:00:00 GMT"), "{path}");
    }
    assert_eq!(site.origin.requests().len(), asked);
}

#[tokio::test]
async fn a_tree_that_does_not_fit_is_refused_before_anything_is_done() {
    let site = Site::new().await;
    std::fs::create_dir_all(site.path("mirror")).expect("made");
    std::fs::write(site.path("mirror/big"), vec![0; 3_000_000]).expect("written");
    let tree = site.path("mirror").display().to_string();
    let output =
        site.tool(&["import", "--tree", &tree, "--base", "http://a.example", "--store-quota", "2MB"]).await;
    assert_code(&output, 1);
    assert!(said(&output).contains("store.quota"), "{}", said(&output));
    for base in ["ftp://a.example/", "http://a.example/?x"] {
        assert_code(&site.tool(&["import", "--tree", &tree, "--base", base]).await, 2);
    }
    let missing = site.path("none").display().to_string();
    assert_code(&site.tool(&["import", "--tree", &missing, "--base", "http://a.example/"]).await, 1);
}
