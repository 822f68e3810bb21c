//! Bodies with holes, filled in pieces by several at once.

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
async fn extents_survive_a_clean_restart_and_the_rest_comes_after_it() {
    let house = House::new(4 << 20);
    let entry = begun(&house, 1, None).await;
    fill(&house, &entry, PIECE..2 * PIECE).await;
    fill(&house, &entry, 4 * PIECE..LENGTH).await;
    let there = vec![PIECE..2 * PIECE, 4 * PIECE..LENGTH];
    assert_eq!(entry.body.extents(), there);
    drop(entry);
    let house = house.reopened();
    assert_eq!((house.usage().used, house.usage().entries, house.files("parts")), (2 * PIECE + 1000, 1, 1));
    assert!(house.writer.reader().find(&key_of(1)).await.is_none(), "it is not whole");
    let entry = house.writer.reader().find_partial(&key_of(1)).await.unwrap();
    assert_eq!((*entry.head, entry.body.length(), entry.body.extents()), (3, Some(LENGTH), there.clone()));
    assert_eq!(house.usage().used, 2 * PIECE + 1000);
    assert_eq!(read(&entry.body, PIECE + 9..2 * PIECE).await, part(PIECE + 9..2 * PIECE));
    assert!(house.writer.reader().find(&key_of(1)).await.is_none(), "nor when it is warm");
    let whole = house.writer.lookup_or_claim(key_of(1), &Arc::from("name"), |_| true).await;
    let Access::Claimed(claim) = whole else { panic!("who does not know of holes is to fill it") };
    assert!(claim.previous().is_none() && Arc::ptr_eq(claim.partial().unwrap(), &entry));
    drop(claim);
    fill(&house, &entry, 0..PIECE).await;
    drop(entry);
    let house = house.reopened();
    let entry = house.writer.reader().find_partial(&key_of(1)).await.unwrap();
    assert_eq!(entry.body.extents(), [0..2 * PIECE, 4 * PIECE..LENGTH]);
    fill(&house, &entry, 0..LENGTH).await;
    drop(entry);
    check_complete(&house, 1).await;
}

#[tokio::test]
async fn what_grew_in_a_run_that_crashed_is_dropped() {
    let house = House::new(4 << 20);
    let entry = begun(&house, 1, None).await;
    fill(&house, &entry, 0..PIECE).await;
    house.writer.commit();
    let after = house.crashed(|_| {});
    assert_eq!((after.usage().used, after.usage().entries), (0, 0));
    after.wait_for("strays_total", 1);
    assert!(after.writer.reader().find_partial(&key_of(1)).await.is_none());
    assert_eq!(after.files("parts"), 0);
}

#[tokio::test]
async fn what_an_interrupted_fill_leaves_can_be_read_and_filled_in_pieces() {
    let house = House::new(4 << 20);
    let (entry, mut straight) = house.publish(1, Some(LENGTH), None).await;
    straight.write(part(0..PIECE + 50)).await.unwrap();
    straight.suspend(reasons::fill_abandoned()).await;
    drop(entry);
    let accept = |entry: &Entry<Plain>| entry.body.range_now(10..20) == Some(Ranged::Committed);
    let found = house.writer.lookup_partial_or_claim(key_of(1), &Arc::from("name"), accept).await;
    let Access::Found(entry) = found else { panic!("it is there") };
    assert_eq!((read(&entry.body, 10..20).await, *entry.head), (part(10..20).to_vec(), 0));
    let other = |entry: &Entry<Plain>| entry.body.range_now(0..LENGTH) == Some(Ranged::Committed);
    let Access::Claimed(claim) =
        house.writer.lookup_partial_or_claim(key_of(1), &Arc::from("name"), other).await
    else {
        panic!("it is not whole")
    };
    assert!(claim.previous().is_none() && Arc::ptr_eq(claim.partial().unwrap(), &entry));
    let Ok(refreshed) = claim.refresh(8) else { panic!("it is there") };
    assert!(Arc::ptr_eq(&refreshed.body, &entry.body));
    fill(&house, &refreshed, 0..LENGTH).await;
    drop((entry, refreshed));
    check_complete(&house, 1).await;
    assert_eq!(*house.writer.reader().find(&key_of(1)).await.unwrap().head, 8);
}

