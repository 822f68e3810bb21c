//! The proxy between clients in memory or on sockets, and servers that the tests play. Covers user-demand 4c, number 76.

mod table;

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::address::Address;
use crate::client::{AsyncClient, ClientSettings};
use crate::golden::unhex;
use crate::net::ListenSettings;
use crate::operation::{Operation, Status};
use crate::server::{Server, ServerSettings};
use crate::store::{MemorySettings, MemoryStore};

/// Only a broken proxy takes so long.
const LONG: Duration = Duration::from_secs(20);

/// A proxy, and the server behind it, which the test plays.
struct Stage {
    proxy: Proxy,
    server: UnixListener,
    path: PathBuf,
    _directory: TempDir,
}

struct Client {
    stream: DuplexStream,
    task: JoinHandle<()>,
}

fn settings() -> ProxySettings {
    ProxySettings { retry: Duration::from_millis(1), ..ProxySettings::default() }
}

impl Stage {
    fn new(settings: ProxySettings) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("server");
        let server = UnixListener::bind(&path).expect("a socket");
        let proxy = Proxy::start(Connector::new(Address::Unix(path.clone())), settings);
        Self { proxy, server, path, _directory: directory }
    }

    /// The proxy's connection, once the proxy knows of it.
    async fn accept(&self) -> UnixStream {
        let (stream, _) = self.server.accept().await.expect("the proxy connects");
        self.until(|metrics| metrics.connected.get() == 1).await;
        stream
    }

    async fn until(&self, holds: impl Fn(&ProxyMetrics) -> bool) {
        let waiting = async {
            while !holds(self.proxy.metrics()) {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, waiting).await.expect("in time");
    }

    fn client(&self) -> Client {
        let (stream, theirs) = duplex(64 * 1024);
        let front = Arc::clone(&self.proxy.front);
        Client { stream, task: tokio::spawn(async move { front.attend_stream(theirs).await }) }
    }
}

impl Client {
    async fn send(&mut self, text: &str) {
        self.stream.write_all(&unhex(text)).await.expect("the proxy listens");
    }

    async fn expect(&mut self, text: &str) {
        expect(&mut self.stream, text).await;
    }

    async fn closed(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        timeout(LONG, self.stream.read_to_end(&mut rest)).await.expect("in time").expect("memory");
        self.task.await.expect("no panic");
        rest
    }
}

async fn expect(stream: &mut (impl AsyncReadExt + Unpin), text: &str) {
    let mut got = vec![0; unhex(text).len()];
    timeout(LONG, stream.read_exact(&mut got)).await.expect("in time").expect("bytes");
    assert_eq!(got, unhex(text));
}

const ADD_A: &str = "00110000 00 11111111 00 00 01 0014 0000ea60 00000004 61616161 4141414141414141";
const HAVE_B: &str = "00110000 00 22222222 00 03 01 0004 62626262";

// L
#[tokio::test]
async fn requests_of_two_clients_go_out_in_one_write_under_uids_of_the_proxy() {
    let stage = Stage::new(settings());
    let mut server = stage.accept().await;
    let (mut a, mut b) = (stage.client(), stage.client());
    a.send(ADD_A).await;
    b.send(HAVE_B).await;
    server.readable().await.expect("requests");
    let expected = unhex(
        "00110000 00 00000001 00 00 01 0014 0000ea60 00000004 61616161 4141414141414141
         00110000 00 00000002 00 03 01 0004 62626262",
    );
    let mut got = [0; 1000];
    let count = server.read(&mut got).await.expect("one write");
    assert_eq!(got[..count], expected);
    let replies = "00110000 01 00000001 00 00 01 0001 00 00110000 01 00000002 00 03 01 0001 01";
    server.write_all(&unhex(replies)).await.expect("the proxy reads");
    a.expect("00110000 01 11111111 00 00 01 0001 00").await;
    b.expect("00110000 01 22222222 00 03 01 0001 01").await;
}

#[tokio::test]
async fn replies_in_another_order_and_in_single_bytes_find_their_clients() {
    let stage = Stage::new(settings());
    let mut server = stage.accept().await;
    let (mut a, mut b) = (stage.client(), stage.client());
    a.send(ADD_A).await;
    expect(&mut server, "00110000 00 00000001 00 00 01 0014 0000ea60 00000004 61616161 4141414141414141")
        .await;
    b.send(HAVE_B).await;
    expect(&mut server, "00110000 00 00000002 00 03 01 0004 62626262").await;
    for byte in unhex("00110000 01 00000002 00 03 01 0001 00 00110000 01 00000001 00 00 01 0001 65") {
        server.write_all(&[byte]).await.expect("the proxy reads");
        tokio::task::yield_now().await;
    }
    b.expect("00110000 01 22222222 00 03 01 0001 00").await;
    a.expect("00110000 01 11111111 00 00 01 0001 65").await;
}

