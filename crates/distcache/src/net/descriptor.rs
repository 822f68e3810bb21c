//! Connections over descriptors that the process was started with (`FD:`): sockets and pipes.
//!
//! Descriptors are duplicated, safely, by number: the process asks the system for a copy of its own descriptor. The
//! original stays open as long as the process lives, so a pipe's other end sees no end of file before that; the other
//! end of a socket does, because the socket itself is shut down.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::io::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::socket::Socket;

/// A copy of a descriptor of this process.
pub(crate) fn duplicate(number: i32) -> io::Result<OwnedFd> {
    match number {
        0 => io::stdin().as_fd().try_clone_to_owned(),
        1 => io::stdout().as_fd().try_clone_to_owned(),
        2 => io::stderr().as_fd().try_clone_to_owned(),
        _ => {
            let process = pidfd_open(getpid(), PidfdFlags::empty())?;
            Ok(pidfd_getfd(process, number, PidfdGetfdFlags::empty())?)
        }
    }
}

/// A connection over one or two descriptors; without one of both it is one-way.
pub(crate) struct Descriptors {
    receive: Receive,
    send: Send,
}

enum Receive {
    Socket(Socket),
    Pipe(Receiver),
    Nowhere,
}

enum Send {
    Socket(Socket),
    Pipe(Sender),
    Nowhere,
}

impl Descriptors {
    /// Opens copies and makes them non-blocking. Must be called within a runtime.
    ///
    /// # Errors
    /// There is no such descriptor, or it is neither a stream socket nor a pipe of the right direction.
    pub(crate) fn open(receive: Option<i32>, send: Option<i32>) -> io::Result<Self> {
        let receive = match receive.map(duplicate).transpose()? {
            None => Receive::Nowhere,
            Some(descriptor) if is_socket(&descriptor)? => Receive::Socket(socket(descriptor)?),
            Some(descriptor) => Receive::Pipe(Receiver::from_owned_fd(descriptor)?),
        };
        let send = match send.map(duplicate).transpose()? {
            None => Send::Nowhere,
            Some(descriptor) if is_socket(&descriptor)? => Send::Socket(socket(descriptor)?),
            Some(descriptor) => Send::Pipe(Sender::from_owned_fd(descriptor)?),
        };
        Ok(Self { receive, send })
    }

    /// Waits until there is something to receive. For ever, when there is nothing to receive from.
    pub(crate) async fn readable(&mut self) -> io::Result<()> {
        match &mut self.receive {
            Receive::Socket(stream) => stream.readable().await,
            Receive::Pipe(pipe) => pipe.readable().await,
            Receive::Nowhere => std::future::pending().await,
        }
    }
}

fn is_socket(descriptor: &OwnedFd) -> io::Result<bool> {
    match rustix::net::sockopt::socket_type(descriptor) {
        Ok(kind) => Ok(kind == rustix::net::SocketType::STREAM),
        Err(Errno::NOTSOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn socket(descriptor: OwnedFd) -> io::Result<Socket> {
    rustix::io::ioctl_fionbio(&descriptor, true)?;
    Ok(Socket::new(descriptor))
}

impl AsyncRead for Descriptors {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.receive {
            Receive::Socket(stream) => Pin::new(stream).poll_read(cx, buf),
            Receive::Pipe(pipe) => Pin::new(pipe).poll_read(cx, buf),
            Receive::Nowhere => Poll::Pending,
        }
    }
}

impl AsyncWrite for Descriptors {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.send {
            Send::Socket(stream) => Pin::new(stream).poll_write(cx, bytes),
            Send::Pipe(pipe) => Pin::new(pipe).poll_write(cx, bytes),
            // Nobody is there to hear it.
            Send::Nowhere => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match std::mem::replace(&mut self.send, Send::Nowhere) {
            Send::Socket(mut stream) => Pin::new(&mut stream).poll_shutdown(cx),
            Send::Pipe(_) | Send::Nowhere => Poll::Ready(Ok(())),
        }
    }
}
