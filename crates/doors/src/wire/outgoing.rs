//! [`Outgoing`]: a response body under watch.
//!
//! Wraps the [`Body`] a door gave, counts its bytes, notes views of files for the [`Wire`](super::Wire), and makes
//! sure that each request ends as exactly one event: handed in when every byte is on its way, recorded as broken when
//! it is dropped before.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use cache::Source;
use http::Version;
use http_body::{Frame, SizeHint};

use super::body::{Body, Broken, Piece};
use super::extents::SENDFILE_MIN;
use super::peer::{Peer, Protocol};
use crate::metrics::Metrics;
use crate::service::event::{Ending, Event};

/// A request being answered; ends as one event.
#[derive(Debug)]
pub(crate) struct Watch {
    peer: Arc<Peer>,
    version: Version,
    number: u32,
    written_before: u64,
}

impl Watch {
    /// Begins with the request's head.
    pub(crate) fn begin(peer: &Arc<Peer>, version: Version) -> Self {
        let number = peer.begin(protocol(version));
        Self { peer: Arc::clone(peer), version, number, written_before: peer.written() }
    }

    fn protocol(&self) -> Protocol {
        protocol(self.version)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.peer.end();
    }
}

fn protocol(version: Version) -> Protocol {
    if version == Version::HTTP_2 { Protocol::Http2 } else { Protocol::Http1 }
}

/// A response body under watch.
pub struct Outgoing {
    body: Body,
    event: Option<Event>,
    watch: Watch,
    /// Bytes still to come, when known.
    left: Option<u64>,
    /// Long enough for views of files to be sent from the file.
    is_long: bool,
    ended: bool,
}

impl Outgoing {
    /// The body of the response to the watched request.
    pub(crate) fn new(body: Body, event: Event, watch: Watch) -> Self {
        let left = if body.is_silent() { Some(0) } else { body.length() };
        let ended = left == Some(0);
        let is_long = left.is_none_or(|left| left >= SENDFILE_MIN);
        if !ended && watch.protocol() == Protocol::Http2 {
            watch.peer.offer(watch.number);
        }
        Self { body, event: Some(event), watch, left, is_long, ended }
    }

    /// The empty body of an answer that is recorded elsewhere, later.
    pub(crate) fn unrecorded(watch: Watch) -> Self {
        Self { body: Body::Empty, event: None, watch, left: Some(0), is_long: false, ended: true }
    }

    fn metrics(&self) -> &Metrics {
        &self.watch.peer.recorder().metrics
    }

    fn sent(&mut self, source: Option<Source>, length: u64) {
        let outcome = self.event.as_ref().and_then(|event| event.outcome);
        if let Some(source) = source {
            self.metrics().bytes_sent(source, outcome, length);
        }
        let whole = self.ended;
        let Some(event) = &mut self.event else { return };
        event.bytes += length;
        // When this is all, the time of the end will do: one look at the clock less for small hits.
        if event.first_byte.is_none() && !whole {
            event.first_byte = Some(event.started.elapsed());
        }
    }

    /// The body gave its last piece: a clean end, unless it is short of its length.
    fn end<T>(&mut self) -> Option<Result<T, Broken>> {
        self.ended = self.left.is_none_or(|left| left == 0);
        (!self.ended).then_some(Err(Broken::Short))
    }

    /// A body of unknown length over HTTP/1.0 ends with the connection: only a reset tells the client it is short.
    fn must_reset(&self) -> bool {
        self.watch.version < Version::HTTP_11 && self.left.is_none()
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let is_http2 = this.watch.protocol() == Protocol::Http2;
        if is_http2 {
            // Only who has room for more asks.
            this.watch.peer.taken(this.watch.number);
        }
        let Piece { bytes, file, source } = match ready!(this.body.poll_piece(cx)) {
            Some(Ok(piece)) => piece,
            Some(Err(broken)) => return Poll::Ready(Some(Err(broken))),
            None => return Poll::Ready(this.end()),
        };
        this.left = this.left.map(|left| left.saturating_sub(bytes.len() as u64));
        this.ended = this.left == Some(0);
        this.sent(source, bytes.len() as u64);
        if is_http2 {
            // hyper keeps it until there is room, and the last one keeps this body alive.
            this.watch.peer.offer(this.watch.number);
        }
        if let Some(place) = file
            && this.is_long
            && !is_http2
            && this.watch.peer.sends_files()
        {
            this.watch.peer.extents.note(&bytes, place);
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if self.watch.protocol() == Protocol::Http2 {
            self.watch.peer.taken(self.watch.number);
        }
        let Some(mut event) = self.event.take() else { return };
        let peer = &self.watch.peer;
        match (self.ended, self.watch.protocol()) {
            (true, Protocol::Http1) => peer.hand_in(event),
            (true, Protocol::Http2) => peer.recorder().record(event, Ending::Complete),
            (false, protocol) => {
                if protocol == Protocol::Http1 {
                    // What is still queued never left.
                    event.bytes = event.bytes.min(peer.written() - self.watch.written_before);
                }
                if self.must_reset() {
                    peer.want_reset();
                }
                peer.recorder().record(event, Ending::Broken);
            }
        }
    }
}
