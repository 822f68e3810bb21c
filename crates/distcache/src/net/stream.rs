//! One connection, of whatever kind.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::descriptor::Descriptors;
use super::socket::Socket;

/// A connection: unix, TCP, TLS over TCP, or descriptors.
pub struct Stream(pub(super) Kind);

pub(super) enum Kind {
    Tcp(Socket),
    Unix(Socket),
    Descriptors(Descriptors),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::TlsStream<Socket>>),
}

/// Calls the method of whichever stream it is.
macro_rules! forward {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut $self.get_mut().0 {
            Kind::Tcp(stream) | Kind::Unix(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Kind::Descriptors(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            #[cfg(feature = "tls")]
            Kind::Tls(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_shutdown(cx))
    }
}

impl Stream {
    /// Whether the peer waits for a goodbye; to others the closed socket says everything.
    pub(crate) fn says_goodbye(&self) -> bool {
        !matches!(self.0, Kind::Tcp(_) | Kind::Unix(_))
    }
}
