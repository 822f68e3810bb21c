//! Purges: many entries leave the store at once, or have to be confirmed before they are used again.
//!
//! Functions of [`Writer`]. A *hard* purge takes entries out: they are invisible when it returns, their files are deleted in
//! the background. A *soft* one marks them ([`Contents::mark`]): they stay, and their owner has them confirmed first. Either
//! is on the disk when it returns.
//!
//! Invariant: a purge is noted in [`Recent`](super::recent::Recent) before it looks at the first entry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::recent::{Covers, Moment};
use super::walk::{Matching, Met};
use crate::index::{Erased, Gone, SHARDS, Seen};
use crate::journal::Record;
use crate::recording::removal;
use crate::store::Inner;
use crate::{Contents, Entry, Failure, Key, Writer, reasons};

/// Entries dealt with under one lock.
const STRIDE: usize = 1024;

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
        match selector {
            Selector::Keys(keys, _) => {
                let (inner, affected) = (self.0.clone(), affected.clone());
                pool.run(move || inner.purge_keys(&keys, mode, &affected)).await?;
            }
            Selector::Label(label) => {
                let (inner, affected) = (self.0.clone(), affected.clone());
                let purge = move || (0..SHARDS).for_each(|part| inner.purge_label(part, label, mode, &affected));
                pool.run(purge).await?;
            }
            Selector::Matching(matching) => {
                let inner = self.0.clone();
                // So that all records that there are now are in the files.
                pool.run(move || inner.commit()).await?;
                for part in (0..SHARDS).take_while(|_| !affected.is_stopped()) {
                    let (inner, affected, matching) = (self.0.clone(), affected.clone(), matching.clone());
                    pool.run(move || inner.purge_matching(part, &*matching, mode, &affected)).await?;
                }
            }
        }
        if mode == Mode::Dry {
            return Ok(());
        }
        let inner = self.0.clone();
        match pool.run(move || inner.commit()).await? {
            true => Ok(()),
            false => Err(reasons::purge_not_kept()),
        }
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

    fn purge_keys(self: &Arc<Self>, keys: &[Key], mode: Mode, affected: &Affected) {
        for key in keys {
            let Some(bytes) = self.bytes_of(&self.index.see(key)) else { continue };
            affected.add(1, bytes);
            match mode {
                Mode::Dry => {}
                Mode::Hard => drop(self.take_out(key, |_| true)),
                Mode::Soft => self.mark(key),
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

    /// Has an entry confirmed before its next use.
    fn mark(&self, key: &Key) {
        self.index.mark(key, &marking(key), |entry| C::mark(&entry.head));
    }

    fn purge_label(self: &Arc<Self>, part: usize, label: u64, mode: Mode, affected: &Affected) {
        let has_label = |entry: &Arc<Entry<C>>| self.labels(entry).contains(&label);
        let found = self.index.labelled(part, label, has_label);
        for keys in found.keys.iter() {
            if let Some(bytes) = self.bytes_of(&self.index.see(keys)) {
                affected.add(1, bytes);
                match mode {
                    Mode::Dry => {}
                    Mode::Hard => drop(self.take_out(keys, |seen| match seen {
                        Seen::Warm(entry) => has_label(entry),
                        _ => true,
                    })),
                    Mode::Soft => self.mark(keys),
                }
            }
        }
        for numbers in found.numbers.chunks(STRIDE) {
            match mode {
                Mode::Dry => {
                    let bodies = self.index.bodies_of(part, numbers, label);
                    let bytes = bodies.iter().map(|body| self.shared.bodies.facts(*body).length).sum();
                    affected.add(bodies.len() as u64, bytes);
                }
                Mode::Soft => {
                    let marked = self.index.mark_labelled(part, numbers, label, marking, |entry| C::mark(&entry.head));
                    let bytes = marked.iter().map(|body| self.shared.bodies.facts(*body).length).sum();
                    affected.add(marked.len() as u64, bytes);
                }
                Mode::Hard => self.bury(self.index.remove_labelled(part, numbers, label, removal), affected),
            }
        }
        affected.part_done();
    }

    /// What follows when these have gone: counted now, the rest by a disk thread.
    fn bury(self: &Arc<Self>, gone: Gone<Arc<Entry<C>>>, affected: &Affected) {
        let Gone { erased, entries } = gone;
        let bytes = erased.iter().map(|erased: &Erased| self.shared.bodies.facts(erased.body).length).sum();
        affected.add(erased.len() as u64, bytes);
        let (inner, settling) = (self.clone(), self.shared.settling());
        self.shared.pool.push(move || {
            drop(entries);
            erased.into_iter().for_each(|erased| inner.settle_erased(erased));
            drop(settling);
        });
    }

    fn purge_matching(
        self: &Arc<Self>,
        part: usize,
        matching: &dyn Matching<C>,
        mode: Mode,
        affected: &Affected,
    ) {
        self.walk_part(part, &|name| matching.may_match(name), &mut |key, met| {
            if affected.is_stopped() || !matching.matches(met) {
                return;
            }
            affected.add(1, met.bytes);
            match mode {
                Mode::Dry => {}
                Mode::Soft => self.mark(&key),
                Mode::Hard => drop(self.take_out(&key, |_| true)),
            }
        });
        affected.part_done();
    }

    /// The labels of an entry as it is now.
    pub(crate) fn labels(&self, entry: &Entry<C>) -> Vec<u64> {
        C::labels(&self.shared.label_secret, &entry.name, &entry.head)
    }
}

pub(crate) fn marking(key: &Key) -> Vec<u8> {
    let mut frame = Vec::with_capacity(32);
    Record::Marked(*key).encode(&mut frame).expect("a mark is short");
    frame
}