// M
#[tokio::test]
async fn a_server_that_dies_under_a_request_is_status_2() {
    let stage = Stage::new(settings());
    let mut server = stage.accept().await;
    let mut client = stage.client();
    client.send("00110000 00 00000002 00 01 01 0008 4142434445464748").await;
    expect(&mut server, "00110000 00 00000001 00 01 01 0008 4142434445464748").await;
    drop(server);
    client.expect("00110000 01 00000002 00 01 01 0001 02").await;
    // Connected again, uids go on.
    let mut server = stage.accept().await;
    client.send("00110000 00 00000003 00 01 01 0008 4142434445464748").await;
    expect(&mut server, "00110000 00 00000002 00 01 01 0008 4142434445464748").await;
}

// N, where ours answers with a status
#[tokio::test]
async fn a_server_that_is_not_there_is_status_2_and_never_an_empty_reply() {
    let stage = Stage::new(ProxySettings { retry: Duration::from_secs(3600), ..settings() });
    drop(stage.accept().await);
    std::fs::remove_file(&stage.path).expect("the socket");
    stage.until(|metrics| metrics.connected.get() == 0).await;
    let mut client = stage.client();
    client.send("00110000 00 00000009 00 03 01 0008 4142434445464748").await;
    client.expect("00110000 01 00000009 00 03 01 0001 02").await;
    assert_eq!(stage.proxy.metrics().answered_disconnected.get(), 1);
}

#[tokio::test]
async fn an_empty_reply_of_a_c_proxy_behind_ours_becomes_status_2() {
    let stage = Stage::new(settings());
    let mut server = stage.accept().await;
    let mut client = stage.client();
    client.send(HAVE_B).await;
    expect(&mut server, "00110000 00 00000001 00 03 01 0004 62626262").await;
    server.write_all(&unhex("00110000 01 00000001 00 03 01 0000")).await.expect("the proxy reads");
    client.expect("00110000 01 22222222 00 03 01 0001 02").await;
}

// The C program aborts here.
#[tokio::test]
async fn a_client_that_leaves_with_its_request_outstanding_harms_nobody() {
    let stage = Stage::new(settings());
    let mut server = stage.accept().await;
    let (mut gone, mut stays) = (stage.client(), stage.client());
    gone.send(HAVE_B).await;
    expect(&mut server, "00110000 00 00000001 00 03 01 0004 62626262").await;
    drop(gone.stream);
    // The proxy has no reason to look at the client before its answer comes; then it finds nobody.
    stays.send(HAVE_B).await;
    expect(&mut server, "00110000 00 00000002 00 03 01 0004 62626262").await;
    let replies = "00110000 01 00000001 00 03 01 0001 00 00110000 01 00000002 00 03 01 0001 01";
    server.write_all(&unhex(replies)).await.expect("the proxy reads");
    stays.expect("00110000 01 22222222 00 03 01 0001 01").await;
    gone.task.await.expect("no panic");
}

// The C program aborts here.
#[tokio::test]
async fn malformed_clients_are_closed_and_do_not_reach_the_server() {
    let stage = Stage::new(settings());
    let mut server = stage.accept().await;
    for text in ["47455420 2f20485454502f312e310d0a", "00110000 00 00000001 00 00 01 0003 000000"] {
        let mut client = stage.client();
        client.send(text).await;
        assert_eq!(client.closed().await, b"");
    }
    let mut client = stage.client();
    client.send(HAVE_B).await;
    expect(&mut server, "00110000 00 00000001 00 03 01 0004 62626262").await;
    assert_eq!(stage.proxy.metrics().clients.closed_malformed.get(), 2);
}

