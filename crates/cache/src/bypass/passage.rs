//! From the origin to one client: [`Flow`] is the task that fetches, [`Passage`] what it writes to, [`Stream`] what the
//! client reads.
//!
//! One piece waits between them. How it ended is noted before the last sender goes, so that an end without a note is a
//! failure. When the client leaves, the exchange with the origin ends.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use aws_lc_rs::digest::{self, SHA256};
use bytes::Bytes;
use store::{Chunk, Digest, Failure};
use tokio::sync::mpsc;

use crate::cache::Inner;
use crate::fill::{Asking, Cut, LiveFill, Segment, Sink, Transfer, Turn, draining};
use crate::lookup::{VERIFIED_FIRST, mismatch};
use crate::metrics::Counted;
use crate::{Error, Head, Kind, OriginBody};

type Ending = Arc<OnceLock<Result<(), Failure>>>;

/// The task behind one answer.
pub(super) struct Flow {
    pub(super) inner: Arc<Inner>,
    pub(super) asking: Asking,
    pub(super) head: Head,
    /// Length of the object, when known.
    pub(super) total: Option<u64>,
    pub(super) passage: Passage,
    pub(super) live: LiveFill,
    pub(super) turn: Turn,
}

impl Flow {
    pub(super) async fn run(self, body: OriginBody) {
        let Self { inner, asking, head, total, mut passage, live, turn } = self;
        let _counted = Counted::new(&inner.metrics.bypasses);
        let ending = passage.ending.clone();
        let pieces = passage.pieces.clone();
        let flow = async {
            let mut transfer = Transfer::new(&inner, &asking, &head, &mut passage, total);
            transfer.run(Segment::whole(body)).await.map_err(Cut::into_failure)?;
            passage.finish().await
        };
        let ended = tokio::select! {
            ended = flow => ended,
            () = live.stopped() => Err(draining().to_failure()),
            () = pieces.closed() => Err(left()),
        };
        if let Err(failure) = &ended {
            tracing::info!(name = %asking.name, %failure, "an object passed by the store was cut");
        }
        // Before the senders go.
        let _ = ending.set(ended);
        drop((passage, pieces, turn, live));
    }
}

fn left() -> Failure {
    Error::new(Kind::FillAbandoned, "The client has left.").to_failure()
}

/// Takes the object, or a part of it, and hands on what the client wants.
pub(super) struct Passage {
    pieces: mpsc::Sender<Bytes>,
    ending: Ending,
    /// Position in the object of the next byte that comes.
    position: u64,
    wanted: Range<u64>,
    proof: Option<Proof>,
}

/// What must be shown before the last block goes out.
struct Proof {
    expected: Digest,
    hash: digest::Context,
    held: VecDeque<Bytes>,
    /// Bytes in `held`.
    length: u64,
}

impl Passage {
    /// Bytes come from `start` on; with an `expected` digest that is 0. The end of `wanted` may be `u64::MAX`.
    pub(super) fn new(start: u64, wanted: Range<u64>, expected: Option<Digest>) -> (Self, Stream) {
        let (sender, pieces) = mpsc::channel(1);
        let ending = Ending::default();
        let proof = expected.map(|expected| Proof {
            expected,
            hash: digest::Context::new(&SHA256),
            held: VecDeque::new(),
            length: 0,
        });
        let stream = Stream { pieces, first: None, ending: ending.clone() };
        (Self { pieces: sender, ending, position: start, wanted, proof }, stream)
    }

    /// All of the object has come.
    async fn finish(&mut self) -> Result<(), Failure> {
        let Some(proof) = self.proof.take() else { return Ok(()) };
        let digest = proof.hash.finish();
        let found = Digest::new(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"));
        if found != proof.expected {
            return Err(mismatch(found, proof.expected).to_failure());
        }
        for piece in proof.held {
            self.send(piece).await?;
        }
        Ok(())
    }

    async fn send(&self, piece: Bytes) -> Result<(), Failure> {
        self.pieces.send(piece).await.map_err(|_| left())
    }

    /// What of the bytes at the present position is wanted.
    fn cut(&self, bytes: &Bytes) -> Bytes {
        let place = |position: u64| {
            let place = position.saturating_sub(self.position).min(bytes.len() as u64);
            usize::try_from(place).unwrap_or(bytes.len())
        };
        bytes.slice(place(self.wanted.start)..place(self.wanted.end))
    }
}

impl Sink for Passage {
    fn received(&self) -> u64 {
        self.position
    }

    fn is_satisfied(&self) -> bool {
        self.proof.is_none() && self.position >= self.wanted.end
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Failure> {
        let wanted = self.cut(&bytes);
        self.position += bytes.len() as u64;
        if let Some(proof) = &mut self.proof {
            proof.hash.update(&bytes);
            proof.hold(wanted);
            while let Some(piece) = self.proof.as_mut().and_then(Proof::release) {
                self.send(piece).await?;
            }
            return Ok(());
        }
        if wanted.is_empty() {
            return Ok(());
        }
        self.send(wanted).await
    }

    /// Nothing is buffered.
    async fn flush(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

impl Proof {
    fn hold(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.length += piece.len() as u64;
            self.held.push_back(piece);
        }
    }

    /// The next bytes that are surely not of the last block.
    fn release(&mut self) -> Option<Bytes> {
        let free = self.length.checked_sub(VERIFIED_FIRST).filter(|free| *free > 0)?;
        let first = self.held.front_mut()?;
        let length = first.len().min(usize::try_from(free).unwrap_or(usize::MAX));
        let piece = first.split_to(length);
        if first.is_empty() {
            self.held.pop_front();
        }
        self.length -= piece.len() as u64;
        Some(piece)
    }
}

/// The client's end.
pub(crate) struct Stream {
    pieces: mpsc::Receiver<Bytes>,
    /// Taken out before anybody asked for it.
    first: Option<Bytes>,
    ending: Ending,
}

impl Stream {
    /// Waits until there is something to read, or the end; an end that is none is an error.
    pub(super) async fn first(&mut self) -> Result<(), Failure> {
        self.first = self.pieces.recv().await;
        if self.first.is_some() { Ok(()) } else { self.end() }
    }

    /// The next piece, `None` at the clean end.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Failure>>> {
        let piece = match self.first.take() {
            Some(first) => Some(first),
            None => ready!(self.pieces.poll_recv(cx)),
        };
        Poll::Ready(match piece {
            Some(bytes) => Some(Ok(Chunk { bytes, file: None })),
            None => self.end().err().map(Err),
        })
    }

    fn end(&self) -> Result<(), Failure> {
        let lost = || Err(Error::new(Kind::FillAbandoned, "The transfer was abandoned.").to_failure());
        self.ending.get().cloned().unwrap_or_else(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_end_without_a_word_is_a_failure() {
        let (passage, mut stream) = Passage::new(0, 0..u64::MAX, None);
        drop(passage);
        assert_eq!(stream.first().await.expect_err("no clean end").reason, "fill_abandoned");
        let next = std::future::poll_fn(|cx| stream.poll_chunk(cx)).await;
        assert!(next.is_some_and(|chunk| chunk.is_err()));
    }
}
