//! One connection: bytes in, requests to a service, answers out in the order of the requests.
//!
//! Per turn one read takes what has arrived, every whole request in it is put to the service, and one write sends the
//! answers. When the client does not take its answers, or too many are outstanding, nothing more is read: its own
//! socket holds it back. A client that closed its sending side still gets all its answers.
//!
//! | it ends when | answers before that |
//! |---|---|
//! | the client closed, or its partial request will never be whole | all sent |
//! | malformed bytes came | those of the requests before, all sent |
//! | the server drains and nothing is left to answer | all sent |
//! | a limit of time was reached, the socket broke, the server cuts | lost |
//!
//! An idle connection holds no buffers; those of the thread are lent to it while it runs.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::yield_now;
use tokio::time::Instant;
use zeroize::{Zeroize, Zeroizing};

use super::gate::{Gate, Stage, StageWatch};
use super::{Alarm, Scratch, Service};
use crate::frame::Direction;
use crate::message::Decoder;
use crate::metrics::{ConnectionMetrics, Counter};
use crate::secret;

/// What a connection may cost.
pub(crate) struct Limits {
    pub(crate) idle: Option<Duration>,
    pub(crate) partial: Duration,
    pub(crate) stalled: Duration,
    pub(crate) output: usize,
    pub(crate) in_flight: usize,
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Closed,
    Broken,
    Malformed,
    Idle,
    Partial,
    Stalled,
    Drained,
    Cut,
}

struct Connection<'a, V: Service, S> {
    service: &'a V,
    limits: &'a Limits,
    stream: &'a mut S,
    decoder: Decoder,
    /// Received and not used yet: requests that wait their turn, or a part of a frame.
    input: Vec<u8>,
    /// `input` may hold a whole request.
    backlog: bool,
    /// Answers that the client has not taken; the first `sent` bytes it has.
    output: Vec<u8>,
    sent: usize,
    /// The stream (TLS has buffers of its own) may still hold some of what was sent.
    unflushed: bool,
    waiting: VecDeque<Waiting<V::Later>>,
    /// Nothing more will be read, for this reason.
    closing: Option<End>,
    alarm: Alarm,
    /// When the last whole request came.
    last_request: Instant,
    /// Since when a request has been incomplete.
    partial_since: Option<Instant>,
    /// Since when the client has taken nothing.
    stalled_since: Option<Instant>,
}

/// An answer that cannot be sent yet.
enum Waiting<L> {
    Later(L),
    /// Its turn comes after others.
    Whole(Zeroizing<Vec<u8>>),
}

/// Serves a connection until it is over; whether its end was in order, so that a goodbye makes sense.
pub(super) async fn serve<V, S>(service: &V, limits: &Limits, gate: &Gate, stream: &mut S) -> bool
where
    V: Service,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = Connection::new(service, limits, stream);
    let mut watch = StageWatch::new(gate);
    let open = poll_fn(|cx| match watch.stage(cx) {
        Stage::Open => connection.poll(cx, Stage::Open).map(Some),
        Stage::Draining | Stage::Cut => Poll::Ready(None),
    });
    let end = match open.await {
        Some(end) => end,
        None => {
            // The runtime may not know yet what came before the stop; now it looks.
            yield_now().await;
            poll_fn(|cx| {
                let stage = watch.stage(cx);
                connection.poll(cx, stage)
            })
            .await
        }
    };
    if let Some(counter) = counter(service.connections(), end) {
        counter.up();
    }
    matches!(end, End::Closed | End::Malformed | End::Drained)
}

fn counter(metrics: &ConnectionMetrics, end: End) -> Option<&Counter> {
    match end {
        End::Closed | End::Broken | End::Drained => None,
        End::Malformed => Some(&metrics.closed_malformed),
        End::Idle => Some(&metrics.closed_idle),
        End::Partial => Some(&metrics.closed_partial),
        End::Stalled => Some(&metrics.closed_stalled),
        End::Cut => Some(&metrics.closed_drained),
    }
}

