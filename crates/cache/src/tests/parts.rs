//! Conditions and ranges, on complete and on growing objects.

use super::*;
use crate::tests::origin::Reply;

const TAG: &str = "\"a\"";
const MODIFIED: &str = "Mon, 13 Nov 2023 00:00:00 GMT";

/// A bed with `body` stored.
async fn stored(body: &[u8]) -> Bed {
    let bed = Bed::new();
    let reply = Reply::whole(body).etag(TAG).field("last-modified", MODIFIED).field("content-type", "text/x");
    bed.origin.then(reply.field("content-md5", "x").field("date", "Tue, 14 Nov 2023 22:13:20 GMT"));
    bed.get(get()).await;
    bed.quiet().await;
    bed
}

#[tokio::test]
async fn single_ranges_of_a_complete_object() {
    let bed = stored(b"0123456789").await;
    let cases = [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=9-9", "9", "bytes 9-9/10"),
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=7-99", "789", "bytes 7-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=-99", "0123456789", "bytes 0-9/10"),
    ];
    for (asked, body, content_range) in cases {
        let part = bed.get(range(asked)).await;
        assert_eq!((part.status, part.body()), (206, body.as_bytes()), "{asked}");
        assert_eq!(part.field("content-range"), Some(content_range));
        assert_eq!(part.length, Some(body.len() as u64));
        assert_eq!((part.field("etag"), part.field("content-type")), (Some(TAG), Some("text/x")));
        assert_eq!(part.field("content-md5"), None, "a digest of the whole does not describe a part");
    }
}

// 4c 24
#[tokio::test]
async fn ranges_that_do_not_exist_are_refused_with_the_total() {
    let bed = stored(b"0123456789").await;
    for asked in ["bytes=10-", "bytes=9223372036854775808-", "bytes=-0"] {
        let refused = bed.get(range(asked)).await;
        assert_eq!((refused.status, refused.field("content-range")), (416, Some("bytes */10")), "{asked}");
        assert_eq!((refused.body(), refused.length), (&b""[..], Some(0)));
    }
    let empty = stored(b"").await;
    assert_eq!(empty.get(range("bytes=0-")).await.field("content-range"), Some("bytes */0"));
}

// 4c 25
#[tokio::test]
async fn several_ranges_come_as_parts_with_an_exact_length() {
    let bed = stored(b"0123456789").await;
    let multi = bed.get(range("bytes=0-1,5-5,-2")).await;
    assert_eq!((multi.status, multi.length), (206, Some(multi.body().len() as u64)));
    let kind = multi.field("content-type").expect("a type");
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
    let part = |range: &str, body: &str| {
        format!("--{boundary}\r\nContent-Type: text/x\r\nContent-Range: bytes {range}/10\r\n\r\n{body}\r\n")
    };
    let expected =
        [part("0-1", "01"), part("5-5", "5"), part("8-9", "89"), format!("--{boundary}--\r\n")].concat();
    assert_eq!(String::from_utf8_lossy(multi.body()), expected);
    assert_eq!(multi.field("content-range"), None);

    let again = bed.get(range("bytes=0-1,5-5,-2")).await;
    assert_ne!(again.field("content-type"), multi.field("content-type"), "a boundary is used once");
}

