//! What is bounded, and what a crash or a clock may cost of what is remembered.
//!
//! user-demand 4c: 52, 54, 55, 57.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use super::support::*;
use crate::*;

/// Bodies without a byte cost no quota, but they are entries.
///
/// repositories R09.
#[tokio::test]
async fn there_are_no_more_entries_than_wanted_even_of_empty_bodies() {
    let house = House::with(|config| config.max_entries = 20);
    for key in 0..200 {
        house.put(key, b"").await;
    }
    house.writer.0.round();
    assert!(house.usage().entries <= 20, "{}", house.usage().entries);
    assert_eq!((house.metric("max_entries"), house.metric("evicted_total")), (20, 180));
    assert!(house.writer.reader().find(&key_of(199)).await.is_some());
}

#[tokio::test]
async fn when_none_of_too_many_entries_may_go_no_other_one_comes() {
    let house = House::with(|config| {
        config.max_entries = 0;
        config.min_idle = Duration::from_secs(3600);
    });
    let mut refused = None;
    for key in 0..300_u16 {
        let mut name = [0; 16];
        name[..2].copy_from_slice(&key.to_le_bytes());
        let access = house.writer.lookup_or_claim(Key::new(name), &Arc::from("name"), |_| false).await;
        let Access::Claimed(claim) = access else { panic!("a new key") };
        match claim.publish(0, BodySpec { length: Some(0), promised: None }).await {
            Ok((_, fill)) => drop(fill.finish().await.unwrap()),
            Err((_, why)) => {
                refused = Some(why);
                break;
            }
        }
    }
    assert!(matches!(refused, Some(Refused::NoSpace { wanted: 0, .. })), "{refused:?}");
}

/// repositories R04.
#[tokio::test]
async fn use_before_a_crash_counts_after_it() {
    let house = House::with(|config| config.quota = 1_000_000);
    for key in 0..10 {
        house.put(key, &source(100_000, u64::from(key))).await;
    }
    for _ in 0..3 {
        house.writer.reader().find(&key_of(0)).await.unwrap();
    }
    house.writer.commit();
    (0..64).for_each(|_| house.writer.0.write_ahead());
    let house = house.crashed(|_| {});
    for key in 10..18 {
        house.put(key, &source(100_000, u64::from(key))).await;
    }
    assert!(house.writer.reader().find(&key_of(0)).await.is_some(), "it was used");
    assert!(house.writer.reader().find(&key_of(1)).await.is_none(), "it was not");
}

/// Heads that are wanted for longer when somebody asks for it: the deadline is the number of second 2000 of this
/// century, then more.
struct Longer;

impl Contents for Longer {
    type Head = Arc<AtomicU32>;
    type Refusal = ();

    fn encode(head: &Self::Head, into: &mut Vec<u8>) {
        into.extend_from_slice(&head.load(Ordering::Relaxed).to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self::Head> {
        bytes.try_into().ok().map(|bytes| Arc::new(AtomicU32::new(u32::from_le_bytes(bytes))))
    }

    fn deadline(head: &Self::Head) -> u32 {
        head.load(Ordering::Relaxed)
    }
}

/// A store with one entry that is wanted until `from`, and its wish.
async fn wanted(config: Config, until: u32) -> (Writer<Longer>, Arc<AtomicU32>) {
    let writer = open::<Longer>(config, &mut Default::default()).unwrap();
    writer.loaded().await;
    let Access::Claimed(claim) = writer.lookup_or_claim(key_of(1), &Arc::from("name"), |_| false).await
    else {
        panic!("a new key")
    };
    let wish = Arc::new(AtomicU32::new(until));
    let published = claim.publish(wish.clone(), BodySpec { length: Some(0), promised: None }).await;
    let Ok((_, fill)) = published else { panic!("there is room") };
    fill.finish().await.unwrap();
    writer.settle().await;
    (writer, wish)
}

async fn is_wanted_until(writer: &Writer<Longer>) -> u32 {
    Longer::deadline(&writer.reader().find(&key_of(1)).await.expect("it is there").head)
}

#[tokio::test]
async fn what_is_wanted_for_longer_is_so_after_it_has_cooled() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, wish) = wanted(Config { memory: 0, ..config(&directory, 1 << 20) }, 1000).await;
    wish.store(2000, Ordering::Relaxed);
    while writer.reader().usage().warm > 0 {
        writer.0.round();
        std::thread::yield_now();
    }
    assert_eq!(is_wanted_until(&writer).await, 2000);
    assert_eq!(writer.remove_expired(1500, 10), 0);
}

