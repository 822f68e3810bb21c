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
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod interim;
mod io;
mod outgoing;
mod patience;
mod peer;
mod raw_head;
mod socket;

pub use body::{Body, Broken};
pub(crate) use interim::Interims;
pub(crate) use io::{Limits, Wire};
pub use outgoing::Outgoing;
pub(crate) use outgoing::Watch;
pub(crate) use peer::Entrance;
pub use peer::Peer;
pub(crate) use raw_head::Framing;
pub(crate) use socket::Socket;

#[cfg(test)]
pub(crate) mod tests;
