//! user-demand.md 4c 75 to 78, on datagrams.

use tokio::sync::oneshot;

use super::*;
use crate::clock::ManualClock;
use crate::store::{Answer, FetchResult, Fetched, MemorySettings, MemoryStore, StoreError};

fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(&MemorySettings::default()))
}

/// A listener, and a socket that talks to it.
async fn listen(store: Arc<dyn SessionStore>, settings: SessiondSettings) -> (Sessiond, UdpSocket) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(socket.local_addr().unwrap()).await.unwrap();
    let sessiond = Sessiond::new(store, settings);
    let serving = sessiond.clone();
    tokio::spawn(async move { serving.serve(socket).await });
    (sessiond, client)
}

fn datagram(kind: u8, seconds: u16, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut padded = [0; 32];
    padded[..key.len()].copy_from_slice(key);
    [&[1, kind][..], &seconds.to_be_bytes(), &padded, value].concat()
}

async fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let length = client.recv(&mut buffer).await.unwrap();
    buffer[..length].to_vec()
}

async fn get(client: &UdpSocket, key: &[u8]) -> Vec<u8> {
    client.send(&datagram(1, 0, key, b"")).await.unwrap();
    receive(client).await
}

#[tokio::test]
async fn new_get_and_remove_as_stunnel_sends_them() {
    let (sessiond, client) = listen(memory(), SessiondSettings::default()).await;
    assert_eq!(get(&client, b"key").await, datagram(0x80, 0, b"key", b""));
    client.send(&datagram(0, 300, b"key", b"a session")).await.unwrap();
    assert_eq!(get(&client, b"key").await, datagram(0x81, 0, b"key", b"a session"));
    client.send(&datagram(0, 300, b"key", b"another")).await.unwrap();
    assert_eq!(get(&client, b"key").await, datagram(0x81, 0, b"key", b"a session"));
    client.send(&datagram(2, 0, b"key", b"")).await.unwrap();
    assert_eq!(get(&client, b"key").await, datagram(0x80, 0, b"key", b""));
    let metrics = sessiond.metrics();
    let counts = (&metrics.news, &metrics.news_refused, &metrics.gets, &metrics.get_hits, &metrics.removes);
    assert_eq!(
        (counts.0.get(), counts.1.get(), counts.2.get(), counts.3.get(), counts.4.get()),
        (1, 1, 4, 2, 1)
    );
}

#[tokio::test]
async fn an_answer_repeats_its_request_byte_for_byte() {
    let (_, client) = listen(memory(), SessiondSettings::default()).await;
    let key: Vec<u8> = (0..32).collect();
    let stray = [datagram(1, 0xabcd, &key, b""), b"stray".to_vec()].concat();
    client.send(&stray).await.unwrap();
    assert_eq!(receive(&client).await, datagram(0x80, 0xabcd, &key, b""));
}

#[tokio::test]
async fn sessions_are_those_of_the_other_protocol_and_time_out() {
    let clock = ManualClock::default();
    let store = Arc::new(MemoryStore::with_clock(&MemorySettings::default(), Arc::new(clock.clone())));
    let (_, client) = listen(store.clone(), SessiondSettings::default()).await;
    // Ends with a zero, as one id of 256 does.
    let mut id = [7; 32];
    id[31] = 0;
    let shared: Arc<dyn SessionStore> = store;
    shared.add(&id, b"by httpd", 1000).wait().await.unwrap();
    assert_eq!(get(&client, &id).await[36..], *b"by httpd");
    client.send(&datagram(0, 2, b"key", b"by stunnel")).await.unwrap();
    assert_eq!(get(&client, b"key").await[36..], *b"by stunnel");
    clock.advance(std::time::Duration::from_millis(2001));
    assert_eq!(get(&client, b"key").await[1], MISS);
    let long = [1; 32];
    shared.add(&long, &[0; 513], 60_000).wait().await.unwrap();
    assert_eq!(get(&client, &long).await, datagram(MISS, 0, &long, b""), "no answer can carry it");
}

