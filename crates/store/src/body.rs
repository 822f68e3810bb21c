//! [`Body`]: the bytes of one representation, from the first one written to the last holder's farewell.
//!
//! | phase | bytes | held by |
//! |---|---|---|
//! | claimed | none; there is no body yet | the claim |
//! | filling | committed extents only grow; small bodies in memory, others in `fills/<id>` | fill, entry, readers |
//! | filling in pieces | has holes, in `parts/<id>`; what is committed and what is claimed is in the quota | piece fills, entry, readers |
//! | complete | all there; `bodies/ab/<sha256>`, or memory while it is on its way there | entry, readers |
//! | failed | what was committed stays readable | readers |
//! | doomed | complete, but no entry refers to it any more | readers |
//! | freed | file deleted on a disk thread, then the quota given back | nobody |
//!
//! A complete body whose file has its name belongs to [`Bodies`](crate::bodies::Bodies), with its bytes in the quota; it
//! can be in the store without being in memory.
//!
//! Owns its growth, its memory and its place on disk. Written by its fill and that fill's disk jobs, read by anybody.
//! Invariants: committed bytes never change; memory is given up only when the file has them.
//!
//! Deliberately not here: how bytes get in ([`Fill`](crate::Fill)) and out ([`BodyReader`]).

mod memory;
mod partial;
mod progress;
mod reader;

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

pub(crate) use self::memory::Pieces;
pub(crate) use self::partial::{Owner, Partial};
#[cfg(all(test, loom))]
pub(crate) use self::progress::{Next, next};
pub use self::reader::{BodyReader, Chunk, FileRange};
use crate::extents::Extents;
use crate::files::directory::Place;
use crate::files::open::OpenFile;
use crate::growth::{Growth, Phase, Ranged};
use crate::quota::Reservation;
use crate::shared::Shared;
use crate::{Digest, Failure};

/// The last bytes of a body with an expected digest, which nobody gets before the digest is verified.
pub(crate) const LAST_BLOCK: u64 = 64 << 10;

/// The bytes of one representation, complete or still growing.
pub struct Body {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: u64,
    pub(crate) declared: Option<u64>,
    pub(crate) growth: Growth,
    pub(crate) place: Mutex<Place>,
    /// The file while somebody has it open.
    pub(crate) open: Mutex<Weak<OpenFile>>,
    pub(crate) reservation: Mutex<Option<Reservation>>,
    /// All bytes so far, as long as the body is held in memory.
    memory: RwLock<Option<Pieces>>,
    /// Of a body that grows, or has grown, in pieces.
    pub(crate) partial: Option<Partial>,
    followers: AtomicUsize,
}

/// Where a body is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyState {
    /// A fill writes to it; its committed extents only grow.
    Filling,
    /// All bytes are there and verified.
    Complete,
    /// The fill ended early; what was committed stays readable by those who hold the body.
    Failed(Failure),
}

impl Body {
    /// A new body that grows in memory (its declared length is the most it takes).
    pub(crate) fn in_memory(shared: &Arc<Shared>, declared: u64, reservation: Reservation) -> Arc<Self> {
        shared.metrics.memory.add(declared);
        Arc::new(Self::new(shared, Some(declared), Some(reservation), Some(Pieces::new(declared))))
    }

    /// A new body that grows in a file, which the caller creates.
    pub(crate) fn in_file(
        shared: &Arc<Shared>,
        declared: Option<u64>,
        reservation: Reservation,
    ) -> Arc<Self> {
        Arc::new(Self::new(shared, declared, Some(reservation), None))
    }

    /// A complete body whose file has its name.
    pub(crate) fn stored(shared: &Arc<Shared>, length: u64, digest: Digest) -> Arc<Self> {
        let mut body = Self::new(shared, Some(length), None, None);
        body.growth = Growth::stored(length, digest);
        *body.place.get_mut() = Place::Named(digest);
        Arc::new(body)
    }

