//! What disks, administrators and strangers do to a store: full disks, flipped bits, deleted files, links, other owners,
//! a second process. Whatever it is, nothing wrong is served, and the service goes on.

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use scenarios::{EAGER, committed, files_below, impatient, metric, outcome};
use testkit::client::Ending;
use testkit::content::content;
use testkit::node::{Builder, Node, binary, command, fetch_target, run};
use testkit::origin::{Gate, Origin, Script};

/// Objects of a small store: small, in a file, and long enough to be sent in pieces.
const LENGTHS: [usize; 4] = [500, 70_000, 300_000, 1_200_000];

struct Site {
    origin: Origin,
    directory: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        let origin = Origin::start().await;
        for (n, length) in LENGTHS.into_iter().enumerate() {
            origin.route(&format!("/{n}"), Script::object(content(n as u64, length)));
        }
        Self { origin, directory: tempfile::tempdir().expect("a temporary directory") }
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    fn builder(&self) -> Builder {
        impatient()
            .args(EAGER)
            .args(["--store-quota", "1GiB", "--negative-unstorable", "0s", "--store-directory"])
            .arg(self.store())
    }

    /// Everything is exact, wherever it comes from. Returns how many were hits.
    async fn assert_exact(&self, node: &Node) -> usize {
        let mut hits = 0;
        for (n, length) in LENGTHS.into_iter().enumerate() {
            let answer = node.fetch(&self.origin.url(&format!("/{n}"))).await;
            let answer = answer.expect_body(200, content(n as u64, length));
            hits += usize::from(outcome(&answer) == "HIT");
        }
        hits
    }

    /// A store with everything in it whose server was ended by `end`.
    async fn filled(&self, end: End) {
        let mut node = self.builder().start().await;
        self.assert_exact(&node).await;
        committed(&node).await;
        match end {
            End::Clean => assert!(node.stop().await.success()),
            End::Kill => node.kill().await,
        }
    }
}

#[derive(Clone, Copy)]
enum End {
    Clean,
    Kill,
}

