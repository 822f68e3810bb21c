//! Against a real redis-server, started here, on a unix socket where there can be one.

mod faults;
pub(crate) mod server;
mod transports;

use ::redis::{Commands, Connection};

use self::server::RedisServer;
use super::*;
use crate::clock::ManualClock;
use crate::store::{KeysError, Session};

const OLD: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const NEW: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

fn keys(text: &str) -> Result<Keys, KeysError> {
    Keys::parse(text.as_bytes())
}

/// Patient: no test here is about how fast this machine is today.
fn settings(url: &str) -> RedisSettings {
    let patience = Duration::from_secs(30);
    let keys = keys(OLD).expect("a key");
    RedisSettings { timeout: patience, connect_timeout: patience, ..RedisSettings::new(url, keys) }
}

fn store(server: &RedisServer) -> Arc<dyn SessionStore> {
    Arc::new(RedisStore::open(settings(server.url())).expect("a store"))
}

async fn add(store: &dyn SessionStore, id: &[u8], session: &[u8]) -> Result<Added, StoreError> {
    store.add(id, session, 60_000).wait().await
}

async fn get(store: &Arc<dyn SessionStore>, id: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(store.fetch(id).await?.map(|session| session.to_vec()))
}

async fn take(store: &Arc<dyn SessionStore>, id: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(store.fetch_and_remove(id).await?.map(|session| session.to_vec()))
}

/// A connection that knows nothing of keys, as somebody has who owns the Redis.
fn raw(server: &RedisServer) -> Connection {
    ::redis::Client::open(server.url()).expect("a URL").get_connection().expect("a connection")
}

#[tokio::test]
async fn every_operation_does_what_it_says() {
    let server = RedisServer::start();
    let store = store(&server);
    assert_eq!(get(&store, b"id").await, Ok(None));
    assert_eq!(add(&*store, b"id", b"session").await, Ok(Added::Stored));
    assert_eq!(add(&*store, b"id", b"other").await, Ok(Added::Duplicate));
    assert_eq!(add(&*store, b"id 2", b"session 2").await, Ok(Added::Stored));
    assert_eq!(store.len().wait().await, Ok(2));
    assert_eq!(get(&store, b"id").await, Ok(Some(b"session".to_vec())));
    assert_eq!(store.have(b"id").wait().await, Ok(true));
    assert_eq!(take(&store, b"id").await, Ok(Some(b"session".to_vec())));
    assert_eq!(take(&store, b"id").await, Ok(None));
    assert_eq!(store.have(b"id").wait().await, Ok(false));
    assert_eq!(store.remove(b"id 2").wait().await, Ok(true));
    assert_eq!(store.remove(b"id 2").wait().await, Ok(false));
    assert_eq!(store.len().wait().await, Ok(0));
}

/// user-demand.md 4c 75 and 77: the largest that the protocol carries, and the shortest and longest timeouts.
#[tokio::test]
async fn extremes_are_stored_and_time_out_there() {
    let server = RedisServer::start();
    let store = store(&server);
    let (id, session) = ([0xff; 64], vec![0; crate::limits::ID_AND_SESSION - 64]);
    assert_eq!(store.add(&id, &session, crate::limits::TIMEOUT_MS).wait().await, Ok(Added::Stored));
    assert_eq!(get(&store, &id).await, Ok(Some(session)));
    let mut raw = raw(&server);
    let names: Vec<String> = raw.keys("*").unwrap();
    let left: i64 = raw.pttl(&names[0]).unwrap();
    let week = i64::from(crate::limits::TIMEOUT_MS);
    assert!((week - 3_600_000..=week).contains(&left), "{left}");
    assert_eq!(store.add(b"\0", b"s", 0).wait().await, Ok(Added::Stored));
}

/// user-demand.md 4c 78.
#[tokio::test]
async fn nothing_that_leaves_can_be_read() {
    let server = RedisServer::start();
    let store = store(&server);
    let (id, session) = (b"an id that nobody sees", b"a secret that nobody sees");
    add(&*store, id, session).await.unwrap();
    let mut raw = raw(&server);
    let names: Vec<Vec<u8>> = raw.keys("*").unwrap();
    let [name] = &names[..] else { panic!("one name: {names:?}") };
    assert!(name.starts_with(b"session:") && name.len() == 8 + 32);
    let value: Vec<u8> = raw.get(name).unwrap();
    let shows = |bytes: &[u8]| bytes.windows(6).any(|part| part == b"nobody" || part == b"secret");
    assert!(!shows(name) && !shows(&value));
    assert!(!format!("{store:?}", store = RedisStore::open(settings(server.url()))).contains("000102"));
}

