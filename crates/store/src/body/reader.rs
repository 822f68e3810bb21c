//! [`BodyReader`]: the one way bytes come out of a body, complete or growing.
//!
//! Owns its position, its place in the body's wait list and the file it reads. Belongs to one task, which may drop it
//! at any time. Invariants: bytes come in order, each once, committed ones only; a clean end comes only when the whole
//! range was handed out or the body turned out to end within it; nothing here waits for a disk on the caller's
//! thread: opening and reading ahead are errands for disk threads.
//!
//! Deliberately not here: how the bytes are sent.

use std::fs::File;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::Body;
use super::progress::{Next, next};
use crate::files::directory::Place;
use crate::files::mapping::{BLOCK, Segment};
use crate::files::open::OpenFile;
use crate::files::residency;
use crate::growth::{Phase, Ranged};
use crate::waiters::Ticket;
use crate::{Digest, Failure};

/// Bytes behind the end of a growing body that are taken for resident: they have just been written.
const RECENT: u64 = 64 << 20;

/// A piece of a body, ready to send.
pub struct Chunk {
    /// The bytes: held in memory, or a view of a file mapping that has not been touched.
    pub bytes: Bytes,
    /// Where these bytes stand in a file, when `bytes` is a view of a mapping; then `sendfile` may be used.
    pub file: Option<FileRange>,
}

/// The place of a chunk in an open file.
#[derive(Clone)]
pub struct FileRange {
    /// The open file.
    pub file: Arc<File>,
    /// Offset of the chunk's first byte.
    pub offset: u64,
}

/// A follower: hands out a body's range in order, waiting while it grows. Never waits for a disk on the caller's thread.
pub struct BodyReader {
    position: u64,
    end: u64,
    expected: Option<Box<Digest>>,
    ticket: Ticket,
    file: Option<Arc<OpenFile>>,
    segment: Option<Arc<Segment>>,
    errand: Option<Errand>,
    /// Where the range ends that the last errand has read into memory.
    fetched: u64,
    counted: bool,
    ended: bool,
    /// Dropped last: when the body's file is deleted, this reader has closed it, so that a disk thread frees its blocks.
    body: Arc<Body>,
}

/// Something a disk thread does for a reader.
type Errand = Pin<Box<dyn Future<Output = Result<Arc<OpenFile>, Failure>> + Send + Sync>>;

impl BodyReader {
    pub(super) fn new(body: &Arc<Body>, range: Range<u64>, expected: Option<Digest>) -> Self {
        let counted = matches!(body.growth.phase(), Phase::Filling | Phase::Whole(_));
        if counted {
            body.follow();
        }
        Self {
            position: range.start,
            end: range.end,
            expected: expected.map(Box::new),
            ticket: Ticket::default(),
            file: None,
            segment: None,
            errand: None,
            fetched: 0,
            counted,
            ended: false,
            body: body.clone(),
        }
    }

    /// The next chunk; `None` at the end of the range; [`Failure`] when the body cannot become complete or,
    /// for an unbounded or too long range, when the body turned out shorter than its declared length.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Failure>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let result = ready!(self.poll_step(cx)).transpose();
        self.ended = !matches!(result, Some(Ok(_)));
        Poll::Ready(result)
    }

    /// The gap at the reader's position that nobody fills: of a body with holes, and after
    /// [`poll_chunk`](Self::poll_chunk) was pending. The task is woken when it becomes one. Whoever wants the bytes claims
    /// it and polls again.
    pub fn unclaimed_gap(&self) -> Option<Range<u64>> {
        if self.ended || self.errand.is_some() {
            return None;
        }
        let growth = &self.body.growth;
        let next = self.position..self.end.min(self.position.saturating_add(1));
        let Some(Ranged::Unclaimed(_)) = growth.look(next) else { return None };
        match growth.look(self.position..self.end)? {
            Ranged::Unclaimed(gap) => Some(gap),
            Ranged::Committed | Ranged::Failed(_) => None,
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>, Failure>> {
        loop {
            if let Some(errand) = &mut self.errand {
                let file = ready!(errand.as_mut().poll(cx));
                self.errand = None;
                self.file = Some(file?);
            }
            let available = match ready!(self.poll_next(cx)) {
                Next::Take(available) => available,
                Next::End => return Poll::Ready(Ok(None)),
                Next::Fail(failure) => return Poll::Ready(Err(failure)),
            };
            if let Some(chunk) = self.take(available)? {
                self.position += chunk.bytes.len() as u64;
                return Poll::Ready(Ok(Some(chunk)));
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let (body, position, end) = (&self.body, self.position, self.end);
        let expected = self.expected.as_deref();
        body.growth
            .waiters
            .poll_until(&mut self.ticket, cx, || next(&body.growth, body.declared, position..end, expected))
    }

    /// The chunk at the position, up to `available`; `None` when an errand has to be run first.
    fn take(&mut self, available: u64) -> Result<Option<Chunk>, Failure> {
        if let Some(bytes) = self.body.memory(self.position, available) {
            return Ok(Some(Chunk { bytes, file: None }));
        }
        let block_end = (self.position / BLOCK + 1) * BLOCK;
        let range = self.position..available.min(block_end);
        let Some(file) = self.file.clone().or_else(|| self.body.open_file()) else {
            self.errand = Some(self.open());
            return Ok(None);
        };
        file.mark_used();
        let segment = self.segment(&file)?;
        self.file = Some(file.clone());
        if !self.is_resident(&segment, &range) {
            self.fetched = range.end;
            self.errand = Some(self.fetch(file, range));
            return Ok(None);
        }
        let bytes = Bytes::from_owner(segment.view(&range, &self.body));
        let file = FileRange { file: segment.file().clone(), offset: range.start };
        Ok(Some(Chunk { bytes, file: Some(file) }))
    }

    fn segment(&mut self, file: &OpenFile) -> Result<Arc<Segment>, Failure> {
        if let Some(segment) = self.segment.as_ref().filter(|segment| segment.contains(self.position)) {
            return Ok(segment.clone());
        }
        let segment = file
            .segment(self.position)
            .map_err(|error| self.body.shared.disk_error("map", Place::Fill(self.body.id), &error))?;
        Ok(self.segment.insert(segment).clone())
    }

    fn is_resident(&self, segment: &Segment, range: &Range<u64>) -> bool {
        let growth = &self.body.growth;
        // Of a body with holes nobody knows when its bytes were written.
        let recent =
            !growth.is_in_pieces() && growth.length().is_none() && growth.committed() - range.start <= RECENT;
        recent || range.end <= self.fetched || residency::known(segment, range, self.body.shared.second())
    }

    fn open(&self) -> Errand {
        let body = self.body.clone();
        Box::pin(async move {
            let shared = body.shared.clone();
            shared.pool.run(move || body.shared.open_body(&body)).await?
        })
    }

    fn fetch(&self, file: Arc<OpenFile>, range: Range<u64>) -> Errand {
        let body = self.body.clone();
        Box::pin(async move {
            let shared = body.shared.clone();
            shared.metrics.read_ahead.inc();
            let read = move || match residency::read_ahead(file.file(), range) {
                Ok(()) => Ok(file),
                Err(error) => Err(body.shared.disk_error("read", *body.place.lock(), &error)),
            };
            shared.pool.run(read).await?
        })
    }
}

impl Drop for BodyReader {
    fn drop(&mut self) {
        self.body.growth.waiters.leave(&mut self.ticket);
        if self.counted {
            self.body.unfollow();
        }
    }
}
