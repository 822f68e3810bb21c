//! That silent peers are cut, and only they.

use testkit::client::Client;
use tokio::io::AsyncWriteExt;
use tokio::time::{advance, pause};

use super::super::patience::Patience;
use super::*;

const SHORT: Duration = Duration::from_millis(40);

fn poll(patience: &mut Patience, limit: Duration) -> Poll<()> {
    patience.poll_lost(limit, &mut Context::from_waker(std::task::Waker::noop()))
}

#[tokio::test]
async fn patience_ends_a_limit_after_the_last_progress() {
    pause();
    let limit = Duration::from_secs(60);
    let mut patience = Patience::default();
    assert!(poll(&mut patience, limit).is_pending());
    advance(Duration::from_secs(59)).await;
    assert!(poll(&mut patience, limit).is_pending());
    patience.renew();
    assert!(!patience.is_waiting());
    assert!(poll(&mut patience, limit).is_pending());
    advance(Duration::from_secs(59)).await;
    assert!(poll(&mut patience, limit).is_pending(), "the timer fired for the first wait, not for this one");
    advance(Duration::from_secs(2)).await;
    assert!(poll(&mut patience, limit).is_ready());
}

#[tokio::test]
async fn patience_can_become_shorter() {
    pause();
    let mut patience = Patience::default();
    assert!(poll(&mut patience, Duration::from_secs(75)).is_pending());
    patience.renew();
    assert!(poll(&mut patience, Duration::from_secs(30)).is_pending());
    advance(Duration::from_secs(31)).await;
    assert!(poll(&mut patience, Duration::from_secs(30)).is_ready());
}

fn limits(change: impl Fn(&mut Limits)) -> Setup {
    let mut setup = Setup::default();
    change(&mut setup.limits);
    setup
}

// 4c 12
#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut() {
    let stored = Stored::new(4 << 20);
    let (log, lines) = log();
    let mut setup = limits(|limits| limits.write = SHORT);
    (setup.log, setup.send_buffer) = (log, Some(65_536));
    let server = Server::start(setup, move |_| stored.body(1 << 20)).await;
    let mut client = Client::connect(server.address).await;
    client.start("GET", "/", &[]).await;
    let head = client.head("GET").await;
    assert_eq!(next(&lines).await["ending"], "broken");
    assert!(server.metrics().contains("standpipe_write_stalls_total 1"));
    assert_ne!(client.body(&head, |_| {}).await, testkit::client::Ending::Complete);
}

// 4c 12
#[tokio::test]
async fn a_head_that_comes_a_byte_at_a_time_is_cut() {
    let server = Server::start(limits(|limits| limits.head = SHORT), |_| Body::text("ok")).await;
    let mut client = Client::connect(server.address).await;
    client.request("GET", "/", &[]).await.expect_body(200, "ok");
    client.send("GET / HTTP/1.1\r\nX: ").await;
    let trickle = async {
        while client.stream().write_all(b"a").await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    testkit::guarded("the cut", trickle).await;
    assert!(server.metrics().contains("standpipe_read_timeouts_total 1"), "each byte stretched the time");
}

#[tokio::test]
async fn a_connection_that_never_asks_and_one_that_stops_asking_are_closed() {
    let setup = limits(|limits| {
        limits.head = SHORT;
        limits.idle = SHORT;
    });
    let server = Server::start(setup, |_| Body::text("ok")).await;
    assert!(Client::connect(server.address).await.is_closed().await);
    let mut client = Client::connect(server.address).await;
    client.request("GET", "/", &[]).await.expect(200);
    assert!(client.is_closed().await);
    assert!(server.metrics().contains("standpipe_read_timeouts_total 2"));
}

#[tokio::test]
async fn a_request_in_hand_keeps_the_connection_however_long_it_takes() {
    let setup = limits(|limits| {
        limits.head = SHORT;
        limits.idle = SHORT;
    });
    let (go_on, told) = oneshot::channel();
    let steps = VecDeque::from([Step::Wait(told), Step::Give(Stored::new(10).piece(0, 10))]);
    let made = parking_lot::Mutex::new(Some(Body::Made(Made { length: Some(10), steps })));
    let server = Server::start(setup, move |_| made.lock().take().expect("one request")).await;
    let mut patient = Client::connect(server.address).await;
    patient.start("GET", "/", &[]).await;
    // Three others come and are closed one after another: three times the limit has passed.
    for _ in 0..3 {
        assert!(Client::connect(server.address).await.is_closed().await);
    }
    go_on.send(()).expect("the body waits");
    patient.response("GET").await.expect_body(200, memory_bytes(10));
}
