//! [`Payload`]: the bytes of an answer, pulled by the door.
//!
//! A payload owns a view of one body, or a stream past the store, and hands its chunks on untouched. Invariant: when the length is known,
//! exactly that many bytes come before the clean end; anything else ends in a [`Failure`].

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderValue;
use store::{Body, BodyReader, Chunk, Digest, Failure};

use crate::answer::content_range;
use crate::bypass::Stream;
use crate::exchange::Wanting;
use crate::fill::draining;
use crate::{Error, Kind, OriginBody};

/// The bytes of an answer: nothing, one range of a body, multipart pieces, or what an origin sends.
pub struct Payload {
    shape: Shape,
    length: Option<u64>,
    /// Bytes handed out.
    passed: u64,
    source: Source,
}

enum Shape {
    Silent,
    Part(BodyReader),
    Pieces(Box<Pieces>),
    Passed(Stream),
    Direct(Direct),
    Wanting(Box<Wanting>),
}

/// An origin's answer on its way to one client.
pub(crate) struct Direct {
    pub(crate) body: OriginBody,
    /// Ends when the server stops transfers; holds what the transfer was granted.
    pub(crate) stopped: BoxFuture<'static, ()>,
}

impl Direct {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Failure>>> {
        loop {
            let Poll::Ready(frame) = self.body.as_mut().poll_frame(cx) else {
                ready!(self.stopped.as_mut().poll(cx));
                return Poll::Ready(Some(Err(draining().to_failure())));
            };
            match frame {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.to_failure()))),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(Ok(Chunk { bytes, file: None })));
                    }
                }
            }
        }
    }
}

/// Where the bytes of an answer come from, for byte counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Already stored when the request came.
    Cache,
    /// Fetched by a fill that this or a concurrent request started.
    Origin,
}

impl Payload {
    /// No body (HEAD, 304, 416).
    pub const fn empty() -> Self {
        Self::silent(Some(0), Source::Cache)
    }

    /// No bytes, but a length to declare.
    pub(crate) const fn silent(length: Option<u64>, source: Source) -> Self {
        Self { shape: Shape::Silent, length, passed: 0, source }
    }

    pub(crate) fn part(view: &View, range: Range<u64>, length: Option<u64>, source: Source) -> Self {
        Self { shape: Shape::Part(view.read(range)), length, passed: 0, source }
    }

    pub(crate) fn pieces(pieces: Pieces, source: Source) -> Self {
        let length = Some(pieces.length());
        Self { shape: Shape::Pieces(Box::new(pieces)), length, passed: 0, source }
    }

    pub(crate) const fn passed(stream: Stream, length: Option<u64>) -> Self {
        Self { shape: Shape::Passed(stream), length, passed: 0, source: Source::Origin }
    }

    pub(crate) const fn direct(direct: Direct, length: Option<u64>) -> Self {
        Self { shape: Shape::Direct(direct), length, passed: 0, source: Source::Origin }
    }

    pub(crate) fn wanting(wanting: Wanting, length: Option<u64>, source: Source) -> Self {
        Self { shape: Shape::Wanting(Box::new(wanting)), length, passed: 0, source }
    }

    /// Length in bytes when known: then the wire declares it, else the body is chunked. For HEAD this is
    /// the length the GET would have; for 304 it is unknown and nothing is to be declared.
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether no bytes are to be sent (HEAD, 304, 412, 416).
    pub const fn is_silent(&self) -> bool {
        matches!(self.shape, Shape::Silent)
    }

