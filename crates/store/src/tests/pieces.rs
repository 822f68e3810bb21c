//! Bodies with holes, filled in pieces by several at once.

mod keeping;
mod versions;

use std::ops::Range;
use std::sync::Arc;

use super::support::*;
use crate::*;

/// Shortest piece.
const PIECE: u64 = 64 << 10;
const LENGTH: u64 = 5 * PIECE + 1000;

fn bytes() -> Vec<u8> {
    source(LENGTH as usize, 1)
}

fn part(range: Range<u64>) -> bytes::Bytes {
    bytes()[range.start as usize..range.end as usize].to_vec().into()
}

fn one(range: Range<u64>) -> Vec<Range<u64>> {
    Vec::from([range])
}

async fn begun(house: &House, key: u8, promised: Option<Digest>) -> Arc<Entry<Plain>> {
    let spec = PartialSpec { length: LENGTH, promised };
    match house.claim(key).publish_partial(3, spec, 0..0, 0).await {
        Ok((entry, _)) => entry,
        Err((_, refused)) => panic!("{refused:?}"),
    }
}

fn claims(house: &House, entry: &Arc<Entry<Plain>>, range: Range<u64>) -> Vec<PieceClaim> {
    house.writer.claim_pieces(entry, range, PIECE, usize::MAX)
}

fn ranges(claims: &[PieceClaim]) -> Vec<Range<u64>> {
    claims.iter().map(PieceClaim::range).collect()
}

async fn fill_piece(claim: PieceClaim) {
    let range = claim.range();
    let mut fill = claim.begin().await.unwrap();
    fill.write(part(range)).await.unwrap();
    fill.finish().await.unwrap();
}

/// Fills what of `range` can be claimed.
async fn fill(house: &House, entry: &Arc<Entry<Plain>>, range: Range<u64>) {
    for claim in claims(house, entry, range) {
        fill_piece(claim).await;
    }
}

async fn read(body: &Arc<Body>, range: Range<u64>) -> Vec<u8> {
    let (bytes, failure) = drain(body.read(range)).await;
    assert_eq!(failure, None);
    bytes
}

/// It is an ordinary entry by now.
async fn check_complete(house: &House, key: u8) {
    house.writer.settle().await;
    let entry = house.writer.reader().find(&key_of(key)).await.unwrap();
    assert_eq!(entry.body.wait_complete().await, Ok((LENGTH, Digest::of(&bytes()))));
    assert!(!entry.body.is_partial() && read(&entry.body, 0..u64::MAX).await == bytes());
    drop(entry);
    house.writer.settle().await;
    assert_eq!((house.usage().used, house.files("parts"), house.files("fills")), (LENGTH, 0, 0));
    assert_eq!(house.body(&Digest::of(&bytes())), bytes());
}

#[tokio::test]
async fn pieces_come_in_any_order_and_the_last_makes_an_ordinary_entry() {
    let house = House::new(4 << 20);
    let entry = begun(&house, 1, None).await;
    let mut all = claims(&house, &entry, 0..LENGTH);
    assert_eq!(all.len(), 6);
    assert_eq!(all[5].range(), 5 * PIECE..LENGTH, "the last ends with the body");
    let whole = tokio::spawn(drain(entry.body.read(0..u64::MAX)));
    let end = tokio::spawn(drain(entry.body.read(LENGTH - 10..u64::MAX)));
    fill_piece(all.pop().unwrap()).await;
    assert_eq!(
        end.await.unwrap(),
        (part(LENGTH - 10..LENGTH).to_vec(), None),
        "it does not wait for the rest"
    );
    for at in [0, 3, 2, 1, 0] {
        assert!(entry.body.is_partial() && house.writer.reader().lookup(&key_of(1)).is_none());
        fill_piece(all.remove(at.min(all.len() - 1))).await;
    }
    assert_eq!(whole.await.unwrap(), (bytes(), None));
    drop(entry);
    check_complete(&house, 1).await;
    assert_eq!(house.metric("closed_total"), 1);
    let house = house.reopened();
    check_complete(&house, 1).await;
}

