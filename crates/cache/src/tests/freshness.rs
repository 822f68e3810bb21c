//! `ttl`, revalidation, stale answers, age, and how long objects are kept.

use http::StatusCode;

use super::*;
use crate::tests::origin::Reply;
use crate::{Kind, Outcome};

/// A bed with one stored object of this tag.
async fn stored(tag: &str) -> Bed {
    let bed = Bed::new();
    let reply = Reply::whole(b"old").field("last-modified", "Mon, 13 Nov 2023 00:00:00 GMT");
    bed.origin.then(if tag.is_empty() { reply } else { reply.etag(tag) });
    bed.get(ttl(DAY)).await;
    bed.quiet().await;
    bed
}

#[tokio::test]
async fn ttl_says_how_old_a_copy_this_request_accepts() {
    let bed = stored("\"a\"").await;
    bed.advance(10 * SECOND);
    let hit = bed.cache.answer_now(&ttl(11 * SECOND)).expect("younger than 11 s");
    assert_eq!((hit.outcome, hit.ttl_seconds), (Outcome::Hit, 1));
    assert!(bed.cache.answer_now(&ttl(10 * SECOND)).is_none(), "not younger than 10 s");
    assert!(bed.cache.answer_now(&ttl(DAY)).is_some(), "a short ttl of one user does not shorten another's");
}

#[tokio::test]
async fn after_its_ttl_an_object_is_revalidated_with_both_validators_and_its_head_merged() {
    let bed = stored("\"a\"").await;
    bed.advance(2 * SECOND);
    let confirmation = Reply::status(304).etag("\"a\"").field("x-new", "1").field("content-length", "99");
    bed.origin.then(confirmation.field("content-encoding", "gzip").field("set-cookie", "a=b"));
    let full = bed.get(ttl(SECOND)).await;
    assert_eq!((full.body(), full.how()), (&b"old"[..], ("revalidated", "expired")));
    assert_eq!(bed.origin.asked(1, "if-none-match").as_deref(), Some("\"a\""));
    assert_eq!(bed.origin.asked(1, "if-modified-since").as_deref(), Some("Mon, 13 Nov 2023 00:00:00 GMT"));
    assert_eq!((full.field("x-new"), full.field("etag")), (Some("1"), Some("\"a\"")));
    assert_eq!((full.field("age"), full.length), (Some("0"), Some(3)));
    // 4c 36, 37: what belongs to the bytes stays as it was.
    assert_eq!((full.field("content-encoding"), full.field("set-cookie")), (None, None));
    assert!(bed.cache.answer_now(&ttl(SECOND)).is_some(), "it is fresh again");
    assert_eq!(bed.metric("standpipe_fills_total{result=\"revalidated\"}"), 1);
}

#[tokio::test]
async fn revalidation_is_collapsed() {
    let bed = stored("\"a\"").await;
    bed.advance(2 * SECOND);
    let (reply, open) = Reply::status(304).gated();
    bed.origin.then(reply);
    let waiting: Vec<_> = (0..30).map(|_| bed.spawn(ttl(SECOND))).collect();
    settle().await;
    drop(open);
    for answer in waiting {
        let full = Full::of(answer.await.expect("no panic").expect("an answer")).await;
        assert_eq!((full.body(), full.how()), (&b"old"[..], ("revalidated", "expired")));
    }
    assert_eq!(bed.origin.count(), 2);
}

#[tokio::test]
async fn a_changed_object_takes_the_place_of_the_old_one_while_readers_keep_theirs() {
    let bed = stored("\"a\"").await;
    let mut reading = bed.cache.answer_now(&get()).expect("a stored object");
    bed.advance(2 * SECOND);
    bed.origin.then(Reply::whole(b"new").etag("\"b\""));
    let full = bed.get(ttl(SECOND)).await;
    assert_eq!((full.body(), full.how()), (&b"new"[..], ("miss", "expired")));
    assert_eq!(collect(&mut reading.payload).await.expect("the end"), b"old");
    assert_eq!(bed.get(get()).await.body(), b"new");
    bed.quiet().await;
}

#[tokio::test]
async fn without_a_validator_the_whole_object_is_asked_for() {
    let bed = Bed::new();
    bed.origin.then(Reply::whole(b"old"));
    bed.origin.then(Reply::whole(b"new"));
    bed.get(get()).await;
    bed.quiet().await;
    bed.advance(2 * SECOND);
    assert_eq!(bed.get(ttl(SECOND)).await.body(), b"new");
    assert_eq!(bed.origin.asked(1, "if-none-match"), None);
    bed.quiet().await;
}

