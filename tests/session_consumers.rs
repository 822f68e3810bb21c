//! Programs of others that share TLS sessions through our server and our C library: servers of OpenSSL, and Apache
//! httpd; and our own HTTPS listeners, with a client of OpenSSL. Skipped, with a word on stderr, where what they need is not installed and the user is not root; `cargo xtask
//! test` installs it.

#[path = "session_consumers/handshake.rs"]
mod handshake;
#[path = "session_consumers/httpd.rs"]
mod httpd;
#[path = "../crates/distcache-capi/tests/support/library.rs"]
mod library;
#[path = "session_consumers/own.rs"]
mod own;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use handshake::{Certificate, Handshake, VERSIONS, shake};
use httpd::Httpd;
use library::Library;
use scenarios::session::{Peer, add, have, start, unix};
use testkit::guarded;
use testkit::node::workspace;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Whether these programs are there. Root can install them, so for root a missing one is a failure.
fn are_installed(programs: &[&str]) -> bool {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    let is_there = |program: &&&str| path.split(':').any(|at| Path::new(at).join(program).is_file());
    let missing: Vec<_> = programs.iter().filter(|program| !is_there(program)).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(!rustix::process::geteuid().is_root(), "not installed: {missing:?}: run `cargo xtask test`");
    eprintln!("SKIPPED: not installed: {missing:?}; `cargo xtask test` installs them for root");
    false
}

/// A server of OpenSSL, see `tls_server.c`.
struct TlsServer {
    port: u16,
    _child: Child,
}

impl TlsServer {
    async fn start(program: &Path, certificate: &Certificate, sessions: &str) -> Self {
        let mut command = Command::new(program);
        command.arg(&certificate.file).arg(&certificate.key).arg(sessions);
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = guarded("the port", lines.next_line()).await.expect("text").expect("a line");
        let port = line.strip_prefix("listening on ").and_then(|port| port.parse().ok());
        Self { port: port.unwrap_or_else(|| panic!("{line}")), _child: child }
    }
}

/// Directory, library and certificate. Children of httpd are other users and must reach what is in it.
fn prepare() -> (tempfile::TempDir, Library, Certificate) {
    let directory = tempfile::tempdir().expect("a directory");
    let library = Library::install();
    for path in [directory.path(), library.prefix()] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("it is ours");
    }
    let certificate = Certificate::make(directory.path());
    (directory, library, certificate)
}

#[tokio::test]
async fn a_session_of_one_openssl_server_resumes_on_the_other() {
    if !are_installed(&["cc", "make", "openssl"]) {
        return;
    }
    let (directory, library, certificate) = prepare();
    let source = workspace().join("tests/session_consumers/tls_server.c");
    let program = library.compile(&source, &["ssl", "crypto"]);
    let shared = start("dc_server", &["-listen", &unix(directory.path(), "shared")]).await;
    let other = start("dc_server", &["-listen", &unix(directory.path(), "other")]).await;
    let one = TlsServer::start(&program, &certificate, &shared.address).await;
    let two = TlsServer::start(&program, &certificate, &shared.address).await;
    let stranger = TlsServer::start(&program, &certificate, &other.address).await;
    for version in VERSIONS {
        let session = directory.path().join(version);
        assert_eq!(shake(one.port, version, &session).await, Handshake::Full, "{version}");
        assert_eq!(shake(two.port, version, &session).await, Handshake::Resumed, "{version}");
        assert_eq!(shake(one.port, version, &session).await, Handshake::Resumed, "{version}");
        // What resumes is the shared session and nothing in the certificate, the client or OpenSSL.
        assert_eq!(shake(stranger.port, version, &session).await, Handshake::Full, "{version}");
    }
    // A store that is gone costs a full handshake, no failure; one that has come back is used again.
    shared.kill().await;
    assert_eq!(shake(two.port, VERSIONS[0], &directory.path().join(VERSIONS[0])).await, Handshake::Full);
    let _back = start("dc_server", &["-listen", &unix(directory.path(), "shared")]).await;
    let session = directory.path().join("afterwards");
    assert_eq!(shake(two.port, VERSIONS[0], &session).await, Handshake::Full);
    assert_eq!(shake(one.port, VERSIONS[0], &session).await, Handshake::Resumed);
}

