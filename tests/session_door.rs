//! The door for TLS sessions inside the main server.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use scenarios::metric;
use scenarios::session::{Peer, add, get, have, hex, passes};
use testkit::node::{Builder, Node, run};

/// A server with a session door on a free port and on a socket in its directory.
fn builder() -> Builder {
    let builder = Node::builder().args(["--session-listen", "IP:127.0.0.1:0", "--session-sessions", "60000"]);
    let socket = format!("UNIX:{}", builder.directory().join("sessions").display());
    builder.args(["--session-listen".to_owned(), socket])
}

/// Where it says that it listens.
fn addresses(node: &Node) -> Vec<String> {
    let said = "listening for TLS sessions on ";
    node.stdout().lines().filter_map(|line| Some(line.split_once(said)?.1.to_owned())).collect()
}

#[tokio::test]
async fn the_door_serves_sessions_beside_everything_else() {
    let node = builder().start().await;
    let addresses = addresses(&node);
    assert!(addresses[0].starts_with("IP:127.0.0.1:") && addresses[1].starts_with("UNIX:"), "{addresses:?}");
    let socket = fs::metadata(node.directory().join("sessions")).expect("a socket");
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    for address in &addresses {
        passes(address, &["-persistent", "-datamax", "4096"]).await;
        passes(address, &["-ops", "200"]).await;
    }
    // Both listeners have one store.
    let [mut first, mut second] = [Peer::connect(&addresses[0]).await, Peer::connect(&addresses[1]).await];
    assert_eq!(first.status(&add(1, 60_000, b"id", b"session")).await, 0);
    second.send(get(2, b"id")).await;
    second.expect(&[&hex("00110000 01 00000002 00 01 01 0007")[..], b"session"].concat()).await;
    let status: serde_json::Value =
        serde_json::from_slice(&node.get("/api/v1/status/").await.expect(200).body).expect("JSON");
    let session = &status["session"];
    assert_eq!(session["connections"], 2, "{status}");
    assert!(session["operations"].as_u64() >= Some(2400), "{status}");
    assert!(session["sessions"].as_u64() >= Some(1) && session["bytes"].as_u64() > Some(0), "{status}");
    assert_eq!(metric(&node, "standpipe_session_connections_open", &[]).await, 2.0);
    assert!(metric(&node, "standpipe_session_operations_total", &["result=\"hit\""]).await > 100.0);
    node.assert_alive().await;
}

#[tokio::test]
async fn without_addresses_there_is_no_door() {
    let node = Node::start().await;
    assert_eq!(addresses(&node), [""; 0]);
    let status: serde_json::Value =
        serde_json::from_slice(&node.get("/api/v1/status/").await.expect(200).body).expect("JSON");
    assert!(status["session"].is_null(), "{status}");
    assert!(!node.get("/metrics").await.expect(200).text().contains("standpipe_session_"));
}

#[tokio::test]
async fn a_stop_answers_what_has_come_and_ends() {
    let node = builder().start().await;
    let address = addresses(&node).remove(0);
    let mut peer = Peer::connect(&address).await;
    assert_eq!(peer.status(&add(1, 60_000, b"id", b"session")).await, 0);
    peer.send(have(2, b"id").repeat(100)).await;
    let stopped = tokio::spawn(node.stop());
    peer.expect(&hex("00110000 01 00000002 00 03 01 0001 00").repeat(100)).await;
    assert_eq!(peer.rest().await, b"");
    assert!(stopped.await.expect("no panic").success());
}

#[tokio::test]
async fn settings_reach_the_door() {
    let builder = builder().args(["--session-min-ttl", "5min", "--session-max-connections", "1"]);
    let node = builder.args(["--session-socket-mode", "0660"]).start().await;
    let address = addresses(&node).remove(0);
    let mut peer = Peer::connect(&address).await;
    assert_eq!(peer.status(&add(1, 0, b"id", b"session")).await, 0);
    let start = std::time::Instant::now();
    while start.elapsed().as_millis() < 5 {
        assert_eq!(peer.status(&have(1, b"id")).await, 0);
    }
    assert_eq!(Peer::connect(&address).await.rest().await, b"");
    assert_eq!(metric(&node, "standpipe_session_connections_refused_total", &["full"]).await, 1.0);
    let socket = fs::metadata(node.directory().join("sessions")).expect("a socket");
    assert_eq!(socket.permissions().mode() & 0o777, 0o660);
}

#[tokio::test]
async fn wrong_settings_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("standpipe.toml");
    for (text, key) in [
        ("listen = [\"FD:0\"]", "session.listen"),
        ("listen = [\"127.0.0.1:9001\"]", "session.listen"),
        ("sessions = 63", "session.sessions"),
        ("socket-mode = \"rw\"", "session.socket-mode"),
        ("allow-uid = [\"root\"]", "session.allow-uid"),
        ("https = \"IP:9001\"", "session.https"),
        ("https = \"own\"", "session.https"),
        ("https = \"TLS:store.example:9001\"", "session.https-ca"),
    ] {
        fs::write(&file, format!("[session]\n{text}\n")).expect("written");
        let checked = run(["check-config".as_ref(), "--config".as_ref(), file.as_os_str()]).await;
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!(checked.status.code(), Some(2), "{text}");
        assert!(said.contains(key) && said.contains(":2:"), "{said}");
    }
    let store = directory.path().join("store").display().to_string();
    let start =
        ["--listen", "127.0.0.1:0", "--store-directory", &store, "--session-listen", "TLS:127.0.0.1:0"];
    for (more, words) in [
        (&[][..], "needs a certificate"),
        (&["--session-tls-certificate", "/none", "--session-tls-key", "/none"], "/none"),
    ] {
        let ended = run([&start[..], more].concat()).await;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "no {words} in {said}");
    }
}