#[tokio::test]
async fn of_an_interrupted_fill_of_unknown_length_the_beginning_can_be_read() {
    let house = House::new(4 << 20);
    let (entry, mut straight) = house.publish(1, None, None).await;
    straight.write(part(0..PIECE)).await.unwrap();
    straight.suspend(reasons::fill_abandoned()).await;
    drop(entry);
    let entry = house.writer.reader().find_partial(&key_of(1)).await.unwrap();
    assert_eq!(read(&entry.body, 5..PIECE).await, part(5..PIECE));
    assert_eq!((entry.body.length(), claims(&house, &entry, 0..u64::MAX).len()), (None, 0));
    assert_eq!(entry.body.range_now(0..PIECE + 1), Some(Ranged::Unclaimed(PIECE..PIECE + 1)));
    drop(entry);
    house.writer.settle().await;
    let spec = BodySpec { length: None, promised: None };
    let claim = house.claim(1);
    assert_eq!(claim.part().await.unwrap().received, PIECE);
    let Ok((_, mut fill)) = claim.resume(0, spec).await else { panic!("nobody uses it") };
    fill.write(part(PIECE..LENGTH)).await.unwrap();
    assert_eq!(fill.finish().await, Ok(Digest::of(&bytes())));
}

#[tokio::test]
async fn all_of_a_body_is_there_and_it_is_hashed_when_it_is_asked_for() {
    let house = House::new(4 << 20);
    let (entry, mut straight) = house.publish(1, Some(LENGTH), None).await;
    straight.write(bytes().into()).await.unwrap();
    straight.suspend(reasons::fill_abandoned()).await;
    drop(entry);
    let house = house.reopened();
    let entry = house.writer.reader().find_partial(&key_of(1)).await.unwrap();
    assert_eq!(read(&entry.body, 0..u64::MAX).await, bytes());
    drop(entry);
    check_complete(&house, 1).await;
}

/// user-demand 4c: 58.
#[tokio::test]
async fn a_partial_entry_is_evicted_under_its_readers_and_counted_until_they_let_go() {
    let house = House::with(|config| config.quota = 4 * PIECE);
    let entry = begun(&house, 1, None).await;
    fill(&house, &entry, 0..2 * PIECE).await;
    house.writer.commit();
    let reader = entry.body.read(0..3 * PIECE);
    for key in 10..16 {
        let spec = BodySpec { length: Some(2 * PIECE), promised: None };
        let Ok((_, mut fill)) = house.claim(key).publish(0, spec).await else { continue };
        fill.write(source(2 * PIECE as usize, u64::from(key)).into()).await.unwrap();
        fill.finish().await.unwrap();
    }
    assert!(house.writer.reader().find_partial(&key_of(1)).await.is_none(), "it was evicted");
    assert_eq!((house.files("parts"), house.usage().used >= 2 * PIECE), (1, true));
    fill(&house, &entry, 2 * PIECE..3 * PIECE).await;
    drop(entry);
    assert_eq!(drain(reader).await, (part(0..3 * PIECE).to_vec(), None));
    house.writer.settle().await;
    assert_eq!((house.files("parts"), house.usage().used), (0, 2 * PIECE * house.usage().entries));
}

#[tokio::test]
async fn what_nobody_reads_gives_up_its_memory_and_comes_back() {
    let house = House::with(|config| {
        config.quota = 4 << 20;
        config.memory = 0;
    });
    let entry = begun(&house, 1, None).await;
    fill(&house, &entry, 0..2 * PIECE).await;
    let held = claims(&house, &entry, 3 * PIECE..4 * PIECE);
    drop(entry);
    house.writer.0.round();
    assert_eq!(house.usage().warm, 1, "somebody fills it");
    drop(held);
    house.wait_for("cooled_total", 1);
    house.writer.settle().await;
    assert_eq!((house.usage().used, house.usage().warm, house.files("parts")), (2 * PIECE, 0, 1));
    let entry = house.writer.reader().find_partial(&key_of(1)).await.unwrap();
    fill(&house, &entry, 0..LENGTH).await;
    drop(entry);
    check_complete(&house, 1).await;
}

