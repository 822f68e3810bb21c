//! Opening the store, its read side and its write side.
//!
//! Both sides are handles on [`Inner`]. [`Reader`] is for anybody, [`Writer`] for the owner of the caching decisions.
//! Invariant: an entry whose body has failed is not in the index.
//!
//! Deliberately not here: loading ([`start`](crate::start)), records ([`recording`](crate::recording)), cold entries
//! ([`warming`](crate::warming)) and the threads ([`keeper`](crate::keeper), [`upkeep`](crate::upkeep)).

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use hashbrown::{HashMap, HashSet};
use parking_lot::{Mutex, RwLock};
use prometheus_client::registry::Registry;
use tokio::sync::oneshot;

use crate::claim::Found;
use crate::eviction::{self, Evictor};
use crate::index::{Erased, Holes, Index, Levels, Probed, SHARDS, Seen};
use crate::keeper::Settings;
use crate::labels::purge::Mode;
use crate::labels::recent::Recent;
use crate::leaving::Leaving;
use crate::parts::{is_partial, is_unused_partial};
use crate::shared::Shared;
use crate::start::Stage;
use crate::warming::Warming;
use crate::{
    Access, Body, BodyState, Claim, Config, Contents, Entry, Failure, Flight, Key, OpenError, Viewed, keeper,
    start, upkeep,
};

/// Opens the store in its directory and registers its metrics. Loading goes on in the background: what is asked for
/// before its shard is there waits, and has it loaded next.
pub fn open<C: Contents>(config: Config, registry: &mut Registry) -> Result<Writer<C>, OpenError> {
    let shared = Shared::open(&config, registry)?;
    let levels = Levels {
        entries: shared.metrics.entries.clone(),
        warm: shared.metrics.warm.clone(),
        flights: shared.metrics.flights.clone(),
        uncommitted: shared.metrics.uncommitted.clone(),
    };
    let inner = Arc::new(Inner {
        index: Index::new(levels),
        evictor: Mutex::new(Evictor::new(eviction_settings(&config))),
        settings: Settings::new(&config),
        is_pinned: RwLock::new(None),
        warming: Mutex::default(),
        stage: Stage::default(),
        scrub: Mutex::default(),
        threads: Mutex::default(),
        committing: Mutex::default(),
        unrecorded: Mutex::default(),
        replaced: Mutex::default(),
        grown: Mutex::default(),
        leaving: Leaving::default(),
        recent: Recent::default(),
        shared,
    });
    let mut threads = start::load(&inner, config.load_threads)?;
    threads.push(crate::later::start(&inner.shared)?);
    threads.push(keeper::start(&inner)?);
    threads.push(upkeep::start(&inner)?);
    *inner.threads.lock() = threads;
    Ok(Writer(inner))
}

fn eviction_settings(config: &Config) -> eviction::Settings {
    let huge_part = 100 / u64::from(config.huge_share.clamp(1, 100));
    eviction::Settings { huge_part, ..eviction::Settings::new(config.quota) }
}

/// Counts of the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries in the index.
    pub entries: u64,
    /// Entries in memory.
    pub warm: u64,
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
    /// Why the store does not store, if it does not.
    pub degraded: Option<Arc<str>>,
    /// Shards of the index that are still to be loaded.
    pub unloaded: u64,
}

/// What both sides refer to.
pub(crate) struct Inner<C: Contents> {
    pub(crate) index: Index<Arc<Entry<C>>, C::Refusal>,
    pub(crate) evictor: Mutex<Evictor>,
    pub(crate) settings: Settings,
    pub(crate) is_pinned: RwLock<Option<Arc<IsPinned<C>>>>,
    pub(crate) warming: Mutex<HashMap<Key, Warming<C>>>,
    pub(crate) stage: Stage,
    pub(crate) scrub: Mutex<upkeep::Scrub>,
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) committing: Mutex<()>,
    /// Keys whose newest record found no place because too much waits for the disk.
    pub(crate) unrecorded: Mutex<HashSet<Key>>,
    /// What has been replaced by records that are not on the disk yet.
    pub(crate) replaced: Mutex<Vec<Erased>>,
    /// Bodies with holes that have something new to record: each is here once.
    pub(crate) grown: Mutex<Vec<(Key, Arc<Body>)>>,
    /// For what was claimed before a purge and is published after it.
    pub(crate) recent: Recent<C>,
    /// Entries that have left the index and are still to be seen to.
    pub(crate) leaving: Leaving<C>,
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

    /// What says which entries are pinned, if any are.
    pub(crate) fn pinned(&self) -> Option<Arc<IsPinned<C>>> {
        self.is_pinned.read().clone()
    }

    async fn find(self: &Arc<Self>, key: &Key, holes: Holes) -> Option<Arc<Entry<C>>> {
        self.index.loaded(key).await;
        loop {
            match self.index.see(key) {
                Seen::Warm(entry) => {
                    return Some(entry).filter(|entry| holes == Holes::Shown || !is_partial(entry));
                }
                Seen::Absent => return None,
                Seen::Cold(cold) if holes == Holes::Hidden && cold.record.body.is_part() => return None,
                Seen::Cold(cold) => drop(self.warm_up(cold).await),
            }
        }
    }
}

