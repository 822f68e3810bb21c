//! Clients: the blocking one with the semantics of distcache's `DC_CTX`, and its async twin.
//!
//! Both have one request under way at a time, and never wait without end. After an error the connection is closed; the
//! next call opens a new one.

mod asynchronous;
mod blocking;
mod exchange;
mod socket;
#[cfg(test)]
mod tests;

pub use asynchronous::AsyncClient;
pub use blocking::Client;

use std::time::Duration;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// When connections are opened and closed.
    pub connection: Connections,
    /// Time to connect (and for a TLS handshake). Default 5 s.
    pub connect_timeout: Duration,
    /// Time from sending a request to having its answer. Default 5 s.
    pub timeout: Duration,
    /// What replies to GET of 2 to 4 bytes are.
    pub short: ShortReplies,
    /// Needed for `TLS:` addresses.
    #[cfg(feature = "tls")]
    pub tls: Option<std::sync::Arc<crate::net::tls::ClientConfig>>,
}

/// When a client opens and closes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// One for each request.
    Temporary,
    /// One is kept.
    Persistent(Persistent),
}

/// Options of a kept connection; the default is that of `DC_CTX` with the flag PERSISTENT alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Persistent {
    /// PIDCHECK: connect anew when the process has forked since. Once, not for every call.
    pub pid_check: bool,
    /// RETRY: after a connection broke under a request, connect and send it once more. An ADD that is sent again may be
    /// told that its id is taken, by itself.
    pub retry: bool,
    /// LATE: connect with the first request, not with the client's making.
    pub late: bool,
}

/// What a reply to GET of 2 to 4 bytes is. One byte is always a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShortReplies {
    /// A session.
    Sessions,
    /// A failure, as the C library has it.
    Failures,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connection: Connections::Persistent(Persistent::default()),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
            short: ShortReplies::Sessions,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl ClientSettings {
    fn persistent(&self) -> Option<Persistent> {
        match self.connection {
            Connections::Temporary => None,
            Connections::Persistent(persistent) => Some(persistent),
        }
    }

    fn connects_now(&self) -> bool {
        self.persistent().is_some_and(|persistent| !persistent.late)
    }

    fn retries(&self) -> bool {
        self.persistent().is_some_and(|persistent| persistent.retry)
    }

    /// Whether this is another process than the last time, and somebody wants to know.
    fn has_forked(&self, known: &mut u32) -> bool {
        if !self.persistent().is_some_and(|persistent| persistent.pid_check) {
            return false;
        }
        let now = std::process::id();
        std::mem::replace(known, now) != now
    }
}
