//! Sessions in Valkey or Redis (6.2 or newer), one server or a cluster, shared by everyone with the same keys.
//!
//! | operation | command |
//! |---|---|
//! | add | `SET name sealed NX PX timeout` (a timeout of 0 becomes 1 ms) |
//! | get, take | `GET`, `GETDEL`: of racing takers one gets the session |
//! | remove, have | `DEL`, `EXISTS` |
//! | len | `DBSIZE`, over all masters of a cluster: every key there is, whoever wrote it. Give sessions a database of their own |
//!
//! Nothing readable leaves: sessions are sealed and ids become names, see [`Keys`]. Switch persistence off there
//! (`save ""`, `appendonly no`): sessions do not belong on a disk, sealed or not.
//!
//! **Never a hang.** Each operation has a time limit, connecting included. More than
//! [`RedisSettings::in_flight`] at once, and all of them while the [`Breaker`] is open, are refused at once. All of that is a
//! [`StoreError`], which servers treat as a miss. One task connects; it does so only when an operation wants it, so the
//! breaker spaces the attempts, and never more than one is under way.
//!
//! Owns a thread with a runtime of its own, where connections live: futures may be awaited anywhere, and no blocked
//! executor keeps replies from being read. An operation that has begun ends by itself, whether somebody waits or not.
//! Deliberately keeps nothing locally and asks nothing twice: a lost reply may have been carried out.

mod link;
mod reply;
mod target;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{Cmd, Value, cmd};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use self::link::Link;
use self::reply::Outcome;
use self::target::Target;
use super::breaker::{Breaker, BreakerSettings};
use super::seal::Keys;
use super::{Added, Answer, FetchResult, Fetched, SessionStore, StoreError};
use crate::clock::{Clock, MonotonicClock};
use crate::metrics::Counter;

pub use target::RedisTls;

/// How to use a Valkey or Redis.
pub struct RedisSettings {
    /// `redis://[user:password@]host[:port][/db]`, `rediss://…` with TLS, `redis+unix:///path[?db=N&user=…&pass=…]`, or
    /// `redis+cluster://[user:password@]host[:port],host[:port]…` and `rediss+cluster://…`; `valkey` for `redis` as well.
    pub url: String,
    /// Seal what leaves.
    pub keys: Keys,
    /// What names of sessions begin with there, followed by 32 hex digits. Default `session:`.
    pub prefix: String,
    /// For `rediss`: whom to trust and what to show. Default: the system's certificates, nothing.
    pub tls: RedisTls,
    /// Time for one operation, connecting included. Default 250 ms.
    pub timeout: Duration,
    /// Time for one attempt to connect; operations that want it do not wait longer than `timeout`. Default 1 s.
    pub connect_timeout: Duration,
    /// Operations under way at once; one more is refused. Default 4096.
    pub in_flight: usize,
    /// When to give it up for a while. The pause is also the time between attempts to connect.
    pub breaker: BreakerSettings,
}

impl RedisSettings {
    /// Defaults for everything but these two.
    #[must_use]
    pub fn new(url: &str, keys: Keys) -> Self {
        Self {
            url: url.to_owned(),
            keys,
            prefix: "session:".to_owned(),
            tls: RedisTls::default(),
            timeout: Duration::from_millis(250),
            connect_timeout: Duration::from_secs(1),
            in_flight: 4096,
            breaker: BreakerSettings::default(),
        }
    }

    /// Whether a store could be opened with these, without connecting: for programs that want to know before they do
    /// anything else.
    ///
    /// # Errors
    /// URL or certificates are not usable.
    pub fn check(&self) -> Result<(), OpenError> {
        Target::new(self).map(drop)
    }
}

/// What became of operations and connections. `in_flight` and `connected` are levels.
#[derive(Debug, Default)]
pub struct RedisMetrics {
    /// Sent, or tried to.
    pub operations: Counter,
    /// Under way now.
    pub in_flight: Counter,
    /// Refused because too many were under way.
    pub refused_full: Counter,
    /// Sent, and no answer came, in time or at all.
    pub unanswered: Counter,
    /// Could not be sent, or were answered with an error.
    pub failed: Counter,
    /// Found something that none of our keys opens.
    pub unreadable: Counter,
    /// 1 while there is a connection.
    pub connected: Counter,
    /// Connections made.
    pub connects: Counter,
    /// Attempts to connect that failed.
    pub connect_failures: Counter,
}

/// Why there is no store.
#[derive(Debug)]
pub enum OpenError {
    /// URL or certificates are not usable; says why, without the password.
    Settings(String),
    /// The thread could not be started.
    Thread(io::Error),
}

/// See the module.
pub struct RedisStore {
    keys: Arc<Keys>,
    prefix: String,
    link: Arc<Link>,
    breaker: Arc<Breaker>,
    places: Arc<Semaphore>,
    metrics: Arc<RedisMetrics>,
    /// Taken out only when dropped.
    runtime: Option<Runtime>,
}

impl RedisStore {
    /// Starts the thread and, in the background, connects. A Redis that is down is no error: it is a store that does not
    /// answer yet.
    ///
    /// # Errors
    /// Settings that can never work, or no thread.
    pub fn open(settings: RedisSettings) -> Result<Self, OpenError> {
        Self::with_clock(settings, Arc::new(MonotonicClock::default()))
    }

