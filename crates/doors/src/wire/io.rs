//! [`Wire`]: the socket beneath hyper.
//!
//! Owns the socket of one connection; hyper calls it on the connection's task. A slice that is a noted view of a file
//! ([`Extents`](super::extents::Extents)) goes out by `sendfile` from that file, everything else by an ordinary
//! vectored write. A head with a file view behind it goes out with `MSG_MORE`, so that both fill whole segments: holding
//! back more than that makes the receiver sleep, and waking it is most of the sender's work (docs/decisions/0005).
//!
//! Invariants: bytes leave in the order hyper gave them; a count of zero is never reported for a file view (a file that
//! shrank is an error); after [`TURN`] bytes of files, or a [`STEP`] of memory, other connections have their turn.
//!
//! The wire also keeps the connection's clocks, because it alone sees silence on either side: a reader that takes no
//! byte for [`Limits::write`] is cut; so is a peer without a request in hand that takes longer than [`Limits::head`]
//! for a request's head, or says nothing for [`Limits::idle`], or sends more than [`Limits::aside`] that is no request.
//!
//! Needs hyper to queue buffers rather than copy them: `writev(true)`, never `pipeline_flush`.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{ReadBuf, ReadBufCursor};
use rustix::fs::sendfile;
use rustix::net::{SendFlags, send};
use tokio::io::Interest;
use tokio::time::Instant;

use super::extents::Found;
use super::patience::Patience;
use super::peer::Peer;
use super::socket::Socket;
use crate::service::event::Ending;

/// Head and body of a response no longer than this leave as one run of bytes.
const JOINED: usize = 4096;

/// Most bytes of files that leave before other connections have their turn, so that one fast reader does not hold the
/// thread.
const TURN: usize = 2 * 1024 * 1024;

/// Most bytes of files in a response's first turn.
const FIRST: usize = 16 * 1024;

/// Longer runs of memory leave in steps of this many bytes, with other connections in between: more at once costs more
/// a byte (measured, docs/decisions/0006).
pub(super) const STEP: usize = 512 * 1024;

/// A rest no longer than this leaves together with the step before it.
const REST: usize = 64 * 1024;

/// Most slices looked at for a step; hyper gives no more at once.
const SLICES: usize = 64;

/// Most bytes of a request's head that are read at once.
const HEAD_STEP: usize = 4096;

/// How long a closing connection waits for the peer to stop sending, and for how many bytes. Closing with unread
/// bytes resets the connection, which can take our last answer from the peer's hands.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: usize = 256 * 1024;

/// How long a peer may stay silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Without taking a byte that waits for it.
    pub(crate) write: Duration,
    /// From a connection's start, or a head's first byte, to the head's end.
    pub(crate) head: Duration,
    /// Between requests.
    pub(crate) idle: Duration,
    /// Bytes that may come while no request is in hand, the next one's head among them: what HTTP/2 has frames for beside
    /// requests costs the sender nothing (RFC 9113 section 10.5).
    pub(crate) aside: usize,
}

/// The socket of one connection, beneath hyper.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: Socket,
    peer: Arc<Peer>,
    limits: Limits,
    /// Bytes of files that may still leave in this turn; none after a step of memory.
    turn_left: usize,
    writing: Patience,
    quiet: Patience,
    /// Bytes came since the last request began: a head is on its way.
    head_begun: bool,
    requests_seen: u32,
    /// Requests that had begun when bytes of a head last came.
    heads_noted: u32,
    /// Bytes that came since then without a request in hand.
    aside: usize,
    /// Since hyper's last flush nothing of an answer has gone out: one may begin here.
    between_answers: bool,
    /// Interim answers that have begun to go out, and how many of their bytes have.
    interim: Option<(Vec<u8>, usize)>,
    /// HTTP/2: how long the client has left bytes lying.
    lying: Patience,
    farewell: Option<Farewell>,
}

/// Our side is closed; the peer's is being drained.
#[derive(Debug)]
struct Farewell {
    patience: Patience,
    bytes_left: usize,
}

impl Wire {
    pub(crate) fn new(socket: impl Into<Socket>, peer: Arc<Peer>, limits: Limits) -> Self {
        Self {
            socket: socket.into(),
            peer,
            limits,
            turn_left: TURN,
            writing: Patience::default(),
            quiet: Patience::default(),
            // A new connection owes its first head at once.
            head_begun: true,
            requests_seen: 0,
            heads_noted: 0,
            aside: 0,
            between_answers: true,
            interim: None,
            lying: Patience::default(),
            farewell: None,
        }
    }

