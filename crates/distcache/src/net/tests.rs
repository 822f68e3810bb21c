//! Listeners of every kind, with a server behind them and both clients before them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;
use crate::address::Address;
use crate::client::{AsyncClient, Client, ClientSettings, Connections};
use crate::operation::Status;
use crate::request::Request;
use crate::server::{Server, ServerSettings};
use crate::store::{MemorySettings, MemoryStore};

fn server(settings: ServerSettings) -> Server {
    Server::new(Arc::new(MemoryStore::new(&MemorySettings::default())), settings)
}

fn start(server: &Server, listener: Listener) -> JoinHandle<std::io::Result<()>> {
    let server = server.clone();
    tokio::spawn(async move { server.serve(listener).await })
}

fn place() -> (TempDir, Address) {
    let directory = tempfile::tempdir().expect("a directory");
    let address = Address::Unix(directory.path().join("socket"));
    (directory, address)
}

fn path(address: &Address) -> &std::path::Path {
    match address {
        Address::Unix(path) => path,
        _ => panic!("a unix socket"),
    }
}

/// Both clients, over connections of both kinds, can use it.
async fn is_served(address: &Address, settings: &ClientSettings) {
    for connection in [Connections::Temporary, Connections::Persistent(Default::default())] {
        let settings = ClientSettings { connection, ..settings.clone() };
        let session = vec![3; 5000];
        let mut client = AsyncClient::new(address.clone(), settings.clone()).await.expect("connected");
        assert_eq!(client.add(b"id", &session, 60_000).await.expect("a reply"), Status::Ok);
        let address = address.clone();
        let blocking = tokio::task::spawn_blocking(move || {
            let mut client = Client::new(address, settings).expect("connected");
            let got = client.get(b"id").expect("a reply");
            (got, client.remove(b"id").expect("a reply"))
        });
        let (got, removed) = blocking.await.expect("no panic");
        assert_eq!(got.as_deref(), Some(&session));
        assert_eq!(removed, Status::Ok);
    }
}

#[tokio::test]
async fn unix_and_tcp_listeners_serve_and_end_with_the_server() {
    let (_directory, unix) = place();
    for address in
        [unix, "IP:127.0.0.1:0".parse().expect("an address"), "IP6:[::1]:0".parse().expect("an address")]
    {
        let server = server(ServerSettings::default());
        let listener = Listener::bind(&address, &ListenSettings::default()).expect("bound");
        let address = listener.address().clone();
        let second = listener.try_clone().expect("a copy");
        let tasks = [start(&server, listener), start(&server, second)];
        is_served(&address, &ClientSettings::default()).await;
        server.stop();
        server.stopped().await;
        for task in tasks {
            task.await.expect("no panic").expect("an orderly end");
        }
        assert!(Connector::new(address).connect().await.is_err());
    }
}

#[tokio::test]
async fn listeners_that_somebody_else_opened_are_taken_over() {
    let (_directory, unix) = place();
    let tcp = Listener::from_tcp(TcpListener::bind("127.0.0.1:0").expect("a port")).expect("taken over");
    let unix = Listener::from_unix(UnixListener::bind(path(&unix)).expect("a socket")).expect("taken over");
    for listener in [tcp, unix] {
        let address = listener.address().clone();
        start(&server(ServerSettings::default()), listener);
        is_served(&address, &ClientSettings::default()).await;
    }
}

#[tokio::test]
async fn connections_that_came_together_are_all_accepted_and_later_ones_too() {
    let (_directory, address) = place();
    let mut listener = Listener::bind(&address, &ListenSettings::default()).expect("bound");
    for together in [3, 1, 2] {
        let connect = || UnixStream::connect(path(&address)).expect("connected");
        let _clients: Vec<_> = (0..together).map(|_| connect()).collect();
        for _ in 0..together {
            let accepted = tokio::time::timeout(Duration::from_secs(20), listener.next());
            assert!(accepted.await.expect("in time").expect("no error").is_some());
        }
        // None is left, and the listener finds out without one.
        let mut waiting = std::pin::pin!(listener.next());
        let pending =
            std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx).is_pending()));
        assert!(pending.await);
    }
}

