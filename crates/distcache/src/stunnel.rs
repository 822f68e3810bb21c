//! The UDP protocol of stunnel's `sessiond`, version 1, on a session store: `sessiond = host:port` in stunnel's own
//! configuration, and stock stunnels share their sessions.
//!
//! A datagram: version (1), type, timeout in seconds (two bytes, big-endian), key (32 bytes, padded with zeros), value (DER, at
//! most 512 bytes).
//!
//! | type | meaning | answer |
//! |---|---|---|
//! | 0 | new | none |
//! | 1 | get | the same datagram with type `0x80`: there is none; `0x81`: the value follows |
//! | 2 | remove | none |
//!
//! Ids in the store are the 32 bytes of the key, so sessions with ids of that length (TLS 1.2 always) are the same as
//! those that others store through the distcache protocol. A new session does not replace one that is there.
//!
//! There is neither encryption nor authentication, and UDP senders can lie about who they are: listen on loopback or a
//! network of your own. [`SessiondSettings::allow`] keeps others out as far as addresses can be believed. Nothing waits:
//! too many requests at once, or answers that cannot be sent at once, are dropped and counted. stunnel waits for 200
//! *microseconds* only, so a store in memory serves it and a store behind a network mostly does not. Deliberately
//! has no connections, no retries and no state of its own.

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod tests;

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use zeroize::{Zeroize, Zeroizing};

use crate::limits::TIMEOUT_MS;
use crate::metrics::Counter;
use crate::store::{Added, Session, SessionStore};

/// Bytes before the value.
const HEADER: usize = 36;
/// Most bytes of a value.
const VALUE: usize = 512;
const VERSION: u8 = 1;
const MISS: u8 = 0x80;
const HIT: u8 = 0x81;

/// What an operator decides.
#[derive(Clone, Debug)]
pub struct SessiondSettings {
    /// Addresses that are listened to; `None`: all. Default loopback.
    pub allow: Option<Vec<IpAddr>>,
    /// Requests that wait for a store that answers later; one more is dropped. Default 1024.
    pub in_flight: usize,
}

impl Default for SessiondSettings {
    fn default() -> Self {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        Self { allow: Some(loopback.to_vec()), in_flight: 1024 }
    }
}

/// What became of datagrams.
#[derive(Debug, Default)]
pub struct SessiondMetrics {
    /// Sessions stored.
    pub news: Counter,
    /// Sessions that were there already, or for which there was no room.
    pub news_refused: Counter,
    /// Sessions asked for.
    pub gets: Counter,
    /// Sessions asked for and found.
    pub get_hits: Counter,
    /// Sessions removed, or asked to.
    pub removes: Counter,
    /// Datagrams that are not the protocol; dropped.
    pub malformed: Counter,
    /// Datagrams of others; dropped.
    pub refused_address: Counter,
    /// Requests dropped because too many were waiting.
    pub refused_full: Counter,
    /// Answers that could not be sent at once, and sessions too long for an answer.
    pub unsent: Counter,
    /// Requests that the store did not answer; a get is a miss.
    pub store_errors: Counter,
}

/// The listener; clones are the same.
#[derive(Clone)]
pub struct Sessiond {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn SessionStore>,
    settings: SessiondSettings,
    metrics: SessiondMetrics,
}

/// What a datagram asks for.
#[derive(Debug, PartialEq, Eq)]
enum Request<'a> {
    New { timeout_ms: u32, value: &'a [u8] },
    Get,
    Remove,
}

impl Sessiond {
    /// A listener that does nothing yet.
    #[must_use]
    pub fn new(store: Arc<dyn SessionStore>, settings: SessiondSettings) -> Self {
        Self { inner: Arc::new(Inner { store, settings, metrics: SessiondMetrics::default() }) }
    }

    /// Its counters.
    #[must_use]
    pub fn metrics(&self) -> &SessiondMetrics {
        &self.inner.metrics
    }

