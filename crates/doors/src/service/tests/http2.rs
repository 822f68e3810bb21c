//! The same doors over HTTP/2 with prior knowledge.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::*;

type Sender = SendRequest<Full<Bytes>>;

async fn connect(server: &Running) -> Sender {
    let socket = TcpStream::connect(server.address).await.expect("connects");
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(socket)).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

fn asking(method: &str, target: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://h{target}"))
}

async fn send(sender: &mut Sender, request: Request<Full<Bytes>>) -> (http::response::Parts, Bytes) {
    let (head, body) = sender.send_request(request).await.expect("an answer").into_parts();
    (head, body.collect().await.expect("a whole body").to_bytes())
}

#[tokio::test]
async fn http2_gets_the_same_answers() {
    let server = start();
    let mut sender = connect(&server).await;
    for method in ["HEAD", "GET"] {
        let request = asking(method, FETCH_A).body(Full::default()).expect("valid");
        let (head, body) = send(&mut sender, request).await;
        assert_eq!(head.status, 200);
        assert_eq!(head.headers["content-length"], BODY_A.len().to_string());
        assert_eq!(body, if method == "GET" { BODY_A } else { "" });
    }
    // 4c 9, 14
    let with_body = asking("GET", FETCH_A).body(Full::from("body")).expect("valid");
    assert_eq!(send(&mut sender, with_body).await.0.status, 400);
    let two_hosts = asking("GET", FETCH_A).header("host", "other").body(Full::default()).expect("valid");
    assert_eq!(send(&mut sender, two_hosts).await.0.status, 400);
}

// 4c 15
#[tokio::test]
async fn a_flood_of_resets_ends_the_connection_and_nothing_else() {
    let server = start();
    let mut sender = connect(&server).await;
    let held = "/api/v1/fetch?url=http://origin.example/held";
    let flood = async {
        loop {
            let request = asking("GET", held).body(Full::default()).expect("valid");
            if sender.ready().await.is_err() {
                return;
            }
            // Time enough for the head to leave, not for an answer.
            let moment = async {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                answered = sender.send_request(request) => assert!(answered.is_err(), "nobody released the origin"),
                () = moment => {}
            }
        }
    };
    testkit::guarded("the connection to be cut", flood).await;
    let request = asking("GET", FETCH_A).body(Full::default()).expect("valid");
    assert_eq!(send(&mut connect(&server).await, request).await.1, BODY_A);
}

/// A client that takes no byte of a body, though it answers pings.
async fn connect_without_window(server: &Running) -> Sender {
    let socket = TcpStream::connect(server.address).await.expect("connects");
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(0).initial_connection_window_size(65_535);
    let (sender, connection) = builder.handshake(TokioIo::new(socket)).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

// 4c 15
#[tokio::test]
async fn a_window_that_never_opens_ends_the_connection() {
    let settings = Settings { write_timeout: Duration::from_millis(50), ..Settings::default() };
    let server = Running::start(settings);
    let mut sender = connect_without_window(&server).await;
    let request = asking("GET", FETCH_A).body(Full::default()).expect("valid");
    let response = sender.send_request(request).await.expect("a head");
    assert_eq!(response.status(), 200);
    testkit::guarded("the connection to be cut", response.into_body().collect())
        .await
        .expect_err("it was cut");
    assert!(server.metrics().contains("standpipe_write_stalls_total 1"));
    let request = asking("GET", FETCH_A).body(Full::default()).expect("valid");
    assert_eq!(send(&mut connect(&server).await, request).await.1, BODY_A);
}

/// A frame (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Sends the preface and then the same frames for ever; returns when the server has had enough.
async fn flood(server: &Running, first: Vec<u8>, again: impl Fn(u32) -> Vec<u8>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut from, mut to) = TcpStream::connect(server.address).await.expect("connects").into_split();
    let hello = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(4, 0, 0, &[]), &first].concat();
    to.write_all(&hello).await.expect("sent");
    let sending = async {
        for turn in 0.. {
            if to.write_all(&again(turn)).await.is_err() {
                return;
            }
        }
    };
    let reading = async {
        let mut taken = vec![0; 65_536];
        while from.read(&mut taken).await.is_ok_and(|count| count > 0) {}
    };
    testkit::guarded("the connection to be cut", async {
        tokio::select! { () = sending => {}, () = reading => {} }
    })
    .await;
}

// 4c 15
#[tokio::test]
async fn floods_of_frames_end_the_connection_and_nothing_else() {
    let server = start();
    // A head that never ends.
    flood(&server, frame(1, 0, 1, &[0x82; 1000]), |_| frame(9, 0, 1, &[0x82; 16_000])).await;
    // One head after another, each reset at once.
    flood(&server, Vec::new(), |turn| {
        let stream = 2 * turn + 1;
        let head = [&[0x82, 0x87, 0x84, 0x41, 1][..], b"h"].concat();
        [frame(1, 5, stream, &head), frame(3, 0, stream, &[0, 0, 0, 8])].concat()
    })
    .await;
    let request = asking("GET", FETCH_A).body(Full::default()).expect("valid");
    assert_eq!(send(&mut connect(&server).await, request).await.1, BODY_A);
}
