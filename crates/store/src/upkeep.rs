//! Upkeep: what goes on in the background for as long as it takes, one thing after the other, on a thread of its own.
//!
//! 1. After loading: entries are compared with the pins, from when on they may be evicted; then names in `bodies/` that no
//!    entry names are deleted, and entries whose file is gone or has the wrong length are dropped.
//! 2. Bodies that an unclean epoch has left are verified, unless a request has had that done before.
//! 3. From then on: logs with more garbage than content are compacted, pins compared when they change, and a scrub runs
//!    when one is asked for.
//!
//! Deliberately not here: decisions about single requests; nobody waits for this thread.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::bodies::Bodies;
use crate::files::directory::Place;
use crate::index::{Pinned, SHARDS, Seen};
use crate::recording::second;
use crate::shared::{Shared, Verdict};
use crate::store::Inner;
use crate::{Contents, Digest, Entry, OpenError};

/// Between two looks at what there is to do.
const PAUSE: Duration = Duration::from_secs(1);
/// Moves of records noted under one lock.
const MOVES_AT_ONCE: usize = 1024;
/// Times a compaction is tried again because records were still to be written.
const COPIES: usize = 8;

/// Starts the thread, which ends with the store.
pub(crate) fn start<C: Contents>(inner: &Arc<Inner<C>>) -> Result<JoinHandle<()>, OpenError> {
    let weak = Arc::downgrade(inner);
    let shared = inner.shared.clone();
    shared.metrics.unchecked.set(1);
    let run = move || {
        let mut pins = 0;
        let mut is_new = true;
        while let Some(inner) = Weak::upgrade(&weak).filter(|_| !shared.is_closed()) {
            if inner.stage.is_loaded() {
                if std::mem::take(&mut is_new) {
                    pins = inner.compare_pins(pins);
                    // What was loaded was not yet counted when the room on the disk was looked at first.
                    inner.look();
                    inner.stage.allow_eviction();
                    shared.room.alarm.ring();
                    inner.walk();
                    shared.metrics.unchecked.set(0);
                    inner.stage.end_check();
                    inner.verify_all();
                }
                inner.drop_lost();
                pins = inner.compare_pins(pins);
                inner.compact_all();
                inner.run_scrub();
            }
            drop(inner);
            shared.upkeep.sleep(if is_new { PAUSE / 50 } else { PAUSE });
        }
    };
    thread::Builder::new()
        .name("store-upkeep".to_owned())
        .spawn(run)
        .map_err(|error| OpenError { detail: format!("cannot start the store's upkeep: {error}") })
}

impl<C: Contents> Inner<C> {
    /// Compares the names in `bodies/` with what the entries name.
    fn walk(self: &Arc<Self>) {
        let shared = &self.shared;
        self.walk_parts();
        for first in 0..=u8::MAX {
            if shared.is_closed() {
                return;
            }
            let mut expected = shared.bodies.in_directory(first, |epoch| epoch != shared.epoch());
            let files = match shared.directory.bodies(first) {
                Ok(files) => files,
                Err(error) => {
                    tracing::warn!(%error, "bodies/{first:02x} could not be listed");
                    continue;
                }
            };
            for (path, digest, length) in files {
                let Some(digest) = digest else {
                    tracing::warn!(path = %path.display(), "not a body's name: left alone");
                    continue;
                };
                if expected.remove(&digest).is_none_or(|expected| expected == length) {
                    self.delete_stray(&digest);
                    continue;
                }
                self.drop_damaged(&digest, "its file has the wrong length");
            }
            for (digest, _) in expected {
                self.drop_damaged(&digest, "its file is gone");
            }
        }
    }

    /// Deletes files in `parts/` that no entry names.
    fn walk_parts(&self) {
        for id in self.shared.directory.parts() {
            if !self.shared.bodies.has_part(id) {
                self.shared.metrics.strays.inc();
                self.shared.delete(Place::Part(id));
            }
        }
    }

    /// Deletes the file of this name if it is no body's.
    fn delete_stray(&self, digest: &Digest) {
        let shared = &self.shared;
        shared.bodies.if_unknown(digest, || {
            shared.metrics.strays.inc();
            shared.delete(Place::Named(*digest));
        });
    }

