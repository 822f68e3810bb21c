//! Upkeep: what goes on in the background for as long as it takes, one thing after the other, on a thread of its own.
//!
//! 1. After loading: entries are compared with the pins, from when on they may be evicted; then names in `bodies/` that no
//!    entry names are deleted, and entries whose file is gone or has the wrong length are dropped.
//! 2. Bodies that an unclean epoch has left are verified, unless a request has had that done before.
//! 3. From then on: logs with more garbage than content are compacted, pins compared when they change, and a scrub runs
//!    when one is asked for.
//!
//! Deliberately not here: decisions about single requests; nobody waits for this thread.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hashbrown::HashSet;

use crate::bodies::{Bodies, BodyId};
use crate::files::directory::Place;
use crate::index::{Pinned, Recorded, SHARDS, Seen};
use crate::journal::{self, Record, Report};
use crate::recording::second;
use crate::shared::{Shared, Verdict};
use crate::start::Unseen;
use crate::store::Inner;
use crate::{Contents, Digest, Entry, IsPinned, OpenError};

/// Between two looks at what there is to do.
const PAUSE: Duration = Duration::from_secs(1);
/// Moves of records noted under one lock.
const MOVES_AT_ONCE: usize = 1024;
/// Damaged bodies that are dropped together.
const DROPPED_AT_ONCE: usize = 1024;
/// Times a compaction is tried again because records were still to be written.
const COPIES: usize = 8;