#[tokio::test]
async fn of_racing_takers_and_removers_one_wins() {
    let server = RedisServer::start();
    let (one, other) = (store(&server), store(&server));
    for number in 0..50_u8 {
        add(&*one, &[number], b"session").await.unwrap();
        let (first, second) = (one.clone(), other.clone());
        let first = tokio::spawn(async move { take(&first, &[number]).await });
        let second = tokio::spawn(async move { take(&second, &[number]).await });
        let won = [first.await.unwrap(), second.await.unwrap()];
        assert_eq!(won.iter().filter(|won| matches!(won, Ok(Some(_)))).count(), 1, "{won:?}");
        add(&*one, &[number], b"session").await.unwrap();
        let (first, second) = (one.remove(&[number]), other.remove(&[number]));
        let (first, second) = tokio::join!(first.wait(), second.wait());
        assert!(first.unwrap() ^ second.unwrap());
    }
}

#[tokio::test]
async fn what_others_wrote_or_moved_is_unreadable() {
    let server = RedisServer::start();
    let redis = RedisStore::open(settings(server.url())).expect("a store");
    let name = |id: &[u8]| redis.name(id);
    let (one, other, third) = (name(b"one"), name(b"other"), name(b"third"));
    let store: Arc<dyn SessionStore> = Arc::new(redis);
    add(&*store, b"one", b"session 1").await.unwrap();
    let mut raw = raw(&server);
    ::redis::cmd("COPY").arg(&one).arg(&other).exec(&mut raw).unwrap();
    assert_eq!(get(&store, b"other").await, Err(StoreError::Unreadable), "moved");
    raw.set::<_, _, ()>(&third, "not ours").unwrap();
    assert_eq!(get(&store, b"third").await, Err(StoreError::Unreadable));
    raw.del::<_, ()>(&third).unwrap();
    raw.lpush::<_, _, ()>(&third, "a list").unwrap();
    assert_eq!(take(&store, b"third").await, Err(StoreError::Unreadable));
    assert_eq!(get(&store, b"one").await, Ok(Some(b"session 1".to_vec())), "and none of it is an outage");
}

/// user-demand.md 4c 79: the key is rotated, and not all servers have heard of it.
#[tokio::test]
async fn servers_with_the_keys_of_two_steps_share_and_those_with_others_do_not() {
    let server = RedisServer::start();
    let with = |text: &str| -> Arc<dyn SessionStore> {
        let settings = RedisSettings { keys: keys(text).unwrap(), ..settings(server.url()) };
        Arc::new(RedisStore::open(settings).expect("a store"))
    };
    let behind = with(&format!("names {OLD}\n{OLD}\n{NEW}"));
    let ahead = with(&format!("names {OLD}\n{NEW}\n{OLD}"));
    add(&*behind, b"1", b"of the old key").await.unwrap();
    add(&*ahead, b"2", b"of the new key").await.unwrap();
    assert_eq!(get(&ahead, b"1").await, Ok(Some(b"of the old key".to_vec())));
    assert_eq!(take(&behind, b"2").await, Ok(Some(b"of the new key".to_vec())));
    assert_eq!(add(&*ahead, b"1", b"again").await, Ok(Added::Duplicate));
    assert_eq!(get(&with(&format!("names {OLD}\n{NEW}")), b"1").await, Err(StoreError::Unreadable));
    assert_eq!(get(&with(NEW), b"1").await, Ok(None), "another key, another name");
}

#[tokio::test]
async fn a_full_redis_has_no_room_and_is_not_down() {
    let server = RedisServer::start_with(&["--maxmemory", "1"]);
    let redis = Arc::new(RedisStore::open(settings(server.url())).expect("a store"));
    let store: Arc<dyn SessionStore> = redis.clone();
    for _ in 0..10 {
        assert_eq!(add(&*store, b"id", b"session").await, Ok(Added::NoRoom));
    }
    assert_eq!(get(&store, b"id").await, Ok(None));
    assert!(redis.breaker().is_closed());
}

#[test]
fn answers_can_be_waited_for_without_any_runtime() {
    let server = RedisServer::start();
    let redis = RedisStore::open(settings(server.url())).expect("a store");
    let Answer::Later(later) = redis.have(b"id") else { panic!("later") };
    let mut later = later;
    let waker = std::task::Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = std::task::Context::from_waker(&waker);
    let found = loop {
        match later.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(found) => break found,
            std::task::Poll::Pending => std::thread::park(),
        }
    };
    assert_eq!(found, Ok(false));
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A store that never was waited for can be dropped anywhere.
#[tokio::test]
async fn a_store_can_go_while_operations_are_under_way() {
    let server = RedisServer::start();
    let redis = RedisStore::open(settings(server.url())).expect("a store");
    let mut out = Session::default();
    let answer = redis.get(b"id", &mut out);
    drop(redis);
    let ended = answer.wait().await;
    assert!(matches!(ended, Ok(Fetched::Absent) | Err(StoreError::Unavailable)), "{ended:?}");
}
