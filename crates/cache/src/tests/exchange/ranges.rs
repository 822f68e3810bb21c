//! Ranges in pieces (RFC 9110 section 14, RFC 9111 section 3.4).

use super::*;

/// An origin that answers ranges of `body`.
fn ranged(bed: &Bed, body: Vec<u8>) {
    ranged_as(bed, body, |reply| reply.field("cache-control", "max-age=60").field("etag", "\"v1\""));
}

fn ranged_as(bed: &Bed, body: Vec<u8>, answer: impl Fn(Reply) -> Reply + Send + Sync + 'static) {
    bed.origin.always(move |request| {
        let Some(range) = request.headers.get("range") else { return answer(Reply::whole(&body)) };
        let range = range.to_str().expect("text").strip_prefix("bytes=").expect("a range");
        let (first, last) = range.split_once('-').expect("a range");
        let first: usize = first.parse().expect("a number");
        let last = last.parse::<usize>().map_or(body.len() - 1, |last| last.min(body.len() - 1));
        let field = format!("bytes {first}-{last}/{}", body.len());
        answer(
            Reply::pieces(206, vec![Ok(bytes::Bytes::copy_from_slice(&body[first..=last]))])
                .field("content-range", &field),
        )
    });
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect()
}

const PIECE: usize = 64 << 10;

fn in_pieces() -> Bed {
    Bed::with(Settings { piece: PIECE as u64, ..Settings::default() })
}

fn by_pieces(asked: Asked) -> Asked {
    let rule = Rule { range_fill: crate::RangeFill::Pieces, ..Rule::plain("pieces") };
    Asked { rule: Arc::new(rule), ..asked }
}

#[tokio::test]
async fn rfc9111_3_4_ranges_bring_pieces_which_become_the_whole() {
    let bed = in_pieces();
    let body = content(10 * PIECE + 77);
    ranged(&bed, body.clone());
    let ask = |range: &'static str| by_pieces(get().field("range", range));
    let first = bed.exchange(ask("bytes=70000-70009")).await;
    assert_eq!((first.status, first.body.expect("a body")), (206, body[70_000..70_010].to_vec()));
    assert_eq!(first.headers["content-range"], format!("bytes 70000-70009/{}", body.len()));
    assert_eq!(bed.origin.asked(0, "range").as_deref(), Some("bytes=65536-131071"));
    bed.quiet().await;
    let again = bed.exchange(ask("bytes=65536-131071")).await;
    assert_eq!((again.outcome, again.body.expect("a body").len()), (Outcome::Hit, PIECE));
    assert_eq!(bed.origin.count(), 1);
    // Only what is missing is asked for, in few requests.
    let wide = bed.exchange(ask("bytes=10-200000")).await;
    assert_eq!((wide.outcome, wide.body.expect("a body")), (Outcome::Partial, body[10..200_001].to_vec()));
    bed.quiet().await;
    assert_eq!(bed.origin.count(), 3);
    assert_eq!(bed.origin.asked(1, "range").as_deref(), Some("bytes=0-65535"));
    assert_eq!(bed.origin.asked(2, "range").as_deref(), Some("bytes=131072-262143"));
    assert_eq!(bed.origin.asked(2, "if-range").as_deref(), Some("\"v1\""));
    let tail = bed.exchange(ask("bytes=-7")).await;
    assert_eq!(tail.body.expect("a body"), body[body.len() - 7..]);
    bed.quiet().await;
    let whole = bed.exchange(by_pieces(get())).await;
    assert_eq!((whole.status, whole.body.expect("a body")), (200, body.clone()));
    bed.quiet().await;
    // A disk thread hashes it yet.
    let entry = bed.cache.reader().lookup_partial(&target(URL).key).expect("it is there");
    entry.body.wait_complete().await.expect("the whole");
    let asked = bed.origin.count();
    let hit = bed.exchange(get()).await;
    assert_eq!((hit.outcome, hit.body.expect("a body")), (Outcome::Hit, body));
    assert!(hit.headers.contains_key("repr-digest"), "it is an ordinary object now");
    assert_eq!(bed.origin.count(), asked);
}

#[tokio::test]
async fn several_ranges_of_what_is_not_there_come_in_pieces() {
    let bed = in_pieces();
    let body = content(5 * PIECE);
    ranged(&bed, body.clone());
    let answer = bed.exchange(by_pieces(get().field("range", "bytes=0-9,200000-200009"))).await;
    assert_eq!(answer.status, 206);
    let text = answer.body.expect("a body");
    assert!(text.windows(10).any(|window| window == &body[200_000..200_010]));
}