#[tokio::test]
async fn what_is_claimed_is_what_is_missing_cut_at_multiples() {
    let house = House::new(4 << 20);
    let entry = begun(&house, 1, None).await;
    let middle = claims(&house, &entry, PIECE + 5..PIECE + 6);
    assert_eq!(ranges(&middle), one(PIECE..2 * PIECE));
    let mut fill = { middle }.pop().unwrap().begin().await.unwrap();
    fill.write(part(PIECE..PIECE + 100)).await.unwrap();
    fill.flush().await.unwrap();
    assert_eq!(fill.position(), PIECE + 100);
    assert!(claims(&house, &entry, PIECE..2 * PIECE).is_empty(), "somebody fills it");
    drop(fill);
    let rest = house.writer.claim_pieces(&entry, 0..3 * PIECE, 2 * PIECE, 2);
    assert_eq!(ranges(&rest), [0..PIECE, PIECE + 100..2 * PIECE], "at most two");
    assert!(claims(&house, &entry, LENGTH..u64::MAX).is_empty(), "nothing is behind the end");
    assert!(claims(&house, &entry, 7..7).is_empty(), "nothing is in nothing");
    assert_eq!(ranges(&claims(&house, &entry, 2 * PIECE..u64::MAX)).len(), 4);
}

#[tokio::test]
async fn a_body_has_a_limited_number_of_claims() {
    let house = House::new(4 << 20);
    let spec = PartialSpec { length: 1000 * PIECE, promised: None };
    let Ok((entry, _)) = house.claim(1).publish_partial(0, spec, 0..0, 0).await else {
        panic!("it takes no room")
    };
    let some = claims(&house, &entry, 0..u64::MAX);
    assert_eq!(some.len(), 256);
    let next = 256 * PIECE..257 * PIECE;
    assert!(claims(&house, &entry, next.clone()).is_empty());
    assert_eq!(entry.body.range_now(next.clone()), Some(Ranged::Unclaimed(next.clone())));
    drop(some);
    assert_eq!(ranges(&claims(&house, &entry, next.clone())), one(next));
    assert_eq!(house.usage().used, 0, "claims alone take no room");
}

#[tokio::test]
async fn a_dropped_claim_is_heard_of_by_everybody_who_waits() {
    let house = House::new(4 << 20);
    let entry = begun(&house, 1, None).await;
    let waiting = PIECE - 10..PIECE + 10;
    assert_eq!(entry.body.range_now(waiting.clone()), Some(Ranged::Unclaimed(waiting.clone())));
    let mut claimed = claims(&house, &entry, waiting.clone());
    let mut reader = entry.body.read(waiting.clone());
    assert_eq!((now(&mut reader), reader.unclaimed_gap()), (Got::Nothing, None));
    let told = tokio::spawn({
        let (body, waiting) = (entry.body.clone(), waiting.clone());
        async move { body.wait_range(waiting).await }
    });
    tokio::task::yield_now().await;
    let mut second = claimed.pop().unwrap().begin().await.unwrap();
    second.write(part(PIECE..PIECE + 5)).await.unwrap();
    second.flush().await.unwrap();
    tokio::task::yield_now().await;
    assert!(!told.is_finished(), "all of it is being filled");
    drop(second);
    assert_eq!(told.await.unwrap(), Ranged::Unclaimed(PIECE + 5..PIECE + 10));
    fill_piece(claimed.pop().unwrap()).await;
    assert_eq!(now(&mut reader), Got::Bytes(part(PIECE - 10..PIECE + 5)));
    assert_eq!((now(&mut reader), reader.unclaimed_gap()), (Got::Nothing, Some(PIECE + 5..PIECE + 10)));
    fill(&house, &entry, waiting.clone()).await;
    assert_eq!((now(&mut reader), reader.unclaimed_gap()), (Got::Bytes(part(PIECE + 5..PIECE + 10)), None));
    assert_eq!((now(&mut reader), entry.body.wait_range(waiting).await), (Got::End, Ranged::Committed));
}

/// user-demand 4c: 57.
#[tokio::test]
async fn the_quota_has_what_is_committed_and_what_is_being_filled() {
    let house = House::new(2 * PIECE + 100);
    let entry = begun(&house, 1, None).await;
    let mut some = claims(&house, &entry, 0..3 * PIECE);
    assert_eq!(house.usage().used, 0);
    let third = some.pop().unwrap();
    let mut second = some.pop().unwrap().begin().await.unwrap();
    let first = some.pop().unwrap().begin().await.unwrap();
    assert_eq!(house.usage().used, 2 * PIECE);
    let Err(Refused::NoSpace { wanted: PIECE, .. }) = third.begin().await else { panic!("there is no room") };
    assert_eq!(entry.body.wait_range(2 * PIECE..3 * PIECE).await, Ranged::Unclaimed(2 * PIECE..3 * PIECE));
    second.write(part(PIECE..PIECE + 7)).await.unwrap();
    second.flush().await.unwrap();
    drop(first);
    assert_eq!(house.usage().used, PIECE);
    drop(second);
    house.writer.settle().await;
    assert_eq!((house.usage().used, entry.body.extents()), (7, one(PIECE..PIECE + 7)));
    house.remove(&key_of(1));
    house.writer.settle().await;
    assert_eq!((house.usage().used, house.files("parts")), (7, 1), "somebody holds it");
    drop(entry);
    house.writer.settle().await;
    assert_eq!(
        (house.usage(), house.files("parts")),
        (Usage { quota: 2 * PIECE + 100, ..Usage::default() }, 0)
    );
}

