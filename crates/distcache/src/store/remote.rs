//! Sessions at another session server, over the distcache protocol: what lets rustls servers share through it.
//!
//! Keeps some connections, one operation at a time on each. Taking is GET and then REMOVE, which the server grants to one
//! of all racing callers: only who removed the session has it. A connection that breaks under an operation is replaced
//! and the operation sent again; no outcome of that makes two winners.
//!
//! Futures must be awaited on a tokio runtime, and end within the time limits. Deliberately has no breaker: a caller that
//! waits for many answers has its own, as `SharedSessions` (feature `rustls`) has.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{Added, Answer, FetchResult, Fetched, SessionStore, StoreError};
use crate::address::Address;
use crate::client::{AsyncClient, ClientSettings, Connections, Persistent};
use crate::operation::Status;

/// How to use another session server.
#[derive(Clone, Debug)]
pub struct RemoteSettings {
    /// Connections, and so operations at the server at once. Default 8.
    pub connections: usize,
    /// Operations under way, those that wait for a connection included; one more is refused. Default 1024.
    pub in_flight: usize,
    /// Limits of each; what it says of connections does not count. Default 1 s to connect, 250 ms for an answer and as long
    /// to wait for a connection.
    pub client: ClientSettings,
}

impl Default for RemoteSettings {
    fn default() -> Self {
        let client = ClientSettings {
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_millis(250),
            ..ClientSettings::default()
        };
        Self { connections: 8, in_flight: 1024, client }
    }
}

/// See the module.
pub struct RemoteStore {
    pool: Arc<Pool>,
    in_flight: Arc<Semaphore>,
}

struct Pool {
    address: Address,
    settings: ClientSettings,
    /// One for each connection there may be.
    places: Arc<Semaphore>,
    idle: Mutex<Vec<AsyncClient>>,
}

/// A connection on loan. Dropped, it is closed: only one that answered is given back.
struct Loan {
    client: AsyncClient,
    pool: Arc<Pool>,
    _place: OwnedSemaphorePermit,
}

impl RemoteStore {
    /// A store that connects when it is asked.
    #[must_use]
    pub fn new(address: Address, settings: RemoteSettings) -> Self {
        let connection = Persistent { retry: true, ..Persistent::default() };
        let semaphore = |places: usize| Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)));
        let pool = Pool {
            address,
            settings: ClientSettings { connection: Connections::Persistent(connection), ..settings.client },
            places: semaphore(settings.connections),
            idle: Mutex::default(),
        };
        Self { pool: Arc::new(pool), in_flight: semaphore(settings.in_flight) }
    }

    /// Does something with a connection, if not too much is under way.
    fn answer<T, F>(&self, act: impl FnOnce(Arc<Pool>) -> F) -> Answer<Result<T, StoreError>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let Ok(place) = Arc::clone(&self.in_flight).try_acquire_owned() else {
            return Answer::Ready(Err(StoreError::Unavailable));
        };
        let acting = act(Arc::clone(&self.pool));
        Answer::Later(Box::pin(async move {
            let _place = place;
            acting.await
        }))
    }
}

impl Pool {
    async fn lend(self: Arc<Self>) -> Result<Loan, StoreError> {
        let place = timeout(self.settings.timeout, Arc::clone(&self.places).acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(StoreError::Unavailable) };
        let idle = self.idle.lock().pop();
        let client = match idle {
            Some(client) => client,
            None => {
                let made = AsyncClient::new(self.address.clone(), self.settings.clone()).await;
                made.map_err(|_| StoreError::Unavailable)?
            }
        };
        Ok(Loan { client, pool: self, _place: place })
    }
}

impl Loan {
    fn give_back(self) {
        self.pool.idle.lock().push(self.client);
    }
}

/// Whether there is, or was, such a session.
fn found(status: Status) -> Result<bool, StoreError> {
    match status {
        Status::Ok => Ok(true),
        Status::Absent => Ok(false),
        Status::Disconnected => Err(StoreError::Timeout),
        _ => Err(StoreError::Unreadable),
    }
}

fn owned(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.to_vec())
}

/// A request that broke off: nobody knows.
fn unknown<E>(_: E) -> StoreError {
    StoreError::Timeout
}

impl SessionStore for RemoteStore {
    fn add(&self, id: &[u8], session: &[u8], timeout_ms: u32) -> Answer<Result<Added, StoreError>> {
        let (id, session) = (owned(id), owned(session));
        self.answer(|pool| async move {
            let mut loan = pool.lend().await?;
            let status = loan.client.add(&id, &session, timeout_ms).await.map_err(unknown)?;
            loan.give_back();
            match status {
                Status::Ok => Ok(Added::Stored),
                Status::Duplicate => Ok(Added::Duplicate),
                Status::Disconnected => Err(StoreError::Timeout),
                _ => Err(StoreError::Unreadable),
            }
        })
    }

    fn get(&self, id: &[u8], _: &mut Vec<u8>) -> Answer<FetchResult> {
        let id = owned(id);
        self.answer(|pool| async move {
            let mut loan = pool.lend().await?;
            let session = loan.client.get(&id).await.map_err(unknown)?;
            loan.give_back();
            Ok(session.map_or(Fetched::Absent, Fetched::Session))
        })
    }

    fn take(&self, id: &[u8], _: &mut Vec<u8>) -> Answer<FetchResult> {
        let id = owned(id);
        self.answer(|pool| async move {
            let mut loan = pool.lend().await?;
            let Some(session) = loan.client.get(&id).await.map_err(unknown)? else {
                loan.give_back();
                return Ok(Fetched::Absent);
            };
            let status = loan.client.remove(&id).await.map_err(unknown)?;
            loan.give_back();
            Ok(if found(status)? { Fetched::Session(session) } else { Fetched::Absent })
        })
    }

    fn remove(&self, id: &[u8]) -> Answer<Result<bool, StoreError>> {
        let id = owned(id);
        self.answer(|pool| async move {
            let mut loan = pool.lend().await?;
            let status = loan.client.remove(&id).await.map_err(unknown)?;
            loan.give_back();
            found(status)
        })
    }

    fn have(&self, id: &[u8]) -> Answer<Result<bool, StoreError>> {
        let id = owned(id);
        self.answer(|pool| async move {
            let mut loan = pool.lend().await?;
            let status = loan.client.have(&id).await.map_err(unknown)?;
            loan.give_back();
            found(status)
        })
    }

    /// The protocol has no such question.
    fn len(&self) -> Answer<Result<u64, StoreError>> {
        Answer::Ready(Err(StoreError::Unavailable))
    }
}
