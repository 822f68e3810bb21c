//! Listening, for tokio.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::Stream;
use super::descriptor::Descriptors;
use super::socket::Accept;
use super::stream::Kind;
use crate::address::{Address, HostPort};

#[cfg(feature = "tls")]
use std::sync::Arc;
#[cfg(feature = "tls")]
use tokio_rustls::TlsAcceptor;

/// Longest wait for others who open sockets in the same directory.
const LOCKING: Duration = Duration::from_secs(1);

/// How to listen.
#[derive(Clone, Debug)]
pub struct ListenSettings {
    /// Connections the system holds until they are accepted. Default 511.
    pub backlog: i32,
    /// Mode of a unix socket, set before anyone can connect; `None`: as the umask has it.
    pub mode: Option<u32>,
    /// Needed for `TLS:` addresses: certificate, and which clients are let in.
    #[cfg(feature = "tls")]
    pub tls: Option<Arc<super::tls::ServerConfig>>,
}

impl Default for ListenSettings {
    fn default() -> Self {
        Self {
            backlog: 511,
            mode: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// An open listener.
pub struct Listener {
    address: Address,
    kind: Listening,
}

enum Listening {
    Tcp(Accept),
    Unix(Accept),
    /// Accepts once, then is finished.
    Descriptors(Option<Descriptors>),
    #[cfg(feature = "tls")]
    Tls(Accept, TlsAcceptor),
}

/// A connection just accepted.
pub(crate) enum Incoming {
    Ready(Stream),
    #[cfg(feature = "tls")]
    Handshake(Box<tokio_rustls::Accept<super::socket::Socket>>),
}

impl Listener {
    /// Binds and listens. Must be called within a tokio runtime. A unix socket at the path is replaced when nobody
    /// answers there; the file stays when the listener is dropped.
    ///
    /// # Errors
    /// `AddrInUse` when somebody answers at the path; `AlreadyExists` when something that is no socket is there;
    /// `InvalidInput` for `TLS:` without a configuration; else as the system gives them.
    pub fn bind(address: &Address, settings: &ListenSettings) -> io::Result<Self> {
        match address {
            Address::Unix(path) => Self::from_unix(bind_unix(path, settings)?),
            Address::Fd { receive, send } => {
                let descriptors = Descriptors::open(*receive, *send)?;
                Ok(Self { address: address.clone(), kind: Listening::Descriptors(Some(descriptors)) })
            }
            Address::Ip4(_) | Address::Ip6(_) => Self::from_tcp(bind_tcp(address, settings)?),
            Address::Tls(_) => Self::bind_tls(address, settings),
        }
    }

    #[cfg(feature = "tls")]
    fn bind_tls(address: &Address, settings: &ListenSettings) -> io::Result<Self> {
        let Some(config) = &settings.tls else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "TLS: needs a certificate"));
        };
        let listener = bind_tcp(address, settings)?;
        nodelay(&listener)?;
        let address = Address::Tls(host_port(listener.local_addr()?));
        let acceptor = Arc::clone(config).into();
        Ok(Self { address, kind: Listening::Tls(Accept::new(listener.into())?, acceptor) })
    }

