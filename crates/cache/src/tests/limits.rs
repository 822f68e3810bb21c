//! Bounds: space, number of fills, shutdown.

use super::*;
use crate::Kind;
use crate::tests::origin::Reply;

async fn refusal(bed: &Bed, request: Request) -> crate::Error {
    bed.cache.answer(request).await.err().expect("no object")
}

// 4c 57
#[tokio::test]
async fn without_room_the_refusal_says_what_fills_the_store_and_what_to_do() {
    let bed = Bed::with_quota(Settings::default(), 100);
    bed.origin.then(Reply::whole(&content(60)));
    bed.get(get()).await;
    bed.quiet().await;
    bed.origin.always(|_| Reply::whole(&content(50)));
    let other = || Request { when_full: WhenFull::Refuse, ..get_url("http://origin.example/other") };
    let error = refusal(&bed, other()).await;
    assert_eq!(error.kind, Kind::NoSpace);
    for part in ["50 bytes", "60 of its 100 bytes", "1 objects", "store.quota", "delete"] {
        assert!(error.detail.contains(part), "{part}: {}", error.detail);
    }
    bed.cache.delete(&get().target).await;
    bed.cache.inner.store.settle().await;
    assert_eq!(bed.get(other()).await.body(), content(50), "room is used as soon as it is there");
    bed.quiet().await;
}

// Regression: "70 of its 100 bytes are taken by 0 objects".
#[tokio::test]
async fn bytes_that_are_only_read_any_more_are_said_to_be() {
    let bed = Bed::with_quota(Settings::default(), 100);
    bed.origin.then(Reply::whole(&content(70)));
    let reading = bed.cache.answer(get()).await.expect("an answer");
    bed.quiet().await;
    bed.cache.delete(&get().target).await;
    bed.origin.then(Reply::whole(&content(50)));
    let error =
        refusal(&bed, Request { when_full: WhenFull::Refuse, ..get_url("http://origin.example/other") })
            .await;
    for part in ["70 of its 100 bytes are taken", "0 objects", "deleted or has failed until nobody reads it"]
    {
        assert!(error.detail.contains(part), "{part}: {}", error.detail);
    }
    drop(reading);
}

#[tokio::test]
async fn an_unknown_length_that_outgrows_the_store_breaks() {
    let bed = Bed::with_quota(Settings::default(), 100);
    bed.origin.then(Reply::chunked(&content(200)));
    match bed.cache.answer(Request { when_full: WhenFull::Refuse, ..get() }).await {
        Ok(answer) => assert_eq!(Full::of(answer).await.body.expect_err("no room").reason, "no_space"),
        Err(error) => assert_eq!(error.kind, Kind::NoSpace),
    }
}

#[tokio::test]
async fn only_so_many_fills_run_and_wait_at_once() {
    let bed = Bed::with(Settings { max_fills: 1, max_waiting_fills: 1, ..Settings::default() });
    let (reply, open) = Reply::whole(b"first").gated();
    bed.origin.then(reply);
    bed.origin.then(Reply::whole(b"second"));
    let url = |number: usize| get_url(&format!("http://origin.example/{number}"));
    let first = bed.spawn(url(1));
    settle().await;
    let second = bed.spawn(url(2));
    settle().await;
    assert_eq!(bed.origin.count(), 1);
    assert_eq!(bed.metric("standpipe_fills_waiting"), 1);
    let error = refusal(&bed, url(3)).await;
    assert_eq!(error.kind, Kind::OriginQueueFull);
    assert!(error.detail.contains("fill.max"));
    drop(open);
    assert_eq!(Full::of(first.await.expect("no panic").expect("an answer")).await.body(), b"first");
    assert_eq!(Full::of(second.await.expect("no panic").expect("an answer")).await.body(), b"second");
    bed.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_fill_waits_for_its_turn_only_so_long() {
    let bed = Bed::with(Settings { max_fills: 1, ..Settings::default() });
    let (reply, _open) = Reply::whole(b"first").gated();
    bed.origin.then(reply);
    let _first = bed.spawn(get());
    settle().await;
    let error = refusal(&bed, get_url("http://origin.example/other")).await;
    assert_eq!(error.kind, Kind::OriginQueueFull);
}

#[tokio::test]
async fn draining_lets_running_fills_end_and_starts_none() {
    let bed = Bed::new();
    let (reply, body) = Reply::live();
    bed.origin.then(reply.field("content-length", "4"));
    body.send(Ok("bo".into())).expect("taken");
    let mut leader = bed.cache.answer(get()).await.expect("a head");
    let cache = bed.cache.clone();
    let drain = tokio::spawn(async move { cache.drain(DAY).await });
    settle().await;
    let error = refusal(&bed, get_url("http://origin.example/other")).await;
    assert_eq!(error.kind, Kind::Draining);
    let follower = bed.cache.answer(get()).await.expect("growing objects are still followed");
    assert!(!drain.is_finished());
    body.send(Ok("dy".into())).expect("taken");
    drop(body);
    assert_eq!(collect(&mut leader.payload).await.expect("the end"), b"body");
    assert_eq!(Full::of(follower).await.body(), b"body");
    drain.await.expect("drained");
    assert!(bed.cache.answer_now(&get()).is_some());
}

#[tokio::test(start_paused = true)]
async fn after_the_grace_period_fills_fail_with_the_reason() {
    let bed = Bed::new();
    let (reply, body) = Reply::live();
    bed.origin.then(reply.field("content-length", "4"));
    body.send(Ok("bo".into())).expect("taken");
    let (gated, _open) = Reply::whole(b"x").gated();
    let mut leader = bed.cache.answer(get()).await.expect("a head");
    bed.origin.then(gated);
    let waiting = bed.spawn(get_url("http://origin.example/other"));
    settle().await;
    bed.cache.drain(SECOND).await;
    let failure = collect(&mut leader.payload).await.expect_err("cut");
    assert_eq!(failure.reason, "draining");
    let error = waiting.await.expect("no panic").err().expect("no object");
    assert_eq!(error.kind, Kind::Draining);
    assert_eq!(bed.cache.stats().fills_failed, 2);
}

#[tokio::test(start_paused = true)]
async fn the_sweeper_runs_at_its_interval() {
    let bed = Bed::with(Settings { stale_if_error: Duration::ZERO, ..Settings::default() });
    bed.origin.then(Reply::whole(b"x"));
    bed.get(ttl(SECOND)).await;
    bed.quiet().await;
    let sweeper = tokio::spawn(bed.cache.clone().sweep_forever());
    settle().await;
    assert!(bed.cache.answer_now(&ttl(SECOND)).is_some());
    bed.advance(2 * SECOND);
    // Time is paused: this returns when all that is due until then has happened.
    tokio::time::sleep(61 * SECOND).await;
    assert!(bed.cache.answer_now(&get()).is_none());
    sweeper.abort();
}
