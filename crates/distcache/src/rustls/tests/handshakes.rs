//! Real handshakes: a client, and servers that share its sessions. A ticket is used twice the way an attacker does: with a
//! ClientHello that is sent twice.

use std::sync::Barrier;
use std::thread;

use ::rustls::pki_types::{PrivateKeyDer, ServerName};
use ::rustls::version::{TLS12, TLS13};
use ::rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};

use super::*;

/// Two servers with the same certificate, and a client of both.
struct Site {
    servers: [(Arc<ServerConfig>, Arc<SharedSessions>); 2],
    client: Arc<ClientConfig>,
}

impl Site {
    fn new(version: &'static SupportedProtocolVersion, stores: [Arc<dyn SessionStore>; 2]) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = certificate.self_signed(&key).unwrap();
        let server = |store| {
            let sessions = Arc::new(SharedSessions::new(store, &settings()).expect("a thread"));
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let config = ServerConfig::builder_with_protocol_versions(&[version]).with_no_client_auth();
            let mut config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
            config.session_storage = Arc::clone(&sessions) as _;
            config.send_tls13_tickets = 1;
            (Arc::new(config), sessions)
        };
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let client = ClientConfig::builder_with_protocol_versions(&[version]).with_root_certificates(roots);
        let client = client.with_no_client_auth();
        Self { servers: stores.map(server), client: Arc::new(client) }
    }

    /// A handshake with one of the servers; waits until its sessions are shared.
    fn handshake(&self, server: usize) -> HandshakeKind {
        let (config, sessions) = &self.servers[server];
        let mut client = self.client();
        let mut server = ServerConnection::new(Arc::clone(config)).unwrap();
        while client.wants_write() || server.wants_write() {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            feed(&bytes, |bytes| server.read_tls(bytes));
            server.process_new_packets().expect("a server that agrees");
            bytes.clear();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            feed(&bytes, |bytes| client.read_tls(bytes));
            client.process_new_packets().expect("a client that agrees");
        }
        assert!(!client.is_handshaking() && !server.is_handshaking());
        assert_eq!(client.handshake_kind(), server.handshake_kind());
        while sessions.places.available_permits() < settings().uploads {
            thread::yield_now();
        }
        server.handshake_kind().expect("it is over")
    }

    fn client(&self) -> ClientConnection {
        let name = ServerName::try_from("localhost").unwrap();
        ClientConnection::new(Arc::clone(&self.client), name).unwrap()
    }

    /// What the client begins its next connection with: its ticket is in it.
    fn hello(&self) -> Vec<u8> {
        let (mut client, mut hello) = (self.client(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut hello).unwrap();
        }
        hello
    }

    /// What a server makes of it.
    fn answer(&self, server: usize, hello: &[u8]) -> Option<HandshakeKind> {
        let mut server = ServerConnection::new(Arc::clone(&self.servers[server].0)).unwrap();
        feed(hello, |bytes| server.read_tls(bytes));
        server.process_new_packets().expect("a server that agrees");
        server.handshake_kind()
    }
}

fn feed(mut bytes: &[u8], mut read: impl FnMut(&mut &[u8]) -> io::Result<usize>) {
    while !bytes.is_empty() {
        read(&mut bytes).unwrap();
    }
}

fn stores(mood: Mood) -> [Arc<dyn SessionStore>; 2] {
    let shared = Scripted::new(mood);
    [shared.clone(), shared]
}

#[test]
fn a_ticket_of_one_server_resumes_on_the_other_and_only_once() {
    let site = Site::new(&TLS13, stores(Mood::Later));
    assert_eq!(site.handshake(0), HandshakeKind::Full);
    assert_eq!(site.handshake(1), HandshakeKind::Resumed);
    assert_eq!(site.handshake(0), HandshakeKind::Resumed, "with the ticket of the other");
    let hello = site.hello();
    let kinds = [1, 1, 0, 0].map(|server| site.answer(server, &hello));
    assert_eq!(kinds[0], Some(HandshakeKind::Resumed));
    assert_eq!(kinds[1..], [Some(HandshakeKind::Full); 3]);
}

