//! Opening the store, its read side and its write side.
//!
//! Owns the index and [`Shared`]; both sides are handles. [`Reader`] is for anybody, [`Writer`] for the owner of the
//! caching decisions. Invariant: an entry whose body has failed is not in the index.
//!
//! Deliberately not here, in this version: journal, eviction, bodies with holes on disk.

use std::path::PathBuf;
use std::sync::Arc;

use prometheus_client::registry::Registry;

use crate::index::{Index, Probed};
use crate::shared::Shared;
use crate::{Access, Body, BodyState, Claim, Contents, Entry, Flight, Key};

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directory; created when absent, emptied at start (this version keeps its index in memory).
    pub directory: PathBuf,
    /// Most bytes of bodies, growing ones included.
    pub quota: u64,
    /// Most bytes of small bodies (64 KiB and less) kept in memory. Those on their way to disk may take 64 MiB more.
    pub memory: u64,
    /// Threads that wait for the disk.
    pub disk_threads: usize,
    /// Most jobs waiting for a disk thread.
    pub disk_queue: usize,
    /// Most body files held open.
    pub open_files: usize,
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

/// Opens the store in its directory and registers its metrics.
pub fn open<C: Contents>(config: Config, registry: &mut Registry) -> Result<Writer<C>, OpenError> {
    let shared = Shared::open(&config, registry)?;
    let index = Index::new(shared.metrics.entries.clone(), shared.metrics.flights.clone());
    Ok(Writer(Arc::new(Inner { index, shared })))
}

/// Counts of the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries in the index.
    pub entries: u64,
    /// Bodies now growing.
    pub fills: u64,
    /// Claims without a decision yet.
    pub flights: u64,
    /// Readers of growing bodies.
    pub followers: u64,
    /// Bytes counted against the quota: complete, growing (reserved) and doomed but still held.
    pub used: u64,
    /// The quota.
    pub quota: u64,
    /// Bytes of small bodies held in memory.
    pub memory: u64,
}

/// What both sides refer to.
pub(crate) struct Inner<C: Contents> {
    pub(crate) index: Index<Arc<Entry<C>>, C::Refusal>,
    pub(crate) shared: Arc<Shared>,
}

impl<C: Contents> Inner<C> {
    /// Takes the entry of `entry`'s body out of the index, under whatever head it is there; the entry that it had
    /// replaced gets its place back.
    pub(crate) fn unlist(&self, entry: &Entry<C>, replaced: Option<&Arc<Entry<C>>>) {
        let replaced = replaced.filter(|replaced| replaced.body.state() == BodyState::Complete).cloned();
        let same = |known: &Arc<Entry<C>>| Arc::ptr_eq(&known.body, &entry.body);
        self.index.put_back(&entry.key, same, replaced);
    }

    /// Points the entry of `entry`'s body to `twin`, which has the same bytes.
    pub(crate) fn merge(&self, entry: &Entry<C>, twin: &Arc<Body>) {
        self.shared.metrics.deduplicated.inc();
        let same = |known: &Arc<Entry<C>>| Arc::ptr_eq(&known.body, &entry.body);
        self.index.replace(&entry.key, same, |known| with(known, known.head.clone(), twin.clone()));
    }
}

impl<C: Contents> Drop for Inner<C> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// The read side.
pub struct Reader<C: Contents>(Arc<Inner<C>>);

impl<C: Contents> Clone for Reader<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Contents> Reader<C> {
    /// The entry of `key`.
    pub fn lookup(&self, key: &Key) -> Option<Arc<Entry<C>>> {
        self.0.index.get(key)
    }

    /// Counts of the moment.
    pub fn usage(&self) -> Usage {
        let Shared { metrics, quota, .. } = &*self.0.shared;
        Usage {
            entries: metrics.entries.get(),
            fills: metrics.fills.get(),
            flights: metrics.flights.get(),
            followers: metrics.followers.get(),
            used: quota.used(),
            quota: quota.limit(),
            memory: metrics.memory.get(),
        }
    }

    /// Calls `visit` with every entry, shard by shard; entries that come or go meanwhile may be missed.
    pub fn for_each(&self, visit: impl FnMut(&Arc<Entry<C>>)) {
        self.0.index.for_each(visit);
    }
}

/// The write side.
pub struct Writer<C: Contents>(Arc<Inner<C>>);

impl<C: Contents> Clone for Writer<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Contents> Writer<C> {
    /// The read side.
    pub fn reader(&self) -> Reader<C> {
        Reader(self.0.clone())
    }

    /// In one atomic step: an entry that `accept` accepts, else the flight that is under way, else the claim.
    /// `accept` runs under a shard lock: integer compares only. `name` is kept only when a claim is handed out.
    pub fn lookup_or_claim(
        &self,
        key: Key,
        name: &Arc<str>,
        accept: impl Fn(&Entry<C>) -> bool,
    ) -> Access<C> {
        match self.0.index.probe(&key, |entry| accept(entry)) {
            Probed::Found(entry) => Access::Found(entry),
            Probed::Flying(flight) => Access::Flying(Flight(flight)),
            Probed::Claimed { flight, previous } => {
                Access::Claimed(Claim::new(&self.0, key, name, previous, flight))
            }
        }
    }

    /// Swaps `old` for an entry with the same body and another head, if `old` is still in the index.
    pub fn replace_head(&self, old: &Arc<Entry<C>>, head: C::Head) -> Option<Arc<Entry<C>>> {
        let same = |known: &Arc<Entry<C>>| Arc::ptr_eq(known, old);
        let new = |known: &Arc<Entry<C>>| with(known, Arc::new(head), known.body.clone());
        self.0.index.replace(&old.key, same, new).map(|(_, new)| new)
    }

    /// Takes the entry out of the index; readers who hold it go on. Returns it.
    pub fn remove(&self, key: &Key) -> Option<Arc<Entry<C>>> {
        self.0.index.remove(key, |_| true)
    }

    /// Takes `entry` out of the index if it is still there.
    pub fn remove_entry(&self, entry: &Arc<Entry<C>>) -> bool {
        self.0.index.remove(&entry.key, |known| Arc::ptr_eq(known, entry)).is_some()
    }

    /// Waits until bodies that are complete but not yet on disk are on disk, and the files of bodies that nobody
    /// holds any more are gone.
    pub async fn settle(&self) {
        self.0.shared.settled().await;
    }
}

fn with<C: Contents>(entry: &Entry<C>, head: Arc<C::Head>, body: Arc<Body>) -> Arc<Entry<C>> {
    Arc::new(Entry { key: entry.key, name: entry.name.clone(), head, body })
}
