//! Handshakes by `openssl s_client`, with a certificate made for the test.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use testkit::guarded;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::library::run;

/// Versions that resume in different ways: by session id, and by a ticket that names a session.
pub(crate) const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

/// A self-signed certificate and its key.
pub(crate) struct Certificate {
    pub(crate) file: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    pub(crate) fn make(directory: &Path) -> Self {
        let made = Self { file: directory.join("certificate.pem"), key: directory.join("key.pem") };
        let mut request = std::process::Command::new("openssl");
        request.args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        request.args(["-subj", "/CN=localhost", "-days", "2", "-keyout"]).arg(&made.key);
        run(request.arg("-out").arg(&made.file));
        made
    }
}

/// What became of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    Full,
    Resumed,
}

/// Connects to a port of this host and offers the session in the file if it exists; else leaves a new one there.
pub(crate) async fn shake(port: u16, version: &str, session: &Path) -> Handshake {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &format!("127.0.0.1:{port}"), version, "-ign_eof"]);
    command.arg(if session.exists() { "-sess_in" } else { "-sess_out" }).arg(session);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("openssl runs");
    // What httpd waits for before it closes.
    let mut request = child.stdin.take().expect("piped");
    request.write_all(b"GET / HTTP/1.0\r\n\r\n").await.expect("it reads");
    drop(request);
    let output = guarded("openssl s_client to end", child.wait_with_output()).await.expect("it ran");
    let words = String::from_utf8_lossy(&output.stdout);
    if words.contains("\nReused, TLS") {
        Handshake::Resumed
    } else if words.contains("\nNew, TLS") {
        Handshake::Full
    } else {
        panic!("no handshake:\n{words}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}
