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
