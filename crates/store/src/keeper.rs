//! The keeper: the thread that writes records out, makes room and cools entries.
//!
//! Works in rounds, at least one every commit interval, sooner when somebody needs space. It may wait for the disk;
//! nobody waits for it but those who asked for space. When the disk refuses records they stay in memory and are written
//! in a later round; meanwhile nothing long is stored, so they are few.
//!
//! Deliberately not here: what takes long (compaction, verification: [`upkeep`](crate::upkeep)).

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::eviction::Verdict;
use crate::index::{Number, SHARDS, Unwritten};
use crate::parts::{is_being_filled, is_unused_partial};
use crate::recording::{Books, second};
use crate::store::Inner;
use crate::{BodyState, Config, Contents, Entry, Failure, OpenError, reasons};

/// What a warm entry takes besides its body, about: head, names, open file.
const WARM_ENTRY: u64 = 2 << 10;
/// Most entries cooled under one lock.
const COOLED_AT_ONCE: usize = 64;
/// Rounds between looks at what changes slowly: free space, the directory, a refusing disk.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Parts of the quota in which the bytes in use are noted.
const USED_STEPS: u64 = 64;
/// How many entries more than the most there may be before those that are too many have gone: a part of the most, and
/// some in any case.
const SPARE_PART: u64 = 64;
const SPARE_ENTRIES: u64 = 256;
/// Logs that are synced at the same time.
const SYNCS: usize = 16;
/// Entries whose eviction is tried in one round.
const VICTIMS: usize = 1 << 16;

/// How the keeper works.
pub(crate) struct Settings {
    high_mark: u64,
    low_mark: u64,
    free_floor: u64,
    /// Bytes above which a body has to be asked for twice when others would have to go for it.
    pub(crate) huge: u64,
    /// Bytes of garbage below which a log is not rewritten.
    pub(crate) compact_from: u64,
    /// Whether nothing is evicted before pins are told.
    pub(crate) await_pins: bool,
    /// Entries above which others go for those that come.
    max_entries: u64,
    min_idle: u32,
    commit_interval: Duration,
    /// What was last noted of the bytes in use.
    noted: AtomicU64,
    /// Whoever makes room sees what others have made: two at once would evict twice as much.
    making_room: Mutex<()>,
    /// The shard whose turn it is to be written ahead.
    next_part: AtomicUsize,
    /// Checksums of what was written of each shard's heat.
    pub(crate) heat: [AtomicU32; SHARDS],
}

impl Settings {
    /// Whether so many entries are there that no other may come before some have gone.
    pub(crate) fn has_too_many(&self, entries: u64) -> bool {
        entries
            >= self.max_entries.saturating_add(self.max_entries / SPARE_PART).saturating_add(SPARE_ENTRIES)
    }

    pub(crate) fn new(config: &Config) -> Self {
        let percent = |mark: u8| config.quota / 100 * u64::from(mark.min(100));
        Self {
            high_mark: percent(config.high_mark),
            low_mark: percent(config.low_mark.min(config.high_mark)),
            free_floor: config.free_floor,
            huge: percent(config.huge_share),
            compact_from: config.compact_from,
            await_pins: config.await_pins,
            max_entries: config.max_entries,
            min_idle: u32::try_from(config.min_idle.as_secs()).unwrap_or(u32::MAX),
            commit_interval: config.commit_interval,
            noted: AtomicU64::new(0),
            making_room: Mutex::default(),
            next_part: AtomicUsize::new(0),
            heat: [const { AtomicU32::new(0) }; SHARDS],
        }
    }
}

/// Starts the thread, which ends with the store.
pub(crate) fn start<C: Contents>(inner: &Arc<Inner<C>>) -> Result<JoinHandle<()>, OpenError> {
    inner.index.set_second(inner.shared.use_second());
    inner.look();
    let (interval, shared) = (inner.settings.commit_interval, inner.shared.clone());
    let inner = Arc::downgrade(inner);
    let run = move || {
        let mut looked = Instant::now();
        loop {
            shared.room.alarm.sleep(interval);
            if shared.is_closed() {
                return;
            }
            let Some(inner) = Weak::upgrade(&inner) else { return };
            if looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                inner.look();
                inner.write_ahead();
            }
            inner.round();
        }
    };
    thread::Builder::new()
        .name("store-keeper".to_owned())
        .spawn(run)
        .map_err(|error| OpenError { detail: format!("cannot start the store's keeper: {error}") })
}

