//! [`Scripted`]: an origin in memory that answers as the test says.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::Frame;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::{Error, Kind, NamedBy, Origin, OriginRequest, OriginResponse, RequestBody};

type Handler = dyn Fn(&OriginRequest) -> Reply + Send + Sync;

/// Answers with the replies in its queue, then with its handler.
#[derive(Default)]
pub(super) struct Scripted {
    queue: Mutex<VecDeque<Reply>>,
    handler: Mutex<Option<Arc<Handler>>>,
    requests: Mutex<Vec<OriginRequest>>,
}

impl Scripted {
    pub(super) fn then(&self, reply: Reply) {
        self.queue.lock().push_back(reply);
    }

    pub(super) fn always(&self, handler: impl Fn(&OriginRequest) -> Reply + Send + Sync + 'static) {
        *self.handler.lock() = Some(Arc::new(handler));
    }

    pub(super) fn count(&self) -> usize {
        self.requests.lock().len()
    }

    /// A field of the request with this number.
    pub(super) fn asked(&self, number: usize, name: &str) -> Option<String> {
        let requests = self.requests.lock();
        requests[number].headers.get(name).map(|value| value.to_str().expect("text").to_owned())
    }
}

impl Origin for Scripted {
    fn fetch(
        &self,
        request: OriginRequest,
        _content: Option<RequestBody>,
    ) -> BoxFuture<'static, Result<OriginResponse, Error>> {
        let queued = self.queue.lock().pop_front();
        let reply = queued.unwrap_or_else(|| match &*self.handler.lock() {
            Some(handler) => handler(&request),
            None => Reply::error(Kind::OriginForbidden),
        });
        let url = request.url.clone();
        self.requests.lock().push(request);
        Box::pin(async move {
            if let Some(gate) = reply.gate {
                let _ = gate.await;
            }
            assert!(!reply.panics, "the origin was told to panic");
            let (status, headers, body) = reply.answer?;
            Ok(OriginResponse {
                status,
                headers,
                body: Box::pin(ChannelBody(body)),
                url,
                reach: NamedBy::Client,
            })
        })
    }
}

type Piece = Result<Bytes, Error>;

/// One answer of the origin.
pub(super) struct Reply {
    answer: Result<(StatusCode, HeaderMap, mpsc::UnboundedReceiver<Piece>), Error>,
    gate: Option<oneshot::Receiver<()>>,
    panics: bool,
}

impl Reply {
    pub(super) fn status(status: u16) -> Self {
        Self::pieces(status, Vec::new())
    }

    /// 200 with a declared length.
    pub(super) fn whole(body: &[u8]) -> Self {
        Self::chunked(body).field("content-length", &body.len().to_string())
    }

    /// 200 without a declared length.
    pub(super) fn chunked(body: &[u8]) -> Self {
        Self::pieces(200, vec![Ok(Bytes::copy_from_slice(body))])
    }

    /// The head comes at once, the body when the test sends it; dropping the sender ends it.
    pub(super) fn live() -> (Self, mpsc::UnboundedSender<Piece>) {
        let (sender, body) = mpsc::unbounded_channel();
        let status = StatusCode::OK;
        (Self { answer: Ok((status, HeaderMap::new(), body)), gate: None, panics: false }, sender)
    }

    pub(super) fn pieces(status: u16, pieces: Vec<Piece>) -> Self {
        let (sender, body) = mpsc::unbounded_channel();
        for piece in pieces {
            sender.send(piece).expect("the receiver is here");
        }
        let status = StatusCode::from_u16(status).expect("a status");
        Self { answer: Ok((status, HeaderMap::new(), body)), gate: None, panics: false }
    }

    /// 200 that declares `length` and breaks after `body`.
    pub(super) fn broken(length: usize, body: &[u8]) -> Self {
        let error = Error::new(Kind::OriginUnreachable, "connection reset");
        let pieces = vec![Ok(Bytes::copy_from_slice(body)), Err(error)];
        Self::pieces(200, pieces).field("content-length", &length.to_string())
    }

    /// 206 with the rest of `body` from `first`.
    pub(super) fn rest(body: &[u8], first: usize) -> Self {
        let range = format!("bytes {first}-{}/{}", body.len() - 1, body.len());
        Self::pieces(206, vec![Ok(Bytes::copy_from_slice(&body[first..]))]).field("content-range", &range)
    }

    pub(super) fn error(kind: Kind) -> Self {
        Self { answer: Err(Error::new(kind, "as the test says")), gate: None, panics: false }
    }

    pub(super) fn panic() -> Self {
        Self { panics: true, ..Self::status(500) }
    }

    pub(super) fn field(self, name: &'static str, value: &str) -> Self {
        self.value(name, HeaderValue::from_str(value).expect("a value"))
    }

    pub(super) fn value(mut self, name: &'static str, value: HeaderValue) -> Self {
        if let Ok((_, headers, _)) = &mut self.answer {
            headers.append(HeaderName::from_static(name), value);
        }
        self
    }

    pub(super) fn etag(self, tag: &str) -> Self {
        self.field("etag", tag)
    }

    /// The head comes when the test opens (or drops) the gate.
    pub(super) fn gated(mut self) -> (Self, oneshot::Sender<()>) {
        let (open, gate) = oneshot::channel();
        self.gate = Some(gate);
        (self, open)
    }
}

/// A body whose data comes through a channel.
struct ChannelBody(mpsc::UnboundedReceiver<Piece>);

impl http_body::Body for ChannelBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
