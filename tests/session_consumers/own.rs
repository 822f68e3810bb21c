//! Our own HTTPS listeners, as nodes that resume each other's sessions.

use std::path::{Path, PathBuf};

use scenarios::session::{redis, redis_store, start, unix};
use scenarios::{counted, metric};
use testkit::guarded;
use testkit::node::{Builder, Node};
use tokio::net::TcpListener;

use crate::are_installed;
use crate::handshake::{Certificate, Handshake, VERSIONS, shake};

/// What handshakes made and the store took.
const STORED: (&str, &[&str]) = ("standpipe_session_https_uploads_total", &["result=\"stored\""]);

/// No test but one is about how fast this machine is today.
const PATIENT: &str = "https-wait = \"1s\"\n";

/// A node with an HTTPS listener, and what is to be in its section for sessions.
async fn node(builder: Builder, certificate: &Certificate, session: &str) -> Node {
    let toml = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[[listener.certificate]]\nchain = \"{}\"\nkey = \"{}\"\n\
         [session]\n{session}",
        certificate.file.display(),
        certificate.key.display()
    );
    builder.config(&toml).start().await
}

fn port(node: &Node) -> u16 {
    let stdout = node.stdout();
    let line = stdout.lines().find(|line| line.contains("on https://")).expect("it says where");
    line.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}

/// A session that is made on one node resumes on the other, by each version in its way.
async fn resume(directory: &Path, one: &Node, two: &Node) {
    for version in VERSIONS {
        let session = directory.join(version);
        let before = metric(one, STORED.0, STORED.1).await;
        let made = if version == "-tls1_3" { 2.0 } else { 1.0 };
        assert_eq!(shake(port(one), version, &session).await, Handshake::Full, "{version}");
        counted(one, STORED.0, STORED.1, before + made).await;
        assert_eq!(shake(port(two), version, &session).await, Handshake::Resumed, "{version}");
        // A session of TLS 1.3 may be used once, wherever that was.
        let again = if version == "-tls1_3" { Handshake::Full } else { Handshake::Resumed };
        assert_eq!(shake(port(one), version, &session).await, again, "{version}");
    }
}

#[tokio::test]
async fn a_session_of_one_node_resumes_on_the_other_and_a_store_that_is_gone_costs_nothing_else() {
    if !are_installed(&["openssl"]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (at, certificate) = (directory.path(), Certificate::make(directory.path()));
    let address = unix(at, "shared");
    let shared = start("dc_server", &["-listen", &address]).await;
    let https = format!("{PATIENT}https = \"{address}\"\n");
    let one = node(Node::builder(), &certificate, &https).await;
    let two = node(Node::builder(), &certificate, &https).await;
    resume(at, &one, &two).await;
    // What resumed is the shared session and nothing in the certificate, the client or the node.
    let alone = node(Node::builder(), &certificate, "").await;
    assert_eq!(shake(port(&alone), VERSIONS[0], &at.join(VERSIONS[0])).await, Handshake::Full);
    shared.kill().await;
    for version in VERSIONS {
        let session = at.join(format!("{version}-without"));
        assert_eq!(shake(port(&one), version, &session).await, Handshake::Full, "{version}");
        assert_eq!(shake(port(&two), version, &session).await, Handshake::Full, "{version}");
    }
    counted(&one, "standpipe_session_https_uploads_total", &["result=\"local\""], 1.0).await;
    let _back = start("dc_server", &["-listen", &address]).await;
    let resumed = async {
        for attempt in 0.. {
            let session = at.join(format!("afterwards-{attempt}"));
            shake(port(&one), VERSIONS[0], &session).await;
            if shake(port(&two), VERSIONS[0], &session).await == Handshake::Resumed {
                break;
            }
        }
    };
    guarded("the store that has come back to be used", resumed).await;
    one.assert_alive().await;
}

#[tokio::test]
async fn a_nodes_own_door_is_a_store_for_itself_and_for_others() {
    if !are_installed(&["openssl"]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let certificate = Certificate::make(directory.path());
    let builder = Node::builder();
    let address = unix(builder.directory(), "sessions");
    let own = format!("{PATIENT}listen = [\"{address}\"]\nhttps = \"own\"\n");
    let one = node(builder, &certificate, &own).await;
    let https = format!("{PATIENT}https = \"{address}\"\n");
    let two = node(Node::builder(), &certificate, &https).await;
    resume(directory.path(), &one, &two).await;
    let session = directory.path().join("back");
    assert_eq!(shake(port(&two), VERSIONS[1], &session).await, Handshake::Full);
    counted(&two, STORED.0, STORED.1, 2.0).await;
    assert_eq!(shake(port(&one), VERSIONS[1], &session).await, Handshake::Resumed);
}

#[tokio::test]
async fn a_redis_and_a_session_server_behind_tls_are_stores_too() {
    if !are_installed(&["openssl"]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (at, certificate) = (directory.path(), Certificate::make(directory.path()));
    if let Some(_redis) = redis(at).await {
        let [url, key] = redis_store(at);
        let https = format!("{PATIENT}https = \"{url}\"\nstore-key = \"{key}\"\n");
        // The key is no mistake beside a door whose sessions are in memory.
        let door = format!("listen = [\"{}\"]\n{https}", unix(at, "door"));
        let one = node(Node::builder(), &certificate, &https).await;
        let two = node(Node::builder(), &certificate, &door).await;
        resume(&fresh(at, "over-redis"), &one, &two).await;
    }
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let [pem, key] = ["store.pem", "store.key"].map(|name| at.join(name).display().to_string());
    std::fs::write(&pem, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let server = ["-listen", "TLS:127.0.0.1:0", "--tls-certificate", &pem, "--tls-key", &key];
    let server = start("dc_server", &[&server[..], &["--tls-client-ca", &pem]].concat()).await;
    let https = format!(
        "{PATIENT}https = \"{}\"\nhttps-ca = \"{pem}\"\ntls-certificate = \"{pem}\"\ntls-key = \"{key}\"\n",
        server.address
    );
    let one = node(Node::builder(), &certificate, &https).await;
    let two = node(Node::builder(), &certificate, &https).await;
    resume(&fresh(at, "over-tls"), &one, &two).await;
}

fn fresh(directory: &Path, name: &str) -> PathBuf {
    let fresh = directory.join(name);
    std::fs::create_dir(&fresh).expect("a directory");
    fresh
}

#[tokio::test]
async fn a_store_that_never_answers_does_not_hold_up_a_handshake() {
    if !are_installed(&["openssl"]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let certificate = Certificate::make(directory.path());
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let https = format!("https = \"IP:{}\"\n", silent.local_addr().expect("bound"));
    let node = node(Node::builder(), &certificate, &https).await;
    let session = directory.path().join("session");
    assert_eq!(shake(port(&node), "-tls1_3", &session).await, Handshake::Full);
    assert_eq!(shake(port(&node), "-tls1_3", &session).await, Handshake::Full);
    counted(&node, "standpipe_session_https_fetches_total", &["result=\"late\""], 1.0).await;
    node.assert_alive().await;
}