/// A file system of its own in memory; only for root.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where that is not allowed.
    fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a writable directory");
        mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "none"], at).then(|| Self(at.to_owned()))
    }

    fn resize(&self, size: &str) {
        assert!(mount(&["-o", &format!("remount,size={size}")], &self.0));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _left = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    let output = Command::new("mount").args(arguments).arg(at).output();
    output.is_ok_and(|output| output.status.success())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Takes all space that is left.
fn fill_up(file: &Path) {
    let mut file =
        std::fs::OpenOptions::new().append(true).create(true).open(file).expect("a writable directory");
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
}

/// Waits until everything is stored again, without any help.
async fn recovered(site: &Site, node: &Node) {
    let stored = async {
        while site.assert_exact(node).await < LENGTHS.len() {
            tokio::task::yield_now().await;
        }
    };
    testkit::guarded("the store to store again", stored).await;
    node.assert_alive().await;
    assert!(metric(node, "standpipe_store_degraded", &[]).await < 1.0);
}

// 52: somebody else fills the disk, although the quota has room. Clients get their objects, the server says what is
// wrong, and when there is room again it stores again by itself. Index and bodies are whole afterwards.
#[tokio::test]
async fn a_full_disk_is_survived_and_recovered_from() {
    let site = Site::new().await;
    let Some(_disk) = SmallDisk::mount(&site.store(), "16m") else {
        assert!(!is_root(), "root cannot mount a tmpfs");
        return eprintln!("skipped: mounting needs root");
    };
    let node = site.builder().start().await;
    let old = content(99, 400_000);
    site.origin.route("/old", Script::object(old.clone()));
    node.fetch(&site.origin.url("/old")).await.expect(200);
    committed(&node).await;
    // In the middle of a body, where the space was there when it began.
    let (gate, long) = (Gate::new(), content(98, 3_000_000));
    site.origin.route("/long", Script::object(long.clone()).pause_at(1_000_000, &gate));
    let mut client = node.client().await;
    client.start("GET", &fetch_target(&site.origin.url("/long"), ""), &[]).await;
    gate.reached(1).await;
    let filler = site.store().join("filler");
    fill_up(&filler);
    gate.open();
    assert_honest_hit(&client.response("GET").await, &long);
    for _ in 0..2 {
        site.assert_exact(&node).await;
        let kept = node.fetch(&site.origin.url("/old")).await.expect_body(200, &old);
        assert_eq!(outcome(&kept), "HIT", "what is stored can still be read");
    }
    let told = async {
        while metric(&node, "standpipe_store_degraded", &[]).await < 1.0 {
            // Whatever has been given back meanwhile is taken as well.
            fill_up(&filler);
            site.assert_exact(&node).await;
        }
    };
    testkit::guarded("the server to say that its disk is full", told).await;
    let health = node.get("/api/v1/health/").await.expect(200);
    assert!(health.text().contains("degraded"), "{}", health.text());
    std::fs::remove_file(filler).expect("removed");
    recovered(&site, &node).await;
    committed(&node).await;
    assert!(node.stop().await.success());
    let node = site.builder().start().await;
    assert_eq!(site.assert_exact(&node).await, LENGTHS.len(), "{}", node.stderr());
    // It may have been evicted to make room; if it is there it is right.
    node.fetch(&site.origin.url("/old")).await.expect_body(200, &old);
}

// 52: no room even for the index at the start.
#[tokio::test]
async fn a_disk_that_is_full_at_the_start_is_no_reason_not_to_serve() {
    let site = Site::new().await;
    let Some(disk) = SmallDisk::mount(&site.store(), "1m") else {
        assert!(!is_root(), "root cannot mount a tmpfs");
        return eprintln!("skipped: mounting needs root");
    };
    // A server that was here before has left its secret; then somebody else filled the disk.
    let node = site.builder().start().await;
    assert!(node.stop().await.success());
    fill_up(&site.store().join("filler"));
    let node = site.builder().start().await;
    site.assert_exact(&node).await;
    disk.resize("64m");
    recovered(&site, &node).await;
    committed(&node).await;
    assert!(node.stop().await.success());
    let node = site.builder().start().await;
    assert_eq!(site.assert_exact(&node).await, LENGTHS.len(), "{}", node.stderr());
}

// 54: a bit flips anywhere in what a crash has left: bodies, heads, index, journal, epochs, secret, small state.
#[tokio::test]
async fn a_flipped_bit_after_a_crash_is_never_served() {
    let site = Site::new().await;
    let mut random = fastrand::Rng::with_seed(54);
    for round in 0..24 {
        let _ = std::fs::remove_dir_all(site.store());
        site.filled(End::Kill).await;
        let files = files_below(&site.store());
        // Every file is hit sooner or later, the small ones among them too.
        let file = &files[(round * 7 + random.usize(..3)) % files.len()];
        flip(file, &mut random);
        let node = site.builder().start().await;
        site.assert_exact(&node).await;
        recovered(&site, &node).await;
    }
}

// 54: after a clean end bodies are believed; a scrub finds what has changed since, and so does fsck.
#[tokio::test]
async fn a_flipped_bit_in_a_body_is_found_by_a_scrub_and_by_fsck() {
    let site = Site::new().await;
    site.filled(End::Clean).await;
    let mut random = fastrand::Rng::with_seed(540);
    let bodies = files_below(&site.store().join("bodies"));
    let body = bodies.iter().find(|body| body.metadata().is_ok_and(|m| m.len() == 300_000)).expect("a body");
    flip(body, &mut random);
    let store = site.store().display().to_string();
    let checked = run(["fsck", "--store-directory", &store]).await;
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    let name = body.file_name().and_then(|name| name.to_str()).expect("a digest");
    assert_eq!(checked.status.code(), Some(3), "{said}");
    assert!(said.contains("damaged") && said.contains(name), "{said}");

    let node = site.builder().start().await;
    let scrubbed = run(["scrub", "--server", &node.url()]).await;
    let said = String::from_utf8_lossy(&scrubbed.stderr).into_owned();
    assert_eq!(scrubbed.status.code(), Some(1), "{said}");
    assert_eq!(site.assert_exact(&node).await, LENGTHS.len() - 1);
    committed(&node).await;
    assert!(run(["scrub", "--server", &node.url()]).await.status.success());
    assert!(node.stop().await.success());
    assert!(run(["fsck", "--store-directory", &store]).await.status.success());
}

fn flip(file: &Path, random: &mut fastrand::Rng) {
    let mut bytes = std::fs::read(file).expect("readable");
    if bytes.is_empty() {
        return;
    }
    let place = random.usize(..bytes.len());
    bytes[place] ^= 1 << random.u8(..8);
    std::fs::write(file, bytes).expect("writable");
}

// 54 and 53: files that end too early, everywhere.
#[tokio::test]
async fn a_file_that_lost_its_end_is_never_served() {
    let site = Site::new().await;
    for kind in ["bodies", "index"] {
        for end in [End::Clean, End::Kill] {
            let _ = std::fs::remove_dir_all(site.store());
            site.filled(end).await;
            for file in files_below(&site.store().join(kind)) {
                let length = file.metadata().expect("there").len();
                let file = std::fs::OpenOptions::new().write(true).open(file).expect("writable");
                file.set_len(length * 2 / 3).expect("shortened");
            }
            let node = site.builder().start().await;
            site.assert_exact(&node).await;
            recovered(&site, &node).await;
        }
    }
}

// 55: entries deleted while nobody looks, and under a running server.
#[tokio::test]
async fn deleted_files_are_fetched_again() {
    let site = Site::new().await;
    site.filled(End::Clean).await;
    for file in files_below(&site.store().join("bodies")) {
        std::fs::remove_file(file).expect("removed");
    }
    let node = site.builder().start().await;
    assert_eq!(site.assert_exact(&node).await, 0);
    committed(&node).await;
    assert_eq!(site.assert_exact(&node).await, LENGTHS.len(), "{}", node.stderr());
    assert!(node.stop().await.success());

    // Nothing is open or in memory yet when the files go.
    let node = site.builder().start().await;
    committed(&node).await;
    for file in files_below(&site.store().join("bodies")) {
        std::fs::remove_file(file).expect("removed");
    }
    for (n, length) in LENGTHS.into_iter().enumerate() {
        let answer = node.fetch(&site.origin.url(&format!("/{n}"))).await;
        assert_honest_hit(&answer, &content(n as u64, length));
    }
    recovered(&site, &node).await;
}

/// A client may see a broken connection in the moment in which the loss is noticed, never wrong bytes.
#[track_caller]
fn assert_honest_hit(answer: &testkit::client::Response, exact: &[u8]) {
    match answer.ending {
        Ending::Complete if answer.status == 200 => assert!(answer.body == exact),
        Ending::Complete => assert!(answer.status >= 500, "{}", answer.status),
        _ => assert!(exact.starts_with(&answer.body)),
    }
}

// 55: directories of the store swapped for links to somebody else's files.
#[tokio::test]
async fn a_link_in_the_place_of_a_directory_is_not_followed() {
    for name in ["bodies", "fills", "parts", "index", "control"] {
        let site = Site::new().await;
        site.filled(End::Clean).await;
        let precious = site.directory.path().join("precious");
        std::fs::create_dir_all(precious.join("ab")).expect("made");
        for file in ["file", "ab/file"] {
            std::fs::write(precious.join(file), "precious").expect("written");
        }
        let place = site.store().join(name);
        let _ = std::fs::remove_dir_all(&place);
        symlink(&precious, &place).expect("linked");

        let mut server = command();
        server
            .args(["--listen", "127.0.0.1:0", "--allow-origin", "127.0.0.0/8", "--store-directory"])
            .arg(site.store());
        let mut server = server
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("runs");
        // Refused in a sentence, or served without the link: both are right, following it is not.
        let ended = tokio::time::timeout(std::time::Duration::from_millis(700), server.wait()).await;
        if let Ok(status) = ended {
            assert!(!status.expect("a child").success(), "{name}");
        } else {
            server.kill().await.expect("a process of ours");
        }
        let mut left = files_below(&precious);
        left.sort();
        assert_eq!(
            left,
            [precious.join("ab/file"), precious.join("file")],
            "{name}: somebody else's files were touched"
        );
        assert!(left.iter().all(|file| std::fs::read(file).expect("readable") == b"precious"), "{name}");
    }
}

// 55: a single body swapped for a link.
#[tokio::test]
async fn a_link_in_the_place_of_a_body_is_not_served() {
    let site = Site::new().await;
    site.filled(End::Clean).await;
    let secret = site.directory.path().join("secret");
    for body in files_below(&site.store().join("bodies")) {
        std::fs::write(&secret, vec![b's'; body.metadata().expect("there").len() as usize]).expect("written");
        std::fs::remove_file(&body).expect("removed");
        let own = secret.with_extension(body.file_name().expect("a name"));
        std::fs::rename(&secret, &own).expect("moved");
        symlink(own, body).expect("linked");
    }
    let node = site.builder().start().await;
    assert_eq!(site.assert_exact(&node).await, 0);
    node.assert_alive().await;
}

// 55: a directory that belongs to somebody else is refused in a sentence.
#[tokio::test]
async fn a_store_of_another_owner_is_refused_clearly() {
    let site = Site::new().await;
    site.filled(End::Clean).await;
    let reachable = |uid| {
        let mut probe = Command::new(binary());
        std::os::unix::process::CommandExt::uid(&mut probe, uid);
        probe.arg("--version").output().is_ok_and(|output| output.status.success())
    };
    let nobody = 65_534;
    if !is_root() || !reachable(nobody) {
        return eprintln!("skipped: running as somebody else needs root and a binary that all may run");
    }
    assert_eq!(site.store().metadata().expect("there").uid(), 0);
    std::fs::set_permissions(site.directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("ours");
    let mut server = command();
    server.uid(nobody).args(["--listen", "127.0.0.1:0", "--store-directory"]).arg(site.store());
    let output = testkit::guarded("a refusal", server.output()).await.expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && !said.contains("panicked"), "{said}");
    assert!(
        said.contains(&site.store().display().to_string()) && said.contains("ermission denied"),
        "{said}"
    );
}

// 56: whoever comes second is told who is first, be it a server or a tool.
#[tokio::test]
async fn two_processes_do_not_share_a_directory() {
    let site = Site::new().await;
    let node = site.builder().start().await;
    let store = site.store().display().to_string();
    let tree = site.directory.path().display().to_string();
    let commands: [&[&str]; 4] = [
        &["serve", "--listen", "127.0.0.1:0"],
        &["fsck"],
        &["fsck", "--repair"],
        &["import", "--tree", &tree, "--base", "http://a.example/"],
    ];
    for arguments in commands {
        let output = run(arguments.iter().copied().chain(["--store-directory", store.as_str()])).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains(&format!("process {}", node.pid())), "{arguments:?}: {said}");
    }
    assert_eq!(site.assert_exact(&node).await, 0);
    node.assert_alive().await;
}

// 55: the directory goes while a fill writes to it and a reader reads from it.
#[tokio::test]
async fn a_directory_that_vanishes_in_the_middle_of_a_fill_is_no_end() {
    let site = Site::new().await;
    let (gate, bytes) = (Gate::new(), content(9, 1_500_000));
    site.origin.route("/slow", Script::object(bytes.clone()).pause_at(700_000, &gate));
    let node = site.builder().start().await;
    let mut client = node.client().await;
    client.start("GET", &fetch_target(&site.origin.url("/slow"), ""), &[]).await;
    gate.reached(1).await;
    std::fs::rename(site.store(), site.directory.path().join("gone")).expect("moved");
    gate.open();
    let answer = client.response("GET").await;
    assert_honest_hit(&answer, &bytes);
    site.assert_exact(&node).await;
    // Once the store has looked after its directory, health says that it is not the same any more.
    let health = node.get("/api/v1/health/").await.expect(200).text();
    assert!(health.trim() == "ok" || health.contains("has been moved"), "{health}");
}
