//! The blocking client.

use std::time::Instant;

use super::exchange::{self, Exchange};
use super::socket::{Socket, Target};
use super::{ClientSettings, Connections};
use crate::address::Address;
use crate::error::ClientError;
use crate::operation::Status;
use crate::request::Request;
use crate::store::Session;

/// A client that blocks its thread, for callers without a runtime (TLS libraries call back from within a handshake).
pub struct Client {
    target: Target,
    settings: ClientSettings,
    socket: Option<Socket>,
    process: u32,
    exchange: Exchange,
    /// What the last call fetched, and its id.
    last: Option<(Vec<u8>, Session)>,
}

impl Client {
    /// A client of this server. Connects now when its connection is persistent and not late.
    ///
    /// # Errors
    /// The address cannot be connected to, its name is unknown, or connecting failed.
    pub fn new(address: Address, settings: ClientSettings) -> Result<Self, ClientError> {
        let target = Target::new(address, &settings)?;
        let connects_now = settings.connects_now();
        let exchange = Exchange::default();
        let process = std::process::id();
        let mut client = Self { target, settings, socket: None, process, exchange, last: None };
        if connects_now {
            client.socket = Some(client.target.connect(client.settings.connect_timeout)?);
        }
        Ok(client)
    }

    /// Stores a session under an id for `timeout_ms` milliseconds. [`Status::Ok`] when it is stored, else why not.
    ///
    /// # Errors
    /// No answer; [`ClientError::TooLong`] when id and session do not fit one message.
    pub fn add(&mut self, id: &[u8], session: &[u8], timeout_ms: u32) -> Result<Status, ClientError> {
        exchange::status(&self.ask(Request::Add { id, session, timeout_ms })?)
    }

    /// Fetches a session; `None` when there is none. Status 2 (the server behind a proxy is gone) is `None` too.
    ///
    /// # Errors
    /// No answer.
    pub fn get(&mut self, id: &[u8]) -> Result<Option<Session>, ClientError> {
        Ok(exchange::session(self.ask(Request::Get(id))?, self.settings.short))
    }

    /// Fetches a session into `buffer`: as much as fits; returns the length of the whole.
    ///
    /// # Errors
    /// No answer.
    pub fn get_into(&mut self, id: &[u8], buffer: &mut [u8]) -> Result<Option<usize>, ClientError> {
        self.last = self.get(id)?.map(|session| (id.to_owned(), session));
        Ok(self.reget_into(id, buffer))
    }

    /// What the last call fetched, again and without asking: only when that call was a [`get_into`](Self::get_into) of
    /// this id with a hit.
    pub fn reget_into(&mut self, id: &[u8], buffer: &mut [u8]) -> Option<usize> {
        let session = self.fetched(id)?;
        let count = session.len().min(buffer.len());
        buffer[..count].copy_from_slice(&session[..count]);
        Some(session.len())
    }

    /// The same, where it lies.
    #[must_use]
    pub fn fetched(&self, id: &[u8]) -> Option<&[u8]> {
        let (_, session) = self.last.as_ref().filter(|(last, _)| last == id)?;
        Some(session)
    }

    /// Drops a session: [`Status::Ok`], or [`Status::Absent`] when there is none.
    ///
    /// # Errors
    /// No answer.
    pub fn remove(&mut self, id: &[u8]) -> Result<Status, ClientError> {
        exchange::status(&self.ask(Request::Remove(id))?)
    }

    /// Asks for a session: [`Status::Ok`] when it is there, or [`Status::Absent`].
    ///
    /// # Errors
    /// No answer.
    pub fn have(&mut self, id: &[u8]) -> Result<Status, ClientError> {
        exchange::status(&self.ask(Request::Have(id))?)
    }

    /// As if the process had forked since the last call.
    #[cfg(test)]
    pub(super) fn pretend_to_be_forked(&mut self) {
        self.process = 0;
    }

    /// Whether nothing of past calls is left in it.
    #[cfg(test)]
    pub(super) fn is_wiped(&self) -> bool {
        self.exchange.is_wiped()
    }

    fn ask(&mut self, request: Request<'_>) -> Result<Session, ClientError> {
        self.last = None;
        self.exchange.begin(&request)?;
        if self.settings.has_forked(&mut self.process) {
            self.socket = None;
        }
        let result = match self.attempt() {
            Err(ClientError::Io(_)) if self.settings.retries() => self.attempt(),
            result => result,
        };
        self.exchange.end();
        result
    }

    /// Sends the request and waits for its reply. The connection is kept only when all went well.
    fn attempt(&mut self) -> Result<Session, ClientError> {
        let mut socket = match self.socket.take() {
            Some(socket) => socket,
            None => self.target.connect(self.settings.connect_timeout)?,
        };
        let deadline = Instant::now() + self.settings.timeout;
        socket.send(self.exchange.request(), deadline)?;
        let reply = loop {
            let count = socket.receive(self.exchange.room(), deadline)?;
            if let Some(reply) = self.exchange.received(count)? {
                break reply;
            }
        };
        if let Connections::Persistent(_) = self.settings.connection {
            self.socket = Some(socket);
        }
        Ok(reply)
    }
}
