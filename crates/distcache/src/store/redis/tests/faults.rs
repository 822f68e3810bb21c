//! A Redis that is not there, dies, comes back, or sleeps: misses with a status, and never a hang.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::Signal;
use tokio::time::timeout;

use super::*;
use crate::net::{ListenSettings, Listener};
use crate::{Address, Server, ServerSettings, Status};

/// Longer than everything here may take, on whatever machine.
const HANG: Duration = Duration::from_secs(120);

fn with_clock(settings: RedisSettings) -> (Arc<RedisStore>, Arc<dyn SessionStore>, ManualClock) {
    let clock = ManualClock::default();
    let redis = RedisStore::with_clock(settings, Arc::new(clock.clone())).expect("a store");
    let redis = Arc::new(redis);
    (redis.clone(), redis, clock)
}

/// Lets the breaker try again until something comes of it.
async fn recovered(store: &Arc<dyn SessionStore>, clock: &ManualClock) {
    let answered = async {
        while store.have(b"id").wait().await.is_err() {
            clock.advance(Duration::from_secs(60));
            tokio::task::yield_now().await;
        }
    };
    timeout(HANG, answered).await.expect("it comes back");
}

#[tokio::test]
async fn one_that_is_down_from_the_start_is_given_up_and_used_once_it_is_there() {
    let mut server = RedisServer::down(&[]);
    let (redis, store, clock) = with_clock(RedisSettings { timeout: 10 * HANG, ..settings(server.url()) });
    for _ in 0..5 {
        let answer = timeout(HANG, add(&*store, b"id", b"session")).await;
        assert_eq!(answer.expect("nobody waits for more than an attempt"), Err(StoreError::Unavailable));
    }
    assert!(!redis.breaker().is_closed());
    assert!(matches!(store.have(b"id"), Answer::Ready(Err(StoreError::Unavailable))), "not even tried");
    assert!(redis.problem().is_some_and(|problem| problem.contains("No such file")), "{:?}", redis.problem());
    let failures = redis.metrics().connect_failures.get();
    assert!((1..=6).contains(&failures), "one at the start, and one an operation at most: {failures}");
    server.restart();
    recovered(&store, &clock).await;
    assert_eq!(add(&*store, b"id", b"session").await, Ok(Added::Stored));
    assert_eq!(redis.problem(), None);
    assert_eq!(redis.metrics().connected.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_restarted_under_load_it_answers_everyone_and_recovers() {
    let mut server = RedisServer::start();
    let (redis, store, clock) = with_clock(settings(server.url()));
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let load: Vec<_> = (0..16_u8)
        .map(|client| {
            let (store, stop, done) = (Arc::clone(&store), Arc::clone(&stop), Arc::clone(&done));
            tokio::spawn(async move {
                let (mut number, mut found) = (0_u64, 0_u64);
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    let id = [&[client][..], &number.to_be_bytes()].concat();
                    if add(&*store, &id, &id).await == Ok(Added::Stored)
                        && let Ok(Some(session)) = take(&store, &id).await
                    {
                        assert_eq!(session, id, "never somebody else's");
                        found += 1;
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
                found
            })
        })
        .collect();
    let progress = async |by: u64| {
        let target = done.load(Ordering::Relaxed) + by;
        while done.load(Ordering::Relaxed) < target {
            tokio::task::yield_now().await;
        }
    };
    for _ in 0..3 {
        timeout(HANG, progress(200)).await.expect("work is done");
        server.kill();
        timeout(HANG, progress(200)).await.expect("everyone is answered");
        assert!(!redis.breaker().is_closed());
        server.restart();
        recovered(&store, &clock).await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in load {
        assert!(timeout(HANG, client).await.expect("it ends").expect("no panic") > 0);
    }
    let metrics = redis.metrics();
    assert!(metrics.connects.get() >= 4 && metrics.in_flight.get() == 0);
    assert!(metrics.unanswered.get() + metrics.failed.get() > 0);
    assert_eq!(metrics.unreadable.get(), 0);
}

#[tokio::test]
async fn one_that_sleeps_is_an_answer_in_time_and_its_connection_is_given_up() {
    let server = RedisServer::start();
    let short = Duration::from_millis(20);
    let (redis, store, clock) = with_clock(RedisSettings { timeout: short, ..settings(server.url()) });
    recovered(&store, &clock).await;
    server.signal(Signal::STOP);
    let answers = async {
        while redis.breaker().is_closed() {
            let answer = add(&*store, b"id", b"session").await;
            assert!(matches!(answer, Err(StoreError::Timeout | StoreError::Unavailable)), "{answer:?}");
        }
    };
    timeout(HANG, answers).await.expect("never a hang");
    assert!(redis.metrics().unanswered.get() >= 1);
    assert_eq!(redis.metrics().connected.get(), 0);
    server.signal(Signal::CONT);
    recovered(&store, &clock).await;
    redis.link.doubt(1, false);
    assert_eq!(redis.metrics().connected.get(), 1, "a late doubt is about the connection before");
}

#[tokio::test]
async fn so_many_operations_at_once_and_no_more() {
    let server = RedisServer::start();
    let (redis, store, clock) = with_clock(RedisSettings { in_flight: 2, ..settings(server.url()) });
    recovered(&store, &clock).await;
    server.signal(Signal::STOP);
    let (one, two) = (store.have(b"1"), store.have(b"2"));
    assert!(matches!(store.have(b"3"), Answer::Ready(Err(StoreError::Unavailable))));
    assert_eq!(redis.metrics().refused_full.get(), 1);
    server.signal(Signal::CONT);
    assert_eq!((one.wait().await, two.wait().await), (Ok(false), Ok(false)));
    assert_eq!(store.have(b"3").wait().await, Ok(false));
}

#[tokio::test]
async fn a_wrong_password_is_a_problem_that_does_not_show_it() {
    let server = RedisServer::start_with(&["--requirepass", "right"]);
    let (redis, store, _) = with_clock(settings(&format!("{}?pass=wrong-one", server.url())));
    assert_eq!(add(&*store, b"id", b"session").await, Err(StoreError::Unavailable));
    let problem = redis.problem().expect("told");
    assert!(problem.contains("password") && !problem.contains("wrong-one"), "{problem}");
    let (_, store, _) = with_clock(settings(&format!("{}?pass=right", server.url())));
    assert_eq!(add(&*store, b"id", b"session").await, Ok(Added::Stored));
}

#[tokio::test]
async fn a_session_server_says_disconnected_while_its_redis_is_gone() {
    let mut redis = RedisServer::start();
    let (_, store, _) = with_clock(settings(redis.url()));
    let directory = tempfile::tempdir().unwrap();
    let address: Address = format!("UNIX:{}/s", directory.path().display()).parse().unwrap();
    let listener = Listener::bind(&address, &ListenSettings::default()).unwrap();
    let server = Server::new(store, ServerSettings::default());
    let serving = server.clone();
    tokio::spawn(async move { serving.serve(listener).await });

    let settings = crate::client::ClientSettings { timeout: HANG, ..Default::default() };
    let mut client = crate::client::AsyncClient::new(address, settings).await.unwrap();
    assert_eq!(client.add(b"id", b"session", 60_000).await.unwrap(), Status::Ok);
    assert_eq!(client.add(b"id", b"session", 60_000).await.unwrap(), Status::Duplicate);
    assert_eq!(client.get(b"id").await.unwrap().unwrap().as_slice(), b"session");
    redis.kill();
    for _ in 0..10 {
        assert_eq!(client.have(b"id").await.unwrap(), Status::Disconnected);
        assert!(client.get(b"id").await.unwrap().is_none());
        assert_eq!(client.add(b"id", b"session", 60_000).await.unwrap(), Status::Disconnected);
        assert_eq!(client.remove(b"id").await.unwrap(), Status::Disconnected);
    }
}