    /// Verifies what unclean epochs have left.
    fn verify_all(self: &Arc<Self>) {
        let shared = &self.shared;
        let is_unclean = |epoch| !shared.is_trusted(epoch);
        let mut epochs = Vec::new();
        for shelf in 0..Bodies::shelves() {
            for (digest, epoch) in shared.bodies.digests(shelf, is_unclean) {
                if shared.is_closed() {
                    return;
                }
                epochs.push(epoch);
                let Some(id) = shared.bodies.id(&digest) else { continue };
                match shared.verify_once(id) {
                    Ok(Verdict::Whole) => {}
                    Ok(Verdict::Damaged) => self.drop_damaged(&digest, "its bytes are not what was stored"),
                    Err(error) => self.drop_damaged(&digest, &error.to_string()),
                }
            }
        }
        epochs.sort_unstable();
        epochs.dedup();
        if let Err(error) = shared.epochs.lock().verified(shared.disk(), &epochs) {
            tracing::warn!(%error, "that all bodies are verified could not be noted");
        }
    }

    /// Takes out what readers have found to be lost.
    pub(crate) fn drop_lost(self: &Arc<Self>) {
        let lost = std::mem::take(&mut *self.shared.lost.lock());
        for digest in lost {
            // It may have been fetched again meanwhile.
            let facts = self.shared.bodies.id(&digest).map(|id| self.shared.bodies.facts(id));
            if facts.is_some_and(|facts| !self.shared.is_in_place(&facts)) {
                self.drop_damaged(&digest, "its file is gone or has the wrong length");
            }
        }
    }

    /// Takes a body that is not what was stored, and every entry that names it, out of the store.
    fn drop_damaged(self: &Arc<Self>, digest: &Digest, what: &str) {
        let Some(id) = self.shared.bodies.id(digest) else { return };
        tracing::warn!(%digest, "a body is dropped, and will be fetched again: {what}");
        let is_it = |seen: &Seen<Arc<Entry<C>>>| match seen {
            Seen::Warm(entry) => entry.body.digest() == Some(*digest),
            Seen::Cold(cold) => cold.record.body == id,
            Seen::Absent => false,
        };
        for part in 0..SHARDS {
            let mut from = Some(0);
            while let Some(at) = from {
                let (page, next) = self.index.page(part, at);
                from = next;
                for (key, seen) in page {
                    if is_it(&seen) {
                        drop(seen);
                        self.take_out(&key, is_it);
                    }
                }
            }
        }
        self.shared.metrics.damaged.inc();
    }

    /// Compares all entries with the pins, if those have changed since `seen`; returns what has been seen now.
    fn compare_pins(self: &Arc<Self>, seen: u64) -> u64 {
        let now = self.stage.pins();
        let Some(is_pinned) = self.pinned().filter(|_| now != seen) else { return seen };
        self.scan(|entry| {
            let pinned = match is_pinned(entry.name, entry.head) {
                true => Pinned::Yes,
                false => Pinned::No,
            };
            self.index.set_pinned(&entry.key, pinned);
        });
        now
    }

    pub(crate) fn compact_all(&self) {
        let is_lost = self.shared.index_is_lost.swap(false, Ordering::Relaxed);
        for part in 0..SHARDS {
            let live = self.index.live_records(part);
            let weight = self.index.with_log(part, |log| log.weight(live));
            let is_wanted =
                is_lost || weight.is_some_and(|weight| weight.wants_compaction(self.settings.compact_from));
            if is_wanted && !self.shared.is_closed() {
                self.compact(part);
            }
        }
    }

