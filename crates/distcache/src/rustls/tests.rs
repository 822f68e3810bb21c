mod handshakes;

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::clock::ManualClock;
use crate::store::{Fetched, MemoryStore};

/// Patient: no test here is about how fast this machine is today.
fn settings() -> SharedSettings {
    let patience = Duration::from_secs(60);
    SharedSettings { wait: patience, share: 1000 * patience, ..SharedSettings::new("test") }
}

fn sessions(shared: &Arc<Scripted>, settings: &SharedSettings) -> (SharedSessions, ManualClock) {
    let clock = ManualClock::default();
    let shared: Arc<dyn SessionStore> = Arc::clone(shared) as _;
    (SharedSessions::with_clock(shared, settings, Arc::new(clock.clone())).expect("a thread"), clock)
}

/// Puts a session and waits until it is where it belongs.
fn put(sessions: &SharedSessions, key: &[u8], value: &[u8]) {
    assert!(sessions.put(key.to_vec(), value.to_vec()));
    while sessions.places.available_permits() < settings().uploads {
        std::thread::yield_now();
    }
}

/// How a store answers.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    AtOnce,
    Later,
    Never,
    Fails(StoreError),
    /// Does what it is asked, and its answer is lost.
    Mumbles,
}

struct Scripted {
    memory: MemoryStore,
    mood: parking_lot::Mutex<Mood>,
    asked: AtomicUsize,
}

impl Scripted {
    fn new(mood: Mood) -> Arc<Self> {
        let memory = MemoryStore::new(&MemorySettings::default());
        Arc::new(Self { memory, mood: parking_lot::Mutex::new(mood), asked: AtomicUsize::new(0) })
    }

    fn answer<T: Send + 'static>(
        &self,
        act: impl FnOnce(&MemoryStore) -> Result<T, StoreError>,
    ) -> Answer<Result<T, StoreError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mood = *self.mood.lock();
        match mood {
            Mood::Fails(error) => Answer::Later(Box::pin(async move { Err(error) })),
            Mood::Never => Answer::Later(Box::pin(std::future::pending())),
            Mood::AtOnce => Answer::Ready(act(&self.memory)),
            Mood::Later => {
                let done = act(&self.memory);
                Answer::Later(Box::pin(async {
                    tokio::task::yield_now().await;
                    done
                }))
            }
            Mood::Mumbles => {
                let _ = act(&self.memory);
                Answer::Later(Box::pin(async { Err(StoreError::Timeout) }))
            }
        }
    }
}

fn at_once<T>(answer: Answer<T>) -> T {
    let Answer::Ready(value) = answer else { panic!("memory answers at once") };
    value
}

fn whole(fetched: Fetched, out: Session) -> Fetched {
    fetched.into_session(out).map_or(Fetched::Absent, Fetched::Session)
}

impl SessionStore for Scripted {
    fn add(&self, id: &[u8], session: &[u8], timeout_ms: u32) -> Answer<Result<Added, StoreError>> {
        self.answer(|memory| at_once(memory.add(id, session, timeout_ms)))
    }

    fn get(&self, id: &[u8], _: &mut Vec<u8>) -> Answer<FetchResult> {
        self.answer(|memory| {
            let mut out = Session::default();
            Ok(whole(at_once(memory.get(id, &mut out))?, out))
        })
    }

    fn take(&self, id: &[u8], _: &mut Vec<u8>) -> Answer<FetchResult> {
        self.answer(|memory| {
            let mut out = Session::default();
            Ok(whole(at_once(memory.take(id, &mut out))?, out))
        })
    }

    fn remove(&self, id: &[u8]) -> Answer<Result<bool, StoreError>> {
        self.answer(|memory| at_once(memory.remove(id)))
    }

    fn have(&self, id: &[u8]) -> Answer<Result<bool, StoreError>> {
        self.answer(|memory| at_once(memory.have(id)))
    }

    fn len(&self) -> Answer<Result<u64, StoreError>> {
        self.answer(|memory| at_once(memory.len()))
    }
}

