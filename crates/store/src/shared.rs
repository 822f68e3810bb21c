//! [`Shared`]: what all bodies of a store have in common, and the disk's part in their life.
//!
//! Owns the directory, the disk threads, the quota, the table of open files and the names of complete bodies. Bodies,
//! claims and fills use it; the index does not belong to it. Methods that wait for the disk say so.
//!
//! Invariants: a name in `bodies/` belongs to one living body, and equal bodies get one name; a body's quota is given
//! back after its file is gone. Lock order: names, then a body's place; both are taken on disk threads only.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use hashbrown::HashMap;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;

use crate::files::directory::{Directory, Place};
use crate::files::open::{FileTable, OpenFile};
use crate::files::pool::Pool;
use crate::metrics::Metrics;
use crate::quota::{Quota, Reservation};
use crate::waiters::WaitList;
use crate::{Body, Config, Digest, Failure, OpenError, reasons};

/// Bytes that small bodies on their way to disk may take beyond the memory budget.
const ON_THE_WAY: u64 = 64 << 20;

/// What all bodies of a store have in common.
pub(crate) struct Shared {
    pub(crate) directory: Arc<Directory>,
    pub(crate) pool: Pool,
    pub(crate) quota: Quota,
    pub(crate) metrics: Metrics,
    memory_limit: u64,
    files: FileTable,
    names: Mutex<HashMap<Digest, Owner>>,
    next_id: AtomicU64,
    start: Instant,
    backlog: Arc<Backlog>,
    closed: AtomicBool,
}

/// Whose file a name in `bodies/` is.
struct Owner {
    id: u64,
    body: Weak<Body>,
}

/// A body's end: its digest, and the body with the same bytes that was there before, if there is one.
pub(crate) struct Completed {
    pub(crate) digest: Digest,
    pub(crate) twin: Option<Arc<Body>>,
}

