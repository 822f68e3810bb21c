//! What a connection may cost: time, buffers, places.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::store::{Added, Answer, FetchResult, Fetched, StoreError};

fn with(change: impl FnOnce(&mut ServerSettings)) -> Server {
    let mut settings = ServerSettings::default();
    change(&mut settings);
    server(settings)
}

// 9000 bytes followed by anything make the C server close the connection.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_holds_its_own_requests_back_and_gets_every_answer() {
    let server = server(ServerSettings::default());
    let mut peer = Peer::with_buffer(&server, 1024);
    let session = vec![5; 9000];
    assert_eq!(peer.ask(Request::Add { id: b"big", session: &session, timeout_ms: 60_000 }).await, [0]);
    let count = 200;
    let requests: Vec<_> = (0..count).flat_map(|uid| encoded(uid, Request::Get(b"big"))).collect();
    let (mut receive, mut send) = tokio::io::split(peer.stream);
    let sending = tokio::spawn(async move {
        send.write_all(&requests).await.expect("the server listens");
        send
    });
    // Nobody reads: the server holds at most 64 KiB and one answer, the sender is stuck.
    while server.metrics().back_pressure.get() == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!sending.is_finished());
    assert!(server.metrics().gets.get() <= 8, "{} answers wait", server.metrics().gets.get());
    let mut expected = Vec::new();
    for uid in 0..count {
        crate::message::encode(&mut expected, Direction::Response, uid, Operation::Get, &[&session])
            .expect("fits");
    }
    let mut replies = vec![0; expected.len()];
    receive.read_exact(&mut replies).await.expect("all answers");
    assert!(replies == expected);
    assert!(sending.is_finished());
}

/// Answers each GET with so many bytes, and knows the longest buffer it was to append to.
struct Watching(AtomicUsize);

impl SessionStore for Watching {
    fn add(&self, _: &[u8], _: &[u8], _: u32) -> Answer<Result<Added, StoreError>> {
        Answer::Ready(Ok(Added::Stored))
    }

    fn get(&self, _: &[u8], out: &mut Vec<u8>) -> Answer<FetchResult> {
        out.extend_from_slice(&[5; 9000]);
        self.0.fetch_max(out.len(), Ordering::Relaxed);
        Answer::Ready(Ok(Fetched::Appended))
    }

    fn take(&self, id: &[u8], out: &mut Vec<u8>) -> Answer<FetchResult> {
        self.get(id, out)
    }

    fn remove(&self, _: &[u8]) -> Answer<Result<bool, StoreError>> {
        Answer::Ready(Ok(true))
    }

    fn have(&self, _: &[u8]) -> Answer<Result<bool, StoreError>> {
        Answer::Ready(Ok(true))
    }

