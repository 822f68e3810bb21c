//! [`decide`]: whether a stored response answers a request (RFC 9111 sections 4 and 5.2.1); [`may_serve_on_error`]: whether it
//! stands in for an origin in trouble (section 4.2.4, RFC 5861 section 4).
//!
//! | the stored response | the request | answer |
//! |---|---|---|
//! | `no-cache` | any | validate |
//! | fresh | nothing against it | fresh |
//! | fresh | `no-cache`, or older than its `max-age` | validate, but not within the operator's floor of seconds |
//! | fresh, `immutable` | older than its `max-age` | fresh (RFC 8246 2) |
//! | fresh | `min-fresh` beyond the lifetime | validate |
//! | stale, `must-revalidate`, `proxy-revalidate` or `s-maxage` | any | validate |
//! | stale | `max-stale` that covers it | stale |
//! | stale, within `stale-while-revalidate` | no `no-cache`, `max-age`, `min-fresh` | stale, and validate behind it |
//! | stale | any | validate |
//!
//! With `only-if-cached`, what would be validated is 504 instead. A client that sends `max-age` or `min-fresh` does not want
//! stale answers unless it also says `max-stale` (RFC 9111 section 5.2.1.1). `no-store` of a request does not keep it from
//! being answered (section 5.2.1.5).

use std::time::Duration;

use http::StatusCode;
use protocols::http::cache_control::{Directive, RequestControl};

use super::{Demand, Freshness, Settings};

/// A stored response at the moment of a request.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// What it says about its freshness.
    pub freshness: &'a Freshness,
    /// Its current age (RFC 9111 section 4.2.3).
    pub age: Duration,
    /// Time since the origin last confirmed it to us.
    pub since_validated: Duration,
}

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// With the stored response.
    Fresh(FreshBecause),
    /// With the stored response although it is stale; the origin is not asked.
    Stale(StaleBecause),
    /// With the stored response although it is stale, while the origin is asked whether it is still right (RFC 5861
    /// section 3).
    StaleWhileRevalidate,
    /// After the origin has confirmed the stored response or sent another one.
    Validate(ValidateBecause),
    /// Not at all: 504, since the request wants no answer but a stored one (RFC 9111 section 5.2.1.7).
    Unavailable(ValidateBecause),
}

/// Why a stored response is fresh enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreshBecause {
    /// It is within its lifetime, and the request has nothing against it.
    Lifetime,
    /// The request wants it confirmed, but the origin did that within the operator's floor of seconds.
    ReloadFloor,
    /// The request wants a younger one, but it does not change within its lifetime (RFC 8246).
    Immutable,
}

/// Why a stale response is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleBecause {
    /// The request says `max-stale`.
    MaxStale,
}

/// Why a stored response must be validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidateBecause {
    /// It says `no-cache`.
    NoCache,
    /// It is stale.
    Stale,
    /// It is stale and says `must-revalidate`.
    MustRevalidate,
    /// It is stale and says `proxy-revalidate`.
    ProxyRevalidate,
    /// It is stale and says `s-maxage`.
    SMaxAge,
    /// The request says `no-cache`.
    RequestNoCache,
    /// It is older than the request's `max-age`.
    RequestMaxAge,
    /// It does not stay fresh for the request's `min-fresh`.
    RequestMinFresh,
    /// The operator wants it confirmed.
    Purged,
}

/// What is wrong with an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It was not reached, took too long, or broke off before it had answered.
    Unreachable,
    /// It answered with this status.
    Status(StatusCode),
}

/// Why a stored response does not stand in for an origin in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOnError {
    /// The status is no trouble of the origin but its answer.
    Answer,
    /// The stored response forbids it, or the request wants it confirmed.
    Forbidden(ValidateBecause),
    /// Nobody allowed it for a status.
    NotAllowed,
    /// It has been stale for too long.
    TooStale,
}

impl FreshBecause {
    /// Lower-case word for logs, metrics and explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lifetime => "fresh",
            Self::ReloadFloor => "reload_floor",
            Self::Immutable => "immutable",
        }
    }
}

impl StaleBecause {
    /// Lower-case word for logs, metrics and explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxStale => "request_max_stale",
        }
    }
}

impl ValidateBecause {
    /// Lower-case word for logs, metrics and explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoCache => "no_cache",
            Self::Stale => "stale",
            Self::MustRevalidate => "must_revalidate",
            Self::ProxyRevalidate => "proxy_revalidate",
            Self::SMaxAge => "s_maxage",
            Self::RequestNoCache => "request_no_cache",
            Self::RequestMaxAge => "request_max_age",
            Self::RequestMinFresh => "request_min_fresh",
            Self::Purged => "purged",
        }
    }
}

impl NotOnError {
    /// Lower-case word for logs, metrics and explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "origin_answered",
            Self::Forbidden(because) => because.as_str(),
            Self::NotAllowed => "no_stale_if_error",
            Self::TooStale => "too_stale",
        }
    }
}

impl Reuse {
    /// Lower-case word for logs, metrics and explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh(because) => because.as_str(),
            Self::Stale(because) => because.as_str(),
            Self::StaleWhileRevalidate => "stale_while_revalidate",
            Self::Validate(because) | Self::Unavailable(because) => because.as_str(),
        }
    }
}

/// Whether `stored` answers a request that says `request`.
pub fn decide(stored: Stored<'_>, request: RequestControl, settings: &Settings) -> Reuse {
    let reuse = if stored.freshness.demands.has(Demand::NoCache) {
        Err(ValidateBecause::NoCache)
    } else if stored.freshness.is_fresh(stored.age) {
        while_fresh(stored, request, settings).map(Reuse::Fresh)
    } else {
        while_stale(stored, request)
    };
    match reuse {
        Ok(reuse) => reuse,
        Err(because) if request.has(Directive::OnlyIfCached) => Reuse::Unavailable(because),
        Err(because) => Reuse::Validate(because),
    }
}