impl<C: Contents> Inner<C> {
    /// One round.
    pub(crate) fn round(&self) {
        self.index.set_second(self.shared.use_second());
        self.commit();
        self.make_room();
        self.cool();
        if self.stage.may_evict() {
            self.shared.room.end_round();
        }
        self.shared.quota.freed().wake_all();
    }

    /// Writes out what was recorded since the last time; `false` when some could not be written.
    pub(crate) fn commit(&self) -> bool {
        let _one_at_a_time = self.committing.lock();
        self.record_grown();
        let replaced = std::mem::take(&mut *self.replaced.lock());
        let round = self.shared.bodies.given_up.begin_round();
        let is_written = self.write_records();
        if is_written {
            self.shared.bodies.given_up.end_round(round);
            self.settle_replaced(replaced);
            self.record_the_rest();
        } else {
            self.replaced.lock().extend(replaced);
        }
        is_written
    }

    /// Writes the records of all shards; `false` when some could not be written. Several at a time: on a slow disk, one
    /// sync after the other would take longer than the commit interval.
    fn write_records(&self) -> bool {
        let waiting = |part: usize| Some((part, self.index.take_pending(part)?));
        let mut unwritten: Vec<_> = (0..SHARDS).filter_map(waiting).collect();
        let Some(last) = unwritten.pop() else { return true };
        let lanes = unwritten.len().min(SYNCS - 1);
        let (unwritten, all) = (Mutex::new(unwritten), AtomicBool::new(true));
        let write = |(part, pending)| {
            if !self.write_part(part, pending) {
                all.store(false, Ordering::Relaxed);
            }
        };
        let next = || unwritten.lock().pop();
        let lane = || {
            while let Some(next) = next() {
                write(next);
            }
        };
        thread::scope(|scope| {
            // A thread that cannot be started is one lane less.
            (0..lanes).for_each(|_| drop(thread::Builder::new().spawn_scoped(scope, lane)));
            write(last);
            lane();
        });
        all.into_inner()
    }

    fn write_part(&self, part: usize, pending: Unwritten) -> bool {
        match pending.pending.write(self.shared.disk()) {
            Ok(()) => {
                self.shared.metrics.journal_bytes.inc_by(pending.bytes);
                self.index.written(part, pending);
                true
            }
            Err(error) => {
                self.shared.metrics.disk_errors.inc();
                self.shared.health.note(&error);
                tracing::warn!(part, %error, "records wait in memory: they could not be written");
                false
            }
        }
    }

    /// Evicts until there is as much room as is wanted.
    fn make_room(&self) {
        if !self.stage.may_evict() {
            return;
        }
        let _one_at_a_time = self.settings.making_room.lock();
        let quota = &self.shared.quota;
        let wanted = self.shared.room.take_wanted();
        let limit = quota.limit();
        let (high, low) = (self.settings.high_mark.min(limit), self.settings.low_mark.min(limit));
        let used = quota.used();
        let is_full = used > high || used.saturating_add(wanted) > limit;
        let mut surplus = self.shared.metrics.entries.get().saturating_sub(self.settings.max_entries);
        if !is_full && surplus == 0 {
            return;
        }
        let goal =
            if used > high { low.min(limit.saturating_sub(wanted)) } else { limit.saturating_sub(wanted) };
        let goal = if is_full { goal } else { u64::MAX };
        let mut gone = 0;
        let books = Books {
            index: &self.index,
            shared: &self.shared,
            min_idle: self.settings.min_idle,
            is_busy: is_being_filled,
        };
        for _ in 0..VICTIMS {
            // What is held goes later; what has been evicted counts as gone here.
            if used.saturating_sub(gone) <= goal && surplus == 0 {
                break;
            }
            let verdict = self.evictor.lock().victim(&books);
            match verdict {
                Verdict::Evict(id) => {
                    if let Some(bytes) = self.evict(Number(id)) {
                        gone += bytes;
                        surplus = surplus.saturating_sub(1);
                    }
                }
                Verdict::Again => {}
                Verdict::Nothing => break,
            }
        }
    }

    /// Gives memory back when entries and small bodies take more than they may.
    fn cool(&self) {
        let limit = self.shared.memory_limit();
        let metrics = &self.shared.metrics;
        let taken = || metrics.memory.get() + metrics.warm.get() * WARM_ENTRY;
        // Twice round: the first pass takes the marks of use away.
        for part in (0..2 * SHARDS).map(|turn| turn % SHARDS) {
            if taken() <= limit {
                return;
            }
            loop {
                let judge = |entry: &_| self.judge(entry);
                let frame = |entry: &Arc<Entry<C>>| self.frame_again(entry);
                let cooled = self.index.cool(part, COOLED_AT_ONCE, judge, frame);
                let count = cooled.len();
                metrics.cooled.inc_by(count as u64);
                drop(cooled);
                if count < COOLED_AT_ONCE || taken() <= limit {
                    break;
                }
            }
        }
    }

