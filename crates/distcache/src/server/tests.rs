//! The server over connections in memory, with time standing still. Covers user-demand 4c, numbers 75 to 78.

mod limits;
mod slow_store;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::clock::ManualClock;
use crate::frame::Direction;
use crate::golden::{self, unhex};
use crate::message::Decoder;
use crate::metrics::Counter;
use crate::operation::{Operation, Status};
use crate::request::Request;
use crate::store::{MemorySettings, MemoryStore};

/// Longer than every limit of the server: time stands still, so waiting for it costs nothing.
const LONG: Duration = Duration::from_secs(10_000);

/// A client and the server it talks to.
struct Peer {
    stream: DuplexStream,
    task: JoinHandle<()>,
}

fn memory() -> (Arc<MemoryStore>, ManualClock) {
    let clock = ManualClock::default();
    (Arc::new(MemoryStore::with_clock(&MemorySettings::default(), Arc::new(clock.clone()))), clock)
}

fn server(settings: ServerSettings) -> Server {
    Server::new(memory().0, settings)
}

impl Peer {
    fn new(server: &Server) -> Self {
        Self::with_buffer(server, 64 * 1024)
    }

    fn with_buffer(server: &Server, size: usize) -> Self {
        let (stream, theirs) = duplex(size);
        let server = server.clone();
        let task = tokio::spawn(async move { server.serve_connection(theirs).await });
        Self { stream, task }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the server listens");
    }

    async fn expect(&mut self, bytes: &[u8]) {
        let mut reply = vec![0; bytes.len()];
        timeout(LONG, self.stream.read_exact(&mut reply)).await.expect("in time").expect("a reply");
        assert_eq!(reply, bytes);
    }

    /// Everything until the server closes, and waits until it is done with the connection.
    async fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        timeout(LONG, self.stream.read_to_end(&mut rest)).await.expect("in time").expect("memory");
        self.task.await.expect("no panic");
        rest
    }

    async fn ask(&mut self, request: Request<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        request.encode(7, &mut bytes).expect("fits");
        self.send(&bytes).await;
        self.reply().await
    }

    async fn reply(&mut self) -> Vec<u8> {
        let mut decoder = Decoder::new(Direction::Response);
        let mut held = Vec::new();
        loop {
            let step = decoder.next(&held).expect("well formed");
            if let Some(message) = step.message {
                return message.payload.to_vec();
            }
            held.drain(..step.used);
            held.push(timeout(LONG, self.stream.read_u8()).await.expect("in time").expect("a reply"));
        }
    }
}

fn encoded(uid: u32, request: Request<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    request.encode(uid, &mut bytes).expect("fits");
    bytes
}

#[tokio::test(start_paused = true)]
async fn every_worked_example_is_answered_byte_for_byte() {
    let mut peer = Peer::new(&server(ServerSettings::default()));
    for pair in golden::MESSAGES.chunks(2) {
        peer.send(&unhex(pair[0].1)).await;
        peer.expect(&unhex(pair[1].1)).await;
    }
    peer.send(&golden::big_add()).await;
    peer.expect(&unhex("00110000 01 00000009 00 00 01 0001 00")).await;
    peer.send(&unhex("00110000 00 0000000a 00 01 01 0007 62696735303030")).await;
    peer.expect(&golden::big_get_reply()).await;
    peer.send(&golden::apache_add()).await;
    peer.expect(&unhex("00110000 01 00000001 00 00 01 0001 00")).await;
}