#[tokio::test]
async fn what_is_wanted_for_longer_is_so_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let now = crate::recording::second();
    let (writer, wish) = wanted(config(&directory, 1 << 20), now + 1000).await;
    wish.store(now + 1001, Ordering::Relaxed);
    writer.commit();
    let written = writer.0.shared.metrics.journal_bytes.get();
    (0..64).for_each(|_| writer.0.write_ahead());
    writer.commit();
    assert_eq!(writer.0.shared.metrics.journal_bytes.get(), written, "a second is not worth a record");
    wish.store(now + 5000, Ordering::Relaxed);
    (0..64).for_each(|_| writer.0.write_ahead());
    writer.commit();
    let left = tempfile::tempdir().unwrap();
    copy(directory.path(), left.path());
    let after = open::<Longer>(config(&left, 1 << 20), &mut Default::default()).unwrap();
    assert_eq!(is_wanted_until(&after).await, now + 5000);
}

/// A disk that refuses records for days, while heads are renewed all the time.
#[tokio::test]
async fn records_that_wait_for_the_disk_do_not_fill_the_memory() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::new(directory.path(), 1).unwrap());
    let mut config = config(&directory, 1 << 20);
    config.disk = disk.clone();
    config.commit_interval = Duration::from_secs(3600);
    config.compact_from = u64::MAX;
    let house = House::open(directory, config);
    let mut entry = house.put(1, b"body").await;
    house.writer.commit();
    disk.fail_from(Operation::Sync, 1, libc::EIO);
    for head in 0..60_000 {
        entry = house.writer.replace_head(&entry, head).unwrap();
    }
    let part = crate::index::number_of_part(&entry.key);
    let pending = || house.writer.0.index.with_log(part, |log| log.pending_bytes()).unwrap();
    assert!((1 << 20..2 << 20).contains(&pending()), "{}", pending());
    house.put(65, b"other").await;
    disk.heal();
    house.writer.commit();
    // What found no place before is recorded behind the rest.
    house.writer.commit();
    assert_eq!(pending(), 0);
    let crashed = house.crashed(|_| {});
    assert_eq!(*crashed.writer.reader().find(&key_of(1)).await.unwrap().head, 59_999);
    assert!(crashed.writer.reader().find(&key_of(65)).await.is_some());
    disk.fail_from(Operation::Sync, 1, libc::EIO);
    for head in 0..60_000 {
        entry = house.writer.replace_head(&entry, head).unwrap();
    }
    assert!(house.remove(&key_of(1)), "a removal finds its place");
    disk.heal();
    house.writer.commit();
    assert!(house.crashed(|_| {}).writer.reader().find(&key_of(1)).await.is_none());
}

/// On a disk that takes its time for each sync, 64 logs one after the other would not keep to the commit interval.
#[test]
fn logs_are_synced_several_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::new(directory.path(), 1).unwrap());
    let mut config = config(&directory, 1 << 20);
    config.disk = disk.clone();
    config.commit_interval = Duration::from_secs(3600);
    let house = House::open(directory, config);
    for key in 0..64 {
        block_on(house.put(key, b""));
    }
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    disk.gate(Arc::new(move |operation| {
        if operation == Operation::Sync {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // Until another one comes, or for so long that it would have.
            for _ in 0..20_000 {
                if most.load(Ordering::SeqCst) >= 8 {
                    break;
                }
                std::thread::yield_now();
            }
            now.fetch_sub(1, Ordering::SeqCst);
        }
    }));
    assert!(house.writer.0.commit());
    assert!(seen.load(Ordering::SeqCst) >= 8, "{seen:?}");
}

