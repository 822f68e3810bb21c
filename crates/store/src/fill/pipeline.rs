//! [`Pipeline`]: two lanes of a growing file, one that writes and one that hashes.
//!
//! The fill pushes batches; a disk job writes them in order, commits and wakes followers, and hands each batch to the
//! hashing lane, which another disk job works off. Bytes are never copied or hashed on the fill's thread. Each lane has
//! at most one job, which makes way for others after a few batches; the lanes end when they are empty.
//!
//! Invariants: batches are written and hashed in the order of pushing; bytes are committed after they are written; the
//! fill waits while more than one batch waits for the disk or more than a few for hashing, so memory is bounded.
//!
//! Deliberately not here: what the digest is compared with, and the body's end unless the disk fails.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use parking_lot::Mutex;

use super::{Batch, STEP, releasable};
use crate::files::disk::Disk;
use crate::files::open::OpenFile;
use crate::waiters::WaitList;
use crate::{Body, Digest, Failure, reasons};

/// Most batches that wait for hashing before the fill has to wait.
const HASH_LAG: usize = 4 * STEP;
/// Batches that a job works off before it makes way.
const TURN: usize = 4;

/// How a pipeline begins.
#[derive(Clone, Copy)]
pub(super) struct Start {
    /// Bytes that are in the file already.
    pub(super) received: u64,
    /// Whether the body's digest is known beforehand.
    pub(super) promised: bool,
}

/// Two lanes of a growing file.
pub(super) struct Pipeline {
    body: Arc<Body>,
    file: Arc<OpenFile>,
    promised: bool,
    on_failure: Box<dyn Fn() + Send + Sync>,
    lanes: Mutex<Lanes>,
    /// The fill waits here for room, for the last write or for the digest.
    changed: WaitList,
}

struct Lanes {
    writing: Lane,
    hashing: Lane,
    written: u64,
    failure: Option<Failure>,
    hasher: Option<Context>,
}

#[derive(Default)]
struct Lane {
    queue: VecDeque<Batch>,
    /// Bytes in `queue`.
    waiting: usize,
    /// Whether a job works the queue off.
    busy: bool,
}

impl Pipeline {
    pub(super) fn new(
        body: Arc<Body>,
        file: Arc<OpenFile>,
        start: Start,
        on_failure: Box<dyn Fn() + Send + Sync>,
    ) -> Arc<Self> {
        let Start { received, promised } = start;
        let lanes = Lanes {
            writing: Lane::default(),
            hashing: Lane::default(),
            written: received,
            failure: None,
            hasher: Some(Context::new(&SHA256)),
        };
        let pipeline = Arc::new(Self {
            body,
            file,
            promised,
            on_failure,
            lanes: Mutex::new(lanes),
            changed: WaitList::default(),
        });
        if received > 0 {
            // Until the first bytes are hashed, the lane is busy.
            pipeline.lanes.lock().hashing.busy = true;
            pipeline.start(move |pipeline| pipeline.hash_first(received));
        }
        pipeline
    }

    pub(super) fn file(&self) -> &Arc<OpenFile> {
        &self.file
    }

    /// Puts a batch in the queue for writing.
    pub(super) fn push(self: &Arc<Self>, batch: Batch) -> Result<(), Failure> {
        let mut lanes = self.lanes.lock();
        lanes.failure.clone().map_or(Ok(()), Err)?;
        if lanes.writing.push(batch) {
            self.start(Self::write_turn);
        }
        Ok(())
    }

    /// Waits until the fill may go on.
    pub(super) async fn room(&self) -> Result<(), Failure> {
        self.wait(|lanes| lanes.writing.waiting <= STEP && lanes.hashing.waiting <= HASH_LAG).await
    }

    /// Waits until all is written.
    pub(super) async fn written(&self) -> Result<(), Failure> {
        self.wait(|lanes| lanes.writing.is_idle()).await
    }

