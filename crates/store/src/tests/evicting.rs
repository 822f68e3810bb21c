//! Making room: what goes, what stays, and who waits for it.

use std::time::Duration;

use super::support::*;
use crate::*;

/// user-demand 4c: 57; repositories R08.
#[tokio::test]
async fn a_full_store_makes_room_for_what_is_asked_for() {
    let house = House::with(|config| config.quota = 1_000_000);
    for key in 0..20 {
        house.put(key, &source(100_000, u64::from(key))).await;
        assert!(house.usage().used <= 1_000_000);
    }
    house.wait_for("evicted_total", 10);
    assert_eq!(house.metric("evicted_bytes_total"), 100_000 * house.metric("evicted_total"));
    house.writer.settle().await;
    assert_eq!(house.usage().used, 100_000 * house.usage().entries);
    assert_eq!(house.files("bodies") as u64, house.usage().entries);
    let last = house.writer.reader().find(&key_of(19)).await.unwrap();
    assert_eq!(drain(last.body.read(0..u64::MAX)).await, (source(100_000, 19), None));
}

#[tokio::test]
async fn unknown_lengths_make_room_as_they_grow() {
    let house = House::with(|config| config.quota = 1_000_000);
    for key in 0..9 {
        house.put(key, &source(100_000, u64::from(key))).await;
    }
    let (entry, mut fill) = house.publish(100, None, None).await;
    let bytes = source(700_000, 100);
    for piece in pieces(&bytes, 10_000) {
        fill.write(piece).await.unwrap();
    }
    fill.finish().await.unwrap();
    assert_eq!(drain(entry.body.read(0..u64::MAX)).await, (bytes, None));
    assert!(house.usage().used <= 1_000_000);
}

/// user-demand 4c: 57, 60.
#[tokio::test]
async fn what_does_not_fit_is_refused_and_evicts_nothing() {
    let house = House::with(|config| config.quota = 1_000_000);
    house.put(1, &source(100_000, 1)).await;
    let refused = house.claim(2).publish(0, BodySpec { length: Some(1_000_001), promised: None }).await;
    let Err((_, Refused::NoSpace { wanted: 1_000_001, used: 100_000, quota: 1_000_000 })) = refused else {
        panic!("it is longer than the quota")
    };
    let (_held, _fill) = house.publish(3, Some(900_000), None).await;
    let refused = house.claim(4).publish(0, BodySpec { length: Some(200_000), promised: None }).await;
    assert!(matches!(refused, Err((_, Refused::NoSpace { .. }))), "what grows does not go");
}

/// repositories R08.
#[tokio::test]
async fn pinned_entries_stay() {
    let house = House::with(|config| config.quota = 1_000_000);
    house.writer.pin(std::sync::Arc::new(|name: &str, head: &u32| name == "name" && *head == 7));
    let spec = BodySpec { length: Some(100_000), promised: None };
    let Ok((pinned, mut fill)) = house.claim(200).publish(7, spec).await else { panic!("there is room") };
    fill.write(source(100_000, 200).into()).await.unwrap();
    fill.finish().await.unwrap();
    drop(pinned);
    for key in 0..40 {
        house.put(key, &source(100_000, u64::from(key))).await;
    }
    let entries = house.usage().entries as usize;
    assert_eq!(house.writer.remove_expired(7, usize::MAX), entries - 1);
    assert_eq!(house.writer.remove_expired(100, usize::MAX), 0, "not even when nobody wants it any more");
    assert!(house.writer.reader().find(&key_of(200)).await.is_some());
    assert!(house.writer.reader().find(&key_of(0)).await.is_none());
}

#[tokio::test]
async fn what_was_used_lately_stays_and_the_newcomer_is_refused() {
    let house = House::with(|config| {
        config.quota = 1_000_000;
        config.min_idle = Duration::from_secs(3600);
    });
    for key in 0..10 {
        house.put(key, &source(100_000, u64::from(key))).await;
        house.writer.reader().lookup(&key_of(key)).unwrap();
    }
    let refused = house.claim(11).publish(0, BodySpec { length: Some(1), promised: None }).await;
    assert!(matches!(refused, Err((_, Refused::NoSpace { .. }))));
    assert_eq!(house.usage().entries, 10);
}