/// The server runs as root, somebody has put links in its directory.
#[test]
fn what_links_lead_to_is_not_written_to() {
    for name in ["lock", "control/pins.tmp", "index/epochs.tmp", "index/01/00000001.log"] {
        let directory = tempfile::tempdir().unwrap();
        let precious = directory.path().join("precious");
        std::fs::write(&precious, "precious").unwrap();
        let store = tempfile::tempdir().unwrap();
        let link = store.path().join(name);
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&precious, &link).unwrap();
        if let Ok(writer) = open::<Plain>(config(&store, 1 << 20), &mut Default::default()) {
            block_on(writer.loaded());
            let house = House { writer, directory: store, registry: Default::default() };
            block_on(house.put(1, b"body"));
            assert!(house.writer.0.commit(), "{name}: records go elsewhere");
            let _refused = block_on(house.writer.keep("pins", b"[]".to_vec()));
        }
        assert_eq!(std::fs::read(&precious).unwrap(), b"precious", "{name}");
    }
}

/// The quota was lowered: at the start much has to go, but nobody has said yet what is pinned.
#[tokio::test]
async fn nothing_is_evicted_before_pins_are_known() {
    let house = House::new(1 << 20);
    for key in 0..10 {
        house.put(key, &source(100_000, u64::from(key))).await;
    }
    let House { writer, directory, .. } = house;
    writer.close().await.unwrap();
    drop(writer);
    let config = Config { await_pins: true, ..config(&directory, 500_000) };
    let writer = open::<Plain>(config, &mut Default::default()).unwrap();
    writer.reader().loaded().await;
    for _ in 0..10 {
        writer.0.shared.upkeep.ring();
        writer.0.round();
        std::thread::yield_now();
    }
    assert_eq!(writer.reader().usage().entries, 10);
    writer.pin(Arc::new(|_, _| true));
    writer.loaded().await;
    writer.0.round();
    assert_eq!(writer.reader().usage().entries, 10, "all of it is pinned");
    writer.pin(Arc::new(|_, _| false));
    while writer.reader().usage().used > 500_000 {
        writer.0.shared.upkeep.ring();
        std::thread::yield_now();
    }
}

/// Damages tried at the same time.
const LANES: usize = 8;

/// Every byte of two logs and of the epochs is damaged in turn: what is served is exact or absent.
///
/// user-demand 4c: 54; repositories R07.
#[test]
fn no_damaged_byte_of_the_index_is_believed() {
    let house = House::new(8 << 20);
    for key in 0..3 {
        block_on(house.put(key, &source(2000, u64::from(key))));
    }
    house.remove(&key_of(2));
    let House { writer, directory, .. } = house;
    block_on(writer.close()).unwrap();
    drop(writer);
    let damage = |file: &str, at: usize| {
        let damaged = tempfile::tempdir().unwrap();
        copy(directory.path(), damaged.path());
        let file = damaged.path().join(file);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[at] ^= 0x55;
        std::fs::write(&file, bytes).unwrap();
        // A version that is not known is refused, and that is right.
        let Ok(writer) = open::<Plain>(config(&damaged, 8 << 20), &mut Default::default()) else { return };
        block_on(writer.loaded());
        for key in 0..3 {
            let Some(entry) = block_on(writer.reader().find(&key_of(key))) else { continue };
            let got = block_on(drain(entry.body.read(0..u64::MAX)));
            assert!(key < 2 && got == (source(2000, u64::from(key)), None), "{file:?} at {at}, key {key}");
        }
        block_on(writer.settle());
        let used = writer.reader().usage().used;
        assert!(used.is_multiple_of(2000) && used <= 4000, "{file:?} at {at}: {used}");
    };
    std::thread::scope(|scope| {
        for file in ["index/01/00000001.log", "index/02/00000001.log", "index/epochs"] {
            let length = std::fs::metadata(directory.path().join(file)).unwrap().len() as usize;
            let damage = &damage;
            // Most of the time goes by waiting.
            for first in 0..LANES {
                scope.spawn(move || (first..length).step_by(LANES).for_each(|at| damage(file, at)));
            }
        }
    });
}

