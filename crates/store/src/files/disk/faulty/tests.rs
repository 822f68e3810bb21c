//! The twin fails when told, and a power cut takes what was not made durable and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{FaultyDisk, Operation};
use crate::files::disk::{Disk, write_all_at};

struct Bench {
    root: tempfile::TempDir,
    disk: FaultyDisk,
}

impl Bench {
    fn new(seed: u64) -> Self {
        let root = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::new(root.path(), seed).unwrap();
        Self { root, disk }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> fs::File {
        let file = self.disk.open_write(&self.path(name)).unwrap();
        write_all_at(&self.disk, &file, bytes, 0).unwrap();
        file
    }

    fn durable(&self, name: &str, bytes: &[u8]) {
        self.disk.sync(&self.write(name, bytes)).unwrap();
        self.disk.sync_directory(self.root.path()).unwrap();
    }

    /// What different power cuts leave of a file.
    fn outcomes(&self, name: &str) -> BTreeSet<Option<Vec<u8>>> {
        let read = |path: &Path| fs::read(path.join(name)).ok();
        let outcome = || {
            let into = tempfile::tempdir().unwrap();
            self.disk.crash(into.path()).unwrap();
            read(into.path())
        };
        (0..64).map(|_| outcome()).collect()
    }
}

#[test]
fn what_was_synced_survives_every_crash() {
    let bench = Bench::new(1);
    bench.durable("a", b"kept");
    assert_eq!(bench.outcomes("a"), BTreeSet::from([Some(b"kept".to_vec())]));
}

#[test]
fn bytes_and_names_that_were_not_synced_may_go_each_for_itself() {
    let bench = Bench::new(2);
    bench.write("a", b"new");
    let outcomes = bench.outcomes("a");
    assert!(outcomes.contains(&None) && outcomes.contains(&Some(Vec::new())), "{outcomes:?}");
    assert!(
        outcomes.contains(&Some(b"new".to_vec())) && outcomes.contains(&Some(vec![0; 3])),
        "{outcomes:?}"
    );
    bench.disk.sync_directory(bench.root.path()).unwrap();
    assert!(!bench.outcomes("a").contains(&None), "the name is durable now");
}

#[test]
fn later_sectors_may_survive_without_earlier_ones() {
    let bench = Bench::new(3);
    bench.durable("a", &[0; 1024]);
    bench.write("a", &[1; 1024]);
    let halves: BTreeSet<_> =
        bench.outcomes("a").into_iter().flatten().map(|bytes| (bytes[0], bytes[1023])).collect();
    assert_eq!(halves, BTreeSet::from([(0, 0), (0, 1), (1, 0), (1, 1)]));
}

#[test]
fn a_rename_happens_as_a_whole_and_may_be_lost() {
    let bench = Bench::new(4);
    bench.durable("old", b"first");
    bench.durable("new", b"second");
    bench.disk.rename(&bench.path("new"), &bench.path("old")).unwrap();
    let both = BTreeSet::from([Some(b"first".to_vec()), Some(b"second".to_vec())]);
    assert_eq!(bench.outcomes("old"), both);
    bench.disk.sync_directory(bench.root.path()).unwrap();
    assert_eq!(bench.outcomes("old"), BTreeSet::from([Some(b"second".to_vec())]));
    assert_eq!(bench.outcomes("new"), BTreeSet::from([None]));
}

#[test]
fn a_file_is_lost_with_the_directory_that_was_not_synced() {
    let bench = Bench::new(5);
    let directory = bench.path("d");
    bench.disk.create_directory(&directory).unwrap();
    bench.disk.sync(&bench.write("d/a", b"x")).unwrap();
    bench.disk.sync_directory(&directory).unwrap();
    assert!(bench.outcomes("d/a").contains(&None));
    bench.disk.sync_directory(bench.root.path()).unwrap();
    assert_eq!(bench.outcomes("d/a"), BTreeSet::from([Some(b"x".to_vec())]));
}

#[test]
fn a_failed_sync_is_not_made_good_by_the_next_one() {
    let bench = Bench::new(6);
    bench.durable("a", b"");
    let file = bench.write("a", b"new");
    bench.disk.fail(Operation::Sync, 1, libc::EIO);
    assert_eq!(bench.disk.sync(&file).unwrap_err().raw_os_error(), Some(libc::EIO));
    bench.disk.sync(&file).unwrap();
    let seeds = (0..32).map(|seed| {
        let bench = Bench::new(seed);
        bench.durable("a", b"");
        let file = bench.write("a", b"new");
        bench.disk.fail(Operation::Sync, 1, libc::EIO);
        bench.disk.sync(&file).unwrap_err();
        bench.disk.sync(&file).unwrap();
        bench.outcomes("a").contains(&Some(Vec::new()))
    });
    assert!(seeds.into_iter().any(|lost| lost));
}

#[test]
fn the_nth_call_fails_once_or_from_then_on() {
    let bench = Bench::new(7);
    let file = bench.write("a", b"x");
    bench.disk.fail(Operation::Write, 2, libc::ENOSPC);
    let write = || write_all_at(&bench.disk, &file, b"y", 0).map_err(|error| error.raw_os_error());
    assert_eq!([write(), write(), write()], [Ok(()), Err(Some(libc::ENOSPC)), Ok(())]);
    bench.disk.fail_from(Operation::Write, 2, libc::EDQUOT);
    assert_eq!([write(), write(), write()], [Ok(()), Err(Some(libc::EDQUOT)), Err(Some(libc::EDQUOT))]);
    bench.disk.heal();
    assert_eq!(write(), Ok(()));
    bench.disk.fail_any(1, libc::EROFS);
    assert_eq!(bench.disk.list(bench.root.path()).unwrap_err().raw_os_error(), Some(libc::EROFS));
    assert_eq!(bench.disk.calls(Operation::Write), 8);
}

#[test]
fn after_the_power_cut_nothing_changes_any_more() {
    let bench = Bench::new(8);
    bench.durable("a", b"x");
    bench.disk.cut_power_at(3);
    let file = bench.write("a", b"y");
    assert_eq!(bench.disk.sync(&file).unwrap_err().raw_os_error(), Some(libc::EIO));
    assert!(bench.disk.open(&bench.path("a")).is_err());
    bench.disk.heal();
    assert!(bench.disk.remove(&bench.path("a")).is_err(), "power stays cut");
}

#[test]
fn short_writes_write_something_and_are_completed_by_who_repeats_them() {
    let bench = Bench::new(9);
    bench.disk.short_writes();
    bench.write("a", &[7; 1000]);
    assert!(bench.disk.calls(Operation::Write) > 1);
    assert_eq!(fs::read(bench.path("a")).unwrap(), [7; 1000]);
}

#[test]
fn the_gate_is_passed_before_each_call() {
    let bench = Bench::new(10);
    let passed = Arc::new(AtomicU64::new(0));
    let counter = passed.clone();
    bench.disk.gate(Arc::new(move |operation| {
        assert_eq!(operation, Operation::OpenWrite);
        counter.fetch_add(1, Ordering::Relaxed);
    }));
    bench.disk.open_write(&bench.path("a")).unwrap();
    assert_eq!(passed.load(Ordering::Relaxed), 1);
}

#[test]
fn what_was_there_before_is_durable_and_other_places_are_refused() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("d")).unwrap();
    fs::write(root.path().join("d/a"), b"x").unwrap();
    let disk = FaultyDisk::new(root.path(), 11).unwrap();
    let bench = Bench { root, disk };
    assert_eq!(bench.outcomes("d/a"), BTreeSet::from([Some(b"x".to_vec())]));
    let elsewhere = bench.disk.create(Path::new("/nowhere/a")).unwrap_err();
    assert_eq!(elsewhere.kind(), ErrorKind::Other);
}
