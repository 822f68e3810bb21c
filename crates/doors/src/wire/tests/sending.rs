//! That the right bytes arrive, by the way they should.

use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Wake, Waker};

use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::rt::Write;
use hyper_util::rt::{TokioExecutor, TokioIo};
use testkit::client::{Client, get};
use tokio::io::AsyncReadExt;

use super::super::extents::{self, VIEW_MIN};
use super::super::io::STEP;
use tokio::net::TcpStream;

use super::*;

/// The path is `/<length>`.
const SENDFILE_MIN: usize = extents::SENDFILE_MIN as usize;

fn length_of(path: &str) -> usize {
    path.trim_start_matches('/').parse().expect("a length")
}

async fn file_server(setup: Setup, frame: usize) -> Server {
    Server::start(setup, move |path| Stored::new(length_of(path)).body(frame)).await
}

/// What arrives of a body in frames of `frame` bytes: of a long body the long ones from the file, the others from memory.
fn expected(length: usize, frame: usize) -> Vec<u8> {
    let source = |n: usize| {
        let start = n - n % frame;
        let is_long = length >= SENDFILE_MIN && frame.min(length - start) >= VIEW_MIN;
        if is_long { in_file(n) } else { in_memory(n) }
    };
    (0..length).map(source).collect()
}

#[tokio::test]
async fn long_views_of_a_file_go_from_the_file_and_short_ones_from_memory() {
    let server = file_server(Setup::default(), 1 << 20).await;
    let mut client = Client::connect(server.address).await;
    for length in [SENDFILE_MIN, SENDFILE_MIN + VIEW_MIN, (3 << 20) - 1, 3 << 20] {
        client.request("GET", &format!("/{length}"), &[]).await.expect_body(200, file_bytes(length));
    }
    for length in [1, 1024, SENDFILE_MIN - 1] {
        client.request("GET", &format!("/{length}"), &[]).await.expect_body(200, memory_bytes(length));
    }
    let length = (3 << 20) + 17;
    let mixed = expected(length, 1 << 20);
    client.request("GET", &format!("/{length}"), &[]).await.expect_body(200, mixed);
}

#[tokio::test]
async fn a_long_body_that_comes_in_small_steps_goes_from_the_file() {
    let length = SENDFILE_MIN;
    for (frame, bytes) in [(VIEW_MIN, file_bytes(length)), (VIEW_MIN - 1, expected(length, VIEW_MIN - 1))] {
        let server = file_server(Setup::default(), frame).await;
        let response = Client::connect(server.address).await.request("GET", &format!("/{length}"), &[]).await;
        response.expect_body(200, bytes);
    }
}

#[tokio::test]
async fn chunked_bodies_go_from_the_file_too() {
    let stored = Stored::new(3 << 20);
    let server = Server::start(Setup::default(), move |_| stored.body_in_chunks(1 << 20)).await;
    let mut client = Client::connect(server.address).await;
    for _ in 0..2 {
        client.request("GET", "/", &[]).await.expect_body(200, file_bytes(3 << 20));
    }
}

#[tokio::test]
async fn partial_writes_into_a_tiny_buffer_keep_every_byte_in_place() {
    let length = 2 << 20;
    let server = file_server(Setup { send_buffer: Some(4096), ..Setup::default() }, 1 << 20).await;
    let mut client = Client::connect(server.address).await;
    for _ in 0..2 {
        client.start("GET", &format!("/{length}"), &[]).await;
        assert_eq!(client.head("GET").await.content_length(), Some(length as u64));
        let mut read = Vec::with_capacity(length);
        while read.len() < length {
            read.extend(client.some_body(10_000.min(length - read.len())).await);
            tokio::task::yield_now().await;
        }
        assert!(read == file_bytes(length), "bytes differ");
    }
}

#[tokio::test]
async fn pipelined_requests_get_their_answers_in_order() {
    let lengths = [10, 1 << 20, 20, 2_000_000, 65_536, 1, 1, SENDFILE_MIN, 5];
    for send_buffer in [None, Some(4096)] {
        let server = file_server(Setup { send_buffer, ..Setup::default() }, 1 << 20).await;
        let mut client = Client::connect(server.address).await;
        for length in lengths {
            client.start("GET", &format!("/{length}"), &[]).await;
        }
        for length in lengths {
            client.response("GET").await.expect_body(200, expected(length, 1 << 20));
        }
    }
}

/// A waker that remembers whether it was woken.
#[derive(Default)]
struct Noted(AtomicBool);

