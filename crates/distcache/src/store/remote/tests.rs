use super::*;
use crate::net::{ListenSettings, Listener};
use crate::store::{MemorySettings, MemoryStore};
use crate::{Server, ServerSettings};

fn settings() -> RemoteSettings {
    let patience = Duration::from_secs(60);
    let client = ClientSettings { timeout: patience, connect_timeout: patience, ..Default::default() };
    RemoteSettings { client, ..Default::default() }
}

/// A server in memory, and a store for each caller.
async fn serve<const N: usize>() -> (Server, tempfile::TempDir, [Arc<dyn SessionStore>; N]) {
    let directory = tempfile::tempdir().unwrap();
    let address: Address = format!("UNIX:{}/s", directory.path().display()).parse().unwrap();
    let listener = Listener::bind(&address, &ListenSettings::default()).unwrap();
    let memory = Arc::new(MemoryStore::new(&MemorySettings::default()));
    let server = Server::new(memory, ServerSettings::default());
    let serving = server.clone();
    tokio::spawn(async move { serving.serve(listener).await });
    let stores = std::array::from_fn(|_| Arc::new(RemoteStore::new(address.clone(), settings())) as _);
    (server, directory, stores)
}

#[tokio::test]
async fn every_operation_does_what_it_says() {
    let (server, _directory, [store]) = serve().await;
    assert_eq!(store.fetch(b"id").await, Ok(None));
    assert_eq!(store.add(b"id", b"session", 60_000).wait().await, Ok(Added::Stored));
    assert_eq!(store.add(b"id", b"other", 60_000).wait().await, Ok(Added::Duplicate));
    assert_eq!(store.have(b"id").wait().await, Ok(true));
    assert_eq!(store.fetch(b"id").await.unwrap().unwrap().as_slice(), b"session");
    assert_eq!(store.fetch_and_remove(b"id").await.unwrap().unwrap().as_slice(), b"session");
    assert_eq!(store.fetch_and_remove(b"id").await, Ok(None));
    assert_eq!(store.remove(b"id").wait().await, Ok(false));
    assert_eq!(store.have(b"id").wait().await, Ok(false));
    assert_eq!(server.metrics().connections.accepted.get(), 1, "one connection for all of them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_takers_one_wins() {
    let (_server, _directory, [one, other]) = serve().await;
    for number in 0..50_u8 {
        one.add(&[number], b"session", 60_000).wait().await.unwrap();
        let takers = [0, 1, 2, 3].map(|taker| {
            let store = Arc::clone(if taker % 2 == 0 { &one } else { &other });
            tokio::spawn(async move { store.fetch_and_remove(&[number]).await })
        });
        let mut won = 0;
        for taker in takers {
            won += usize::from(taker.await.unwrap().unwrap().is_some());
        }
        assert_eq!(won, 1);
    }
}

#[tokio::test]
async fn nobody_there_is_unavailable_and_so_is_one_too_many() {
    let address: Address = "UNIX:/nowhere/s".parse().unwrap();
    let store = RemoteStore::new(address, RemoteSettings { in_flight: 1, ..settings() });
    let first = store.have(b"id");
    assert!(matches!(store.have(b"id"), Answer::Ready(Err(StoreError::Unavailable))));
    assert_eq!(first.wait().await, Err(StoreError::Unavailable));
    assert!(matches!(store.have(b"id"), Answer::Later(_)));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_a_timeout_and_its_connection_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let silent = tokio::net::UnixListener::bind(&path).unwrap();
    let address: Address = format!("UNIX:{}", path.display()).parse().unwrap();
    let store = RemoteStore::new(address, RemoteSettings { connections: 1, ..settings() });
    assert_eq!(store.have(b"id").wait().await, Err(StoreError::Timeout));
    assert_eq!(store.pool.idle.lock().len(), 0);
    assert_eq!(store.pool.places.available_permits(), 1);
    drop(silent);
}

#[tokio::test]
async fn a_server_that_was_restarted_is_found_again() {
    let (server, directory, [store]) = serve().await;
    store.add(b"id", b"session", 60_000).wait().await.unwrap();
    server.stop();
    server.stopped().await;
    let address: Address = format!("UNIX:{}/s", directory.path().display()).parse().unwrap();
    let listener = Listener::bind(&address, &ListenSettings::default()).unwrap();
    let memory = Arc::new(MemoryStore::new(&MemorySettings::default()));
    let server = Server::new(memory, ServerSettings::default());
    tokio::spawn(async move { server.serve(listener).await });
    assert_eq!(store.have(b"id").wait().await, Ok(false), "asked again on another connection");
}

#[tokio::test]
async fn an_add_is_stored_only_when_the_server_says_so() {
    use crate::frame::Direction;
    use crate::message::{Decoder, encode};
    use crate::operation::Operation;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    // Says 0, 101, 2, and then what only other operations are told, and what only malformed ADDs are.
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for status in [0, 101, 2, 1, 104] {
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            let mut decoder = Decoder::new(Direction::Request);
            let uid = decoder.next(&request[..length]).unwrap().message.expect("a small one").uid;
            let mut reply = Vec::new();
            encode(&mut reply, Direction::Response, uid, Operation::Add, &[&[status]]).unwrap();
            stream.write_all(&reply).await.unwrap();
        }
    });
    let store = RemoteStore::new(Address::Unix(path), settings());
    for expected in [
        Ok(Added::Stored),
        Ok(Added::Duplicate),
        Err(StoreError::Timeout),
        Err(StoreError::Unreadable),
        Err(StoreError::Unreadable),
    ] {
        assert_eq!(store.add(b"id", b"session", 1000).wait().await, expected);
    }
}
