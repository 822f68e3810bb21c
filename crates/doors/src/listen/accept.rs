//! [`Listener`]: accepts connections until the drain begins.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::server::StoresServerSessions;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::{Connections, Way};
use super::drain::Drain;
use super::settings::Settings;
use super::tls::Certificates;
use crate::metrics::{FullHouse, Metrics};
use crate::service::Service;

/// A bound listener that does not accept yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    certificates: Option<Certificates>,
    sessions: Option<Arc<dyn StoresServerSessions>>,
    site: Option<Arc<str>>,
}

impl Listener {
    pub(super) const fn new(socket: TcpListener) -> Self {
        Self { socket, certificates: None, sessions: None, site: None }
    }

    /// Speaks TLS, and nothing else.
    #[must_use]
    pub fn with_tls(self, certificates: Certificates) -> Self {
        Self { certificates: Some(certificates), ..self }
    }

    /// Keeps TLS sessions there, for whoever reaches the same place to resume; without TLS it changes nothing.
    #[must_use]
    pub fn with_sessions(self, sessions: Arc<dyn StoresServerSessions>) -> Self {
        Self { sessions: Some(sessions), ..self }
    }

    /// Belongs to a site, which is its root.
    #[must_use]
    pub fn for_site(self, name: impl Into<Arc<str>>) -> Self {
        Self { site: Some(name.into()), ..self }
    }

    /// The site that is its root.
    pub fn site(&self) -> Option<&str> {
        self.site.as_deref()
    }

    /// Whether it speaks TLS.
    pub const fn is_tls(&self) -> bool {
        self.certificates.is_some()
    }

    /// The address it listens on, with the port that was free.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until the drain begins, then waits until every connection has ended, which takes no longer than the
    /// grace period.
    pub async fn serve(self, service: Service, settings: Settings, mut drain: Drain) {
        let most =
            u32::try_from(settings.max_connections.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        let room = Arc::new(Semaphore::new(most as usize));
        let metrics = service.recorder().metrics.clone();
        let tls = self.certificates.as_ref().map(|shown| shown.server(self.sessions.as_ref()));
        let way = Way { tls, site: self.site.clone() };
        let connections = Arc::new(Connections::new(service, settings.clone(), way));
        loop {
            let accepted = tokio::select! {
                biased;
                () = drain.begun() => break,
                accepted = self.accept(&room, &metrics) => accepted,
            };
            match accepted {
                Ok((socket, address, place)) => {
                    let connections = Arc::clone(&connections);
                    let drain = drain.clone();
                    tokio::spawn(async move {
                        connections.run(socket, address, drain).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    metrics.accept_failed();
                    pause_after(&error, &settings).await;
                }
            }
        }
        drop(self.socket);
        // Every place is free when every connection has ended. Fails only on a closed semaphore, and nobody closes it.
        let _ = room.acquire_many(most).await;
    }

    #[cfg(test)]
    pub(super) async fn accept_one(&self) -> TcpStream {
        self.socket.accept().await.expect("a connection").0
    }

    /// The next connection, once there is room for it.
    async fn accept(
        &self,
        room: &Arc<Semaphore>,
        metrics: &Metrics,
    ) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let place = match Arc::clone(room).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                metrics.connections_full(FullHouse::Yes);
                let place = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
                metrics.connections_full(FullHouse::No);
                place
            }
        };
        let (socket, address) = self.socket.accept().await?;
        Ok((socket, address, place))
    }
}

/// A connection that died in the backlog costs nothing; out of descriptors or memory (4c 43) only time helps, and the
/// connection that could not be accepted would be reported again at once.
async fn pause_after(error: &io::Error, settings: &Settings) {
    let is_the_connections =
        matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset);
    if !is_the_connections {
        tracing::warn!(%error, pause = ?settings.accept_pause, "cannot accept connections for a moment");
        tokio::time::sleep(settings.accept_pause).await;
    }
}