impl Wake for Noted {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

#[tokio::test]
async fn after_a_step_of_memory_the_others_have_their_turn() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (_reader, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let metrics = Metrics::register(&mut Registry::default());
    let peer = Arc::new(Peer::new(address, Recorder { log: AccessLog::off(), metrics }));
    let mut wire = pin!(Wire::new(accepted.expect("a connection").0, peer, Setup::default().limits));
    let (head, body) = ([0; 100], memory_bytes(2 * STEP));
    let taken =
        poll_fn(|cx| wire.as_mut().poll_write_vectored(cx, &[IoSlice::new(&head), IoSlice::new(&body)]));
    let taken = taken.await.expect("room");
    assert!(taken > head.len() && taken <= STEP, "{taken}");

    let noted = Arc::new(Noted::default());
    let waker = Waker::from(Arc::clone(&noted));
    let rest = &body[taken - head.len()..];
    let turn = wire.as_mut().poll_write(&mut Context::from_waker(&waker), rest);
    assert!(turn.is_pending());
    assert!(noted.0.load(Relaxed), "it waits for the others, not for the socket");
}

async fn http2(server: &Server) -> SendRequest<Empty<Bytes>> {
    let socket = TcpStream::connect(server.address).await.expect("connects");
    let handshake = handshake(TokioExecutor::new(), TokioIo::new(socket)).await;
    let (sender, connection) = handshake.expect("HTTP/2 with prior knowledge");
    tokio::spawn(connection);
    sender
}

#[tokio::test]
async fn http2_gets_the_right_bytes_by_copy() {
    let length = 1_500_000;
    let server = file_server(Setup::default(), 1 << 20).await;
    let mut sender = http2(&server).await;
    for _ in 0..2 {
        let request = http::Request::get(format!("http://a/{length}")).body(Empty::new()).expect("valid");
        let response = sender.send_request(request).await.expect("an answer");
        let body = response.into_body().collect().await.expect("a whole body");
        assert!(body.to_bytes() == memory_bytes(length), "bytes differ");
    }
}

#[tokio::test]
async fn nothing_is_held_back_while_a_growing_body_waits() {
    let (go_on, told) = oneshot::channel();
    let mut steps = Stored::new(1 << 20).steps(1 << 20);
    steps.push_back(Step::Wait(told));
    steps.extend(Stored::new(1 << 20).steps(1 << 20));
    let made = parking_lot::Mutex::new(Some(Body::Made(Made { length: Some(2 << 20), steps })));
    let server = Server::start(Setup::default(), move |_| made.lock().take().expect("one request")).await;
    let mut client = Client::connect(server.address).await;
    client.start("GET", "/", &[]).await;
    client.head("GET").await;
    assert!(client.some_body(1 << 20).await == file_bytes(1 << 20), "every committed byte is there");
    go_on.send(()).expect("the body waits");
    assert!(client.some_body(1 << 20).await == file_bytes(1 << 20));
}

#[tokio::test]
async fn a_file_that_shrank_cuts_the_connection() {
    let stored = Stored::new(2 << 20);
    stored.file.set_len(500_000).expect("shrinks");
    let server = Server::start(Setup::default(), move |_| stored.body(1 << 20)).await;
    let response = get(server.address, "/").await;
    assert!(response.is_broken(), "{:?}", response.ending);
    assert!(response.body.len() <= 500_000);
}

#[tokio::test]
async fn extents_leave_the_list_when_they_are_out() {
    let metrics = Metrics::register(&mut Registry::default());
    let peer = Peer::new(([127, 0, 0, 1], 1).into(), Recorder { log: AccessLog::off(), metrics });
    let stored = Stored::new(1 << 20);
    let place = FileRange { file: Arc::clone(&stored.file), offset: 7 };
    for _ in 0..40 {
        peer.extents.note(&stored.mapping, place.clone());
    }
    assert_eq!(peer.extents.count(), 16, "the list is bounded");
    assert_eq!(peer.extents.find(&stored.mapping[100..]).map(|found| found.offset), Some(107));
    assert_eq!(peer.extents.find(&stored.mapping[1_000_000..]).map(|found| found.offset), Some(1_000_007));
    assert!(peer.extents.find(&[1, 2, 3]).is_none());
    peer.extents.clear();
    assert_eq!(peer.extents.count(), 0);
    assert!(peer.extents.find(&stored.mapping).is_none());
}

#[tokio::test]
async fn a_failing_body_cuts_the_connection_and_resets_it_where_only_that_shows() {
    let body = |length| {
        let mut steps = Stored::new(1000).steps(1000);
        steps.push_back(Step::Fail);
        Body::Made(Made { length, steps })
    };
    let server = Server::start(Setup::default(), move |path| body((path == "/length").then_some(5000))).await;
    for path in ["/length", "/chunks"] {
        let response = get(server.address, path).await;
        assert!(response.is_broken(), "{path} {:?}", response.ending);
    }
    // HTTP/1.0 and no length: a close would say that this was all.
    let mut socket = TcpStream::connect(server.address).await.expect("connects");
    tokio::io::AsyncWriteExt::write_all(&mut socket, b"GET /chunks HTTP/1.0\r\n\r\n").await.expect("room");
    let read = testkit::guarded("the end", socket.read_to_end(&mut Vec::new())).await;
    assert_eq!(read.expect_err("a reset").kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_body_shorter_than_its_length_never_ends_cleanly() {
    let stored = Stored::new(1000);
    let (log, lines) = log();
    let server = Server::start(Setup { log, ..Setup::default() }, move |_| {
        Body::Made(Made { length: Some(2000), steps: stored.steps(1000) })
    })
    .await;
    assert!(get(server.address, "/").await.is_broken());
    assert_eq!(next(&lines).await["ending"], "broken");
    let request = http::Request::get("http://a/").body(Empty::new()).expect("valid");
    let mut sender = http2(&server).await;
    let whole = async { sender.send_request(request).await?.into_body().collect().await };
    let error = whole.await.expect_err("a short body");
    // Not by the client's own count of bytes: the server must have said it.
    assert!(format!("{error:?}").contains("Reset"), "{error:?}");
    assert_eq!(next(&lines).await["ending"], "broken");
}