    /// Waits until all is written and hashed.
    pub(super) async fn digest(&self) -> Result<Digest, Failure> {
        self.wait(|lanes| lanes.writing.is_idle() && lanes.hashing.is_idle()).await?;
        let hasher = self.lanes.lock().hasher.take().expect("an idle lane leaves its hasher");
        let digest = hasher.finish();
        Ok(Digest::new(digest.as_ref().try_into().expect("SHA-256 has 32 bytes")))
    }

    /// Drops what is queued: the fill has ended.
    pub(super) fn stop(&self, failure: Failure) {
        let mut lanes = self.lanes.lock();
        lanes.failure.get_or_insert(failure);
        let dropped = (lanes.writing.clear(), lanes.hashing.clear());
        drop(lanes);
        drop(dropped);
        self.changed.wake_all();
    }

    async fn wait(&self, done: impl Fn(&Lanes) -> bool) -> Result<(), Failure> {
        let check = || {
            let lanes = self.lanes.lock();
            match &lanes.failure {
                Some(failure) => Some(Err(failure.clone())),
                None => done(&lanes).then_some(Ok(())),
            }
        };
        self.changed.until(check).await
    }

    fn start(self: &Arc<Self>, turn: impl FnOnce(&Arc<Self>) + Send + 'static) {
        let (job, settling) = (Job(self.clone()), self.body.shared.settling());
        self.body.shared.pool.push(move || {
            turn(&job.0);
            // The pipeline first: it may be the body's end.
            drop(job);
            drop(settling);
        });
    }

    fn write_turn(self: &Arc<Self>) {
        for _ in 0..TURN {
            let (batch, offset) = {
                let mut lanes = self.lanes.lock();
                let Some(batch) = lanes.writing.pop() else { break };
                (batch, lanes.written)
            };
            match write_all(self.body.shared.disk(), self.file.file(), &batch.pieces, offset) {
                Ok(()) => self.commit(batch),
                Err(error) => self.write_failed(&error),
            }
            self.changed.wake_all();
        }
        if self.lanes.lock().writing.must_go_on() {
            self.start(Self::write_turn);
        }
        self.changed.wake_all();
    }

    /// Publishes what has been written and hands it on to be hashed.
    fn commit(self: &Arc<Self>, batch: Batch) {
        let mut lanes = self.lanes.lock();
        let before = lanes.written;
        lanes.written += batch.length as u64;
        let written = lanes.written;
        if lanes.failure.is_none() && lanes.hashing.push(batch) {
            self.start(Self::hash_turn);
        }
        drop(lanes);

        let (growth, declared) = (&self.body.growth, self.body.declared);
        let released = |written| releasable(written, declared, self.promised);
        growth.commit(released(before)..released(written));
        if declared == Some(written) && !self.promised {
            growth.whole(written);
        } else {
            growth.wake();
        }
    }

    fn write_failed(&self, error: &io::Error) {
        self.fail(self.body.shared.disk_error("write", *self.body.place.lock(), error));
    }

    fn fail(&self, failure: Failure) {
        (self.on_failure)();
        self.body.growth.fail(failure.clone());
        self.stop(failure);
    }

    /// Hashes what was in the file before this fill.
    fn hash_first(self: &Arc<Self>, end: u64) {
        let mut hasher = self.lanes.lock().hasher.take().expect("one job hashes at a time");
        let mut buffer = vec![0; STEP];
        let mut at = 0;
        while at < end {
            let wanted = (end - at).min(buffer.len() as u64) as usize;
            match self.file.file().read_exact_at(&mut buffer[..wanted], at) {
                Ok(()) => hasher.update(&buffer[..wanted]),
                Err(error) => {
                    return self.fail(self.body.shared.disk_error("read", *self.body.place.lock(), &error));
                }
            }
            at += wanted as u64;
        }
        self.lanes.lock().hasher = Some(hasher);
        self.hash_turn();
    }