#[tokio::test]
async fn another_version_takes_the_place_of_the_old_one_which_fails() {
    let house = House::new(4 << 20);
    let old = begun(&house, 1, None).await;
    fill(&house, &old, 0..PIECE).await;
    house.writer.commit();
    let mut straggler = claims(&house, &old, PIECE..2 * PIECE).pop().unwrap().begin().await.unwrap();
    let reader = old.body.read(0..2 * PIECE);
    let why = reasons::short_body(1, 2);
    let spec = PartialSpec { length: 1000, promised: None };
    let Ok(Some(new)) = house.writer.replace_partial(&old, 9, spec, why.clone()).await else {
        panic!("first")
    };
    let Ok(None) = house.writer.replace_partial(&old, 9, spec, why.clone()).await else { panic!("too late") };
    assert!(Arc::ptr_eq(&house.writer.reader().lookup_partial(&key_of(1)).unwrap(), &new));
    assert_eq!(drain(reader).await, (part(0..PIECE).to_vec(), Some(why.clone())));
    let written = async {
        straggler.write(part(PIECE..2 * PIECE)).await?;
        straggler.finish().await
    };
    assert_eq!(written.await, Err(why.clone()), "nothing of the old version comes any more");
    assert_eq!(old.body.wait_range(0..2 * PIECE).await, Ranged::Failed(why));
    assert!(claims(&house, &old, 0..LENGTH).is_empty());
    drop(old);
    house.writer.settle().await;
    assert_eq!((house.usage().used, house.usage().entries, house.files("parts")), (0, 1, 1));
    let claim = claims(&house, &new, 0..1000).pop().unwrap();
    assert_eq!(claim.range(), 0..1000);
    let mut fill = claim.begin().await.unwrap();
    fill.write(source(1000, 7).into()).await.unwrap();
    fill.finish().await.unwrap();
    drop(new);
    house.writer.settle().await;
    let house = house.reopened();
    let entry = house.writer.reader().find(&key_of(1)).await.unwrap();
    assert_eq!((*entry.head, read(&entry.body, 0..u64::MAX).await), (9, source(1000, 7)));
}

#[tokio::test]
async fn an_old_version_does_not_come_back_when_the_new_one_has_no_bytes_yet() {
    let house = House::new(4 << 20);
    let old = begun(&house, 1, None).await;
    fill(&house, &old, 0..PIECE).await;
    house.writer.commit();
    let spec = PartialSpec { length: 1000, promised: None };
    let why = reasons::fill_abandoned();
    assert!(matches!(house.writer.replace_partial(&old, 9, spec, why).await, Ok(Some(_))));
    drop(old);
    let house = house.reopened();
    assert!(house.writer.reader().find_partial(&key_of(1)).await.is_none());
    assert_eq!((house.usage().used, house.usage().entries), (0, 0));
}

#[tokio::test]
async fn a_partial_entry_that_is_of_no_use_is_failed_once() {
    let house = House::new(4 << 20);
    let entry = begun(&house, 1, None).await;
    fill(&house, &entry, 0..PIECE).await;
    let why = reasons::short_body(1, 2);
    assert!(house.writer.fail_partial(&entry, why.clone()));
    assert!(!house.writer.fail_partial(&entry, why.clone()));
    assert_eq!(drain(entry.body.read(0..LENGTH)).await, (part(0..PIECE).to_vec(), Some(why)));
    assert!(house.writer.reader().find_partial(&key_of(1)).await.is_none());
    drop(entry);
    house.writer.settle().await;
    assert_eq!((house.usage().used, house.files("parts")), (0, 0));

    let entry = begun(&house, 1, None).await;
    assert!(house.remove(&key_of(1)));
    assert!(house.writer.fail_partial(&entry, reasons::fill_abandoned()), "also one that has left");
    assert!(matches!(entry.body.state(), BodyState::Failed(_)));
}

