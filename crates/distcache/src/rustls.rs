//! Sessions of rustls servers, shared: [`SharedSessions`] is a `StoresServerSessions`.
//!
//! Give it to `ServerConfig::session_storage`, and share a store that others reach too: a TLS 1.3 ticket or a TLS 1.2
//! session of one server then resumes on every other. Tickets must be stateful (no `ticketer`, which is the default).
//! [`SharedSessions::open`] is the one call that takes:
//!
//! ```
//! # use distcache::rustls::{SharedSessions, SharedSettings};
//! # fn share(config: &mut rustls::ServerConfig) -> Result<(), Box<dyn std::error::Error>> {
//! let server: distcache::Address = "UNIX:/run/standpipe/sessions".parse()?;
//! config.session_storage = SharedSessions::open(server, &SharedSettings::new("www"))?;
//! # Ok(())
//! # }
//! ```
//!
//! | rustls | here |
//! |---|---|
//! | put | at once in memory, for this server's own use; sent to the store behind the caller's back |
//! | get (TLS 1.2) | from memory, else from the store |
//! | take (TLS 1.3) | from the store, which lets one taker win; from memory only what never left it |
//!
//! **Single use.** A session that may be taken is in one place at a time: on its way, in the store, or in memory because
//! the store is known not to have it. When nobody knows whether it arrived, it is in none. Copies in memory serve only
//! `get`. So of all servers together one resumes a TLS 1.3 session, as far as the store keeps its promise about take.
//!
//! **How long a handshake can be held up.** The trait is synchronous, so `get` and `take` wait on the executor's thread:
//! at most [`SharedSettings::wait`] a call (5 ms), and at most [`SharedSettings::share`] (20 ms) of every 100 ms of a
//! thread, whatever clients send; a ClientHello can name hundreds of tickets. Beyond that, and while the breaker is
//! open, the answer is a miss at once, which costs a full handshake and nothing else. `put` never waits. The store is
//! asked on a thread of this module, so a blocked executor does not keep the answer from coming. A store in memory
//! answers at once and nobody waits at all.
//!
//! **Who may share.** Servers with other rules for client certificates must not resume each other's sessions: give each
//! policy a [`SharedSettings::realm`]. Values are private to rustls: servers should run the same version of it; one that
//! cannot read a session makes a full handshake. Sessions live for 24 hours, as long as rustls says to clients.

mod budget;
mod local;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use ::rustls::server::StoresServerSessions;
use aws_lc_rs::digest;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::budget::Budget;
use self::local::Local;
use crate::address::Address;
use crate::clock::{Clock, MonotonicClock};
use crate::limits::{ID_AND_SESSION, TIMEOUT_MS};
use crate::metrics::Counter;
use crate::store::breaker::{Breaker, BreakerSettings, Permit};
#[cfg(feature = "redis")]
use crate::store::redis::{OpenError, RedisSettings, RedisStore};
use crate::store::{
    Added, Answer, FetchResult, MemorySettings, RemoteSettings, RemoteStore, Session, SessionStore,
    StoreError,
};

/// Bytes of a realm's name in ids.
const REALM: usize = 16;
/// Longest key of rustls that is taken; it makes 32 random bytes.
const KEY: usize = 32;

/// How to share.
#[derive(Clone, Debug)]
pub struct SharedSettings {
    /// Names what servers must have in common to resume each other's sessions: site and policy for client certificates.
    pub realm: String,
    /// How long sessions live, at most seven days. Default 24 hours.
    pub lifetime: Duration,
    /// Longest wait of one call for the store. Default 5 ms.
    pub wait: Duration,
    /// Longest wait of one thread in any 100 ms. Default 20 ms.
    pub share: Duration,
    /// Sessions on their way to the store at once; one more stays in memory. Default 1024.
    pub uploads: usize,
    /// The local tier. Default 10 000 sessions and 64 MiB.
    pub local: MemorySettings,
    /// When to stop asking the store for a while. A call that waited in vain is a failure.
    pub breaker: BreakerSettings,
}

impl SharedSettings {
    /// Defaults for everything but the realm.
    #[must_use]
    pub fn new(realm: &str) -> Self {
        Self {
            realm: realm.to_owned(),
            lifetime: Duration::from_secs(24 * 3600),
            wait: Duration::from_millis(5),
            share: Duration::from_millis(20),
            uploads: 1024,
            local: MemorySettings { sessions: 10_000, bytes: 64 << 20 },
            breaker: BreakerSettings::default(),
        }
    }
}

