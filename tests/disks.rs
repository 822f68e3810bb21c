//! Real file systems that fail in real ways: read-only in the middle of the work, input and output errors, no inode left,
//! a disk that stands still. Needs root, and a kernel with loop devices; says so where it has to skip.

use std::path::{Path, PathBuf};
use std::process::Command;

use scenarios::{EAGER, committed, impatient, metric, outcome};
use testkit::content::content;
use testkit::node::{Builder, Node, fetch_target};
use testkit::origin::{Gate, Origin, Script};

const OLD: usize = 400_000;

/// A file system of its own.
struct Volume {
    at: PathBuf,
    /// What its image lies on.
    below: Option<PathBuf>,
}

impl Volume {
    /// In memory, with so many inodes.
    fn in_memory(root: &Path, name: &str, options: &str) -> Option<Self> {
        let at = made(root, name);
        run("mount", &["-t", "tmpfs", "-o", options, "none", text(&at)]).then(|| Self { at, below: None })
    }

    /// ext4 in an image of 64 MiB on a file system in memory.
    fn on_an_image(root: &Path, features: &str) -> Option<Self> {
        let below = Self::in_memory(root, "below", "size=80m")?;
        let image = below.at.join("image");
        std::fs::File::create(&image).and_then(|file| file.set_len(64 << 20)).expect("a sparse file");
        let at = made(root, "store");
        let is_there = run("mkfs.ext4", &["-q", "-F", "-O", features, text(&image)])
            && run("mount", &["-o", "loop", text(&image), text(&at)]);
        if !is_there {
            return None;
        }
        let below = std::mem::take(&mut std::mem::ManuallyDrop::new(below).at);
        Some(Self { at, below: Some(below) })
    }

    /// The same image, mounted anew.
    fn mount_again(&self) {
        let image = self.below.as_ref().expect("it lies on an image").join("image");
        assert!(run("umount", &[text(&self.at)]));
        let _repaired = run("e2fsck", &["-p", text(&image)]);
        assert!(run("mount", &["-o", "loop", text(&image), text(&self.at)]));
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _thawed = run("fsfreeze", &["-u", text(&self.at)]);
        for at in [Some(&self.at), self.below.as_ref()].into_iter().flatten() {
            let _left = run("umount", &["-l", text(at)]);
        }
    }
}

fn made(root: &Path, name: &str) -> PathBuf {
    let at = root.join(name);
    std::fs::create_dir_all(&at).expect("a writable directory");
    at
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of this test")
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

fn skipped(what: &str) {
    eprintln!(
        "SKIPPED: {what} is not to be had here (it needs root, loop devices, e2fsprogs and util-linux)"
    );
}

/// A server on a volume that has stored one object.
struct Site {
    origin: Origin,
    node: Node,
    store: PathBuf,
    asked: u64,
}

impl Site {
    async fn new(volume: &Volume) -> Self {
        let (origin, store) = (Origin::start().await, volume.at.join("store"));
        origin.route("/old", Script::object(content(0, OLD)));
        let node = builder(&store).start().await;
        let site = Self { origin, node, store, asked: 0 };
        site.old().await;
        committed(&site.node).await;
        // What the kernel has not written yet may be lost with the disk, as in a power cut.
        assert!(run("sync", &["-f", text(&volume.at)]));
        site
    }

    /// What was stored while the disk was well is served, exactly.
    async fn old(&self) -> String {
        let answer = self.node.fetch(&self.origin.url("/old")).await.expect_body(200, content(0, OLD));
        outcome(&answer).to_owned()
    }

    /// Another object, which the client gets whatever the disk says.
    async fn new_object(&mut self, length: usize) {
        self.asked += 1;
        let (path, bytes) = (format!("/{}", self.asked), content(self.asked, length));
        self.origin.route(&path, Script::object(bytes.clone()));
        self.node.fetch(&self.origin.url(&path)).await.expect_body(200, &bytes);
    }

    /// Clients go on until the server says that it does not store any more, and why.
    async fn told(&mut self) {
        let told = async {
            while metric(&self.node, "standpipe_store_degraded", &[]).await < 1.0 {
                self.new_object(300_000).await;
                assert_eq!(self.old().await, "HIT", "what is stored can still be read");
            }
        };
        testkit::guarded("the server to say that its disk fails", told).await;
        let health = self.node.get("/api/v1/health/").await.expect(200);
        assert!(health.text().contains("degraded"), "{}", health.text());
    }

    /// By itself the store stores again.
    async fn recovered(&mut self) {
        let stored = async {
            while metric(&self.node, "standpipe_store_degraded", &[]).await > 0.0 {
                tokio::task::yield_now().await;
            }
        };
        testkit::guarded("the store to store again", stored).await;
        self.new_object(300_000).await;
        committed(&self.node).await;
        let url = self.origin.url(&format!("/{}", self.asked));
        let again = self.node.fetch(&url).await.expect_body(200, content(self.asked, 300_000));
        assert_eq!(outcome(&again), "HIT");
    }
}

fn builder(store: &Path) -> Builder {
    impatient()
        .args(EAGER)
        .args(["--store-quota", "1GiB", "--negative-unstorable", "0s"])
        .arg("--store-directory")
        .arg(store)
}

// 52: the kernel has met an error of the file system and takes no more writes.
#[tokio::test]
async fn a_file_system_that_turns_read_only_is_survived() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let Some(volume) = Volume::on_an_image(directory.path(), "has_journal") else {
        return skipped("a file system on a loop device");
    };
    let mut site = Site::new(&volume).await;
    assert!(run("mount", &["-o", "remount,abort", text(&volume.at)]), "ext4 can be told to give up");
    site.told().await;
    for length in [500, 70_000, 1_200_000] {
        site.new_object(length).await;
    }
    assert_eq!(site.old().await, "HIT");
    site.node.kill().await;
    volume.mount_again();
    site.node = builder(&site.store).start().await;
    site.old().await;
    site.recovered().await;
}