/// Millions of entries that are not in memory are read in one go, not one by one.
#[tokio::test]
async fn pins_are_compared_without_a_look_up_for_each_entry() {
    const ENTRIES: u16 = 2000;
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::new(directory.path(), 1).unwrap());
    let mut config = config(&directory, 1 << 20);
    (config.disk, config.memory, config.commit_interval) = (disk.clone(), 0, Duration::from_secs(3600));
    let house = House::open(directory, config);
    let key = |number: u16| Key::new(std::array::from_fn(|at| number.to_le_bytes()[at % 2]));
    for number in 0..ENTRIES {
        let name = Arc::from(number.to_string());
        let access = house.writer.lookup_or_claim(key(number), &name, |_| false).await;
        let Access::Claimed(claim) = access else { panic!("a new key") };
        let Ok((_, fill)) = claim.publish(0, BodySpec { length: Some(0), promised: None }).await else {
            panic!("there is room")
        };
        fill.finish().await.unwrap();
    }
    house.writer.settle().await;
    while house.usage().warm > 0 {
        house.writer.0.round();
    }
    let before = disk.calls(Operation::Read);
    house.writer.pin(Arc::new(|name, _| name == "7" || name == "1999"));
    house.writer.pins_compared().await;
    let reads = disk.calls(Operation::Read) - before;
    assert!(reads < u64::from(ENTRIES) / 4, "{reads} reads");
    let is_pinned = |number| house.writer.0.index.is_pinned(&key(number));
    assert_eq!([7, 8, 1999].map(is_pinned), [true, false, true]);
}

/// A refreshed object may have got the tag that is pinned.
#[tokio::test]
async fn a_new_head_is_compared_with_the_pins() {
    let house = House::new(1 << 20);
    house.writer.pin(Arc::new(|_, head| *head == 9));
    let entry = house.put(1, b"body").await;
    let is_pinned = || house.writer.0.index.is_pinned(&key_of(1));
    assert!(!is_pinned());
    house.writer.replace_head(&entry, 9).unwrap();
    assert!(is_pinned());
}

/// One log on a bad place of the disk costs its entries, not the start.
///
/// user-demand 4c: 52; repositories R07.
#[test]
fn a_log_that_cannot_be_opened_costs_its_entries_only() {
    let house = House::new(8 << 20);
    for key in 0..3 {
        block_on(house.put(key, &source(2000, u64::from(key))));
    }
    let House { writer, directory, .. } = house;
    block_on(writer.close()).unwrap();
    drop(writer);
    let disk = Arc::new(FaultyDisk::new(directory.path(), 1).unwrap());
    // All opens: those of the first look and those of the loading.
    disk.fail_from(Operation::Open, 1, libc::EIO);
    let mut config = config(&directory, 8 << 20);
    config.disk = disk.clone();
    let writer = open::<Plain>(config, &mut Default::default()).expect("no crash loop");
    block_on(writer.loaded());
    assert_eq!(writer.reader().usage().entries, 0);
}

/// Records that may be there again tomorrow: their bodies stay.
#[test]
fn while_a_part_of_the_index_cannot_be_read_no_body_is_taken_for_a_stray() {
    let house = House::new(8 << 20);
    block_on(house.put(1, &source(100_000, 1)));
    let House { writer, directory, .. } = house;
    block_on(writer.close()).unwrap();
    drop(writer);
    let disk = Arc::new(FaultyDisk::new(directory.path(), 1).unwrap());
    // Behind the 64 looks before anything is changed.
    disk.fail_from(Operation::List, 66, libc::EMFILE);
    let mut troubled = config(&directory, 8 << 20);
    troubled.disk = disk.clone();
    let writer = open::<Plain>(troubled, &mut Default::default()).unwrap();
    block_on(writer.loaded());
    assert!(block_on(writer.reader().find(&key_of(1))).is_none());
    let _unclean = block_on(writer.close());
    drop(writer);
    let config = config(&directory, 8 << 20);
    let house = House::open(directory, config);
    let entry = block_on(house.writer.reader().find(&key_of(1))).expect("it is there again");
    assert!(block_on(drain(entry.body.read(0..u64::MAX))) == (source(100_000, 1), None));
}
