//! Digests that a client demands, and digests that the origin promises.

use super::*;
use crate::tests::origin::Reply;
use crate::{Kind, Outcome};

async fn refusal(bed: &Bed, request: Request) -> crate::Error {
    bed.cache.answer(request).await.err().expect("no object")
}

fn wrong() -> Digest {
    Digest::of(b"something else")
}

#[tokio::test]
async fn the_right_digest_is_served_on_miss_and_hit() {
    for length in [0, 5, 64 * 1024, 300_000] {
        for chunked in [true, false] {
            let (bed, body) = (Bed::new(), content(length));
            bed.origin.then(if chunked { Reply::chunked(&body) } else { Reply::whole(&body) });
            let digest = Digest::of(&body);
            assert_eq!(bed.get(expecting(digest)).await.body(), body);
            bed.quiet().await;
            let hit = bed.cache.answer_now(&expecting(digest)).expect("the expected object");
            assert_eq!(Full::of(hit).await.body(), body);
        }
    }
}

#[tokio::test]
async fn a_short_body_with_another_digest_is_an_honest_refusal_and_is_not_stored() {
    for chunked in [true, false] {
        let bed = Bed::new();
        bed.origin.then(if chunked { Reply::chunked(b"body") } else { Reply::whole(b"body") });
        let error = refusal(&bed, expecting(wrong())).await;
        assert_eq!(error.kind, Kind::DigestMismatch);
        assert!(error.detail.contains(&wrong().to_string()), "{error}");
        assert!(error.detail.contains(&Digest::of(b"body").to_string()), "{error}");
        bed.quiet().await;
        assert!(bed.cache.answer_now(&get()).is_none());

        let again = refusal(&bed, expecting(wrong())).await;
        assert_eq!((again.kind, again.outcome), (Kind::DigestMismatch, Outcome::Negative));
        assert_eq!(bed.origin.count(), 1, "a wrong digest does not fetch for ever");
        assert_eq!(bed.metric("standpipe_fills_total{result=\"digest_mismatch\"}"), 1);
    }
}

#[tokio::test]
async fn a_long_body_with_another_digest_is_cut_for_its_client_and_whole_for_others() {
    let (bed, body) = (Bed::new(), content(300_000));
    let (reply, open) = Reply::whole(&body).gated();
    bed.origin.then(reply);
    let demanding = bed.spawn(expecting(wrong()));
    settle().await;
    let other = bed.spawn(get());
    settle().await;
    drop(open);
    let mut demanding = demanding.await.expect("no panic").expect("a head");
    let failure = collect(&mut demanding.payload).await.expect_err("not the object it demands");
    assert_eq!(failure.reason, "digest_mismatch");
    let other = Full::of(other.await.expect("no panic").expect("a head")).await;
    assert_eq!(other.body(), body);
    bed.quiet().await;
    assert!(bed.cache.answer_now(&get()).is_none(), "nothing is stored");
    assert_eq!(refusal(&bed, expecting(wrong())).await.outcome, Outcome::Negative);
    assert_eq!(bed.origin.count(), 1);
}

#[tokio::test]
async fn a_stored_object_with_another_digest_is_fetched_again_without_condition() {
    let bed = Bed::new();
    bed.origin.then(Reply::whole(b"old").etag("\"a\""));
    bed.origin.then(Reply::whole(b"new").etag("\"b\""));
    bed.get(get()).await;
    bed.quiet().await;
    let full = bed.get(expecting(Digest::of(b"new"))).await;
    assert_eq!((full.body(), full.how()), (&b"new"[..], ("miss", "digest_differs")));
    assert_eq!(bed.origin.asked(1, "if-none-match"), None);
    bed.quiet().await;
    assert_eq!(bed.get(get()).await.body(), b"new");
}

#[tokio::test]
async fn a_wrong_digest_does_not_throw_out_the_object_that_others_use() {
    let bed = Bed::new();
    bed.origin.always(|_| Reply::whole(b"good").etag("\"a\""));
    bed.get(get()).await;
    bed.quiet().await;
    assert_eq!(refusal(&bed, expecting(wrong())).await.kind, Kind::DigestMismatch);
    bed.quiet().await;
    assert_eq!(bed.get(get()).await.how(), ("hit", "fresh"));
    refusal(&bed, expecting(wrong())).await;
    assert_eq!(bed.origin.count(), 2);
}