/// What became of sessions.
#[derive(Debug, Default)]
pub struct SharedMetrics {
    /// Found in memory.
    pub local_hits: Counter,
    /// Found in the store.
    pub shared_hits: Counter,
    /// Found nowhere.
    pub misses: Counter,
    /// Not asked for, because the breaker was open.
    pub refused_breaker: Counter,
    /// Not asked for, because the thread had waited enough.
    pub refused_share: Counter,
    /// Asked for, without an answer in time.
    pub late: Counter,
    /// Sent to the store and kept there.
    pub uploaded: Counter,
    /// Kept in memory only: too many on their way, or the store did not take it.
    pub kept_local: Counter,
    /// Lost, because nobody knows whether the store has it.
    pub lost: Counter,
}

/// See the module. Shared by reference among all connections of a server.
pub struct SharedSessions {
    realm: [u8; REALM],
    wait: Duration,
    budget: Budget,
    inner: Arc<Inner>,
    places: Arc<Semaphore>,
    /// Taken out only when dropped.
    runtime: Option<Runtime>,
}

/// What uploads need as well.
struct Inner {
    local: Local,
    shared: Arc<dyn SessionStore>,
    lifetime_ms: u32,
    breaker: Arc<Breaker>,
    metrics: SharedMetrics,
}

/// Through what to share, as a configuration names it.
pub enum Through {
    /// A store that is open already, for instance the one behind this process's own session server.
    Store(Arc<dyn SessionStore>),
    /// Another session server.
    Server(Address, RemoteSettings),
    /// A Valkey or Redis.
    #[cfg(feature = "redis")]
    Redis(Box<RedisSettings>),
}

impl From<Arc<dyn SessionStore>> for Through {
    fn from(store: Arc<dyn SessionStore>) -> Self {
        Self::Store(store)
    }
}

impl From<Address> for Through {
    /// With the default settings, which know no certificates: for `TLS:` addresses say [`Through::Server`].
    fn from(address: Address) -> Self {
        Self::Server(address, RemoteSettings::default())
    }
}

#[cfg(feature = "redis")]
impl From<RedisSettings> for Through {
    fn from(settings: RedisSettings) -> Self {
        Self::Redis(Box::new(settings))
    }
}

impl SharedSessions {
    /// What `ServerConfig::session_storage` wants, from what a configuration names: an [`Address`], the settings of a
    /// Redis, or a store. Nothing is asked before the first handshake; a store that is down is no error. Leave the
    /// configuration's `ticketer` as it is: with one, nothing is ever stored.
    ///
    /// # Errors
    /// `InvalidInput` for settings that can never work; a thread cannot be started.
    pub fn open(through: impl Into<Through>, settings: &SharedSettings) -> io::Result<Arc<Self>> {
        let store: Arc<dyn SessionStore> = match through.into() {
            Through::Store(store) => store,
            Through::Server(address, _) if !address.can_connect() => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "an address without a host"));
            }
            Through::Server(address, remote) => Arc::new(RemoteStore::new(address, remote)),
            #[cfg(feature = "redis")]
            Through::Redis(redis) => Arc::new(RedisStore::open(*redis).map_err(|error| match error {
                OpenError::Settings(problem) => io::Error::new(io::ErrorKind::InvalidInput, problem),
                OpenError::Thread(error) => error,
            })?),
        };
        Self::new(store, settings).map(Arc::new)
    }

    /// Shares sessions through this store. Starts a thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn new(shared: Arc<dyn SessionStore>, settings: &SharedSettings) -> io::Result<Self> {
        Self::with_clock(shared, settings, Arc::new(MonotonicClock::default()))
    }

    /// The same, with a breaker and a memory on a clock of the caller.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_clock(
        shared: Arc<dyn SessionStore>,
        settings: &SharedSettings,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("sessions-tls").enable_all().build()?;
        let lifetime_ms = u32::try_from(settings.lifetime.as_millis()).unwrap_or(u32::MAX).min(TIMEOUT_MS);
        let inner = Inner {
            local: Local::new(&settings.local, lifetime_ms, Arc::clone(&clock)),
            shared,
            lifetime_ms,
            breaker: Breaker::new(settings.breaker.clone(), clock),
            metrics: SharedMetrics::default(),
        };
        let mut realm = [0; REALM];
        let hash = digest::digest(&digest::SHA256, settings.realm.as_bytes());
        realm.copy_from_slice(&hash.as_ref()[..REALM]);
        Ok(Self {
            realm,
            wait: settings.wait,
            budget: Budget::new(settings.share),
            inner: Arc::new(inner),
            places: Arc::new(Semaphore::new(settings.uploads.min(Semaphore::MAX_PERMITS))),
            runtime: Some(runtime),
        })
    }

    /// Its counters.
    #[must_use]
    pub fn metrics(&self) -> &SharedMetrics {
        &self.inner.metrics
    }

    /// Its breaker.
    #[must_use]
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.inner.breaker
    }

    /// The id of a session; `None` when no session of ours has this key.
    fn id(&self, key: &[u8]) -> Option<Vec<u8>> {
        (1..=KEY).contains(&key.len()).then(|| [&self.realm[..], key].concat())
    }

    /// Asks the store, and waits as long as the module says.
    fn fetch<F>(&self, ask: F) -> Option<Session>
    where
        F: FnOnce(&dyn SessionStore, &mut Vec<u8>) -> Answer<FetchResult>,
    {
        let metrics = &self.inner.metrics;
        let begun = Instant::now();
        // All of the wait or nothing: a shorter one would tell nothing about the store.
        let wait = self.wait;
        if self.budget.left(begun) < wait {
            metrics.refused_share.up();
            return None;
        }
        let Some(permit) = self.inner.breaker.admit() else {
            metrics.refused_breaker.up();
            return None;
        };
        let mut out = Session::default();
        let result = match ask(&*self.inner.shared, &mut out) {
            Answer::Ready(result) => Some(result),
            Answer::Later(later) => {
                let (sender, receiver) = mpsc::sync_channel(1);
                self.runtime.as_ref()?.spawn(async move {
                    // Nobody listens after that time; what is taken too late is lost.
                    if let Ok(result) = timeout(wait, later).await {
                        let _ = sender.send(result);
                    }
                });
                let result = receiver.recv_timeout(wait).ok();
                self.budget.spend(begun, begun.elapsed());
                result
            }
        };
        match result {
            Some(Ok(_) | Err(StoreError::Unreadable)) => permit.succeeded(),
            Some(Err(_)) => permit.failed(),
            None => {
                metrics.late.up();
                permit.failed();
            }
        }
        let session = result?.ok()?.into_session(out);
        if session.is_some() { &metrics.shared_hits } else { &metrics.misses }.up();
        session
    }
}