#[test]
fn what_one_puts_another_gets_and_takes_once() {
    for mood in [Mood::AtOnce, Mood::Later] {
        let shared = Scripted::new(mood);
        let ((one, _), (other, _)) = (sessions(&shared, &settings()), sessions(&shared, &settings()));
        put(&one, b"key", b"value");
        assert_eq!(other.get(b"key").as_deref(), Some(&b"value"[..]));
        assert_eq!(other.take(b"key").as_deref(), Some(&b"value"[..]));
        assert_eq!((one.take(b"key"), other.take(b"key")), (None, None));
    }
}

#[test]
fn a_copy_in_memory_serves_get_without_the_store_and_take_never() {
    let shared = Scripted::new(Mood::Later);
    let ((one, _), (other, _)) = (sessions(&shared, &settings()), sessions(&shared, &settings()));
    put(&one, b"key", b"value");
    let asked = shared.asked.load(Ordering::SeqCst);
    assert!(one.get(b"key").is_some() && one.get(b"key").is_some());
    assert_eq!(shared.asked.load(Ordering::SeqCst), asked);
    assert!(other.take(b"key").is_some());
    assert_eq!(one.take(b"key"), None, "the copy is not a session");
    assert_eq!(one.get(b"key"), None, "and it went with the attempt");
}

#[test]
fn while_the_store_is_down_sessions_stay_here_and_are_still_used_once() {
    let shared = Scripted::new(Mood::Fails(StoreError::Unavailable));
    let (one, clock) = sessions(&shared, &settings());
    for key in 0..10 {
        put(&one, &[key], b"value");
    }
    assert_eq!(one.metrics().kept_local.get(), 10);
    assert!(!one.breaker().is_closed());
    assert_eq!(shared.asked.load(Ordering::SeqCst), 5, "the breaker opened");
    for key in 0..10 {
        assert_eq!(one.get(&[key]).as_deref(), Some(&b"value"[..]));
        assert_eq!(one.take(&[key]).as_deref(), Some(&b"value"[..]));
        assert_eq!(one.take(&[key]), None);
    }
    *shared.mood.lock() = Mood::Later;
    clock.advance(Duration::from_secs(1));
    put(&one, b"key", b"value");
    assert!(one.breaker().is_closed());
    assert_eq!(sessions(&shared, &settings()).0.take(b"key").as_deref(), Some(&b"value"[..]));
}

#[test]
fn what_may_or_may_not_have_arrived_is_not_kept_beside_it() {
    let shared = Scripted::new(Mood::Mumbles);
    let (one, _) = sessions(&shared, &settings());
    put(&one, b"key", b"value");
    assert_eq!(one.metrics().lost.get(), 1);
    *shared.mood.lock() = Mood::AtOnce;
    let other = sessions(&shared, &settings()).0;
    let taken = [one.take(b"key"), other.take(b"key")];
    assert_eq!(taken.iter().flatten().count(), 1);
}

#[test]
fn a_store_that_does_not_answer_costs_the_wait_and_then_nothing() {
    let shared = Scripted::new(Mood::Never);
    let settings = SharedSettings { wait: Duration::from_millis(1), ..settings() };
    let (one, _) = sessions(&shared, &settings);
    for _ in 0..5 {
        assert_eq!(one.take(b"key"), None);
    }
    assert_eq!((one.metrics().late.get(), shared.asked.load(Ordering::SeqCst)), (5, 5));
    for _ in 0..1000 {
        assert_eq!(one.get(b"key"), None);
    }
    assert_eq!(one.metrics().refused_breaker.get(), 1000);
    assert_eq!(shared.asked.load(Ordering::SeqCst), 5);
}

/// user-demand.md 4c 78: guessing, with as many tickets in a ClientHello as fit.
#[test]
fn a_thread_that_waited_its_share_waits_no_more() {
    let shared = Scripted::new(Mood::Never);
    let (wait, breaker) =
        (Duration::from_millis(5), BreakerSettings { failures: 1000, ..Default::default() });
    let share = Duration::from_secs(3600);
    let (one, _) = sessions(&shared, &SharedSettings { wait, share, breaker, ..settings() });
    // As if the window had just begun and an hour of it were spent.
    one.budget.spend(Instant::now(), share);
    for _ in 0..1000 {
        assert_eq!(one.take(b"key"), None);
    }
    assert!(one.metrics().refused_share.get() >= 1, "until the window is over");
    assert_eq!(one.metrics().refused_share.get() + one.metrics().late.get(), 1000);
}

