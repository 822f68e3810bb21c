//! What goes over a connection, and the zero-copy way down to the socket.
//!
//! - [`Body`]: the bytes of a response, as a door gives them.
//! - [`Outgoing`]: that body under watch: counted, its file views noted, its end recorded.
//! - [`Wire`]: the socket beneath hyper: sends noted file views with `sendfile`, cuts readers that take nothing and
//!   peers that say nothing.
//! - [`Peer`]: what these share.
//!
//! ```text
//! door ─ Body ─► Outgoing ─ Bytes ─► hyper ─ the same Bytes as slices ─► Wire ─ sendfile ─► socket
//!                    └───── notes (address, file, offset) ──► Extents ◄──── finds
//! ```
//!
//! Does not know caching, routing or HTTP's grammar.

mod body;
mod extents;
mod io;
mod outgoing;
mod patience;
mod peer;

pub use body::{Body, Broken};
pub(crate) use io::{Limits, Wire};
pub use outgoing::Outgoing;
pub(crate) use outgoing::Watch;
pub use peer::Peer;

#[cfg(test)]
pub(crate) mod tests;
