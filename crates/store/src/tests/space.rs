//! The quota, and who holds it.

use std::sync::Arc;

use super::support::*;
use crate::*;

async fn refused(house: &House, length: Option<u64>) -> Refused {
    match house.claim(1).publish(0, BodySpec { length, promised: None }).await {
        Ok(_) => panic!("no room"),
        Err((claim, refused)) => {
            assert_eq!(claim.key(), key_of(1));
            refused
        }
    }
}

/// user-demand 4c: 57.
#[tokio::test]
async fn what_is_longer_than_the_quota_is_refused_at_once() {
    let house = House::new(1000);
    let Refused::NoSpace { wanted, used, quota } = refused(&house, Some(1001)).await else {
        panic!("no space")
    };
    assert_eq!((wanted, used, quota), (1001, 0, 1000));
    let entry = house.put(1, &[1; 600]).await;
    assert!(matches!(refused(&house, Some(401)).await, Refused::NoSpace { used: 600, .. }));
    assert_eq!(house.usage().used, 600);
    house.remove(&key_of(1));
    drop(entry);
    house.writer.settle().await;
    house.put(1, &[2; 1000]).await;
    assert_eq!((house.usage().used, house.metric("used_bytes")), (1000, 1000));
}

/// user-demand 4c: 57.
#[tokio::test]
async fn a_quota_of_nothing_takes_empty_bodies() {
    let house = House::new(0);
    assert!(matches!(refused(&house, Some(1)).await, Refused::NoSpace { .. }));
    house.put(1, b"").await;
    let (entry, mut fill) = house.publish(2, None, None).await;
    assert_eq!(fill.write("x".into()).await.unwrap_err().reason, "no_space");
    assert!(matches!(entry.body.state(), BodyState::Failed(_)));
    assert!(house.writer.reader().lookup(&key_of(2)).is_none());
}

#[tokio::test]
async fn an_unknown_length_is_reserved_in_steps_and_fits_to_the_last_byte() {
    let house = House::new(200_000);
    let (_, mut fill) = house.publish(1, None, None).await;
    fill.write("x".into()).await.unwrap();
    assert_eq!(house.usage().used, 64 << 10);
    fill.write(vec![0; 64 << 10].into()).await.unwrap();
    assert_eq!(house.usage().used, 128 << 10);
    fill.write(vec![0; 200_000 - (64 << 10) - 1].into()).await.unwrap();
    assert_eq!(house.usage().used, 200_000);
    fill.finish().await.unwrap();

    let house = House::new(200_000);
    let (_, mut fill) = house.publish(1, None, None).await;
    fill.write(vec![0; 70_000].into()).await.unwrap();
    fill.finish().await.unwrap();
    assert_eq!(house.usage().used, 70_000);
}

#[tokio::test]
async fn a_body_that_outgrows_the_quota_fails_after_what_is_committed() {
    let house = House::new(100_000);
    let (entry, mut fill) = house.publish(1, None, None).await;
    fill.write(vec![5; 60_000].into()).await.unwrap();
    fill.flush().await.unwrap();
    let failure = fill.write(vec![5; 60_000].into()).await.unwrap_err();
    assert_eq!((failure.reason, failure.blame), ("no_space", Blame::Us));
    assert_eq!(drain(entry.body.read(0..u64::MAX)).await, (vec![5; 60_000], Some(failure)));
    drop((entry, fill));
    house.writer.settle().await;
    assert_eq!((house.usage().used, house.files("fills")), (0, 0));
}

/// user-demand 4c: 60; repositories R05.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fills_together_never_take_more_than_the_quota() {
    const QUOTA: u64 = 2_000_000;
    let house = Arc::new(House::new(QUOTA));
    let fills: Vec<_> = (0..12_u8)
        .map(|key| {
            let house = house.clone();
            tokio::spawn(async move {
                let (_entry, mut fill) = house.publish(key, None, None).await;
                for _ in 0..10 {
                    fill.write(vec![key; 50_000].into()).await?;
                    assert!(house.usage().used <= QUOTA);
                }
                fill.finish().await
            })
        })
        .collect();
    for fill in fills {
        if let Err(failure) = fill.await.unwrap() {
            assert_eq!(failure.reason, "no_space");
        }
    }
    house.writer.settle().await;
    assert!((1..=4).contains(&house.usage().entries));
    assert_eq!(house.usage().used, house.usage().entries * 500_000);
}

/// user-demand 4c: 58.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_body_is_read_to_its_end_and_counted_until_then() {
    let house = House::new(4 << 20);
    let source = source(2_200_000, 9);
    let entry = house.put(1, &source).await;
    let mut readers: Vec<_> = (0..100).map(|_| entry.body.read(0..u64::MAX)).collect();
    for reader in &mut readers {
        let first = std::future::poll_fn(|cx| reader.poll_chunk(cx)).await.unwrap().unwrap();
        assert_eq!(first.bytes, source[..1 << 20]);
    }
    drop((house.remove(&key_of(1)), entry));
    house.writer.settle().await;
    let last = readers.pop().unwrap();
    for reader in readers.into_iter().map(|reader| tokio::spawn(drain(reader))).collect::<Vec<_>>() {
        assert!(reader.await.unwrap() == (source[1 << 20..].to_vec(), None));
    }
    assert_eq!(house.usage().used, 2_200_000);
    assert_eq!(drain(last).await.0.len(), 2_200_000 - (1 << 20));
    house.writer.settle().await;
    assert_eq!((house.usage().used, house.files("bodies"), house.files("fills")), (0, 0, 0));
}

/// user-demand 4c: 30.
#[tokio::test]
async fn five_terabytes_are_refused() {
    const LENGTH: u64 = 5 << 40;
    let house = House::new(1 << 30);
    assert!(matches!(refused(&house, Some(LENGTH)).await, Refused::NoSpace { wanted: LENGTH, .. }));

    // More than the disk has is refused, whatever the quota says.
    let house = House::new(2 * LENGTH);
    assert!(matches!(refused(&house, Some(LENGTH)).await, Refused::NoSpace { wanted: LENGTH, .. }));
    let (entry, fill) = house.publish(1, Some(1 << 30), None).await;
    assert_eq!(now(&mut entry.body.read((1 << 30) - 1..1 << 30)), Got::Nothing);
    drop((fill, entry));
    house.writer.settle().await;
    assert_eq!((house.usage().used, house.files("fills")), (0, 0));
}

#[tokio::test]
async fn a_start_with_less_free_on_the_disk_than_the_store_has_evicts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::new(directory.path(), 1).unwrap());
    let settings = Config { disk: disk.clone(), ..config(&directory, 1 << 20) };
    let house = House::open(directory, settings.clone());
    for key in 0..10 {
        house.put(key, &[key; 500]).await;
    }
    house.writer.close().await.unwrap();
    let House { writer, directory, registry } = house;
    drop((writer, registry));
    disk.set_free(1000);
    let house = House::open(directory, settings);
    house.writer.loaded().await;
    house.put(10, &[10; 500]).await;
    assert_eq!((house.metric("evicted_total"), house.usage().entries), (0, 11));
}
