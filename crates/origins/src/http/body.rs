//! [`ExchangeBody`]: the bytes of one answer, watched.
//!
//! Owns the exchange's permit and its hold on the request's content, and gives them back when the body ends, breaks or is dropped. Invariant: it ends
//! cleanly only where the framing says so; hyper checks `Content-Length` and chunks, rustls the end of TLS
//! (user demand 4c 31, 33-35). An HTTP/2 stream that is reset with NO_ERROR, which hyper takes for an end, is none.
//! A body framed by the end of a plain connection ends with FIN: there is no way to tell more. Frames are passed on as they are, trailers are dropped, coding is not looked at.

use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use cache::{Error, Kind};
use http::Version;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::content::Sending;
use super::limits::Permit;
use crate::Settings;
use crate::connect::Endpoint;
use crate::metrics::Metrics;

/// The body of an answer.
pub(crate) struct ExchangeBody<B> {
    inner: B,
    version: Version,
    pace: Pace,
    endpoint: Endpoint,
    metrics: Arc<Metrics>,
    /// None once the body has ended or broken.
    held: Option<Held>,
}

/// What an exchange holds until its answer's body has ended.
pub(crate) struct Held {
    sending: Sending,
    permit: Permit,
}

impl Held {
    pub(crate) const fn new(permit: Permit, sending: Sending) -> Self {
        Self { sending, permit }
    }
}

impl<B> ExchangeBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + 'static,
{
    pub(crate) fn new(
        inner: B,
        version: Version,
        settings: &Settings,
        endpoint: Endpoint,
        metrics: Arc<Metrics>,
        held: Held,
    ) -> Self {
        let held = (!inner.is_end_stream()).then_some(held);
        Self {
            inner,
            version,
            pace: Pace::new(settings.idle_timeout, settings.min_progress),
            endpoint,
            metrics,
            held,
        }
    }

    fn broken(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.held = None;
        self.metrics.broken_body(&error);
        Poll::Ready(Some(Err(error)))
    }
}

impl<B> Body for ExchangeBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + 'static,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        while let Some(held) = &this.held {
            held.permit.goes_on();
            let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
                ready!(this.pace.poll_stalled(cx));
                // Who still takes content need not answer meanwhile.
                if held.sending.quiet_since().is_some_and(|since| since.elapsed() < this.pace.idle) {
                    this.pace.restart();
                    continue;
                }
                let error = stalled(&this.endpoint, &this.pace);
                return this.broken(error);
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    this.pace.progress(data.len() as u64);
                    this.metrics.received.inc_by(data.len() as u64);
                    held.permit.lies();
                    if this.inner.is_end_stream() {
                        this.held = None;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Ok(Err(_trailers))) => {}
                Some(Err(error)) => {
                    let error = cut(&this.endpoint, &error);
                    return this.broken(error);
                }
                None if this.version == Version::HTTP_2 && !this.inner.is_end_stream() => {
                    let detail = format!("{} reset the body's stream before its end", this.endpoint);
                    return this.broken(Error::new(Kind::OriginBroken, detail));
                }
                None => this.held = None,
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn stalled(endpoint: &Endpoint, pace: &Pace) -> Error {
    let Pace { idle, min_progress, .. } = pace;
    let detail = format!("{endpoint} sent less than {min_progress} bytes of the body within {idle:?}");
    Error::new(Kind::OriginTimeout, detail)
}

fn cut(endpoint: &Endpoint, error: &(dyn std::error::Error + 'static)) -> Error {
    let cause: &dyn Display = super::client::root_cause(error);
    Error::new(Kind::OriginBroken, format!("the body from {endpoint} broke off: {cause}"))
}

/// Measures waiting: `min_progress` bytes are due within every `idle` of it. Time between polls in which the
/// reader does something else does not count, and a body that is always there costs no timer.
struct Pace {
    idle: Duration,
    min_progress: u64,
    /// Waited and received since progress was last sufficient.
    waited: Duration,
    received: u64,
    waiting_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    fn new(idle: Duration, min_progress: u64) -> Self {
        let min_progress = min_progress.max(1);
        Self { idle, min_progress, waited: Duration::ZERO, received: 0, waiting_since: None, alarm: None }
    }

    fn progress(&mut self, bytes: u64) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        self.received += bytes;
        if self.received >= self.min_progress {
            self.restart();
        }
    }

    fn restart(&mut self) {
        self.received = 0;
        self.waited = Duration::ZERO;
        self.waiting_since = None;
    }

    /// Ready when it has been too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let since = *self.waiting_since.get_or_insert(now);
        let deadline = since + self.idle.saturating_sub(self.waited);
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        // The deadline only ever moves on, so an alarm set earlier may ring too early but never too late.
        while alarm.as_mut().poll(cx).is_ready() {
            if deadline <= now {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