impl<C: Contents> Drop for Inner<C> {
    fn drop(&mut self) {
        // Nobody is left to hear of it; the log has it.
        let _ = self.close();
    }
}

/// Says of a name and a head whether the entry is pinned.
pub type IsPinned<C> = dyn Fn(&str, &<C as Contents>::Head) -> bool + Send + Sync;

/// The read side.
pub struct Reader<C: Contents>(Arc<Inner<C>>);

impl<C: Contents> Clone for Reader<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Contents> Reader<C> {
    pub(crate) fn inner(&self) -> &Arc<Inner<C>> {
        &self.0
    }

    /// The entry of `key` if it is warm; not one whose body has holes. Never waits.
    pub fn lookup(&self, key: &Key) -> Option<Arc<Entry<C>>> {
        self.0.index.get_if(key, |entry| !is_partial(entry))
    }

    /// The entry of `key`; a cold one is read from the disk first. Not one whose body has holes.
    pub async fn find(&self, key: &Key) -> Option<Arc<Entry<C>>> {
        self.0.find(key, Holes::Hidden).await
    }

    /// The entry of `key` if it is warm, also one whose body has holes ([`Body::is_partial`]). Never waits.
    pub fn lookup_partial(&self, key: &Key) -> Option<Arc<Entry<C>>> {
        self.0.index.get_if(key, |_| true)
    }

    /// The entry of `key`, also one whose body has holes; a cold one is read from the disk first.
    pub async fn find_partial(&self, key: &Key) -> Option<Arc<Entry<C>>> {
        self.0.find(key, Holes::Shown).await
    }

    /// Counts of the moment.
    pub fn usage(&self) -> Usage {
        let Shared { metrics, quota, health, .. } = &*self.0.shared;
        Usage {
            entries: metrics.entries.get(),
            warm: metrics.warm.get(),
            fills: metrics.fills.get(),
            flights: metrics.flights.get(),
            followers: metrics.followers.get(),
            used: quota.used(),
            quota: quota.quota(),
            memory: metrics.memory.get(),
            degraded: health.degraded(),
            unloaded: metrics.unloaded.get(),
        }
    }

    /// Calls `visit` with every entry in memory, part by part; entries that come or go meanwhile may be missed.
    pub fn for_each_warm(&self, mut visit: impl FnMut(&Arc<Entry<C>>)) {
        for part in 0..SHARDS {
            let mut from = Some(0);
            while let Some(at) = from {
                let (page, next) = self.0.index.page(part, at);
                from = next;
                for (_, seen) in page {
                    if let Seen::Warm(entry) = seen {
                        visit(&entry);
                    }
                }
            }
        }
    }

    /// Calls `visit` with every entry, warm or cold, reading cold ones from the disk. Waits for the disk: not for executor
    /// threads. Entries that come or go meanwhile may be missed.
    pub fn scan(&self, visit: impl FnMut(Viewed<'_, C>)) {
        self.0.scan(visit);
    }

    /// Where the file of a complete body is, for those who give it another name or copy it.
    pub fn path(&self, digest: &crate::Digest) -> PathBuf {
        self.0.shared.directory.path(crate::files::directory::Place::Named(*digest))
    }

    /// How far the scrub is, or how the last one ended.
    pub fn scrub(&self) -> ScrubReport {
        self.0.scrub.lock().report()
    }

    /// Waits until every shard of the index is loaded.
    pub async fn loaded(&self) {
        self.0.stage.loaded().await;
    }
}

/// The write side.
pub struct Writer<C: Contents>(pub(crate) Arc<Inner<C>>);

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