#[tokio::test]
async fn the_last_bytes_wait_for_a_promised_digest() {
    let house = House::new(4 << 20);
    let entry = begun(&house, 1, Some(Digest::of(&bytes()))).await;
    assert!(!house.writer.promise(&entry, Digest::of(b"other")), "the first promise counts");
    let whole = tokio::spawn(drain(entry.body.read(0..u64::MAX)));
    fill(&house, &entry, 0..LENGTH).await;
    assert_eq!(whole.await.unwrap(), (bytes(), None));
    drop(entry);
    check_complete(&house, 1).await;

    let house = House::new(4 << 20);
    let entry = begun(&house, 1, None).await;
    assert!(house.writer.promise(&entry, Digest::of(b"not this")));
    let whole = tokio::spawn(drain(entry.body.read(0..u64::MAX)));
    fill(&house, &entry, 0..LENGTH).await;
    let (seen, failure) = whole.await.unwrap();
    assert!(seen.len() < bytes().len() && bytes().starts_with(&seen), "{}", seen.len());
    assert_eq!(failure.map(|failure| failure.reason), Some("digest_mismatch"));
    assert!(house.writer.reader().find_partial(&key_of(1)).await.is_none());
    drop(entry);
    house.writer.settle().await;
    assert_eq!((house.usage().used, house.usage().entries, house.files("parts")), (0, 0, 0));
}

#[tokio::test]
async fn what_only_waits_for_its_digest_is_not_claimed_again() {
    let house = House::new(4 << 20);
    let (growth, piece) = (crate::growth::Growth::in_pieces(Some(10), Default::default()), 0..10);
    assert!(growth.promise(Digest::of(b"x")));
    assert_eq!(growth.claim(0..10, 64, 9), std::slice::from_ref(&piece));
    assert_eq!(growth.commit_piece(0..4), crate::growth::Closed::NotYet);
    assert_eq!(growth.commit_piece(4..10), crate::growth::Closed::Now);
    growth.release(&piece);
    assert!(growth.claim(0..10, 64, 9).is_empty() && growth.look(0..10).is_none());
    assert!(!growth.promise(Digest::of(b"x")), "it is too late");
    drop(house);
}

#[tokio::test]
async fn a_body_that_becomes_the_twin_of_another_is_kept_once() {
    let house = House::new(4 << 20);
    house.put(2, &bytes()).await;
    let entry = begun(&house, 1, None).await;
    fill(&house, &entry, 0..PIECE).await;
    house.writer.commit();
    let reader = entry.body.read(0..u64::MAX);
    fill(&house, &entry, 0..LENGTH).await;
    entry.body.wait_complete().await.unwrap();
    drop(entry);
    assert_eq!(drain(reader).await, (bytes(), None));
    check_complete(&house, 1).await;
    let [first, second] = [1, 2].map(|key| house.writer.reader().lookup(&key_of(key)).unwrap());
    assert!(Arc::ptr_eq(&first.body, &second.body));
}

#[tokio::test]
async fn a_body_of_nothing_is_whole_at_once() {
    let house = House::new(4 << 20);
    let spec = PartialSpec { length: 0, promised: None };
    let Ok((entry, _)) = house.claim(1).publish_partial(0, spec, 0..0, 0).await else {
        panic!("there is room")
    };
    assert_eq!(entry.body.wait_complete().await, Ok((0, Digest::of(b""))));
    drop(entry);
    house.writer.settle().await;
    assert!(house.writer.reader().find(&key_of(1)).await.is_some());
    assert_eq!((house.files("parts"), house.files("bodies")), (0, 1));
}

#[tokio::test]
async fn a_straight_fill_takes_the_place_of_a_partial_entry_and_its_readers_go_on() {
    let house = House::new(4 << 20);
    let old = begun(&house, 1, None).await;
    fill(&house, &old, 0..PIECE).await;
    house.writer.commit();
    let reader = old.body.read(5..PIECE);
    drop(old);
    house.put(1, &source(200_000, 2)).await;
    assert_eq!(house.files("parts"), 1, "somebody reads it");
    assert_eq!(drain(reader).await, (part(5..PIECE).to_vec(), None));
    house.writer.settle().await;
    assert_eq!((house.files("parts"), house.usage().used, house.usage().entries), (0, 200_000, 1));
}

