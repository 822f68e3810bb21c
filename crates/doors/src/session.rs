//! The door for TLS sessions: the distcache protocol on its own listeners, inside the server.
//!
//! Owns the listeners; the sessions are the store's. [`SessionDoor::serve`] ends when a drain has begun and the last
//! connection is over. Deliberately knows nothing of HTTP and of objects: sessions are secrets, kept apart from all else,
//! and who may connect is for socket modes, user ids and client certificates to say, not for the access rules.

mod https;
mod metrics;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use distcache::net::{ListenSettings, Listener};
use distcache::server::ServerMetrics;
use distcache::store::redis::RedisStore;
use distcache::stunnel::{Sessiond, SessiondSettings};
use distcache::{Address, MemoryStore, Server, ServerSettings, SessionStore};
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::listen::Drain;

pub use https::register_https;
pub use metrics::{Shown, register, register_proxy};

/// Where sessions are kept. Clones share it.
#[derive(Clone)]
pub struct Kept {
    /// Answers the door.
    pub store: Arc<dyn SessionStore>,
    /// The same store when it is in memory: it alone can say what it holds without asking anybody.
    pub memory: Option<Arc<MemoryStore>>,
    /// The same store when it is a Valkey or Redis.
    pub redis: Option<Arc<RedisStore>>,
}

/// What the door is built from.
pub struct Parts {
    /// Where sessions are kept.
    pub kept: Kept,
    /// Limits.
    pub settings: ServerSettings,
    /// Where to listen; `FD:` makes no sense here.
    pub addresses: Vec<Address>,
    /// How to listen.
    pub listen: ListenSettings,
    /// Where to serve stunnel's `sessiond` protocol from the same store, and for whom.
    pub sessiond: Option<(SocketAddr, SessiondSettings)>,
}

/// The door: bound, not yet accepting.
pub struct SessionDoor {
    server: Server,
    listeners: Vec<Listener>,
    sessiond: Option<(Sessiond, UdpSocket)>,
    kept: Kept,
}

/// What the door holds and did, for `/api/v1/status/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Sessions held; unknown when the store is elsewhere.
    pub sessions: Option<u64>,
    /// Bytes they take; unknown when the store is elsewhere.
    pub bytes: Option<u64>,
    /// Open connections.
    pub connections: u64,
    /// Requests answered, refused ones and misses included.
    pub operations: u64,
    /// Sessions asked for.
    pub gets: u64,
    /// Sessions asked for and found.
    pub hits: u64,
    /// Why the store elsewhere cannot be reached; `None` while it can.
    pub store_problem: Option<String>,
}

/// Gives the counts of now; clones share everything.
#[derive(Clone)]
pub struct Counter(Arc<ServerMetrics>, Kept);

impl SessionDoor {
    /// Binds every address and registers the metrics. Must be called within a runtime. Errors name the address.
    pub fn open(parts: Parts, registry: &mut Registry) -> io::Result<Self> {
        let bind = |address: &Address| {
            Listener::bind(address, &parts.listen)
                .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
        };
        let listeners = parts.addresses.iter().map(bind).collect::<io::Result<_>>()?;
        let Parts { kept, settings, sessiond, .. } = parts;
        let sessiond =
            sessiond.map(|(address, settings)| open_sessiond(&kept, address, settings)).transpose()?;
        let server = Server::new(Arc::clone(&kept.store), settings);
        let shown = Shown {
            server: Arc::clone(server.metrics()),
            kept: kept.clone(),
            sessiond: sessiond.as_ref().map(|(sessiond, _)| sessiond.clone()),
        };
        metrics::register(registry, shown);
        Ok(Self { server, listeners, sessiond, kept })
    }

    /// Where it listens, with the ports that were free.
    pub fn addresses(&self) -> Vec<Address> {
        self.listeners.iter().map(|listener| listener.address().clone()).collect()
    }

    /// Where it serves stunnels, with the port that was free.
    pub fn sessiond_address(&self) -> Option<SocketAddr> {
        self.sessiond.as_ref().and_then(|(_, socket)| socket.local_addr().ok())
    }

    /// Where its sessions are kept.
    pub fn store(&self) -> Arc<dyn SessionStore> {
        Arc::clone(&self.kept.store)
    }

    /// Its counts.
    pub fn counter(&self) -> Counter {
        Counter(Arc::clone(self.server.metrics()), self.kept.clone())
    }

    /// Serves until a drain begins, then answers what has come and ends. Ends early only when a listener is broken.
    pub async fn serve(self, mut drain: Drain) {
        let Self { server, listeners, sessiond, .. } = self;
        let mut serving = JoinSet::new();
        if let Some((sessiond, socket)) = sessiond {
            serving.spawn(async move { sessiond.serve(socket).await });
        }
        for listener in listeners {
            let server = server.clone();
            serving.spawn(async move { server.serve(listener).await });
        }
        tokio::select! {
            () = drain.begun() => {}
            Some(ended) = serving.join_next() => {
                tracing::error!(?ended, "a listener for sessions ended");
            }
        }
        server.stop();
        server.stopped().await;
    }
}

fn open_sessiond(
    kept: &Kept,
    address: SocketAddr,
    settings: SessiondSettings,
) -> io::Result<(Sessiond, UdpSocket)> {
    let bind = || -> io::Result<UdpSocket> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket)
    };
    let socket = bind().map_err(|error| io::Error::new(error.kind(), format!("udp {address}: {error}")))?;
    Ok((Sessiond::new(Arc::clone(&kept.store), settings), socket))
}

impl Counter {
    /// The counts of now.
    pub fn counts(&self) -> Counts {
        let Self(server, kept) = self;
        let held = kept.memory.as_ref().map(|memory| memory.stats());
        Counts {
            sessions: held.map(|held| held.sessions),
            bytes: held.map(|held| held.bytes),
            connections: server.connections.open.get(),
            operations: server.operations(),
            gets: server.gets.get(),
            hits: server.get_hits.get(),
            store_problem: kept.redis.as_ref().and_then(|redis| redis.problem()),
        }
    }
}
