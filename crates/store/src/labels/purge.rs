//! Purges: many entries leave the store at once, or have to be confirmed before they are used again.
//!
//! Functions of [`Writer`]. A *hard* purge takes entries out: they are invisible when it returns, their files are deleted in
//! the background. A *soft* one marks them ([`Contents::mark`]): they stay, and their owner has them confirmed first. Either
//! is on the disk when it returns.
//!
//! Invariant: a purge is noted in [`Recent`](super::recent::Recent) before it looks at the first entry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use super::recent::{Covers, Moment};
use super::walk::{Matching, Met};
use crate::bodies::BodyId;
use crate::index::{Erased, Gone, SHARDS, Seen};
use crate::journal::Record;
use crate::recording::{removal, removal_into};
use crate::store::Inner;
use crate::{Contents, Entry, Failure, Key, Writer, reasons};

/// Entries whose bodies are let go together.
const TOGETHER: usize = 256;
/// Entries that one thread purges by itself.
const ALONE: u64 = 10_000;
/// Most threads that purge more.
const LANES: usize = 4;

/// What becomes of the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// They are counted.
    Dry,
    /// They are marked.
    Soft,
    /// They go.
    Hard,
}

/// Which entries.
pub enum Selector<C: Contents> {
    /// Those of these keys, and what is claimed now and published later under a name or head that the test accepts.
    Keys(Vec<Key>, Arc<dyn Matching<C>>),
    /// Those with this label.
    Label(u64),
    /// Those that the test accepts: every entry is looked at.
    Matching(Arc<dyn Matching<C>>),
}

/// How far a purge is; shared with whoever waits for it.
#[derive(Debug, Default)]
pub struct Affected {
    entries: AtomicU64,
    bytes: AtomicU64,
    parts: AtomicU64,
    is_stopped: AtomicBool,
}

impl Affected {
    /// Entries that were selected so far.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Bytes of their bodies; one that several entries share counts for each.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How much has been looked at, in percent.
    pub fn percent(&self) -> u64 {
        self.parts.load(Ordering::Relaxed) * 100 / SHARDS as u64
    }

    /// Asks to end early: what was not looked at yet stays as it is.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, entries: u64, bytes: u64) {
        self.entries.fetch_add(entries, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn part_done(&self) {
        self.parts.fetch_add(1, Ordering::Relaxed);
    }
}

impl<C: Contents> Writer<C> {
    /// The secret that labels are made with.
    pub fn label_secret(&self) -> &[u8; 32] {
        &self.0.shared.label_secret
    }

    /// Purges; `affected` tells how far it is, from other tasks too. Waits for the disk. Whoever drops the future ends the
    /// purge after the shard at hand.
    ///
    /// # Errors
    /// The disk does not take it: it is in force, but after a restart what was purged may be there again. Or the store
    /// ends; what was done so far is done.
    pub async fn purge(
        &self,
        selector: Selector<C>,
        mode: Mode,
        affected: &Arc<Affected>,
    ) -> Result<(), Failure> {
        self.0.stage.loaded().await;
        if mode != Mode::Dry {
            self.0.recent.note(mode, covers(&selector, *self.label_secret()));
        }
        let pool = &self.0.shared.pool;
        // Let go after the commit, which would wait for all of it.
        let mut gone = Vec::new();
        match selector {
            Selector::Keys(keys, _) => {
                let (inner, affected) = (self.0.clone(), affected.clone());
                let purge = move || Leaving(inner.purge_keys(&keys, mode, &affected), inner);
                gone.push(pool.run(purge).await?);
            }
            Selector::Label(label) => {
                let (inner, affected) = (self.0.clone(), affected.clone());
                let purge = move || Leaving(inner.purge_label(label, mode, &affected), inner);
                gone.push(pool.run(purge).await?);
            }
            Selector::Matching(matching) => {
                let inner = self.0.clone();
                // So that all records that there are now are in the files.
                pool.run(move || inner.commit()).await?;
                for part in (0..SHARDS).take_while(|_| !affected.is_stopped()) {
                    let (inner, affected, matching) = (self.0.clone(), affected.clone(), matching.clone());
                    let purge =
                        move || Leaving(inner.purge_matching(part, &*matching, mode, &affected), inner);
                    gone.push(pool.run(purge).await?);
                }
            }
        }
        if mode == Mode::Dry {
            return Ok(());
        }
        let inner = self.0.clone();
        let is_kept = pool.run(move || inner.commit()).await?;
        drop(gone);
        if is_kept { Ok(()) } else { Err(reasons::purge_not_kept()) }
    }
}

/// What has left the index: settled when this is dropped, whoever drops it.
struct Leaving<C: Contents>(Vec<Erased>, Arc<Inner<C>>);

impl<C: Contents> Drop for Leaving<C> {
    fn drop(&mut self) {
        let Self(gone, inner) = self;
        inner.bury(std::mem::take(gone));
    }
}

fn covers<C: Contents>(selector: &Selector<C>, secret: [u8; 32]) -> Arc<Covers<C>> {
    match selector {
        Selector::Label(label) => {
            let label = *label;
            Arc::new(move |name, head| C::labels(&secret, name, head).contains(&label))
        }
        Selector::Keys(_, matching) | Selector::Matching(matching) => {
            let matching = matching.clone();
            Arc::new(move |name, head| matching.may_match(name) && matching.matches(&Met::new(name, head)))
        }
    }
}

impl<C: Contents> Inner<C> {
    /// An entry has just been published that was claimed at `begun`: purges since then cover it too. Says whether it is
    /// still there.
    pub(crate) fn catch_up(self: &Arc<Self>, entry: &Arc<Entry<C>>, begun: Moment) -> bool {
        match self.recent.since(begun, &entry.name, &entry.head) {
            Some(Mode::Hard) => {
                self.take_out_body(&entry.key, &entry.body);
                false
            }
            Some(Mode::Soft) => {
                C::mark(&entry.head);
                true
            }
            Some(Mode::Dry) | None => true,
        }
    }