    /// A body that grows in pieces and has some of them, in a file of which the caller knows the place.
    pub(crate) fn in_pieces(
        shared: &Arc<Shared>,
        (declared, extents): (Option<u64>, Extents),
        partial: Partial,
        reservation: Reservation,
    ) -> Arc<Self> {
        let mut body = Self::new(shared, declared, Some(reservation), None);
        body.growth = Growth::in_pieces(declared, extents);
        body.partial = Some(partial);
        Arc::new(body)
    }

    fn new(
        shared: &Arc<Shared>,
        declared: Option<u64>,
        reservation: Option<Reservation>,
        memory: Option<Pieces>,
    ) -> Self {
        Self {
            shared: shared.clone(),
            id: shared.next_id(),
            declared,
            growth: Growth::new(),
            place: Mutex::new(Place::Nowhere),
            open: Mutex::default(),
            reservation: Mutex::new(reservation),
            memory: RwLock::new(memory),
            partial: None,
            followers: AtomicUsize::new(0),
        }
    }

    /// Where the body is in its life.
    pub fn state(&self) -> BodyState {
        match self.growth.phase() {
            Phase::Filling | Phase::Whole(_) => BodyState::Filling,
            Phase::Complete(..) => BodyState::Complete,
            Phase::Failed(failure) => BodyState::Failed(failure),
        }
    }

    /// Total length in bytes: declared by the origin or, once all bytes are there, counted. `None` while unknown.
    pub fn length(&self) -> Option<u64> {
        self.declared.or_else(|| self.growth.length())
    }

    /// Bytes readable from the start without a gap.
    pub fn committed(&self) -> u64 {
        self.growth.committed()
    }

    /// The parts of `range` that cannot be read yet, in order.
    pub fn gaps(&self, range: Range<u64>) -> Vec<Range<u64>> {
        self.growth.gaps(range)
    }

    /// Whether the body grows in pieces and has holes still. Nobody need be filling them.
    pub fn is_partial(&self) -> bool {
        self.growth.is_partial()
    }

    /// The byte ranges that can be read, in order.
    pub fn extents(&self) -> Vec<Range<u64>> {
        self.growth.extents().ranges().to_vec()
    }

    /// What there is to say of `range` (clamped to the body's end) now; `None`: all that is missing is being written.
    pub fn range_now(&self, range: Range<u64>) -> Option<Ranged> {
        self.growth.look(range)
    }

    /// Waits until all of `range` (clamped to the body's end) can be read, or something in it is missing that nobody
    /// writes, or never will.
    pub async fn wait_range(self: &Arc<Self>, range: Range<u64>) -> Ranged {
        self.growth.waiters.until(|| self.growth.look(range.clone())).await
    }

    /// SHA-256, known once the body is complete and hashed.
    pub fn digest(&self) -> Option<Digest> {
        match self.growth.phase() {
            Phase::Complete(_, digest) => Some(digest),
            _ => None,
        }
    }

    /// Number of [`BodyReader`]s now reading while the body grows.
    pub fn followers(&self) -> usize {
        match self.growth.phase() {
            Phase::Filling | Phase::Whole(_) => self.followers.load(Ordering::Relaxed),
            Phase::Complete(..) | Phase::Failed(_) => 0,
        }
    }

    /// Reads `range` (clamped to the body's end): at once where bytes are committed, waiting where they are not.
    /// An unbounded read is `start..u64::MAX`.
    pub fn read(self: &Arc<Self>, range: Range<u64>) -> BodyReader {
        BodyReader::new(self, range, None)
    }

    /// Like [`read`](Self::read), but holds back the last block of the range (up to 64 KiB; a range no longer than
    /// that wholly) until the body is complete and its SHA-256 equals `expected`; else ends with a [`Failure`]
    /// whose reason is `digest_mismatch`.
    pub fn read_verified(self: &Arc<Self>, range: Range<u64>, expected: Digest) -> BodyReader {
        BodyReader::new(self, range, Some(expected))
    }

