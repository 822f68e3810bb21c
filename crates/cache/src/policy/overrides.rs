//! [`Overrides`]: what an operator's rule changes of the decisions, as plain values.
//!
//! Which rule matches a request or response is decided elsewhere; here are only the values of the one that did. The default
//! overrides nothing.

use http::StatusCode;

/// What a rule changes. Times in seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Whether the cache takes part at all.
    pub traffic: Traffic,
    /// Whether the origin's directives count.
    pub directives: Directives,
    /// Lifetime in place of whatever the origin says. `no-store`, `private` and `no-cache` still count unless `directives`
    /// are ignored, too.
    pub ttl: Option<u32>,
    /// Which responses `ttl` is for.
    pub ttl_covers: Covers,
    /// Lifetime of responses with a status below 400 that RFC 9110 section 15.1 lets a cache guess one for, when the origin
    /// names none; goes before a guess from `Last-Modified`.
    pub default_ttl: Option<u32>,
    /// Lifetimes of statuses from 400, when the origin names none; the first that fits counts.
    pub error_ttls: Vec<StatusTtl>,
    /// In place of the origin's `stale-while-revalidate`; 0 forbids it. Never counts against `no-cache`,
    /// `must-revalidate`, `proxy-revalidate` and `s-maxage`.
    pub stale_while_revalidate: Option<u32>,
    /// In place of the origin's `stale-if-error`; 0 forbids it. Never counts against the same four.
    pub stale_if_error: Option<u32>,
    /// What becomes of responses with `Set-Cookie`.
    pub set_cookie: SetCookie,
}

/// Whether the cache takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Traffic {
    /// It does.
    #[default]
    Cached,
    /// Requests pass by the store, and nothing of the answers is stored.
    Bypassed,
}

/// Whether the origin's `Cache-Control`, targeted fields and `Expires` count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Directives {
    /// They do.
    #[default]
    Obeyed,
    /// As if the response had none of these fields. They still reach the client.
    Ignored,
}

/// Which responses a lifetime is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Covers {
    /// Those with a status below 400, so that a lifetime meant for objects does not keep errors.
    #[default]
    NoErrors,
    /// Those with any status: for rules that name the statuses themselves.
    AllStatuses,
}

/// What becomes of responses with `Set-Cookie`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetCookie {
    /// The origin's directives decide, as for any other response; the field is stored and sent (RFC 9111 section 7.3).
    #[default]
    Keep,
    /// The response is stored without the field.
    Strip,
    /// The response is not stored.
    Refuse,
}

/// Lifetime of responses with some statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusTtl {
    /// First status.
    pub from: u16,
    /// Last status.
    pub to: u16,
    /// Seconds.
    pub seconds: u32,
}

impl Overrides {
    /// The lifetime that goes before the origin's.
    pub(super) fn overriding_ttl(&self, status: StatusCode) -> Option<u32> {
        self.ttl.filter(|_| self.ttl_covers == Covers::AllStatuses || !is_error(status))
    }

    /// The lifetime of a response that may be guessed and is no error.
    pub(super) fn default_ttl(&self, status: StatusCode) -> Option<u32> {
        self.default_ttl.filter(|_| !is_error(status))
    }

    /// The lifetime of an error that the origin names no lifetime for.
    pub(super) fn error_ttl(&self, status: StatusCode) -> Option<u32> {
        let fits = |ttl: &&StatusTtl| (ttl.from..=ttl.to).contains(&status.as_u16());
        self.error_ttls.iter().find(fits).map(|ttl| ttl.seconds).filter(|_| is_error(status))
    }
}

fn is_error(status: StatusCode) -> bool {
    status.as_u16() >= 400
}