#[test]
fn a_tls_1_2_session_resumes_everywhere_as_often_as_it_likes() {
    let site = Site::new(&TLS12, stores(Mood::Later));
    assert_eq!(site.handshake(0), HandshakeKind::Full);
    for server in [1, 0, 1, 1] {
        assert_eq!(site.handshake(server), HandshakeKind::Resumed);
    }
    assert_eq!(site.servers[1].1.metrics().local_hits.get(), 2, "fetched once, then from memory");
}

#[test]
fn two_servers_that_get_a_ticket_at_the_same_moment_resume_it_once() {
    race(&|| stores(Mood::Later), 20);
}

#[cfg(feature = "redis")]
#[test]
fn two_servers_that_share_a_redis_resume_a_ticket_once() {
    use crate::store::Keys;
    use crate::store::redis::tests::server::RedisServer;
    use crate::store::redis::{RedisSettings, RedisStore};

    let redis = RedisServer::start();
    let open = || -> Arc<dyn SessionStore> {
        let patience = Duration::from_secs(60);
        let settings = RedisSettings::new(redis.url(), Keys::parse(&[7; 32]).unwrap());
        let settings = RedisSettings { timeout: patience, connect_timeout: patience, ..settings };
        Arc::new(RedisStore::open(settings).expect("a store"))
    };
    race(&|| [open(), open()], 5);
}

/// The way without a Redis: a session server for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_that_share_a_session_server_resume_a_ticket_once() {
    use crate::net::{ListenSettings, Listener};
    use crate::store::{RemoteSettings, RemoteStore};
    use crate::{Address, Server, ServerSettings};

    let directory = tempfile::tempdir().unwrap();
    let address: Address = format!("UNIX:{}/s", directory.path().display()).parse().unwrap();
    let listener = Listener::bind(&address, &ListenSettings::default()).unwrap();
    let memory = Arc::new(MemoryStore::new(&MemorySettings::default()));
    let server = Server::new(memory, ServerSettings::default());
    tokio::spawn(async move { server.serve(listener).await });
    let open = move || -> Arc<dyn SessionStore> {
        let patience = Duration::from_secs(60);
        let mut settings = RemoteSettings::default();
        (settings.client.timeout, settings.client.connect_timeout) = (patience, patience);
        Arc::new(RemoteStore::new(address.clone(), settings))
    };
    tokio::task::spawn_blocking(move || race(&|| [open(), open()], 5)).await.unwrap();
}

fn race(stores: &dyn Fn() -> [Arc<dyn SessionStore>; 2], times: usize) {
    for _ in 0..times {
        let site = Site::new(&TLS13, stores());
        assert_eq!(site.handshake(0), HandshakeKind::Full);
        let (start, hello) = (Barrier::new(2), site.hello());
        let kinds = thread::scope(|scope| {
            let handshakes = [0, 1].map(|server| {
                let (site, start, hello) = (&site, &start, &hello);
                scope.spawn(move || {
                    start.wait();
                    site.answer(server, hello)
                })
            });
            handshakes.map(|handshake| handshake.join().expect("no panic"))
        });
        let resumed = kinds.iter().filter(|kind| **kind == Some(HandshakeKind::Resumed)).count();
        assert_eq!(resumed, 1, "{kinds:?}");
    }
}

/// user-demand.md 4c 79: the store is gone for a while; nobody is refused.
#[test]
fn without_the_store_every_handshake_still_succeeds() {
    let site = Site::new(&TLS13, stores(Mood::Fails(StoreError::Timeout)));
    for server in [0, 1, 0, 1, 0, 1, 0, 1] {
        site.handshake(server);
    }
    let site = Site::new(&TLS13, stores(Mood::Fails(StoreError::Unavailable)));
    assert_eq!(site.handshake(0), HandshakeKind::Full);
    assert_eq!(site.handshake(0), HandshakeKind::Resumed, "its own session stayed with it");
    assert_eq!(site.handshake(1), HandshakeKind::Full);
}
