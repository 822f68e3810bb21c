//! Regressions: what may be believed of a body after a crash.
//!
//! user-demand 4c: 53, 54.

use std::sync::Arc;
use std::time::Duration;

use super::support::*;
use crate::*;

const LENGTH: usize = 100_000;

fn on(directory: tempfile::TempDir, disk: &Arc<FaultyDisk>) -> House {
    let mut config = config(&directory, 8 << 20);
    config.disk = disk.clone();
    // Rounds come from the test alone.
    config.commit_interval = Duration::from_secs(3600);
    House::open(directory, config)
}

/// A store whose first entry, in a clean epoch, has `bytes`, opened again on a disk whose power can be cut.
async fn with_one(bytes: &[u8], seed: u64) -> (House, Arc<FaultyDisk>) {
    let house = House::new(8 << 20);
    house.put(1, bytes).await;
    let House { writer, directory, .. } = house;
    writer.close().await.unwrap();
    drop(writer);
    let disk = Arc::new(FaultyDisk::new(directory.path(), seed).unwrap());
    (on(directory, &disk), disk)
}

/// What a power cut leaves now, with everything that can be read in it compared with `bytes`.
async fn after_a_power_cut(disk: &FaultyDisk, bytes: &[u8], seed: u64) {
    let after = tempfile::tempdir().unwrap();
    disk.crash(after.path()).unwrap();
    let config = config(&after, 8 << 20);
    let house = House::open(after, config);
    for key in 1..=2 {
        let Some(entry) = house.writer.reader().find(&key_of(key)).await else { continue };
        assert!(
            drain(entry.body.read(0..u64::MAX)).await == (bytes.to_vec(), None),
            "key {key}, seed {seed}"
        );
    }
}

/// The removal is not on the disk yet: a power cut brings the old record back, which is trusted, with a new file of the
/// same name, which must not be.
#[tokio::test]
async fn a_body_that_comes_back_under_a_name_that_is_still_recorded_is_durable_first() {
    let bytes = source(LENGTH, 1);
    for seed in 0..12 {
        let (house, disk) = with_one(&bytes, seed).await;
        assert!(house.writer.remove(&key_of(1)).await);
        house.writer.settle().await;
        house.put(2, &bytes).await;
        after_a_power_cut(&disk, &bytes, seed).await;
    }
}

/// Two records name one body, the older one from a clean epoch: the file is that of the younger one.
#[tokio::test]
async fn a_body_is_trusted_as_little_as_its_youngest_record() {
    let bytes = source(LENGTH, 1);
    for seed in 0..12 {
        let (house, disk) = with_one(&bytes, seed).await;
        std::fs::remove_file(house.path(&Digest::of(&bytes))).unwrap();
        house.put(2, &bytes).await;
        house.writer.commit();
        after_a_power_cut(&disk, &bytes, seed).await;
    }
}

/// A part is dropped because its epoch was unclean, although the object has become whole in it.
#[tokio::test]
async fn what_became_whole_after_it_was_interrupted_survives_a_crash_and_the_start_after_that() {
    let house = House::new(8 << 20);
    let bytes = source(LENGTH, 1);
    let (entry, mut fill) = house.publish(1, Some(LENGTH as u64), None).await;
    fill.write(bytes[..70_000].to_vec().into()).await.unwrap();
    drop(entry);
    fill.suspend(reasons::fill_abandoned()).await;
    house.writer.settle().await;
    drop(house.put(1, &bytes).await);
    house.writer.commit();
    let house = house.crashed(|_| {});
    let house = house.reopened();
    let entry = house.writer.reader().find(&key_of(1)).await.expect("it is whole");
    assert!(drain(entry.body.read(0..u64::MAX)).await == (bytes, None));
}

/// The record of a part comes back with a crash, its file does not.
#[tokio::test]
async fn a_part_whose_file_is_gone_is_dropped_at_the_start_and_not_counted() {
    let house = House::new(8 << 20);
    let (entry, mut fill) = house.publish(1, Some(LENGTH as u64), None).await;
    fill.write(source(70_000, 1).into()).await.unwrap();
    drop(entry);
    fill.suspend(reasons::fill_abandoned()).await;
    house.writer.settle().await;
    let parts = house.directory.path().join("parts");
    let house = house.reopened_after(|| {
        for part in std::fs::read_dir(&parts).unwrap() {
            std::fs::remove_file(part.unwrap().path()).unwrap();
        }
    });
    house.writer.settle().await;
    assert_eq!((house.usage().used, house.usage().entries), (0, 0));
}

/// What was compared with its digest may still be in memory only, and so may the removal of what was damaged.
///
/// user-demand 4c: 53; repositories R01.
#[tokio::test]
async fn bodies_are_durable_before_their_epoch_is_called_verified() {
    let house = House::new(8 << 20);
    house.put(1, &source(LENGTH, 1)).await;
    house.writer.commit();
    let directory = tempfile::tempdir().unwrap();
    let after = house.crashed(|left| copy(left, directory.path()));
    drop(after);
    let disk = Arc::new(FaultyDisk::new(directory.path(), 1).unwrap());
    let house = on(directory, &disk);
    house.wait_for("verified_total", 1);
    while house.writer.0.shared.epochs.lock().is_unclean(1) {
        std::thread::yield_now();
    }
    assert!(disk.calls(Operation::SyncAll) > 0);
}
