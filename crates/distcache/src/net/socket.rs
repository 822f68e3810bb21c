//! Stream sockets for the many short requests this crate is about.
//!
//! They differ from the runtime's own in when the system is asked to watch them:
//! * not before something has to be waited for: the first request of a client has mostly come when its connection is
//!   accepted, and a client with one request has gone soon after its answer;
//! * for receiving only, as long as the peer takes what is sent: a unix socket that is watched for sending wakes its
//!   task each time the peer reads an answer.
//!
//! The runtime's pipes are what can be watched for one direction; all they do to a descriptor is to read it, or to write.
//! One `epoll_wait` less for a temporary connection and up to one for each request on unix sockets.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketFlags, accept_with};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::{Receiver, Sender};

/// A connected stream socket.
pub(crate) struct Socket {
    receive: Receive,
    /// There since sending had to wait for the first time.
    send: Option<Sender>,
}

enum Receive {
    Unwatched(OwnedFd),
    Watched(Receiver),
    /// Watching failed; an error was reported.
    Broken,
}

impl Socket {
    /// Takes over a socket that does not block.
    pub(super) fn new(descriptor: OwnedFd) -> Self {
        Self { receive: Receive::Unwatched(descriptor), send: None }
    }

    /// The user at the other end of a unix socket.
    pub(super) fn peer_uid(&self) -> io::Result<u32> {
        Ok(rustix::net::sockopt::socket_peercred(self.descriptor()?)?.uid.as_raw())
    }

    fn descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        match &self.receive {
            Receive::Unwatched(descriptor) => Ok(descriptor.as_fd()),
            Receive::Watched(receiver) => Ok(receiver.as_fd()),
            Receive::Broken => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Waits until there is something to receive.
    pub(super) async fn readable(&mut self) -> io::Result<()> {
        self.watch()?.readable().await
    }

    fn watch(&mut self) -> io::Result<&mut Receiver> {
        if let Receive::Unwatched(_) = self.receive
            && let Receive::Unwatched(descriptor) = std::mem::replace(&mut self.receive, Receive::Broken)
        {
            self.receive = Receive::Watched(Receiver::from_owned_fd_unchecked(descriptor)?);
        }
        match &mut self.receive {
            Receive::Watched(receiver) => Ok(receiver),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Receive::Unwatched(descriptor) = &self.receive {
            match rustix::net::recv(descriptor, buf.initialize_unfilled(), RecvFlags::DONTWAIT) {
                Ok((count, _)) => {
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        Pin::new(self.watch()?).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let descriptor = self.descriptor()?;
        match rustix::net::send(descriptor, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return Poll::Ready(result.map_err(io::Error::from)),
        }
        if self.send.is_none() {
            let descriptor = self.descriptor()?.try_clone_to_owned()?;
            self.send = Some(Sender::from_owned_fd_unchecked(descriptor)?);
        }
        let Some(send) = &mut self.send else { return Poll::Pending };
        Pin::new(send).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(rustix::net::shutdown(self.descriptor()?, Shutdown::Write)?))
    }
}

/// A listening socket. The runtime's own would watch each connection it accepts; this one leaves that to [`Socket`].
pub(super) struct Accept(
    /// Only watched, never read: the runtime has no plainer thing that can be.
    UnixStream,
);

impl Accept {
    /// Takes over a listening socket that does not block. Must be called within a runtime.
    pub(super) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        UnixStream::from_std(descriptor.into()).map(Self)
    }

    /// A second one on the same socket.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Self::new(self.0.as_fd().try_clone_to_owned()?)
    }

    /// The next connection. Can be dropped and called again.
    pub(super) async fn next(&self) -> io::Result<Socket> {
        loop {
            self.0.readable().await?;
            match self.0.try_io(Interest::READABLE, || self.now()) {
                Ok(socket) => return Ok(socket),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A connection that waits; `WouldBlock` when there is none. Asks the system, not what the runtime knows of it.
    ///
    /// Looks first: the system makes a socket for every accept, also for those in vain, and every connection that comes
    /// alone is followed by one of them. That costs fifteen times the look.
    pub(super) fn now(&self) -> io::Result<Socket> {
        if poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&Timespec::default()))? == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Socket::new(accept_with(&self.0, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?))
    }
}
