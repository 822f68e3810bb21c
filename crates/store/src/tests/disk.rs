//! The directory, its files, and disks that refuse.

use std::fs::{self, File};
use std::sync::Arc;

use prometheus_client::registry::Registry;

use super::support::*;
use crate::bodies::Named;
use crate::files::mapping::Segment;
use crate::files::residency;
use crate::*;

/// user-demand 4c: 56.
#[tokio::test]
async fn a_second_store_on_the_same_directory_is_refused_and_told_by_whom() {
    let house = House::new(1 << 20);
    house.put(1, b"body").await;
    let error = open::<Plain>(config(&house.directory, 1), &mut Registry::default()).err().unwrap();
    assert!(error.detail.contains(&format!("in use by process {}", std::process::id())), "{error}");
    assert_eq!(house.body(&Digest::of(b"body")), b"body");
}

/// repositories R05.
#[tokio::test]
async fn what_grew_in_an_earlier_run_is_gone_and_other_files_are_not_touched() {
    let house = House::new(1 << 20);
    house.put(1, b"body").await;
    fs::write(house.directory.path().join("fills/stray"), "x").unwrap();
    fs::write(house.directory.path().join("mine"), "x").unwrap();
    let house = house.reopened();
    assert_eq!((house.files("fills"), house.files("bodies")), (0, 1));
    assert!(house.directory.path().join("mine").exists());
}

#[tokio::test]
async fn dropping_everything_deletes_all_files() {
    let house = House::new(4 << 20);
    let kept: Vec<_> = [house.put(1, b"small").await, house.put(2, &[1; 100_000]).await].into();
    let (growing, fill) = house.publish(3, None, None).await;
    assert_eq!((house.files("bodies"), house.files("fills")), (2, 1));
    (1..=3).for_each(|key| assert!(house.remove(&key_of(key))));
    house.writer.settle().await;
    assert_eq!((house.files("bodies"), house.files("fills")), (2, 1), "somebody holds them");
    drop((kept, growing, fill));
    house.writer.settle().await;
    assert_eq!((house.files("bodies"), house.files("fills")), (0, 0));
    assert_eq!(house.usage(), Usage { quota: 4 << 20, ..Usage::default() });
}

#[tokio::test]
async fn equal_bodies_become_one() {
    let house = House::new(4 << 20);
    for (base, size) in [(1, 500), (10, 200_000)] {
        let bytes = source(size, base);
        let first = house.put(base as u8, &bytes).await;
        let (second, mut fill) = house.publish(base as u8 + 1, None, None).await;
        fill.write(bytes.clone().into()).await.unwrap();
        let reader = second.body.read(0..u64::MAX);
        fill.finish().await.unwrap();
        let merged = house.writer.reader().lookup(&key_of(base as u8 + 1)).unwrap();
        assert!(Arc::ptr_eq(&merged.body, &first.body));
        assert_eq!(merged.key, second.key);
        assert_eq!(drain(reader).await, (bytes.clone(), None), "readers of the second go on with it");
        drop(second);
        house.writer.settle().await;
        assert_eq!((house.files("fills"), house.usage().used), (0, size as u64));

        drop((house.remove(&key_of(base as u8)), first));
        house.writer.settle().await;
        assert_eq!(house.body(&merged.body.digest().unwrap()), bytes, "the name lives as long as the body");
        drop((house.remove(&key_of(base as u8 + 1)), merged));
        house.writer.settle().await;
        assert_eq!((house.files("bodies"), house.usage().used), (0, 0));
    }
    assert_eq!(house.metric("deduplicated_total"), 2);
}

#[tokio::test]
async fn a_body_like_one_that_is_just_going_keeps_its_name() {
    let house = House::new(4 << 20);
    let bytes = source(100_000, 1);
    let old = house.put(1, &bytes).await;
    let digest = old.body.digest().unwrap();
    let (new, mut fill) = house.publish(2, None, None).await;
    fill.write(bytes.clone().into()).await.unwrap();
    fill.flush().await.unwrap();

    // All disk threads are busy when the old body goes, so that its burial comes after the new one's completion.
    let shared = &new.body.shared;
    let (release, hold) = std::sync::mpsc::channel::<()>();
    let hold = Arc::new(parking_lot::Mutex::new(hold));
    for _ in 0..2 {
        let hold = hold.clone();
        shared.pool.push(move || {
            let _ = hold.lock().recv();
        });
    }
    drop((house.remove(&key_of(1)), old));
    let file = new.body.open_file().unwrap();
    let completed = shared.complete_file(&new.body, 100_000, digest, file).unwrap();
    let Ok(Named::Twin(twin)) = completed.named else { panic!("the old one is still there") };
    drop(release);
    house.writer.settle().await;
    assert_eq!(house.body(&digest), bytes, "it stays for as long as somebody reads it");
    assert_eq!(drain(twin.read(0..u64::MAX)).await, (bytes, None));
}

#[tokio::test]
async fn entries_nobody_holds_leave_memory_when_it_is_full_and_are_read_from_disk() {
    let house = House::with(|config| {
        config.memory = 3500;
        config.commit_interval = std::time::Duration::from_secs(3600);
    });
    drop(house.put(1, &[1; 1000]).await);
    let held = house.put(2, &[2; 1000]).await;
    assert_eq!((house.usage().memory, house.metric("memory_bytes")), (2000, 2000));
    house.writer.0.round();
    assert_eq!((house.usage().memory, house.usage().warm, house.usage().entries), (1000, 1, 2));
    assert!(house.writer.reader().lookup(&key_of(1)).is_none(), "it is cold");
    let again = house.writer.reader().find(&key_of(1)).await.unwrap();
    assert_eq!((&*again.name, *again.head), ("name", 0));
    assert_eq!(drain(again.body.read(0..u64::MAX)).await, (vec![1; 1000], None));
    assert_eq!(drain(held.body.read(0..u64::MAX)).await, (vec![2; 1000], None));
    assert_eq!((house.metric("warmed_total"), house.metric("cooled_total")), (1, 1));
}