#[tokio::test]
async fn a_part_is_resumed_when_nobody_uses_it_and_what_is_behind_its_first_gap_stays_until_it_comes_again() {
    let house = House::new(4 << 20);
    let entry = begun(&house, 1, None).await;
    fill(&house, &entry, 0..PIECE).await;
    fill(&house, &entry, 3 * PIECE..4 * PIECE).await;
    house.writer.commit();
    let spec = BodySpec { length: Some(LENGTH), promised: None };
    let Err((claim, Refused::PartGone)) = house.claim(1).resume(4, spec).await else {
        panic!("somebody uses it")
    };
    assert!(Arc::ptr_eq(claim.partial().unwrap(), &entry));
    drop(entry);
    assert_eq!(claim.part().await.unwrap().received, PIECE);
    let Ok((entry, mut straight)) = claim.resume(4, spec).await else { panic!("nobody uses it") };
    assert_eq!((straight.received(), house.usage().used, house.files("parts")), (PIECE, LENGTH, 0));
    straight.write(part(PIECE..PIECE + 9)).await.unwrap();
    straight.suspend(reasons::fill_abandoned()).await;
    drop(entry);
    house.writer.settle().await;
    assert_eq!(house.usage().used, 2 * PIECE + 9);
    let entry = house.writer.reader().find_partial(&key_of(1)).await.unwrap();
    assert_eq!(entry.body.extents(), [0..PIECE + 9, 3 * PIECE..4 * PIECE]);
    drop(entry);
    // Whoever has read it from the disk has let go of it, too.
    house.writer.settle().await;
    let Ok((entry, mut straight)) = house.claim(1).resume(4, spec).await else { panic!("nobody uses it") };
    straight.write(part(PIECE + 9..LENGTH)).await.unwrap();
    straight.finish().await.unwrap();
    drop(entry);
    check_complete(&house, 1).await;
}

#[tokio::test]
async fn a_partial_entry_takes_the_place_of_a_complete_one() {
    let house = House::new(4 << 20);
    let old = house.put(1, &source(200_000, 5)).await;
    let entry = begun(&house, 1, None).await;
    assert!(house.writer.reader().lookup(&key_of(1)).is_none());
    fill(&house, &entry, 0..PIECE).await;
    house.writer.commit();
    assert_eq!(read(&old.body, 0..u64::MAX).await, source(200_000, 5));
    drop((old, entry));
    house.writer.settle().await;
    assert_eq!((house.usage().used, house.usage().entries, house.files("bodies")), (PIECE, 1, 0));
    let house = house.reopened();
    let entry = house.writer.reader().find_partial(&key_of(1)).await.unwrap();
    fill(&house, &entry, 0..LENGTH).await;
    drop(entry);
    check_complete(&house, 1).await;
}

