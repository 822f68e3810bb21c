//! A request's content on its way to the origin, at the client's pace.
//!
//! Nothing is gathered: each piece is read when the origin takes it. A client that pauses too long or breaks off makes the
//! content fail, so that the origin never takes a part for the whole.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use cache::{Error, Kind, RequestBody};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

/// The content of a request, if it has any.
pub(crate) fn content(body: Incoming, patience: Duration) -> Option<RequestBody> {
    (!body.is_end_stream()).then(|| Box::pin(Content { body, patience, pause: None }) as RequestBody)
}

struct Content<B> {
    body: B,
    patience: Duration,
    /// While the client is waited for; an origin that takes its time is no fault of the client.
    pause: Option<Pin<Box<Sleep>>>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Content<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        loop {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Pending => {}
                // Trailers of a request belong to its framing and are not passed on.
                Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => continue,
                Poll::Ready(next) => {
                    this.pause = None;
                    return Poll::Ready(next.map(|next| next.map_err(|_| broken_off())));
                }
            }
            let patience = this.patience;
            let pause = this.pause.get_or_insert_with(|| Box::pin(sleep(patience)));
            ready!(pause.as_mut().poll(cx));
            return Poll::Ready(Some(Err(too_slow())));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn broken_off() -> Error {
    Error::new(Kind::ContentBroken, "the request's content broke off; send it again")
}

fn too_slow() -> Error {
    Error::new(Kind::ContentBroken, "the request's content did not come in time; send it again")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    fn content(
        frames: impl futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>> + Unpin,
    ) -> Content<impl Body<Data = Bytes, Error = Infallible> + Unpin> {
        Content { body: StreamBody::new(frames), patience: Duration::from_secs(60), pause: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_pauses_too_long_makes_the_content_fail() {
        let pieces = stream::iter([Ok(Frame::data(Bytes::from_static(b"a")))]);
        let silent = content(Box::pin(futures_util::StreamExt::chain(pieces, stream::pending())));
        let error = silent.collect().await.expect_err("it never ends");
        assert_eq!(error.kind, Kind::ContentBroken);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_is_waited_for_as_long_as_something_comes() {
        let pieces = Box::pin(stream::unfold(0, |sent: u8| async move {
            tokio::time::sleep(Duration::from_secs(50)).await;
            (sent < 5).then(|| (Ok(Frame::data(Bytes::from(vec![sent]))), sent + 1))
        }));
        let all = content(pieces).collect().await.expect("all of it").to_bytes();
        assert_eq!(&all[..], [0, 1, 2, 3, 4]);
    }
}