    fn hash_turn(self: &Arc<Self>) {
        for _ in 0..TURN {
            let mut lanes = self.lanes.lock();
            let Some(batch) = lanes.hashing.pop() else { break };
            let mut hasher = lanes.hasher.take().expect("one job hashes at a time");
            drop(lanes);
            batch.pieces.iter().for_each(|piece| hasher.update(piece));
            self.lanes.lock().hasher = Some(hasher);
            self.changed.wake_all();
        }
        if self.lanes.lock().hashing.must_go_on() {
            self.start(Self::hash_turn);
        }
        self.changed.wake_all();
    }
}

/// A turn of a lane. Were it to panic, the lane would stay busy and everybody would wait for ever: it fails the body.
struct Job(Arc<Pipeline>);

impl Drop for Job {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(reasons::disk_job_lost());
        }
    }
}

impl Lane {
    /// Queues a batch; `true` when a job has to be started.
    fn push(&mut self, batch: Batch) -> bool {
        self.waiting += batch.length;
        self.queue.push_back(batch);
        !std::mem::replace(&mut self.busy, true)
    }

    fn pop(&mut self) -> Option<Batch> {
        let batch = self.queue.pop_front()?;
        self.waiting -= batch.length;
        Some(batch)
    }

    /// At the end of a job's turn: whether another turn is needed; else the lane is idle.
    fn must_go_on(&mut self) -> bool {
        self.busy = !self.queue.is_empty();
        self.busy
    }

    fn is_idle(&self) -> bool {
        !self.busy
    }

    fn clear(&mut self) -> VecDeque<Batch> {
        self.waiting = 0;
        std::mem::take(&mut self.queue)
    }
}

/// Writes all pieces at `offset`, without copying them together.
pub(crate) fn write_all(disk: &dyn Disk, file: &File, pieces: &[Bytes], mut offset: u64) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        match disk.write_at(file, rest, offset)? {
            0 => return Err(ErrorKind::WriteZero.into()),
            written => {
                offset += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::fs::File;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{Batch, Pipeline, Start};
    use crate::files::open::OpenFile;
    use crate::tests::support::House;
    use crate::{BodyState, Failure};

    const START: Start = Start { received: 0, promised: false };

    fn batch() -> Batch {
        let mut batch = Batch::default();
        batch.push("bytes".into());
        batch.take()
    }

    /// user-demand 4c: 52.
    #[tokio::test]
    async fn a_write_that_the_disk_refuses_fails_the_body_at_once() {
        let house = House::new(1 << 20);
        let (entry, _fill) = house.publish(1, None, None).await;
        let unwritable = OpenFile::new(entry.body.id, None, File::open("/dev/null").unwrap());
        let told = Arc::new(AtomicUsize::new(0));
        let on_failure = {
            let told = told.clone();
            move || {
                told.fetch_add(1, Ordering::Relaxed);
            }
        };
        let pipeline = Pipeline::new(entry.body.clone(), unwritable, START, Box::new(on_failure));
        pipeline.push(batch()).unwrap();
        let reason = |end: Result<_, Failure>| end.unwrap_err().reason;
        assert_eq!(reason(pipeline.written().await), "disk_error");
        assert_eq!(reason(pipeline.push(batch())), "disk_error");
        assert_eq!(reason(pipeline.digest().await.map(drop)), "disk_error");
        assert!(matches!(entry.body.state(), BodyState::Failed(_)));
        assert_eq!((told.load(Ordering::Relaxed), house.metric("disk_errors_total")), (1, 1));
    }

    #[tokio::test]
    async fn a_turn_that_panics_fails_the_body() {
        let house = House::new(1 << 20);
        let (entry, _fill) = house.publish(1, None, None).await;
        let file = entry.body.open_file().unwrap();
        let pipeline = Pipeline::new(entry.body.clone(), file, START, Box::new(|| {}));
        pipeline.start(|_| panic!("expected by the test"));
        assert_eq!(pipeline.wait(|_| false).await.unwrap_err().reason, "disk_error");
        assert!(matches!(entry.body.state(), BodyState::Failed(_)));
    }
}
