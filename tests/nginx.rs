//! Real software on both sides: nginx from Debian as the origin, curl as the client. Skipped, with a word on stderr,
//! where they are not installed and the user is not root; `cargo xtask test` installs them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;

use testkit::content::content;
use testkit::guarded;
use testkit::node::{Node, fetch_target};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// nginx with a configuration, a document root and a log of its own.
struct Nginx {
    address: SocketAddr,
    directory: tempfile::TempDir,
    _child: Child,
}

impl Nginx {
    /// `None` when nginx is not installed.
    async fn start() -> Option<Self> {
        if !installed("nginx", "-v").await {
            return None;
        }
        // nginx cannot choose a port by itself: take a free one, and another when somebody was quicker.
        for _ in 0..10 {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            let address = probe.local_addr().expect("a bound socket has an address");
            write_config(directory.path(), address);
            drop(probe);
            let mut child = run(directory.path());
            if listens(&mut child).await {
                return Some(Self { address, directory, _child: child });
            }
        }
        panic!("nginx found no free port in ten attempts");
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.directory.path().join("www").join(name), bytes).expect("a writable directory");
    }

    /// How many requests it has logged for a path.
    fn requests(&self, path: &str) -> usize {
        let log = std::fs::read_to_string(self.directory.path().join("access.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains(&format!(" {path} "))).count()
    }
}

/// Whether a program is there. Root can install it, so for root a missing one is a failure.
async fn installed(program: &str, flag: &str) -> bool {
    let found = Command::new(program).arg(flag).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    if found.is_err() {
        assert!(!rustix::process::geteuid().is_root(), "{program} is not installed: run `cargo xtask test`");
        eprintln!("SKIPPED: {program} is not installed; `cargo xtask test` installs it for root");
    }
    found.is_ok()
}

fn write_config(directory: &Path, address: SocketAddr) {
    std::fs::create_dir(directory.join("www")).expect("a writable directory");
    let at = directory.display();
    let config = format!(
        "daemon off; master_process off; pid {at}/nginx.pid; error_log stderr notice;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n  access_log {at}/access.log; default_type application/octet-stream;\n\
         client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; fastcgi_temp_path {at}/t3;\n\
         uwsgi_temp_path {at}/t4; scgi_temp_path {at}/t5;\n\
         server {{ listen {address}; root {at}/www; gzip on; gzip_types *; gzip_min_length 1; }}\n}}\n"
    );
    std::fs::write(directory.join("nginx.conf"), config).expect("a writable directory");
}

/// One process without workers, so that killing it leaves nothing behind.
fn run(directory: &Path) -> Child {
    Command::new("nginx")
        .arg("-c")
        .arg(directory.join("nginx.conf"))
        .arg("-p")
        .arg(directory)
        .args(["-e", "stderr"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("nginx runs")
}

/// Waits until nginx listens; `false` when it ended instead. Its later words are read and dropped.
async fn listens(child: &mut Child) -> bool {
    let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
    let started = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains("event method") {
                return true;
            }
        }
        false
    };
    let is_ready = guarded("nginx to listen", started).await;
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    is_ready
}

/// Runs curl; panics with its words when it fails.
async fn curl(args: &[&str]) -> Vec<u8> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]).args(args).kill_on_drop(true);
    let output = guarded("curl", command.output()).await.expect("curl runs");
    assert!(output.status.success(), "curl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_curls_get_what_nginx_has_with_one_request() {
    let (Some(nginx), true) = (Nginx::start().await, installed("curl", "--version").await) else { return };
    let node = Node::start().await;
    let bytes = content(11, 5_000_000);
    nginx.write("f.bin", &bytes);
    let url = format!("{}{}", node.url(), fetch_target(&nginx.url("/f.bin"), ""));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let url = url.clone();
        clients.spawn(async move { curl(&[&url]).await });
    }
    for got in clients.join_all().await {
        assert!(got == bytes);
    }
    assert_eq!(nginx.requests("/f.bin"), 1);
    node.assert_alive().await;
}

#[tokio::test]
async fn curl_resumes_ranges_heads_and_revalidates_against_nginx() {
    let (Some(nginx), true) = (Nginx::start().await, installed("curl", "--version").await) else { return };
    let node = Node::builder().args(["--fetch-default-ttl", "0s"]).start().await;
    let bytes = content(12, 1_000_000);
    nginx.write("f.bin", &bytes);
    let url = format!("{}{}", node.url(), fetch_target(&nginx.url("/f.bin"), ""));
    assert!(curl(&[&url]).await == bytes);
    assert!(curl(&["--range", "1000-1999", &url]).await == bytes[1000..2000]);
    assert!(curl(&["--compressed", &url]).await == bytes);
    let head = String::from_utf8_lossy(&curl(&["--head", &url]).await).to_ascii_lowercase();
    assert!(head.contains("content-length: 1000000") && head.contains("etag: "), "{head}");
    let half = node.directory().join("half");
    std::fs::write(&half, &bytes[..400_000]).expect("a writable directory");
    curl(&["--continue-at", "-", "--output", &half.display().to_string(), &url]).await;
    assert!(std::fs::read(&half).expect("the file") == bytes);
    assert!(curl(&["--http1.0", &url]).await == bytes);
    let changed = content(13, 900_000);
    nginx.write("f.bin", &changed);
    assert!(curl(&[&url]).await == changed, "a changed file is seen when its copy may have no age");
    node.assert_alive().await;
}
