//! [`Shared`]: what all bodies of a store have in common, and the disk's part in their life.
//!
//! Owns the directory, the disk threads, the quota, the table of open files, the table of complete bodies and the store's
//! health. Bodies, claims and fills use it; the index does not belong to it. Methods that wait for the disk say so.
//!
//! Deliberately not here: entries and their records.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Bytes, BytesMut};
use hashbrown::HashSet;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;

use crate::bodies::{Bodies, BodyId, Facts, Named};
use crate::files::directory::{Directory, Place};
use crate::files::disk::{Disk, read_full_at, write_all_at};
use crate::files::open::{FileTable, OpenFile};
use crate::files::pool::Pool;
use crate::files::wake::Alarm;
use crate::fill::SMALL;
use crate::health::Health;
use crate::journal::Epochs;
use crate::labels;
use crate::later::Later;
use crate::metrics::{Level, Metrics};
use crate::quota::{Quota, Reservation};
use crate::room::Room;
use crate::waiters::WaitList;
use crate::{Body, Config, Digest, Failure, OpenError, reasons, start};

/// Bytes that small bodies on their way to disk may take beyond the memory budget.
const ON_THE_WAY: u64 = 64 << 20;
/// Bytes read at once to verify a body.
const VERIFY_STEP: usize = 256 << 10;
/// Between two looks at what must still happen, at the end.
const SETTLE_POLL: Duration = Duration::from_millis(1);

/// What all bodies of a store have in common.
pub(crate) struct Shared {
    pub(crate) directory: Arc<Directory>,
    pub(crate) pool: Pool,
    pub(crate) quota: Quota,
    pub(crate) metrics: Metrics,
    memory_limit: u64,
    pub(crate) label_secret: [u8; 32],
    files: FileTable,
    pub(crate) bodies: Bodies,
    pub(crate) epochs: Mutex<Epochs>,
    epoch: u32,
    pub(crate) health: Health,
    /// Bodies whose files are not what was stored.
    pub(crate) lost: Mutex<HashSet<Digest>>,
    /// Somebody has deleted the records: they are written anew.
    pub(crate) index_is_lost: AtomicBool,
    pub(crate) room: Room,
    /// Rung when the store ends: for those who wait for nothing else.
    pub(crate) ended: Alarm,
    /// Wakes the upkeep.
    pub(crate) upkeep: Alarm,
    graves: Arc<Backlog>,
    pub(crate) later: Later,
    next_id: AtomicU64,
    start: Instant,
    /// When that was, in seconds since 1970.
    started: u32,
    backlog: Arc<Backlog>,
    closed: AtomicBool,
}

/// A body's end: its digest, and how it found its place on disk.
pub(crate) struct Completed {
    pub(crate) digest: Digest,
    pub(crate) named: Result<Named, Failure>,
}

impl Shared {
    /// Locks the directory and starts the disk threads.
    pub(crate) fn open(config: &Config, registry: &mut Registry) -> Result<Arc<Self>, OpenError> {
        let directory = Directory::open(&config.directory, config.disk.clone())?;
        start::check(&directory)?;
        let label_secret = labels::secret(&directory);
        let (epochs, warning) = Epochs::start(&*config.disk, &directory.index())
            .map_err(|fault| OpenError { detail: fault.to_string() })?;
        if let Some(warning) = warning {
            tracing::warn!("{warning}");
        }
        if let Some(notice) = epochs.notice() {
            tracing::warn!("{notice}");
        }
        let metrics = Metrics::new(registry);
        metrics.quota.add(config.quota);
        metrics.max_entries.set(config.max_entries);
        let pool = Pool::start(config.disk_threads, config.disk_queue, metrics.queue.clone())
            .map_err(|error| OpenError { detail: format!("cannot start the disk threads: {error}") })?;
        Ok(Arc::new(Self {
            directory,
            pool,
            quota: Quota::new(metrics.used.clone(), config.quota),
            memory_limit: config.memory,
            label_secret,
            files: FileTable::new(config.open_files, metrics.open_files.clone()),
            bodies: Bodies::new(),
            epoch: epochs.current(),
            epochs: Mutex::new(epochs),
            health: Health::new(metrics.degraded.clone()),
            lost: Mutex::default(),
            index_is_lost: AtomicBool::new(false),
            room: Room::default(),
            ended: Alarm::default(),
            upkeep: Alarm::default(),
            graves: Arc::default(),
            later: Later::default(),
            next_id: AtomicU64::new(1),
            start: Instant::now(),
            started: crate::recording::second(),
            backlog: Arc::default(),
            closed: AtomicBool::new(false),
            metrics,
        }))
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &**self.directory.disk()
    }

