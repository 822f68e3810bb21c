//! A stop closed its listener with connections in it: clients whose request had come with their connection were reset.
//! What has come is answered, on connections new and old.

use rustix::process::Signal;
use scenarios::session::{Peer, client, have, server, unix};

/// Sends requests while the program sleeps, tells it to end, and panics unless each is answered.
async fn answers_what_has_come(program: scenarios::session::Running, expected: u8) {
    let mut peers = Vec::new();
    for uid in 0..50 {
        let mut peer = Peer::connect(&program.address).await;
        assert_eq!(peer.status(&have(uid, b"id")).await, expected);
        peers.push(peer);
    }
    program.signal(Signal::STOP);
    for _ in 0..200 {
        peers.push(Peer::connect(&program.address).await);
    }
    for peer in &mut peers {
        peer.send(have(1, b"id")).await;
    }
    program.signal(Signal::TERM);
    program.signal(Signal::CONT);
    for peer in &mut peers {
        assert_eq!(peer.take(15).await[14], expected);
    }
    assert!({ program }.ended().await.success());
}

#[tokio::test]
async fn a_server() {
    let directory = tempfile::tempdir().expect("a directory");
    answers_what_has_come(server(&unix(directory.path(), "server")).await, 1).await;
}

#[tokio::test]
async fn a_proxy() {
    let directory = tempfile::tempdir().expect("a directory");
    answers_what_has_come(client(&unix(directory.path(), "proxy"), "UNIX:/none").await, 2).await;
}
