//! [`PieceClaim`], [`PieceFill`]: bodies with holes are filled by several at once, each for one extent.
//!
//! | a piece | bytes in the quota | from | to |
//! |---|---|---|---|
//! | missing | none | | claimed, by [`Writer::claim_pieces`] |
//! | claimed | none | missing | filling, by [`PieceClaim::begin`]; missing, when that fails or it is dropped |
//! | filling | all of it | claimed | committed, step by step; the rest missing again, when the fill is dropped or fails |
//! | committed | what is written | filling | – |
//!
//! | a body with holes | goes to | when |
//! |---|---|---|
//! | empty, not recorded | partial | its first bytes are recorded, at most one commit interval after they came |
//! | partial, warm | partial, cold | nobody reads or fills it and memory is short; a restart |
//! | partial, cold | partial, warm | it is asked for |
//! | partial, cold or unused | filling straight on | a claim of the key resumes it |
//! | partial | whole, being hashed by disk threads in turns ([`completion`]) | its last hole closes |
//! | whole | complete, `bodies/ab/<sha256>` or its twin | it is hashed |
//! | partial, whole | failed | the digest is not the promised one, the version has changed, its file is gone |
//! | any | doomed | its entry is deleted, replaced or evicted; who holds it goes on, and its bytes count until then |
//!
//! Invariants: a byte is claimed by one at a time; bytes are reserved before they are written and counted exactly: what
//! is committed and what is being filled; the failure of one piece leaves the others as they are; a claim ends after the
//! last write that was begun under it.
//!
//! Deliberately not here: where bytes come from, and whether they belong to the same version.

pub(crate) mod completion;
mod publication;

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::oneshot;

pub use self::publication::PartialSpec;
use crate::body::Partial;
use crate::fill::{Batch, STEP, write_all};
use crate::growth::{Closed, Phase};
use crate::quota::{NoSpace, Reservation};
use crate::{Body, Contents, Entry, Failure, Refused, Writer, reasons};

/// Shortest length that bodies are cut at.
const LEAST_PIECE: u64 = 64 << 10;

impl<C: Contents> Writer<C> {
    /// Claims what of `range` is neither committed nor claimed, widened to multiples of `piece` bytes (at least 64 KiB; the
    /// last piece ends with the body), cut at those multiples: in order, at most `most`. Gives nothing when there is nothing
    /// to do or a limit is reached (256 claims or 16384 extents of one body): [`Body::wait_range`] tells which. Never waits.
    pub fn claim_pieces(
        &self,
        entry: &Arc<Entry<C>>,
        range: Range<u64>,
        piece: u64,
        most: usize,
    ) -> Vec<PieceClaim> {
        PieceClaim::of(&entry.body, range, piece, most)
    }
}

/// The right to fill one piece of a body. Dropping it releases the piece: somebody else may claim it, and everybody who
/// waits for it is woken.
pub struct PieceClaim(Held);

/// Writes one piece. Dropping it keeps what is committed and releases the rest.
pub struct PieceFill {
    held: Arc<Held>,
    file: Arc<File>,
    /// Offset of the next byte to be taken.
    position: u64,
    batch: Batch,
    writing: Option<oneshot::Receiver<Result<(), Failure>>>,
    end: Option<Failure>,
}

/// A claimed piece, until its fill and the last write of it are over.
struct Held {
    body: Arc<Body>,
    range: Range<u64>,
    is_reserved: AtomicBool,
    /// Bytes of the piece that are in the file.
    written: AtomicU64,
}

impl PieceClaim {
    pub(crate) fn of(body: &Arc<Body>, range: Range<u64>, piece: u64, most: usize) -> Vec<Self> {
        let pieces = body.growth.claim(range, piece.max(LEAST_PIECE), most);
        let hold = |range| Self(Held::new(body, range));
        pieces.into_iter().map(hold).collect()
    }

    /// Which bytes.
    pub fn range(&self) -> Range<u64> {
        self.0.range.clone()
    }

    /// Whose.
    pub fn body(&self) -> &Arc<Body> {
        &self.0.body
    }

    /// Reserves the piece's bytes, for which others are evicted when need be, and opens the file.
    ///
    /// # Errors
    /// There is no space, the disk refuses or the body has failed: the piece is released.
    pub async fn begin(self) -> Result<PieceFill, Refused> {
        let Self(held) = self;
        let shared = held.body.shared.clone();
        if let Some(why) = shared.health.degraded() {
            return Err(Refused::Disk(reasons::degraded(&why)));
        }
        if let Phase::Failed(failure) = held.body.growth.phase() {
            return Err(Refused::Disk(failure));
        }
        let full = |NoSpace { wanted, used, quota }| Refused::NoSpace { wanted, used, quota };
        let reservation = shared.reserve(held.length()).await.map_err(full)?;
        held.reserve(reservation);
        let body = held.body.clone();
        let opened = shared.pool.run(move || body.open_for_pieces()).await.flatten();
        let file = opened.map_err(Refused::Disk)?;
        shared.metrics.pieces.inc();
        let position = held.range.start;
        Ok(PieceFill {
            held: Arc::new(held),
            file,
            position,
            batch: Batch::default(),
            writing: None,
            end: None,
        })
    }
}