impl<'a, V: Service, S: AsyncRead + AsyncWrite + Unpin> Connection<'a, V, S> {
    fn new(service: &'a V, limits: &'a Limits, stream: &'a mut S) -> Self {
        Self {
            service,
            limits,
            stream,
            decoder: Decoder::new(Direction::Request),
            input: Vec::new(),
            backlog: false,
            output: Vec::new(),
            sent: 0,
            unflushed: false,
            waiting: VecDeque::new(),
            closing: None,
            alarm: Alarm::default(),
            last_request: Instant::now(),
            partial_since: None,
            stalled_since: None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, stage: Stage) -> Poll<End> {
        if stage == Stage::Cut {
            return Poll::Ready(End::Cut);
        }
        let mut scratch = Scratch::borrow();
        if self.output.is_empty() {
            std::mem::swap(&mut self.output, &mut scratch.output);
        }
        let worked = self.work(cx, &mut scratch);
        if self.output.is_empty() {
            scratch.take_back(&mut self.output);
        }
        scratch.give_back();
        if worked.is_err() {
            return Poll::Ready(End::Broken);
        }
        let done = self.output.is_empty() && !self.unflushed && self.waiting.is_empty() && !self.backlog;
        match self.closing {
            Some(end) if done => Poll::Ready(end),
            None if done && stage == Stage::Draining => Poll::Ready(End::Drained),
            _ => self.watch_time(cx),
        }
    }

    /// Does what can be done now; leaves everything that has to be waited for registered.
    fn work(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> io::Result<()> {
        loop {
            let mut progress = self.collect(cx);
            if self.backlog {
                progress |= self.take_backlog();
            }
            if !self.backlog && self.closing.is_none() && self.has_room() {
                progress |= self.receive(cx, &mut scratch.input)?;
            }
            progress |= self.send(cx)?;
            if !progress {
                return Ok(());
            }
        }
    }

    /// Answers that have come, in the order of their requests.
    fn collect(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while self.takes_answers() {
            match self.waiting.front_mut() {
                None => return progress,
                Some(Waiting::Whole(answer)) => secret::append(&mut self.output, answer),
                Some(Waiting::Later(later)) => {
                    if self.service.poll(later, cx, &mut self.output).is_pending() {
                        break;
                    }
                }
            }
            self.waiting.pop_front();
            progress = true;
        }
        // The others go on, too; they begin in the order of their requests.
        let polled = usize::from(self.takes_answers());
        for waiting in self.waiting.iter_mut().skip(polled) {
            let mut whole = Zeroizing::default();
            if let Waiting::Later(later) = waiting
                && self.service.poll(later, cx, &mut whole).is_ready()
            {
                *waiting = Waiting::Whole(whole);
            }
        }
        progress
    }

    fn take_backlog(&mut self) -> bool {
        if !self.has_room() {
            return false;
        }
        let mut input = std::mem::take(&mut self.input);
        let used = self.consume(&input);
        secret::drop_front(&mut input, used);
        self.keep(input);
        used > 0
    }

    fn receive(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> io::Result<bool> {
        let mut read = ReadBuf::new(buffer);
        match Pin::new(&mut *self.stream).poll_read(cx, &mut read) {
            Poll::Pending => return Ok(false),
            Poll::Ready(result) => result?,
        }
        let bytes = read.filled_mut();
        if bytes.is_empty() {
            let cut = self.decoder.is_within() || !self.input.is_empty();
            self.closing = Some(if cut { End::Partial } else { End::Closed });
            return Ok(true);
        }
        if self.input.is_empty() {
            let used = self.consume(bytes);
            if used < bytes.len() && self.closing.is_none() {
                self.keep(bytes[used..].to_vec());
            }
        } else {
            let mut input = std::mem::take(&mut self.input);
            secret::append(&mut input, bytes);
            let used = self.consume(&input);
            secret::drop_front(&mut input, used);
            self.keep(input);
        }
        bytes.zeroize();
        Ok(true)
    }

    /// Puts whole requests at the start of `input` to the service, as far as there is room for answers; returns how much
    /// of it is done with.
    fn consume(&mut self, input: &[u8]) -> usize {
        let mut used = 0;
        while self.has_room() {
            match self.next(&input[used..]) {
                Ok((count, true)) => used += count,
                Ok((count, false)) => {
                    used += count;
                    self.backlog = false;
                    self.note_partial(input.len() - used);
                    return used;
                }
                Err(end) => {
                    self.closing = Some(end);
                    self.backlog = false;
                    return input.len();
                }
            }
        }
        self.backlog = used < input.len();
        if self.backlog {
            self.service.held_back();
        }
        used
    }

    /// One request: how many bytes are done with, and whether there was one.
    fn next(&mut self, input: &[u8]) -> Result<(usize, bool), End> {
        let step = self.decoder.next(input).map_err(|_| End::Malformed)?;
        let Some(message) = step.message else { return Ok((step.used, false)) };
        let later = if self.waiting.is_empty() {
            self.service.call(message, &mut self.output).map(|later| later.map(Waiting::Later))
        } else {
            let mut whole = Zeroizing::default();
            let later = self.service.call(message, &mut whole);
            later.map(|later| Some(later.map_or(Waiting::Whole(whole), Waiting::Later)))
        };
        self.waiting.extend(later.map_err(|_| End::Malformed)?);
        self.partial_since = None;
        if self.limits.idle.is_some() {
            self.last_request = Instant::now();
        }
        Ok((step.used, true))
    }

    fn keep(&mut self, input: Vec<u8>) {
        if !input.is_empty() {
            self.input = input;
        }
    }

    fn note_partial(&mut self, left: usize) {
        if left == 0 && !self.decoder.is_within() {
            self.partial_since = None;
        } else if self.partial_since.is_none() {
            self.partial_since = Some(Instant::now());
        }
    }

    fn has_room(&self) -> bool {
        self.takes_answers() && self.waiting.len() < self.limits.in_flight
    }

    fn takes_answers(&self) -> bool {
        self.output.len() - self.sent < self.limits.output
    }

    fn send(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut progress = false;
        while self.sent < self.output.len() {
            match Pin::new(&mut *self.stream).poll_write(cx, &self.output[self.sent..])? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(count) => self.sent += count,
                Poll::Pending => {
                    // What was taken goes, or one that takes little and asks on would have us grow for ever.
                    if self.sent >= self.limits.output {
                        secret::drop_front(&mut self.output, std::mem::take(&mut self.sent));
                    }
                    return Ok(self.stalled(progress));
                }
            }
            progress = true;
            self.unflushed = true;
        }
        secret::empty(&mut self.output);
        self.sent = 0;
        if self.unflushed && Pin::new(&mut *self.stream).poll_flush(cx)?.is_pending() {
            return Ok(self.stalled(progress));
        }
        self.unflushed = false;
        self.stalled_since = None;
        Ok(progress)
    }

    /// The client does not take more; since when, is counted from the last byte it took.
    fn stalled(&mut self, progress: bool) -> bool {
        if progress || self.stalled_since.is_none() {
            self.stalled_since = Some(Instant::now());
        }
        progress
    }

    /// Ready when the connection has used up its time.
    fn watch_time(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let limits = self.limits;
        let (deadline, end) = if let Some(since) = self.stalled_since {
            (Some(since + limits.stalled), End::Stalled)
        } else if !self.waiting.is_empty() {
            (None, End::Idle)
        } else if let Some(since) = self.partial_since {
            (Some(since + limits.partial), End::Partial)
        } else {
            (limits.idle.map(|idle| self.last_request + idle), End::Idle)
        };
        ready!(self.alarm.poll(deadline, cx));
        Poll::Ready(end)
    }
}

impl<V: Service, S> Drop for Connection<'_, V, S> {
    fn drop(&mut self) {
        secret::empty(&mut self.input);
        secret::empty(&mut self.output);
    }
}
