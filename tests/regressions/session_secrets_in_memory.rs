//! Buffers that had to grow left copies of sessions in memory that was free again: a server whose clients read slowly, a
//! proxy whose server was slow, a server that fetched sessions from Redis, a snoop, and the listener for stunnels, which kept the last datagram until the next one came.
//!
//! Covers user-demand 4c, number 78.

use std::fs::{self, File};
use std::net::UdpSocket;
use std::os::unix::fs::FileExt;

use rustix::process::Signal;
use scenarios::session::{
    Peer, Running, client, frame, get, redis, redis_store, remove, server, start, unix,
};
use testkit::guarded;

/// Nothing else in any process looks like this.
const SECRET: &[u8] = b"<a session that must be nowhere>";

/// A session of thirty thousand bytes, as an ADD.
fn add_large(id: &[u8]) -> Vec<u8> {
    let id_length = u32::try_from(id.len()).expect("an id");
    let session = SECRET.repeat(30_000 / SECRET.len());
    let payload = [&60_000_u32.to_be_bytes()[..], &id_length.to_be_bytes(), id, &session].concat();
    let frames = payload.chunks(2048).enumerate();
    frames.flat_map(|(at, data)| frame(1, 0, u8::from((at + 1) * 2048 >= payload.len()), data)).collect()
}

/// The bytes of the answer that has it.
fn answer_length() -> usize {
    let session = 30_000 / SECRET.len() * SECRET.len();
    session + session.div_ceil(2048) * 14
}

/// How often the secret is in the memory of a process. Only root may look.
fn copies(running: &Running) -> usize {
    let process = format!("/proc/{}", running.pid());
    let memory = File::open(format!("{process}/mem")).expect("root may look");
    let maps = fs::read_to_string(format!("{process}/maps")).expect("root may look");
    let mut count = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (range, _) = line.split_once(' ').expect("a range");
        let (from, to) = range.split_once('-').expect("a range");
        let [from, to] = [from, to].map(|at| u64::from_str_radix(at, 16).expect("an address"));
        let mut bytes = vec![0; usize::try_from(to - from).expect("it fits that process")];
        // A mapping may go while we look.
        let read = memory.read_at(&mut bytes, from).unwrap_or(0);
        let parts = bytes[..read].split(|byte| *byte == SECRET[0]);
        count += parts.skip(1).filter(|part| part.starts_with(&SECRET[1..])).count();
    }
    count
}

/// Waits until there are as many copies as wanted.
async fn until(running: &Running, is_enough: impl Fn(usize) -> bool) {
    let looking = async {
        while !is_enough(copies(running)) {
            tokio::task::yield_now().await;
        }
    };
    guarded("copies in memory to come or to go", looking).await;
}

async fn is_nowhere(running: &Running) {
    until(running, |copies| copies == 0).await;
}

fn may_look() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test]
async fn a_server_with_slow_readers_keeps_no_copy() {
    if !may_look() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(&unix(directory.path(), "server")).await;
    let mut peer = Peer::connect(&server.address).await;
    assert_eq!(peer.status(&add_large(b"id")).await, 0);
    assert!(copies(&server) > 0, "whoever finds nothing now would find nothing later");
    // Far more than the socket between the two holds. One reads late, one never.
    let mut dead = Peer::connect(&server.address).await;
    for slow in [&mut peer, &mut dead] {
        slow.send(get(2, b"id").repeat(100)).await;
    }
    peer.take(100 * answer_length()).await;
    drop(dead);
    assert_eq!(peer.status(&remove(3, b"id")).await, 0);
    is_nowhere(&server).await;
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn a_server_with_slow_readers_and_sessions_in_redis_keeps_no_copy() {
    let directory = tempfile::tempdir().expect("a directory");
    if !may_look() {
        return;
    }
    let Some(_redis) = redis(directory.path()).await else { return };
    let [url, key] = redis_store(directory.path());
    let store = ["--store", &url, "--store-key", &key, "--store-timeout", "20s"];
    let server =
        start("dc_server", &[&["-listen", &unix(directory.path(), "server")][..], &store].concat()).await;
    let mut peer = Peer::connect(&server.address).await;
    assert_eq!(peer.status(&add_large(b"id")).await, 0);
    peer.send(get(2, b"id").repeat(100)).await;
    until(&server, |copies| copies > 0).await;
    // A little at a time, so that answers are added behind others that were sent in part.
    for _ in 0..100 {
        peer.take(answer_length()).await;
    }
    assert_eq!(peer.status(&remove(3, b"id")).await, 0);
    is_nowhere(&server).await;
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn a_proxy_with_a_slow_server_keeps_no_copy() {
    if !may_look() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(&unix(directory.path(), "server")).await;
    let proxy = client(&unix(directory.path(), "proxy"), &server.address).await;
    proxy.connected().await;
    server.signal(Signal::STOP);
    let mut peers = Vec::new();
    for number in 0..30 {
        let mut peer = Peer::connect(&proxy.address).await;
        peer.send(add_large(&[number])).await;
        peers.push(peer);
    }
    let all = 30 * (30_000 / SECRET.len()) / 2;
    until(&proxy, |copies| copies >= all).await;
    server.signal(Signal::CONT);
    for (number, mut peer) in (0..30).zip(peers) {
        assert_eq!(peer.take(15).await[14], 0);
        assert_eq!(peer.status(&remove(2, &[number])).await, 0);
    }
    is_nowhere(&proxy).await;
    is_nowhere(&server).await;
    assert!(proxy.stop().await.success() && server.stop().await.success());
}

#[tokio::test]
async fn a_snoop_keeps_no_copy() {
    if !may_look() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(&unix(directory.path(), "server")).await;
    let listen = unix(directory.path(), "snoop");
    let snoop = start("dc_snoop", &["-listen", &listen, "-server", &server.address]).await;
    let mut peer = Peer::connect(&listen).await;
    assert_eq!(peer.status(&add_large(b"id")).await, 0);
    peer.send(get(2, b"id")).await;
    peer.take(answer_length()).await;
    assert_eq!(peer.status(&remove(3, b"id")).await, 0);
    drop(peer);
    is_nowhere(&snoop).await;
    assert!(snoop.stop().await.success() && server.stop().await.success());
}

#[tokio::test]
async fn the_listener_for_stunnels_keeps_no_copy() {
    if !may_look() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let args = ["-listen", &unix(directory.path(), "server"), "--sessiond", "127.0.0.1:0"];
    let server = start("dc_server", &args).await;
    let line = server.says(&["sessiond on udp "]).await;
    let (_, address) = line.split_once("udp ").expect("an address");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let key = [7; 32];
    let new = [&[1, 0, 0, 60][..], &key, SECRET].concat();
    socket.send_to(&new, address).expect("it listens");
    let mut peer = Peer::connect(&server.address).await;
    let stored = async { while peer.status(&scenarios::session::have(1, &key)).await != 0 {} };
    guarded("the session to be stored", stored).await;
    assert_eq!(copies(&server), 1, "in the store and nowhere else");
    // Shorter than what it is about, so it would cover only a part of it.
    assert_eq!(peer.status(&remove(2, &key)).await, 0);
    is_nowhere(&server).await;
    assert!(server.stop().await.success());
}
