//! The logs of a shard: what is appended comes back, whatever happens to the files.

mod model;
mod speed;

use std::fs;
use std::path::{Path, PathBuf};

use super::{BodyRef, Located, Log, OpenFault, Pending, Position, Put, Record, Report, decode, scan};
use crate::files::disk::faulty::{FaultyDisk, Operation};
use crate::files::disk::{Disk, RealDisk, write_all_at};
use crate::{Digest, Key};

const SHARD: u8 = 0x2a;

fn key(number: u8) -> Key {
    Key::new([number; 16])
}

fn put(number: u8, stored: u32) -> Vec<u8> {
    put_with_head(number, stored, &[])
}

fn put_with_head(number: u8, stored: u32, head: &[u8]) -> Vec<u8> {
    let body = BodyRef::Whole { digest: Digest::new([number; 32]), length: 5 };
    let put = Put {
        key: key(number),
        body,
        epoch: 1,
        deadline: 0,
        stored,
        labels: &[],
        name: "https://example.org/",
        head,
    };
    let mut bytes = Vec::new();
    Record::Put(put).encode(&mut bytes).unwrap();
    bytes
}

fn removed(number: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    Record::Removed(key(number)).encode(&mut bytes).unwrap();
    bytes
}

/// `key:stored` for a put, `-key` for a removal.
fn told(record: &Record<'_>) -> String {
    match record {
        Record::Put(put) => format!("{}:{}", put.key.as_bytes()[0], put.stored),
        Record::Removed(key) => format!("-{}", key.as_bytes()[0]),
        Record::Marked(key) => format!("!{}", key.as_bytes()[0]),
    }
}

/// Opens the shard's log and tells what was in it.
fn open(disk: &dyn Disk, index: &Path) -> (Log, Vec<String>, Report) {
    let mut visited = Vec::new();
    let (log, report) = Log::open(disk, index, SHARD, |_, record| visited.push(told(&record))).unwrap();
    (log, visited, report)
}

fn commit(log: &mut Log, disk: &dyn Disk) {
    if let Some(pending) = log.take_pending() {
        pending.write(disk).unwrap();
        log.written(pending);
    }
}

fn read(log: &Log, disk: &dyn Disk, position: Position) -> Option<String> {
    let bytes = match log.locate(position) {
        Located::Pending(bytes) => bytes,
        Located::Written(record) => record.read(disk).unwrap(),
        Located::Gone => return None,
    };
    let (record, length) = decode(&bytes).unwrap();
    assert_eq!(length, bytes.len());
    Some(told(&record))
}

fn files(index: &Path) -> Vec<String> {
    let Ok(directory) = fs::read_dir(index.join("2a")) else {
        return Vec::new();
    };
    let mut names: Vec<_> =
        directory.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// An index with these records in one file, and the file.
fn written(records: &[Vec<u8>]) -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let (mut log, ..) = open(&RealDisk, root.path());
    for record in records {
        log.append(record);
    }
    commit(&mut log, &RealDisk);
    let path = root.path().join("2a/00000001.log");
    assert!(path.exists());
    (root, path)
}

#[test]
fn what_was_appended_comes_back_in_order_after_a_restart() {
    let (root, _) = written(&[put(1, 1), put(2, 1), removed(1), put(2, 2)]);
    let (mut log, visited, report) = open(&RealDisk, root.path());
    assert_eq!(visited, ["1:1", "2:1", "-1", "2:2"]);
    assert_eq!((report.records, report.torn, report.lost, report.damaged), (4, 0, 0, 0));
    log.append(&put(3, 1));
    commit(&mut log, &RealDisk);
    let (_, visited, _) = open(&RealDisk, root.path());
    assert_eq!(visited, ["1:1", "2:1", "-1", "2:2", "3:1"]);
    assert_eq!(files(root.path()), ["00000001.log", "00000002.log"]);
}

