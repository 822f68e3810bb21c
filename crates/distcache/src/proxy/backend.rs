//! The server's side: one task that connects, sends what clients ask, and hands answers over.
//!
//! `Connecting → Connected → (lost) → Connecting`; attempts are at least the retry pause apart. A server that is
//! malformed, closes, or leaves a request unanswered for too long is lost, and everyone who waits is told so.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};
use zeroize::Zeroize;

use super::relay::Shared;
use super::requests::Delivery;
use crate::error::Malformed;
use crate::frame::Direction;
use crate::message::Decoder;
use crate::net::{Connector, Stream};
use crate::secret;
use crate::serve::{Alarm, Scratch};

/// Runs until it is aborted.
pub(super) async fn run(shared: Arc<Shared>, server: Connector, retry: Duration, timeout: Duration) {
    let metrics = &shared.metrics;
    loop {
        let next = Instant::now() + retry;
        metrics.connects.up();
        if let Ok(stream) = server.connect().await {
            metrics.connected.up();
            shared.requests.lock().connect();
            let mut link = Link::new(&shared, stream, timeout);
            std::future::poll_fn(|cx| link.poll(cx)).await;
            let told = shared.requests.lock().disconnect();
            metrics.answered_disconnected.add(told as u64);
            metrics.connected.down();
            metrics.disconnects.up();
        } else {
            metrics.connect_errors.up();
        }
        sleep_until(next).await;
    }
}

/// A connection to the server.
struct Link<'a> {
    shared: &'a Shared,
    stream: Stream,
    timeout: Duration,
    decoder: Decoder,
    /// The start of a frame.
    input: Vec<u8>,
    /// Being sent; the first `sent` bytes are.
    output: Vec<u8>,
    sent: usize,
    alarm: Alarm,
}

/// The connection is of no use any more; why is nobody's business but the operator's, who sees it counted.
struct Lost;

impl<'a> Link<'a> {
    fn new(shared: &'a Shared, stream: Stream, timeout: Duration) -> Self {
        Self {
            shared,
            stream,
            timeout,
            decoder: Decoder::new(Direction::Response),
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            alarm: Alarm::default(),
        }
    }

    /// Ready when the server is lost.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = Scratch::borrow();
        let worked = self.work(cx, &mut scratch.input);
        scratch.give_back();
        if worked.is_err() {
            return Poll::Ready(());
        }
        let oldest = self.shared.requests.lock().oldest();
        self.alarm.poll(oldest.map(|since| since + self.timeout), cx)
    }

    fn work(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Result<(), Lost> {
        loop {
            // First what came: answers make room for requests that wait.
            let received = self.receive(cx, buffer)?;
            let sent = self.send(cx).map_err(|_| Lost)?;
            if !received && !sent {
                return Ok(());
            }
        }
    }

    fn receive(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Result<bool, Lost> {
        let mut read = ReadBuf::new(buffer);
        match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
            Poll::Pending => return Ok(false),
            Poll::Ready(result) => result.map_err(|_| Lost)?,
        }
        let bytes = read.filled_mut();
        if bytes.is_empty() {
            return Err(Lost);
        }
        let delivered = if self.input.is_empty() {
            self.deliver(bytes).map(|used| self.input.extend_from_slice(&bytes[used..]))
        } else {
            let mut input = std::mem::take(&mut self.input);
            secret::append(&mut input, bytes);
            self.deliver(&input).map(|used| {
                secret::drop_front(&mut input, used);
                self.input = input;
            })
        };
        bytes.zeroize();
        delivered.map(|()| true).map_err(|_| Lost)
    }

    /// Hands whole answers over; returns how many bytes are done with.
    fn deliver(&mut self, input: &[u8]) -> Result<usize, Malformed> {
        let metrics = &self.shared.metrics;
        let mut requests = self.shared.requests.lock();
        let mut used = 0;
        loop {
            let step = self.decoder.next(&input[used..])?;
            used += step.used;
            let Some(message) = step.message else { return Ok(used) };
            match requests.answer(message.uid, message.operation, message.payload)? {
                Delivery::ToClient => {}
                Delivery::Orphan => metrics.orphans.up(),
                Delivery::Unasked => metrics.unasked.up(),
            }
        }
    }

    fn send(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut progress = false;
        loop {
            if self.sent == self.output.len() {
                secret::empty(&mut self.output);
                self.sent = 0;
                self.shared.requests.lock().take_outgoing(&mut self.output, cx);
                if self.output.is_empty() {
                    // TLS has buffers of its own; when they are full, the next turn goes on.
                    let _ = Pin::new(&mut self.stream).poll_flush(cx)?;
                    return Ok(progress);
                }
            }
            match Pin::new(&mut self.stream).poll_write(cx, &self.output[self.sent..])? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(count) => self.sent += count,
                Poll::Pending => return Ok(progress),
            }
            progress = true;
        }
    }
}

impl Drop for Link<'_> {
    fn drop(&mut self) {
        self.input.zeroize();
        self.output.zeroize();
    }
}
