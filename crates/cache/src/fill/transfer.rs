//! [`Transfer`]: the bytes of one object, from the origin into a [`Sink`], over as many answers as it takes.
//!
//! Invariant: what is written is a prefix of one representation, in order. A body that ends short, or with an
//! error, is gone on with (`resume`) or fails; it never ends well.

use std::future::poll_fn;

use bytes::{Buf, Bytes};
use store::{Failure, Fill};

use crate::cache::Inner;
use crate::fill::opening::Asking;
use crate::fill::pauses::Pauses;
use crate::{Error, Head, Http, Kind, OriginBody};

/// Where the bytes of a transfer go.
pub(crate) trait Sink: Send {
    /// Position in the object of the next byte to be written: where a broken transfer goes on.
    fn received(&self) -> u64;

    /// Whether all that was wanted of the object is there.
    fn is_satisfied(&self) -> bool;

    /// Takes the next bytes. Waits while whoever is behind lags.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Hands on what is buffered.
    fn flush(&mut self) -> impl Future<Output = Result<(), Failure>> + Send;
}

impl Sink for Fill<Http> {
    fn received(&self) -> u64 {
        Self::received(self)
    }

    /// The store wants whole objects.
    fn is_satisfied(&self) -> bool {
        false
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Failure> {
        Self::write(self, bytes).await
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        Self::flush(self).await
    }
}

pub(crate) struct Transfer<'a, S> {
    pub(super) inner: &'a Inner,
    pub(super) asking: &'a Asking,
    pub(super) head: &'a Head,
    pub(super) sink: &'a mut S,
    /// Length of the whole object when known: declared with it, or by the answer to a resumed request.
    pub(super) total: Option<u64>,
    /// Pauses between attempts to go on, since the last progress.
    pub(super) pauses: Pauses,
    /// Bytes that had been received when `pauses` began.
    pub(super) progress: u64,
}

/// One answer's bytes and how they continue what has been received.
pub(crate) struct Segment {
    pub(crate) body: OriginBody,
    /// Bytes that have been received before and come again.
    pub(crate) skip: u64,
    /// Bytes this answer may bring, when it says so.
    pub(crate) left: Option<u64>,
}

/// Why a segment ended early.
enum Break {
    /// The origin's trouble: perhaps it can be gone on with.
    Origin(Error),
    /// No more bytes are wanted.
    Final(Failure),
}

/// Why a transfer ended early.
pub(crate) enum Cut {
    /// What has been received is right: another transfer may go on with it.
    Clean(Failure),
    /// It is worth nothing, or the sink takes no more.
    Foul(Failure),
}

impl Cut {
    pub(crate) fn into_failure(self) -> Failure {
        match self {
            Self::Clean(failure) | Self::Foul(failure) => failure,
        }
    }
}

impl Segment {
    /// An answer with the whole object.
    pub(crate) const fn whole(body: OriginBody) -> Self {
        Self { body, skip: 0, left: None }
    }
}

impl<'a, S: Sink> Transfer<'a, S> {
    pub(crate) fn new(
        inner: &'a Inner,
        asking: &'a Asking,
        head: &'a Head,
        sink: &'a mut S,
        total: Option<u64>,
    ) -> Self {
        let pauses = Pauses::new(&inner.settings, inner.settings.resume_for);
        let progress = sink.received();
        Self { inner, asking, head, sink, total, pauses, progress }
    }

    /// Takes the whole object; the first answer is given.
    pub(crate) async fn run(&mut self, mut segment: Segment) -> Result<(), Cut> {
        loop {
            match self.pump(&mut segment).await {
                Ok(()) => return Ok(()),
                Err(Break::Final(failure)) => return Err(Cut::Foul(failure)),
                Err(Break::Origin(error)) => segment = self.resume(error).await?,
            }
        }
    }

    async fn pump(&mut self, segment: &mut Segment) -> Result<(), Break> {
        loop {
            match self.next_bytes(segment).await? {
                Some(Ok(bytes)) => {
                    self.take(segment, bytes).await?;
                    if self.sink.is_satisfied() {
                        return Ok(());
                    }
                }
                Some(Err(error)) => return self.broken(error),
                None => return self.ended(segment),
            }
        }
    }

    /// The next piece of data; meanwhile followers get what is buffered when the origin pauses.
    async fn next_bytes(&mut self, segment: &mut Segment) -> Result<Option<Result<Bytes, Error>>, Break> {
        let pause = self.inner.settings.flush_pause;
        match tokio::time::timeout(pause, next_data(&mut segment.body)).await {
            Ok(next) => Ok(next),
            Err(_) => {
                self.sink.flush().await.map_err(Break::Final)?;
                Ok(next_data(&mut segment.body).await)
            }
        }
    }

    async fn take(&mut self, segment: &mut Segment, mut bytes: Bytes) -> Result<(), Break> {
        let length = bytes.len() as u64;
        self.inner.metrics.origin_bytes.inc_by(length);
        if let Some(left) = &mut segment.left {
            *left = left.checked_sub(length).ok_or_else(too_long)?;
        }
        let known = segment.skip.min(length);
        segment.skip -= known;
        bytes.advance(usize::try_from(known).unwrap_or(bytes.len()));
        if bytes.is_empty() {
            return Ok(());
        }
        if self.total.is_some_and(|total| self.sink.received() + bytes.len() as u64 > total) {
            return Err(too_long());
        }
        self.sink.write(bytes).await.map_err(Break::Final)
    }

    /// The clean end of an answer: the end of the object, if all of it has come.
    fn ended(&self, segment: &Segment) -> Result<(), Break> {
        let received = self.sink.received();
        match self.total {
            Some(total) if received < total => {
                let detail = format!("The origin's answer ended after {received} of {total} bytes.");
                Err(Break::Origin(Error::new(Kind::OriginBroken, detail)))
            }
            _ if segment.skip > 0 => {
                let detail = "The origin's repeated answer is shorter than what it sent before.";
                Err(Break::Final(Error::new(Kind::ObjectChanged, detail).to_failure()))
            }
            _ => Ok(()),
        }
    }

    /// An error after the last declared byte does no harm, unless it says that there is more.
    fn broken(&self, error: Error) -> Result<(), Break> {
        if self.total == Some(self.sink.received()) && error.kind != Kind::OriginBroken {
            return Ok(());
        }
        Err(Break::Origin(error))
    }
}

fn too_long() -> Break {
    let detail = "The origin sent more bytes than it had declared.";
    Break::Final(Error::new(Kind::OriginBroken, detail).to_failure())
}

/// The next data of a body; trailers are passed over.
async fn next_data(body: &mut OriginBody) -> Option<Result<Bytes, Error>> {
    loop {
        match poll_fn(|cx| body.as_mut().poll_frame(cx)).await? {
            Ok(frame) => {
                if let Ok(bytes) = frame.into_data() {
                    return Some(Ok(bytes));
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
}