impl PieceFill {
    /// Which bytes.
    pub fn range(&self) -> Range<u64> {
        self.held.range.clone()
    }

    /// Whose.
    pub fn body(&self) -> &Arc<Body> {
        &self.held.body
    }

    /// Where in the body the next byte stands: here a resumed transfer goes on.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Takes the next bytes. Commits in steps of at most 256 KiB, the first bytes at once; waits when the disk lags.
    ///
    /// # Errors
    /// `origin_long_body`: the piece ends before these bytes do (those that belong to it are taken); `disk_error`; why the
    /// body has failed. Then this fill has ended; the body and its other pieces go on unless the body has failed.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Failure> {
        self.unless_ended()?;
        let taken = self.take(bytes).await;
        taken.inspect_err(|failure| self.end = Some(failure.clone()))
    }

    /// Commits what is buffered and waits until it can be read.
    ///
    /// # Errors
    /// As of [`write`](Self::write).
    pub async fn flush(&mut self) -> Result<(), Failure> {
        self.unless_ended()?;
        let flushed = self.flush_batch().await;
        flushed.inspect_err(|failure| self.end = Some(failure.clone()))
    }

    /// Ends the piece: all of its bytes are committed.
    ///
    /// # Errors
    /// `origin_short_body`: bytes are missing (what came stays); else as of [`write`](Self::write).
    pub async fn finish(mut self) -> Result<(), Failure> {
        self.flush().await?;
        let received = self.position - self.held.range.start;
        if received < self.held.length() {
            return Err(reasons::short_body(self.held.length(), received));
        }
        Ok(())
    }

    fn unless_ended(&self) -> Result<(), Failure> {
        self.end.clone().map_or(Ok(()), Err)
    }

    async fn take(&mut self, mut bytes: Bytes) -> Result<(), Failure> {
        let room = (self.held.range.end - self.position).min(bytes.len() as u64) as usize;
        let excess = bytes.split_off(room);
        let is_first = self.position == self.held.range.start;
        while !bytes.is_empty() {
            let step = bytes.split_to(bytes.len().min(STEP - self.batch.length));
            self.position += step.len() as u64;
            self.batch.push(step);
            if is_first || self.batch.length == STEP || self.position == self.held.range.end {
                self.send().await?;
            }
        }
        if excess.is_empty() {
            return Ok(());
        }
        // What belongs to the piece is good.
        self.flush_batch().await?;
        Err(reasons::long_body(self.held.length()))
    }

    async fn flush_batch(&mut self) -> Result<(), Failure> {
        if self.batch.length > 0 {
            self.send().await?;
        }
        self.written().await
    }

    /// Gives the batch to a disk thread, when that has done with the one before.
    async fn send(&mut self) -> Result<(), Failure> {
        self.written().await?;
        let shared = self.held.body.shared.clone();
        let permit = shared.pool.enter().await;
        let batch = self.batch.take();
        let offset = self.position - batch.length as u64;
        let (held, file, settling) = (self.held.clone(), self.file.clone(), shared.settling());
        let (reply, written) = oneshot::channel();
        shared.pool.push_with(permit, move || {
            let store = held.body.partial.as_ref().and_then(Partial::hold);
            let result = held.write(&file, &batch, offset);
            // First the claim: whoever hears of the last write finds the piece released. The store last: its end waits
            // for what is settling.
            drop((held, file));
            drop(reply.send(result));
            drop(settling);
            drop(store);
        });
        self.writing = Some(written);
        Ok(())
    }

    async fn written(&mut self) -> Result<(), Failure> {
        let Some(writing) = &mut self.writing else { return Ok(()) };
        let result = writing.await;
        self.writing = None;
        result.map_err(|_| reasons::disk_job_lost()).flatten()
    }
}

impl Drop for PieceFill {
    fn drop(&mut self) {
        self.held.body.shared.metrics.pieces.dec();
    }
}

impl Held {
    fn new(body: &Arc<Body>, range: Range<u64>) -> Self {
        let (is_reserved, written) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { body: body.clone(), range, is_reserved, written }
    }

    fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// The body's from now on.
    fn reserve(&self, reservation: Reservation) {
        if let Some(all) = &mut *self.body.reservation.lock() {
            all.join(reservation);
            self.is_reserved.store(true, Ordering::Relaxed);
        }
    }

    /// Writes and commits. Waits for the disk.
    fn write(&self, file: &File, batch: &Batch, offset: u64) -> Result<(), Failure> {
        let (body, shared) = (&self.body, &self.body.shared);
        if let Phase::Failed(failure) = body.growth.phase() {
            return Err(failure);
        }
        write_all(shared.disk(), file, &batch.pieces, offset)
            .map_err(|error| shared.disk_error("write", *body.place.lock(), &error))?;
        let length = batch.length as u64;
        self.written.fetch_add(length, Ordering::Relaxed);
        let closed = body.growth.commit_piece(offset..offset + length);
        body.growth.wake();
        body.tell_news();
        if closed == Closed::Now {
            completion::start(body);
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.is_reserved.load(Ordering::Relaxed) {
            let unwritten = self.length() - self.written.load(Ordering::Relaxed);
            if let Some(reservation) = &mut *self.body.reservation.lock() {
                reservation.release(unwritten);
            }
        }
        self.body.growth.release(&self.range);
    }
}
