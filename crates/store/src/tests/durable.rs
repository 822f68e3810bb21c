//! What a restart finds, after a clean stop and after none.

use std::fs;

use super::support::*;
use crate::*;

#[tokio::test]
async fn a_clean_restart_finds_everything_and_asks_no_body_twice() {
    let house = House::new(8 << 20);
    let long = source(300_000, 1);
    house.put(1, b"small").await;
    let entry = house.put(2, &long).await;
    house.writer.replace_head(&entry, 77).unwrap();
    drop(entry);
    house.put(3, b"removed").await;
    house.remove(&key_of(3));
    house.writer.settle().await;

    let house = house.reopened();
    assert_eq!((house.usage().entries, house.usage().warm, house.usage().used), (2, 0, 300_005));
    let reader = house.writer.reader();
    let small = reader.find(&key_of(1)).await.unwrap();
    assert_eq!(drain(small.body.read(0..u64::MAX)).await, (b"small".to_vec(), None));
    let again = reader.find(&key_of(2)).await.unwrap();
    assert_eq!((&*again.name, *again.head, again.body.digest()), ("name", 77, Some(Digest::of(&long))));
    assert_eq!(drain(again.body.read(7..u64::MAX)).await, (long[7..].to_vec(), None));
    assert!(reader.find(&key_of(3)).await.is_none());
    assert_eq!((house.metric("verified_total"), house.metric("damaged_total")), (0, 0));
}

#[tokio::test]
async fn a_claim_on_a_cold_entry_reads_it_first() {
    let house = House::new(8 << 20);
    house.put(1, b"small").await;
    let house = house.reopened();
    let name = std::sync::Arc::from("name");
    let access = house.writer.lookup_or_claim(key_of(1), &name, |entry| *entry.head == 0).await;
    assert!(matches!(access, Access::Found(_)));
    drop(access);
    let Access::Claimed(claim) = house.writer.lookup_or_claim(key_of(1), &name, |_| false).await else {
        panic!("nothing is accepted")
    };
    let fresh = claim.refresh(5).unwrap_or_else(|_| panic!("there is an entry"));
    drop(fresh);
    let house = house.reopened();
    assert_eq!(*house.writer.reader().find(&key_of(1)).await.unwrap().head, 5, "a confirmed head is kept");
}

/// user-demand 4c: 53; repositories R02.
#[tokio::test]
async fn after_a_crash_bodies_are_verified_before_they_are_served() {
    let house = House::new(8 << 20);
    let good = house.put(1, &source(200_000, 1)).await.body.digest().unwrap();
    let bad = house.put(2, &source(200_000, 2)).await.body.digest().unwrap();
    house.writer.commit();
    let house = house.crashed(|root| {
        let path = root.join("bodies").join(&bad.to_string()[..2]).join(bad.to_string());
        let mut bytes = fs::read(&path).unwrap();
        bytes[100_000] ^= 1;
        fs::write(path, bytes).unwrap();
    });
    let reader = house.writer.reader();
    assert!(reader.find(&key_of(2)).await.is_none(), "one bit differs");
    let entry = reader.find(&key_of(1)).await.unwrap();
    assert_eq!(entry.body.digest(), Some(good));
    assert_eq!(drain(entry.body.read(0..u64::MAX)).await, (source(200_000, 1), None));
    house.wait_for("damaged_total", 1);
    house.writer.settle().await;
    assert_eq!((house.usage().used, house.files("bodies")), (200_000, 1), "what is damaged is deleted");
}

#[test]
fn what_was_not_committed_before_a_crash_leaves_no_trace() {
    let house = House::with(|config| config.commit_interval = std::time::Duration::from_secs(3600));
    block_on(house.put(1, b"kept"));
    house.writer.commit();
    let not_now = house.writer.0.committing.lock();
    block_on(house.put(2, b"lost"));
    let after = house.crashed(|_| {});
    drop(not_now);
    let house = after;
    assert_eq!((house.usage().entries, house.usage().used), (1, 4));
    house.wait_for("strays_total", 1);
    assert_eq!(house.files("bodies"), 1);
}

/// user-demand 4c: 55; repositories R07.
#[tokio::test]
async fn bodies_that_are_gone_or_cut_are_dropped_at_the_start() {
    let house = House::new(8 << 20);
    let gone = house.put(1, &source(100_000, 1)).await.body.digest().unwrap();
    let cut = house.put(2, &source(100_000, 2)).await.body.digest().unwrap();
    house.put(3, &source(100_000, 3)).await;
    house.put(4, &source(100_000, 1)).await;
    let paths = [house.path(&gone), house.path(&cut)];
    let house = house.reopened_after(|| {
        fs::remove_file(&paths[0]).unwrap();
        fs::OpenOptions::new().write(true).open(&paths[1]).unwrap().set_len(99_999).unwrap();
    });
    house.wait_for("damaged_total", 2);
    house.writer.settle().await;
    assert_eq!((house.usage().entries, house.usage().used), (1, 100_000));
    assert_eq!(house.files("bodies"), 1);
}

