//! What may be stored, for how long, and what may be answered with it: RFC 9111 for a shared cache, with RFC 5861 (stale),
//! RFC 8246 (immutable), RFC 9213 (targeted fields) and what an operator's rules override.
//!
//! Pure: values in, a decision with its reason out; no clock, no store, no state. Nothing of a response is parsed on a hit:
//! what its fields say is computed once, as a [`Freshness`], when its head is stored.
//!
//! | moment | function | gives |
//! |---|---|---|
//! | a head arrives | [`may_store`] | a [`Freshness`] and the fields not to be kept, or why not |
//! | | [`fields::stored`] | the fields as they are kept |
//! | a request finds an entry | [`decide`] | [`Reuse`]: fresh, stale, to be validated, or 504 |
//! | | [`fields::unvalidated`] | the fields of an answer that was not validated |
//! | a 304 arrives | [`fields::updated`], then as if the head arrived | the entry's new head, or that it must go |
//! | the origin is in trouble | [`may_serve_on_error`] | whether the entry may stand in |
//! | an unsafe method succeeded | [`invalidated`] | the URLs that must be asked for again |
//!
//! Times are whole seconds in `u32`, at most 2^31, as RFC 9111 section 1.2.2 has them; ages are [`Duration`]s and compared as
//! such. No sum here can overflow.

pub mod fields;
mod invalidation;
mod overrides;
mod record;
mod reuse;
mod storing;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::HeaderName;
use protocols::http::{targeted, vary};

pub use invalidation::invalidated;
pub use overrides::{Covers, Directives, Overrides, SetCookie, StatusTtl, Traffic};
pub use record::{Basis, Demand, Demands, Freshness};
pub use reuse::{
    FreshBecause, NotOnError, Reuse, StaleBecause, Stored, Trouble, ValidateBecause, decide,
    may_serve_on_error,
};
pub use storing::{Answered, Asked, Storable, Unstorable, may_store};

/// Settings of the policy. Rules come on top, see [`Overrides`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Longest lifetime that is guessed from `Last-Modified` (default 1 d; RFC 9111 section 4.2.2).
    pub heuristic_max: Duration,
    /// For so long after the origin confirmed an object, a client's `no-cache` and `max-age` do not make us ask again
    /// (default 1 s): a herd of reloads reaches the origin once in that time. 0 obeys all of them.
    pub reload_floor: Duration,
    /// How long past its lifetime an object may stand in for an origin that cannot be reached, when the origin itself
    /// names no `stale-if-error` (default 1 d).
    pub stale_on_error: Duration,
    /// Most fields that `Vary` may nominate (default 16); a response that nominates more is not stored.
    pub vary_fields: usize,
    /// Targeted fields in the order of their rank (default `CDN-Cache-Control` alone; RFC 9213 section 2.2).
    pub targets: Vec<HeaderName>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heuristic_max: Duration::from_secs(24 * 60 * 60),
            reload_floor: Duration::from_secs(1),
            stale_on_error: Duration::from_secs(24 * 60 * 60),
            vary_fields: vary::MAX_FIELDS,
            targets: vec![targeted::CDN_CACHE_CONTROL],
        }
    }
}
