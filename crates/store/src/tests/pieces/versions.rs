//! One body in place of another: versions, digests, twins, straight fills.

use super::*;

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
