use std::time::Duration;

use distcache::Status;
use distcache::client::{AsyncClient, ClientSettings};
use distcache::proxy::ProxyMetrics;
use distcache::store::MemorySettings;

use super::*;
use crate::listen::drain;

fn door(registry: &mut Registry) -> SessionDoor {
    let memory = Arc::new(MemoryStore::new(&MemorySettings::default()));
    let kept =
        Kept { store: Arc::clone(&memory) as Arc<dyn SessionStore>, memory: Some(memory), redis: None };
    let addresses = vec!["IP:127.0.0.1:0".parse().expect("an address")];
    let settings = ServerSettings { drain: Duration::from_millis(20), ..ServerSettings::default() };
    let sessiond = Some((([127, 0, 0, 1], 0).into(), SessiondSettings::default()));
    let parts = Parts { kept, settings, addresses, listen: ListenSettings::default(), sessiond };
    SessionDoor::open(parts, registry).expect("a free port")
}

fn shown(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).expect("encodes");
    text
}

#[tokio::test]
async fn sessions_are_served_counted_and_drained() {
    let mut registry = Registry::default();
    let door = door(&mut registry);
    let (counter, address) = (door.counter(), door.addresses().remove(0));
    let (drainer, drain) = drain();
    let serving = tokio::spawn(door.serve(drain));
    let mut client = AsyncClient::new(address, ClientSettings::default()).await.expect("connects");
    assert_eq!(client.add(b"id", b"session", 60_000).await.expect("an answer"), Status::Ok);
    assert_eq!(
        client.get(b"id").await.expect("an answer").as_deref().map(Vec::as_slice),
        Some(&b"session"[..])
    );
    assert!(client.get(b"other").await.expect("an answer").is_none());
    let counts = counter.counts();
    assert_eq!((counts.sessions, counts.connections), (Some(1), 1));
    assert_eq!((counts.operations, counts.gets, counts.hits), (3, 2, 1));
    let text = shown(&registry);
    for line in [
        "standpipe_session_operations_total{operation=\"add\",result=\"stored\"} 1",
        "standpipe_session_operations_total{operation=\"get\",result=\"miss\"} 1",
        "standpipe_session_connections_open 1",
        "standpipe_session_sessions 1",
        "standpipe_session_connections_closed_total{reason=\"malformed\"} 0",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} not in\n{text}");
    }
    drainer.begin();
    serving.await.expect("no panic");
    assert!(client.have(b"id").await.is_err());
}

#[tokio::test]
async fn a_stunnel_finds_what_others_have_stored() {
    let mut registry = Registry::default();
    let door = door(&mut registry);
    let stunnel = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    stunnel.connect(door.sessiond_address().expect("wanted")).await.expect("an address");
    let address = door.addresses().remove(0);
    let (_drainer, drain) = drain();
    let serving = tokio::spawn(door.serve(drain));
    let mut client = AsyncClient::new(address, ClientSettings::default()).await.expect("connects");
    let id = [7; 32];
    assert_eq!(client.add(&id, b"session", 60_000).await.expect("an answer"), Status::Ok);
    let get = [&[1, 1, 0, 0][..], &id].concat();
    stunnel.send(&get).await.expect("sent");
    let mut answer = [0; 64];
    let length = testkit::guarded("an answer", stunnel.recv(&mut answer)).await.expect("an answer");
    assert_eq!((answer[1], &answer[36..length]), (0x81, &b"session"[..]));
    let text = shown(&registry);
    let line = "standpipe_session_sessiond_requests_total{operation=\"get\",result=\"hit\"} 1";
    assert!(text.contains(line), "{text}");
    serving.abort();
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let first = door(&mut Registry::default());
    let taken = first.addresses();
    let mut parts_of = Registry::default();
    let memory = Arc::new(MemoryStore::new(&MemorySettings::default()));
    let kept = Kept { store: memory, memory: None, redis: None };
    let listen = ListenSettings::default();
    let parts =
        Parts { kept, settings: ServerSettings::default(), addresses: taken.clone(), listen, sessiond: None };
    let problem = SessionDoor::open(parts, &mut parts_of).err().expect("taken").to_string();
    assert!(problem.contains(&taken[0].to_string()), "{problem}");
}

#[test]
fn a_proxy_is_shown_too() {
    let mut registry = Registry::default();
    let proxy = Arc::new(ProxyMetrics::default());
    register_proxy(&mut registry, Arc::clone(&proxy));
    proxy.connected.up();
    let text = shown(&registry);
    assert!(text.contains("standpipe_session_proxy_connected 1"), "{text}");
    assert!(text.contains("standpipe_session_connections_open 0"), "{text}");
}