    /// Answers on this socket for ever; drop the future to end it.
    ///
    /// # Errors
    /// Only when the socket is broken for good.
    pub async fn serve(&self, socket: UdpSocket) -> io::Result<()> {
        let socket = Arc::new(socket);
        // Longer ones are noticed by their last byte.
        let mut buffer = Zeroizing::new([0; HEADER + VALUE + 1]);
        let mut waiting = JoinSet::new();
        loop {
            let (length, from) = match socket.recv_from(&mut buffer[..]).await {
                Ok(received) => received,
                // An earlier answer found nobody; says nothing of this socket.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error),
            };
            let datagram = Session::new(buffer[..length].to_vec());
            buffer[..length].zeroize();
            while waiting.try_join_next().is_some() {}
            if !self.inner.is_allowed(from) {
                self.inner.metrics.refused_address.up();
                continue;
            }
            if waiting.len() >= self.inner.settings.in_flight {
                self.inner.metrics.refused_full.up();
                continue;
            }
            let (inner, socket) = (Arc::clone(&self.inner), Arc::clone(&socket));
            let mut answering = Box::pin(async move {
                let Some(answer) = inner.answer(&datagram).await else { return };
                if socket.try_send_to(&answer, from).is_err() {
                    inner.metrics.unsent.up();
                }
            });
            // A store in memory is done with it already: in order, and without a task.
            if !poll_fn(|cx| Poll::Ready(answering.as_mut().poll(cx).is_ready())).await {
                waiting.spawn(answering);
            }
        }
    }
}

impl Inner {
    fn is_allowed(&self, from: SocketAddr) -> bool {
        let from = from.ip().to_canonical();
        self.settings.allow.as_ref().is_none_or(|allowed| allowed.contains(&from))
    }

    /// Does what a datagram asks for; its answer, if it has one.
    async fn answer(&self, datagram: &[u8]) -> Option<Session> {
        let Some((request, key)) = decode(datagram) else {
            self.metrics.malformed.up();
            return None;
        };
        match request {
            Request::New { timeout_ms, value } => {
                let counter = match self.store.add(key, value, timeout_ms).wait().await {
                    Ok(Added::Stored) => &self.metrics.news,
                    Ok(Added::Duplicate | Added::NoRoom) => &self.metrics.news_refused,
                    Err(_) => &self.metrics.store_errors,
                };
                counter.up();
                None
            }
            Request::Remove => {
                self.metrics.removes.up();
                if self.store.remove(key).wait().await.is_err() {
                    self.metrics.store_errors.up();
                }
                None
            }
            Request::Get => Some(self.fetch(key, &datagram[..HEADER]).await),
        }
    }

    async fn fetch(&self, key: &[u8], header: &[u8]) -> Session {
        self.metrics.gets.up();
        let found = self.store.fetch(key).await.unwrap_or_else(|_| {
            self.metrics.store_errors.up();
            None
        });
        let mut answer = Session::new(Vec::with_capacity(HEADER + VALUE));
        answer.extend_from_slice(header);
        answer[1] = MISS;
        match found {
            Some(session) if session.len() <= VALUE => {
                self.metrics.get_hits.up();
                answer[1] = HIT;
                answer.extend_from_slice(&session);
            }
            // Stored by somebody else: too long for this protocol.
            Some(_) => self.metrics.unsent.up(),
            None => {}
        }
        answer
    }
}

/// A datagram's request and key; `None` when it is not the protocol.
fn decode(datagram: &[u8]) -> Option<(Request<'_>, &[u8])> {
    let (header, value) = datagram.split_at_checked(HEADER)?;
    let key = &header[4..];
    if header[0] != VERSION || value.len() > VALUE {
        return None;
    }
    let seconds = u32::from(u16::from_be_bytes([header[2], header[3]]));
    let request = match header[1] {
        0 if !value.is_empty() => {
            Request::New { timeout_ms: seconds.saturating_mul(1000).min(TIMEOUT_MS), value }
        }
        1 => Request::Get,
        2 => Request::Remove,
        _ => return None,
    };
    Some((request, key))
}