#[test]
fn an_idle_log_writes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (mut log, ..) = open(&RealDisk, root.path());
    assert!(log.take_pending().is_none() && log.begin().is_none());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn a_record_is_read_from_memory_until_it_is_written_and_from_the_file_afterwards() {
    let root = tempfile::tempdir().unwrap();
    let (mut log, ..) = open(&RealDisk, root.path());
    let first = log.append(&put(1, 1));
    let pending = log.take_pending().unwrap();
    let second = log.append(&put_with_head(2, 1, &[7; 5000]));
    assert!(
        matches!(log.locate(first), Located::Pending(_)) && matches!(log.locate(second), Located::Pending(_))
    );
    assert_eq!(read(&log, &RealDisk, first).unwrap(), "1:1");
    pending.write(&RealDisk).unwrap();
    log.written(pending);
    assert!(
        matches!(log.locate(first), Located::Written(_)) && matches!(log.locate(second), Located::Pending(_))
    );
    commit(&mut log, &RealDisk);
    assert_eq!(log.pending_bytes(), 0);
    assert_eq!([first, second].map(|at| read(&log, &RealDisk, at).unwrap()), ["1:1", "2:1"]);
    let nowhere = [Position::new(1, 1 << 30), Position::new(9, 16), log.end()];
    assert!(nowhere.into_iter().all(|position| matches!(log.locate(position), Located::Gone)));
}

#[test]
fn what_could_not_be_written_is_written_later_at_the_same_place() {
    for operation in [
        Operation::CreateDirectory,
        Operation::OpenWrite,
        Operation::Write,
        Operation::Sync,
        Operation::SyncDirectory,
    ] {
        let root = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::new(root.path(), 1).unwrap();
        let (mut log, ..) = open(&disk, &root.path().join("index"));
        let first = log.append(&put(1, 1));
        disk.fail(operation, 1, libc::ENOSPC);
        let failed = log.take_pending().unwrap().write(&disk).unwrap_err();
        assert_eq!(failed.raw_os_error(), Some(libc::ENOSPC), "{operation:?}");
        assert_eq!(read(&log, &disk, first).unwrap(), "1:1");
        log.append(&put(2, 1));
        assert!(log.pending_bytes() > 0);
        commit(&mut log, &disk);
        let after = tempfile::tempdir().unwrap();
        disk.crash(after.path()).unwrap();
        assert_eq!(
            open(&RealDisk, &after.path().join("index")).1,
            ["1:1", "2:1"],
            "{operation:?}: it was durable"
        );
    }
}

/// What is in the index after each of many power cuts.
fn survivors(disk: &FaultyDisk) -> Vec<Vec<String>> {
    let survivor = || {
        let after = tempfile::tempdir().unwrap();
        disk.crash(after.path()).unwrap();
        open(&RealDisk, &after.path().join("index")).1
    };
    (0..32).map(|_| survivor()).collect()
}

#[test]
fn the_first_commit_makes_durable_what_an_earlier_process_did_not() {
    let (_source, path) = written(&[put(1, 1)]);
    let root = tempfile::tempdir().unwrap();
    let index = root.path().join("index");
    let disk = FaultyDisk::new(root.path(), 1).unwrap();
    disk.create_directory(&index.join("2a")).unwrap();
    let file = disk.create(&index.join("2a/00000001.log")).unwrap();
    write_all_at(&disk, &file, &fs::read(path).unwrap(), 0).unwrap();
    let (mut log, visited, _) = open(&disk, &index);
    assert_eq!(visited, ["1:1"]);
    assert!(survivors(&disk).contains(&Vec::new()));
    log.append(&put(2, 1));
    commit(&mut log, &disk);
    assert!(survivors(&disk).iter().all(|found| *found == ["1:1", "2:1"]));
}

#[test]
fn files_are_deleted_only_when_what_replaces_them_has_a_durable_name() {
    let root = tempfile::tempdir().unwrap();
    let index = root.path().join("index");
    let disk = FaultyDisk::new(root.path(), 1).unwrap();
    let (mut log, ..) = open(&disk, &index);
    let position = log.append(&put(1, 1));
    commit(&mut log, &disk);
    let compaction = log.begin().unwrap();
    disk.fail(Operation::SyncDirectory, 1, libc::EIO);
    assert!(compaction.copy(&disk, |_| Some(position)).is_err());
    assert_eq!(files(&index), ["00000001.log", "00000002.log"], "renamed, not yet durable");
    assert_eq!(open(&disk, &index).1, ["1:1"]);
    assert_eq!(files(&index), ["00000002.log"]);
    assert!(survivors(&disk).iter().all(|found| *found == ["1:1"]));
}