    /// The next chunk, `None` at the clean end. After a failure the connection must be broken.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Failure>>> {
        let next = match &mut self.shape {
            Shape::Silent => return Poll::Ready(None),
            Shape::Part(reader) => ready!(reader.poll_chunk(cx)),
            Shape::Pieces(pieces) => ready!(pieces.poll_chunk(cx)),
            Shape::Passed(stream) => ready!(stream.poll_chunk(cx)),
            Shape::Direct(direct) => ready!(direct.poll_chunk(cx)),
            Shape::Wanting(wanting) => ready!(wanting.poll_chunk(cx)),
        };
        if let Some(Ok(chunk)) = &next {
            self.passed += chunk.bytes.len() as u64;
        }
        let exact = match next {
            None => self.length.is_none_or(|length| self.passed == length),
            Some(_) => self.length.is_none_or(|length| self.passed <= length),
        };
        Poll::Ready(if exact { next } else { Some(Err(self.inexact())) })
    }

    /// Whether the bytes were stored before the request came, or fetched for it.
    pub const fn source(&self) -> Source {
        self.source
    }

    fn inexact(&self) -> Failure {
        let length = self.length.unwrap_or_default();
        let detail = format!("The object ended after {} of {length} bytes.", self.passed);
        Error::new(Kind::OriginBroken, detail).to_failure()
    }
}

/// A body as one request may read it.
pub(crate) struct View {
    pub(crate) body: Arc<Body>,
    /// The digest without which the last block is not handed out.
    pub(crate) expected: Option<Digest>,
}

impl View {
    fn read(&self, range: Range<u64>) -> BodyReader {
        match self.expected {
            Some(expected) => self.body.read_verified(range, expected),
            None => self.body.read(range),
        }
    }
}

/// Several ranges in one body (`multipart/byteranges`, RFC 9110 section 14.6).
pub(crate) struct Pieces {
    view: View,
    ranges: Vec<Range<u64>>,
    total: Option<u64>,
    boundary: String,
    part_type: Option<HeaderValue>,
    /// Number of the range that comes next.
    next: usize,
    reader: Option<BodyReader>,
}

impl Pieces {
    pub(crate) fn new(
        view: View,
        ranges: Vec<Range<u64>>,
        total: Option<u64>,
        part_type: Option<&HeaderValue>,
    ) -> Self {
        let part_type = part_type.cloned();
        Self { view, ranges, total, boundary: boundary(), part_type, next: 0, reader: None }
    }

    pub(crate) fn content_type(&self) -> HeaderValue {
        HeaderValue::try_from(format!("multipart/byteranges; boundary={}", self.boundary))
            .expect("the boundary is hexadecimal")
    }

    fn length(&self) -> u64 {
        let parts: u64 = (0..self.ranges.len())
            .map(|number| self.introduction(number).len() as u64 + span(&self.ranges[number]))
            .sum();
        parts + self.conclusion().len() as u64
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Failure>>> {
        if let Some(reader) = &mut self.reader {
            match ready!(reader.poll_chunk(cx)) {
                Some(next) => return Poll::Ready(Some(next)),
                None => self.reader = None,
            }
        }
        let number = self.next;
        self.next = number.saturating_add(1).min(self.ranges.len() + 1);
        let text = if let Some(range) = self.ranges.get(number) {
            self.reader = Some(self.view.read(range.clone()));
            self.introduction(number)
        } else if number == self.ranges.len() {
            self.conclusion()
        } else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(Ok(Chunk { bytes: Bytes::from(text), file: None })))
    }

    fn introduction(&self, number: usize) -> Vec<u8> {
        let line_break: &[u8] = if number == 0 { b"" } else { b"\r\n" };
        let range = content_range(self.ranges.get(number), self.total);
        let mut text = [line_break, b"--", self.boundary.as_bytes(), b"\r\n"].concat();
        if let Some(part_type) = &self.part_type {
            text.extend_from_slice(&[b"Content-Type: ", part_type.as_bytes(), b"\r\n"].concat());
        }
        text.extend_from_slice(&[b"Content-Range: ", range.as_bytes(), b"\r\n\r\n"].concat());
        text
    }

    fn conclusion(&self) -> Vec<u8> {
        format!("\r\n--{}--\r\n", self.boundary).into_bytes()
    }
}

const fn span(range: &Range<u64>) -> u64 {
    range.end - range.start
}

/// 128 bits that nobody can guess who wants to plant a boundary in an object: SipHash, keyed by the system's
/// random numbers, of a counter.
fn boundary() -> String {
    static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(|| [RandomState::new(), RandomState::new()]);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let [first, second] = &*KEYS;
    format!("{:016x}{:016x}", first.hash_one(count), second.hash_one(count))
}