impl StoresServerSessions for SharedSessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let value = Session::new(value);
        let Some(id) = self.id(&key).filter(|id| id.len() + value.len() <= ID_AND_SESSION) else {
            return false;
        };
        if value.is_empty() {
            return false;
        }
        let inner = &self.inner;
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        let (Some(place), Some(permit), Some(runtime)) = (place, inner.breaker.admit(), &self.runtime) else {
            return inner.keep_local(&id, &value);
        };
        inner.local.keep_copy(&id, &value);
        let inner = Arc::clone(inner);
        runtime.spawn(async move {
            inner.upload(&id, value, permit).await;
            drop(place);
        });
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let id = self.id(key)?;
        if let Some(session) = self.inner.local.find(&id) {
            self.inner.metrics.local_hits.up();
            return Some(session.to_vec());
        }
        let session = self.fetch(|shared, out| shared.get(&id, out))?;
        self.inner.local.keep_copy(&id, &session);
        Some(session.to_vec())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let id = self.id(key)?;
        if let Some(session) = self.inner.local.take(&id) {
            self.inner.metrics.local_hits.up();
            return Some(session.to_vec());
        }
        Some(self.fetch(|shared, out| shared.take(&id, out))?.to_vec())
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl Inner {
    /// Brings a session to the store. What the store surely has not got stays here.
    async fn upload(&self, id: &[u8], session: Session, permit: Permit) {
        let added = self.shared.add(id, &session, self.lifetime_ms).wait().await;
        match added {
            // Taken: keys are random, so it is this session, put twice by somebody who lost a reply. Never again: it may
            // have been used in the meantime.
            Ok(Added::Stored | Added::Duplicate) => self.metrics.uploaded.up(),
            Ok(Added::NoRoom) | Err(StoreError::Unavailable) => {
                self.keep_local(id, &session);
            }
            Err(StoreError::Timeout | StoreError::Unreadable) => self.metrics.lost.up(),
        }
        match added {
            Ok(_) | Err(StoreError::Unreadable) => permit.succeeded(),
            Err(_) => permit.failed(),
        }
    }

    fn keep_local(&self, id: &[u8], session: &Session) -> bool {
        self.metrics.kept_local.up();
        self.local.keep_own(id, session)
    }
}

impl Drop for SharedSessions {
    fn drop(&mut self) {
        // Not a plain drop, which would block, and panic within another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for SharedSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSessions").field("metrics", &self.inner.metrics).finish_non_exhaustive()
    }
}