/// All requests of the examples in a row, and all replies.
fn conversation() -> (Vec<u8>, Vec<u8>) {
    let (requests, replies): (Vec<_>, Vec<_>) =
        golden::MESSAGES.chunks(2).map(|pair| (unhex(pair[0].1), unhex(pair[1].1))).unzip();
    (requests.concat(), replies.concat())
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order_wherever_they_are_cut() {
    let (requests, replies) = conversation();
    for cut in 0..requests.len() {
        let mut peer = Peer::new(&server(ServerSettings::default()));
        peer.send(&requests[..cut]).await;
        tokio::task::yield_now().await;
        peer.send(&requests[cut..]).await;
        peer.expect(&replies).await;
    }
}

#[tokio::test(start_paused = true)]
async fn single_bytes_make_a_request_as_well() {
    let server = server(ServerSettings::default());
    let mut peer = Peer::with_buffer(&server, 1);
    peer.send(&golden::big_add()).await;
    peer.expect(&unhex("00110000 01 00000009 00 00 01 0001 00")).await;
    peer.send(&unhex("00110000 00 0000000a 00 01 01 0007 62696735303030")).await;
    peer.expect(&golden::big_get_reply()).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_its_half_gets_all_answers() {
    let (requests, replies) = conversation();
    let mut peer = Peer::new(&server(ServerSettings::default()));
    peer.send(&requests).await;
    peer.stream.shutdown().await.expect("memory");
    assert_eq!(peer.rest().await, replies);
}

// 75
#[tokio::test(start_paused = true)]
async fn malformed_input_closes_its_connection_without_an_answer_and_no_other() {
    let full = |operation: u8, place: u8| {
        [&[0, 0x11, 0, 0, 0, 0, 0, 0, 1, 0, operation, place, 8, 0][..], &[1; 2048]].concat()
    };
    let table: [(&str, Vec<u8>); 13] = [
        ("an HTTP request", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("five bytes", b"GET /".to_vec()),
        ("version 0x10", unhex("00100000 00 00000001 00 01 01 0001 41")),
        ("is_response 2", unhex("00110000 02 00000001 00 01 01 0001 41")),
        ("a response", unhex("00110000 01 00000001 00 01 01 0001 41")),
        ("class 1", unhex("00110000 00 00000001 01 01 01 0001 41")),
        ("operation 4", unhex("00110000 00 00000001 00 04 01 0001 41")),
        ("complete 2", unhex("00110000 00 00000001 00 01 02 0001 41")),
        ("2049 bytes", [unhex("00110000 00 00000001 00 01 01 0801"), vec![1; 2049]].concat()),
        ("incomplete and short", unhex("00110000 00 00000001 00 01 00 0001 41")),
        ("another operation", [full(1, 0), full(3, 1)].concat()),
        ("32769 bytes", [full(1, 0).repeat(16), unhex("00110000 00 00000001 00 01 01 0001 41")].concat()),
        ("ADD of 7 bytes", unhex("00110000 00 00000001 00 00 01 0007 00000000 000000")),
    ];
    let server = server(ServerSettings::default());
    let mut other = Peer::new(&server);
    for (turn, (what, bytes)) in table.into_iter().enumerate() {
        let mut peer = Peer::new(&server);
        peer.send(&bytes).await;
        assert_eq!(peer.rest().await, b"", "{what}");
        assert_eq!(server.metrics().connections.closed_malformed.get(), turn as u64 + 1, "{what}");
        assert_eq!(other.ask(Request::Have(b"id")).await, [1], "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_patch_level_is_answered_with_ours() {
    let mut peer = Peer::new(&server(ServerSettings::default()));
    peer.send(&unhex("0011ffff 00 00000003 00 03 01 0001 41")).await;
    peer.expect(&unhex("00110000 01 00000003 00 03 01 0001 01")).await;
}

#[tokio::test(start_paused = true)]
async fn requests_before_malformed_bytes_are_answered() {
    let mut peer = Peer::new(&server(ServerSettings::default()));
    peer.send(&[unhex(golden::MESSAGES[0].1), b"GET / HTTP/1.1".to_vec()].concat()).await;
    assert_eq!(peer.rest().await, unhex(golden::MESSAGES[1].1));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_dies_in_mid_request_changes_nothing() {
    let server = server(ServerSettings::default());
    let add = golden::big_add();
    for cut in [1, 13, 14, 15, 2061, 2062, 2063, add.len() - 4, add.len() - 1] {
        let mut peer = Peer::new(&server);
        peer.send(&add[..cut]).await;
        peer.stream.shutdown().await.expect("memory");
        assert_eq!(peer.rest().await, b"", "cut at {cut}");
    }
    assert_eq!(server.metrics().connections.closed_partial.get(), 9);
    assert_eq!(server.metrics().operations(), 0);
}

// 75
#[tokio::test(start_paused = true)]
async fn adds_out_of_range_get_their_status_in_the_order_of_the_checks() {
    let mut peer = Peer::new(&server(ServerSettings::default()));
    let id65 = [1; 65];
    let table = [
        (Request::Add { id: b"", session: b"", timeout_ms: u32::MAX }, Status::BadTimeout),
        (Request::Add { id: b"", session: b"", timeout_ms: 0 }, Status::BadPayload),
        (Request::Add { id: b"id", session: b"", timeout_ms: 0 }, Status::BadPayload),
        (Request::Add { id: &id65, session: b"", timeout_ms: 0 }, Status::BadPayload),
        (Request::Add { id: b"", session: b"s", timeout_ms: 0 }, Status::BadId),
        (Request::Add { id: &id65, session: b"s", timeout_ms: 0 }, Status::BadId),
        (Request::Add { id: &id65[..64], session: b"s", timeout_ms: 0 }, Status::Ok),
        (Request::Add { id: &id65[..64], session: b"s", timeout_ms: 0 }, Status::Duplicate),
    ];
    for (turn, (request, status)) in table.into_iter().enumerate() {
        assert_eq!(peer.ask(request).await, [status as u8], "row {turn}");
    }
    for id in [&b""[..], &id65, &[1; 5000]] {
        assert_eq!(peer.ask(Request::Get(id)).await, [1]);
        assert_eq!(peer.ask(Request::Have(id)).await, [1]);
        assert_eq!(peer.ask(Request::Remove(id)).await, [1]);
    }
}

// 76
#[tokio::test(start_paused = true)]
async fn interleaved_uids_are_malformed_and_equal_uids_on_two_connections_are_not() {
    let server = server(ServerSettings::default());
    let (mut one, mut two) = (Peer::new(&server), Peer::new(&server));
    let add = golden::big_add();
    one.send(&add[..2062]).await;
    two.send(&add).await;
    two.expect(&unhex("00110000 01 00000009 00 00 01 0001 00")).await;
    one.send(&add[2062..]).await;
    one.expect(&unhex("00110000 01 00000009 00 00 01 0001 65")).await;
    one.send(&add[..2062]).await;
    one.send(&unhex("00110000 00 00000008 00 03 01 0001 41")).await;
    assert_eq!(one.rest().await, b"");
}

#[tokio::test(start_paused = true)]
async fn short_timeouts_are_raised_to_the_floor() {
    let (store, clock) = memory();
    let server = Server::new(store, ServerSettings { min_ttl_ms: 1000, ..ServerSettings::default() });
    let mut peer = Peer::new(&server);
    peer.ask(Request::Add { id: b"id", session: b"session", timeout_ms: 3 }).await;
    clock.advance(Duration::from_millis(1000));
    assert_eq!(peer.ask(Request::Get(b"id")).await, b"session");
    clock.advance(Duration::from_millis(1));
    assert_eq!(peer.ask(Request::Get(b"id")).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn counters_tell_what_happened() {
    let server = server(ServerSettings::default());
    let mut peer = Peer::new(&server);
    let (requests, replies) = conversation();
    peer.send(&requests).await;
    peer.expect(&replies).await;
    let metrics = server.metrics();
    let counts = [&metrics.adds, &metrics.adds_stored, &metrics.adds_duplicate, &metrics.adds_refused];
    assert_eq!(counts.map(Counter::get), [6, 2, 1, 3]);
    let counts = [&metrics.gets, &metrics.get_hits, &metrics.removes, &metrics.remove_hits];
    assert_eq!(counts.map(Counter::get), [4, 1, 2, 1]);
    assert_eq!([&metrics.haves, &metrics.have_hits].map(Counter::get), [3, 1]);
    assert_eq!(metrics.operations(), 15);
    assert_eq!(metrics.connections.open.get(), 1);
    peer.stream.shutdown().await.expect("memory");
    peer.rest().await;
    assert_eq!(metrics.connections.open.get(), 0);
}