    fn write_file(&mut self, found: &Found, length: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let length = length.min(self.turn_left);
        let socket = self.socket.tcp();
        loop {
            if socket.poll_write_ready(cx)?.is_pending() {
                self.turn_left = TURN;
                return Poll::Pending;
            }
            let mut offset = found.offset;
            let sent = socket.try_io(Interest::WRITABLE, || {
                Ok(sendfile(socket, &*found.file, Some(&mut offset), length)?)
            });
            match sent {
                Ok(0) => return Poll::Ready(Err(shrunk())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(sent) => {
                    self.turn_left -= sent;
                    return Poll::Ready(Ok(sent));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Bytes in memory; a run of a few short slices is joined first, which costs less than a vectored write.
    fn write_plain(&mut self, slices: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if slices.len() > 1 && length <= JOINED {
            let mut joined = [0; JOINED];
            let mut at = 0;
            for slice in slices {
                joined[at..at + slice.len()].copy_from_slice(slice);
                at += slice.len();
            }
            return self.socket.poll_write(cx, &joined[..length]);
        }
        if length > STEP + REST {
            return self.write_step(slices, cx);
        }
        self.socket.poll_write_vectored(cx, slices)
    }

    /// What comes before a view of a file. More follows at once, so that both fill whole segments. Of the file, few bytes
    /// leave at first: when a thousand wait for their first byte, nobody gets megabytes before the others have theirs.
    fn write_head(&mut self, slices: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let socket = self.socket.tcp();
        let mut joined = [0; JOINED];
        let mut length = 0;
        for slice in slices {
            let count = slice.len().min(JOINED - length);
            joined[length..length + count].copy_from_slice(&slice[..count]);
            length += count;
        }
        loop {
            if socket.poll_write_ready(cx)?.is_pending() {
                return Poll::Pending;
            }
            let sent = socket.try_io(Interest::WRITABLE, || {
                Ok(send(socket, &joined[..length], SendFlags::MORE | SendFlags::NOSIGNAL)?)
            });
            match sent {
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                sent => {
                    self.turn_left = FIRST;
                    return Poll::Ready(sent);
                }
            }
        }
    }

    /// The first [`STEP`] bytes of a longer run; then it is the others' turn.
    fn write_step(&mut self, slices: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut step = [IoSlice::new(&[]); SLICES];
        let mut left = STEP;
        for (part, slice) in step.iter_mut().zip(slices) {
            *part = IoSlice::new(&slice[..slice.len().min(left)]);
            left -= part.len();
        }
        let taken = self.socket.poll_write_vectored(cx, &step);
        self.turn_left = if taken.is_ready() { 0 } else { TURN };
        taken
    }

    /// Counts what the socket took; when it took nothing, watches how long that lasts.
    fn account(&mut self, taken: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match taken {
            Poll::Ready(Ok(count)) => {
                self.peer.count_written(count);
                self.writing.renew();
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(self.writing.poll_lost(self.limits.write, cx));
                self.peer.recorder().metrics.write_stalled();
                Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the reader took nothing for too long",
                )))
            }
        }
    }

    /// Sends interim answers that have begun, and those that wait where one may begin.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.interim.is_none() && self.between_answers {
            self.interim = self.peer.interims.take().map(|bytes| (bytes, 0));
        }
        while let Some((bytes, sent)) = &mut self.interim {
            let taken = self.socket.poll_write(cx, &bytes[*sent..]);
            match taken {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => *sent += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return self.account(Poll::Pending, cx).map(|done| done.map(drop)),
            }
            if *sent == bytes.len() {
                self.interim = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// HTTP/2: ready when the client has left bytes of an answer lying for too long, though it takes and sends others
    /// (4c 15: a window that never opens).
    fn poll_lying(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let Some(since) = self.peer.oldest_offer() else {
                self.lying.renew();
                return Poll::Pending;
            };
            let left = self.limits.write.saturating_sub(Instant::now().saturating_duration_since(since));
            if left.is_zero() {
                self.peer.recorder().metrics.write_stalled();
                return Poll::Ready(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the reader took nothing for too long",
                ));
            }
            ready!(self.lying.poll_lost(left, cx));
            self.lying.renew();
        }
    }

    /// Ready when the peer owes us a request and has been silent for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.peer.is_http2()
            && let Poll::Ready(error) = self.poll_lying(cx)
        {
            return Poll::Ready(error);
        }
        if self.peer.is_active() || self.writing.is_waiting() {
            self.quiet.renew();
            return Poll::Pending;
        }
        if self.requests_seen != self.peer.begun() {
            self.requests_seen = self.peer.begun();
            self.head_begun = false;
            self.quiet.renew();
        }
        let limit =
            if self.head_begun && !self.peer.is_http2() { self.limits.head } else { self.limits.idle };
        ready!(self.quiet.poll_lost(limit, cx));
        self.peer.recorder().metrics.read_timed_out();
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the peer said nothing for too long"))
    }

