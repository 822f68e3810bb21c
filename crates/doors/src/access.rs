//! Who may ask for what: the client's true address behind trusted proxies, and the ordered allow/deny rules.
//!
//! State: [`Rules`], compiled once from configuration and never changed; the service holds a snapshot that a reload replaces,
//! and asks it for every request. A check allocates nothing.
//! Invariants: the first rule that matches decides; what no rule matches is refused; IPv4-mapped IPv6
//! addresses are compared as IPv4; a header from a peer that is not a trusted proxy is never believed.
//! Does not judge where a fetch goes to: that is the origin's guard.

mod client;
mod network;
mod rules;

pub use network::InvalidNetwork;
pub(crate) use rules::has_dot_segment;
pub use rules::{Asked, DOORS, Denied, InForce, InvalidAccess, Rules};