    fn len(&self) -> Answer<Result<u64, StoreError>> {
        Answer::Ready(Ok(1))
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_small_pieces_for_ever_fills_no_more_than_its_buffer() {
    let store = Arc::new(Watching(AtomicUsize::new(0)));
    let server = Server::new(Arc::clone(&store) as _, ServerSettings::default());
    let peer = Peer::with_buffer(&server, 1000);
    let (mut receive, mut send) = tokio::io::split(peer.stream);
    let count = 500;
    let sending =
        tokio::spawn(async move { send.write_all(&encoded(1, Request::Get(b"id")).repeat(count)).await });
    let mut answer = Vec::new();
    crate::message::encode(&mut answer, Direction::Response, 1, Operation::Get, &[&[5; 9000]]).expect("fits");
    let (mut left, mut piece) = (count * answer.len(), [0; 700]);
    while left > 0 {
        left -= receive.read(&mut piece).await.expect("more");
    }
    sending.await.expect("no panic").expect("all requests");
    let (longest, limit) = (store.0.load(Ordering::Relaxed), ServerSettings::default().output);
    assert!(longest <= 2 * limit + answer.len(), "{longest} bytes");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_takes_its_answers_is_cut() {
    let server = server(ServerSettings::default());
    let mut peer = Peer::with_buffer(&server, 1024);
    let session = vec![5; 9000];
    peer.ask(Request::Add { id: b"big", session: &session, timeout_ms: 60_000 }).await;
    peer.send(&encoded(1, Request::Get(b"big"))).await;
    let start = tokio::time::Instant::now();
    peer.task.await.expect("no panic");
    assert_eq!(start.elapsed().as_secs(), 30);
    assert_eq!(server.metrics().connections.closed_stalled.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_a_little_now_and_then_is_not_cut() {
    let server = server(ServerSettings::default());
    let mut peer = Peer::with_buffer(&server, 100);
    let session = vec![5; 3000];
    peer.ask(Request::Add { id: b"big", session: &session, timeout_ms: 60_000 }).await;
    peer.send(&encoded(1, Request::Get(b"big"))).await;
    let mut left = 3000 + 28;
    while left > 0 {
        tokio::time::advance(Duration::from_secs(29)).await;
        left -= peer.stream.read(&mut [0; 100]).await.expect("more");
    }
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(peer.ask(Request::Have(b"big")).await, [0]);
    assert_eq!(server.metrics().connections.closed_stalled.get(), 0);
}

// 76
#[tokio::test(start_paused = true)]
async fn a_request_that_is_never_whole_is_cut_however_often_a_byte_comes() {
    let server = server(ServerSettings::default());
    let mut peer = Peer::new(&server);
    let start = tokio::time::Instant::now();
    for byte in golden::big_add() {
        if peer.stream.write_all(&[byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    peer.task.await.expect("no panic");
    assert!(start.elapsed().as_secs() <= 11);
    assert_eq!(server.metrics().connections.closed_partial.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_live_for_ever_unless_told_otherwise() {
    let unlimited = server(ServerSettings::default());
    let mut peer = Peer::new(&unlimited);
    tokio::time::sleep(Duration::from_secs(1_000_000)).await;
    assert_eq!(peer.ask(Request::Have(b"id")).await, [1]);
    let limited = with(|settings| settings.idle = Some(Duration::from_secs(60)));
    let mut peer = Peer::new(&limited);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(peer.ask(Request::Have(b"id")).await, [1]);
    let start = tokio::time::Instant::now();
    assert_eq!(peer.rest().await, b"");
    assert_eq!(start.elapsed().as_secs(), 60);
    assert_eq!(limited.metrics().connections.closed_idle.get(), 1);
}

// 76
#[tokio::test(start_paused = true)]
async fn half_open_connections_take_no_more_places_than_there_are_and_give_them_back() {
    let server = with(|settings| settings.connections = 100);
    let mut peers: Vec<_> = (0..1000).map(|_| Peer::new(&server)).collect();
    for peer in &mut peers {
        let _ = peer.stream.write_all(&[0, 0x11, 0]).await;
    }
    let connections = &server.metrics().connections;
    while connections.accepted.get() + connections.refused_full.get() < 1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!([&connections.open, &connections.refused_full].map(Counter::get), [100, 900]);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!([&connections.open, &connections.closed_partial].map(Counter::get), [0, 100]);
    assert_eq!(Peer::new(&server).ask(Request::Have(b"id")).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_answers_what_came_and_closes_idle_connections() {
    let server = server(ServerSettings::default());
    let (mut busy, mut idle) = (Peer::new(&server), Peer::new(&server));
    idle.ask(Request::Have(b"id")).await;
    busy.send(&encoded(3, Request::Have(b"id"))).await;
    server.stop();
    server.stopped().await;
    assert_eq!(idle.rest().await, b"");
    assert_eq!(busy.rest().await, unhex("00110000 01 00000003 00 03 01 0001 01"));
    assert_eq!(server.metrics().connections.closed_drained.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_cuts_those_that_do_not_end() {
    let server = server(ServerSettings::default());
    let mut peer = Peer::with_buffer(&server, 10);
    peer.send(&encoded(3, Request::Have(b"id"))).await;
    tokio::task::yield_now().await;
    server.stop();
    let start = tokio::time::Instant::now();
    server.stopped().await;
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(server.metrics().connections.closed_drained.get(), 1);
}