#[tokio::test]
async fn open_files_are_bounded_and_opened_again() {
    let house = House::new(4 << 20);
    let entries: Vec<_> = {
        let mut entries = Vec::new();
        for key in 0..12 {
            entries.push(house.put(key, &vec![key; 70_000]).await);
        }
        entries
    };
    for round in 0..2 {
        for (key, entry) in entries.iter().enumerate() {
            assert_eq!(drain(entry.body.read(0..u64::MAX)).await, (vec![key as u8; 70_000], None), "{round}");
            assert!(house.metric("open_files") <= 4);
        }
    }
    drop(entries);
    (0..12).for_each(|key| assert!(house.remove(&key_of(key))));
    house.writer.settle().await;
    assert_eq!(house.metric("open_files"), 0);
}

#[tokio::test]
async fn what_is_not_in_memory_is_read_by_a_disk_thread_first() {
    let house = House::new(8 << 20);
    let source = source(3 << 20, 6);
    let entry = house.put(1, &source).await;
    let file = File::open(house.path(&entry.body.digest().unwrap())).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    // Some file systems live in memory: then there is nothing to read.
    let segment = Segment::map(&Arc::new(file), 0, Some(3 << 20)).unwrap();
    let resident = segment.is_resident(&(0..1 << 20)).unwrap();
    assert_eq!(drain(entry.body.read(0..u64::MAX)).await, (source, None));
    assert_eq!(house.metric("read_ahead_total") > 0, !resident);
    assert!(segment.is_resident(&(0..1 << 20)).unwrap());
}

#[tokio::test]
async fn both_ways_to_ask_what_is_in_memory_agree() {
    let house = House::new(8 << 20);
    let entry = house.put(1, &source(3 << 20, 6)).await;
    let file = File::open(house.path(&entry.body.digest().unwrap())).unwrap();
    file.sync_all().unwrap();
    let hole = std::num::NonZeroU64::new(1 << 20);
    rustix::fs::fadvise(&file, 1 << 20, hole, rustix::fs::Advice::DontNeed).unwrap();
    let segment = Segment::map(&Arc::new(file), 0, Some(3 << 20)).unwrap();
    for range in [0..1 << 20, 5..4097, 1 << 20..2 << 20, (2 << 20) + 1..3 << 20, (1 << 20) - 1..(1 << 20) + 1]
    {
        assert_eq!(segment.is_resident(&range).unwrap(), segment.is_incore(&range).unwrap(), "{range:?}");
    }
    assert!(segment.is_resident(&(0..1 << 20)).unwrap());
}

/// user-demand 4c: 55.
#[tokio::test]
async fn a_file_shortened_under_us_is_a_failure_and_no_crash() {
    let house = House::new(8 << 20);
    let entry = house.put(1, &[7; 200_000]).await;
    let path = house.path(&entry.body.digest().unwrap());
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(10).unwrap();
    let error = residency::read_ahead(&file_for_reading(&house, &entry), 0..200_000).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    let (bytes, failure) = drain(entry.body.read(100_000..u64::MAX)).await;
    assert_eq!((bytes.len(), failure.unwrap().reason), (0, "disk_error"));
    assert!(house.metric("disk_errors_total") > 0);
}

fn file_for_reading(house: &House, entry: &Entry<Plain>) -> File {
    File::open(house.path(&entry.body.digest().unwrap())).unwrap()
}

/// user-demand 4c: 52, 55.
#[tokio::test]
async fn a_disk_that_refuses_costs_long_bodies_their_claim_and_small_ones_nothing() {
    let house = House::new(8 << 20);
    house.break_fills();
    let long = house.claim(1).publish(0, BodySpec { length: None, promised: None }).await;
    let Err((claim, Refused::Disk(failure))) = long else { panic!("there is no place for it") };
    assert_eq!((failure.reason, failure.blame), ("disk_error", Blame::Us));
    drop(claim);
    assert_eq!(house.usage().used, 0);

    let small = house.put(2, b"small").await;
    assert_eq!(house.metric("disk_errors_total"), 2);
    assert_eq!(drain(small.body.read(0..u64::MAX)).await, (b"small".to_vec(), None));
    drop((house.remove(&key_of(2)), small));
    assert_eq!(house.usage().used, 0);
    house.writer.settle().await;
}

#[tokio::test]
async fn a_body_whose_file_has_vanished_fails_its_readers() {
    let house = House::new(8 << 20);
    let entries = [house.put(1, &[1; 70_000]).await, house.put(2, &[2; 70_000]).await];
    for key in 3..9 {
        house.put(key, &vec![key; 70_000]).await;
    }
    fs::remove_file(house.path(&entries[0].body.digest().unwrap())).unwrap();
    let (bytes, failure) = drain(entries[0].body.read(0..u64::MAX)).await;
    assert_eq!((bytes.len(), failure.unwrap().reason), (0, "disk_error"));
    assert_eq!(drain(entries[1].body.read(0..u64::MAX)).await.1, None);
}

#[tokio::test]
async fn a_disk_that_refuses_does_not_fill_the_memory() {
    let house = House::new(8 << 20);
    house.break_fills();
    let small = house.put(1, b"small").await;
    small.body.shared.metrics.memory.add(1 << 30);
    let spec = BodySpec { length: Some(5), promised: None };
    let refused = house.claim(2).publish(0, spec).await.err().map(|(_, refused)| refused);
    assert!(matches!(refused, Some(Refused::Disk(_))));
}
