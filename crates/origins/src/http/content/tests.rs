use std::convert::Infallible;

use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::time::sleep;

use super::*;

const LIMIT: Duration = Duration::from_secs(60);

/// Pieces of content, each so many seconds after the one before was taken.
fn slow(pauses: &'static [u64]) -> RequestBody {
    let frames = stream::unfold(pauses.iter(), |mut pauses| async {
        sleep(Duration::from_secs(*pauses.next()?)).await;
        Some((Ok::<_, Error>(Frame::data(Bytes::from_static(b"x"))), pauses))
    });
    Box::pin(StreamBody::new(frames))
}

/// How long an origin is waited for that takes all content at once and never answers.
async fn patience(source: Option<RequestBody>) -> u64 {
    let began = Instant::now();
    let (mut content, sending) = Content::new(source);
    let silence = async {
        while content.frame().await.is_some() {}
        std::future::pending::<Infallible>().await
    };
    assert!(sending.bounded(LIMIT, silence).await.is_none());
    began.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn the_clients_time_is_not_the_origins() {
    assert_eq!(patience(None).await, 60);
    assert_eq!(patience(Some(slow(&[]))).await, 60);
    assert_eq!(patience(Some(slow(&[1000, 1000]))).await, 2060);
    assert_eq!(patience(Some(slow(&[0, 59, 0, 59, 59]))).await, 59 * 3 + 60);
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_takes_nothing_is_not_waited_for() {
    let began = Instant::now();
    let (mut content, sending) = Content::new(Some(slow(&[0, 0, 0])));
    let stalls = async {
        content.frame().await.expect("a frame").expect("data");
        sleep(LIMIT / 2).await;
        content.frame().await.expect("a frame").expect("data");
        std::future::pending::<Infallible>().await
    };
    assert!(sending.bounded(LIMIT, stalls).await.is_none());
    assert_eq!(began.elapsed(), LIMIT / 2 + LIMIT);
}

#[tokio::test]
async fn an_answer_ends_the_wait() {
    let (_content, sending) = Content::new(Some(slow(&[])));
    assert_eq!(sending.bounded(LIMIT, std::future::ready(1)).await, Some(1));
}

#[tokio::test]
async fn a_length_counts_down_and_must_be_met() {
    let source = http_body_util::Full::new(Bytes::from_static(b"abc")).map_err(|never| match never {});
    let (mut content, sending) = Content::new(Some(Box::pin(source)));
    assert_eq!((content.length(), content.is_none(), content.is_end_stream()), (Some(3), false, false));
    content.frame().await.expect("a frame").expect("data");
    assert!(content.is_end_stream() && content.frame().await.is_none());
    assert!(sending.failure().is_none());

    let none = Content::none();
    assert_eq!((none.length(), none.is_none(), none.is_end_stream()), (None, true, true));
    assert_eq!(none.size_hint().exact(), Some(0));
}
