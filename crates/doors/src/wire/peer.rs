//! [`Peer`]: what the parts of one connection share.
//!
//! Made by `listen` for each connection; the service marks requests, the response body notes file views and hands in
//! finished responses, the [`Wire`](super::Wire) settles them once their bytes are out. All three run on the
//! connection's task (for HTTP/2 the bodies run on tasks of their own).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::extents::Extents;
use super::interim::Interims;
use super::raw_head::RawHead;
use crate::exchange::fields::Scheme;
use crate::service::event::{Ending, Event, Recorder};

/// The other end of a connection, and what its parts share.
#[derive(Debug)]
pub struct Peer {
    /// Who connected to us; a proxy's address when one stands between.
    pub address: SocketAddr,
    /// By which way it came in.
    pub(crate) entrance: Entrance,
    pub(super) extents: Extents,
    pub(crate) interims: Interims,
    pub(crate) raw_head: RawHead,
    /// What this connection has become by CONNECT.
    tunnel: Mutex<Option<JoinHandle<()>>>,
    /// HTTP/2: bytes of answers that the client has left lying, by answer, and since when.
    offers: Mutex<HashMap<u32, Instant>>,
    recorder: Recorder,
    /// Requests ever begun.
    begun: AtomicU32,
    /// Requests whose response has not been handed over wholly.
    active: AtomicU32,
    http2: AtomicBool,
    /// A response broke that only a reset can show to be short.
    reset: AtomicBool,
    /// Bytes the socket took.
    written: AtomicU64,
    /// Spares the lock when nothing is handed in.
    has_unsettled: AtomicBool,
    unsettled: Mutex<Vec<Event>>,
}

/// The way by which a connection came in.
#[derive(Clone, Debug)]
pub(crate) struct Entrance {
    /// Our end; `None` where nobody cares.
    pub(crate) local: Option<SocketAddr>,
    pub(crate) scheme: Scheme,
    /// The site that the listener belongs to.
    pub(crate) site: Option<Arc<str>>,
}

impl Default for Entrance {
    fn default() -> Self {
        Self { local: None, scheme: Scheme::Http, site: None }
    }
}

/// The protocol a request came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

impl Peer {
    #[cfg(test)]
    pub(crate) fn new(address: SocketAddr, recorder: Recorder) -> Self {
        Self::entering(address, Entrance::default(), recorder)
    }

    pub(crate) fn entering(address: SocketAddr, entrance: Entrance, recorder: Recorder) -> Self {
        Self {
            address,
            entrance,
            interims: Interims::default(),
            raw_head: RawHead::default(),
            tunnel: Mutex::new(None),
            offers: Mutex::new(HashMap::new()),
            extents: Extents::default(),
            recorder,
            begun: AtomicU32::new(0),
            active: AtomicU32::new(0),
            http2: AtomicBool::new(false),
            reset: AtomicBool::new(false),
            written: AtomicU64::new(0),
            has_unsettled: AtomicBool::new(false),
            unsettled: Mutex::new(Vec::new()),
        }
    }

    pub(crate) const fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Returns the number of the request.
    pub(super) fn begin(&self, protocol: Protocol) -> u32 {
        let number = self.begun.fetch_add(1, Relaxed);
        self.active.fetch_add(1, Relaxed);
        if protocol == Protocol::Http2 {
            self.http2.store(true, Relaxed);
        }
        number
    }

    pub(super) fn end(&self) {
        self.active.fetch_sub(1, Relaxed);
    }

    /// Whether files may be sent as they are.
    pub(super) fn sends_files(&self) -> bool {
        self.entrance.scheme == Scheme::Http
    }

    /// The connection goes on as this.
    pub(crate) fn become_tunnel(&self, tunnel: JoinHandle<()>) {
        *self.tunnel.lock() = Some(tunnel);
    }

    /// What it goes on as, once.
    pub(crate) fn take_tunnel(&self) -> Option<JoinHandle<()>> {
        self.tunnel.lock().take()
    }

    /// The client may take bytes of an answer (HTTP/2).
    pub(super) fn offer(&self, answer: u32) {
        self.offers.lock().insert(answer, Instant::now());
    }

    /// It has, or the answer is over.
    pub(super) fn taken(&self, answer: u32) {
        self.offers.lock().remove(&answer);
    }

    /// Since when the client has left bytes lying.
    pub(super) fn oldest_offer(&self) -> Option<Instant> {
        self.offers.lock().values().min().copied()
    }

    pub(super) fn begun(&self) -> u32 {
        self.begun.load(Relaxed)
    }

    pub(super) fn is_active(&self) -> bool {
        self.active.load(Relaxed) > 0
    }

    pub(super) fn is_http2(&self) -> bool {
        self.http2.load(Relaxed)
    }

    /// Asks for a reset instead of a clean close.
    pub(super) fn want_reset(&self) {
        self.reset.store(true, Relaxed);
    }

    pub(super) fn wants_reset(&self) -> bool {
        self.reset.load(Relaxed)
    }

    /// Bytes the socket took.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Counts bytes the socket took; only the wire calls this, so no atomic addition is needed.
    pub(super) fn count_written(&self, bytes: usize) {
        self.written.store(self.written() + bytes as u64, Relaxed);
    }

    /// Takes a response whose bytes are all on their way; the wire says later how it ended.
    pub(super) fn hand_in(&self, event: Event) {
        self.unsettled.lock().push(event);
        self.has_unsettled.store(true, Relaxed);
    }

    /// Records what was handed in.
    pub(super) fn settle(&self, ending: Ending) {
        if !self.has_unsettled.swap(false, Relaxed) {
            return;
        }
        for event in self.unsettled.lock().drain(..) {
            self.recorder.record(event, ending);
        }
    }
}
