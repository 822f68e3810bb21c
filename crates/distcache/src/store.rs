//! The trait every store implements, and what a store may answer.
//!
//! A store that has the answer at hand gives [`Answer::Ready`] and writes a session straight into the caller's buffer:
//! no allocation, no task switch. A store behind a network gives [`Answer::Later`] with a future of its own that borrows
//! nothing, so a server can have several under way on one connection. Which of both is chosen per call, at run time,
//! behind `Arc<dyn SessionStore>`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use zeroize::Zeroizing;

#[cfg(any(feature = "redis", feature = "rustls"))]
pub mod breaker;
mod memory;
#[cfg(feature = "redis")]
pub mod redis;
mod remote;
#[cfg(feature = "redis")]
mod seal;

pub use memory::{MemorySettings, MemoryStats, MemoryStore};
pub use remote::{RemoteSettings, RemoteStore};
#[cfg(feature = "redis")]
pub use seal::{Keys, KeysError};

/// Bytes of a session, wiped when dropped.
pub type Session = Zeroizing<Vec<u8>>;

/// A value, at once or later.
pub enum Answer<T> {
    /// Here it is.
    Ready(T),
    /// It takes a while. The future borrows nothing and must be bounded in time by the store.
    Later(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T> Answer<T> {
    /// Waits where there is something to wait for.
    pub async fn wait(self) -> T {
        match self {
            Self::Ready(value) => value,
            Self::Later(future) => future.await,
        }
    }
}

/// A store that did not answer. The caller treats it as a miss and sends [`Status::Disconnected`](crate::Status).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreError {
    /// Not reachable, or refused by our own breaker. Worth another try later.
    Unavailable,
    /// No answer in time. Whether an ADD or REMOVE was carried out is not known.
    Timeout,
    /// It answered something that is not a session of ours, for instance one sealed with another key.
    Unreadable,
}

/// What became of an ADD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Added {
    /// Stored.
    Stored,
    /// The id is taken; neither session nor timeout were changed.
    Duplicate,
    /// The session alone is larger than everything the store may hold.
    NoRoom,
}

/// What became of a GET or a take.
#[derive(PartialEq, Eq)]
pub enum Fetched {
    /// There is no such session.
    Absent,
    /// The session was appended to the buffer that came with the call; only together with [`Answer::Ready`].
    Appended,
    /// Here is the session; the buffer of the call is as it was.
    Session(Session),
}

/// What a fetch ends in.
pub type FetchResult = Result<Fetched, StoreError>;

/// Keeps sessions until they time out. Implementations are safe to call from many threads.
///
/// Callers have checked ids (1 to 64 bytes), sessions (at least one byte, at most
/// [`limits::ID_AND_SESSION`](crate::limits::ID_AND_SESSION) with its id) and timeouts (at most seven days).
/// Neither ids nor sessions may reach a log.
#[expect(
    clippy::len_without_is_empty,
    reason = "the number is for operators; nobody asks whether it is zero"
)]
pub trait SessionStore: Send + Sync + 'static {
    /// Stores `session` under `id` for `timeout_ms` milliseconds, unless the id is taken. A full store makes room.
    fn add(&self, id: &[u8], session: &[u8], timeout_ms: u32) -> Answer<Result<Added, StoreError>>;

    /// Fetches a session: appends it to `out` and says [`Fetched::Appended`], or brings it along. Never extends its life.
    fn get(&self, id: &[u8], out: &mut Vec<u8>) -> Answer<FetchResult>;

    /// Like [`get`](Self::get), and drops the session in the same step: of racing callers at most one gets it.
    fn take(&self, id: &[u8], out: &mut Vec<u8>) -> Answer<FetchResult>;

    /// Drops a session; of racing callers exactly one is told `true`.
    fn remove(&self, id: &[u8]) -> Answer<Result<bool, StoreError>>;

    /// Whether there is a session that has not timed out.
    fn have(&self, id: &[u8]) -> Answer<Result<bool, StoreError>>;

    /// How many sessions there are. May be an estimate where the store is shared.
    fn len(&self) -> Answer<Result<u64, StoreError>>;
}

impl dyn SessionStore {
    /// [`get`](SessionStore::get) for callers who want the session as a value.
    pub async fn fetch(&self, id: &[u8]) -> Result<Option<Session>, StoreError> {
        let mut out = Session::default();
        let answer = self.get(id, &mut out);
        Ok(answer.wait().await?.into_session(out))
    }

    /// [`take`](SessionStore::take) for callers who want the session as a value.
    pub async fn fetch_and_remove(&self, id: &[u8]) -> Result<Option<Session>, StoreError> {
        let mut out = Session::default();
        let answer = self.take(id, &mut out);
        Ok(answer.wait().await?.into_session(out))
    }
}

impl Fetched {
    /// The session, given the buffer that came with the call.
    #[must_use]
    pub fn into_session(self, appended: Session) -> Option<Session> {
        match self {
            Self::Absent => None,
            Self::Appended => Some(appended),
            Self::Session(session) => Some(session),
        }
    }
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Appended => "Appended(…)",
            Self::Session(_) => "Session(…)",
        })
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "the session store is not reachable",
            Self::Timeout => "the session store did not answer in time",
            Self::Unreadable => "the session store holds something else under this id",
        })
    }
}

impl std::error::Error for StoreError {}
