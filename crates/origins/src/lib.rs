//! Where bytes come from. Today: HTTP origins behind a guarded connector.
//!
//! [`HttpOrigin`] implements [`cache::Origin`] and [`cache::Tunnels`]; [`connect`] resolves, judges and connects. Nothing here stores,
//! caches or retries beyond one silent repeat on a connection that was already dead.
#![forbid(unsafe_code)]

pub mod connect;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::http::fuzzing::*;
}
mod http;
mod metrics;
mod settings;

pub use connect::guard::{AllowOrigin, Guard, InvalidAllowOrigin};
pub use connect::proxy::{InvalidProxy, ProxySettings};
pub use connect::resolve::{HickoryResolver, Resolve, SystemResolver};
pub use http::HttpOrigin;
pub use settings::{Downgrade, InvalidSettings, ResolverChoice, Settings, Versions};
