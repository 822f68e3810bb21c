//! What a restart leaves: entries are cold then, and nobody may notice but by the disk's pace.

use super::*;
use crate::tests::origin::Reply;
use crate::{Outcome, PinRequest, Subject};

/// A bed whose store was closed and opened again after one object was stored.
async fn restarted(reply: Reply) -> (Bed, Full) {
    let mut bed = Bed::new();
    bed.origin.then(reply);
    let first = bed.get(get()).await;
    bed.quiet().await;
    bed.restart().await;
    (bed, first)
}

#[tokio::test]
async fn a_hit_after_a_restart_is_the_same_to_the_byte() {
    let reply = Reply::whole(&content(100_000))
        .etag("W/\"a\"")
        .field("date", "Tue, 14 Nov 2023 22:13:10 GMT")
        .field("last-modified", "sun, 12 nov 2023 08:11:02 gmt")
        .field("x-mine", "1")
        .field("x-mine", "2")
        .field("age", "30");
    let (bed, _) = restarted(reply).await;
    assert!(bed.cache.answer_now(&get()).is_none(), "it is cold");
    let hit = bed.get(get()).await;
    assert_eq!(hit.how(), ("hit", "fresh"));
    assert_eq!(hit.body(), content(100_000));
    let mine: Vec<_> = hit.headers.get_all("x-mine").iter().collect();
    assert_eq!(mine, ["1", "2"]);
    assert_eq!(hit.field("last-modified"), Some("sun, 12 nov 2023 08:11:02 gmt"));
    assert_eq!((hit.field("etag"), hit.field("age")), (Some("W/\"a\""), Some("30")));
    let digest = protocols::http::digest::header_value(Digest::of(&content(100_000)).as_bytes());
    assert_eq!(hit.headers.get("repr-digest"), Some(&digest));
    assert!(bed.cache.answer_now(&get()).is_some(), "it is warm");
    assert_eq!(bed.origin.count(), 1);
}

#[tokio::test]
async fn a_cold_object_is_confirmed_by_its_validator() {
    let (bed, _) = restarted(Reply::whole(b"x").etag("\"a\"")).await;
    bed.advance(2 * DAY);
    bed.origin.then(Reply::status(304).etag("\"a\""));
    assert_eq!(bed.get(get()).await.how(), ("revalidated", "expired"));
    assert_eq!(bed.origin.asked(1, "if-none-match").as_deref(), Some("\"a\""));
    bed.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_cold_object_stands_in_for_an_origin_that_is_down() {
    let (bed, _) = restarted(Reply::whole(b"x")).await;
    bed.advance(DAY + SECOND);
    bed.origin.always(|_| Reply::error(crate::Kind::OriginUnreachable));
    assert_eq!(bed.get(get()).await.how(), ("stale", "origin_down"));
    bed.quiet().await;
}

#[tokio::test]
async fn a_remembered_refusal_hides_no_cold_object_that_is_fresh_enough() {
    let (bed, _) = restarted(Reply::whole(b"x")).await;
    let gone = crate::Error::new(crate::Kind::OriginStatus(http::StatusCode::NOT_FOUND), "gone");
    let refusal = crate::Refusal::new(gone);
    bed.cache.inner.negatives.remember(get().target.key, &refusal, bed.cache.clock().now());
    let fresh = Request { max_age: Duration::ZERO, ..get() };
    let error = bed.cache.answer(fresh).await.err().expect("gone for who wants it fresh");
    assert_eq!(error.outcome, Outcome::Negative);

    let (bed, _) = restarted(Reply::whole(b"x")).await;
    bed.cache.inner.negatives.remember(get().target.key, &refusal, bed.cache.clock().now());
    assert_eq!(bed.get(get()).await.how(), ("hit", "fresh"));
    assert_eq!(bed.origin.count(), 1);
}

#[tokio::test]
async fn cold_objects_are_swept_and_deleted() {
    let (bed, _) = restarted(Reply::whole(b"x")).await;
    bed.advance(2 * DAY);
    assert_eq!(bed.cache.sweep(), 1);
    assert_eq!(bed.cache.reader().usage().entries, 0);

    let (bed, _) = restarted(Reply::whole(b"x")).await;
    assert!(bed.cache.delete(&get().target).await);
    assert!(!bed.cache.delete(&get().target).await);
}

#[tokio::test]
async fn pins_are_there_after_a_restart() {
    let mut bed = Bed::new();
    let subject = Subject::prefix("http://origin.example/").expect("a prefix");
    let pin = bed.cache.pin(PinRequest { subject, ttl: DAY, name: None }).await.expect("pinned");
    bed.restart().await;
    assert_eq!(bed.cache.pins(), []);
    bed.cache.restore_pins().await;
    assert_eq!(bed.cache.pins(), [pin]);
}
