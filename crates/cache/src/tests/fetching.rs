//! Single flight, followers, what is kept of the origin's fields.

use super::*;
use crate::tests::origin::Reply;
use crate::{Outcome, Source};

#[tokio::test]
async fn a_miss_fetches_and_the_next_request_hits_without_waiting() {
    let bed = Bed::new();
    bed.origin.then(Reply::whole(b"hello").etag("\"a\"").field("content-type", "text/x"));
    assert!(bed.cache.answer_now(&get()).is_none());
    let miss = bed.get(get()).await;
    assert_eq!((miss.status, miss.body(), miss.how()), (200, &b"hello"[..], ("miss", "absent")));
    assert_eq!((miss.length, miss.source), (Some(5), Source::Origin));
    bed.quiet().await;

    let hit = bed.cache.answer_now(&get()).expect("a stored object");
    let hit = Full::of(hit).await;
    assert_eq!((hit.status, hit.body(), hit.how()), (200, &b"hello"[..], ("hit", "fresh")));
    assert_eq!((hit.length, hit.source), (Some(5), Source::Cache));
    assert_eq!(hit.field("etag"), Some("\"a\""));
    assert_eq!(hit.field("content-type"), Some("text/x"));
    assert_eq!(hit.field("accept-ranges"), Some("bytes"));
    assert_eq!(hit.field("age"), Some("0"));
    assert_eq!(hit.field("repr-digest"), Some("sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:"));
    assert_eq!(hit.field("content-length"), None);
    assert_eq!(bed.origin.count(), 1);
    assert_eq!(bed.origin.asked(0, "accept-encoding").as_deref(), Some("identity"));
}

#[tokio::test]
async fn a_hundred_concurrent_requests_make_one_origin_request() {
    let bed = Bed::new();
    let body = content(300_000);
    let (reply, open) = Reply::whole(&body).gated();
    bed.origin.then(reply);
    let waiting: Vec<_> = (0..100).map(|_| bed.spawn(get())).collect();
    settle().await;
    drop(open);
    let mut misses = 0;
    for answer in waiting {
        let full = Full::of(answer.await.expect("no panic").expect("an answer")).await;
        assert_eq!(full.body(), body);
        match full.how() {
            ("miss", "absent") => misses += 1,
            how => assert_eq!(how, ("follow", "collapsed")),
        }
    }
    assert_eq!((misses, bed.origin.count()), (1, 1));
    bed.quiet().await;
}

#[tokio::test]
async fn a_growing_object_is_followed_from_its_start_and_its_bytes_come_as_they_come() {
    let bed = Bed::new();
    let (reply, body) = Reply::live();
    bed.origin.then(reply.field("content-length", "10").etag("\"a\""));
    body.send(Ok("01234".into())).expect("taken");
    let mut leader = bed.cache.answer(get()).await.expect("a head");
    assert_eq!(take(&mut leader.payload, 5).await, b"01234");
    let mut follower = bed.cache.answer(get()).await.expect("a head");
    assert_eq!((follower.outcome, follower.reason), (Outcome::Follow, "growing"));
    assert_eq!(follower.headers["etag"], "\"a\"");
    assert_eq!(take(&mut follower.payload, 5).await, b"01234");
    body.send(Ok("56789".into())).expect("taken");
    drop(body);
    assert_eq!(collect(&mut leader.payload).await.expect("the end"), b"56789");
    assert_eq!(collect(&mut follower.payload).await.expect("the end"), b"56789");
    assert_eq!(bed.origin.count(), 1);
    bed.quiet().await;
}

#[tokio::test]
async fn the_fill_goes_on_when_its_leader_leaves_before_the_head_and_after_it() {
    for leaves_early in [true, false] {
        let bed = Bed::new();
        let (reply, body) = Reply::live();
        let (reply, open) = reply.field("content-length", "4").gated();
        bed.origin.then(reply);
        body.send(Ok("fu".into())).expect("taken");
        let leader = bed.spawn(get());
        settle().await;
        if leaves_early {
            leader.abort();
            assert!(leader.await.is_err());
            drop(open);
        } else {
            drop(open);
            drop(leader.await.expect("no panic").expect("a head"));
        }
        body.send(Ok("ll".into())).expect("the fill still takes bytes");
        drop(body);
        bed.quiet().await;
        let hit = Full::of(bed.cache.answer_now(&get()).expect("a stored object")).await;
        assert_eq!(hit.body(), b"full");
        assert_eq!(bed.origin.count(), 1);
    }
}

