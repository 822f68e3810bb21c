//! TLS sessions shared among servers: the distcache protocol, and everything that speaks it.
//!
//! A server that negotiated a session stores it under its id, any other server fetches it and resumes. The wire is that
//! of distcache (protocol 0x0011), byte for byte; names here are the field's: *session* (the bytes, a secret), *id* (1 to
//! 64 bytes), *timeout* (milliseconds, at most seven days), *store*.
//!
//! | module | what |
//! |---|---|
//! | [`frame`], [`message`], [`request`] | bytes to values and back, sans-IO, exact at every split of the input |
//! | [`address`] | the address strings `UNIX:`, `IP:`, `IPv4:`, `FD:`, and our `IP6:` and `TLS:` |
//! | [`store`] | the trait [`SessionStore`] and the [`MemoryStore`] |
//! | [`server`] | serves a store on listeners |
//! | [`proxy`] | many local clients on one connection to a server |
//! | [`client`] | blocking and async clients |
//! | [`store::redis`](store) | feature `redis`: the store in Valkey or Redis, sealed |
//! | `rustls` | feature `rustls`: sessions of rustls servers, shared |
//! | [`stunnel`] | stunnel's `sessiond` on the same store |
//!
//! Sessions are secrets: buffers that held one are wiped, and no id or session is ever written to a log, a metric or a
//! `Debug` text.
#![forbid(unsafe_code)]

pub mod address;
pub mod client;
pub mod clock;
pub mod error;
pub mod frame;
#[cfg(test)]
mod golden;
pub mod limits;
pub mod message;
pub mod metrics;
pub mod net;
pub mod operation;
pub mod proxy;
pub mod request;
#[cfg(feature = "rustls")]
pub mod rustls;
mod secret;
mod serve;
pub mod server;
pub mod store;
pub mod stunnel;

pub use address::Address;
pub use error::{ClientError, Malformed};
pub use operation::{Operation, Status};
pub use server::{Server, ServerSettings};
pub use store::{Added, Answer, Fetched, MemoryStore, Session, SessionStore, StoreError};