/// user-demand 4c: 55.
#[tokio::test]
async fn a_body_deleted_under_a_warm_entry_is_dropped_when_it_is_read() {
    let house = House::with(|config| config.open_files = 1);
    let entry = house.put(1, &source(100_000, 1)).await;
    house.put(2, &source(100_000, 2)).await;
    fs::remove_file(house.path(&entry.body.digest().unwrap())).unwrap();
    assert!(drain(entry.body.read(0..u64::MAX)).await.1.is_some());
    house.wait_for("damaged_total", 1);
    assert!(house.writer.reader().find(&key_of(1)).await.is_none());
}

/// user-demand 4c: 59.
#[tokio::test]
async fn an_index_of_a_newer_version_is_refused_by_name() {
    let house = House::new(8 << 20);
    house.put(1, b"body").await;
    let House { writer, directory, .. } = house;
    block_on(writer.close()).unwrap();
    drop(writer);
    let log = fs::read_dir(directory.path().join("index"))
        .unwrap()
        .flat_map(|shard| fs::read_dir(shard.unwrap().path()).into_iter().flatten())
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "log"))
        .unwrap();
    let mut bytes = fs::read(&log).unwrap();
    bytes[8..10].copy_from_slice(&2_u16.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..12]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    fs::write(&log, bytes).unwrap();
    let error = open::<Plain>(config(&directory, 1 << 20), &mut Default::default()).err().unwrap();
    assert!(error.detail.contains(log.to_str().unwrap()) && error.detail.contains("version"), "{error}");
}

/// repositories R06.
#[tokio::test]
async fn a_relocated_directory_works() {
    let house = House::new(8 << 20);
    house.put(1, &source(100_000, 1)).await;
    let House { writer, directory, .. } = house;
    block_on(writer.close()).unwrap();
    drop(writer);
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("moved");
    fs::rename(directory.path(), &moved).unwrap();
    let mut config = config(&elsewhere, 8 << 20);
    config.directory = moved;
    let house = House::open(elsewhere, config);
    let entry = house.writer.reader().find(&key_of(1)).await.unwrap();
    assert_eq!(drain(entry.body.read(0..u64::MAX)).await, (source(100_000, 1), None));
}

#[tokio::test]
async fn a_body_shared_before_the_restart_is_shared_after_it() {
    let house = House::new(8 << 20);
    let bytes = source(100_000, 1);
    house.put(1, &bytes).await;
    house.put(2, &bytes).await;
    let house = house.reopened();
    assert_eq!(house.usage().used, 100_000);
    let third = house.put(3, &bytes).await;
    let current = house.writer.reader().find(&key_of(3)).await.unwrap();
    drop(third);
    let first = house.writer.reader().find(&key_of(1)).await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&first.body, &current.body), "a cold twin is found");
    drop((first, current));
    house.writer.settle().await;
    for key in 1..=3 {
        assert_eq!(house.usage().used, 100_000);
        house.remove(&key_of(key));
        house.writer.settle().await;
    }
    assert_eq!((house.usage().used, house.files("bodies")), (0, 0));
}

#[tokio::test]
async fn small_state_is_kept() {
    let house = House::new(1 << 20);
    assert_eq!(house.writer.kept("pins").await, None);
    house.writer.keep("pins", b"[]".to_vec()).await.unwrap();
    let house = house.reopened();
    assert_eq!(house.writer.kept("pins").await, Some(b"[]".to_vec()));
}

#[tokio::test]
async fn expired_entries_go_warm_or_cold() {
    let house = House::new(1 << 20);
    for key in 0..10 {
        let (_, mut fill) = match house
            .claim(key)
            .publish(u32::from(key), BodySpec { length: Some(1), promised: None })
            .await
        {
            Ok(published) => published,
            Err(_) => panic!("there is room"),
        };
        fill.write(vec![key].into()).await.unwrap();
        fill.finish().await.unwrap();
    }
    house.writer.settle().await;
    assert_eq!(house.writer.remove_expired(4, 3), 3);
    let house = house.reopened();
    assert_eq!(house.writer.remove_expired(4, usize::MAX), 1);
    let warm = house.writer.reader().find(&key_of(5)).await.unwrap();
    assert_eq!(house.writer.remove_expired(8, usize::MAX), 4);
    assert_eq!(drain(warm.body.read(0..u64::MAX)).await, (vec![5], None));
    assert_eq!(house.usage().entries, 2);
}

