//! Transfers that break after the head: gone on with when provably the same object, else an error, never a short end.

use bytes::Bytes;
use http::StatusCode;
use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::tests::origin::Reply;
use crate::{Error, Kind, Outcome};

const BODY: &[u8] = b"0123456789";

/// What one client gets, whether the transfer breaks before it has its head or after it: the bytes, or the reason.
async fn fetch(bed: &Bed) -> Result<Vec<u8>, &'static str> {
    let result = match bed.cache.answer(get()).await {
        Ok(answer) => Full::of(answer).await.body.map_err(|failure| failure.reason),
        Err(error) => Err(error.kind.reason()),
    };
    bed.quiet().await;
    result
}

/// The same, while the origin first breaks after `received` bytes and then sends `second`.
async fn after_break(received: usize, second: Reply) -> (Bed, Result<Vec<u8>, &'static str>) {
    let bed = steadfast();
    bed.origin.then(Reply::broken(BODY.len(), &BODY[..received]).etag("\"a\""));
    bed.origin.then(second);
    let result = fetch(&bed).await;
    (bed, result)
}

/// A bed whose requests do not start over.
fn steadfast() -> Bed {
    Bed::with(Settings { take_overs: 0, ..Settings::default() })
}

fn assert_cut(bed: &Bed, result: &Result<Vec<u8>, &'static str>, reason: &str, case: &str) {
    assert_eq!(*result, Err(reason), "{case}");
    assert!(bed.cache.answer_now(&get()).is_none(), "{case}: nothing is stored");
}

// 4c 31
#[tokio::test(start_paused = true)]
async fn a_broken_transfer_goes_on_at_the_first_missing_byte() {
    let (bed, result) = after_break(4, Reply::rest(BODY, 4).etag("\"a\"")).await;
    assert_eq!(result.as_deref(), Ok(BODY));
    assert_eq!(bed.origin.asked(1, "range").as_deref(), Some("bytes=4-"));
    assert_eq!(bed.origin.asked(1, "if-range").as_deref(), Some("\"a\""));
    assert_eq!(bed.origin.asked(1, "accept-encoding").as_deref(), Some("identity"));
    assert_eq!(bed.get(get()).await.how(), ("hit", "fresh"));
    assert_eq!(bed.metric("standpipe_fill_resumes_total"), 1);
    bed.quiet().await;
}

