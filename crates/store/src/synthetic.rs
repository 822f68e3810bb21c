//! A directory as a clean stop leaves it, made of entries that nobody ever stored: for benchmarks of the start.
//!
//! Owns nothing; must be used on a new directory only, before a store is opened in it. The records go through the
//! journal, so that they are what a store would have written. Deliberately not here: the files of bodies.

use std::io;
use std::path::Path;

use crate::files::disk::RealDisk;
use crate::index::SHARDS;
use crate::journal::{BodyRef, Epochs, Heat, Log, Put, Record, packed};
use crate::{Digest, Key};

/// Bytes of records that are written out together.
const STEP: u64 = 8 << 20;

/// An entry as its record will have it.
pub struct Made {
    /// Identity; the last byte chooses the shard.
    pub key: Key,
    /// Names the body.
    pub digest: Digest,
    /// Bytes of the body.
    pub length: u64,
    /// When it was stored, in seconds since 1970.
    pub stored: u32,
    /// Until when it is wanted, in seconds since 1970.
    pub deadline: u32,
    /// By which it can be found.
    pub labels: Vec<u64>,
    /// The key as text.
    pub name: String,
    /// The encoded head.
    pub head: Vec<u8>,
    /// What is remembered of its use: any byte means something.
    pub heat: u8,
}

/// Writes the logs of all shards; `entries` gives those of one shard. The bodies belong to the epoch of the next start,
/// which therefore neither verifies them nor misses their files. Waits for the disk.
///
/// # Errors
/// What the disk says.
pub fn write<E: Iterator<Item = Made>>(directory: &Path, entries: impl Fn(usize) -> E) -> io::Result<()> {
    let index = directory.join("index");
    let (mut epochs, _) = Epochs::start(&RealDisk, &index).map_err(io::Error::other)?;
    let epoch = epochs.current() + 1;
    for shard in 0..SHARDS {
        write_shard(&index, shard as u8, epoch, entries(shard))?;
    }
    epochs.stop(&RealDisk)
}

fn write_shard(index: &Path, shard: u8, epoch: u32, entries: impl Iterator<Item = Made>) -> io::Result<()> {
    let (mut log, _) = Log::open(&RealDisk, index, shard, |_, _| {}).map_err(io::Error::other)?;
    let (mut frame, mut levels) = (Vec::new(), Vec::new());
    for Made { key, digest, length, stored, deadline, labels, name, head, heat } in entries {
        let labels = packed(&labels);
        let body = BodyRef::Whole { digest, length };
        frame.clear();
        Record::Put(Put { key, body, epoch, deadline, stored, labels: &labels, name: &name, head: &head })
            .encode(&mut frame)
            .map_err(|_| io::Error::other("an entry is too long"))?;
        levels.push((log.append(&frame), heat));
        if log.pending_bytes() > STEP {
            write_out(&mut log)?;
        }
    }
    write_out(&mut log)?;
    Heat::new(&levels).write(&RealDisk, index, shard)
}

fn write_out(log: &mut Log) -> io::Result<()> {
    if let Some(pending) = log.take_pending() {
        pending.write(&RealDisk)?;
        log.written(pending);
    }
    Ok(())
}