// The C program aborts here.
#[tokio::test]
async fn a_malformed_server_is_left_and_connected_to_again() {
    let stage = Stage::new(settings());
    for bad in [
        "48545450 2f312e3120",
        "00110000 00 00000001 00 03 01 0001 00",
        "00110000 01 00000003 00 02 01 0001 00",
    ] {
        let mut server = stage.accept().await;
        let mut client = stage.client();
        client.send(HAVE_B).await;
        expect(&mut server, "00110000 00").await;
        server.write_all(&unhex(bad)).await.expect("the proxy reads");
        client.expect("00110000 01 22222222 00 03 01 0001 02").await;
    }
    assert_eq!(stage.proxy.metrics().answered_disconnected.get(), 3);
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_is_left() {
    let stage = Stage::new(ProxySettings { timeout: Duration::from_millis(20), ..settings() });
    let _server = stage.accept().await;
    let mut client = stage.client();
    client.send(HAVE_B).await;
    client.expect("00110000 01 22222222 00 03 01 0001 02").await;
    stage.accept().await;
}

#[tokio::test]
async fn a_pipelining_client_is_served_one_by_one_in_order() {
    let stage = Stage::new(settings());
    let mut server = stage.accept().await;
    let mut client = stage.client();
    client.send(&format!("{HAVE_B} {ADD_A}")).await;
    client.stream.shutdown().await.expect("memory");
    expect(&mut server, "00110000 00 00000001 00 03 01 0004 62626262").await;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(server.try_read(&mut [0; 1]).is_err(), "the second request waits");
    server.write_all(&unhex("00110000 01 00000001 00 03 01 0001 00")).await.expect("the proxy reads");
    expect(&mut server, "00110000 00 00000002 00 00 01 0014").await;
    server.write_all(&unhex("00110000 01 00000002 00 00 01 0001 00")).await.expect("the proxy reads");
    let replies = "00110000 01 22222222 00 03 01 0001 00 00110000 01 11111111 00 00 01 0001 00";
    assert_eq!(client.closed().await, unhex(replies));
}

#[tokio::test]
async fn clients_beyond_the_limit_are_refused() {
    let stage = Stage::new(ProxySettings { clients: 2, ..settings() });
    let (_one, _two) = (stage.client(), stage.client());
    stage.until(|metrics| metrics.clients.open.get() == 2).await;
    assert_eq!(stage.client().closed().await, b"");
    assert_eq!(stage.proxy.metrics().clients.refused_full.get(), 1);
}

#[tokio::test]
async fn a_stop_ends_clients_and_the_connection_to_the_server() {
    let stage = Stage::new(settings());
    let mut server = stage.accept().await;
    let client = stage.client();
    stage.until(|metrics| metrics.clients.open.get() == 1).await;
    stage.proxy.stop();
    stage.proxy.stopped().await;
    assert_eq!(client.closed().await, b"");
    assert_eq!(server.read(&mut [0; 1]).await.expect("the end"), 0);
}

// Several clients that fetch 9 kB cost the C program its connection; 8 at once with mixed sizes made it abort or hang.
#[tokio::test]
async fn many_clients_with_large_sessions_all_get_theirs() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| Address::Unix(directory.path().join(name));
    let server =
        Server::new(Arc::new(MemoryStore::new(&MemorySettings::default())), ServerSettings::default());
    let listener = Listener::bind(&at("server"), &ListenSettings::default()).expect("a socket");
    tokio::spawn(async move { server.serve(listener).await });
    let proxy = Proxy::start(Connector::new(at("server")), ProxySettings { in_flight: 4, ..settings() });
    let listener = Listener::bind(&at("proxy"), &ListenSettings::default()).expect("a socket");
    tokio::spawn({
        let proxy = proxy.clone();
        async move { proxy.serve(listener).await }
    });
    while proxy.metrics().connected.get() == 0 {
        tokio::task::yield_now().await;
    }
    let clients = (0..16_u8).map(|number| {
        let address = at("proxy");
        tokio::spawn(async move {
            let mut client =
                AsyncClient::new(address, ClientSettings::default()).await.expect("the proxy listens");
            for turn in 0..30_usize {
                let (id, session) = ([number, turn as u8], vec![number; (turn * 977) % 32_000 + 5]);
                assert_eq!(client.add(&id, &session, 60_000).await.expect("a reply"), Status::Ok);
                assert_eq!(client.get(&id).await.expect("a reply").as_deref(), Some(&session));
                assert_eq!(client.remove(&id).await.expect("a reply"), Status::Ok);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("all as expected");
    }
    assert_eq!(proxy.metrics().answers.get(), 16 * 30 * 3);
    assert!(proxy.metrics().back_pressure.get() > 0);
}