#[test]
fn only_so_many_sessions_are_on_their_way() {
    let shared = Scripted::new(Mood::Never);
    let (one, _) = sessions(&shared, &SharedSettings { uploads: 2, ..settings() });
    for key in 0..3 {
        assert!(one.put(vec![key], b"value".to_vec()));
    }
    assert_eq!(one.metrics().kept_local.get(), 1);
    assert_eq!(one.take(&[2]).as_deref(), Some(&b"value"[..]), "the third stayed here");
}

#[test]
fn realms_do_not_see_each_other() {
    let shared = Scripted::new(Mood::AtOnce);
    let (one, _) = sessions(&shared, &settings());
    let (other, _) =
        sessions(&shared, &SharedSettings { realm: "with client certificates".into(), ..settings() });
    put(&one, b"key", b"value");
    assert_eq!((other.get(b"key"), other.take(b"key")), (None, None));
    assert!(one.take(b"key").is_some());
}

/// user-demand.md 4c 75, as far as it applies here.
#[test]
fn keys_and_values_that_rustls_never_makes_are_not_taken() {
    let shared = Scripted::new(Mood::AtOnce);
    let (one, _) = sessions(&shared, &settings());
    assert!(!one.put(Vec::new(), b"value".to_vec()));
    assert!(!one.put(vec![0; 33], b"value".to_vec()));
    assert!(!one.put(vec![0; 32], Vec::new()));
    assert!(!one.put(vec![0; 32], vec![0; ID_AND_SESSION]));
    assert_eq!((one.get(&[]), one.take(&[0; 33])), (None, None));
    assert_eq!(shared.asked.load(Ordering::SeqCst), 0);
    put(&one, &[0; 32], &vec![0; ID_AND_SESSION - 48]);
    assert!(one.take(&[0; 32]).is_some());
}

#[test]
fn nothing_secret_is_printed() {
    let (one, _) = sessions(&Scripted::new(Mood::AtOnce), &settings());
    put(&one, b"a key", b"a value");
    let text = format!("{one:?}");
    assert!(!text.contains("value\"") && !text.contains("97, 32"), "{text}");
}

/// The executor's only thread is the one that waits.
#[tokio::test(flavor = "current_thread")]
async fn a_blocked_executor_does_not_keep_the_answer_from_coming() {
    let shared = Scripted::new(Mood::Later);
    let ((one, _), (other, _)) = (sessions(&shared, &settings()), sessions(&shared, &settings()));
    put(&one, b"key", b"value");
    assert_eq!(other.take(b"key").as_deref(), Some(&b"value"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_makes_sessions_shared_of_what_a_configuration_names() {
    use crate::net::{ListenSettings, Listener};
    use crate::{Server, ServerSettings};

    let directory = tempfile::tempdir().expect("a directory");
    let address = Address::Unix(directory.path().join("s"));
    let listener = Listener::bind(&address, &ListenSettings::default()).expect("bound");
    let server = Server::new(Scripted::new(Mood::AtOnce), ServerSettings::default());
    tokio::spawn(async move { server.serve(listener).await });
    let open = move || {
        let mut remote = RemoteSettings::default();
        remote.client.timeout = Duration::from_secs(60);
        SharedSessions::open(Through::Server(address.clone(), remote), &settings()).expect("a thread")
    };
    let shared = tokio::task::spawn_blocking(move || {
        let [one, two] = [open(), open()];
        put(&one, b"key", b"value");
        [two.take(b"key"), two.take(b"key"), one.take(b"key")]
    });
    assert_eq!(shared.await.expect("no panic"), [Some(b"value".to_vec()), None, None]);
    let without_host: Address = "IP:9001".parse().expect("an address");
    let refused = SharedSessions::open(without_host, &settings()).expect_err("nothing to connect to");
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
}

#[cfg(feature = "redis")]
#[test]
fn settings_of_a_redis_that_can_never_work_are_refused_in_the_one_call() {
    use crate::store::{Keys, redis::RedisSettings};

    let redis = |url: &str| RedisSettings::new(url, Keys::parse(&[7; 32]).expect("a key"));
    let refused = SharedSessions::open(redis("http://localhost"), &settings()).expect_err("no such store");
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    assert!(SharedSessions::open(redis("redis+unix:///none"), &settings()).is_ok());
}