    /// The number of this run.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether bodies that were completed in this epoch are known to be whole.
    pub(crate) fn is_trusted(&self, epoch: u32) -> bool {
        !self.epochs.lock().is_unclean(epoch)
    }

    /// Whether a complete body may be given to readers without a further look at its bytes. Waits for the disk.
    pub(crate) fn is_usable(&self, facts: &Facts) -> bool {
        self.is_trusted(facts.epoch) && self.is_in_place(facts)
    }

    /// Whether the file of a complete body is there, as long as it should be. Waits for the disk.
    pub(crate) fn is_in_place(&self, facts: &Facts) -> bool {
        let length = self.disk().length(&self.directory.path(Place::Named(facts.digest)));
        length.is_ok_and(|length| length == facts.length)
    }

    pub(crate) fn memory_limit(&self) -> u64 {
        self.memory_limit
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether a small body may grow in memory. Only a disk that refuses or lags behind uses up what they may take
    /// beyond the budget; then bodies grow in files, as long ones do.
    pub(crate) fn has_memory(&self) -> bool {
        self.metrics.memory.get() <= self.memory_limit.saturating_add(ON_THE_WAY)
    }

    /// Seconds since the store was opened, from 1 on.
    pub(crate) fn second(&self) -> u32 {
        self.start.elapsed().as_secs() as u32 + 1
    }

    /// Seconds since 1970 as of a clock that nobody sets: what uses are noted with.
    pub(crate) fn use_second(&self) -> u32 {
        self.started.saturating_add(self.second())
    }

    /// From now on the files of bodies that are dropped stay: it is the store that goes, not its bodies. `false` when that
    /// has been so before.
    pub(crate) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::Relaxed)
    }

    /// Waits, on this thread, until everything that must still happen on disk has happened.
    pub(crate) fn wait_settled(&self) {
        while self.backlog.open.load(Ordering::Acquire) > 0 {
            self.later.work_off();
            self.ended.sleep(SETTLE_POLL);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Something that [`settled`](Self::settled) waits for, until it is dropped.
    pub(crate) fn settling(&self) -> Settling {
        self.metrics.uncommitted.inc();
        self.backlog.open.fetch_add(1, Ordering::Relaxed);
        Settling(self.backlog.clone(), Some(self.metrics.uncommitted.clone()))
    }

    /// A body on its way out, until it is dropped.
    pub(crate) fn burying(&self) -> Settling {
        self.graves.open.fetch_add(1, Ordering::Relaxed);
        Settling(self.graves.clone(), None)
    }

    /// Whether bodies are on their way out, and with them bytes.
    pub(crate) fn is_burying(&self) -> bool {
        self.graves.open.load(Ordering::Acquire) > 0
    }

    /// Waits until everything that must still happen on disk has happened.
    pub(crate) async fn settled(&self) {
        let idle = || {
            self.later.hurry();
            (self.backlog.open.load(Ordering::Acquire) == 0).then_some(())
        };
        self.backlog.waiters.until(idle).await;
    }

    /// Creates the file of a growing body. Waits for the disk.
    pub(crate) fn create(&self, body: &Body) -> Result<Arc<OpenFile>, Failure> {
        let to = Place::Fill(body.id);
        let mut place = body.place.lock();
        let file = self.directory.create(body.id).map_err(|error| self.disk_error("create", to, &error))?;
        *place = to;
        let open = OpenFile::new(body.id, body.declared, file);
        *body.open.lock() = Arc::downgrade(&open);
        Ok(open)
    }

    /// Opens the file of a body for reading, or finds it open. A body whose file is not what was stored is lost: the
    /// upkeep takes its entries out. Waits for the disk.
    pub(crate) fn open_body(&self, body: &Body) -> Result<Arc<OpenFile>, Failure> {
        let place = body.place.lock();
        if let Some(open) = body.open_file() {
            return Ok(open);
        }
        let opened = self.open_checked(*place, body.growth.length()).and_then(|file| body.checked(file));
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                let at = *place;
                drop(place);
                return Err(self.not_opened(body, at, &error));
            }
        };
        let open = OpenFile::new(body.id, body.length(), file);
        *body.open.lock() = Arc::downgrade(&open);
        drop(place);
        self.files.insert(open.clone());
        Ok(open)
    }

    fn not_opened(&self, body: &Body, at: Place, error: &io::Error) -> Failure {
        if let Place::Part(_) = at {
            return body.lose_with(error, at);
        }
        if let Place::Named(digest) = at {
            self.lost.lock().insert(digest);
            self.upkeep.ring();
        }
        self.disk_error("open", at, error)
    }

    /// Keeps a body's file open for its readers. Waits for the disk.
    pub(crate) fn keep_open(&self, file: Arc<OpenFile>) {
        self.files.insert(file);
    }

    fn open_checked(&self, place: Place, length: Option<u64>) -> io::Result<File> {
        let file = self.directory.open_file(place)?;
        let found = file.metadata()?.len();
        match length.filter(|length| *length != found) {
            None => Ok(file),
            Some(length) => {
                let what = format!("the file has {found} bytes instead of {length}");
                Err(io::Error::new(io::ErrorKind::InvalidData, what))
            }
        }
    }

    /// Completes a body whose bytes are all in its file: it gets its final name, unless an equal one has it. Waits for
    /// the disk.
    pub(crate) fn complete_file(
        &self,
        body: &Arc<Body>,
        length: u64,
        digest: Digest,
        file: Arc<OpenFile>,
    ) -> Result<Completed, Failure> {
        if !body.growth.complete(length, digest) {
            return Err(reasons::fill_abandoned());
        }
        self.files.insert(file);
        let named = self.name(body, length, digest);
        Ok(Completed { digest, named })
    }

    /// Completes a body whose bytes are all in memory. Hashes.
    pub(crate) fn complete_memory(
        &self,
        body: &Arc<Body>,
        promised: Option<Digest>,
    ) -> Result<Digest, Failure> {
        let bytes = body.join_memory();
        let digest = Digest::of(&bytes);
        if let Some(promised) = promised
            && promised != digest
        {
            return Err(reasons::digest_mismatch(&promised, &digest));
        }
        let length = bytes.len() as u64;
        body.growth.commit(0..length);
        if !body.growth.complete(length, digest) {
            return Err(reasons::fill_abandoned());
        }
        Ok(digest)
    }

    /// Gives a complete body in memory its place on the disk, unless the same bytes are there already. A disk that refuses
    /// leaves the body in memory only. Waits for the disk.
    pub(crate) fn place(&self, body: &Arc<Body>, digest: Digest) -> Result<Named, Failure> {
        if let Some(twin) = self.bodies.twin(&body.shared, &digest, |facts| self.is_usable(facts)) {
            return Ok(Named::Twin(twin));
        }
        let bytes = body.memory(0, u64::MAX).unwrap_or_default();
        let open = self.create(body)?;
        let written = write_all_at(self.disk(), open.file(), &bytes, 0);
        written.map_err(|error| self.disk_error("write", Place::Fill(body.id), &error))?;
        // From here the file is opened anew by the first reader that needs it: most bodies stay in memory.
        drop(open);
        self.name(body, bytes.len() as u64, digest)
    }

    fn name(&self, body: &Arc<Body>, length: u64, digest: Digest) -> Result<Named, Failure> {
        self.bodies.name(body, length, digest, |facts| self.is_usable(facts))
    }

    /// Makes the bytes of the body's file durable. Waits for the disk.
    pub(crate) fn sync(&self, body: &Body) -> Result<(), Failure> {
        let place = *body.place.lock();
        let synced = self.directory.open_file(place).and_then(|file| self.disk().sync(&file));
        synced.map_err(|error| self.disk_error("sync", place, &error))
    }

    /// Moves the body's file. Waits for the disk.
    pub(crate) fn rename(&self, body: &Body, to: Place) -> Result<(), Failure> {
        let mut place = body.place.lock();
        self.directory.rename(*place, to).map_err(|error| self.disk_error("rename to", to, &error))?;
        *place = to;
        Ok(())
    }

    /// Makes the file of a part the file of a growing body, which has its first `received` bytes. Waits for the disk.
    pub(crate) fn reopen(&self, body: &Body, received: u64) -> Result<Arc<OpenFile>, Failure> {
        let to = Place::Fill(body.id);
        self.rename(body, to)?;
        let open = || {
            let file = self.disk().open_write(&self.directory.path(to))?;
            let found = file.metadata()?.len();
            if found < received {
                let what = format!("the part has {found} bytes instead of {received}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            Ok(file)
        };
        let file = open().map_err(|error| self.disk_error("open", to, &error))?;
        let open = OpenFile::new(body.id, body.declared, file);
        *body.open.lock() = Arc::downgrade(&open);
        Ok(open)
    }

    /// Sees to what is left of a body that nobody holds. Waits for the disk.
    pub(crate) fn part_with(&self, id: u64, place: Place, reservation: Option<Reservation>) {
        self.files.remove(id);
        match place {
            Place::Named(digest) => self.bodies.died(self, &digest, id),
            Place::Part(part) => return self.bodies.part_died(self, part, id, reservation),
            Place::Nowhere => {}
            Place::Fill(_) => self.delete(place),
        }
        drop(reservation);
    }

    /// Deletes a file. Waits for the disk.
    pub(crate) fn delete(&self, place: Place) {
        if let Err(error) = self.directory.remove(place)
            && error.kind() != io::ErrorKind::NotFound
        {
            self.disk_error("delete", place, &error);
        }
    }

    /// The bytes of a small body, from its file. Waits for the disk.
    pub(crate) fn read_small(&self, body: &Body) -> Option<Bytes> {
        let length = body.growth.length().filter(|length| *length <= SMALL)?;
        let open = self.open_body(body).ok()?;
        let mut bytes = BytesMut::zeroed(length as usize);
        let read = read_full_at(self.disk(), open.file(), &mut bytes, 0).ok()?;
        (read as u64 == length).then(|| bytes.freeze())
    }

    /// Reads a body's file and compares it with its name. Waits for the disk; calls `pace` with the bytes of each step, and
    /// ends with its error.
    pub(crate) fn verify(
        &self,
        facts: &Facts,
        mut pace: impl FnMut(u64) -> io::Result<()>,
    ) -> io::Result<Verdict> {
        let file = self.directory.open_file(Place::Named(facts.digest))?;
        if file.metadata()?.len() != facts.length {
            return Ok(Verdict::Damaged);
        }
        let mut hasher = Context::new(&SHA256);
        let mut buffer = vec![0; VERIFY_STEP];
        let mut at = 0;
        loop {
            let read = read_full_at(self.disk(), &file, &mut buffer, at)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            at += read as u64;
            pace(read as u64)?;
        }
        let is_whole = at == facts.length && hasher.finish().as_ref() == facts.digest.as_bytes();
        Ok(if is_whole { Verdict::Whole } else { Verdict::Damaged })
    }

    /// Verifies a body that an unclean epoch has left, unless that has been done. Waits for the disk; `pace` as in
    /// [`verify`](Self::verify).
    pub(crate) fn verify_once(
        &self,
        id: BodyId,
        pace: impl FnMut(u64) -> io::Result<()>,
    ) -> io::Result<Verdict> {
        let facts = self.bodies.facts(id);
        if self.is_trusted(facts.epoch) {
            return Ok(Verdict::Whole);
        }
        let verdict = self.verify(&facts, pace)?;
        if verdict == Verdict::Whole {
            self.bodies.verified(id, self.epoch);
            self.metrics.verified.inc();
        }
        Ok(verdict)
    }

    /// Counts and reports an error with small state.
    pub(crate) fn control_error(&self, name: &str, error: &io::Error) -> Failure {
        self.metrics.disk_errors.inc();
        self.health.note(error);
        let failure = reasons::disk_error("keep", &self.directory.root().join("control").join(name), error);
        tracing::warn!(reason = failure.reason, "{}", failure.detail);
        failure
    }

    /// Counts and reports a disk error.
    pub(crate) fn disk_error(&self, action: &str, place: Place, error: &io::Error) -> Failure {
        self.metrics.disk_errors.inc();
        self.health.note(error);
        let failure = match place {
            Place::Nowhere => reasons::disk_error(action, "a body in memory".as_ref(), error),
            place => reasons::disk_error(action, &self.directory.path(place), error),
        };
        tracing::warn!(reason = failure.reason, "{}", failure.detail);
        failure
    }
}

/// What reading a body has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Whole,
    Damaged,
}

/// What must still happen on disk.
#[derive(Default)]
struct Backlog {
    open: AtomicU64,
    waiters: WaitList,
}

/// One thing that must still happen on disk.
pub(crate) struct Settling(Arc<Backlog>, Option<Level>);

impl Drop for Settling {
    fn drop(&mut self) {
        if let Some(uncommitted) = &self.1 {
            uncommitted.dec();
        }
        if self.0.open.fetch_sub(1, Ordering::Release) == 1 {
            self.0.waiters.wake_all();
        }
    }
}
