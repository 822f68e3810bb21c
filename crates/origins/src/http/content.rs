//! [`Content`]: a request's content on its way to an origin, and [`Sending`], by which the exchange watches and ends it.
//!
//! Content passes at the pace of the slower side: hyper takes a frame when the connection takes bytes, and only then
//! is the client asked for the next. Trailers are dropped. What both halves share is one small state under a lock that
//! is held for no call out. Invariants: content that breaks off, or ends short of its declared length, ends with an
//! error, so that the origin sees a broken request (RFC 9112 section 8, RFC 9113 section 8.1.1); content goes no
//! further once the exchange is over. A request without content has no shared state and costs nothing.

use std::error::Error as StdError;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use cache::{Error, Kind, RequestBody};
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;

/// What hyper takes the content from.
pub(crate) struct Content {
    /// None when there is none, when it has ended, and when nobody wants the rest.
    source: Option<RequestBody>,
    /// What is still to come, when its length was declared.
    left: Option<u64>,
    flow: Option<Arc<Mutex<Flow>>>,
}

/// The exchange's hold on its request's content. Dropping it ends the content: when it was not whole by then, the
/// connection (of HTTP/2 the stream) goes with it.
#[derive(Default)]
pub(crate) struct Sending(Option<Arc<Mutex<Flow>>>);

struct Flow {
    phase: Phase,
    /// When the origin last took some, or its end.
    moved: Instant,
    waits_for: Side,
    failure: Option<Error>,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Frames pass.
    Flowing,
    /// The origin has answered and wants no more; the connection stays until the answer is whole.
    Held,
    /// The exchange is over.
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Origin,
}

impl Content {
    /// A request's content, if it has any, and the hold on it.
    pub(crate) fn new(source: Option<RequestBody>) -> (Self, Sending) {
        let Some(source) = source else { return (Self::none(), Sending(None)) };
        let flow = Arc::new(Mutex::new(Flow {
            phase: Phase::Flowing,
            moved: Instant::now(),
            waits_for: Side::Origin,
            failure: None,
            waker: None,
        }));
        let left = source.size_hint().exact();
        (Self { source: Some(source), left, flow: Some(Arc::clone(&flow)) }, Sending(Some(flow)))
    }

    pub(crate) const fn none() -> Self {
        Self { source: None, left: None, flow: None }
    }

    /// The declared length; None when there is no content, too.
    pub(crate) const fn length(&self) -> Option<u64> {
        self.left
    }

    pub(crate) const fn is_none(&self) -> bool {
        self.flow.is_none()
    }

    /// Notes what the client has given: data, or an end.
    fn take(&mut self, data: Option<Result<Bytes, Error>>) -> Option<Result<Bytes, Error>> {
        let short = self.left.filter(|left| *left > 0);
        let taken = match (data, short) {
            (Some(Ok(data)), _) => {
                self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                Some(Ok(data))
            }
            (None, Some(left)) => {
                let detail = format!("the request's content ended {left} bytes short of its declared length");
                Some(Err(Error::new(Kind::FillAbandoned, detail)))
            }
            (other, _) => other,
        };
        if !matches!(taken, Some(Ok(_))) {
            self.source = None;
        }
        if let Some(flow) = &self.flow {
            let mut flow = flow.lock();
            flow.moved = Instant::now();
            flow.waits_for = Side::Origin;
            flow.failure = taken.as_ref().and_then(|taken| taken.as_ref().err().cloned());
        }
        taken
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let Some(flow) = &this.flow else { return Poll::Ready(None) };
        match Flow::enter(flow, cx) {
            Phase::Flowing => {}
            Phase::Held => {
                this.source = None;
                return Poll::Pending;
            }
            Phase::Over => {
                this.source = None;
                return Poll::Ready(Some(Err("the exchange is over".into())));
            }
        }
        while let Some(source) = &mut this.source {
            let data = match source.as_mut().poll_frame(cx) {
                Poll::Pending => {
                    flow.lock().waits_for = Side::Client;
                    return Poll::Pending;
                }
                Poll::Ready(None) => None,
                Poll::Ready(Some(Err(error))) => Some(Err(error)),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => Some(Ok(data)),
                    Err(_trailers) => continue,
                },
            };
            return Poll::Ready(this.take(data).map(|taken| Ok(Frame::data(taken?))));
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Some(source) => source.is_end_stream() && self.left.is_none_or(|left| left == 0),
            None => self.flow.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.source, self.left) {
            (None, None) => SizeHint::with_exact(0),
            (_, Some(left)) => SizeHint::with_exact(left),
            (Some(_), None) => SizeHint::default(),
        }
    }
}

impl Flow {
    fn enter(flow: &Mutex<Self>, cx: &Context<'_>) -> Phase {
        let mut flow = flow.lock();
        flow.waker = Some(cx.waker().clone());
        flow.phase
    }

    fn turn(flow: &Mutex<Self>, phase: Phase) {
        let mut flow = flow.lock();
        flow.phase = phase;
        let waker = flow.waker.take();
        drop(flow);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Sending {
    /// Why the content broke off.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.0.as_ref()?.lock().failure.clone()
    }

    /// The head of the final answer is there. One that is no success means that the rest is not wanted (RFC 9112
    /// section 9.5). After a success it may be: there are origins that answer while they read.
    pub(crate) fn answered(&self, status: StatusCode) {
        if let (Some(flow), false) = (&self.0, status.is_success()) {
            Flow::turn(flow, Phase::Held);
        }
    }

    /// The output of `event`, or None when the origin has kept it waiting for `limit`. Time in which content moves,
    /// or in which the client is to send the next of it, does not count.
    pub(crate) async fn bounded<F: Future>(&self, limit: Duration, event: F) -> Option<F::Output> {
        let mut event = pin!(event);
        let mut due = Instant::now() + limit;
        loop {
            if let Ok(output) = tokio::time::timeout_at(due, &mut event).await {
                return Some(output);
            }
            due = self.quiet_since()? + limit;
            if due <= Instant::now() {
                return None;
            }
        }
    }

    /// Since when the origin has taken nothing although it could; None when there is no content, or no more.
    pub(crate) fn quiet_since(&self) -> Option<Instant> {
        let flow = self.0.as_ref()?.lock();
        match (flow.phase, flow.waits_for) {
            (Phase::Flowing, Side::Client) => Some(Instant::now()),
            (Phase::Flowing, Side::Origin) => Some(flow.moved),
            (Phase::Held | Phase::Over, _) => None,
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some(flow) = &self.0 {
            Flow::turn(flow, Phase::Over);
        }
    }
}

#[cfg(test)]
mod tests;
