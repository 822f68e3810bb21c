//! [`begun`]: waits for the first bytes of an answer's body, so that what breaks off before them can be told in time.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{Error, OriginBody};

/// The same body once its first frame, or its end, has come.
///
/// # Errors
/// It broke off before.
pub(super) async fn begun(mut body: OriginBody) -> Result<OriginBody, Error> {
    if body.is_end_stream() {
        return Ok(body);
    }
    let first = poll_fn(|cx| body.as_mut().poll_frame(cx)).await.transpose()?;
    Ok(Box::pin(Begun { first, rest: body }))
}

struct Begun {
    first: Option<Frame<Bytes>>,
    rest: OriginBody,
}

impl Body for Begun {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        match this.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => this.rest.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.first.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len) as u64;
        match self.rest.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(length + rest),
            None => SizeHint::default(),
        }
    }
}