// 4c 37
#[tokio::test]
async fn a_304_about_another_object_is_no_confirmation() {
    for (tag, answered) in [("\"a\"", "\"b\""), ("", "\"b\""), ("W/\"a\"", "\"a\"")] {
        let bed = stored(tag).await;
        bed.advance(2 * SECOND);
        bed.origin.then(Reply::status(304).etag(answered));
        bed.origin.then(Reply::whole(b"new"));
        assert_eq!(bed.get(ttl(SECOND)).await.body(), b"new", "{tag} {answered}");
        assert_eq!(bed.origin.asked(2, "if-none-match"), None);
        bed.quiet().await;
    }
}

#[tokio::test]
async fn an_object_deleted_during_its_revalidation_is_fetched_anew() {
    let bed = stored("\"a\"").await;
    bed.advance(2 * SECOND);
    let (reply, open) = Reply::status(304).gated();
    bed.origin.then(reply);
    bed.origin.then(Reply::whole(b"new"));
    let waiting = bed.spawn(ttl(SECOND));
    settle().await;
    assert!(bed.cache.delete(&get().target).await);
    drop(open);
    let full = Full::of(waiting.await.expect("no panic").expect("an answer")).await;
    assert_eq!(full.body(), b"new");
    bed.quiet().await;
}

// 4c 39
#[tokio::test(start_paused = true)]
async fn when_the_origin_is_down_the_stored_object_stands_in_marked_and_the_origin_is_left_alone() {
    let cases = [
        (Kind::OriginUnreachable, "origin_down"),
        (Kind::OriginUnresolved, "origin_down"),
        (Kind::OriginTimeout, "origin_timeout"),
        (Kind::OriginStatus(StatusCode::SERVICE_UNAVAILABLE), "origin_status_503"),
        (Kind::OriginStatus(StatusCode::TOO_MANY_REQUESTS), "origin_status_429"),
        (Kind::OriginStatus(StatusCode::INTERNAL_SERVER_ERROR), "origin_status_500"),
    ];
    for (kind, reason) in cases {
        let bed = stored("\"a\"").await;
        bed.advance(5 * SECOND);
        bed.origin.always(move |_| Reply::error(kind));
        let full = bed.get(ttl(SECOND)).await;
        assert_eq!((full.body(), full.how()), (&b"old"[..], ("stale", reason)));
        assert_eq!(full.field("age"), Some("5"));
        let asked = bed.origin.count();
        let again = bed.cache.answer(ttl(SECOND)).await.expect("a stale answer");
        assert_eq!((again.outcome, again.ttl_seconds), (Outcome::Stale, -4));
        assert_eq!(bed.origin.count(), asked, "the refusal is remembered");
    }
}

#[tokio::test(start_paused = true)]
async fn past_the_limit_nothing_stale_is_served() {
    let bed = stored("\"a\"").await;
    bed.origin.always(|_| Reply::error(Kind::OriginUnreachable));
    bed.advance(SECOND + DAY);
    assert_eq!(bed.get(ttl(SECOND)).await.outcome, Outcome::Stale);
    bed.advance(11 * SECOND);
    let error = bed.cache.answer(ttl(SECOND)).await.err().expect("too old");
    assert_eq!(error.kind, Kind::OriginUnreachable);
}

#[tokio::test]
async fn gone_on_revalidation_is_said_honestly_and_leaves_the_object_to_others() {
    for status in [404, 410] {
        let bed = stored("\"a\"").await;
        bed.advance(5 * SECOND);
        bed.origin.then(Reply::status(status));
        let error = bed.cache.answer(ttl(SECOND)).await.err().expect("no answer");
        assert_eq!(error.kind, Kind::OriginStatus(StatusCode::from_u16(status).expect("a status")));
        let error = bed.cache.answer(ttl(SECOND)).await.err().expect("no answer");
        assert_eq!(error.outcome, Outcome::Negative);
        assert_eq!(bed.get(ttl(DAY)).await.body(), b"old");
    }
}

