//! Random changes, commits, compactions, restarts and power cuts on a faulty disk, against a plain map.
//!
//! What must hold: a reader sees the newest record of a key; after a crash a key has the record that was newest when
//! last something was committed, or one appended since. The seed of a failing run is in the panic's message;
//! `JOURNAL_SEEDS=<first>..<end>` runs these.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{SHARD, key, put_with_head, removed};
use crate::Key;
use crate::files::disk::Disk;
use crate::files::disk::faulty::{FaultyDisk, Operation};
use crate::journal::compaction::{Compaction, Copied};
use crate::journal::{Located, Log, Position, Record, decode};

const RUNS: u64 = 60;
const STEPS: usize = 120;
const KEYS: u8 = 12;

/// What a key may be after a crash: the number of a put, `None` when it is not there.
type Outcomes = BTreeSet<Option<u32>>;

/// The steps of a compaction between which other things happen.
enum Stage {
    Begun(Compaction),
    Copied(Copied),
}

struct Run {
    random: fastrand::Rng,
    root: tempfile::TempDir,
    disk: FaultyDisk,
    log: Log,
    stage: Option<Stage>,
    /// What the catalogue would hold: the newest record of a key and where it is.
    newest: BTreeMap<Key, (u32, Position)>,
    /// For all keys.
    allowed: BTreeMap<Key, Outcomes>,
    /// Keys that were changed since the last restart: a commit settles what they are.
    changed: BTreeSet<Key>,
    next: u32,
}