#[tokio::test]
async fn malformed_datagrams_are_dropped_and_nothing_else() {
    let (sessiond, client) = listen(memory(), SessiondSettings::default()).await;
    let whole = datagram(1, 0, b"key", b"");
    let mut bad: Vec<Vec<u8>> = (0..36).map(|length| whole[..length].to_vec()).collect();
    bad.extend((3..=255).map(|kind| datagram(kind, 0, b"key", b"")));
    bad.extend([0, 2, 0x10, 255].map(|version| [&[version], &whole[1..]].concat()));
    bad.push(datagram(0, 300, b"key", b""));
    bad.push(datagram(0, 300, b"key", &[0; 513]));
    bad.push(datagram(0, 300, b"key", &[0; 2000]));
    for (count, datagram) in bad.iter().enumerate() {
        client.send(datagram).await.unwrap();
        // The only answer that comes is that to this.
        assert_eq!(get(&client, b"key").await[1], MISS, "{datagram:?}");
        assert_eq!(sessiond.metrics().malformed.get(), count as u64 + 1);
    }
    client.send(&datagram(0, u16::MAX, b"key", &[0; 512])).await.unwrap();
    assert_eq!(get(&client, b"key").await.len(), 36 + 512);
}

#[tokio::test]
async fn others_are_not_listened_to() {
    let settings =
        SessiondSettings { allow: Some(vec![IpAddr::V6(Ipv6Addr::LOCALHOST)]), ..Default::default() };
    let (sessiond, client) = listen(memory(), settings).await;
    client.send(&datagram(1, 0, b"key", b"")).await.unwrap();
    while sessiond.metrics().refused_address.get() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sessiond.metrics().gets.get(), 0);
    let allowed = Sessiond::new(memory(), SessiondSettings::default());
    assert!(allowed.inner.is_allowed("[::ffff:127.0.0.1]:1".parse().unwrap()));
    assert!(!allowed.inner.is_allowed("192.0.2.1:1".parse().unwrap()));
}

/// Answers when the test says so.
#[derive(Default)]
struct Later(parking_lot::Mutex<Vec<oneshot::Sender<FetchResult>>>);

impl SessionStore for Later {
    fn add(&self, _: &[u8], _: &[u8], _: u32) -> Answer<Result<Added, StoreError>> {
        Answer::Ready(Err(StoreError::Timeout))
    }

    fn get(&self, _: &[u8], _: &mut Vec<u8>) -> Answer<FetchResult> {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().push(sender);
        Answer::Later(Box::pin(async { receiver.await.unwrap_or(Err(StoreError::Timeout)) }))
    }

    fn take(&self, id: &[u8], out: &mut Vec<u8>) -> Answer<FetchResult> {
        self.get(id, out)
    }

    fn remove(&self, _: &[u8]) -> Answer<Result<bool, StoreError>> {
        Answer::Ready(Err(StoreError::Unavailable))
    }

    fn have(&self, _: &[u8]) -> Answer<Result<bool, StoreError>> {
        Answer::Ready(Ok(false))
    }

    fn len(&self) -> Answer<Result<u64, StoreError>> {
        Answer::Ready(Ok(0))
    }
}

#[tokio::test]
async fn a_store_that_takes_its_time_holds_up_nobody_and_so_many_requests_wait() {
    let store = Arc::new(Later::default());
    let settings = SessiondSettings { in_flight: 2, ..Default::default() };
    let (sessiond, client) = listen(store.clone(), settings).await;
    for key in [b"1", b"2", b"3"] {
        client.send(&datagram(1, 0, key, b"")).await.unwrap();
    }
    while sessiond.metrics().refused_full.get() == 0 {
        tokio::task::yield_now().await;
    }
    let mut waiting = std::mem::take(&mut *store.0.lock());
    assert_eq!(waiting.len(), 2);
    waiting.remove(1).send(Ok(Fetched::Session(Session::new(b"second".to_vec())))).unwrap();
    assert_eq!(receive(&client).await, datagram(HIT, 0, b"2", b"second"));
    waiting.remove(0).send(Err(StoreError::Unavailable)).unwrap();
    assert_eq!(receive(&client).await, datagram(MISS, 0, b"1", b""), "a store that fails is a miss");
    client.send(&datagram(0, 1, b"key", b"value")).await.unwrap();
    client.send(&datagram(2, 1, b"key", b"")).await.unwrap();
    while sessiond.metrics().store_errors.get() < 3 {
        tokio::task::yield_now().await;
    }
}
