//! Interrupted fills that are gone on with.

use super::support::*;
use crate::*;

const LENGTH: usize = 900_000;
const KEPT: usize = 500_000;

/// A fill that was interrupted after [`KEPT`] bytes.
async fn interrupted(house: &House) -> Vec<u8> {
    let bytes = source(LENGTH, 1);
    let (entry, mut fill) = house.publish(1, Some(LENGTH as u64), None).await;
    for piece in pieces(&bytes[..KEPT], 10_000) {
        fill.write(piece).await.unwrap();
    }
    let follower = tokio::spawn(drain(entry.body.read(0..u64::MAX)));
    fill.suspend(reasons::fill_abandoned()).await;
    let (seen, failure) = follower.await.unwrap();
    assert_eq!((seen, failure), (bytes[..KEPT].to_vec(), Some(reasons::fill_abandoned())));
    drop(entry);
    house.writer.settle().await;
    assert_eq!((house.usage().used, house.files("parts"), house.files("fills")), (KEPT as u64, 1, 0));
    bytes
}

async fn finish(house: &House, claim: Claim<Plain>, bytes: &[u8]) {
    let part = claim.part().await.unwrap();
    assert_eq!((part.head, part.length, part.received), (0, Some(LENGTH as u64), KEPT as u64));
    let spec = BodySpec { length: part.length, promised: Some(Digest::of(bytes)) };
    let Ok((entry, mut fill)) = claim.resume(9, spec).await else { panic!("the part is there") };
    assert_eq!(fill.received(), KEPT as u64);
    assert_eq!(now(&mut entry.body.read(7..17)), Got::Bytes(bytes[7..17].to_vec().into()));
    let follower = tokio::spawn(drain(entry.body.read(0..u64::MAX)));
    fill.write(bytes[KEPT..].to_vec().into()).await.unwrap();
    assert_eq!(fill.finish().await, Ok(Digest::of(bytes)));
    assert_eq!(follower.await.unwrap(), (bytes.to_vec(), None));
    drop(entry);
    house.writer.settle().await;
    assert_eq!((house.usage().used, house.usage().entries), (LENGTH as u64, 1));
    assert_eq!((house.files("parts"), house.files("fills"), house.files("bodies")), (0, 0, 1));
}

#[tokio::test]
async fn a_claim_goes_on_where_a_fill_was_interrupted() {
    let house = House::new(4 << 20);
    let bytes = interrupted(&house).await;
    assert!(house.writer.reader().find(&key_of(1)).await.is_none(), "a part is nothing to be read");
    finish(&house, house.claim(1), &bytes).await;
    assert_eq!((house.metric("suspended_total"), house.metric("resumed_total")), (1, 1));
}

#[tokio::test]
async fn a_part_survives_a_clean_restart_and_the_whole_the_next_one() {
    let house = House::new(4 << 20);
    let bytes = interrupted(&house).await;
    let house = house.reopened();
    assert_eq!((house.usage().used, house.usage().entries), (KEPT as u64, 1));
    finish(&house, house.claim(1), &bytes).await;
    let house = house.reopened();
    let entry = house.writer.reader().find(&key_of(1)).await.unwrap();
    assert_eq!((*entry.head, drain(entry.body.read(0..u64::MAX)).await), (9, (bytes, None)));
}

#[tokio::test]
async fn a_part_of_an_unclean_epoch_is_dropped() {
    let house = House::new(4 << 20);
    interrupted(&house).await;
    house.writer.commit();
    let house = house.crashed(|_| {});
    assert_eq!((house.usage().used, house.usage().entries), (0, 0));
    house.wait_for("strays_total", 1);
    assert_eq!(house.files("parts"), 0);
    assert!(house.claim(1).part().await.is_none());
}

#[tokio::test]
async fn a_claim_that_does_not_want_the_part_replaces_it_and_one_that_is_refused_leaves_it() {
    let house = House::new(4 << 20);
    let bytes = interrupted(&house).await;
    house.claim(1).refuse("not now");
    drop(house.claim(1));
    assert_eq!(house.claim(1).part().await.unwrap().received, KEPT as u64);
    house.put(1, &bytes[..100_000]).await;
    assert_eq!((house.usage().used, house.files("parts")), (100_000, 0));
}

#[tokio::test]
async fn parts_are_evicted_and_removed_like_entries() {
    let house = House::with(|config| config.quota = 1_000_000);
    interrupted(&house).await;
    for key in 10..20 {
        house.put(key, &source(100_000, u64::from(key))).await;
    }
    house.writer.settle().await;
    assert_eq!(house.files("parts"), 0);
    assert!(house.claim(1).part().await.is_none());
    let house = House::new(4 << 20);
    interrupted(&house).await;
    assert!(house.remove(&key_of(1)));
    house.writer.settle().await;
    assert_eq!((house.usage(), house.files("parts")), (Usage { quota: 4 << 20, ..Usage::default() }, 0));
}

#[tokio::test]
async fn what_replaces_a_good_object_is_not_kept_as_a_part() {
    let house = House::new(4 << 20);
    house.put(1, &source(100_000, 5)).await;
    let (_, mut fill) = house.publish(1, Some(LENGTH as u64), None).await;
    fill.write(source(KEPT, 1).into()).await.unwrap();
    fill.suspend(reasons::fill_abandoned()).await;
    let entry = house.writer.reader().find(&key_of(1)).await.unwrap();
    assert_eq!(drain(entry.body.read(0..u64::MAX)).await, (source(100_000, 5), None));
    house.writer.settle().await;
    assert_eq!((house.usage().used, house.files("parts"), house.files("fills")), (100_000, 0, 0));
}
