//! [`Body`]: the bytes of a response, as a door gives them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use cache::{FileRange, Payload, Source};
use futures_util::Stream;

/// The bytes of a response.
#[derive(Default)]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// All of them, in memory.
    Text(Bytes),
    /// Out of the cache.
    Payload(Payload),
    /// As they come, for as long as they come: events.
    Stream(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
    /// Made up by a test.
    #[cfg(test)]
    Made(super::tests::Made),
}

/// A run of a body's bytes.
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    /// Their place, when they are a view of a file.
    pub(super) file: Option<FileRange>,
    /// Where they came from, when out of the cache.
    pub(super) source: Option<Source>,
}

impl Body {
    /// All bytes in memory: error sentences, JSON, metrics.
    pub fn text(bytes: impl Into<Bytes>) -> Self {
        Self::Text(bytes.into())
    }

    /// Length in bytes of what a GET gets, when known.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Text(bytes) => Some(bytes.len() as u64),
            Self::Payload(payload) => payload.length(),
            Self::Stream(_) => None,
            #[cfg(test)]
            Self::Made(made) => made.length,
        }
    }

    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, Broken>>> {
        let piece = match self {
            Self::Empty => None,
            Self::Text(bytes) => {
                let bytes = std::mem::take(bytes);
                (!bytes.is_empty()).then_some(Ok(Piece { bytes, file: None, source: None }))
            }
            Self::Payload(payload) => ready!(payload.poll_chunk(cx)).map(|chunk| {
                let chunk = chunk.map_err(Broken::Failed)?;
                Ok(Piece { bytes: chunk.bytes, file: chunk.file, source: Some(payload.source()) })
            }),
            Self::Stream(events) => ready!(events.as_mut().poll_next(cx))
                .map(|bytes| Ok(Piece { bytes, file: None, source: None })),
            #[cfg(test)]
            Self::Made(made) => ready!(made.poll_piece(cx)),
        };
        Poll::Ready(piece)
    }

    pub(super) fn is_silent(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(bytes) => bytes.is_empty(),
            Self::Payload(payload) => payload.is_silent(),
            Self::Stream(_) => false,
            #[cfg(test)]
            Self::Made(_) => false,
        }
    }
}

/// The body ended before its time: the connection is cut, so that no client takes it for whole.
#[derive(Debug)]
pub enum Broken {
    /// Its object failed while it was sent.
    Failed(cache::Failure),
    /// It gave fewer bytes than it declared.
    Short,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(failure) => write!(f, "response body broke: {failure}"),
            Self::Short => f.write_str("response body is shorter than its declared length"),
        }
    }
}

impl std::error::Error for Broken {}