#[test]
fn a_torn_tail_is_dropped_whatever_its_length_and_later_records_are_kept() {
    let records = [put(1, 1), put(2, 1), put(3, 1)];
    let (root, path) = written(&records);
    let whole = fs::read(&path).unwrap();
    let kept = |length: usize| {
        let ends = records.iter().scan(16, |end, record| {
            *end += record.len();
            Some(*end)
        });
        ends.take_while(|end| *end <= length).count()
    };
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let (mut log, visited, report) = open(&RealDisk, root.path());
        assert_eq!(visited.len(), kept(length), "cut at {length}");
        assert_eq!((report.lost, report.damaged, report.faults), (0, 0, Vec::new()));
        log.append(&put(9, 9));
        commit(&mut log, &RealDisk);
        assert_eq!(open(&RealDisk, root.path()).1.len(), kept(length) + 1);
        fs::remove_file(root.path().join("2a/00000002.log")).unwrap();
    }
    let mut zeros = whole.clone();
    zeros.resize(whole.len() + 5000, 0);
    fs::write(&path, zeros).unwrap();
    let (_, visited, report) = open(&RealDisk, root.path());
    assert_eq!((visited.len(), report.torn, report.lost), (3, 5000, 0));
}

#[test]
fn a_damaged_record_is_skipped_and_reported_and_the_rest_is_kept() {
    let (root, path) = written(&[put(1, 1), put(2, 1), put(3, 1)]);
    let mut bytes = fs::read(&path).unwrap();
    let second = 16 + put(1, 1).len();
    bytes[second + 30] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (log, visited, report) = open(&RealDisk, root.path());
    assert_eq!(visited, ["1:1", "3:1"]);
    assert_eq!((report.damaged, report.lost), (1, 0));
    assert!(report.faults[0].contains("00000001.log") && report.faults[0].contains(&second.to_string()));
    let Located::Written(record) = log.locate(Position::new(1, second as u64)) else {
        panic!("it is in the file")
    };
    assert_eq!(record.read(&RealDisk).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
}

#[test]
fn a_damaged_length_costs_the_rest_of_its_file_and_no_other_file() {
    let (root, path) = written(&[put(1, 1), put(2, 1), put(3, 1)]);
    let (mut log, ..) = open(&RealDisk, root.path());
    log.append(&put(4, 1));
    commit(&mut log, &RealDisk);
    let mut bytes = fs::read(&path).unwrap();
    let second = 16 + put(1, 1).len();
    bytes[second + 3] = 0xff;
    fs::write(&path, &bytes).unwrap();
    let (_, visited, report) = open(&RealDisk, root.path());
    assert_eq!(visited, ["1:1", "4:1"]);
    assert_eq!(report.lost as usize, bytes.len() - second);
    assert_eq!(report.faults.len(), 1);
}

#[test]
fn a_file_without_a_good_header_is_left_out_and_reported() {
    for at in [0, 9, 10, 13] {
        let (root, path) = written(&[put(1, 1)]);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 0x40;
        fs::write(&path, &bytes).unwrap();
        let (_, visited, report) = open(&RealDisk, root.path());
        assert!(
            visited.is_empty() && report.lost as usize == bytes.len() && report.faults.len() == 1,
            "{at}"
        );
    }
    let (root, path) = written(&[put(1, 1)]);
    fs::create_dir(root.path().join("2b")).unwrap();
    fs::rename(path, root.path().join("2b/00000001.log")).unwrap();
    let report = scan(&RealDisk, root.path(), 0x2b, |_, _| panic!("a record of another shard")).unwrap();
    assert!(report.lost > 0);
}

#[test]
fn newer_versions_are_refused_with_file_and_numbers() {
    let (root, path) = written(&[put(1, 1)]);
    let good = fs::read(&path).unwrap();
    let mut newer = good.clone();
    newer[8] = 3;
    let crc = crc32c::crc32c(&newer[..12]);
    newer[12..16].copy_from_slice(&crc.to_le_bytes());
    let mut kind = good;
    kind.extend_from_slice(b"\x03\0\0\0\x09ab");
    let crc = crc32c::crc32c(b"\x03\0\0\0\x09ab");
    kind.extend_from_slice(&crc.to_le_bytes());
    for (bytes, number, limit, what) in [(newer, 3, 1, "format version 3"), (kind, 9, 6, "record kind 9")] {
        fs::write(&path, &bytes).unwrap();
        let Err(fault) = Log::open(&RealDisk, root.path(), SHARD, |_, _| {}) else {
            panic!("{what} was opened")
        };
        let message = fault.to_string();
        assert!(matches!(fault, OpenFault::Newer { found, known, .. } if (found, known) == (number, limit)));
        assert!(message.contains(what) && message.contains(&*path.to_string_lossy()), "{message}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "nothing was changed");
    }
}

#[test]
fn garbage_in_a_file_never_ends_the_start() {
    let (root, path) = written(&[put(1, 1)]);
    let good = fs::read(&path).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200 {
        let mut bytes = good.clone();
        let length = random.usize(..3000);
        bytes.extend(std::iter::repeat_with(|| random.u8(..)).take(length));
        for _ in 0..random.usize(..4) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        fs::write(&path, &bytes).unwrap();
        assert!(Log::open(&RealDisk, root.path(), SHARD, |_, _| {}).is_ok());
    }
}

#[test]
fn a_file_that_cannot_be_read_to_its_end_costs_its_rest() {
    let head = vec![1; 100_000];
    let (root, _) = written(&[1, 2, 3, 4, 5].map(|number| put_with_head(number, 1, &head)));
    let disk = FaultyDisk::new(root.path(), 1).unwrap();
    // The header, the first piece, then the second one.
    disk.fail(Operation::Read, 3, libc::EIO);
    let (_, visited, report) = open(&disk, root.path());
    assert_eq!(visited, ["1:1", "2:1"]);
    assert!(report.lost > 300_000 && report.faults.len() == 1);
}

#[test]
fn scanning_changes_nothing_on_disk() {
    let (root, path) = written(&[put(1, 1)]);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(&[1, 2]);
    fs::write(&path, &bytes).unwrap();
    fs::write(root.path().join("2a/00000004.log.tmp"), b"x").unwrap();
    let disk = FaultyDisk::new(root.path(), 1).unwrap();
    let mut visited = Vec::new();
    let report =
        scan(&disk, root.path(), SHARD, |position, record| visited.push((position, told(&record)))).unwrap();
    assert_eq!(visited, [(Position::new(1, 16), "1:1".to_owned())]);
    assert_eq!((report.torn, disk.changes()), (2, 0));
    assert_eq!(files(root.path()), ["00000001.log", "00000004.log.tmp"]);
}

#[test]
fn compaction_keeps_what_is_current_and_both_places_are_readable_while_it_runs() {
    let (root, _) = written(&[put(1, 1), put(2, 1), put(1, 2), put(3, 1), removed(3)]);
    let mut places = std::collections::HashMap::new();
    let (mut log, _) = Log::open(&RealDisk, root.path(), SHARD, |position, record| match record {
        Record::Put(put) => drop(places.insert(put.key, position)),
        Record::Removed(key) => drop(places.remove(&key)),
        Record::Marked(_) => {}
    })
    .unwrap();
    let compaction = log.begin().unwrap();
    assert!(log.begin().is_none(), "one at a time");
    places.insert(key(4), log.append(&put(4, 1)));
    commit(&mut log, &RealDisk);
    let before = places.clone();
    let Located::Written(held) = log.locate(before[&key(1)]) else { panic!("it is in the file") };

    let copied = compaction.copy(&RealDisk, |key| places.get(key).copied()).unwrap();
    log.adopt(&copied);
    assert_eq!(copied.moves().len(), 2);
    for moved in copied.moves() {
        assert_eq!(read(&log, &RealDisk, moved.from), read(&log, &RealDisk, moved.to));
        assert_eq!(places.insert(moved.key, moved.to), Some(moved.from));
    }
    log.retire(copied).delete(&RealDisk);

    assert_eq!(files(root.path()), ["00000003.log", "00000004.log"]);
    assert_eq!(read(&log, &RealDisk, before[&key(1)]), None);
    assert_eq!(
        [1, 2, 4].map(|number| read(&log, &RealDisk, places[&key(number)]).unwrap()),
        ["1:2", "2:1", "4:1"]
    );
    assert!(held.read(&RealDisk).is_ok(), "who held the old file goes on reading");
    assert_eq!(open(&RealDisk, root.path()).1, ["2:1", "1:2", "4:1"]);
}

#[test]
fn the_copy_waits_for_what_was_pending_and_keeps_what_may_still_be_needed() {
    let root = tempfile::tempdir().unwrap();
    let (mut log, ..) = open(&RealDisk, root.path());
    let first = log.append(&put(1, 1));
    let compaction = log.begin().unwrap();
    let early = compaction.copy(&RealDisk, |_| Some(first)).map(|_| ()).unwrap_err();
    assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock);
    commit(&mut log, &RealDisk);
    // Superseded, but the successor is not on disk yet: a crash must find one of the two.
    let second = log.append(&put(1, 2));
    let copied = compaction.copy(&RealDisk, |_| Some(second)).unwrap();
    assert!(copied.moves().is_empty());
    log.adopt(&copied);
    log.retire(copied).delete(&RealDisk);
    assert_eq!(open(&RealDisk, root.path()).1, ["1:1"]);
    commit(&mut log, &RealDisk);
    assert_eq!(open(&RealDisk, root.path()).1, ["1:1", "1:2"]);
}

#[test]
fn the_weight_tells_garbage_from_what_lives() {
    let root = tempfile::tempdir().unwrap();
    let (mut log, ..) = open(&RealDisk, root.path());
    let head = vec![0; 10_000];
    for stored in 0..250 {
        log.append(&put_with_head(1, stored, &head));
    }
    assert!(log.weight(1).wants_compaction(1 << 20) && !log.weight(200).wants_compaction(1 << 20));
    assert_eq!(log.weight(250).garbage, 0);
    assert_eq!(log.weight(u64::MAX).garbage, 0, "more than there is");
    commit(&mut log, &RealDisk);
    let (mut log, ..) = open(&RealDisk, root.path());
    let weight = log.weight(1);
    assert!(weight.live > 10_000 && weight.live < 11_000 && weight.garbage > 2_000_000, "{weight:?}");
    let compaction = log.begin().unwrap();
    let copied = compaction.copy(&RealDisk, |_| Some(Position::new(1, 16))).unwrap();
    log.adopt(&copied);
    log.retire(copied).delete(&RealDisk);
    assert_eq!(log.weight(1).garbage, 0);
}

#[test]
fn every_start_begins_a_file_and_compaction_is_wanted_when_they_are_many() {
    let root = tempfile::tempdir().unwrap();
    let starts = (0..40).map(|start| {
        let (mut log, visited, _) = open(&RealDisk, root.path());
        assert_eq!(visited.len(), start as usize);
        log.append(&put(start, 1));
        commit(&mut log, &RealDisk);
        log.weight(u64::from(start) + 1).wants_compaction(1 << 20)
    });
    assert_eq!(starts.filter(|wanted| *wanted).count(), 8);
}

#[test]
fn a_deleted_index_comes_back_with_the_next_compaction() {
    let (root, _) = written(&[put(1, 1), put(2, 1)]);
    let mut places = Vec::new();
    let (mut log, _) = Log::open(&RealDisk, root.path(), SHARD, |position, _| places.push(position)).unwrap();
    fs::remove_dir_all(root.path().join("2a")).unwrap();
    let compaction = log.begin().unwrap();
    let copied = compaction.copy(&RealDisk, |key| Some(places[usize::from(key.as_bytes()[0]) - 1])).unwrap();
    log.adopt(&copied);
    log.retire(copied).delete(&RealDisk);
    assert_eq!(open(&RealDisk, root.path()).1, ["1:1", "2:1"]);
}

#[test]
fn a_pending_may_be_written_while_the_log_is_appended_to() {
    let root = tempfile::tempdir().unwrap();
    let (mut log, ..) = open(&RealDisk, root.path());
    log.append(&put(1, 1));
    let pending: Pending = log.take_pending().unwrap();
    std::thread::scope(|scope| {
        let written = scope.spawn(|| pending.write(&RealDisk));
        for stored in 0..100 {
            log.append(&put(2, stored));
        }
        written.join().unwrap().unwrap();
    });
    log.written(pending);
    commit(&mut log, &RealDisk);
    assert_eq!(open(&RealDisk, root.path()).1.len(), 101);
}