// 52: the disk below the file system fails writes that the file system has promised.
#[tokio::test]
async fn input_and_output_errors_are_survived_and_recovered_from() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let Some(volume) = Volume::on_an_image(directory.path(), "^has_journal") else {
        return skipped("a file system on a loop device");
    };
    let mut site = Site::new(&volume).await;
    let filler = volume.below.as_ref().expect("it lies on an image").join("filler");
    let mut file = std::fs::File::create(&filler).expect("a writable directory");
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    site.told().await;
    for length in [500, 70_000, 1_200_000] {
        site.new_object(length).await;
    }
    drop(file);
    std::fs::remove_file(filler).expect("removed");
    site.recovered().await;
    assert_eq!(site.old().await, "HIT");
}

// 52: there is room, but no name for another file.
#[tokio::test]
async fn a_file_system_without_inodes_is_survived_and_recovered_from() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let Some(volume) = Volume::in_memory(directory.path(), "store", "size=64m,nr_inodes=1000") else {
        return skipped("a file system in memory");
    };
    let mut site = Site::new(&volume).await;
    let full = made(&volume.at, "full");
    let mut files = 0;
    while std::fs::write(full.join(files.to_string()), "").is_ok() {
        files += 1;
    }
    site.told().await;
    for length in [500, 70_000, 1_200_000] {
        site.new_object(length).await;
    }
    std::fs::remove_dir_all(full).expect("removed");
    site.recovered().await;
}

// 52: the disk stands still for a while in the middle of a fill. The origin is held back, nothing is dropped, and who
// wants what is in memory does not notice.
#[tokio::test]
async fn a_disk_that_stands_still_holds_a_fill_back_and_loses_nothing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let Some(volume) = Volume::on_an_image(directory.path(), "has_journal") else {
        return skipped("a file system on a loop device");
    };
    let site = Site::new(&volume).await;
    site.origin.route("/small", Script::object(content(1, 500)));
    site.node.fetch(&site.origin.url("/small")).await.expect_body(200, content(1, 500));
    committed(&site.node).await;
    let (gate, bytes) = (Gate::new(), content(2, 30_000_000));
    site.origin.route("/long", Script::object(bytes.clone()).pause_at(1_000_000, &gate));
    let mut client = site.node.client().await;
    client.start("GET", &fetch_target(&site.origin.url("/long"), ""), &[]).await;
    gate.reached(1).await;
    if !run("fsfreeze", &["-f", text(&volume.at)]) {
        return skipped("fsfreeze");
    }
    gate.open();
    for _ in 0..20 {
        let small = site.node.fetch(&site.origin.url("/small")).await.expect_body(200, content(1, 500));
        assert_eq!(outcome(&small), "HIT");
    }
    assert!(run("fsfreeze", &["-u", text(&volume.at)]));
    client.response("GET").await.expect_body(200, &bytes);
    committed(&site.node).await;
    let again = site.node.fetch(&site.origin.url("/long")).await.expect_body(200, &bytes);
    assert_eq!(outcome(&again), "HIT");
    assert!(metric(&site.node, "standpipe_store_disk_errors_total", &[]).await < 1.0);
}