#[tokio::test]
async fn a_piece_has_its_length() {
    let house = House::new(4 << 20);
    let entry = begun(&house, 1, None).await;
    let mut some = claims(&house, &entry, 0..2 * PIECE);
    let mut long = some.pop().unwrap().begin().await.unwrap();
    assert_eq!(long.write(part(PIECE..2 * PIECE + 1)).await.unwrap_err().reason, "origin_long_body");
    assert_eq!(long.write("x".into()).await.unwrap_err().reason, "origin_long_body");
    assert_eq!(read(&entry.body, PIECE..2 * PIECE).await, part(PIECE..2 * PIECE), "the rest is good");
    drop(long);
    let mut short = some.pop().unwrap().begin().await.unwrap();
    short.write(part(0..9)).await.unwrap();
    assert_eq!(short.finish().await.unwrap_err().reason, "origin_short_body");
    assert_eq!(entry.body.extents(), [0..9, PIECE..2 * PIECE]);
    house.writer.settle().await;
    assert_eq!(house.usage().used, PIECE + 9);
}

#[tokio::test]
async fn a_disk_error_costs_one_piece() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::new(directory.path(), 1).unwrap());
    let mut settings = Config { disk: disk.clone(), ..config(&directory, 4 << 20) };
    // The error is for the piece, not for a record.
    settings.commit_interval = std::time::Duration::from_secs(3600);
    let house = House::open(directory, settings);
    let entry = begun(&house, 1, None).await;
    fill(&house, &entry, 0..PIECE).await;
    let mut broken = claims(&house, &entry, PIECE..2 * PIECE).pop().unwrap().begin().await.unwrap();
    disk.fail(Operation::Write, 1, libc::EINVAL);
    let written = async {
        broken.write(part(PIECE..2 * PIECE)).await?;
        broken.finish().await
    };
    assert_eq!(written.await.unwrap_err().reason, "disk_error");
    assert_eq!(entry.body.extents(), one(0..PIECE));
    house.writer.settle().await;
    assert_eq!(house.usage().used, PIECE);
    fill(&house, &entry, 0..LENGTH).await;
    drop(entry);
    check_complete(&house, 1).await;
}

/// Reads all, and fills whatever nobody else fills; now and then it gives up half-way.
async fn read_and_fill(house: &House, entry: Arc<Entry<Plain>>, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut reader = entry.body.read(0..u64::MAX);
    let mut got = Vec::new();
    loop {
        let mut is_stuck = false;
        let next = std::future::poll_fn(|cx| match reader.poll_chunk(cx) {
            std::task::Poll::Pending if reader.unclaimed_gap().is_some() => {
                is_stuck = true;
                std::task::Poll::Ready(None)
            }
            poll => poll,
        });
        match next.await {
            Some(chunk) => got.extend_from_slice(&chunk.unwrap().bytes),
            None if !is_stuck => return got,
            None => {
                let from = reader.unclaimed_gap().map_or(0, |gap| gap.start);
                for claim in house.writer.claim_pieces(&entry, from..LENGTH, PIECE, random.usize(1..4)) {
                    let Range { start, end } = claim.range();
                    let Ok(mut fill) = claim.begin().await else { panic!("there is room") };
                    let end = if random.u8(..) < 100 { random.u64(start..end) } else { end };
                    fill.write(part(start..end)).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_read_and_fill_one_body_at_once() {
    for seed in 0..10 {
        let house = Arc::new(House::new(4 << 20));
        let entry = begun(&house, 1, None).await;
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let (house, entry) = (house.clone(), entry.clone());
                tokio::spawn(async move { read_and_fill(&house, entry, seed * 8 + task).await })
            })
            .collect();
        for task in tasks {
            assert!(task.await.unwrap() == bytes());
        }
        drop(entry);
        check_complete(&house, 1).await;
        assert_eq!(house.metric("closed_total"), 1);
    }
}