// 4c 40
#[tokio::test]
async fn age_counts_what_the_origin_says_and_the_time_since() {
    let now = "Tue, 14 Nov 2023 22:13:20 GMT";
    let cases = [
        (Some("7"), Some(now), "17"),
        (Some("-7"), Some(now), "10"),
        (Some("99999999999999999999"), Some(now), "2147483648"),
        (None, Some("Tue, 14 Nov 2023 22:13:00 GMT"), "30"),
        (None, Some("Thu, 01 Jan 1970 00:00:00 GMT"), "1700000010"),
        (None, Some("Fri, 01 Jan 2100 00:00:00 GMT"), "10"),
        (None, None, "10"),
    ];
    for (age, date, expected) in cases {
        let bed = Bed::new();
        let reply = Reply::whole(b"x");
        let reply = age.map_or(Reply::whole(b"x"), |age| reply.field("age", age));
        bed.origin.then(match date {
            Some(date) => reply.field("date", date),
            None => reply,
        });
        bed.get(get()).await;
        bed.quiet().await;
        bed.advance(10 * SECOND);
        let hit = bed.get(ttl(11 * SECOND)).await;
        assert_eq!((hit.field("age"), hit.how()), (Some(expected), ("hit", "fresh")), "{age:?} {date:?}");
    }
}

// 4c 40
#[tokio::test]
async fn a_clock_that_jumps_back_neither_panics_nor_ages() {
    let bed = stored("\"a\"").await;
    bed.clock.0.fetch_sub(3_600_000, Ordering::SeqCst);
    let hit = bed.get(ttl(SECOND)).await;
    assert_eq!((hit.field("age"), hit.how()), (Some("0"), ("hit", "fresh")));
}

#[tokio::test]
async fn the_longest_wish_decides_how_long_an_object_is_kept() {
    let settings = Settings { stale_if_error: 10 * SECOND, ..Settings::default() };
    let bed = Bed::with(settings);
    bed.origin.then(Reply::whole(b"x"));
    bed.get(ttl(60 * SECOND)).await;
    bed.quiet().await;
    bed.get(ttl(30 * SECOND)).await;
    bed.advance(69 * SECOND);
    assert_eq!(bed.cache.sweep(), 0);
    bed.advance(SECOND);
    assert_eq!(bed.cache.sweep(), 1);
    assert!(bed.cache.answer_now(&get()).is_none());
    assert_eq!(bed.metric("standpipe_swept_total"), 1);
}

#[tokio::test]
async fn the_wish_of_one_who_waits_counts_as_well() {
    let bed = Bed::with(Settings { stale_if_error: Duration::ZERO, ..Settings::default() });
    let (reply, open) = Reply::whole(b"x").gated();
    bed.origin.then(reply);
    let leader = bed.spawn(ttl(60 * SECOND));
    settle().await;
    let follower = bed.spawn(ttl(100 * SECOND));
    settle().await;
    drop(open);
    for answer in [leader, follower] {
        Full::of(answer.await.expect("no panic").expect("an answer")).await;
    }
    bed.quiet().await;
    bed.advance(99 * SECOND);
    assert_eq!(bed.cache.sweep(), 0);
    bed.advance(SECOND);
    assert_eq!(bed.cache.sweep(), 1);
}

#[tokio::test]
async fn a_hit_can_lengthen_the_keeping_and_a_revalidation_does_not_shorten_it() {
    let bed = Bed::with(Settings { stale_if_error: Duration::ZERO, ..Settings::default() });
    bed.origin.then(Reply::whole(b"x").etag("\"a\""));
    bed.get(ttl(60 * SECOND)).await;
    bed.quiet().await;
    bed.get(Request { keep: 100 * SECOND, ..get() }).await;
    bed.advance(50 * SECOND);
    bed.origin.then(Reply::status(304));
    bed.get(ttl(SECOND)).await;
    bed.advance(49 * SECOND);
    assert_eq!(bed.cache.sweep(), 0);
    bed.advance(SECOND);
    assert_eq!(bed.cache.sweep(), 1);
}

#[tokio::test]
async fn growing_objects_are_not_swept() {
    let bed = Bed::with(Settings { stale_if_error: Duration::ZERO, ..Settings::default() });
    let (reply, body) = Reply::live();
    bed.origin.then(reply);
    body.send(Ok("x".into())).expect("taken");
    let answer = bed.cache.answer(ttl(SECOND)).await.expect("a head");
    bed.advance(DAY);
    assert_eq!(bed.cache.sweep(), 0);
    drop(body);
    assert_eq!(Full::of(answer).await.body(), b"x");
    bed.quiet().await;
    assert_eq!(bed.cache.sweep(), 1);
}