/// Starts the thread, which ends with the store.
pub(crate) fn start<C: Contents>(inner: &Arc<Inner<C>>) -> Result<JoinHandle<()>, OpenError> {
    let weak = Arc::downgrade(inner);
    let shared = inner.shared.clone();
    shared.metrics.unchecked.set(1);
    let run = move || {
        let mut is_new = true;
        while let Some(inner) = Weak::upgrade(&weak).filter(|_| !shared.is_closed()) {
            let knows_pins = !inner.settings.await_pins || inner.stage.pins() > 0;
            if inner.stage.is_loaded() && knows_pins {
                if std::mem::take(&mut is_new) {
                    inner.compare_pins();
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
                inner.compare_pins();
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
        if self.stage.is_incomplete() {
            tracing::error!("files that no entry names stay until the whole index can be read");
            return;
        }
        self.walk_parts();
        let mut damaged = Vec::new();
        for first in 0..=u8::MAX {
            if shared.is_closed() {
                return;
            }
            self.compare_pins();
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
                damaged.push((digest, "its file has the wrong length"));
            }
            damaged.extend(expected.into_keys().map(|digest| (digest, "its file is gone")));
        }
        self.drop_old(&damaged);
    }

    /// Deletes files in `parts/` that no entry names, and drops entries whose part is gone or cut.
    fn walk_parts(self: &Arc<Self>) {
        let is_there = |part: &Unseen| self.shared.bodies.has_part(part.id);
        for Unseen { key, body, id, received } in self.stage.take_unseen().into_iter().filter(is_there) {
            let path = self.shared.directory.path(Place::Part(id));
            if self.shared.disk().length(&path).is_ok_and(|length| length >= received) {
                continue;
            }
            let is_it = |seen: &Seen<_>| matches!(seen, Seen::Cold(cold) if cold.record.body == body);
            if self.take_out(&key, is_it) {
                self.shared.metrics.damaged.inc();
                tracing::warn!(%key, "an interrupted fill is dropped: the file of its part is gone or cut");
            }
        }
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
        let (mut epochs, mut damaged) = (Vec::new(), Vec::new());
        for shelf in 0..Bodies::shelves() {
            for (digest, epoch) in shared.bodies.digests(shelf, is_unclean) {
                if shared.is_closed() {
                    return;
                }
                epochs.push(epoch);
                let Some(id) = shared.bodies.id(&digest) else { continue };
                match shared.verify_once(id, |_| self.go_on()) {
                    Ok(Verdict::Whole) => {}
                    Err(_) if shared.is_closed() => return,
                    Ok(Verdict::Damaged) => {
                        damaged.push((digest, "its bytes are not what was stored".to_owned()))
                    }
                    Err(error) => damaged.push((digest, error.to_string())),
                }
                if damaged.len() == DROPPED_AT_ONCE {
                    self.drop_verified(&mut damaged);
                }
            }
        }
        self.drop_verified(&mut damaged);
        epochs.sort_unstable();
        epochs.dedup();
        if let Err(error) = self.note_verified(&epochs) {
            tracing::warn!(%error, "that all bodies are verified could not be noted");
        }
    }

    /// What is done between two steps of what takes long; an error when the store ends.
    fn go_on(self: &Arc<Self>) -> io::Result<()> {
        if self.shared.is_closed() {
            return Err(io::Error::other("the store ends"));
        }
        self.compare_pins();
        Ok(())
    }

    fn drop_verified(self: &Arc<Self>, damaged: &mut Vec<(Digest, String)>) {
        let said: Vec<_> = damaged.iter().map(|(digest, what)| (*digest, what.as_str())).collect();
        self.drop_old(&said);
        damaged.clear();
    }

    /// Drops those of the damaged bodies that were not fetched again since they were looked at.
    fn drop_old(self: &Arc<Self>, damaged: &[(Digest, &str)]) {
        let is_old = |digest: &Digest| {
            let bodies = &self.shared.bodies;
            bodies.id(digest).is_some_and(|id| bodies.facts(id).epoch != self.shared.epoch())
        };
        let old: Vec<_> = damaged.iter().filter(|(digest, _)| is_old(digest)).copied().collect();
        self.drop_damaged(&old);
    }

    /// From now on the bodies of these epochs are trusted. What was read is in memory only, maybe, and so is what says
    /// that a damaged one has gone: a crash must not find the one without the other.
    fn note_verified(&self, epochs: &[u32]) -> io::Result<()> {
        if epochs.is_empty() {
            return Ok(());
        }
        if !self.commit() {
            return Err(io::Error::other("records could not be written"));
        }
        let shared = &self.shared;
        shared.disk().sync_all(shared.directory.root())?;
        shared.epochs.lock().verified(shared.disk(), epochs)
    }

    /// Takes out what readers have found to be lost.
    pub(crate) fn drop_lost(self: &Arc<Self>) {
        let lost = std::mem::take(&mut *self.shared.lost.lock());
        let is_lost = |digest: &Digest| {
            // It may have been fetched again meanwhile.
            let facts = self.shared.bodies.id(digest).map(|id| self.shared.bodies.facts(id));
            facts.is_some_and(|facts| !self.shared.is_in_place(&facts))
        };
        let lost = lost.into_iter().filter(is_lost);
        let lost: Vec<_> = lost.map(|digest| (digest, "its file is gone or has the wrong length")).collect();
        self.drop_damaged(&lost);
    }

    /// Takes bodies that are not what was stored, and every entry that names one, out of the store: together, because that
    /// is a look at every entry.
    fn drop_damaged(self: &Arc<Self>, damaged: &[(Digest, &str)]) {
        let known = |(digest, what): &(Digest, &str)| {
            let id = self.shared.bodies.id(digest)?;
            tracing::warn!(%digest, "a body is dropped, and will be fetched again: {what}");
            Some(id)
        };
        let ids: HashSet<BodyId> = damaged.iter().filter_map(known).collect();
        if ids.is_empty() {
            return;
        }
        let is_it = |seen: &Seen<Arc<Entry<C>>>| match seen {
            Seen::Warm(entry) => entry
                .body
                .digest()
                .and_then(|digest| self.shared.bodies.id(&digest))
                .is_some_and(|id| ids.contains(&id)),
            Seen::Cold(cold) => ids.contains(&cold.record.body),
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
        self.shared.metrics.damaged.inc_by(ids.len() as u64);
    }

    /// Compares all entries with the pins, if those have changed. Everything here that takes long calls it now and then:
    /// until then a pin does not keep what was there before it.
    pub(crate) fn compare_pins(self: &Arc<Self>) {
        let now = self.stage.pins();
        if self.stage.are_pins_compared() {
            return;
        }
        if let Some(is_pinned) = self.pinned() {
            // So that all records that there are now are in the files.
            self.commit();
            (0..SHARDS).for_each(|part| self.compare_part(part, &*is_pinned));
        }
        self.stage.pins_compared(now);
    }

    /// Compares the entries of a shard with the pins: the warm ones in memory, the others from front to back of their log,
    /// because to look up each of millions takes minutes.
    fn compare_part(self: &Arc<Self>, part: usize, is_pinned: &IsPinned<C>) {
        let mut cold = 0;
        let mut from = Some(0);
        while let Some(at) = from {
            let (page, next) = self.index.page(part, at);
            from = next;
            for (key, seen) in page {
                match seen {
                    Seen::Warm(entry) => {
                        self.index.set_pinned(&key, Pinned::from(is_pinned(&entry.name, &entry.head)));
                    }
                    Seen::Cold(_) => cold += 1,
                    Seen::Absent => {}
                }
            }
        }
        let (disk, directory) = (self.shared.disk(), self.shared.directory.index());
        let mut compared = 0;
        let compare = |position, record: Record<'_>| {
            let Record::Put(put) = record else { return };
            let is_current = |known: Recorded| known.position == position && !known.body.is_part();
            if self.index.recorded(&put.key).is_some_and(is_current)
                && let Some(head) = C::decode(put.head)
            {
                compared += 1;
                self.index.set_pinned(&put.key, Pinned::from(is_pinned(put.name, &head)));
            }
        };
        let report = if cold == 0 {
            Ok(Report::default())
        } else {
            journal::scan(disk, &directory, part as u8, compare)
        };
        // Damage, or records that are not written yet.
        if report.is_err() || compared < cold {
            self.scan_part(part, |entry| {
                self.index.set_pinned(&entry.key, Pinned::from(is_pinned(entry.name, entry.head)));
            });
        }
    }

    pub(crate) fn compact_all(self: &Arc<Self>) {
        let is_lost = self.shared.index_is_lost.swap(false, Ordering::Relaxed);
        for part in 0..SHARDS {
            let live = self.index.live_records(part);
            let weight = self.index.with_log(part, |log| log.weight(live));
            let is_wanted =
                is_lost || weight.is_some_and(|weight| weight.wants_compaction(self.settings.compact_from));
            if is_wanted && !self.shared.is_closed() {
                self.compact(part);
                self.compare_pins();
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
        // What is there speaks of places that are gone.
        self.write_heat(part);
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
                let verdict = shared.verify(&facts, |bytes| {
                    pace.take(bytes);
                    self.go_on()
                });
                if shared.is_closed() {
                    return self.scrub.lock().end();
                }
                // Evicted meanwhile: nothing is wrong.
                if shared.bodies.id(&digest) != Some(id) {
                    continue;
                }
                let is_whole = matches!(verdict, Ok(Verdict::Whole));
                if !is_whole {
                    self.drop_damaged(&[(digest, "a scrub has found other bytes than were stored")]);
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
