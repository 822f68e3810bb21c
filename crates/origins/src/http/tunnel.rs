//! [`Passage`]: an open tunnel.
//!
//! Owns the connection and its turn at the host, which it gives back when it is dropped. Passes bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::limits::Permit;
use crate::connect::link::Link;

/// Bytes in both directions.
pub(crate) struct Passage {
    link: Link,
    _permit: Permit,
}

impl Passage {
    pub(crate) const fn new(link: Link, permit: Permit) -> Self {
        Self { link, _permit: permit }
    }

    fn link(&mut self) -> Pin<&mut Link> {
        Pin::new(&mut self.link)
    }
}

impl AsyncRead for Passage {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.link().poll_read(cx, buf)
    }
}

impl AsyncWrite for Passage {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.link().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.link().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.link.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link().poll_shutdown(cx)
    }
}
