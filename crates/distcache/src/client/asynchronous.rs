//! The async client.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::exchange::{self, Exchange};
use super::{ClientSettings, Connections};
use crate::address::Address;
use crate::error::ClientError;
use crate::net::{Connector, Stream};
use crate::operation::Status;
use crate::request::Request;
use crate::store::Session;

/// The async twin of [`Client`](super::Client). A call that is dropped before it is done costs the connection.
pub struct AsyncClient {
    connector: Connector,
    settings: ClientSettings,
    stream: Option<Stream>,
    process: u32,
    exchange: Exchange,
}

impl AsyncClient {
    /// A client of this server. Connects now when its connection is persistent and not late.
    ///
    /// # Errors
    /// The address cannot be connected to, or connecting failed.
    pub async fn new(address: Address, settings: ClientSettings) -> Result<Self, ClientError> {
        let connector = Connector {
            address,
            timeout: settings.connect_timeout,
            #[cfg(feature = "tls")]
            tls: settings.tls.clone(),
        };
        let connects_now = settings.connects_now();
        let process = std::process::id();
        let mut client = Self { connector, settings, stream: None, process, exchange: Exchange::default() };
        if connects_now {
            client.stream = Some(client.connector.connect().await?);
        }
        Ok(client)
    }

    /// Stores a session under an id for `timeout_ms` milliseconds. [`Status::Ok`] when it is stored, else why not.
    ///
    /// # Errors
    /// No answer; [`ClientError::TooLong`] when id and session do not fit one message.
    pub async fn add(&mut self, id: &[u8], session: &[u8], timeout_ms: u32) -> Result<Status, ClientError> {
        exchange::status(&self.ask(Request::Add { id, session, timeout_ms }).await?)
    }

    /// Fetches a session; `None` when there is none. Status 2 (the server behind a proxy is gone) is `None` too.
    ///
    /// # Errors
    /// No answer.
    pub async fn get(&mut self, id: &[u8]) -> Result<Option<Session>, ClientError> {
        Ok(exchange::session(self.ask(Request::Get(id)).await?, self.settings.short))
    }

    /// Drops a session: [`Status::Ok`], or [`Status::Absent`] when there is none.
    ///
    /// # Errors
    /// No answer.
    pub async fn remove(&mut self, id: &[u8]) -> Result<Status, ClientError> {
        exchange::status(&self.ask(Request::Remove(id)).await?)
    }

    /// Asks for a session: [`Status::Ok`] when it is there, or [`Status::Absent`].
    ///
    /// # Errors
    /// No answer.
    pub async fn have(&mut self, id: &[u8]) -> Result<Status, ClientError> {
        exchange::status(&self.ask(Request::Have(id)).await?)
    }

    /// Whether nothing of past calls is left in it.
    #[cfg(test)]
    pub(super) fn is_wiped(&self) -> bool {
        self.exchange.is_wiped()
    }

    async fn ask(&mut self, request: Request<'_>) -> Result<Session, ClientError> {
        // A call that is dropped before it is done wipes it.
        let mut exchange = std::mem::take(&mut self.exchange);
        let result = self.ask_with(&mut exchange, request).await;
        exchange.end();
        self.exchange = exchange;
        result
    }

    async fn ask_with(
        &mut self,
        exchange: &mut Exchange,
        request: Request<'_>,
    ) -> Result<Session, ClientError> {
        exchange.begin(&request)?;
        if self.settings.has_forked(&mut self.process) {
            self.stream = None;
        }
        match self.attempt(exchange).await {
            Err(ClientError::Io(_)) if self.settings.retries() => self.attempt(exchange).await,
            result => result,
        }
    }

    /// Sends the request and waits for its reply. The connection is kept only when all went well.
    async fn attempt(&mut self, exchange: &mut Exchange) -> Result<Session, ClientError> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connector.connect().await?,
        };
        let converse = async {
            stream.write_all(exchange.request()).await?;
            stream.flush().await?;
            loop {
                let count = stream.read(exchange.room()).await?;
                if let Some(reply) = exchange.received(count)? {
                    return Ok(reply);
                }
            }
        };
        let reply = timeout(self.settings.timeout, converse).await.unwrap_or(Err(ClientError::Timeout))?;
        if let Connections::Persistent(_) = self.settings.connection {
            self.stream = Some(stream);
        }
        Ok(reply)
    }
}