#[tokio::test]
async fn rfc9111_3_4_pieces_of_two_versions_never_mix() {
    let bed = in_pieces();
    let (old, new) = (content(4 * PIECE), vec![7; 4 * PIECE]);
    ranged(&bed, old.clone());
    let ask = |range: &'static str| by_pieces(get().field("range", range));
    bed.exchange(ask("bytes=0-9")).await;
    bed.quiet().await;
    let changed = new.clone();
    bed.origin.always(move |request| {
        let reply = Reply::whole(&changed);
        assert!(request.headers.contains_key("if-range") || !request.headers.contains_key("range"));
        reply.field("cache-control", "max-age=60").field("etag", "\"v2\"")
    });
    let broken = bed.try_exchange(ask("bytes=100-100000")).await;
    let body = match broken {
        Ok(answer) => Full::of(answer).await.body.ok(),
        Err(_) => None,
    };
    assert!(body.is_none_or(|body| body == new[100..=100_000]), "never the one and then the other");
    bed.quiet().await;
    ranged(&bed, new.clone());
    assert_eq!(bed.exchange(ask("bytes=0-9")).await.body.expect("a body"), new[..10]);
}

#[tokio::test]
async fn an_origin_that_knows_no_ranges_brings_the_whole() {
    let bed = in_pieces();
    bed.replies(|| fresh(b"0123456789"));
    let part = bed.exchange(by_pieces(get().field("range", "bytes=2-4"))).await;
    assert_eq!((part.status, part.body.expect("a body")), (206, b"234".to_vec()));
    bed.quiet().await;
    assert_eq!(bed.exchange(get()).await.outcome, Outcome::Hit);
    assert_eq!(bed.origin.count(), 1);
}

#[tokio::test]
async fn a_piece_that_does_not_come_breaks_only_those_who_want_it() {
    let bed = in_pieces();
    let body = content(4 * PIECE);
    ranged(&bed, body.clone());
    let ask = |range: &'static str| by_pieces(get().field("range", range));
    bed.exchange(ask("bytes=0-9")).await;
    bed.quiet().await;
    bed.replies(|| Reply::status(500));
    let broken = bed.try_exchange(ask("bytes=100000-200000")).await;
    let is_broken = match broken {
        Ok(answer) => Full::of(answer).await.body.is_err(),
        Err(_) => true,
    };
    // The origin was asked for this request alone, or the answer broke.
    assert!(is_broken || bed.origin.count() > 2);
    assert_eq!(bed.exchange(ask("bytes=5-9")).await.body.expect("a body"), body[5..10]);
}

/// One answer holds all of it: nothing has to be proved to belong together.
#[tokio::test]
async fn rfc9111_3_3_a_part_that_is_the_whole_is_stored_as_the_whole() {
    let bed = in_pieces();
    let body = content(1000);
    ranged_as(&bed, body.clone(), |reply| reply.field("cache-control", "max-age=60"));
    let part = bed.exchange(by_pieces(get().field("range", "bytes=10-19"))).await;
    assert_eq!((part.status, part.body.expect("a body")), (206, body[10..20].to_vec()));
    bed.quiet().await;
    let whole = bed.exchange(get()).await;
    assert_eq!((whole.outcome, whole.status, whole.body.expect("a body")), (Outcome::Hit, 200, body));
    assert!(!whole.headers.contains_key("content-range"));
    assert_eq!(bed.origin.count(), 1);
}

/// Without a validator no two parts can be proved to belong together, so each range is the origin's to answer: once.
#[tokio::test]
async fn parts_that_cannot_be_kept_are_not_asked_for_twice() {
    let bed = in_pieces();
    let body = content(3 * PIECE);
    ranged_as(&bed, body.clone(), |reply| reply.field("cache-control", "max-age=60"));
    for (range, asked) in [("bytes=10-19", 2), ("bytes=70000-70009", 3), ("bytes=1-3", 4)] {
        let part = bed.exchange(by_pieces(get().field("range", range))).await;
        assert_eq!((part.status, part.outcome), (206, Outcome::Bypass), "{range}");
        bed.quiet().await;
        assert_eq!(bed.origin.count(), asked, "{range}");
        assert_eq!(bed.origin.asked(asked - 1, "range").as_deref(), Some(range));
    }
    let whole = bed.exchange(get()).await;
    assert_eq!((whole.outcome, whole.body.expect("a body")), (Outcome::Miss, body));
    bed.quiet().await;
    assert_eq!(bed.exchange(get()).await.outcome, Outcome::Hit);
}
