//! [`Interims`]: interim answers (1xx) of an HTTP/1.1 connection, which hyper cannot send.
//!
//! Whoever hears of one hands it in; the [`Wire`](super::Wire) puts its bytes before whatever hyper writes next, as long as
//! nothing of an earlier answer waits in hyper's buffer. Invariants: an interim answer goes out whole, between two answers
//! and before its own final one, or not at all; at most [`MOST`] bytes of them wait.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Context;

use cache::Interim;
use futures_util::task::AtomicWaker;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use protocols::http::hop;

use super::peer::Peer;

/// Most bytes that wait; what does not fit is left out, which costs the client a hint.
const MOST: usize = 16 * 1024;

/// Interim answers on their way to the wire.
#[derive(Debug, Default)]
pub(crate) struct Interims {
    /// Spares the lock when there is nothing.
    has_any: AtomicBool,
    waiting: Mutex<Waiting>,
    /// The connection's task.
    task: AtomicWaker,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    phase: Phase,
    /// Counts requests, so that what comes late for one does not meet the next.
    request: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Nobody waits for a final answer that interim ones may come before.
    #[default]
    Closed,
    Open,
}

impl Interims {
    /// From now on, until [`close`](Self::close), interim answers go out.
    pub(crate) fn open(peer: &Arc<Peer>) -> Interim {
        let mut waiting = peer.interims.waiting.lock();
        waiting.phase = Phase::Open;
        waiting.request += 1;
        let request = waiting.request;
        let peer = Arc::downgrade(peer);
        Arc::new(move |status, headers| {
            if let Some(peer) = peer.upgrade() {
                peer.interims.hand_in(request, status, headers);
            }
        })
    }

    /// The final answer is there. What waits still goes out before it.
    pub(crate) fn close(&self) {
        self.waiting.lock().phase = Phase::Closed;
    }

    /// Wakes this task when something is handed in: hyper flushes after it has asked the service again.
    pub(crate) fn watch(&self, cx: &Context<'_>) {
        self.task.register(cx.waker());
    }

    /// What is to go out now, at a place where an answer may begin.
    pub(super) fn take(&self) -> Option<Vec<u8>> {
        if !self.has_any.load(Relaxed) {
            return None;
        }
        let mut waiting = self.waiting.lock();
        self.has_any.store(false, Relaxed);
        Some(std::mem::take(&mut waiting.bytes)).filter(|bytes| !bytes.is_empty())
    }

    /// Forgets what waits once its final answer is there: it went out with the end of the answer before.
    pub(super) fn forget_late(&self) {
        if !self.has_any.load(Relaxed) {
            return;
        }
        let mut waiting = self.waiting.lock();
        if waiting.phase == Phase::Closed {
            waiting.bytes.clear();
            self.has_any.store(false, Relaxed);
        }
    }

    fn hand_in(&self, request: u64, status: StatusCode, headers: &HeaderMap) {
        // 100 as well: nobody here has asked the origin for it (RFC 9110 section 15.2). 101 is an offer that nobody made.
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let bytes = serialised(status, headers);
        {
            let mut waiting = self.waiting.lock();
            let is_in_time = waiting.phase == Phase::Open && waiting.request == request;
            if !is_in_time || waiting.bytes.len() + bytes.len() > MOST {
                return;
            }
            waiting.bytes.extend_from_slice(&bytes);
            self.has_any.store(true, Relaxed);
        }
        self.task.wake();
    }
}

/// The bytes of an interim answer (RFC 9112 section 2.1).
fn serialised(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut headers = headers.clone();
    hop::remove(&mut headers);
    // An interim answer has no content; whoever believed this would lose the beginning of the next (RFC 9110 section 8.6).
    headers.remove(CONTENT_LENGTH);
    let mut line = String::new();
    // Writing to a string cannot fail.
    let _ =
        write!(line, "HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default());
    let mut bytes = line.into_bytes();
    for (name, value) in &headers {
        bytes.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}