#[tokio::test]
async fn an_abandoned_socket_is_replaced_a_live_one_and_a_file_are_not() {
    let (_directory, address) = place();
    let settings = ListenSettings { mode: Some(0o600), ..ListenSettings::default() };
    let first = Listener::bind(&address, &settings).expect("bound");
    let mode = std::fs::metadata(path(&address)).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let refused = Listener::bind(&address, &settings).err().expect("somebody listens");
    assert_eq!(refused.kind(), ErrorKind::AddrInUse);
    drop(first);
    assert!(path(&address).exists());
    drop(Listener::bind(&address, &settings).expect("nobody listens any more"));
    std::fs::remove_file(path(&address)).expect("the socket");
    std::fs::write(path(&address), "precious").expect("a file");
    let refused = Listener::bind(&address, &settings).err().expect("a file is there");
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(path(&address)).expect("the file"), b"precious");
}

#[test]
fn of_many_that_start_at_once_one_listens_and_nobody_takes_its_socket() {
    const STARTS: usize = 8;
    let (_directory, address) = place();
    for round in 0..200 {
        let together = Barrier::new(STARTS);
        let bind = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a thread");
            let _within = runtime.enter();
            together.wait();
            let bound = Listener::bind(&address, &ListenSettings::default());
            // Until all know, nobody closes.
            together.wait();
            bound.is_ok()
        };
        let listening = std::thread::scope(|scope| {
            let starts = [(); STARTS].map(|()| scope.spawn(bind));
            starts.map(|start| start.join().expect("no panic"))
        });
        assert_eq!(listening.iter().filter(|listens| **listens).count(), 1, "round {round}");
    }
}

#[tokio::test]
async fn a_directory_that_somebody_keeps_locked_is_used_all_the_same() {
    let (directory, address) = place();
    let lock = std::fs::File::open(directory.path()).expect("a directory");
    lock.lock().expect("nobody has it");
    drop(Listener::bind(&address, &ListenSettings::default()).expect("bound"));
}

#[tokio::test]
async fn a_stop_answers_what_came_with_connections_that_nobody_has_accepted() {
    let (_directory, address) = place();
    let server = server(ServerSettings::default());
    let serving = start(&server, Listener::bind(&address, &ListenSettings::default()).expect("bound"));
    tokio::task::yield_now().await;
    let mut request = Vec::new();
    Request::Have(b"id").encode(1, &mut request).expect("fits");
    let connect = |_| {
        let mut client = UnixStream::connect(path(&address)).expect("connected");
        client.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
        client.write_all(&request).expect("room");
        client
    };
    let clients: Vec<_> = (0..50).map(connect).collect();
    server.stop();
    server.stopped().await;
    for mut client in clients {
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).expect("an answer and the end");
        assert_eq!(answer.len(), 15);
    }
    serving.await.expect("no panic").expect("an orderly end");
}

#[tokio::test]
async fn only_users_on_the_list_get_through_a_unix_socket() {
    let me = rustix::process::getuid().as_raw();
    for (allowed, served) in [(vec![me, me + 1], true), (vec![me + 1], false)] {
        let (_directory, address) = place();
        let server = server(ServerSettings { allow_uids: Some(allowed), ..ServerSettings::default() });
        start(&server, Listener::bind(&address, &ListenSettings::default()).expect("bound"));
        let mut client = AsyncClient::new(address, ClientSettings::default()).await.expect("connected");
        assert_eq!(client.have(b"id").await.is_ok(), served);
        assert_eq!(server.metrics().connections.refused_uid.get(), u64::from(!served));
    }
}

#[tokio::test]
async fn a_client_that_reads_late_gets_everything() {
    let (_directory, address) = place();
    let server = server(ServerSettings::default());
    start(&server, Listener::bind(&address, &ListenSettings::default()).expect("bound"));
    let mut client = AsyncClient::new(address.clone(), ClientSettings::default()).await.expect("connected");
    client.add(b"id", &[5; 20_000], 60_000).await.expect("a reply");
    let (mut receive, mut send) =
        tokio::io::split(Connector::new(address).connect().await.expect("connected"));
    let mut request = Vec::new();
    Request::Get(b"id").encode(1, &mut request).expect("fits");
    tokio::spawn(async move { send.write_all(&request.repeat(100)).await });
    while server.metrics().back_pressure.get() == 0 {
        tokio::task::yield_now().await;
    }
    let mut replies = vec![0; 100 * (20_000 + 10 * 14)];
    let all = tokio::time::timeout(Duration::from_secs(20), receive.read_exact(&mut replies));
    all.await.expect("in time").expect("all of them");
}