    /// Waits until `offset` bytes are committed, or the body is complete (`Ok` with what is committed then).
    pub async fn wait_committed(self: &Arc<Self>, offset: u64) -> Result<u64, Failure> {
        let growth = &self.growth;
        let enough = || Some(growth.committed()).filter(|committed| *committed >= offset);
        let check = || {
            if let Some(committed) = enough() {
                return Some(Ok(committed));
            }
            match growth.phase() {
                Phase::Filling => None,
                Phase::Whole(length) | Phase::Complete(length, _) => Some(Ok(length)),
                // The last commit may have come between the two looks.
                Phase::Failed(failure) => Some(enough().ok_or(failure)),
            }
        };
        growth.waiters.until(check).await
    }

    /// Waits for the end: total length and digest.
    pub async fn wait_complete(self: &Arc<Self>) -> Result<(u64, Digest), Failure> {
        let check = || match self.growth.phase() {
            Phase::Filling | Phase::Whole(_) => None,
            Phase::Complete(length, digest) => Some(Ok((length, digest))),
            Phase::Failed(failure) => Some(Err(failure)),
        };
        self.growth.waiters.until(check).await
    }

    /// The file, if somebody has it open.
    pub(crate) fn open_file(&self) -> Option<Arc<OpenFile>> {
        self.open.lock().upgrade()
    }

    /// Adds bytes to a body in memory.
    pub(crate) fn push_memory(&self, bytes: Bytes) {
        if let Some(pieces) = &mut *self.memory.write() {
            pieces.push(bytes);
        }
    }

    /// The bytes from `offset` on, up to `end`, if the body is in memory: as many as lie in one piece.
    pub(crate) fn memory(&self, offset: u64, end: u64) -> Option<Bytes> {
        Some(self.memory.read().as_ref()?.slice(offset, end))
    }

    /// Joins a body in memory to one piece that holds no more memory than its bytes take, and returns it.
    pub(crate) fn join_memory(&self) -> Bytes {
        let joined = self.memory.read().as_ref().map(Pieces::join).unwrap_or_default();
        if let Some(pieces) = &mut *self.memory.write() {
            *pieces = Pieces::from(joined.clone());
        }
        joined
    }

    /// Gives the memory up; from now on the file is read.
    pub(crate) fn drop_memory(&self) {
        let pieces = self.memory.write().take();
        self.shared.metrics.memory.sub(pieces.map_or(0, |pieces| pieces.capacity()));
    }

    /// Keeps the bytes of a complete body in memory from now on.
    pub(crate) fn remember(&self, bytes: Bytes) {
        let pieces = Pieces::from(bytes);
        let mut memory = self.memory.write();
        if memory.is_none() {
            self.shared.metrics.memory.add(pieces.capacity());
            *memory = Some(pieces);
        }
    }

    /// Whether the bytes are in memory.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.memory.read().is_some()
    }

    /// Whether the bytes are where a restart finds them.
    pub(crate) fn is_on_disk(&self) -> bool {
        matches!(*self.place.lock(), Place::Named(_))
    }

    fn follow(&self) {
        self.followers.fetch_add(1, Ordering::Relaxed);
        self.shared.metrics.followers.inc();
    }

    fn unfollow(&self) {
        self.followers.fetch_sub(1, Ordering::Relaxed);
        self.shared.metrics.followers.dec();
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.drop_memory();
        let (id, place) = (self.id, *self.place.get_mut());
        let reservation = self.reservation.get_mut().take();
        if place == Place::Nowhere || self.shared.is_closed() {
            return;
        }
        let (shared, settling) = (self.shared.clone(), [self.shared.settling(), self.shared.burying()]);
        self.shared.pool.push(move || {
            shared.part_with(id, place, reservation);
            // The store first: whoever waits may want to open it again.
            drop(shared);
            drop(settling);
        });
    }
}