#[tokio::test]
async fn a_session_of_one_httpd_resumes_on_the_other() {
    if !are_installed(&["cc", "make", "openssl", "apxs", "apache2"]) {
        return;
    }
    let (directory, library, certificate) = prepare();
    let at = directory.path();
    let module = httpd::compile_module(&library, at);
    let sessions = unix(at, "sessions");
    let server = start("dc_server", &["-listen", &sessions, "-sockperms", "666"]).await;
    // Threads that share a process, and processes that were forked.
    let one = Httpd::start("event", &at.join("one"), &library, &module, &certificate, &sessions).await;
    let two = Httpd::start("prefork", &at.join("two"), &library, &module, &certificate, &sessions).await;
    for version in VERSIONS {
        let session = at.join(version);
        assert_eq!(shake(one.port, version, &session).await, Handshake::Full, "{version}");
        assert_eq!(shake(two.port, version, &session).await, Handshake::Resumed, "{version}");
        assert_eq!(shake(one.port, version, &session).await, Handshake::Resumed, "{version}");
    }
    server.kill().await;
    for httpd in [&one, &two] {
        assert_eq!(shake(httpd.port, VERSIONS[0], &at.join(VERSIONS[0])).await, Handshake::Full);
    }
    let _back = start("dc_server", &["-listen", &sessions, "-sockperms", "666"]).await;
    let session = at.join("afterwards");
    assert_eq!(shake(two.port, VERSIONS[0], &session).await, Handshake::Full);
    assert_eq!(shake(one.port, VERSIONS[0], &session).await, Handshake::Resumed);
    one.stop().await;
    two.stop().await;
}

/// httpd's own provider asks for less than a second; with `--min-ttl` its sessions live on.
#[tokio::test]
async fn with_a_floor_the_sessions_of_httpds_own_provider_resume_too() {
    if !are_installed(&["cc", "make", "openssl", "apxs", "apache2"]) {
        return;
    }
    let (directory, library, certificate) = prepare();
    let at = directory.path();
    let module = httpd::compile_module(&library, at);
    let short = httpd::compile_short_timeouts(&library, at);
    let sessions = unix(at, "sessions");
    let listen = ["-listen", &sessions, "-sockperms", "666"];
    let clock = start("dc_server", &["-listen", &unix(at, "clock")]).await;
    for (floor, afterwards) in [(&[][..], Handshake::Full), (&["--min-ttl", "5min"], Handshake::Resumed)] {
        let server = start("dc_server", &[&listen[..], floor].concat()).await;
        let httpds = [("event", "one"), ("prefork", "two")].map(|(mpm, name)| {
            let directory = at.join(format!("{name}{}", floor.len()));
            let (library, module, certificate) = (&library, &module, &certificate);
            let (short, sessions) = (&short, &sessions);
            async move {
                Httpd::start_with(Some(short), mpm, &directory, library, module, certificate, sessions).await
            }
        });
        let [one, two] = httpds;
        let (one, two) = (one.await, two.await);
        let session = |version: &str| at.join(format!("{version}{}", floor.len()));
        for version in VERSIONS {
            assert_eq!(shake(one.port, version, &session(version)).await, Handshake::Full, "{version}");
        }
        // Longer than any of them lives by itself.
        let mut peer = Peer::connect(&clock.address).await;
        assert_eq!(peer.status(&add(1, 1000, b"a second", b"is over")).await, 0);
        let over = async { while peer.status(&have(1, b"a second")).await == 0 {} };
        guarded("a second", over).await;
        for version in VERSIONS {
            assert_eq!(shake(two.port, version, &session(version)).await, afterwards, "{version}");
        }
        one.stop().await;
        two.stop().await;
        assert!(server.stop().await.success());
    }
}