    /// Rewrites a log without its garbage.
    fn compact(&self, part: usize) {
        let disk = self.shared.disk();
        let Some(compaction) = self.index.with_log(part, |log| log.begin()).flatten() else { return };
        let mut copied = None;
        for _ in 0..COPIES {
            self.commit();
            match compaction.copy(disk, |key| self.index.recorded(key).map(|record| record.position)) {
                Ok(done) => {
                    copied = Some(done);
                    break;
                }
                Err(error) => tracing::debug!(part, %error, "a log could not be compacted yet"),
            }
        }
        let Some(copied) = copied else {
            self.index.with_log(part, |log| log.abandon(compaction));
            return;
        };
        self.index.with_log(part, |log| log.adopt(&copied));
        copied.moves().chunks(MOVES_AT_ONCE).for_each(|moves| self.index.moved(part, moves));
        if let Some(retired) = self.index.with_log(part, |log| log.retire(copied)) {
            retired.delete(disk);
        }
        self.shared.metrics.compactions.inc();
    }

    pub(crate) fn run_scrub(self: &Arc<Self>) {
        let Some(rate) = self.scrub.lock().start() else { return };
        let shared = &self.shared;
        let mut pace = Pace::new(rate, shared);
        for shelf in 0..Bodies::shelves() {
            for (digest, _) in shared.bodies.digests(shelf, |_| true) {
                if shared.is_closed() || self.scrub.lock().is_stopped() {
                    return self.scrub.lock().end();
                }
                let Some(id) = shared.bodies.id(&digest) else { continue };
                let facts = shared.bodies.facts(id);
                let verdict = shared.verify(&facts, |bytes| pace.take(bytes));
                // Evicted meanwhile: nothing is wrong.
                if shared.bodies.id(&digest) != Some(id) {
                    continue;
                }
                let is_whole = matches!(verdict, Ok(Verdict::Whole));
                if !is_whole {
                    self.drop_damaged(&digest, "a scrub has found other bytes than were stored");
                }
                shared.metrics.verified.inc();
                self.scrub.lock().note(facts.length, is_whole);
            }
        }
        self.scrub.lock().end();
    }
}

/// Keeps to a rate of bytes a second.
struct Pace<'a> {
    shared: &'a Shared,
    rate: u64,
    begun: Instant,
    bytes: u64,
}

impl<'a> Pace<'a> {
    fn new(rate: u64, shared: &'a Shared) -> Self {
        Self { shared, rate: rate.max(1), begun: Instant::now(), bytes: 0 }
    }

    /// Sleeps until so many more bytes are due.
    fn take(&mut self, bytes: u64) {
        self.bytes += bytes;
        let due = Duration::from_secs_f64(self.bytes as f64 / self.rate as f64);
        if let Some(early) = due.checked_sub(self.begun.elapsed()) {
            self.shared.ended.sleep(early.min(PAUSE));
        }
    }
}

/// A scrub: asked for, running, or the last one's result.
#[derive(Default)]
pub(crate) struct Scrub {
    asked: Option<u64>,
    stop: bool,
    report: ScrubReport,
}

/// How far a scrub is, or how the last one ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// Whether one is running or about to.
    pub is_running: bool,
    /// Bodies looked at.
    pub bodies: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bodies that were not what was stored; they have been dropped.
    pub damaged: u64,
    /// When it began, in seconds since 1970; 0: never.
    pub begun: u32,
    /// When it ended, in seconds since 1970; 0: not yet.
    pub ended: u32,
}

impl Scrub {
    /// Asks for one; `false` when one is running.
    pub(crate) fn begin(&mut self, rate: u64) -> bool {
        if self.report.is_running {
            return false;
        }
        self.asked = Some(rate);
        self.stop = false;
        self.report = ScrubReport { is_running: true, begun: second(), ..ScrubReport::default() };
        true
    }

    /// Ends the one that is running; `false` when none is.
    pub(crate) fn stop(&mut self) -> bool {
        self.stop = true;
        self.report.is_running
    }

    pub(crate) fn report(&self) -> ScrubReport {
        self.report
    }

    fn start(&mut self) -> Option<u64> {
        self.asked.take()
    }

    fn is_stopped(&self) -> bool {
        self.stop
    }

    fn note(&mut self, bytes: u64, is_whole: bool) {
        self.report.bodies += 1;
        self.report.bytes += bytes;
        self.report.damaged += u64::from(!is_whole);
    }

    fn end(&mut self) {
        self.report.is_running = false;
        self.report.ended = second();
    }
}