// 4c 31: an early clean end is a break as well.
#[tokio::test(start_paused = true)]
async fn a_short_end_is_gone_on_with() {
    let bed = Bed::new();
    bed.origin.then(Reply::chunked(&BODY[..4]).field("content-length", "10").etag("\"a\""));
    bed.origin.then(Reply::rest(BODY, 4).etag("\"a\""));
    assert_eq!(bed.get(get()).await.body(), BODY);
    bed.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_strong_last_modified_is_enough_to_go_on() {
    let modified = "Mon, 13 Nov 2023 00:00:00 GMT";
    let bed = Bed::new();
    let first = Reply::broken(BODY.len(), &BODY[..4]).field("last-modified", modified);
    bed.origin.then(first.field("date", "Tue, 14 Nov 2023 22:13:20 GMT"));
    bed.origin.then(Reply::rest(BODY, 4));
    assert_eq!(bed.get(get()).await.body(), BODY);
    assert_eq!(bed.origin.asked(1, "if-range").as_deref(), Some(modified));
    bed.quiet().await;
}

// 4c 28, 29
#[tokio::test(start_paused = true)]
async fn a_part_that_does_not_fit_exactly_cuts_the_followers() {
    let part = |range: &str| {
        Reply::pieces(206, vec![Ok(Bytes::from_static(&BODY[4..]))]).field("content-range", range)
    };
    let cases = [
        ("other first byte", part("bytes 3-9/10").etag("\"a\""), "origin_broken"),
        ("other total", part("bytes 4-9/11").etag("\"a\""), "object_changed"),
        ("beyond the total", part("bytes 4-10/*").etag("\"a\""), "origin_broken"),
        ("no range", Reply::status(206).etag("\"a\""), "origin_broken"),
        (
            "multipart",
            Reply::status(206).etag("\"a\"").field("content-type", "multipart/byteranges"),
            "origin_broken",
        ),
        ("other tag", Reply::rest(BODY, 4).etag("\"b\""), "object_changed"),
        ("no tag", Reply::rest(BODY, 4), "object_changed"),
        ("weak tag", Reply::rest(BODY, 4).etag("W/\"a\""), "object_changed"),
        (
            "other coding",
            Reply::rest(BODY, 4).etag("\"a\"").field("content-encoding", "gzip"),
            "object_changed",
        ),
        ("whole, other tag", Reply::whole(BODY).etag("\"b\""), "object_changed"),
        ("whole, other length", Reply::whole(b"012345678").etag("\"a\""), "object_changed"),
        ("not satisfiable", Reply::status(416), "object_changed"),
        ("more than the range", part("bytes 4-6/10").etag("\"a\""), "origin_broken"),
        ("gone", Reply::status(404), "origin_status"),
    ];
    for (case, second, reason) in cases {
        let (bed, result) = after_break(4, second).await;
        assert_cut(&bed, &result, reason, case);
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_of_unsaid_total_fits_when_the_total_is_known() {
    let part = Reply::pieces(206, vec![Ok(Bytes::from_static(&BODY[4..]))]);
    let (_, result) = after_break(4, part.field("content-range", "bytes 4-9/*").etag("\"a\"")).await;
    assert_eq!(result.as_deref(), Ok(BODY));
}

#[tokio::test(start_paused = true)]
async fn a_shorter_part_than_asked_for_is_progress() {
    let bed = Bed::new();
    bed.origin.then(Reply::broken(BODY.len(), &BODY[..4]).etag("\"a\""));
    let part = Reply::pieces(206, vec![Ok(Bytes::from_static(&BODY[4..7]))]).etag("\"a\"");
    bed.origin.then(part.field("content-range", "bytes 4-6/10"));
    bed.origin.then(Reply::rest(BODY, 7).etag("\"a\""));
    assert_eq!(bed.get(get()).await.body(), BODY);
    assert_eq!(bed.origin.asked(2, "range").as_deref(), Some("bytes=7-"));
    bed.quiet().await;
}

// 4c 28: the origin ignores Range.
#[tokio::test(start_paused = true)]
async fn a_whole_answer_of_the_same_object_is_skipped_to_the_missing_byte() {
    let (_, result) = after_break(4, Reply::whole(BODY).etag("\"a\"")).await;
    assert_eq!(result.as_deref(), Ok(BODY));
}

#[tokio::test(start_paused = true)]
async fn without_a_strong_validator_a_broken_transfer_fails() {
    for tag in ["", "W/\"a\""] {
        let bed = steadfast();
        let reply = Reply::broken(BODY.len(), &BODY[..4]);
        bed.origin.then(if tag.is_empty() { reply } else { reply.etag(tag) });
        let result = fetch(&bed).await;
        assert_cut(&bed, &result, "origin_unreachable", tag);
        assert_eq!(bed.origin.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn while_no_byte_has_come_the_transfer_starts_over() {
    let bed = Bed::new();
    bed.origin.then(Reply::broken(BODY.len(), b""));
    bed.origin.then(Reply::whole(BODY));
    assert_eq!(bed.get(get()).await.body(), BODY);
    assert_eq!(bed.origin.asked(1, "range"), None);

    let bed = steadfast();
    bed.origin.then(Reply::broken(BODY.len(), b"").etag("\"a\""));
    bed.origin.then(Reply::whole(BODY).etag("\"b\""));
    let result = fetch(&bed).await;
    assert_cut(&bed, &result, "object_changed", "the head has been sent already");
}

// 4c 31
#[tokio::test(start_paused = true)]
async fn an_unknown_length_that_breaks_is_never_complete() {
    let broken = || {
        let error = Error::new(Kind::OriginBroken, "no last chunk");
        Reply::pieces(200, vec![Ok(Bytes::from_static(&BODY[..4])), Err(error)])
    };
    let bed = steadfast();
    bed.origin.then(broken());
    let result = fetch(&bed).await;
    assert_cut(&bed, &result, "origin_broken", "no validator");

    let bed = Bed::new();
    bed.origin.then(broken().etag("\"a\""));
    bed.origin.then(Reply::rest(BODY, 4).etag("\"a\""));
    assert_eq!(bed.get(get()).await.body(), BODY);

    let bed = steadfast();
    bed.origin.then(broken().etag("\"a\""));
    let part = Reply::pieces(206, vec![Ok(Bytes::from_static(&BODY[4..]))]).etag("\"a\"");
    bed.origin.then(part.field("content-range", "bytes 4-9/*"));
    let result = fetch(&bed).await;
    assert_cut(&bed, &result, "origin_broken", "where the object ends is not known");

    let bed = steadfast();
    bed.origin.then(broken().etag("\"a\""));
    bed.origin.then(Reply::whole(&BODY[..2]).etag("\"a\""));
    let result = fetch(&bed).await;
    assert_cut(&bed, &result, "object_changed", "the repeated answer is shorter, as it says itself");
}

// 4c 33, 34, 39: mid-way refusals and stalls.
#[tokio::test(start_paused = true)]
async fn going_on_is_tried_again_within_the_time_without_progress() {
    let bed = Bed::new();
    bed.origin.then(Reply::broken(BODY.len(), &BODY[..9]).etag("\"a\""));
    bed.origin.then(Reply::error(Kind::OriginTimeout));
    bed.origin.then(Reply::status(503).field("retry-after", "3"));
    bed.origin.then(Reply::rest(BODY, 9).etag("\"a\""));
    assert_eq!(bed.get(get()).await.body(), BODY);

    let bed = steadfast();
    bed.origin.then(Reply::broken(BODY.len(), &BODY[..9]).etag("\"a\""));
    bed.origin.always(|_| Reply::error(Kind::OriginTimeout));
    let started = Instant::now();
    let result = fetch(&bed).await;
    assert_cut(&bed, &result, "origin_timeout", "the origin stays away");
    let took = started.elapsed();
    assert!(took <= Settings::default().resume_for && took > Duration::from_secs(20), "{took:?}");

    let (bed, result) = after_break(4, Reply::status(503).field("retry-after", "60")).await;
    assert_cut(&bed, &result, "origin_status", "asked to wait too long");
}

// 4c 34
#[tokio::test(start_paused = true)]
async fn progress_gives_new_time() {
    let bed = steadfast();
    bed.origin.then(Reply::broken(BODY.len(), &BODY[..1]).etag("\"a\""));
    for at in 1..5 {
        bed.origin.then(Reply::status(503).field("retry-after", "20"));
        let reset = Err(Error::new(Kind::OriginUnreachable, "reset"));
        let part = Reply::pieces(206, vec![Ok(Bytes::copy_from_slice(&BODY[at..=at])), reset]);
        bed.origin.then(part.etag("\"a\"").field("content-range", &format!("bytes {at}-9/10")));
    }
    bed.origin.then(Reply::rest(BODY, 5).etag("\"a\""));
    assert_eq!(fetch(&bed).await.as_deref(), Ok(BODY));
}

// 4c 32
#[tokio::test(start_paused = true)]
async fn an_error_that_says_there_is_more_than_declared_spoils_the_object() {
    let bed = steadfast();
    let error = Err(Error::new(Kind::OriginBroken, "bytes after the end"));
    let reply = Reply::pieces(200, vec![Ok(Bytes::from_static(BODY)), error]);
    bed.origin.then(reply.field("content-length", "10"));
    if let Ok(answer) = bed.cache.answer(get()).await {
        drop(Full::of(answer).await);
    }
    bed.quiet().await;
    assert!(bed.cache.answer_now(&get()).is_none());
}

#[tokio::test(start_paused = true)]
async fn an_error_after_the_last_declared_byte_does_no_harm() {
    let bed = Bed::new();
    bed.origin.then(Reply::broken(BODY.len(), BODY));
    assert_eq!(bed.get(get()).await.body(), BODY);
    bed.quiet().await;
    assert_eq!(bed.get(get()).await.how(), ("hit", "fresh"));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_still_waits_for_its_head_takes_over_when_the_body_breaks() {
    let bed = Bed::new();
    let (reply, body) = Reply::live();
    bed.origin.then(reply);
    bed.origin.then(Reply::whole(BODY));
    let waiting = bed.spawn(range("bytes=5-6"));
    settle().await;
    body.send(Ok(Bytes::from_static(&BODY[..3]))).expect("taken");
    body.send(Err(Error::new(Kind::OriginUnreachable, "reset"))).expect("taken");
    let full = Full::of(waiting.await.expect("no panic").expect("an answer")).await;
    assert_eq!((full.status, full.body()), (206, &b"56"[..]));
    assert_eq!(bed.origin.count(), 2);
    bed.quiet().await;
}

/// What a break-happy origin does with the n-th request.
#[derive(Clone, Debug)]
enum Mood {
    /// Serves what was asked for and breaks after so many bytes.
    Break(usize),
    /// The same, with a clean end.
    End(usize),
    /// Ignores the range.
    Whole(usize),
    Refuse,
    /// The object has become another one.
    Change,
}

/// Whether the origin says how long its object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Declared,
    Chunked,
}

fn moods() -> impl Strategy<Value = Vec<Mood>> {
    let mood = prop_oneof![
        4 => (0..200_000_usize).prop_map(Mood::Break),
        2 => (0..200_000_usize).prop_map(Mood::End),
        2 => (0..200_000_usize).prop_map(Mood::Whole),
        1 => Just(Mood::Refuse),
        1 => Just(Mood::Change),
    ];
    prop::collection::vec(mood, 0..6)
}

/// An origin that knows ranges and follows its moods, then behaves.
fn moody(bed: &Bed, source: Vec<u8>, moods: Vec<Mood>, framing: Framing) {
    let state = parking_lot::Mutex::new((moods.into_iter(), "\"a\""));
    bed.origin.always(move |request| {
        let mut state = state.lock();
        let mood = state.0.next();
        if matches!(mood, Some(Mood::Refuse)) {
            return Reply::status(503);
        }
        let mut body = source.clone();
        if matches!(mood, Some(Mood::Change)) {
            state.1 = "\"b\"";
        }
        if state.1 != "\"a\"" {
            body.reverse();
        }
        let text = |name| request.headers.get(name).and_then(|value| value.to_str().ok());
        let asked =
            text("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let first =
            asked.filter(|_| text("if-range") == Some(state.1) && !matches!(mood, Some(Mood::Whole(_))));
        let start: usize = first.unwrap_or(0);
        let rest = &body[start..];
        let (limit, breaks) = match mood {
            Some(Mood::Break(limit) | Mood::Whole(limit)) => (limit, true),
            Some(Mood::End(limit)) => (limit, framing == Framing::Chunked && limit < rest.len()),
            _ => (usize::MAX, false),
        };
        let sent = &rest[..limit.min(rest.len())];
        let mut pieces: Vec<_> = sent.chunks(40_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        if breaks {
            pieces.push(Err(Error::new(Kind::OriginUnreachable, "reset")));
        }
        let reply = Reply::pieces(if first.is_some() { 206 } else { 200 }, pieces).etag(state.1);
        match first {
            Some(_) => {
                reply.field("content-range", &format!("bytes {start}-{}/{}", body.len() - 1, body.len()))
            }
            None if framing == Framing::Declared => reply.field("content-length", &body.len().to_string()),
            None => reply,
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn however_the_origin_breaks_a_client_gets_exactly_one_version_or_an_error(
        length in prop_oneof![Just(0_usize), 1..2000_usize, 60_000..300_000_usize],
        moods in moods(),
        framing in prop_oneof![Just(Framing::Declared), Just(Framing::Chunked)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let bed = Bed::new();
            let source = content(length);
            let mut changed = source.clone();
            changed.reverse();
            moody(&bed, source.clone(), moods, framing);
            if let Ok(answer) = bed.cache.answer(get()).await {
                let tag = answer.headers["etag"].clone();
                let version = if tag == "\"a\"" { &source } else { &changed };
                if let Ok(body) = Full::of(answer).await.body {
                    assert!(&body == version, "{} bytes of {}", body.len(), version.len());
                }
            }
            bed.quiet().await;
            if let Some(hit) = bed.cache.answer_now(&get()) {
                let hit = Full::of(hit).await;
                let version = if hit.field("etag") == Some("\"a\"") { &source } else { &changed };
                assert!(hit.body() == version, "what is stored is exact");
            }
        });
    }
}

#[test]
fn a_status_is_one_of_the_kinds_that_end_a_transfer() {
    let error = Error::new(Kind::OriginStatus(StatusCode::NOT_FOUND), "gone");
    assert_eq!(Error::from_failure(&error.to_failure()).kind, Kind::OriginBroken);
    let error = Error::new(Kind::ObjectChanged, "changed");
    assert_eq!(Error::from_failure(&error.to_failure()).kind, Kind::ObjectChanged);
}

#[tokio::test]
async fn an_object_whose_replacement_breaks_is_kept() {
    let bed = Bed::with(Settings { retry_for: Duration::ZERO, take_overs: 0, ..Settings::default() });
    bed.origin.then(Reply::whole(b"old").etag("\"a\""));
    bed.get(get()).await;
    bed.quiet().await;
    bed.advance(2 * SECOND);
    bed.origin.then(Reply::broken(BODY.len(), &BODY[..4]).etag("W/\"b\""));
    // The transfer breaks before the client has its head or after it.
    drop(bed.cache.answer(ttl(SECOND)).await);
    bed.quiet().await;

    bed.origin.always(|_| Reply::error(Kind::OriginUnreachable));
    let stale = bed.get(ttl(SECOND)).await;
    assert_eq!((stale.body(), stale.outcome), (&b"old"[..], Outcome::Stale));
    assert_eq!(bed.origin.asked(2, "if-none-match").as_deref(), Some("\"a\""));
}

#[tokio::test]
async fn who_waits_for_replacements_that_all_break_gets_the_stale_object() {
    let bed = Bed::with(Settings { retry_for: Duration::ZERO, ..Settings::default() });
    bed.origin.then(Reply::whole(b"old").etag("\"a\""));
    bed.get(get()).await;
    bed.quiet().await;
    bed.advance(2 * SECOND);
    bed.origin.always(|_| Reply::broken(BODY.len(), &BODY[..4]).etag("W/\"b\""));
    let demand = Request { expected: Some(Digest::of(b"old")), ..ttl(SECOND) };
    assert_eq!(bed.get(demand).await.how(), ("stale", "origin_down"));
    assert_eq!(bed.origin.count(), 2 + Settings::default().take_overs as usize);
    bed.quiet().await;
}

/// A transfer that breaks before its first byte, with the pieces it brings after the head.
fn headless(bed: &Bed, kind: Kind) {
    bed.origin.always(move |_| {
        Reply::pieces(200, vec![Err(Error::new(kind, "as the test says"))]).field("content-length", "4")
    });
}

// Regression: clients got a head with a length and then a broken connection, although nothing had been promised yet.
#[tokio::test(start_paused = true)]
async fn a_transfer_that_breaks_before_its_first_byte_is_a_refusal_for_everybody_who_waits() {
    for kind in [Kind::OriginUnreachable, Kind::OriginTimeout, Kind::OriginBroken] {
        let bed = Bed::new();
        headless(&bed, kind);
        let started = tokio::time::Instant::now();
        let waiting: Vec<_> = [get(), get(), range("bytes=2-3"), range("bytes=0-0,2-2")]
            .map(|request| bed.spawn(request))
            .into();
        for answer in waiting {
            assert_eq!(answer.await.expect("no panic").err().expect("a refusal").kind, kind);
        }
        assert!(started.elapsed() <= Settings::default().resume_for, "{:?}", started.elapsed());
        assert_eq!(bed.cache.stats().fills_started, 1, "the fill itself has tried often enough");
        bed.quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_changes_before_its_first_byte_is_fetched_anew() {
    let bed = Bed::new();
    bed.origin.then(Reply::broken(4, b"").etag("\"a\""));
    bed.origin.then(Reply::whole(b"changed").etag("\"b\""));
    bed.origin.then(Reply::whole(b"changed").etag("\"b\""));
    let answer = bed.get(get()).await;
    assert_eq!((answer.body(), answer.field("etag")), (&b"changed"[..], Some("\"b\"")));
    bed.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_stale_object_stands_in_for_a_transfer_without_a_byte() {
    let bed = Bed::new();
    bed.origin.then(Reply::whole(b"old").etag("\"a\""));
    bed.get(ttl(SECOND)).await;
    bed.quiet().await;
    bed.advance(2 * SECOND);
    headless(&bed, Kind::OriginUnreachable);
    let answer = bed.get(ttl(SECOND)).await;
    assert_eq!((answer.body(), answer.outcome), (&b"old"[..], Outcome::Stale));
    bed.quiet().await;
}