/// user-demand 4c: 55.
#[tokio::test]
async fn an_index_deleted_while_it_is_in_use_is_written_anew() {
    let house = House::new(8 << 20);
    house.put(1, b"body").await;
    house.writer.commit();
    fs::rename(house.directory.path().join("index"), house.directory.path().join("gone")).unwrap();
    house.writer.0.look();
    house.wait_for("compactions_total", 1);
    let house = house.reopened();
    let entry = house.writer.reader().find(&key_of(1)).await.unwrap();
    assert_eq!(drain(entry.body.read(0..u64::MAX)).await, (b"body".to_vec(), None));
}

/// Regression: the old body's file went before the record of the new one was on the disk, and a crash lost both.
///
/// user-demand 4c: 53; repositories R03.
#[test]
fn a_crash_while_an_object_is_replaced_leaves_the_old_one() {
    let house = House::new(8 << 20);
    block_on(house.put(1, &source(100_000, 1)));
    house.writer.commit();
    let not_now = house.writer.0.committing.lock();
    block_on(async {
        let (_, mut fill) = house.publish(1, None, None).await;
        fill.write(source(100_000, 2).into()).await.unwrap();
        fill.finish().await.unwrap();
        house.writer.0.shared.settled().await;
    });
    let after = house.crashed(|_| {});
    drop(not_now);
    let entry = block_on(after.writer.reader().find(&key_of(1))).unwrap();
    assert_eq!(block_on(drain(entry.body.read(0..u64::MAX))), (source(100_000, 1), None));
    house.writer.commit();
    block_on(house.writer.0.shared.settled());
    assert_eq!((house.files("bodies"), house.usage().used), (1, 100_000), "then the old one goes");
}

/// A small body found its twin, whose last entry went before the twin was held: its entry then had no file. And the number
/// of a body that has gone may be another's by now.
#[test]
fn a_body_that_has_gone_is_nobodys_twin_and_its_number_reads_nothing() {
    let house = House::new(1 << 20);
    let digest = Digest::of(b"the same bytes");
    drop(block_on(house.put(1, b"the same bytes")));
    let shared = &house.writer.0.shared;
    let id = shared.bodies.id(&digest).expect("it is on the disk");
    let held = shared.bodies.twin(shared, &digest, |_| true).expect("it can be used");
    assert!(house.remove(&key_of(1)));
    block_on(house.writer.settle());
    assert_eq!(house.files("bodies"), 1, "somebody holds it");
    assert!(shared.bodies.living(shared, id, &digest).is_some());
    drop(held);
    block_on(house.writer.settle());
    assert_eq!(house.files("bodies"), 0);
    drop(block_on(house.put(2, b"other bytes")));
    assert!(shared.bodies.twin(shared, &digest, |_| true).is_none());
    assert!(shared.bodies.living(shared, id, &digest).is_none());
}

/// A head that changed while its small body was in memory only was recorded in place of the object that the disk had: a
/// crash then lost both. `tests/crash.rs` found it.
#[test]
fn a_new_head_of_a_body_that_is_not_on_the_disk_yet_does_not_cost_the_object_before() {
    let House { writer, directory, .. } = House::new(1 << 20);
    block_on(writer.close()).unwrap();
    drop(writer);
    let disk = std::sync::Arc::new(FaultyDisk::new(directory.path(), 1).unwrap());
    let mut settings = config(&directory, 1 << 20);
    settings.disk = disk.clone();
    settings.commit_interval = std::time::Duration::from_secs(3600);
    let house = House::open(directory, settings);
    drop(block_on(house.put(1, b"old")));
    house.writer.commit();
    let (open, shut) = std::sync::mpsc::channel::<()>();
    let shut = parking_lot::Mutex::new(shut);
    disk.gate(std::sync::Arc::new(move |operation| {
        if operation == Operation::Create {
            let _ = shut.lock().recv();
        }
    }));
    block_on(async {
        let (_, mut fill) = house.publish(1, Some(3), None).await;
        fill.write(bytes::Bytes::from_static(b"new")).await.unwrap();
        fill.finish().await.unwrap();
    });
    assert!(house.claim(1).refresh(7).is_ok());
    house.writer.commit();
    let after = house.crashed(|_| ());
    let entry = block_on(after.writer.reader().find(&key_of(1))).expect("what was committed");
    assert_eq!(block_on(drain(entry.body.read(0..u64::MAX))).0, b"old");
    drop(open);
    block_on(house.writer.settle());
    house.writer.commit();
    let later = house.crashed(|_| ());
    let entry = block_on(later.writer.reader().find(&key_of(1))).expect("what was committed");
    assert_eq!((*entry.head, block_on(drain(entry.body.read(0..u64::MAX))).0), (7, b"new".to_vec()));
}