    /// In one atomic step: an entry that `accept` accepts, else the flight that is under way, else the claim. A cold entry
    /// is read from the disk first. `accept` runs under a shard lock: integer compares only; it is not asked of an entry
    /// whose body has holes. `name` is kept only when a claim is handed out.
    pub async fn lookup_or_claim(
        &self,
        key: Key,
        name: &Arc<str>,
        accept: impl Fn(&Entry<C>) -> bool,
    ) -> Access<C> {
        self.probe(key, name, Holes::Hidden, |entry| !is_partial(entry) && accept(entry)).await
    }

    /// Like [`lookup_or_claim`](Self::lookup_or_claim) for those who can do with a body that has holes: `accept` is asked of
    /// such entries too ([`Body::is_partial`]).
    pub async fn lookup_partial_or_claim(
        &self,
        key: Key,
        name: &Arc<str>,
        accept: impl Fn(&Entry<C>) -> bool,
    ) -> Access<C> {
        self.probe(key, name, Holes::Shown, |entry| accept(entry)).await
    }

    async fn probe(
        &self,
        key: Key,
        name: &Arc<str>,
        holes: Holes,
        accept: impl Fn(&Arc<Entry<C>>) -> bool,
    ) -> Access<C> {
        self.0.index.loaded(&key).await;
        loop {
            match self.0.index.probe(&key, holes, &accept) {
                Probed::Found(entry) => return Access::Found(entry),
                Probed::Flying(flight) => return Access::Flying(Flight(flight)),
                Probed::Claimed { flight, previous, part } => {
                    let found = Found::new(previous, part);
                    return Access::Claimed(Claim::new(&self.0, key, name, found, flight));
                }
                Probed::Cold(cold) => drop(self.0.warm_up(cold).await),
            }
        }
    }

    /// Swaps `old` for an entry with the same body and another head, if `old` is still in the index.
    pub fn replace_head(&self, old: &Arc<Entry<C>>, head: C::Head) -> Option<Arc<Entry<C>>> {
        let same = |known: &Arc<Entry<C>>| Arc::ptr_eq(known, old);
        let new = |known: &Arc<Entry<C>>| with(known, Arc::new(head), known.body.clone());
        let (_, new) = self.0.index.replace(&old.key, same, new)?;
        self.0.rerecord(&new);
        Some(new)
    }

    /// Takes the entry out of the index, warm or cold; readers who hold it go on. Says whether there was one.
    pub async fn remove(&self, key: &Key) -> bool {
        self.0.index.loaded(key).await;
        self.0.take_out(key, |_| true)
    }

    /// The same, and whatever is claimed now under this name and published later goes with it: it may be older than the
    /// reason for this call.
    pub async fn withdraw(&self, key: &Key, name: &str) -> bool {
        self.0.index.loaded(key).await;
        let name: Box<str> = name.into();
        self.0.recent.note(Mode::Hard, Arc::new(move |published: &str, _: &C::Head| *name == *published));
        self.0.take_out(key, |_| true)
    }

    /// Takes `entry` out of the index if it is still there.
    pub fn remove_entry(&self, entry: &Arc<Entry<C>>) -> bool {
        self.0.take_out(&entry.key, |seen| matches!(seen, Seen::Warm(known) if Arc::ptr_eq(known, entry)))
    }

    /// Takes out at most `limit` entries whose deadline is before `second` (since 1970) and whose body does not
    /// grow, warm or cold, but pinned ones. Returns how many.
    pub fn remove_expired(&self, second: u32, limit: usize) -> usize {
        let deadline = |entry: &Arc<Entry<C>>| {
            let grows = entry.body.state() == BodyState::Filling && !is_unused_partial(entry);
            (!grows).then(|| C::deadline(&entry.head))
        };
        let mut count = 0;
        // Before pins have been compared with what was loaded, nobody knows what is pinned.
        let parts = if self.0.stage.may_evict() { 0..SHARDS } else { 0..0 };
        for part in parts {
            let mut from = Some(0);
            while let Some(at) = from.filter(|_| count < limit) {
                let (keys, next) = self.0.index.expired(part, at, second, deadline);
                from = next;
                let is_over = |seen: &Seen<Arc<Entry<C>>>| match seen {
                    Seen::Warm(entry) => deadline(entry).is_some_and(|deadline| deadline < second),
                    Seen::Cold(_) => true,
                    Seen::Absent => false,
                };
                count += keys.iter().take(limit - count).filter(|key| self.0.take_out(key, is_over)).count();
            }
        }
        count
    }

