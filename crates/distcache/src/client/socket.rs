//! Blocking sockets with deadlines, of every kind that an address can name.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::SendFlags;
use socket2::{Domain, SockAddr, Type};

use super::ClientSettings;
use crate::address::Address;
use crate::net::duplicate;

#[cfg(feature = "tls")]
use rustls::{ClientConnection, StreamOwned};

/// Where to connect: an address whose name has been looked up.
pub(super) struct Target {
    address: Address,
    resolved: Option<SocketAddr>,
    #[cfg(feature = "tls")]
    tls: Option<std::sync::Arc<rustls::ClientConfig>>,
}

/// A connection.
pub(super) struct Socket {
    kind: Kind,
    /// What the system limits one read and one write to, at the moment. TLS has its own.
    limit: Option<Duration>,
}

enum Kind {
    Tcp(TcpStream),
    Unix(UnixStream),
    Descriptors {
        receive: Option<File>,
        send: Option<File>,
    },
    #[cfg(feature = "tls")]
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

/// What TLS reads from and writes to: as many times for one call as records and their parts come, so each time is
/// limited by what the call has left.
#[cfg(feature = "tls")]
struct Timed {
    stream: TcpStream,
    deadline: Instant,
    /// As in [`Socket`].
    limit: Option<Duration>,
}

impl Target {
    /// Looks the name up, once and for all.
    pub(super) fn new(address: Address, settings: &ClientSettings) -> io::Result<Self> {
        if !address.can_connect() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an address without a host"));
        }
        let resolved = address.resolve()?;
        #[cfg(not(feature = "tls"))]
        let _ = settings;
        Ok(Self {
            address,
            resolved,
            #[cfg(feature = "tls")]
            tls: settings.tls.clone(),
        })
    }

    pub(super) fn connect(&self, within: Duration) -> io::Result<Socket> {
        let kind = match &self.address {
            Address::Unix(path) => {
                let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None)?;
                // Bounds connecting, too: it waits while the server's backlog is full.
                socket.set_write_timeout(Some(within))?;
                socket.connect(&SockAddr::unix(path)?)?;
                Kind::Unix(socket.into())
            }
            Address::Fd { receive, send } => {
                let open = |number| duplicate(number).map(File::from);
                Kind::Descriptors {
                    receive: receive.map(open).transpose()?,
                    send: send.map(open).transpose()?,
                }
            }
            Address::Ip4(_) | Address::Ip6(_) => Kind::Tcp(self.connect_tcp(within)?),
            Address::Tls(at) => self.connect_tls(at, within)?,
        };
        Ok(Socket { kind, limit: None })
    }

    fn connect_tcp(&self, within: Duration) -> io::Result<TcpStream> {
        let at = self.resolved.ok_or(io::ErrorKind::InvalidInput)?;
        let stream = TcpStream::connect_timeout(&at, within)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    #[cfg(feature = "tls")]
    fn connect_tls(&self, at: &crate::address::HostPort, within: Duration) -> io::Result<Kind> {
        let deadline = Instant::now() + within;
        let (config, name) = crate::net::tls::client(self.tls.as_ref(), at)?;
        let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut stream = Timed { stream: self.connect_tcp(within)?, deadline, limit: None };
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Kind::Tls(Box::new(StreamOwned::new(session, stream))))
    }

    #[cfg(not(feature = "tls"))]
    fn connect_tls(&self, _: &crate::address::HostPort, _: Duration) -> io::Result<Kind> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "built without TLS"))
    }
}

impl Socket {
    /// Sends everything.
    pub(super) fn send(&mut self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.until(deadline, |kind| match kind {
                Kind::Tcp(stream) => send_to(stream, bytes),
                Kind::Unix(stream) => send_to(stream, bytes),
                Kind::Descriptors { send: Some(send), .. } => {
                    wait(send.as_fd(), PollFlags::OUT, deadline)?;
                    match send_to(send, bytes) {
                        Err(error) if error.raw_os_error() == Some(Errno::NOTSOCK.raw_os_error()) => {
                            send.write(bytes)
                        }
                        result => result,
                    }
                }
                Kind::Descriptors { send: None, .. } => Ok(bytes.len()),
                #[cfg(feature = "tls")]
                Kind::Tls(stream) => stream.write(bytes),
            })?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[count..];
        }
        match &mut self.kind {
            #[cfg(feature = "tls")]
            Kind::Tls(stream) => stream.flush(),
            _ => Ok(()),
        }
    }

    /// Receives what there is, at least one byte; 0 at the end.
    pub(super) fn receive(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        self.until(deadline, |kind| match kind {
            Kind::Tcp(stream) => stream.read(buffer),
            Kind::Unix(stream) => stream.read(buffer),
            Kind::Descriptors { receive: Some(receive), .. } => {
                wait(receive.as_fd(), PollFlags::IN, deadline)?;
                receive.read(buffer)
            }
            Kind::Descriptors { receive: None, .. } => Ok(0),
            #[cfg(feature = "tls")]
            Kind::Tls(stream) => stream.read(buffer),
        })
    }

    /// Makes the system end this call at the deadline, and repeats it when a signal came between.
    fn until(
        &mut self,
        deadline: Instant,
        mut call: impl FnMut(&mut Kind) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            self.limit(deadline)?;
            match call(&mut self.kind) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn limit(&mut self, deadline: Instant) -> io::Result<()> {
        match &mut self.kind {
            Kind::Tcp(stream) => limit(stream, deadline, &mut self.limit),
            Kind::Unix(stream) => limit(stream, deadline, &mut self.limit),
            Kind::Descriptors { .. } => Ok(()),
            #[cfg(feature = "tls")]
            Kind::Tls(stream) => {
                stream.sock.deadline = deadline;
                Ok(())
            }
        }
    }
}

#[cfg(feature = "tls")]
impl Timed {
    fn limited(&mut self) -> io::Result<&mut TcpStream> {
        limit(&self.stream, self.deadline, &mut self.limit)?;
        Ok(&mut self.stream)
    }
}

#[cfg(feature = "tls")]
impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.limited()?.read(buffer)
    }
}

#[cfg(feature = "tls")]
impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        send_to(self.limited()?, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Without the signal that would end a C program that did not ask to ignore it.
fn send_to(socket: &impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)?)
}

/// Sets the system's limit for one read or write, given the one that is set. One that is a little too long is left as it
/// is: setting it would cost as much as the request.
fn limit(socket: &impl AsFd, deadline: Instant, set: &mut Option<Duration>) -> io::Result<()> {
    let left = left_until(deadline)?;
    if set.is_some_and(|set| set >= left && set - left < left / 8) {
        return Ok(());
    }
    let socket = socket2::SockRef::from(socket);
    socket.set_read_timeout(Some(left))?;
    socket.set_write_timeout(Some(left))?;
    *set = Some(left);
    Ok(())
}

/// At least a millisecond; an error when it is over.
fn left_until(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
        left => Ok(left.max(Duration::from_millis(1))),
    }
}

fn wait(descriptor: BorrowedFd<'_>, what: PollFlags, deadline: Instant) -> io::Result<()> {
    let left = Timespec::try_from(left_until(deadline)?).map_err(|_| io::ErrorKind::InvalidInput)?;
    match poll(&mut [PollFd::from_borrowed_fd(descriptor, what)], Some(&left)) {
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        Ok(_) => Ok(()),
        Err(Errno::INTR) => Err(io::ErrorKind::Interrupted.into()),
        Err(error) => Err(error.into()),
    }
}
