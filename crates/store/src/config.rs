//! [`Config`]: how a store is opened, and [`OpenError`]: why it was not.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::files::disk::{Disk, RealDisk};

/// How to open a store.
#[derive(Clone)]
pub struct Config {
    /// The directory; created when absent.
    pub directory: PathBuf,
    /// The disk: [`RealDisk`](crate::RealDisk), or a twin in tests.
    pub disk: Arc<dyn Disk>,
    /// Most bytes of bodies, growing ones included.
    pub quota: u64,
    /// Most entries, of which each takes some memory whatever its body has; beyond, others are evicted.
    pub max_entries: u64,
    /// Percent of the quota in use above which entries are evicted.
    pub high_mark: u8,
    /// Percent of the quota in use at which eviction stops.
    pub low_mark: u8,
    /// Percent of the quota above which a body has to be asked for twice before others are evicted for it.
    pub huge_share: u8,
    /// Bytes that are left free on the file system, whatever the quota says.
    pub free_floor: u64,
    /// How long an entry must not have been used before it may be evicted.
    pub min_idle: Duration,
    /// Most bytes of small bodies (64 KiB and less) and heads kept in memory. Small bodies on their way to disk may take
    /// 64 MiB more.
    pub memory: u64,
    /// Threads that wait for the disk.
    pub disk_threads: usize,
    /// Most jobs waiting for a disk thread.
    pub disk_queue: usize,
    /// Most body files held open.
    pub open_files: usize,
    /// Threads that load the index at start.
    pub load_threads: usize,
    /// Longest time between a change and its record on the disk.
    pub commit_interval: Duration,
    /// Whether pins are told ([`Writer::pin`](crate::Writer::pin)) before anything may be evicted; else there are none at
    /// first.
    pub await_pins: bool,
    /// Bytes of garbage in a log, of which there are 64, below which it is not rewritten.
    pub compact_from: u64,
}

impl Config {
    /// The defaults for a directory and a quota.
    pub fn new(directory: PathBuf, quota: u64) -> Self {
        Self {
            directory,
            disk: Arc::new(RealDisk),
            quota,
            max_entries: 10_000_000,
            high_mark: 95,
            low_mark: 90,
            huge_share: 50,
            free_floor: 0,
            min_idle: Duration::ZERO,
            memory: 64 << 20,
            disk_threads: 4,
            disk_queue: 1024,
            open_files: 1024,
            load_threads: 2,
            commit_interval: Duration::from_millis(500),
            await_pins: false,
            compact_from: 1 << 20,
        }
    }
}

/// The store could not be opened; the message names the path and the cause.
#[derive(Debug)]
pub struct OpenError {
    /// One sentence that names path and cause (for a lock: the other process).
    pub detail: String,
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for OpenError {}
