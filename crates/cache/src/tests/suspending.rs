//! What an interrupted fill has received is not fetched again, if the origin can prove that it is still the same.

use bytes::Bytes;

use super::*;
use crate::tests::origin::Reply;
use crate::{Error, Kind};

const LENGTH: usize = 200_000;
const HALF: usize = 120_000;
const TAG: &str = "\"a\"";

/// A bed with the first half of an object, whose origin is down.
async fn halfway() -> Bed {
    let bed = Bed::with(Settings { take_overs: 0, ..Settings::default() });
    break_off(&bed, Reply::broken(LENGTH, &content(LENGTH)[..HALF]).etag(TAG).field("x-mine", "1")).await;
    bed
}

/// Breaks the first transfer for good.
async fn break_off(bed: &Bed, first: Reply) {
    bed.origin.then(first);
    bed.origin.always(|_| Reply::error(Kind::OriginUnreachable));
    let reason = match bed.cache.answer(get()).await {
        Ok(answer) => Full::of(answer).await.body.expect_err("cut").reason,
        Err(error) => error.kind.reason(),
    };
    assert_eq!(reason, "origin_unreachable");
    bed.quiet().await;
    bed.advance(60 * SECOND);
}

fn rest() -> Reply {
    Reply::rest(&content(LENGTH), HALF).etag(TAG)
}

/// The fields of the request that was sent last.
fn asked_last(bed: &Bed) -> (Option<String>, Option<String>) {
    let last = bed.origin.count() - 1;
    (bed.origin.asked(last, "range"), bed.origin.asked(last, "if-range"))
}

fn for_the_rest() -> (Option<String>, Option<String>) {
    (Some(format!("bytes={HALF}-")), Some(TAG.to_owned()))
}

// 4c 31
#[tokio::test(start_paused = true)]
async fn a_later_request_goes_on_where_the_broken_one_ended() {
    let bed = halfway().await;
    let received = bed.metric("standpipe_origin_bytes_total");
    bed.origin.then(rest().field("date", "Tue, 14 Nov 2023 22:14:20 GMT"));
    let full = bed.get(get()).await;
    assert_eq!((full.status, full.how()), (200, ("partial", "resumed")));
    assert_eq!(full.body(), content(LENGTH));
    assert_eq!((full.length, full.field("content-range")), (Some(LENGTH as u64), None));
    assert_eq!(full.field("x-mine"), Some("1"), "what the 206 does not repeat is still known");
    assert_eq!(full.field("date"), Some("Tue, 14 Nov 2023 22:14:20 GMT"), "what it says anew is taken over");
    assert_eq!(asked_last(&bed), for_the_rest());
    bed.quiet().await;
    assert_eq!(bed.metric("standpipe_origin_bytes_total") - received, (LENGTH - HALF) as u64);
    let hit = bed.get(get()).await;
    assert_eq!((hit.how(), hit.body()), (("hit", "fresh"), &content(LENGTH)[..]));
}

