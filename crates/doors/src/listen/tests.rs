mod tls;

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use testkit::client::{Client, get};
use testkit::guarded;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::*;
use crate::service::tests::Running;

const HELD: &str = "/api/v1/fetch?url=http://origin.example/held";

/// Until the origin has been asked: the request is under way.
async fn asked(server: &Running) {
    let asked = async {
        while server.node.origin.asked().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    guarded("the origin to be asked", asked).await;
}

#[tokio::test]
async fn a_drain_closes_idle_connections_and_lets_the_others_finish() {
    let server = Running::start(Settings::default());
    let mut idle = Client::connect(server.address).await;
    idle.request("GET", "/api/v1/status/", &[]).await.expect(200);
    let mut busy = Client::connect(server.address).await;
    busy.start("GET", HELD, &[]).await;
    asked(&server).await;
    server.drainer.begin();
    assert!(idle.is_closed().await);
    let refused = async { while TcpStream::connect(server.address).await.is_ok() {} };
    guarded("the listener to close", refused).await;
    assert!(!server.ended.is_finished());
    server.node.origin.release();
    let response = busy.response("GET").await.expect_body(200, "http://origin.example/held");
    assert_eq!(response.header("connection"), Some("close"));
    drop(busy);
    guarded("the listener to end", server.ended).await.expect("no panic");
}

#[tokio::test]
async fn what_outlives_the_grace_period_is_cut() {
    let server = Running::start(Settings { grace: Duration::from_millis(20), ..Settings::default() });
    let mut busy = Client::connect(server.address).await;
    busy.start("GET", HELD, &[]).await;
    asked(&server).await;
    server.drainer.begin();
    guarded("the listener to end", server.ended).await.expect("no panic");
    assert!(busy.is_closed().await);
}

#[tokio::test]
async fn a_dropped_switch_drains() {
    let Running { drainer, ended, .. } = Running::start(Settings::default());
    drop(drainer);
    guarded("the listener to end", ended).await.expect("no panic");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_room() {
    let server = Running::start(Settings { max_connections: 1, ..Settings::default() });
    let mut first = Client::connect(server.address).await;
    first.request("GET", "/api/v1/status/", &[]).await.expect(200);
    let mut second = Client::connect(server.address).await;
    second.start("GET", "/api/v1/status/", &[]).await;
    first.request("GET", "/api/v1/status/", &[]).await.expect(200);
    let metrics = server.metrics();
    assert!(metrics.contains("standpipe_connections_live 1"), "{metrics}");
    assert!(metrics.contains("standpipe_connections_full 1"), "{metrics}");
    drop(first);
    second.response("GET").await.expect(200);
    assert!(server.metrics().contains("standpipe_connections_total 2"));
}

#[tokio::test]
async fn sockets_do_not_delay_small_answers_and_a_port_is_bound_once() {
    let listener = bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let address = listener.local_addr().expect("bound");
    let (accepted, connected) = tokio::join!(listener.accept_one(), TcpStream::connect(address));
    connected.expect("connects");
    assert!(accepted.nodelay().expect("an option"));
    assert_eq!(bind(address).map(|_| ()).expect_err("in use").kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn every_address_of_ipv6_takes_ipv4_too() {
    let Ok(listener) = bind("[::]:0".parse().expect("an address")) else {
        return; // No IPv6 here.
    };
    let port = listener.local_addr().expect("bound").port();
    let (_, connected) = tokio::join!(listener.accept_one(), TcpStream::connect(("127.0.0.1", port)));
    connected.expect("connects");
}

/// Runs in a process of its own, for descriptors are counted by the process.
#[tokio::test]
#[ignore = "run by running_out_of_descriptors_does_not_end_the_listener"]
async fn without_descriptors() {
    let server = Running::start(Settings { accept_pause: Duration::from_millis(1), ..Settings::default() });
    get(server.address, "/api/v1/status/").await.expect(200);
    // This end has its descriptor already, the server's end will find none.
    let socket = TcpSocket::new_v4().expect("a descriptor");
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..before }).expect("lower");
    let mut stream = socket.connect(server.address).await.expect("the backlog takes it");
    let failed = async {
        while server.metrics().contains("standpipe_accept_errors_total 0") {
            tokio::task::yield_now().await;
        }
    };
    guarded("accepts to fail", failed).await;
    setrlimit(Resource::Nofile, before).expect("back");
    let request = b"GET /api/v1/status/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("room");
    let mut answer = String::new();
    guarded("an answer", stream.read_to_string(&mut answer)).await.expect("text");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

// 4c 43
#[test]
fn running_out_of_descriptors_does_not_end_the_listener() {
    let mut child = std::process::Command::new(std::env::current_exe().expect("a path"));
    child.args(["--ignored", "--exact", "listen::tests::without_descriptors"]);
    let ended = child.output().expect("starts");
    let shown = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && shown.contains("1 passed"), "{shown}");
}