    /// The same, with a breaker on a clock of the caller.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn with_clock(settings: RedisSettings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let target = Target::new(&settings)?;
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("sessions-redis").enable_all().build();
        let runtime = runtime.map_err(OpenError::Thread)?;
        let metrics = Arc::<RedisMetrics>::default();
        let link = Arc::new(Link::new(target, &settings, Arc::clone(&metrics)));
        runtime.spawn(Arc::clone(&link).keep_connected());
        Ok(Self {
            keys: Arc::new(settings.keys),
            prefix: settings.prefix,
            link,
            breaker: Breaker::new(settings.breaker, clock),
            places: Arc::new(Semaphore::new(settings.in_flight.clamp(1, Semaphore::MAX_PERMITS))),
            metrics,
            runtime: Some(runtime),
        })
    }

    /// Its counters.
    #[must_use]
    pub fn metrics(&self) -> &Arc<RedisMetrics> {
        &self.metrics
    }

    /// Its breaker.
    #[must_use]
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }

    /// Why the last attempt to connect failed; `None` while there is a connection, or when none was tried yet.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.link.problem()
    }

    fn name(&self, id: &[u8]) -> String {
        use fmt::Write;
        let mut name = self.prefix.clone();
        for byte in self.keys.name(id) {
            let _ = write!(name, "{byte:02x}");
        }
        name
    }

    /// Sends a command, and makes an answer of the outcome.
    fn ask<T: Send + 'static>(
        &self,
        command: Cmd,
        read: impl FnOnce(Outcome) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<Result<T, StoreError>> {
        let Some(runtime) = &self.runtime else { return Answer::Ready(Err(StoreError::Unavailable)) };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.metrics.refused_full.up();
            return Answer::Ready(Err(StoreError::Unavailable));
        };
        let Some(permit) = self.breaker.admit() else {
            return Answer::Ready(Err(StoreError::Unavailable));
        };
        let (link, breaker) = (Arc::clone(&self.link), Arc::clone(&self.breaker));
        let task = runtime.spawn(async move {
            let _place = place;
            let (outcome, attempt) = link.ask(&command).await;
            if outcome.is_sound() {
                permit.succeeded();
            } else {
                permit.failed();
                link.doubt(attempt, !breaker.is_closed());
            }
            let result = read(outcome);
            link.count(&result);
            result
        });
        // The task ends by itself, in time; it is lost only together with the store.
        Answer::Later(Box::pin(async { task.await.unwrap_or(Err(StoreError::Unavailable)) }))
    }

    fn fetch(&self, command: &str, id: &[u8]) -> Answer<FetchResult> {
        let (keys, own) = (Arc::clone(&self.keys), Zeroizing::new(id.to_vec()));
        let mut command = cmd(command);
        command.arg(self.name(id));
        self.ask(command, move |outcome| match outcome.value()? {
            Value::Nil => Ok(Fetched::Absent),
            Value::BulkString(sealed) => {
                keys.open(&own, sealed).map(Fetched::Session).ok_or(StoreError::Unreadable)
            }
            _ => Err(StoreError::Unreadable),
        })
    }

    fn count(&self, command: &str, id: &[u8]) -> Answer<Result<bool, StoreError>> {
        let mut command = cmd(command);
        command.arg(self.name(id));
        self.ask(command, |outcome| Ok(outcome.number()? > 0))
    }
}

impl SessionStore for RedisStore {
    fn add(&self, id: &[u8], session: &[u8], timeout_ms: u32) -> Answer<Result<Added, StoreError>> {
        let Some(sealed) = self.keys.seal(id, session) else {
            return Answer::Ready(Err(StoreError::Unavailable));
        };
        let mut command = cmd("SET");
        command.arg(self.name(id)).arg(sealed).arg("NX").arg("PX").arg(timeout_ms.max(1));
        self.ask(command, |outcome| match outcome {
            Outcome::Full => Ok(Added::NoRoom),
            outcome => match outcome.value()? {
                Value::Okay => Ok(Added::Stored),
                Value::Nil => Ok(Added::Duplicate),
                _ => Err(StoreError::Unreadable),
            },
        })
    }

    fn get(&self, id: &[u8], _: &mut Vec<u8>) -> Answer<FetchResult> {
        self.fetch("GET", id)
    }

    fn take(&self, id: &[u8], _: &mut Vec<u8>) -> Answer<FetchResult> {
        self.fetch("GETDEL", id)
    }

    fn remove(&self, id: &[u8]) -> Answer<Result<bool, StoreError>> {
        self.count("DEL", id)
    }

    fn have(&self, id: &[u8]) -> Answer<Result<bool, StoreError>> {
        self.count("EXISTS", id)
    }

    fn len(&self) -> Answer<Result<u64, StoreError>> {
        self.ask(cmd("DBSIZE"), |outcome| outcome.number())
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        // Not a plain drop, which would block, and panic within another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("metrics", &self.metrics).finish_non_exhaustive()
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(problem) => f.write_str(problem),
            Self::Thread(error) => write!(f, "the thread for sessions cannot start: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}