impl Shared {
    /// Locks and empties the directory and starts the disk threads.
    pub(crate) fn open(config: &Config, registry: &mut Registry) -> Result<Arc<Self>, OpenError> {
        let directory = Directory::open(&config.directory)?;
        let metrics = Metrics::new(registry);
        metrics.quota.add(config.quota);
        let pool = Pool::start(config.disk_threads, config.disk_queue, metrics.queue.clone())
            .map_err(|error| OpenError { detail: format!("cannot start the disk threads: {error}") })?;
        Ok(Arc::new(Self {
            directory,
            pool,
            quota: Quota::new(metrics.used.clone(), config.quota),
            memory_limit: config.memory,
            files: FileTable::new(config.open_files, metrics.open_files.clone()),
            names: Mutex::default(),
            next_id: AtomicU64::new(1),
            start: Instant::now(),
            backlog: Arc::default(),
            closed: AtomicBool::new(false),
            metrics,
        }))
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

    /// From now on the files of bodies that are dropped stay: it is the store that goes, not its bodies.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Something that [`settled`](Self::settled) waits for, until it is dropped.
    pub(crate) fn settling(&self) -> Settling {
        self.backlog.open.fetch_add(1, Ordering::Relaxed);
        Settling(self.backlog.clone())
    }

    /// Waits until everything that must still happen on disk has happened.
    pub(crate) async fn settled(&self) {
        let idle = || (self.backlog.open.load(Ordering::Acquire) == 0).then_some(());
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

    /// Opens the file of a body for reading, or finds it open. Waits for the disk.
    pub(crate) fn open_body(&self, body: &Body) -> Result<Arc<OpenFile>, Failure> {
        let place = body.place.lock();
        if let Some(open) = body.open_file() {
            return Ok(open);
        }
        let file = File::open(self.directory.path(*place))
            .map_err(|error| self.disk_error("open", *place, &error))?;
        let open = OpenFile::new(body.id, body.length(), file);
        *body.open.lock() = Arc::downgrade(&open);
        drop(place);
        self.files.insert(open.clone());
        Ok(open)
    }

    /// Completes a body whose bytes are all in its file: it gets its final name, unless an equal one has it. A disk
    /// that refuses the name costs only the deduplication. Waits for the disk.
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
        let mut names = self.names.lock();
        let twin = twin(&names, &digest);
        if twin.is_none() {
            // A file of that name belongs to a body that nobody holds any more: it is replaced.
            if self.name(body, digest).is_ok() {
                names.insert(digest, Owner { id: body.id, body: Arc::downgrade(body) });
            }
        }
        Ok(Completed { digest, twin })
    }

    /// Completes a body whose bytes are all in memory. Hashes.
    pub(crate) fn complete_memory(
        &self,
        body: &Arc<Body>,
        promised: Option<Digest>,
    ) -> Result<Completed, Failure> {
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
        let mut names = self.names.lock();
        let twin = twin(&names, &digest);
        if twin.is_none() {
            names.insert(digest, Owner { id: body.id, body: Arc::downgrade(body) });
        }
        Ok(Completed { digest, twin })
    }

    /// Writes a complete body from memory to its final name; then the memory is given up if it is over the budget.
    /// A disk that refuses leaves the body in memory. Waits for the disk.
    pub(crate) fn persist(&self, body: &Arc<Body>, digest: Digest) {
        if self.write_out(body, digest).is_err() {
            self.names.lock().remove(&digest);
            return;
        }
        if self.metrics.memory.get() > self.memory_limit {
            body.drop_memory();
        }
    }

    /// Deletes what is left of a body that nobody holds. Waits for the disk.
    pub(crate) fn bury(&self, id: u64, mut place: Place, reservation: Option<Reservation>) {
        self.files.remove(id);
        if let Place::Named(digest) = place {
            let mut names = self.names.lock();
            if names.get(&digest).is_none_or(|owner| owner.id != id) {
                // An equal body has taken the name, and with it replaced the file.
                return;
            }
            names.remove(&digest);
            // Deleting a long file takes long; moving it away under the lock is enough to free the name.
            match self.directory.rename(place, Place::Fill(id)) {
                Ok(()) => place = Place::Fill(id),
                Err(error) => drop(self.disk_error("rename", place, &error)),
            }
        }
        if let Err(error) = std::fs::remove_file(self.directory.path(place)) {
            self.disk_error("delete", place, &error);
        }
        drop(reservation);
    }

    /// Counts and reports a disk error.
    pub(crate) fn disk_error(&self, action: &str, place: Place, error: &io::Error) -> Failure {
        self.metrics.disk_errors.inc();
        let failure = match place {
            Place::Nowhere => reasons::disk_error(action, "a body in memory".as_ref(), error),
            place => reasons::disk_error(action, &self.directory.path(place), error),
        };
        tracing::warn!(reason = failure.reason, "{}", failure.detail);
        failure
    }

    fn write_out(&self, body: &Body, digest: Digest) -> Result<(), Failure> {
        let open = self.create(body)?;
        let written = open.file().write_all_at(&body.memory(0, u64::MAX).unwrap_or_default(), 0);
        written.map_err(|error| self.disk_error("write", Place::Fill(body.id), &error))?;
        // From here the file is opened anew by the first reader that needs it: most bodies stay in memory.
        drop(open);
        let _names = self.names.lock();
        self.name(body, digest)
    }

    /// Moves the body's file to its final name.
    fn name(&self, body: &Body, digest: Digest) -> Result<(), Failure> {
        let mut place = body.place.lock();
        let to = Place::Named(digest);
        self.directory.rename(*place, to).map_err(|error| self.disk_error("rename to", to, &error))?;
        *place = to;
        Ok(())
    }
}

fn twin(names: &HashMap<Digest, Owner>, digest: &Digest) -> Option<Arc<Body>> {
    names.get(digest)?.body.upgrade()
}

/// What must still happen on disk.
#[derive(Default)]
struct Backlog {
    open: AtomicU64,
    waiters: WaitList,
}

/// One thing that must still happen on disk.
pub(crate) struct Settling(Arc<Backlog>);

impl Drop for Settling {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::Release) == 1 {
            self.0.waiters.wake_all();
        }
    }
}