#[tokio::test]
async fn when_a_fill_dies_exactly_one_of_those_who_wait_takes_over() {
    let bed = Bed::new();
    let (reply, open) = Reply::panic().gated();
    bed.origin.then(reply);
    bed.origin.then(Reply::whole(b"second"));
    let waiting: Vec<_> = (0..20).map(|_| bed.spawn(get())).collect();
    settle().await;
    drop(open);
    for answer in waiting {
        let full = Full::of(answer.await.expect("no panic").expect("an answer")).await;
        assert_eq!(full.body(), b"second");
    }
    assert_eq!(bed.origin.count(), 2);
    assert_eq!(bed.metric("standpipe_take_overs_total"), 20);
    bed.quiet().await;
}

#[tokio::test]
async fn taking_over_ends_after_the_allowed_number() {
    let bed = Bed::with(Settings { take_overs: 2, ..Settings::default() });
    bed.origin.always(|_| Reply::panic());
    let error = bed.cache.answer(get()).await.err().expect("no object");
    assert_eq!(error.kind, crate::Kind::FillAbandoned);
    assert_eq!(bed.origin.count(), 3);
}

// 4c 23
#[tokio::test]
async fn head_starts_the_fill_waits_for_the_head_only_and_get_follows_it() {
    let bed = Bed::new();
    let (reply, body) = Reply::live();
    bed.origin.then(reply.field("content-length", "4"));
    let answer = bed.cache.answer(head()).await.expect("a head, although no byte of the body has come");
    assert_eq!(answer.status, 200);
    assert!(answer.payload.is_silent());
    assert_eq!(answer.payload.length(), Some(4));
    let full = Full::of(answer).await;
    assert_eq!(full.body(), b"");
    body.send(Ok("body".into())).expect("taken");
    drop(body);
    assert_eq!(bed.get(get()).await.body(), b"body");
    assert_eq!(bed.origin.count(), 1);
    bed.quiet().await;
}

#[tokio::test]
async fn head_of_unknown_length_declares_none_until_the_object_is_complete() {
    let bed = Bed::new();
    let (reply, body) = Reply::live();
    bed.origin.then(reply);
    let answer = bed.cache.answer(head()).await.expect("a head");
    assert_eq!(answer.payload.length(), None);
    body.send(Ok("body".into())).expect("taken");
    drop(body);
    bed.quiet().await;
    assert_eq!(bed.get(head()).await.length, Some(4));
    bed.quiet().await;
}

// 4c 30
#[tokio::test]
async fn empty_and_one_byte_objects_are_whole() {
    for body in [&b""[..], b"x"] {
        for reply in [Reply::whole(body), Reply::chunked(body)] {
            let bed = Bed::new();
            bed.origin.then(reply);
            assert_eq!(bed.get(get()).await.body(), body);
            bed.quiet().await;
            let hit = bed.get(get()).await;
            assert_eq!((hit.body(), hit.length), (body, Some(body.len() as u64)));
            assert_eq!(bed.origin.count(), 1);
        }
    }
}