#[tokio::test]
async fn preconditions_on_a_complete_object() {
    let bed = stored(b"0123456789").await;
    let cases: [(&[(&'static str, &str)], u16); 9] = [
        (&[("if-none-match", TAG)], 304),
        (&[("if-none-match", "\"x\", W/\"a\"")], 304),
        (&[("if-none-match", "\"x\"")], 200),
        (&[("if-modified-since", MODIFIED)], 304),
        (&[("if-modified-since", "Sun, 12 Nov 2023 00:00:00 GMT")], 200),
        (&[("if-match", "\"x\"")], 412),
        (&[("if-match", TAG)], 200),
        (&[("if-unmodified-since", "Sun, 12 Nov 2023 00:00:00 GMT")], 412),
        (&[("if-none-match", TAG), ("range", "bytes=0-1")], 304),
    ];
    for (fields, status) in cases {
        let answer = bed.get(with_fields(fields)).await;
        assert_eq!(answer.status, status, "{fields:?}");
        assert_eq!(answer.field("etag"), Some(TAG));
        if status == 304 {
            assert_eq!((answer.body(), answer.length), (&b""[..], None));
            assert_eq!(answer.field("last-modified"), Some(MODIFIED));
            assert_eq!((answer.field("content-type"), answer.field("age")), (None, Some("0")));
        }
        if status == 412 {
            assert_eq!((answer.body(), answer.length), (&b""[..], Some(0)));
        }
    }
}

// 4c 26
#[tokio::test]
async fn if_range_decides_between_part_and_whole() {
    let bed = stored(b"0123456789").await;
    let cases = [
        (TAG, 206),
        ("W/\"a\"", 200),
        ("\"x\"", 200),
        (MODIFIED, 206),
        ("Sun, 12 Nov 2023 00:00:00 GMT", 200),
    ];
    for (validator, status) in cases {
        let answer = bed.get(with_fields(&[("range", "bytes=2-3"), ("if-range", validator)])).await;
        assert_eq!(answer.status, status, "{validator}");
        assert_eq!(answer.body(), if status == 206 { &b"23"[..] } else { b"0123456789" });
    }
}

#[tokio::test]
async fn head_ignores_the_range() {
    let bed = stored(b"0123456789").await;
    let answer = bed.get(Request { method: Method::Head, ..range("bytes=2-3") }).await;
    assert_eq!((answer.status, answer.length, answer.body()), (200, Some(10), &b""[..]));
}

#[tokio::test]
async fn a_range_of_a_growing_object_comes_at_once_when_it_is_there_and_else_when_it_comes() {
    let bed = Bed::new();
    let body = content(200_000);
    let (reply, sender) = Reply::live();
    bed.origin.then(reply.field("content-length", "200000").etag(TAG));
    sender.send(Ok(body[..100_000].to_vec().into())).expect("taken");
    let mut leader = bed.cache.answer(get()).await.expect("a head");
    assert_eq!(take(&mut leader.payload, 100_000).await, &body[..100_000]);

    let there = bed.get(range("bytes=50000-50009")).await;
    assert_eq!((there.status, there.body()), (206, &body[50_000..50_010]));
    assert_eq!(there.field("content-range"), Some("bytes 50000-50009/200000"));
    let mut later = bed.cache.answer(range("bytes=-10")).await.expect("a head: the total is known");
    assert_eq!(later.headers["content-range"], "bytes 199990-199999/200000");
    let multi = bed.cache.answer(range("bytes=0-1,199998-199999")).await.expect("a head");
    assert_eq!(bed.get(range("bytes=200000-")).await.status, 416);
    assert_eq!(bed.get(with_fields(&[("if-none-match", TAG)])).await.status, 304);

    sender.send(Ok(body[100_000..].to_vec().into())).expect("taken");
    drop(sender);
    assert_eq!(collect(&mut later.payload).await.expect("the end"), &body[199_990..]);
    let multi = Full::of(multi).await;
    assert_eq!(multi.length, Some(multi.body().len() as u64));
    assert_eq!(collect(&mut leader.payload).await.expect("the end"), &body[100_000..]);
    assert_eq!(bed.origin.count(), 1);
    bed.quiet().await;
}

#[tokio::test]
async fn a_closed_range_of_unknown_total_is_answered_when_its_last_byte_is_there() {
    let bed = Bed::new();
    let (reply, sender) = Reply::live();
    bed.origin.then(reply);
    sender.send(Ok("0123".into())).expect("taken");
    let mut leader = bed.cache.answer(get()).await.expect("a head");
    assert_eq!(take(&mut leader.payload, 4).await, b"0123");
    let there = bed.get(range("bytes=1-2")).await;
    assert_eq!((there.body(), there.field("content-range")), (&b"12"[..], Some("bytes 1-2/*")));

    let waiting = bed.spawn(range("bytes=2-5"));
    let next_byte = bed.spawn(range("bytes=3-4"));
    let suffix = bed.spawn(range("bytes=-2"));
    let beyond = bed.spawn(range("bytes=20-30"));
    settle().await;
    assert!(!next_byte.is_finished());
    assert!(!waiting.is_finished() && !suffix.is_finished() && !beyond.is_finished());
    sender.send(Ok("4567".into())).expect("taken");
    let came = Full::of(waiting.await.expect("no panic").expect("an answer")).await;
    assert_eq!((came.body(), came.field("content-range")), (&b"2345"[..], Some("bytes 2-5/*")));
    sender.send(Ok("89".into())).expect("taken");
    drop(sender);
    let came = Full::of(suffix.await.expect("no panic").expect("an answer")).await;
    assert_eq!((came.body(), came.field("content-range")), (&b"89"[..], Some("bytes 8-9/10")));
    let refused = Full::of(beyond.await.expect("no panic").expect("an answer")).await;
    assert_eq!((refused.status, refused.field("content-range")), (416, Some("bytes */10")));
    bed.quiet().await;
}

#[tokio::test]
async fn a_range_that_reaches_beyond_an_end_found_later_is_clamped_to_the_true_total() {
    let bed = Bed::new();
    let (reply, sender) = Reply::live();
    bed.origin.then(reply);
    let waiting = bed.spawn(range("bytes=2-99"));
    sender.send(Ok("0123".into())).expect("taken");
    drop(sender);
    let part = Full::of(waiting.await.expect("no panic").expect("an answer")).await;
    assert_eq!((part.body(), part.field("content-range")), (&b"23"[..], Some("bytes 2-3/4")));
    bed.quiet().await;
}

#[tokio::test]
async fn a_payload_that_ends_before_its_declared_length_ends_with_an_error() {
    let bed = stored(b"0123456789").await;
    let body = bed.cache.reader().lookup(&get().target.key).expect("stored").body.clone();
    let view = crate::payload::View { body, expected: None };
    let mut payload = Payload::part(&view, 0..10, Some(11), crate::Source::Cache);
    assert_eq!(collect(&mut payload).await.expect_err("one byte is missing").reason, "origin_broken");
    let mut payload = Payload::part(&view, 0..10, Some(9), crate::Source::Cache);
    assert!(collect(&mut payload).await.is_err(), "one byte too many");
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_body_that_breaks_ends_with_an_error() {
    let bed = Bed::new();
    let (reply, sender) = Reply::live();
    bed.origin.then(reply.field("content-length", "10"));
    sender.send(Ok("01234".into())).expect("taken");
    let part = bed.cache.answer(range("bytes=2-7")).await.expect("a head");
    let multi = bed.cache.answer(range("bytes=0-1,8-9")).await.expect("a head");
    sender.send(Err(crate::Error::new(crate::Kind::OriginUnreachable, "reset"))).expect("taken");
    assert!(Full::of(part).await.body.is_err());
    assert!(Full::of(multi).await.body.is_err());
}