#[tokio::test]
async fn what_is_being_filled_is_not_evicted_for_its_own_sake() {
    let house = House::with(|config| config.quota = 3 * PIECE);
    house.put(2, &source(2 * PIECE as usize, 2)).await;
    let entry = begun(&house, 1, None).await;
    fill(&house, &entry, 0..PIECE).await;
    house.writer.commit();
    let mut some = claims(&house, &entry, PIECE..4 * PIECE);
    let (third, second) = (some.pop().unwrap(), some.pop().unwrap());
    let second = second.begin().await.unwrap();
    assert!(house.writer.reader().lookup(&key_of(2)).is_none(), "the other one was evicted");
    let first = some.pop().unwrap().begin().await.unwrap();
    assert!(matches!(third.begin().await, Err(Refused::NoSpace { .. })));
    assert!(house.writer.reader().lookup_partial(&key_of(1)).is_some());
    drop((first, second));
    assert_eq!(entry.body.extents(), one(0..PIECE));
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

/// user-demand 4c: 53.
#[tokio::test]
async fn after_a_power_cut_at_any_call_what_is_there_of_a_part_is_exact() {
    for cut in (1..40).step_by(3) {
        let house = House::new(4 << 20);
        let entry = begun(&house, 1, None).await;
        fill(&house, &entry, PIECE..2 * PIECE).await;
        fill(&house, &entry, 0..10).await;
        fill(&house, &entry, 4 * PIECE..LENGTH).await;
        drop(entry);
        house.writer.close().await.unwrap();
        let House { writer, directory, .. } = house;
        drop(writer);
        let disk = Arc::new(FaultyDisk::new(directory.path(), cut).unwrap());
        let mut settings = config(&directory, 4 << 20);
        settings.disk = disk.clone();
        settings.commit_interval = std::time::Duration::from_secs(3600);
        let house = House::open(directory, settings);
        disk.cut_power_at(cut);
        go_on(&house, cut % 2 == 0).await;
        let after = tempfile::tempdir().unwrap();
        disk.crash(after.path()).unwrap();
        let settings = config(&after, 4 << 20);
        let house = House::open(after, settings);
        let Some(entry) = house.writer.reader().find_partial(&key_of(1)).await else { continue };
        for extent in entry.body.extents() {
            assert_eq!(read(&entry.body, extent.clone()).await, part(extent), "cut at {cut}");
        }
    }
}

/// Fills what is missing, in pieces or straight on, as long as the disk takes it.
async fn go_on(house: &House, straight: bool) {
    if straight {
        let spec = BodySpec { length: Some(LENGTH), promised: None };
        let Ok((_, mut fill)) = house.claim(1).resume(4, spec).await else { return };
        house.writer.commit();
        let rest = part(fill.received()..LENGTH);
        if fill.write(rest).await.is_ok() {
            let _ = fill.finish().await;
        }
    } else {
        let Some(entry) = house.writer.reader().find_partial(&key_of(1)).await else { return };
        for claim in claims(house, &entry, 0..LENGTH) {
            let range = claim.range();
            let Ok(mut fill) = claim.begin().await else { return };
            if fill.write(part(range)).await.is_err() || fill.finish().await.is_err() {
                return;
            }
            house.writer.commit();
        }
    }
    house.writer.settle().await;
    house.writer.commit();
}

/// user-demand 4c: 55.
#[tokio::test]
async fn a_part_whose_file_is_gone_or_cut_is_dropped_when_it_is_used() {
    let damage: [fn(&std::path::Path); 2] = [
        |path| std::fs::remove_file(path).unwrap(),
        |path| std::fs::File::options().write(true).open(path).unwrap().set_len(100).unwrap(),
    ];
    for damage in damage {
        let house = House::with(|config| {
            config.quota = 4 << 20;
            config.open_files = 1;
        });
        let entry = begun(&house, 1, None).await;
        fill(&house, &entry, 0..PIECE).await;
        house.put(2, &source(100_000, 2)).await;
        let file = std::fs::read_dir(house.directory.path().join("parts")).unwrap().next().unwrap().unwrap();
        damage(&file.path());
        let claim = claims(&house, &entry, PIECE..2 * PIECE).pop().unwrap();
        assert!(matches!(claim.begin().await, Err(Refused::Disk(_))));
        assert!(matches!(entry.body.wait_range(0..2 * PIECE).await, Ranged::Failed(_)));
        assert!(house.writer.reader().find_partial(&key_of(1)).await.is_none());
        drop(entry);
        house.writer.settle().await;
        assert_eq!((house.usage().used, house.files("parts")), (100_000, 0));
    }
}

#[tokio::test]
async fn a_partial_entry_nobody_wants_any_more_expires_unless_somebody_uses_it() {
    let house = House::new(4 << 20);
    let entry = begun(&house, 1, None).await;
    fill(&house, &entry, 0..PIECE).await;
    let held = claims(&house, &entry, PIECE..2 * PIECE);
    drop(entry);
    assert_eq!(house.writer.remove_expired(4, 9), 0);
    drop(held);
    house.writer.settle().await;
    house.writer.commit();
    assert_eq!(house.writer.remove_expired(4, 9), 1);
    house.writer.settle().await;
    assert_eq!((house.usage().used, house.usage().entries, house.files("parts")), (0, 0, 0));
}

#[tokio::test]
async fn scans_show_partial_entries_warm_and_cold() {
    let house = House::new(4 << 20);
    let entry = begun(&house, 1, None).await;
    fill(&house, &entry, 0..PIECE).await;
    drop(entry);
    let seen = |house: &House| {
        let mut seen = Vec::new();
        house.writer.reader().scan(|entry| seen.push((entry.key, *entry.head, entry.digest)));
        seen
    };
    assert_eq!(seen(&house), [(key_of(1), 3, None)]);
    let house = house.reopened();
    assert_eq!(seen(&house), [(key_of(1), 3, None)]);
}
