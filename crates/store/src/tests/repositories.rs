//! What the predecessors' caches got wrong (requirements R01 to R09) and no other test shows.

use std::sync::Arc;

use super::support::*;
use crate::*;

fn on(disk: &Arc<FaultyDisk>, directory: tempfile::TempDir, change: impl FnOnce(&mut Config)) -> House {
    let mut config = config(&directory, 64 << 20);
    config.disk = disk.clone();
    change(&mut config);
    House::open(directory, config)
}

/// What is long is neither hashed nor read as a whole for a byte of it, after a clean stop not even the first time.
///
/// repositories R02.
#[tokio::test]
async fn a_hit_does_not_read_the_whole_file() {
    let house = House::new(64 << 20);
    let bytes = source(32 << 20, 1);
    house.put(1, &bytes).await;
    let House { writer, directory, .. } = house;
    writer.close().await.unwrap();
    drop(writer);
    let disk = Arc::new(FaultyDisk::new(directory.path(), 1).unwrap());
    let house = on(&disk, directory, |_| {});
    let before = disk.calls(Operation::Read);
    for _ in 0..10 {
        let entry = house.writer.reader().find(&key_of(1)).await.unwrap();
        let (read, failure) = drain(entry.body.read(7_000_000..7_000_001)).await;
        assert_eq!((read, failure), (bytes[7_000_000..7_000_001].to_vec(), None));
    }
    let reads = disk.calls(Operation::Read) - before;
    assert!(reads <= 2, "{reads} reads: more than that of the record");
}

/// It leaves every byte of the old record where it is, and the body alone.
///
/// repositories R03.
#[tokio::test]
async fn a_new_head_is_written_beside_the_old_one() {
    let house = House::new(1 << 20);
    let entry = house.put(1, &source(100_000, 1)).await;
    house.writer.commit();
    let log = |house: &House| {
        let mut logs = Vec::new();
        for shard in std::fs::read_dir(house.directory.path().join("index")).unwrap() {
            let Ok(files) = std::fs::read_dir(shard.unwrap().path()) else { continue };
            let files = files.map(|file| file.unwrap().path());
            let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
            logs.extend(files.map(|path| (std::fs::read(&path).unwrap(), path)));
        }
        logs.into_iter().max_by_key(|(bytes, _)| bytes.len()).expect("it is recorded").0
    };
    let (before, body) = (log(&house), std::fs::metadata(house.path(&entry.body.digest().unwrap())).unwrap());
    house.writer.replace_head(&entry, 7).unwrap();
    house.writer.commit();
    let after = log(&house);
    assert!(after.len() > before.len() && after.starts_with(&before));
    let now = std::fs::metadata(house.path(&entry.body.digest().unwrap())).unwrap();
    assert_eq!((body.modified().unwrap(), body.len()), (now.modified().unwrap(), now.len()));
}

/// Eviction also keeps to what must stay free on the disk.
///
/// repositories R08.
#[tokio::test]
async fn room_is_made_when_the_disk_has_less_free_than_it_should() {
    let house = House::new(1 << 20);
    let House { writer, directory, .. } = house;
    writer.close().await.unwrap();
    drop(writer);
    let disk = Arc::new(FaultyDisk::new(directory.path(), 1).unwrap());
    disk.set_free(10_000_000);
    let house = on(&disk, directory, |config| config.free_floor = 1_000_000);
    for key in 0..10 {
        house.put(key, &source(100_000, u64::from(key))).await;
    }
    house.writer.0.look();
    house.writer.0.round();
    assert_eq!(house.usage().entries, 10, "there is enough");
    // Others have taken so much that half of what is stored has to go.
    disk.set_free(500_000);
    house.writer.0.look();
    house.writer.0.round();
    house.writer.settle().await;
    assert!(house.usage().used <= 500_000, "{} bytes", house.usage().used);
    assert!(house.usage().entries > 0, "no more than needed");
    let refused = house.claim(100).publish(0, BodySpec { length: Some(600_000), promised: None }).await;
    assert!(matches!(refused, Err((_, Refused::NoSpace { quota: 500_000, .. }))));
}
