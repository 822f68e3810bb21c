//! A store's directory seen from outside, for tools: [`lock`] keeps servers away, [`scan`] reads the index.
//!
//! Owns nothing. Changes nothing but the lock file. Both wait for the disk. Deliberately not here: what is done about
//! what is found; repairing is what [`open`](crate::open) does at every start.

use std::path::{Path, PathBuf};

use hashbrown::HashMap;

use crate::files::directory::{self, Place};
use crate::files::disk::RealDisk;
use crate::journal::{self, BodyRef, Epochs, OpenFault, Record, Report};
use crate::{Digest, Key, OpenError};

/// Shards of the index.
const SHARDS: u8 = 64;

/// How often a shard is read again that looked damaged: a running server may have compacted it meanwhile.
const LOOKS: usize = 3;

/// What the index knows of one entry.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// Identity.
    pub key: Key,
    /// The key as text, for people.
    pub name: &'a str,
    /// The head as the owner encoded it.
    pub head: &'a [u8],
    /// The bytes.
    pub body: RecordedBody,
    /// Whether the body was completed in an epoch that ended cleanly or was verified since. Otherwise its bytes must be
    /// compared with its digest before they are used.
    pub is_trusted: bool,
}

/// Which bytes belong to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordedBody {
    /// A complete body.
    Whole {
        /// Names the file below `bodies/`.
        digest: Digest,
        /// In bytes.
        length: u64,
    },
    /// A body with holes, in `parts/`.
    Part {
        /// Names the file.
        id: u64,
    },
}

/// How reading the index went.
#[derive(Clone, Debug, Default)]
pub struct Scanned {
    /// Entries.
    pub entries: u64,
    /// Readable records, outdated ones included.
    pub records: u64,
    /// Bytes of unfinished records at the end of a file: normal after a crash.
    pub torn: u64,
    /// Records that were skipped because they are damaged.
    pub damaged: u64,
    /// Bytes that were given up.
    pub lost: u64,
    /// Where the first damages are.
    pub faults: Vec<String>,
    /// Whether the last run has not ended cleanly, or goes on: then entries without a body are nothing special.
    pub is_unclean: bool,
}

/// What keeps other processes away from a directory as long as it lives.
pub struct DirectoryLock {
    _lock: std::fs::File,
}

/// Locks a store's directory.
///
/// # Errors
/// It is not there, or another process uses it; the sentence names the process.
pub fn lock(directory: &Path) -> Result<DirectoryLock, OpenError> {
    must_exist(directory)?;
    Ok(DirectoryLock { _lock: directory::lock(directory)? })
}

/// Where the file of a complete body is.
pub fn body_path(directory: &Path, digest: &Digest) -> PathBuf {
    directory::path(directory, Place::Named(*digest))
}

/// Where the file of a body with holes is.
pub fn part_path(directory: &Path, id: u64) -> PathBuf {
    directory::path(directory, Place::Part(id))
}

/// Reads the whole index and calls `visit` once for every entry, shard by shard. Takes no lock: while a server runs, what
/// it did in the last commit interval is missing, and a body may go between the visit and its use.
///
/// Memory: the entries of one of 64 shards.
///
/// # Errors
/// The directory is no store, cannot be read, or was written by a newer version. Damage is no error: see [`Scanned`].
pub fn scan(directory: &Path, visit: &mut dyn FnMut(Recorded<'_>)) -> Result<Scanned, OpenError> {
    must_exist(directory)?;
    let index = directory.join("index");
    let epochs = Epochs::look(&RealDisk, &index).map_err(explained)?;
    let is_unclean = !Epochs::ended_cleanly(&RealDisk, &index);
    let mut scanned = Scanned { is_unclean, ..Scanned::default() };
    for shard in 0..SHARDS {
        let (entries, report) = read_shard(&index, shard).map_err(explained)?;
        scanned.add(&entries, report);
        for (key, entry) in entries {
            visit(Recorded {
                key,
                name: &entry.name,
                head: &entry.head,
                body: entry.body,
                is_trusted: !epochs.is_unclean(entry.epoch),
            });
        }
    }
    Ok(scanned)
}

/// An entry, taken out of the buffer it was read into.
struct Entry {
    name: Box<str>,
    head: Box<[u8]>,
    body: RecordedBody,
    epoch: u32,
}

type Entries = HashMap<Key, Entry>;

fn read_shard(index: &Path, shard: u8) -> Result<(Entries, Report), OpenFault> {
    let mut looks_left = LOOKS - 1;
    loop {
        let mut entries = Entries::new();
        let read = journal::scan(&RealDisk, index, shard, |_, record| apply(&mut entries, record));
        let is_good = read.as_ref().is_ok_and(|report| report.damaged + report.lost == 0);
        let is_final = matches!(read, Err(OpenFault::Newer { .. })) || looks_left == 0;
        if is_good || is_final {
            return Ok((entries, read?));
        }
        looks_left -= 1;
    }
}

fn apply(entries: &mut Entries, record: Record<'_>) {
    match record {
        Record::Removed(key) => {
            entries.remove(&key);
        }
        Record::Marked(_) => {}
        Record::Put(put) => {
            let body = match put.body {
                BodyRef::Whole { digest, length } => RecordedBody::Whole { digest, length },
                BodyRef::Part { id, .. } => RecordedBody::Part { id },
            };
            let entry = Entry { name: put.name.into(), head: put.head.into(), body, epoch: put.epoch };
            entries.insert(put.key, entry);
        }
    }
}

impl Scanned {
    fn add(&mut self, entries: &Entries, report: Report) {
        self.entries += entries.len() as u64;
        self.records += report.records;
        self.torn += report.torn;
        self.damaged += report.damaged;
        self.lost += report.lost;
        self.faults.extend(report.faults);
    }
}

fn must_exist(directory: &Path) -> Result<(), OpenError> {
    if directory.is_dir() {
        return Ok(());
    }
    Err(OpenError { detail: format!("there is no store directory {}", directory.display()) })
}

fn explained(fault: OpenFault) -> OpenError {
    OpenError { detail: fault.to_string() }
}
