//! Entries that leave in great numbers: what that costs the others.

use std::sync::mpsc;

use super::support::*;

const ENTRIES: u8 = 250;

/// A removal of many is one job, and whoever comes after it has his turn before it is through.
#[test]
fn who_waits_for_the_disk_is_not_behind_every_entry_that_leaves() {
    let house = House::with(|config| config.disk_threads = 1);
    for key in 0..ENTRIES {
        block_on(house.put(key, &[key; 100]));
    }
    let shared = house.writer.0.shared.clone();
    let (release, hold) = mpsc::channel::<()>();
    let (running, started) = mpsc::channel();
    shared.pool.push(move || {
        running.send(()).unwrap();
        hold.recv().unwrap();
    });
    started.recv().unwrap();
    for key in 0..ENTRIES {
        assert!(house.remove(&key_of(key)));
    }
    assert_eq!(house.metric("disk_queue"), 1, "one job for all");
    let (answer, answered) = mpsc::channel();
    let left = house.writer.0.shared.clone();
    shared.pool.push(move || answer.send(left.quota.used()).unwrap());
    release.send(()).unwrap();
    let used = answered.recv().unwrap();
    assert!(used > 100 * u64::from(ENTRIES) / 2, "only {used} bytes are left when it is his turn");
    block_on(house.writer.settle());
    assert_eq!((house.usage().used, house.files("bodies"), house.metric("bodies")), (0, 0, 0));
    block_on(house.put(1, b"again"));
}

/// What has left is seen to before the store ends: the next start has nothing to clear away.
#[test]
fn a_store_that_ends_sees_to_what_has_left_before() {
    let house = House::new(1 << 20);
    for key in 0..ENTRIES {
        block_on(house.put(key, &[key; 100]));
    }
    for key in 0..ENTRIES {
        house.remove(&key_of(key));
    }
    let House { writer, directory, .. } = house;
    block_on(writer.close()).unwrap();
    drop(writer);
    let config = config(&directory, 1 << 20);
    let house = House::open(directory, config);
    assert_eq!((house.usage().entries, house.files("bodies"), house.metric("strays_total")), (0, 0, 0));
}