    #[cfg(not(feature = "tls"))]
    fn bind_tls(_: &Address, _: &ListenSettings) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "built without TLS"))
    }

    /// Takes over a bound TCP listener, for instance one that a service manager opened.
    ///
    /// # Errors
    /// As the system gives them.
    pub fn from_tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        nodelay(&listener)?;
        let bound = listener.local_addr()?;
        let at = host_port(bound);
        let address = if bound.is_ipv4() { Address::Ip4(at) } else { Address::Ip6(at) };
        Ok(Self { address, kind: Listening::Tcp(Accept::new(listener.into())?) })
    }

    /// Takes over a bound unix listener.
    ///
    /// # Errors
    /// As the system gives them.
    pub fn from_unix(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        let path = bound.as_pathname().unwrap_or(Path::new("")).to_owned();
        Ok(Self { address: Address::Unix(path), kind: Listening::Unix(Accept::new(listener.into())?) })
    }

    /// A second listener on the same socket, for another thread or runtime: call it within that runtime.
    ///
    /// # Errors
    /// As the system gives them; `Unsupported` for `FD:`.
    pub fn try_clone(&self) -> io::Result<Self> {
        let kind = match &self.kind {
            Listening::Tcp(accept) => Listening::Tcp(accept.try_clone()?),
            Listening::Unix(accept) => Listening::Unix(accept.try_clone()?),
            Listening::Descriptors(_) => return Err(io::ErrorKind::Unsupported.into()),
            #[cfg(feature = "tls")]
            Listening::Tls(accept, acceptor) => Listening::Tls(accept.try_clone()?, acceptor.clone()),
        };
        Ok(Self { address: self.address.clone(), kind })
    }

    /// Where it listens, with the port that the system chose.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The next connection, its TLS handshake done, or `None` when there will be no other: for programs that do something
    /// else with connections than the server and the proxy. Others wait while one shakes hands.
    ///
    /// # Errors
    /// As the system gives them; a handshake that failed. The listener stays usable.
    pub async fn next(&mut self) -> io::Result<Option<Stream>> {
        match self.accept().await? {
            Some(incoming) => incoming.handshake().await.map(Some),
            None => Ok(None),
        }
    }

    /// The next connection, or `None` when there will be no other. Can be dropped and called again.
    pub(crate) async fn accept(&mut self) -> io::Result<Option<Incoming>> {
        let kind = match &mut self.kind {
            Listening::Tcp(accept) => Kind::Tcp(accept.next().await?),
            Listening::Unix(accept) => Kind::Unix(accept.next().await?),
            Listening::Descriptors(open) => {
                let Some(descriptors) = open else { return Ok(None) };
                descriptors.readable().await?;
                match open.take() {
                    Some(descriptors) => Kind::Descriptors(descriptors),
                    None => return Ok(None),
                }
            }
            #[cfg(feature = "tls")]
            Listening::Tls(accept, acceptor) => {
                let handshake = acceptor.accept(accept.next().await?);
                return Ok(Some(Incoming::Handshake(Box::new(handshake))));
            }
        };
        Ok(Some(Incoming::Ready(Stream(kind))))
    }

    /// A connection that has come already, or `None`. One that would have to shake hands first has asked nothing yet, and
    /// is not wanted.
    pub(crate) fn accept_now(&mut self) -> io::Result<Option<Incoming>> {
        let kind = match &mut self.kind {
            Listening::Tcp(accept) => accept.now().map(Kind::Tcp),
            Listening::Unix(accept) => accept.now().map(Kind::Unix),
            Listening::Descriptors(open) => match open.take() {
                Some(descriptors) => Ok(Kind::Descriptors(descriptors)),
                None => return Ok(None),
            },
            #[cfg(feature = "tls")]
            Listening::Tls(..) => return Ok(None),
        };
        match kind {
            Ok(kind) => Ok(Some(Incoming::Ready(Stream(kind)))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Incoming {
    /// The user at the other end of a unix socket; `None` for other kinds.
    pub(crate) fn uid(&self) -> Option<io::Result<u32>> {
        match self {
            Self::Ready(Stream(Kind::Unix(stream))) => Some(stream.peer_uid()),
            _ => None,
        }
    }

    /// Whether there is no handshake to wait for.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self, Self::Ready(_))
    }

    /// The stream, after the handshake.
    pub(crate) async fn handshake(self) -> io::Result<Stream> {
        match self {
            Self::Ready(stream) => Ok(stream),
            #[cfg(feature = "tls")]
            Self::Handshake(accept) => Ok(Stream(Kind::Tls(Box::new((*accept).await?.into())))),
        }
    }
}

fn bind_tcp(address: &Address, settings: &ListenSettings) -> io::Result<std::net::TcpListener> {
    let at = address.resolve()?.ok_or(io::ErrorKind::InvalidInput)?;
    let socket = Socket::new(Domain::for_address(at), Type::STREAM.cloexec().nonblocking(), None)?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    socket.listen(settings.backlog)?;
    Ok(socket.into())
}

/// For the connections: they inherit it.
fn nodelay(listener: &std::net::TcpListener) -> io::Result<()> {
    SockRef::from(listener).set_tcp_nodelay(true)
}

fn bind_unix(path: &Path, settings: &ListenSettings) -> io::Result<std::os::unix::net::UnixListener> {
    let at = SockAddr::unix(path)?;
    let _lock = lock_directory(path);
    remove_abandoned(path, &at)?;
    let socket = unix_socket()?;
    socket.bind(&at)?;
    if let Some(mode) = settings.mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    socket.listen(settings.backlog)?;
    Ok(socket.into())
}

/// Keeps others like us from the directory while a socket is looked at, replaced and opened: one that is bound and does
/// not listen yet looks abandoned. A directory that may not be read, or that somebody keeps to himself for longer than
/// [`LOCKING`], is used all the same: locks bind only those who ask for them.
fn lock_directory(path: &Path) -> Option<File> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = File::open(parent.unwrap_or(Path::new("."))).ok()?;
    if let Err(TryLockError::WouldBlock) = directory.try_lock() {
        // The system knows no limit for this wait. Who comes too late finds nobody to give the lock to, and drops it.
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || directory.lock().map(|()| sender.send(directory)));
        return receiver.recv_timeout(LOCKING).ok();
    }
    Some(directory)
}

/// Removes a socket that nobody listens on any more, and nothing else.
fn remove_abandoned(path: &Path, at: &SockAddr) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no socket is there"));
    }
    match unix_socket()?.connect(at) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there")),
    }
}

fn unix_socket() -> io::Result<Socket> {
    Socket::new(Domain::UNIX, Type::STREAM.cloexec().nonblocking(), None)
}

fn host_port(at: SocketAddr) -> HostPort {
    HostPort { host: Some(at.ip().to_string()), port: at.port() }
}