#[tokio::test]
async fn a_descriptor_is_a_listener_that_accepts_once() {
    let (ours, theirs) = UnixStream::pair().expect("sockets");
    let number = theirs.as_raw_fd();
    let address = Address::Fd { receive: Some(number), send: Some(number) };
    let server = server(ServerSettings::default());
    let task = start(&server, Listener::bind(&address, &ListenSettings::default()).expect("bound"));
    drop(theirs);
    let number = ours.as_raw_fd();
    let client = Address::Fd { receive: Some(number), send: Some(number) };
    let mut client = AsyncClient::new(client, ClientSettings::default()).await.expect("connected");
    drop(ours);
    assert_eq!(client.have(b"id").await.expect("a reply"), Status::Absent);
    assert!(!task.is_finished());
    drop(client);
    task.await.expect("no panic").expect("an orderly end");
}

#[test]
fn pipes_are_descriptors_too() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
    let (requests, asking) = std::io::pipe().expect("a pipe");
    let (replies, answering) = std::io::pipe().expect("a pipe");
    let address = Address::Fd { receive: Some(requests.as_raw_fd()), send: Some(answering.as_raw_fd()) };
    let listener = {
        let _runtime = runtime.enter();
        Listener::bind(&address, &ListenSettings::default()).expect("bound")
    };
    let server = server(ServerSettings::default());
    runtime.spawn(async move { server.serve(listener).await });
    let address = Address::Fd { receive: Some(replies.as_raw_fd()), send: Some(asking.as_raw_fd()) };
    let mut client = Client::new(address, ClientSettings::default()).expect("connected");
    assert_eq!(client.add(b"id", &[8; 9000], 60_000).expect("a reply"), Status::Ok);
    assert_eq!(client.get(b"id").expect("a reply").map(|session| session.len()), Some(9000));
}

#[test]
fn a_descriptor_that_is_none_is_an_error() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a thread");
    let _runtime = runtime.enter();
    let address = Address::Fd { receive: Some(9999), send: None };
    assert!(Listener::bind(&address, &ListenSettings::default()).is_err());
    assert!(Client::new(address, ClientSettings::default()).is_err());
}

#[cfg(feature = "tls")]
mod over_tls {
    use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
    use rustls::RootCertStore;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::server::WebPkiClientVerifier;

    use super::*;

    /// A server that wants certificates of its authority, a client that has one, a client that has none.
    fn parties() -> (ListenSettings, ClientSettings, ClientSettings) {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed");
        let leaf = |name: &str| {
            let key = KeyPair::generate().expect("a key");
            let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
            let certificate = params.signed_by(&key, &authority).expect("signed");
            (vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).expect("a key"))
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).expect("an authority");
        let roots = Arc::new(roots);
        let verifier = WebPkiClientVerifier::builder(Arc::clone(&roots)).build().expect("a verifier");
        let (chain, key) = leaf("127.0.0.1");
        let server =
            rustls::ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(chain, key);
        let (chain, key) = leaf("client");
        let builder = || rustls::ClientConfig::builder().with_root_certificates(Arc::clone(&roots));
        let client = builder().with_client_auth_cert(chain, key).expect("a certificate");
        let nobody = builder().with_no_client_auth();
        let with = |config| ClientSettings { tls: Some(Arc::new(config)), ..ClientSettings::default() };
        let server = Some(Arc::new(server.expect("a certificate")));
        (ListenSettings { tls: server, ..ListenSettings::default() }, with(client), with(nobody))
    }

    #[tokio::test]
    async fn tls_serves_those_with_a_certificate_and_no_others() {
        let (listen, client, nobody) = parties();
        let address: Address = "TLS:127.0.0.1:0".parse().expect("an address");
        let server = server(ServerSettings::default());
        let listener = Listener::bind(&address, &listen).expect("bound");
        let address = listener.address().clone();
        start(&server, listener);
        is_served(&address, &client).await;
        let refused = match AsyncClient::new(address.clone(), nobody).await {
            // With TLS 1.3 the client learns of it with its first answer.
            Ok(mut client) => client.have(b"id").await.is_err(),
            Err(_) => true,
        };
        assert!(refused);
        assert_eq!(server.metrics().connections.handshake_errors.get(), 1);
        assert!(Listener::bind(&address, &ListenSettings::default()).is_err());
        assert!(AsyncClient::new(address, ClientSettings::default()).await.is_err());
    }
}