/// user-demand 4c: 57.
#[tokio::test]
async fn a_quota_lowered_below_what_is_used_shrinks_the_store() {
    let house = House::with(|config| config.quota = 1_000_000);
    for key in 0..10 {
        house.put(key, &source(100_000, u64::from(key))).await;
    }
    let House { writer, directory, .. } = house;
    block_on(writer.close()).unwrap();
    drop(writer);
    let config = config(&directory, 500_000);
    let house = House::open(directory, config);
    house.wait_for("evicted_total", 6);
    house.writer.settle().await;
    assert!(house.usage().used <= 450_000, "down to the low mark");
    assert_eq!(house.files("bodies") as u64, house.usage().entries);
}

/// user-demand 4c: 58.
#[tokio::test]
async fn what_is_evicted_under_its_readers_is_read_to_the_end_and_counted_until_then() {
    let house = House::with(|config| config.quota = 1_000_000);
    let bytes = source(600_000, 1);
    let entry = house.put(1, &bytes).await;
    let readers: Vec<_> = (0..100).map(|_| entry.body.read(0..u64::MAX)).collect();
    drop(entry);
    let refused = house.claim(2).publish(0, BodySpec { length: Some(600_000), promised: None }).await;
    assert!(matches!(refused, Err((_, Refused::NoSpace { used: 600_000, .. }))), "they hold it");
    assert!(house.writer.reader().find(&key_of(1)).await.is_none(), "it was evicted");
    for reader in readers {
        assert_eq!(drain(reader).await, (bytes.clone(), None));
    }
    house.writer.settle().await;
    assert_eq!(house.usage().used, 0);
    house.put(3, &bytes).await;
}

/// repositories R04.
#[tokio::test]
async fn use_before_a_restart_counts_after_it() {
    let house = House::with(|config| config.quota = 1_000_000);
    for key in 0..10 {
        house.put(key, &source(100_000, u64::from(key))).await;
    }
    for _ in 0..3 {
        house.writer.reader().lookup(&key_of(0)).unwrap();
    }
    let house = house.reopened();
    for key in 10..18 {
        house.put(key, &source(100_000, u64::from(key))).await;
    }
    assert!(house.writer.reader().find(&key_of(0)).await.is_some(), "it was used");
    assert!(house.writer.reader().find(&key_of(1)).await.is_none(), "it was not");
}

#[tokio::test]
async fn a_log_with_more_garbage_than_content_is_rewritten() {
    let house = House::with(|config| config.quota = 8 << 20);
    let mut entry = house.put(1, &source(100_000, 1)).await;
    for head in 0..40_000 {
        entry = house.writer.replace_head(&entry, head).unwrap();
    }
    drop(entry);
    house.writer.commit();
    let before = house.length_of("index");
    while house.length_of("index") > 1_300_000 {
        house.writer.0.shared.upkeep.ring();
        std::thread::yield_now();
    }
    assert!(before > 2 << 20 && house.metric("compactions_total") > 0, "{before}");
    let house = house.reopened();
    assert_eq!(*house.writer.reader().find(&key_of(1)).await.unwrap().head, 39_999);
}

/// user-demand 4c: 54; repositories R02.
#[tokio::test]
async fn a_scrub_finds_what_has_rotted() {
    let house = House::new(8 << 20);
    let rotten = house.put(1, &source(100_000, 1)).await.body.digest().unwrap();
    house.put(2, &source(100_000, 2)).await;
    let mut bytes = house.body(&rotten);
    bytes[0] ^= 1;
    std::fs::write(house.path(&rotten), bytes).unwrap();
    assert!(house.writer.start_scrub(u64::MAX));
    let report = loop {
        let report = house.writer.reader().scrub();
        if !report.is_running {
            break report;
        }
        std::thread::yield_now();
    };
    assert_eq!((report.bodies, report.bytes, report.damaged), (2, 200_000, 1));
    assert!(house.writer.reader().find(&key_of(1)).await.is_none());
    assert!(house.writer.reader().find(&key_of(2)).await.is_some());
}
