use futures_util::stream;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use prometheus_client::registry::Registry;
use tokio::time::sleep;

use super::*;
use crate::http::limits::Limits;

const IDLE: Duration = Duration::from_secs(60);

/// Frames of (seconds before it, bytes); a body that is there at once has zeros.
async fn body(
    frames: Vec<(u64, Result<usize, std::io::Error>)>,
) -> (impl Body<Data = Bytes, Error = Error> + Unpin, Arc<Metrics>) {
    let metrics = Metrics::register(&mut Registry::default());
    let settings = Arc::new(Settings { idle_timeout: IDLE, min_progress: 1024, ..Settings::default() });
    let endpoint = Endpoint::new("files.example", 80);
    let permit =
        Limits::new(Arc::clone(&settings), Arc::clone(&metrics)).acquire(&endpoint).await.expect("a place");
    let frames = stream::unfold(frames.into_iter(), |mut frames| async {
        let (pause, frame) = frames.next()?;
        if pause > 0 {
            sleep(Duration::from_secs(pause)).await;
        }
        Some((frame.map(|length| Frame::data(Bytes::from(vec![0; length]))), frames))
    });
    let inner = StreamBody::new(Box::pin(frames));
    let held = Held::new(permit, Sending::default());
    (ExchangeBody::new(inner, Version::HTTP_11, &settings, endpoint, Arc::clone(&metrics), held), metrics)
}

async fn outcome(frames: Vec<(u64, Result<usize, std::io::Error>)>) -> (Result<usize, Kind>, Duration) {
    let began = Instant::now();
    let (body, metrics) = body(frames).await;
    assert_eq!(metrics.exchanges.get(), 1);
    let result = body.collect().await.map(|body| body.to_bytes().len()).map_err(|error| error.kind);
    assert_eq!(metrics.exchanges.get(), 0);
    (result, began.elapsed())
}

// 33
#[tokio::test(start_paused = true)]
async fn a_stall_ends_after_the_idle_time_exactly() {
    let (result, took) = outcome(vec![(0, Ok(5000)), (10, Ok(5000)), (1000, Ok(1))]).await;
    assert_eq!(result, Err(Kind::OriginTimeout));
    assert_eq!(took.as_secs(), 70);
}

// 34
#[tokio::test(start_paused = true)]
async fn dripping_is_a_stall() {
    let (result, took) = outcome((0..1000).map(|_| (1, Ok(1))).collect()).await;
    assert_eq!(result, Err(Kind::OriginTimeout));
    assert_eq!(took.as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn slow_but_sufficient_is_whole() {
    let (result, took) = outcome((0..20).map(|_| (59, Ok(1024))).collect()).await;
    assert_eq!(result, Ok(20 * 1024));
    assert_eq!(took.as_secs(), 20 * 59);
}

#[tokio::test(start_paused = true)]
async fn the_readers_own_pauses_do_not_count() {
    let (mut body, _metrics) = body((0..50).map(|_| (1, Ok(1))).collect()).await;
    for _ in 0..50 {
        body.frame().await.expect("a frame").expect("data");
        sleep(Duration::from_secs(100)).await;
    }
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_broken_body_says_so_once_and_gives_its_place_back() {
    let (mut body, metrics) =
        body(vec![(0, Ok(3)), (0, Err(std::io::Error::other("reset"))), (0, Ok(3))]).await;
    assert!(body.frame().await.is_some_and(|frame| frame.is_ok()));
    assert_eq!(metrics.exchanges.get(), 1);
    let error = body.frame().await.expect("a frame").expect_err("broken");
    assert_eq!(error.kind, Kind::OriginBroken);
    assert_eq!(&*error.detail, "the body from files.example:80 broke off: reset");
    assert_eq!(metrics.exchanges.get(), 0);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_body_without_bytes_holds_no_place() {
    let metrics = Metrics::register(&mut Registry::default());
    let settings = Arc::new(Settings::default());
    let endpoint = Endpoint::new("files.example", 80);
    let permit =
        Limits::new(Arc::clone(&settings), Arc::clone(&metrics)).acquire(&endpoint).await.expect("a place");
    let held = Held::new(permit, Sending::default());
    let body =
        ExchangeBody::new(Empty::new(), Version::HTTP_11, &settings, endpoint, Arc::clone(&metrics), held);
    assert!(body.is_end_stream());
    assert_eq!(metrics.exchanges.get(), 0);
}

#[tokio::test]
async fn dropping_gives_the_place_back() {
    let (body, metrics) = body(vec![(0, Ok(3))]).await;
    drop(body);
    assert_eq!(metrics.exchanges.get(), 0);
}
