//! Refusals of the origin: attempts, memory, bounds.

use http::StatusCode;
use tokio::time::Instant;

use super::*;
use crate::tests::origin::Reply;
use crate::{Kind, Outcome};

fn gone(status: u16) -> Kind {
    Kind::OriginStatus(StatusCode::from_u16(status).expect("a status"))
}

async fn refusal(bed: &Bed, request: Request) -> crate::Error {
    bed.cache.answer(request).await.err().expect("no object")
}

#[tokio::test]
async fn a_refusal_is_remembered_for_its_time_and_marked_as_remembered() {
    for (status, seconds) in [(404, 30), (410, 30), (403, 10), (204, 10), (301, 10)] {
        let bed = Bed::new();
        bed.origin.always(move |_| Reply::status(status));
        let first = refusal(&bed, get()).await;
        assert_eq!((first.kind, first.outcome), (gone(status), Outcome::Error));
        bed.advance(Duration::from_secs(seconds) - Duration::from_millis(1));
        let second = refusal(&bed, get()).await;
        assert_eq!((second.kind, second.outcome), (gone(status), Outcome::Negative));
        assert_eq!(bed.origin.count(), 1);
        bed.advance(Duration::from_millis(1));
        assert_eq!(refusal(&bed, get()).await.outcome, Outcome::Error);
        assert_eq!(bed.origin.count(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_for_a_failing_url_share_one_series_of_attempts() {
    let bed = Bed::new();
    bed.origin.always(|_| Reply::error(Kind::OriginUnreachable));
    let waiting: Vec<_> = (0..1000).map(|_| bed.spawn(get())).collect();
    for answer in waiting {
        let error = answer.await.expect("no panic").err().expect("no object");
        assert_eq!(error.kind, Kind::OriginUnreachable);
    }
    let attempts = bed.metric("standpipe_fill_retries_total") + 1;
    assert_eq!(bed.origin.count() as u64, attempts);
    assert!((5..100).contains(&attempts), "{attempts}");
    assert_eq!(bed.cache.stats().fills_started, 1);
}

#[tokio::test(start_paused = true)]
async fn attempts_end_in_time() {
    let bed = Bed::new();
    bed.origin.always(|_| Reply::error(Kind::OriginUnreachable));
    let started = Instant::now();
    refusal(&bed, get()).await;
    assert!(started.elapsed() <= Settings::default().retry_for);
}

// 4c 39
#[tokio::test(start_paused = true)]
async fn passing_statuses_are_tried_again_and_final_ones_are_not() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let bed = Bed::new();
        bed.origin.then(Reply::status(status));
        bed.origin.then(Reply::whole(b"x"));
        assert_eq!(bed.get(get()).await.body(), b"x", "{status}");
        bed.quiet().await;
        assert_eq!(bed.origin.count(), 2);
    }
    for status in [400, 401, 403, 404, 410, 416, 501] {
        let bed = Bed::new();
        bed.origin.then(Reply::status(status));
        assert_eq!(refusal(&bed, get()).await.kind, gone(status));
        assert_eq!(bed.origin.count(), 1);
    }
}

// 4c 39
#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_when_it_fits_and_else_reaches_the_client() {
    let bed = Bed::new();
    bed.origin.then(Reply::status(503).field("retry-after", "5"));
    bed.origin.then(Reply::whole(b"x"));
    let started = Instant::now();
    assert_eq!(bed.get(get()).await.body(), b"x");
    assert!(started.elapsed() >= Duration::from_secs(5));
    bed.quiet().await;

    let bed = Bed::new();
    bed.origin.then(Reply::status(503).field("retry-after", "60"));
    let started = Instant::now();
    let error = refusal(&bed, get()).await;
    assert_eq!((error.kind, error.retry_after), (gone(503), Some(Duration::from_secs(60))));
    assert!(started.elapsed() < SECOND);
    bed.advance(Duration::from_secs(4));
    let error = refusal(&bed, get()).await;
    assert_eq!((error.outcome, error.retry_after), (Outcome::Negative, Some(Duration::from_secs(56))));
    assert_eq!(bed.origin.count(), 1);
}

#[tokio::test]
async fn a_challenge_is_relayed() {
    let bed = Bed::new();
    bed.origin.then(Reply::status(401).field("www-authenticate", "Basic realm=\"x\""));
    let error = refusal(&bed, get()).await;
    assert_eq!(error.challenge.expect("a challenge"), "Basic realm=\"x\"");
}

// 4c 28, 37
#[tokio::test]
async fn unsolicited_304_and_206_are_broken_answers() {
    for status in [304, 206] {
        let bed = Bed::new();
        bed.origin.then(Reply::status(status).field("content-range", "bytes 0-0/1"));
        assert_eq!(refusal(&bed, get()).await.kind, Kind::OriginBroken, "{status}");
        assert_eq!(bed.origin.count(), 1);
    }
}

#[tokio::test]
async fn a_length_that_is_no_number_is_a_broken_answer() {
    let bed = Bed::new();
    bed.origin.then(Reply::chunked(b"x").field("content-length", "0x5"));
    assert_eq!(refusal(&bed, get()).await.kind, Kind::OriginBroken);
}

// repositories R09
#[tokio::test]
async fn only_so_many_refusals_are_remembered_and_the_oldest_goes_first() {
    let bed = Bed::with(Settings { negative_entries: 3, ..Settings::default() });
    bed.origin.always(|_| Reply::status(404));
    let url = |number: usize| get_url(&format!("http://origin.example/{number}"));
    for number in 0..5 {
        refusal(&bed, url(number)).await;
    }
    assert_eq!(bed.cache.stats().negatives, 3);
    assert_eq!(bed.metric("standpipe_negatives_dropped_total"), 2);
    assert_eq!(refusal(&bed, url(2)).await.outcome, Outcome::Negative);
    assert_eq!(refusal(&bed, url(4)).await.outcome, Outcome::Negative);
    assert_eq!(refusal(&bed, url(0)).await.outcome, Outcome::Error);
}

#[tokio::test]
async fn our_own_and_the_clients_faults_are_not_remembered() {
    for kind in [Kind::OriginForbidden, Kind::OriginQueueFull] {
        let bed = Bed::new();
        bed.origin.always(move |_| Reply::error(kind));
        refusal(&bed, get()).await;
        refusal(&bed, get()).await;
        assert_eq!(bed.origin.count(), 2, "{kind:?}");
    }
}

#[tokio::test]
async fn swept_refusals_are_forgotten() {
    let bed = Bed::new();
    bed.origin.always(|_| Reply::status(404));
    refusal(&bed, get()).await;
    bed.advance(Duration::from_secs(30));
    bed.cache.sweep();
    assert_eq!(bed.cache.stats().negatives, 0);
}