    /// What was kept under `name` by [`keep`](Self::keep), in this or an earlier run. Waits for the disk.
    pub async fn kept(&self, name: &'static str) -> Option<Vec<u8>> {
        let inner = self.0.clone();
        let read = self.0.shared.pool.run(move || inner.shared.directory.read_control(name).ok()).await;
        read.ok().flatten()
    }

    /// Keeps a few kilobytes under a name, durably and atomically, in `control/<name>`. Waits for the disk.
    pub async fn keep(&self, name: &'static str, bytes: Vec<u8>) -> Result<(), Failure> {
        let inner = self.0.clone();
        let write = move || {
            let written = inner.shared.directory.write_control(name, &bytes);
            written.map_err(|error| inner.shared.control_error(name, &error))
        };
        self.0.shared.pool.run(write).await.flatten()
    }

    /// From now on entries for which `is_pinned` says so are never victims of eviction: asked once for every entry that
    /// is published, and in the background once for all that are there (reading cold ones from the disk). Of those that
    /// are there, that is true when [`pins_compared`](Self::pins_compared) has answered.
    pub fn pin(&self, is_pinned: Arc<IsPinned<C>>) {
        *self.0.is_pinned.write() = Some(is_pinned);
        self.0.stage.pins_changed();
        self.0.shared.upkeep.ring();
    }

    /// Waits until every entry has been compared with what [`pin`](Self::pin) was given last: seconds for each million of
    /// cold ones, and for ever when the store ends.
    pub async fn pins_compared(&self) {
        self.0.stage.compared().await;
    }

    /// Whether every entry has been compared with what [`pin`](Self::pin) was given last.
    pub fn are_pins_compared(&self) -> bool {
        self.0.stage.are_pins_compared()
    }

    /// Reads every body and compares it with its name, in the background, at most `rate` bytes a second; damaged ones are
    /// dropped. `false` when that is going on already.
    pub fn start_scrub(&self, rate: u64) -> bool {
        let begun = self.0.scrub.lock().begin(rate);
        self.0.shared.upkeep.ring();
        begun
    }

    /// Stops a scrub; `false` when there is none.
    pub fn stop_scrub(&self) -> bool {
        self.0.scrub.lock().stop()
    }

    /// Waits until bodies that are complete but not yet on disk are on disk, and the files of bodies that nobody
    /// holds any more are gone.
    pub async fn settle(&self) {
        self.0.shared.settled().await;
        let has_news = !self.0.grown.lock().is_empty();
        if has_news || !self.0.replaced.lock().is_empty() {
            let inner = self.0.clone();
            // Without the disk thread nothing is settled, and nothing lost.
            let _ = self.0.shared.pool.run(move || inner.commit()).await;
            self.0.shared.settled().await;
        }
    }

    /// Ends the store: its threads stop, everything is written out, and the clean end is noted. Bodies can still be read;
    /// nothing is stored any more.
    ///
    /// # Errors
    /// Records could not be written: the next start finds what was committed before and verifies it.
    pub async fn close(&self) -> Result<(), Failure> {
        let inner = self.0.clone();
        let (reply, result) = oneshot::channel();
        let closing = std::thread::Builder::new().name("store-close".to_owned()).spawn(move || {
            let closed = inner.close();
            drop(inner);
            drop(reply.send(closed));
        });
        match closing {
            Ok(_) => result.await.unwrap_or_else(|_| Err(crate::reasons::disk_job_lost())),
            Err(_) => self.0.close(),
        }
    }

    /// Waits until the index is loaded and has been compared with the files that are there.
    pub async fn loaded(&self) {
        self.0.stage.checked().await;
    }

    /// Writes out what is not yet on the disk of the index. Waits for the disk: not for executor threads.
    pub fn commit(&self) {
        self.0.commit();
    }
}

pub use crate::upkeep::ScrubReport;

fn with<C: Contents>(entry: &Entry<C>, head: Arc<C::Head>, body: Arc<Body>) -> Arc<Entry<C>> {
    Arc::new(Entry { key: entry.key, name: entry.name.clone(), head, body })
}
