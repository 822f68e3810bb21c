//! Sockets behind addresses, for tokio: what connects, what listens, and the stream both give.

mod connect;
mod descriptor;
mod listen;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
pub mod tls;

pub use connect::Connector;
pub(crate) use descriptor::duplicate;
pub(crate) use listen::Incoming;
pub use listen::{ListenSettings, Listener};
pub use stream::Stream;