// 4c 41
#[tokio::test]
async fn fields_of_the_object_are_kept_in_order_and_those_of_site_and_connection_are_not() {
    let bed = Bed::new();
    let kept = [
        ("link", "<a>; rel=preload"),
        ("link", "<b>; rel=preload"),
        ("content-encoding", "gzip"),
        ("content-disposition", "attachment"),
        ("cache-control", "private, no-store"),
        ("date", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ("access-control-allow-origin", "*"),
        ("vary", "Accept-Encoding"),
        ("x-own", "1"),
    ];
    let dropped = [
        ("set-cookie", "id=1"),
        ("set-cookie2", "id=1"),
        ("strict-transport-security", "max-age=1"),
        ("content-security-policy", "default-src *"),
        ("content-security-policy-report-only", "default-src *"),
        ("alt-svc", "h3=\":443\""),
        ("via", "1.1 a"),
        ("x-cache", "HIT"),
        ("x-cache-hits", "3"),
        ("cache-status", "a; hit"),
        ("www-authenticate", "Basic"),
        ("proxy-authenticate", "Basic"),
        ("clear-site-data", "\"*\""),
        ("keep-alive", "timeout=5"),
        ("trailer", "x"),
        ("refresh", "0; url=/"),
        ("x-accel-redirect", "/internal/secret"),
        ("x-sendfile", "/etc/passwd"),
        ("repr-digest", "sha-512=:AA==:"),
    ];
    let reply =
        kept.iter().chain(&dropped).fold(Reply::whole(b"x"), |reply, (name, value)| reply.field(name, value));
    bed.origin.then(reply);
    let full = bed.get(get()).await;
    for (name, value) in kept {
        assert!(full.headers.get_all(name).iter().any(|found| found == value), "{name} is kept");
    }
    let links: Vec<_> = full.headers.get_all("link").iter().collect();
    assert_eq!(links, ["<a>; rel=preload", "<b>; rel=preload"]);
    for (name, _) in dropped.iter().filter(|(name, _)| *name != "repr-digest") {
        assert!(!full.headers.contains_key(*name), "{name} is dropped");
    }
    assert!(!full.headers.get_all("repr-digest").iter().any(|value| value == "sha-512=:AA==:"));
    bed.quiet().await;
}

// 4c 32
#[tokio::test]
async fn more_bytes_than_declared_are_never_stored() {
    let bed = Bed::new();
    bed.origin.then(Reply::chunked(b"123456").field("content-length", "5"));
    let answer = bed.cache.answer(get()).await;
    if let Ok(answer) = answer {
        let body = Full::of(answer).await.body;
        assert!(body.is_err() || body.is_ok_and(|body| body == b"12345"));
    }
    bed.quiet().await;
    assert!(bed.cache.answer_now(&get()).is_none());
    assert_eq!(bed.metric("standpipe_fills_total{result=\"failed\"}"), 1);
}

#[tokio::test]
async fn counts_tell_what_happened() {
    let bed = Bed::new();
    bed.origin.then(Reply::whole(b"12345"));
    bed.origin.then(Reply::status(404));
    bed.get(get()).await;
    bed.quiet().await;
    bed.cache.answer(get_url("http://origin.example/gone")).await.err().expect("no object");
    bed.quiet().await;
    let stats = bed.cache.stats();
    let expected = crate::Stats {
        fills_started: 2,
        fills_completed: 1,
        fills_failed: 1,
        origin_bytes: 5,
        negatives: 1,
        ..crate::Stats::default()
    };
    assert_eq!(stats, expected);
    assert_eq!(bed.metric("standpipe_origin_bytes_total"), 5);
    assert_eq!(bed.metric("standpipe_fills_total{result=\"complete\"}"), 1);
}

#[tokio::test]
async fn deletion_takes_the_object_and_the_refusal_and_those_who_read_go_on() {
    let bed = Bed::new();
    let (reply, body) = Reply::live();
    bed.origin.then(reply.field("content-length", "4"));
    body.send(Ok("bo".into())).expect("taken");
    let mut reading = bed.cache.answer(get()).await.expect("a head");
    let target = get().target;
    assert!(bed.cache.delete(&target).await);
    assert!(!bed.cache.delete(&target).await);
    body.send(Ok("dy".into())).expect("taken");
    drop(body);
    assert_eq!(collect(&mut reading.payload).await.expect("the end"), b"body");

    bed.origin.then(Reply::status(404));
    bed.origin.then(Reply::whole(b"new"));
    bed.cache.answer(get()).await.err().expect("no object");
    bed.cache.delete(&target).await;
    assert_eq!(bed.get(get()).await.body(), b"new");
    bed.quiet().await;
}

#[tokio::test]
async fn neither_heads_nor_refusals_keep_the_buffers_that_they_came_in() {
    let bed = Bed::new();
    let buffer = bytes::Bytes::from(vec![b'a'; 64 * 1024]);
    let value = || http::HeaderValue::from_maybe_shared(buffer.slice(..3)).expect("a value");
    bed.origin.then(Reply::whole(b"body").value("x-name", value()));
    assert_eq!(bed.get(get()).await.field("x-name"), Some("aaa"));
    bed.quiet().await;
    assert!(buffer.is_unique());

    let other = || get_url("http://origin.example/other");
    bed.origin.then(Reply::status(401).value("www-authenticate", value()));
    let refused = bed.cache.answer(other()).await.err().expect("no object");
    assert_eq!(refused.challenge.as_ref().map(http::HeaderValue::as_bytes), Some(&b"aaa"[..]));
    assert!(buffer.is_unique());
}

#[tokio::test]
async fn a_challenge_that_is_too_long_to_be_remembered_is_not_relayed() {
    let bed = Bed::new();
    bed.origin.then(Reply::status(401).field("www-authenticate", &"a".repeat(5000)));
    let refused = bed.cache.answer(get()).await.err().expect("no object");
    assert_eq!(refused.challenge, None);
}
