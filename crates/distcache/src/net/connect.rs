//! Connecting to a server, for tokio.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::Stream;
use super::descriptor::Descriptors;
use super::socket::Socket;
use super::stream::Kind;
use crate::address::{Address, HostPort};

/// Where to connect, and how. A cheap value; clones share the TLS configuration.
#[derive(Clone, Debug)]
pub struct Connector {
    /// The server.
    pub address: Address,
    /// Time for the connection (and a TLS handshake) to stand. Default 5 s.
    pub timeout: Duration,
    /// Needed for `TLS:` addresses: what to trust, and the certificate to show.
    #[cfg(feature = "tls")]
    pub tls: Option<std::sync::Arc<super::tls::ClientConfig>>,
}

impl Connector {
    /// A connector without TLS, with the default timeout.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self {
            address,
            timeout: Duration::from_secs(5),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// A connection. Names are looked up each time, off the runtime's threads.
    ///
    /// # Errors
    /// As the system gives them; `TimedOut`; `InvalidInput` for an address that cannot be connected to.
    pub async fn connect(&self) -> io::Result<Stream> {
        if !self.address.can_connect() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an address without a host"));
        }
        timeout(self.timeout, self.open()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn open(&self) -> io::Result<Stream> {
        match &self.address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).await?.into_std()?;
                Ok(Stream(Kind::Unix(Socket::new(stream.into()))))
            }
            Address::Fd { receive, send } => {
                Ok(Stream(Kind::Descriptors(Descriptors::open(*receive, *send)?)))
            }
            Address::Ip4(_) | Address::Ip6(_) => Ok(Stream(Kind::Tcp(self.open_tcp().await?))),
            Address::Tls(at) => self.open_tls(at).await,
        }
    }

    async fn open_tcp(&self) -> io::Result<Socket> {
        let stream = TcpStream::connect(self.resolve().await?).await?;
        stream.set_nodelay(true)?;
        Ok(Socket::new(stream.into_std()?.into()))
    }

    async fn resolve(&self) -> io::Result<SocketAddr> {
        let resolved = if self.address.is_numeric() {
            self.address.resolve()
        } else {
            let address = self.address.clone();
            tokio::task::spawn_blocking(move || address.resolve()).await?
        };
        resolved?.ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    #[cfg(feature = "tls")]
    async fn open_tls(&self, at: &HostPort) -> io::Result<Stream> {
        let (config, name) = super::tls::client(self.tls.as_ref(), at)?;
        let connector = tokio_rustls::TlsConnector::from(config);
        let stream = connector.connect(name, self.open_tcp().await?).await?;
        Ok(Stream(Kind::Tls(Box::new(stream.into()))))
    }

    #[cfg(not(feature = "tls"))]
    async fn open_tls(&self, _: &HostPort) -> io::Result<Stream> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "built without TLS"))
    }
}
