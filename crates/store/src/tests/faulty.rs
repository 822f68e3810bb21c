//! The store on a disk that fails at any one call, and after a power cut at any moment.
//!
//! user-demand 4c: 52, 53.

use std::sync::Arc;

use super::support::*;
use crate::*;

/// Errors that a disk gives: no space, input or output error, quota exceeded, read-only.
const ERRORS: [i32; 4] = [libc::ENOSPC, libc::EIO, libc::EDQUOT, libc::EROFS];
/// Calls at which the disk fails, one after the other.
const CALLS: u64 = 120;

/// The calls that a store makes while it works.
const OPERATIONS: [Operation; 11] = [
    Operation::Create,
    Operation::Open,
    Operation::OpenWrite,
    Operation::Write,
    Operation::Read,
    Operation::Sync,
    Operation::SyncDirectory,
    Operation::Rename,
    Operation::Remove,
    Operation::Length,
    Operation::Free,
];
/// Calls of one operation of which each fails once.
const MOST: u64 = 12;

fn content(key: u8) -> Vec<u8> {
    // Even keys are small and grow in memory, odd ones in a file.
    source(if key.is_multiple_of(2) { 5_000 } else { 150_000 }, u64::from(key))
}

/// Tries to store an object; whatever the disk does, nothing panics and nothing hangs.
async fn try_put(house: &House, key: u8) -> bool {
    let bytes = content(key);
    let spec = BodySpec { length: Some(bytes.len() as u64), promised: None };
    let Access::Claimed(claim) =
        house.writer.lookup_or_claim(key_of(key), &Arc::from("name"), |_| false).await
    else {
        return false;
    };
    let Ok((_entry, mut fill)) = claim.publish(0, spec).await else { return false };
    for piece in pieces(&bytes, 40_000) {
        if fill.write(piece).await.is_err() {
            return false;
        }
    }
    fill.finish().await.is_ok()
}

/// Everything that can be read is what was stored.
async fn check(house: &House, seed: u64) {
    for key in 0..10 {
        let Some(entry) = house.writer.reader().find(&key_of(key)).await else { continue };
        let (bytes, failure) = drain(entry.body.read(0..u64::MAX)).await;
        assert!(content(key).starts_with(&bytes), "key {key}, seed {seed}");
        assert!(failure.is_some() || bytes.len() == content(key).len(), "key {key}, seed {seed}");
    }
}

async fn work(house: &House) {
    for key in 1..6 {
        try_put(house, key).await;
        house.writer.settle().await;
        house.writer.commit();
    }
    house.remove(&key_of(0));
    house.remove(&key_of(2));
    house.writer.commit();
    try_put(house, 6).await;
    house.writer.settle().await;
    house.writer.commit();
}

fn on(directory: tempfile::TempDir, disk: &Arc<FaultyDisk>) -> House {
    let mut config = config(&directory, 8 << 20);
    config.disk = disk.clone();
    // Rounds come from the test alone, so that a seed tells the whole story.
    config.commit_interval = std::time::Duration::from_secs(3600);
    House::open(directory, config)
}

/// A store with one entry, on a disk that has done nothing wrong yet.
async fn begin(seed: u64) -> (House, Arc<FaultyDisk>) {
    let house = House::new(8 << 20);
    house.put(0, &content(0)).await;
    let House { writer, directory, .. } = house;
    writer.close().await.unwrap();
    drop(writer);
    let disk = Arc::new(FaultyDisk::new(directory.path(), seed).unwrap());
    (on(directory, &disk), disk)
}

/// user-demand 4c: 52; repositories R07.
#[tokio::test]
async fn an_error_at_any_call_costs_an_object_at_most_and_the_store_recovers() {
    for seed in (0..CALLS).step_by(3) {
        let (house, disk) = begin(seed).await;
        disk.fail_any(seed + 1, ERRORS[seed as usize % ERRORS.len()]);
        work(&house).await;
        check(&house, seed).await;
        disk.heal();
        house.writer.0.look();
        assert_eq!(house.usage().degraded, None, "seed {seed}");
        assert!(try_put(&house, 9).await, "seed {seed}");
        house.writer.settle().await;
        check(&house, seed).await;
        let House { writer, directory, .. } = house;
        writer.close().await.unwrap();
        drop(writer);
        let config = config(&directory, 8 << 20);
        let house = House::open(directory, config);
        check(&house, seed).await;
        assert!(house.writer.reader().find(&key_of(9)).await.is_some(), "seed {seed}");
    }
}

/// An error costs an object at most, whichever call it comes from, and how often it has gone well before.
///
/// user-demand 4c: 52; repositories R07.
#[tokio::test]
async fn every_operation_may_fail_at_each_of_its_calls() {
    for operation in OPERATIONS {
        let mut nth = 1;
        loop {
            let (house, disk) = begin(nth).await;
            let before = disk.calls(operation);
            disk.fail(operation, nth, ERRORS[nth as usize % ERRORS.len()]);
            work(&house).await;
            let calls = disk.calls(operation) - before;
            check(&house, nth).await;
            disk.heal();
            house.writer.0.look();
            assert_eq!(house.usage().degraded, None, "{operation:?} {nth}");
            assert!(try_put(&house, 9).await, "{operation:?} {nth}");
            house.writer.settle().await;
            check(&house, nth).await;
            if nth >= calls.min(MOST) {
                break;
            }
            nth += 1;
        }
    }
}

/// user-demand 4c: 52; repositories R07.
#[tokio::test]
async fn a_disk_that_refuses_everything_is_noticed_and_so_is_its_recovery() {
    let (house, disk) = begin(1).await;
    disk.fail_from(Operation::Create, 1, libc::EROFS);
    disk.fail_from(Operation::OpenWrite, 1, libc::EROFS);
    disk.fail_from(Operation::Write, 1, libc::EROFS);
    assert!(!try_put(&house, 1).await);
    let why = house.usage().degraded.expect("it is noticed");
    assert!(why.contains("Read-only"), "{why}");
    assert!(!try_put(&house, 3).await, "nothing long is tried any more");
    assert!(try_put(&house, 2).await, "small ones live in memory");
    house.writer.0.look();
    assert!(house.usage().degraded.is_some());
    check(&house, 1).await;
    disk.heal();
    house.writer.0.look();
    assert_eq!(house.usage().degraded, None);
    assert!(try_put(&house, 1).await);
}

/// user-demand 4c: 53; repositories R01, R03.
#[tokio::test]
async fn after_a_power_cut_at_any_call_what_is_served_is_exact() {
    for seed in (0..CALLS).step_by(2) {
        let (house, disk) = begin(seed).await;
        disk.cut_power_at(seed + 1);
        work(&house).await;
        check(&house, seed).await;
        let after = tempfile::tempdir().unwrap();
        disk.crash(after.path()).unwrap();
        let config = config(&after, 8 << 20);
        let house = House::open(after, config);
        check(&house, seed).await;
        assert!(try_put(&house, 8).await, "seed {seed}");
    }
}

/// user-demand 4c: 52.
#[tokio::test]
async fn short_writes_are_gone_on_with() {
    let (house, disk) = begin(1).await;
    disk.short_writes();
    work(&house).await;
    for key in [1, 3, 4, 5, 6] {
        let entry = house.writer.reader().find(&key_of(key)).await.unwrap();
        assert_eq!(drain(entry.body.read(0..u64::MAX)).await, (content(key), None));
    }
}