    fn purge_keys(&self, keys: &[Key], mode: Mode, affected: &Affected) -> Vec<Erased> {
        let mut gone = Vec::new();
        for key in keys {
            let Some(bytes) = self.bytes_of(&self.index.see(key)) else { continue };
            affected.add(1, bytes);
            self.purge_one(key, mode, &mut gone);
        }
        gone
    }

    fn purge_one(&self, key: &Key, mode: Mode, gone: &mut Vec<Erased>) {
        match mode {
            Mode::Dry => {}
            Mode::Hard => {
                gone.extend(
                    self.index.remove(key, |_| true, &removal(key)).and_then(|removed| removed.erased),
                );
            }
            Mode::Soft => {
                let mut frame = Vec::new();
                marking(key, &mut frame);
                self.index.mark(key, &frame, |entry| C::mark(&entry.head));
            }
        }
    }

    fn bytes_of(&self, seen: &Seen<Arc<Entry<C>>>) -> Option<u64> {
        match seen {
            Seen::Warm(entry) => Some(entry.body.committed()),
            Seen::Cold(cold) => Some(self.shared.bodies.facts(cold.record.body).length),
            Seen::Absent => None,
        }
    }

    /// All shards; several at a time when there is much to do.
    fn purge_label(&self, label: u64, mode: Mode, affected: &Affected) -> Vec<Erased> {
        let next = AtomicUsize::new(0);
        let work = |most: u64| {
            let mut gone = Vec::new();
            while affected.entries() < most {
                let part = next.fetch_add(1, Ordering::Relaxed);
                if part >= SHARDS {
                    break;
                }
                gone.extend(self.purge_label_of(part, label, mode, affected));
            }
            gone
        };
        let mut gone = work(ALONE);
        if next.load(Ordering::Relaxed) < SHARDS {
            let lanes = thread::available_parallelism().map_or(1, usize::from).min(LANES);
            thread::scope(|scope| {
                let others: Vec<_> = (1..lanes).map(|_| scope.spawn(|| work(u64::MAX))).collect();
                gone.extend(work(u64::MAX));
                gone.extend(others.into_iter().filter_map(|other| other.join().ok()).flatten());
            });
        }
        gone
    }

    fn purge_label_of(&self, part: usize, label: u64, mode: Mode, affected: &Affected) -> Vec<Erased> {
        let mut gone = Vec::new();
        let has_label = |entry: &Arc<Entry<C>>| self.labels(entry).contains(&label);
        for key in self.index.unrecorded(part, has_label) {
            if let Some(bytes) = self.bytes_of(&self.index.see(&key)) {
                affected.add(1, bytes);
                self.purge_one(&key, mode, &mut gone);
            }
        }
        let mut from = Some(0);
        while let Some(at) = from {
            let (bodies, next) = match mode {
                Mode::Dry => self.index.count_labelled(part, label, at),
                Mode::Soft => {
                    self.index.mark_labelled(part, label, at, marking, |entry| C::mark(&entry.head))
                }
                Mode::Hard => {
                    let (Gone { erased, .. }, next) =
                        self.index.remove_labelled(part, label, at, removal_into);
                    let bodies = erased.iter().map(|erased| erased.body).collect();
                    gone.extend(erased);
                    (bodies, next)
                }
            };
            from = next;
            affected.add(bodies.len() as u64, self.lengths(&bodies));
        }
        affected.part_done();
        gone
    }

    fn lengths(&self, bodies: &[BodyId]) -> u64 {
        bodies.iter().map(|body| self.shared.bodies.facts(*body).length).sum()
    }

    /// What follows when these have gone: by a disk thread, some at a time, so that others find their turn between.
    fn bury(self: &Arc<Self>, mut gone: Vec<Erased>) {
        if gone.is_empty() {
            return;
        }
        let (inner, settling) = (self.clone(), self.shared.settling());
        self.shared.pool.push(move || {
            let some = gone.split_off(gone.len().saturating_sub(TOGETHER));
            some.into_iter().for_each(|erased| inner.settle_erased(erased));
            inner.bury(gone);
            drop(settling);
        });
    }

    fn purge_matching(
        &self,
        part: usize,
        matching: &dyn Matching<C>,
        mode: Mode,
        affected: &Affected,
    ) -> Vec<Erased> {
        let mut gone = Vec::new();
        self.walk_part(part, &|name| matching.may_match(name), &mut |key, met| {
            if affected.is_stopped() || !matching.matches(met) {
                return;
            }
            affected.add(1, met.bytes);
            self.purge_one(&key, mode, &mut gone);
        });
        affected.part_done();
        gone
    }

    /// The labels of an entry as it is now.
    pub(crate) fn labels(&self, entry: &Entry<C>) -> Vec<u64> {
        C::labels(&self.shared.label_secret, &entry.name, &entry.head)
    }
}

fn marking(key: &Key, frame: &mut Vec<u8>) {
    Record::Marked(*key).encode(frame).expect("a mark is short");
}