/// What the files of an index say.
fn load(disk: &FaultyDisk, index: &Path) -> (Log, BTreeMap<Key, (u32, Position)>) {
    let mut newest = BTreeMap::new();
    let (log, _) = Log::open(disk, index, SHARD, |position, record| match record {
        Record::Put(put) => drop(newest.insert(put.key, (put.stored, position))),
        Record::Removed(key) => drop(newest.remove(&key)),
        Record::Marked(_) => {}
    })
    .unwrap();
    (log, newest)
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let root = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::new(root.path(), random.u64(..)).unwrap();
        let (log, newest) = load(&disk, &root.path().join("index"));
        let allowed = (0..KEYS).map(|number| (key(number), BTreeSet::from([None]))).collect();
        Self { random, root, disk, log, stage: None, newest, allowed, changed: BTreeSet::new(), next: 1 }
    }

    fn step(&mut self) {
        match self.random.u8(..100) {
            0..50 => self.change(),
            50..65 => self.look(),
            65..78 => self.commit(),
            78..92 => self.compact(),
            92..96 => self.break_something(),
            96..98 => self.restart(),
            _ => self.crash(),
        }
    }

    fn change(&mut self) {
        let number = self.random.u8(..KEYS);
        let key = key(number);
        let outcome = if self.newest.contains_key(&key) && self.random.u8(..4) == 0 {
            self.log.append(&removed(number));
            self.newest.remove(&key);
            None
        } else {
            let length = if self.random.u8(..20) == 0 { 300_000 } else { self.random.usize(..1500) };
            let head = vec![self.random.u8(..); length];
            let put = self.next;
            let position = self.log.append(&put_with_head(number, put, &head));
            self.newest.insert(key, (put, position));
            self.next += 1;
            Some(put)
        };
        self.allowed.entry(key).or_default().insert(outcome);
        self.changed.insert(key);
    }

    /// Every newest record is where the catalogue says, in memory or on disk.
    fn look(&self) {
        for (key, (put, position)) in &self.newest {
            let bytes = match self.log.locate(*position) {
                Located::Pending(bytes) => bytes,
                Located::Written(record) => match record.read(&self.disk) {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        assert!(error.raw_os_error().is_some(), "{error}");
                        continue;
                    }
                },
                Located::Gone => panic!("{key} is not at {position:?}"),
            };
            let Ok((Record::Put(found), _)) = decode(&bytes) else {
                panic!("no put of {key} at {position:?}")
            };
            assert_eq!((found.key, found.stored), (*key, *put));
        }
    }

    fn commit(&mut self) {
        let Some(pending) = self.log.take_pending() else {
            return;
        };
        if pending.write(&self.disk).is_err() {
            return;
        }
        self.log.written(pending);
        for key in std::mem::take(&mut self.changed) {
            let now = self.newest.get(&key).map(|(put, _)| *put);
            self.allowed.insert(key, BTreeSet::from([now]));
        }
    }

    /// The next step of a compaction.
    fn compact(&mut self) {
        match self.stage.take() {
            None => self.stage = self.log.begin().map(Stage::Begun),
            Some(Stage::Begun(compaction)) => {
                let newest = &self.newest;
                match compaction.copy(&self.disk, |key| newest.get(key).map(|(_, position)| *position)) {
                    Ok(copied) => {
                        self.log.adopt(&copied);
                        self.stage = Some(Stage::Copied(copied));
                    }
                    Err(_) if self.random.bool() => self.stage = Some(Stage::Begun(compaction)),
                    Err(_) => self.log.abandon(compaction),
                }
            }
            Some(Stage::Copied(copied)) => {
                self.look();
                for moved in copied.moves() {
                    if let Some((_, position)) = self.newest.get_mut(&moved.key)
                        && *position == moved.from
                    {
                        *position = moved.to;
                    }
                }
                self.log.retire(copied).delete(&self.disk);
                self.look();
            }
        }
    }

    fn break_something(&mut self) {
        let errno = [libc::ENOSPC, libc::EIO, libc::EDQUOT, libc::EROFS][self.random.usize(..4)];
        let nth = self.random.u64(1..12);
        match self.random.u8(..6) {
            0 => self.disk.fail_any(nth, errno),
            1 => self.disk.fail_from(Operation::Write, nth, errno),
            2 => self.disk.fail_from(Operation::Sync, nth, errno),
            3 => self.disk.short_writes(),
            4 => self.disk.cut_power_at(nth),
            _ => self.disk.heal(),
        }
    }

    /// The process ends and another begins; the page cache keeps everything.
    fn restart(&mut self) {
        if self.disk.list(self.root.path()).is_err() {
            return;
        }
        self.disk.heal();
        let (log, newest) = load(&self.disk, &self.root.path().join("index"));
        self.check(&newest);
        (self.log, self.newest, self.stage) = (log, newest, None);
        // What was appended and never known to be durable may still be lost by a power cut.
        self.changed.clear();
    }

    /// The power goes and comes back: another directory with what survived.
    fn crash(&mut self) {
        let root = tempfile::tempdir().unwrap();
        self.disk.crash(root.path()).unwrap();
        self.disk = FaultyDisk::new(root.path(), self.random.u64(..)).unwrap();
        self.root = root;
        let (log, newest) = load(&self.disk, &self.root.path().join("index"));
        self.check(&newest);
        for (key, allowed) in &mut self.allowed {
            *allowed = BTreeSet::from([newest.get(key).map(|(put, _)| *put)]);
        }
        (self.log, self.newest, self.stage) = (log, newest, None);
        self.changed.clear();
    }

    fn check(&self, found: &BTreeMap<Key, (u32, Position)>) {
        for (key, allowed) in &self.allowed {
            let found = found.get(key).map(|(put, _)| *put);
            assert!(allowed.contains(&found), "{key} is {found:?}, one of {allowed:?} was expected");
        }
    }
}

#[test]
fn no_fault_and_no_crash_loses_what_was_committed() {
    let chosen = std::env::var("JOURNAL_SEEDS").ok();
    let chosen = chosen.as_deref().and_then(|seeds| seeds.split_once(".."));
    let seeds = chosen.map_or(0..RUNS, |(first, end)| first.parse().unwrap()..end.parse().unwrap());
    for seed in seeds {
        let run = std::panic::catch_unwind(|| {
            let mut run = Run::new(seed);
            (0..STEPS).for_each(|_| run.step());
            run.crash();
        });
        assert!(run.is_ok(), "JOURNAL_SEEDS={seed}..{}", seed + 1);
    }
}