#[tokio::test]
async fn who_waited_for_a_confirmation_of_other_bytes_asks_for_the_whole_object() {
    let bed = Bed::new();
    bed.origin.then(Reply::whole(b"old").etag("\"a\""));
    bed.get(get()).await;
    bed.quiet().await;
    bed.advance(2 * SECOND);
    let (reply, open) = Reply::status(304).gated();
    bed.origin.then(reply);
    bed.origin.then(Reply::whole(b"new").etag("\"b\""));
    let leader = bed.spawn(ttl(SECOND));
    settle().await;
    let demanding = bed.spawn(Request { expected: Some(Digest::of(b"new")), ..ttl(SECOND) });
    settle().await;
    drop(open);
    assert_eq!(Full::of(leader.await.expect("no panic").expect("an answer")).await.body(), b"old");
    assert_eq!(Full::of(demanding.await.expect("no panic").expect("an answer")).await.body(), b"new");
    bed.quiet().await;
}

#[tokio::test]
async fn stale_objects_stand_in_only_with_the_expected_digest() {
    let bed = Bed::with(Settings { retry_for: Duration::ZERO, ..Settings::default() });
    bed.origin.then(Reply::whole(b"old").etag("\"a\""));
    bed.origin.always(|_| Reply::error(Kind::OriginUnreachable));
    bed.get(get()).await;
    bed.quiet().await;
    bed.advance(2 * SECOND);
    let demand = |digest| Request { expected: Some(digest), ..ttl(SECOND) };
    assert_eq!(refusal(&bed, demand(wrong())).await.kind, Kind::OriginUnreachable);
    assert_eq!(bed.get(demand(Digest::of(b"old"))).await.outcome, Outcome::Stale);
}

#[tokio::test]
async fn a_digest_that_the_origin_promises_is_kept_or_nothing_is_stored() {
    let promise = |digest: &Digest| {
        let value = protocols::http::digest::header_value(digest.as_bytes());
        value.to_str().expect("text").to_owned()
    };
    for length in [5, 300_000] {
        let (bed, body) = (Bed::with(Settings { take_overs: 0, ..Settings::default() }), content(length));
        bed.origin.then(Reply::whole(&body).field("repr-digest", &promise(&Digest::of(&body))));
        assert_eq!(bed.get(get()).await.body(), body);
        bed.cache.delete(&get().target).await;

        bed.origin.then(Reply::whole(&body).field("repr-digest", &promise(&wrong())));
        let reason = match bed.cache.answer(get()).await {
            Ok(mut answer) => collect(&mut answer.payload).await.expect_err("a broken promise").reason,
            Err(error) => error.kind.reason(),
        };
        assert_eq!(reason, "digest_mismatch", "{length}");
        bed.quiet().await;
        assert!(bed.cache.answer_now(&get()).is_none());
    }
}

/// The result of asking for `asked` of an object that another request began to fetch, with the wrong digest.
async fn part_of_growing(chunked: bool, asked: &str) -> Result<Vec<u8>, &'static str> {
    let (bed, body) = (Bed::new(), content(300_000));
    let (reply, send) = Reply::live();
    bed.origin.then(if chunked { reply } else { reply.field("content-length", "300000") });
    send.send(Ok(body[..200_000].to_vec().into())).expect("a reader");
    bed.cache.answer(get()).await.expect("a head");
    let others = bed.cache.inner.reader.lookup(&get().target.key).expect("a growing object");
    others.body.wait_committed(200_000).await.expect("committed");
    let demanding = bed.spawn(Request { expected: Some(wrong()), ..range(asked) });
    settle().await;
    send.send(Ok(body[200_000..].to_vec().into())).expect("a reader");
    drop(send);
    match demanding.await.expect("no panic") {
        Ok(mut answer) => collect(&mut answer.payload).await.map_err(|failure| failure.reason),
        Err(error) => Err(error.kind.reason()),
    }
}

#[tokio::test]
async fn a_part_of_a_growing_object_is_no_way_round_the_digest() {
    for chunked in [true, false] {
        for asked in
            ["bytes=0-9", "bytes=100-150000", "bytes=250000-250009", "bytes=5-", "bytes=-5", "bytes=0-0,9-9"]
        {
            assert_eq!(part_of_growing(chunked, asked).await, Err("digest_mismatch"), "{chunked} {asked}");
        }
    }
}