    /// The deadline of an entry that may cool: nobody holds it, and a restart would find it.
    fn judge(&self, entry: &Arc<Entry<C>>) -> Option<u32> {
        let is_idle = Arc::strong_count(entry) == 1
            && (entry.body.state() == BodyState::Complete && entry.body.is_on_disk()
                || is_unused_partial(entry));
        is_idle.then(|| C::deadline(&entry.head))
    }

    /// Looks at what changes slowly.
    pub(crate) fn look(&self) {
        let shared = &self.shared;
        if let Ok(free) = shared.directory.free() {
            let room = shared.quota.used().saturating_add(free).saturating_sub(self.settings.free_floor);
            shared.quota.set_room(room);
        }
        if shared.health.degraded().is_some() {
            match shared.directory.probe() {
                Ok(()) if shared.directory.is_ours() => shared.health.recover(),
                Ok(()) => {}
                Err(error) => tracing::debug!(%error, "the disk still refuses"),
            }
        } else if !shared.directory.is_ours() {
            shared.health.degrade(&format!(
                "the store directory {} has been moved, deleted or replaced while it was in use",
                shared.directory.root().display()
            ));
        }
        self.note_used();
        if !shared.directory.has_index() {
            tracing::error!("the index has been deleted while it was in use: it is written anew");
            shared.index_is_lost.store(true, Ordering::Relaxed);
            shared.upkeep.ring();
        }
    }

    /// Notes how much the store takes, for those who want to know without opening it.
    fn note_used(&self) {
        let (used, noted) = (self.shared.quota.used(), &self.settings.noted);
        if used.abs_diff(noted.load(Ordering::Relaxed)) <= self.settings.high_mark / USED_STEPS {
            return;
        }
        match self.shared.directory.write_control("used", used.to_string().as_bytes()) {
            Ok(()) => noted.store(used, Ordering::Relaxed),
            Err(error) => drop(self.shared.control_error("used", &error)),
        }
    }

    /// Records again what of a shard is wanted for longer than its record says, if that is worth it.
    fn record_wishes(&self, part: usize, is_worth: impl Fn(u32, u32) -> bool) {
        let mut from = Some(0);
        while let Some(at) = from {
            let deadline = |entry: &Arc<Entry<C>>| C::deadline(&entry.head);
            let (longer, next) = self.index.outgrown(part, at, deadline, &is_worth);
            from = next;
            longer.iter().for_each(|entry| self.rerecord(entry));
        }
    }

    /// What a clean stop would write besides records, a shard at a time: a crash costs little of it.
    pub(crate) fn write_ahead(&self) {
        let part = self.settings.next_part.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let now = second();
        // Who is asked for all the time is wanted longer all the time: once for every eighth of the time that is left.
        self.record_wishes(part, |noted, wanted| {
            wanted > noted && wanted - noted > noted.saturating_sub(now) / 8
        });
        self.write_heat(part);
    }

    /// The end: the threads stop, everything that can be is written out, and that is noted as clean. Waits for the disk.
    pub(crate) fn close(&self) -> Result<(), Failure> {
        if !self.shared.close() {
            return Ok(());
        }
        self.shared.room.alarm.ring();
        self.shared.upkeep.ring();
        self.shared.ended.ring();
        self.shared.later.stop();
        let threads = std::mem::take(&mut *self.threads.lock());
        let ours = thread::current().id();
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != ours) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store has panicked");
            }
        }
        self.shared.wait_settled();
        (0..SHARDS).for_each(|part| self.record_wishes(part, |noted, wanted| wanted > noted));
        let is_written = self.commit();
        self.note_used();
        (0..SHARDS).for_each(|part| self.write_heat(part));
        // What the records name must be on the disk before the end is called clean.
        if let Err(error) = self.shared.disk().sync_all(self.shared.directory.root()) {
            return Err(reasons::unclean_end(&error.to_string()));
        }
        if !is_written {
            return Err(reasons::unclean_end("records could not be written"));
        }
        let stopped = self.shared.epochs.lock().stop(self.shared.disk());
        stopped.map_err(|error| reasons::unclean_end(&error.to_string()))
    }
}