fn while_fresh(
    stored: Stored<'_>,
    request: RequestControl,
    settings: &Settings,
) -> Result<FreshBecause, ValidateBecause> {
    let confirmed_just_now = stored.since_validated < settings.reload_floor;
    let mut because = FreshBecause::Lifetime;
    if request.has(Directive::NoCache) {
        if !confirmed_just_now {
            return Err(ValidateBecause::RequestNoCache);
        }
        because = FreshBecause::ReloadFloor;
    } else if is_too_old(stored, request) {
        because = match (stored.freshness.demands.has(Demand::Immutable), confirmed_just_now) {
            (true, _) => FreshBecause::Immutable,
            (false, true) => FreshBecause::ReloadFloor,
            (false, false) => return Err(ValidateBecause::RequestMaxAge),
        };
    }
    // RFC 9111 section 5.2.1.3.
    let least = stored.age.saturating_add(Duration::from_secs(request.min_fresh.unwrap_or(0).into()));
    if Duration::from_secs(stored.freshness.lifetime.into()) < least {
        return Err(ValidateBecause::RequestMinFresh);
    }
    Ok(because)
}

/// RFC 9111 section 5.2.1.1; 0 is what browsers send to have an object confirmed, however young it is.
fn is_too_old(stored: Stored<'_>, request: RequestControl) -> bool {
    request.max_age.is_some_and(|limit| limit == 0 || stored.age > Duration::from_secs(limit.into()))
}

fn while_stale(stored: Stored<'_>, request: RequestControl) -> Result<Reuse, ValidateBecause> {
    if let Some(because) = forbids_stale(stored.freshness) {
        return Err(because);
    }
    if request.has(Directive::NoCache) {
        return Err(ValidateBecause::RequestNoCache);
    }
    if is_too_old(stored, request) {
        return Err(ValidateBecause::RequestMaxAge);
    }
    if request.min_fresh.is_some() {
        return Err(ValidateBecause::RequestMinFresh);
    }
    let staleness = stored.freshness.staleness(stored.age);
    match (request.max_stale, request.max_age) {
        (Some(limit), _) if limit == u32::MAX || staleness <= Duration::from_secs(limit.into()) => {
            Ok(Reuse::Stale(StaleBecause::MaxStale))
        }
        (None, None) if staleness < Duration::from_secs(stored.freshness.stale_while_revalidate.into()) => {
            Ok(Reuse::StaleWhileRevalidate)
        }
        _ => Err(ValidateBecause::Stale),
    }
}

/// What forbids to send a stored response while it is stale, to anybody and for any reason (RFC 9111 section 4.2.4).
fn forbids_stale(freshness: &Freshness) -> Option<ValidateBecause> {
    let forbidding = [
        (Demand::NoCache, ValidateBecause::NoCache),
        (Demand::MustRevalidate, ValidateBecause::MustRevalidate),
        (Demand::ProxyRevalidate, ValidateBecause::ProxyRevalidate),
        (Demand::SMaxAge, ValidateBecause::SMaxAge),
    ];
    let found = forbidding.into_iter().find(|(demand, _)| freshness.demands.has(*demand));
    found.map(|(_, because)| because)
}

/// Whether `stored`, which [`decide`] wants validated, may answer the request after all because the origin is in trouble.
///
/// An origin that is not reached: within its own or a rule's `stale-if-error`, otherwise the operator's bound. One that
/// answers with an error: only within `stale-if-error`. Never when the stored response forbids stale answers or the request
/// says `no-cache`. A request's `max-age` and `min-fresh` give way: an answer is better than none.
pub fn may_serve_on_error(
    stored: Stored<'_>,
    request: RequestControl,
    trouble: Trouble,
    settings: &Settings,
) -> Result<(), NotOnError> {
    let Stored { freshness, age, .. } = stored;
    let allowed = freshness.stale_if_error.map(|seconds| Duration::from_secs(seconds.into()));
    let limit = match trouble {
        Trouble::Status(status) if !is_failure(status) => return Err(NotOnError::Answer),
        Trouble::Status(_) => allowed,
        Trouble::Unreachable => Some(allowed.unwrap_or(settings.stale_on_error)),
    };
    if freshness.demands.has(Demand::NoCache) {
        return Err(NotOnError::Forbidden(ValidateBecause::NoCache));
    }
    if request.has(Directive::NoCache) {
        return Err(NotOnError::Forbidden(ValidateBecause::RequestNoCache));
    }
    if freshness.is_fresh(age) {
        return Ok(());
    }
    if let Some(because) = forbids_stale(freshness) {
        return Err(NotOnError::Forbidden(because));
    }
    let limit = limit.ok_or(NotOnError::NotAllowed)?;
    if freshness.staleness(age) > limit || limit.is_zero() { Err(NotOnError::TooStale) } else { Ok(()) }
}

/// Whether a status says that the origin failed. RFC 5861 section 4 names 500, 502, 503 and 504; later codes of the class
/// mean as much as 500 to who does not know them (RFC 9110 section 15). 501 and 505 are answers about the request.
fn is_failure(status: StatusCode) -> bool {
    let is_answer = [StatusCode::NOT_IMPLEMENTED, StatusCode::HTTP_VERSION_NOT_SUPPORTED].contains(&status);
    status.is_server_error() && !is_answer
}
