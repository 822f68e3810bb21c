//! [`Link`]: one connection to an origin or proxy, as hyper's pool sees it.
//!
//! Owns the socket and its place in the count of live connections. Passes bytes, vectored writes included; times
//! and framing are checked above it. An origin that refuses a request's content may answer and hang up while it is
//! still being sent. So that the answer is read, what is written to a connection that the other side has given up
//! is dropped; the reader learns of the loss when it has read what came before it, never as a clean end.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use cache::NamedBy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::metrics::Live;

/// A connection, plain or TLS.
pub(crate) struct Link {
    transport: Transport,
    addressing: Addressing,
    proven: Proven,
    reach: Reach,
    /// The other side takes nothing any more.
    lost: bool,
    _live: Live,
}

/// What a request line on this connection must look like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addressing {
    /// Path alone: the other side is the origin.
    Origin,
    /// The whole URL: the other side is a proxy.
    Proxy,
}

/// Bytes as they are, or within TLS.
pub(crate) enum Transport {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Whether the connection has carried an answer: only then may its sudden end mean that the origin closed it
/// while idle.
#[derive(Clone, Default)]
pub(crate) struct Proven(Arc<AtomicBool>);

/// Who may be given what comes over the connection without asking for it again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach(pub(crate) NamedBy);

impl Proven {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Link {
    pub(crate) fn new(transport: Transport, addressing: Addressing, reach: Reach, live: Live) -> Self {
        Self { transport, addressing, proven: Proven::default(), reach, lost: false, _live: live }
    }

    /// A write's result, or as if it had gone well.
    fn written(&mut self, result: io::Result<usize>, length: usize) -> io::Result<usize> {
        let kind = result.as_ref().err().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)) {
            self.lost = true;
            return Ok(length);
        }
        result
    }

    fn negotiated_h2(&self) -> bool {
        match &self.transport {
            Transport::Plain(_) => false,
            Transport::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        let connected = Connected::new()
            .proxy(self.addressing == Addressing::Proxy)
            .extra(self.proven.clone())
            .extra(self.reach);
        if self.negotiated_h2() { connected.negotiated_h2() } else { connected }
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        if self.lost && matches!(read, Poll::Ready(Ok(()))) && buf.filled().len() == before {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        read
    }
}

impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.lost {
            return Poll::Ready(Ok(buf.len()));
        }
        let result = ready!(match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        });
        Poll::Ready(self.written(result, buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = bufs.iter().map(|buf| buf.len()).sum();
        if self.lost {
            return Poll::Ready(Ok(length));
        }
        let result = ready!(match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        });
        Poll::Ready(self.written(result, length))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lost {
            return Poll::Ready(Ok(()));
        }
        let result = ready!(match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        });
        Poll::Ready(self.written(result.map(|()| 0), 0).map(|_| ()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
