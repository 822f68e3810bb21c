//! Listeners and their connections.
//!
//! [`bind`] gives a [`Listener`], which may speak TLS ([`Certificates`]) and may belong to a site; [`Listener::serve`] accepts until told to drain ([`Drain`]), runs each connection as a
//! task of its own, and ends with the last of them. Owns sockets and limits; knows nothing of what is asked.
//!
//! Invariants: never more than [`Settings::max_connections`] at once; an accept that fails does not end the listener;
//! after a drain has begun no connection lives longer than [`Settings::grace`].

mod accept;
mod connection;
#[cfg(test)]
pub(crate) use connection::protocol;
mod drain;
mod settings;
mod socket;
mod tls;

pub use accept::Listener;
pub use drain::{Drain, Drainer, drain};
pub use settings::Settings;
pub use socket::bind;
pub use tls::{CertificateFiles, Certificates, InvalidCertificate};

#[cfg(test)]
mod tests;