#[tokio::test(start_paused = true)]
async fn everybody_who_waits_follows_the_resumed_object() {
    let bed = halfway().await;
    let (reply, open) = rest().gated();
    bed.origin.then(reply);
    let before = bed.origin.count();
    let leader = bed.spawn(get());
    while bed.origin.count() == before {
        tokio::task::yield_now().await;
    }
    let others = [bed.spawn(get()), bed.spawn(range("bytes=10-19")), bed.spawn(range("bytes=-10"))];
    settle().await;
    drop(open);
    assert_eq!(Full::of(leader.await.expect("no panic").expect("an answer")).await.body(), content(LENGTH));
    let expected = [&content(LENGTH)[..], &content(LENGTH)[10..20], &content(LENGTH)[LENGTH - 10..]];
    for (other, expected) in others.into_iter().zip(expected) {
        let full = Full::of(other.await.expect("no panic").expect("an answer")).await;
        assert_eq!((full.body(), full.how()), (expected, ("follow", "collapsed")));
    }
    assert_eq!(bed.origin.count(), before + 1);
    bed.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_interrupts_a_fill_and_the_next_run_goes_on_with_it() {
    let mut bed = Bed::new();
    let (reply, sender) = Reply::live();
    bed.origin.then(reply.field("content-length", "200000").etag(TAG));
    sender.send(Ok(Bytes::from(content(LENGTH)[..HALF].to_vec()))).expect("taken");
    let mut answer = bed.cache.answer(get()).await.expect("a head");
    take(&mut answer.payload, HALF).await;
    bed.cache.drain(Duration::ZERO).await;
    // Time is paused, and runs on while a disk thread works: the farewell is over too soon.
    bed.quiet().await;
    assert_eq!(collect(&mut answer.payload).await.expect_err("cut").reason, "draining");
    drop(answer);
    bed.restart().await;
    bed.origin.then(rest());
    let full = bed.get(get()).await;
    assert_eq!((full.how(), full.body()), (("partial", "resumed"), &content(LENGTH)[..]));
    assert_eq!(asked_last(&bed), for_the_rest());
    bed.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_starts_over_gives_a_fresh_object() {
    let bed = halfway().await;
    bed.origin.then(Reply::whole(b"another").etag("\"b\""));
    let full = bed.get(get()).await;
    assert_eq!((full.how(), full.body()), (("miss", "absent"), &b"another"[..]));
    assert_eq!((full.field("etag"), full.field("x-mine")), (Some("\"b\""), None));
    assert_eq!(asked_last(&bed), for_the_rest());
    bed.quiet().await;
    assert_eq!(bed.get(get()).await.body(), b"another");
}

// 4c 28, 29
#[tokio::test(start_paused = true)]
async fn an_answer_that_proves_nothing_is_followed_by_a_fresh_request() {
    let odd = |range: &str, tag: &str| Reply::rest(&content(LENGTH), HALF).field("x-odd", range).etag(tag);
    let with_range = |range: &str| {
        let body = Bytes::from(content(LENGTH)[HALF..].to_vec());
        Reply::pieces(206, vec![Ok(body)]).field("content-range", range).etag(TAG)
    };
    let cases = [
        odd("another tag", "\"b\""),
        with_range("bytes 119999-199999/200000"),
        with_range("bytes 120001-199999/200000"),
        with_range("bytes 120000-199999/200001"),
        with_range("bytes 120000-200000/200000"),
        with_range("nonsense"),
        Reply::rest(&content(LENGTH), HALF),
        Reply::status(416),
        Reply::status(412),
        Reply::status(304),
    ];
    for reply in cases {
        let bed = halfway().await;
        let before = bed.origin.count();
        bed.origin.then(reply);
        bed.origin.then(Reply::whole(b"fresh"));
        let full = bed.get(get()).await;
        assert_eq!((full.how(), full.body()), (("miss", "absent"), &b"fresh"[..]));
        assert_eq!(bed.origin.count(), before + 2);
        assert_eq!(asked_last(&bed), (None, None));
        bed.quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_survives_an_origin_that_is_still_down() {
    let bed = halfway().await;
    let error = bed.cache.answer(get()).await.err().expect("down");
    assert_eq!(error.kind, Kind::OriginUnreachable);
    bed.quiet().await;
    bed.advance(60 * SECOND);
    bed.origin.then(rest());
    assert_eq!(bed.get(get()).await.how(), ("partial", "resumed"));
    bed.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_resumed_object_that_breaks_again_is_gone_on_with_again() {
    let bed = halfway().await;
    let more = HALF + 40_000;
    let broken = Error::new(Kind::OriginUnreachable, "reset");
    let piece = Bytes::from(content(LENGTH)[HALF..more].to_vec());
    let field = format!("bytes {HALF}-{}/{LENGTH}", LENGTH - 1);
    bed.origin
        .then(Reply::pieces(206, vec![Ok(piece), Err(broken)]).field("content-range", &field).etag(TAG));
    assert!(bed.get(get()).await.body.is_err());
    bed.quiet().await;
    bed.advance(60 * SECOND);
    bed.origin.then(Reply::rest(&content(LENGTH), more).etag(TAG));
    assert_eq!(bed.get(get()).await.body(), content(LENGTH));
    assert_eq!(asked_last(&bed).0, Some(format!("bytes={more}-")));
    bed.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_part_that_lacks_only_its_end_is_completed() {
    let bed = Bed::with(Settings { take_overs: 0, ..Settings::default() });
    let broken = Error::new(Kind::OriginBroken, "more than declared");
    let pieces = vec![Ok(Bytes::from(content(LENGTH))), Err(broken)];
    bed.origin.then(Reply::pieces(200, pieces).field("content-length", "200000").etag(TAG));
    bed.origin.always(|_| Reply::error(Kind::OriginUnreachable));
    assert_eq!(bed.get(get()).await.body(), content(LENGTH));
    bed.quiet().await;
    assert!(bed.cache.answer_now(&get()).is_none(), "it did not end well");
    bed.advance(60 * SECOND);
    bed.origin.then(Reply::rest(&content(LENGTH), LENGTH - 1).etag(TAG));
    let full = bed.get(get()).await;
    assert_eq!((full.how(), full.body()), (("partial", "resumed"), &content(LENGTH)[..]));
    assert_eq!(asked_last(&bed).0.as_deref(), Some("bytes=199999-"));
    bed.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_strong_validator_nothing_is_kept() {
    for tag in [None, Some("W/\"a\"")] {
        let bed = Bed::with(Settings { take_overs: 0, ..Settings::default() });
        let reply = Reply::broken(LENGTH, &content(LENGTH)[..HALF]);
        break_off(
            &bed,
            match tag {
                Some(tag) => reply.etag(tag),
                None => reply,
            },
        )
        .await;
        bed.cache.inner.store.settle().await;
        assert_eq!(bed.cache.reader().usage().used, 0);
        bed.origin.then(Reply::whole(b"fresh"));
        assert_eq!(bed.get(get()).await.how(), ("miss", "absent"));
        assert_eq!(asked_last(&bed), (None, None));
        bed.quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_keeps_nothing_that_could_not_be_proven_later() {
    let bed = Bed::new();
    let (reply, sender) = Reply::live();
    bed.origin.then(reply.field("content-length", "200000"));
    sender.send(Ok(Bytes::from(content(LENGTH)[..HALF].to_vec()))).expect("taken");
    let mut answer = bed.cache.answer(get()).await.expect("a head");
    take(&mut answer.payload, HALF).await;
    bed.cache.drain(Duration::ZERO).await;
    // Time is paused, and runs on while a disk thread works: the farewell is over too soon.
    bed.quiet().await;
    drop(answer);
    bed.cache.inner.store.settle().await;
    assert_eq!(bed.cache.reader().usage().used, 0);
}

#[tokio::test(start_paused = true)]
async fn bytes_of_an_object_that_changed_are_not_kept() {
    let bed = Bed::with(Settings { take_overs: 0, ..Settings::default() });
    bed.origin.then(Reply::broken(LENGTH, &content(LENGTH)[..HALF]).etag(TAG));
    bed.origin.then(Reply::rest(&content(LENGTH), HALF).etag("\"b\""));
    assert_eq!(bed.get(get()).await.body.expect_err("cut").reason, "object_changed");
    bed.quiet().await;
    bed.origin.then(Reply::whole(b"fresh"));
    assert_eq!(bed.get(get()).await.how(), ("miss", "absent"));
    assert_eq!(asked_last(&bed), (None, None));
    bed.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn deletion_forgets_what_is_left_as_well() {
    let bed = halfway().await;
    bed.cache.delete(&get().target).await;
    bed.cache.inner.store.settle().await;
    assert_eq!(bed.cache.reader().usage().used, 0);
    bed.origin.then(Reply::whole(b"fresh"));
    assert_eq!(bed.get(get()).await.how(), ("miss", "absent"));
    assert_eq!(asked_last(&bed), (None, None));
    bed.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_demanded_digest_holds_for_start_and_rest_together() {
    let bed = halfway().await;
    bed.origin.then(rest());
    let right = Digest::of(&content(LENGTH));
    assert_eq!(bed.get(expecting(right)).await.body(), content(LENGTH));
    bed.quiet().await;

    let bed = halfway().await;
    bed.origin.then(rest());
    let wrong = bed.get(expecting(Digest::of(b"other"))).await;
    assert_eq!(wrong.body.expect_err("another one").reason, "digest_mismatch");
    bed.quiet().await;
    assert!(bed.cache.answer_now(&get()).is_none(), "docs/decisions/0003: nothing is stored");
}
