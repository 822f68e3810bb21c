//! Everything clients talk to: listeners, the wire, access rules, and the doors: [`fetch`], [`site`], [`proxy`], [`admin`].
//!
//! A connection comes in through [`listen`], its bytes go out through [`wire`]; [`service::Service`] checks each
//! request, routes it to a door, and tells [`access_log`] and [`metrics`] how it ended. Doors ask the `cache` and
//! never name an origin; what sites and proxy share is in [`exchange`]. Beside all that, [`session`] shares TLS sessions on listeners of its own.

#![forbid(unsafe_code)]

pub mod access;
pub mod access_log;
pub mod admin;
pub mod exchange;
pub mod fetch;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::fetch::fuzzing::*;
    pub use crate::proxy::fuzzing::*;
    pub use crate::service::fuzzing::*;
    pub use crate::wire::fuzzing::*;
}
pub mod listen;
mod memo;
pub mod metrics;
pub mod proxy;
pub mod respond;
pub mod service;
pub mod session;
pub mod site;
pub mod wire;