    /// Reads; between requests it counts, and keeps the bytes of a head for those who doubt its framing.
    fn poll_bytes(&mut self, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if self.peer.is_active() {
            return self.socket.poll_read(cx, buf);
        }
        let mut space = [const { MaybeUninit::uninit() }; HEAD_STEP];
        let most = buf.remaining().min(HEAD_STEP);
        let mut head = ReadBuf::uninit(&mut space[..most]);
        ready!(self.socket.poll_read(cx, head.unfilled()))?;
        buf.put_slice(head.filled());
        if self.heads_noted != self.peer.begun() {
            self.heads_noted = self.peer.begun();
            self.aside = 0;
            self.peer.raw_head.forget();
        }
        if !self.peer.is_http2() {
            self.peer.raw_head.note(head.filled());
        }
        self.aside += head.filled().len();
        if self.aside > self.limits.aside {
            self.peer.recorder().metrics.flooded();
            return Poll::Ready(Err(io::Error::other("the peer sent much that is no request")));
        }
        Poll::Ready(Ok(()))
    }

    /// Takes and drops what the peer still sends, until it stops or has had enough time and bytes.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let socket = self.socket.tcp();
        let Some(farewell) = &mut self.farewell else { return Poll::Ready(()) };
        let mut dropped = [0; 4096];
        while farewell.bytes_left > 0 {
            match socket.poll_read_ready(cx) {
                Poll::Pending => return farewell.patience.poll_lost(FAREWELL, cx),
                Poll::Ready(Err(_)) => break,
                Poll::Ready(Ok(())) => {}
            }
            match socket.try_read(&mut dropped) {
                Ok(0) => break,
                Ok(count) => farewell.bytes_left = farewell.bytes_left.saturating_sub(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}

fn shrunk() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "a stored file became shorter while it was sent")
}

impl hyper::rt::Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Poll::Ready(read) = this.poll_bytes(cx, buf) {
            // Only a head's first byte starts its clock: one byte a second must not stretch it.
            if !this.head_begun {
                this.head_begun = true;
                this.quiet.renew();
            }
            return Poll::Ready(read);
        }
        this.poll_silence(cx).map(Err)
    }
}

impl hyper::rt::Write for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_interim(cx))?;
        this.between_answers = false;
        if this.turn_left == 0 {
            this.turn_left = TURN;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let at = slices.iter().enumerate().find_map(|(at, slice)| Some((at, this.peer.extents.find(slice)?)));
        let taken = match at {
            Some((at, found)) if slices[..at].iter().all(|slice| slice.is_empty()) => {
                this.write_file(&found, slices[at].len(), cx)
            }
            Some((at, _)) => this.write_head(&slices[..at], cx),
            None => this.write_plain(slices, cx),
        };
        this.account(taken, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper calls this when it has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.between_answers = true;
        this.peer.interims.forget_late();
        ready!(this.poll_interim(cx))?;
        if this.socket.poll_flush(cx)?.is_pending() {
            return this.account(Poll::Pending, cx).map(|stalled| stalled.map(drop));
        }
        this.writing.renew();
        this.peer.extents.clear();
        this.peer.settle(Ending::Complete);
        // The last bytes may leave long after hyper last looked for a request: start the clock here as well.
        if !this.quiet.is_waiting()
            && let Poll::Ready(error) = this.poll_silence(cx)
        {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.farewell.is_none() {
            ready!(self.socket.poll_shutdown(cx))?;
            self.farewell = Some(Farewell { patience: Patience::default(), bytes_left: FAREWELL_BYTES });
        }
        self.poll_farewell(cx).map(Ok)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.peer.settle(Ending::Broken);
        if self.peer.wants_reset() {
            // Best effort: the connection may be gone already.
            let _ = self.socket.tcp().set_zero_linger();
        }
    }
}
