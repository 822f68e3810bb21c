//! [`may_store`]: whether a shared cache may store a response, and with which [`Freshness`] (RFC 9111 sections 3 and 4.2).
//!
//! | clause | what follows |
//! |---|---|
//! | RFC 9111 3 | GET, any final status but 206 and 304, if it has explicit freshness, or a validator and leave to guess |
//! | RFC 9110 9.3.3 | a POST with explicit freshness whose `Content-Location` is its own URL |
//! | RFC 9111 5.2.1.5 | nothing of a request with `no-store` |
//! | RFC 9111 5.2.2.5, 5.2.2.7 | no `no-store`, no `private`; without the fields that `private="…"` lists |
//! | RFC 9111 5.2.2.3 | with `must-understand`, `no-store` does not count, but the status must be known |
//! | RFC 9111 3.5 | an answer to `Authorization` only with `public`, `must-revalidate` or `s-maxage` |
//! | RFC 9111 4.1 | no `Vary: *` |
//! | RFC 9111 4.2.1 | lifetime from `s-maxage`, else `max-age`, else `Expires` less `Date` |
//! | RFC 9111 4.2.2 | else a tenth of `Date` less `Last-Modified`, for statuses of RFC 9110 15.1 or with `public` |
//! | RFC 9213 2.2 | a valid targeted field in place of `Cache-Control` and `Expires` |
//!
//! `Set-Cookie` and cookies do not keep a response from being stored (RFC 9111 section 7.3) unless a rule says so; `Pragma` of
//! a response means nothing (section 5.4). What can be neither fresh nor validated is not stored, since nobody could use it.
//! Does not look at what is stored already, nor at bodies.

use std::time::Duration;

use http::header::{
    AUTHORIZATION, CONTENT_LOCATION, DATE, ETAG, EXPECT, EXPIRES, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_UNMODIFIED_SINCE, RANGE, SET_COOKIE,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use protocols::http::cache_control::{Directive, MAX, RequestControl, ResponseControl};
use protocols::http::conditional::Validators;
use protocols::http::date;
use protocols::http::targeted;
use protocols::http::vary::Vary;
use url::Url;

use super::fields::Excluded;
use super::invalidation::bare;
use super::{Basis, Demand, Demands, Directives, Freshness, Overrides, SetCookie, Settings, Traffic};
use crate::Timestamp;

/// A request as far as storing the answer depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a Method,
    /// What it was for.
    pub url: &'a Url,
    /// Its fields as they went to the origin. Without `Authorization` when that is part of the key.
    pub headers: &'a HeaderMap,
}

/// A response.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// Its status; after a 304 that of the stored response.
    pub status: StatusCode,
    /// Its fields; after a 304 the merged ones.
    pub headers: &'a HeaderMap,
    /// When it came.
    pub at: Timestamp,
}

/// How a response may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storable {
    /// What later requests must know of it.
    pub freshness: Freshness,
    /// For [`super::fields::stored`].
    pub excluded: Excluded,
}

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unstorable {
    /// A rule keeps the cache out.
    RuleBypass,
    /// Its method is neither GET nor a POST that answers later GETs.
    Method,
    /// Its status is interim, or none of HTTP.
    NotFinal,
    /// 206: the store keeps parts by another way.
    PartialContent,
    /// 304: it updates what is stored.
    NotModified,
    /// It answers a field of this one request: 412, 416 or 417.
    AnswersFields,
    /// The request says `no-store`.
    RequestNoStore,
    /// It says `no-store`.
    NoStore,
    /// It says `private`.
    Private,
    /// It says `must-understand`, and the status is not known here.
    NotUnderstood,
    /// `Vary: *`, or more fields than are compared.
    VaryAny,
    /// It has `Set-Cookie`, and a rule refuses that.
    SetCookie,
    /// The request had `Authorization`, and nothing in the response allows to share it.
    Authorization,
    /// Its status needs explicit freshness, which it does not have.
    StatusNeedsFreshness,
    /// It has neither a lifetime nor a validator.
    NoFreshness,
    /// It must always be validated and has no validator.
    NoValidator,
}

impl Unstorable {
    /// Whether the answer says so itself, whoever asked.
    pub const fn is_said_by_the_answer(self) -> bool {
        self.is_prohibition()
            || matches!(
                self,
                Self::NotUnderstood | Self::StatusNeedsFreshness | Self::NoFreshness | Self::NoValidator
            )
    }

    /// Whether the answer forbids that others get it.
    pub const fn is_prohibition(self) -> bool {
        matches!(self, Self::NoStore | Self::Private | Self::VaryAny | Self::SetCookie)
    }

    /// Lower-case word for logs, metrics and explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RuleBypass => "rule_bypass",
            Self::Method => "method",
            Self::NotFinal => "status_not_final",
            Self::PartialContent => "partial_content",
            Self::NotModified => "not_modified",
            Self::AnswersFields => "answers_request_fields",
            Self::RequestNoStore => "request_no_store",
            Self::NoStore => "no_store",
            Self::Private => "private",
            Self::NotUnderstood => "status_not_understood",
            Self::VaryAny => "vary_any",
            Self::SetCookie => "set_cookie",
            Self::Authorization => "authorization",
            Self::StatusNeedsFreshness => "status_needs_freshness",
            Self::NoFreshness => "no_freshness",
            Self::NoValidator => "no_validator",
        }
    }
}

/// Whether a shared cache may store `answered`, and how.
pub fn may_store(
    asked: Asked<'_>,
    answered: Answered<'_>,
    settings: &Settings,
    overrides: &Overrides,
) -> Result<Storable, Unstorable> {
    check_exchange(asked, answered, overrides)?;
    let origin = Origin::read(answered.headers, settings, overrides);
    check_directives(&origin.control, answered.status)?;
    if Vary::from_headers(answered.headers, settings.vary_fields) == Vary::Any {
        return Err(Unstorable::VaryAny);
    }
    if overrides.set_cookie == SetCookie::Refuse && answered.headers.contains_key(SET_COOKIE) {
        return Err(Unstorable::SetCookie);
    }
    if asked.headers.contains_key(AUTHORIZATION) && !origin.may_be_shared() {
        return Err(Unstorable::Authorization);
    }
    let (basis, lifetime) = origin.lifetime(answered, settings, overrides);
    check_use(asked, answered, basis, &origin.control)?;
    let control = origin.control;
    let strip = overrides.set_cookie == SetCookie::Strip;
    let excluded = control.private_fields().iter().cloned().chain(strip.then_some(SET_COOKIE)).collect();
    Ok(Storable {
        freshness: Freshness {
            lifetime,
            basis,
            stale_while_revalidate: overrides
                .stale_while_revalidate
                .or(control.stale_while_revalidate)
                .unwrap_or(0),
            stale_if_error: overrides.stale_if_error.or(control.stale_if_error),
            demands: demands(&control),
            unvalidated: control.no_cache_fields().into(),
        },
        excluded: Excluded(excluded),
    })
}

/// What rules out storing before the response's directives are read.
fn check_exchange(asked: Asked<'_>, answered: Answered<'_>, overrides: &Overrides) -> Result<(), Unstorable> {
    let status = answered.status;
    if overrides.traffic == Traffic::Bypassed {
        return Err(Unstorable::RuleBypass);
    }
    if *asked.method != Method::GET && !is_post_for_get(asked, answered) {
        return Err(Unstorable::Method);
    }
    match status {
        StatusCode::PARTIAL_CONTENT => return Err(Unstorable::PartialContent),
        StatusCode::NOT_MODIFIED => return Err(Unstorable::NotModified),
        // RFC 9110 section 15: nothing beyond 599 is defined.
        _ if !(200..600).contains(&status.as_u16()) => return Err(Unstorable::NotFinal),
        _ => {}
    }
    let answers = |(its_status, names): &(StatusCode, &[HeaderName])| {
        status == *its_status && names.iter().any(|name| asked.headers.contains_key(name))
    };
    if ANSWERS_FIELDS.iter().any(answers) {
        return Err(Unstorable::AnswersFields);
    }
    if RequestControl::from_headers(asked.headers).has(Directive::NoStore) {
        return Err(Unstorable::RequestNoStore);
    }
    Ok(())
}

/// Statuses that are about fields of the request, which are no part of the key: stored, they would answer others.
const ANSWERS_FIELDS: [(StatusCode, &[HeaderName]); 3] = [
    (StatusCode::PRECONDITION_FAILED, &[IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE]),
    (StatusCode::RANGE_NOT_SATISFIABLE, &[RANGE]),
    (StatusCode::EXPECTATION_FAILED, &[EXPECT]),
];

/// A POST whose answer is what a GET of its URL would get (RFC 9110 sections 8.7 and 9.3.3).
fn is_post_for_get(asked: Asked<'_>, answered: Answered<'_>) -> bool {
    let mut lines = answered.headers.get_all(CONTENT_LOCATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let named = std::str::from_utf8(line.as_bytes()).ok().and_then(|text| asked.url.join(text).ok());
    *asked.method == Method::POST
        && answered.status.is_success()
        && named.is_some_and(|named| bare(named) == bare(asked.url.clone()))
}

/// RFC 9111 sections 5.2.2.3, 5.2.2.5 and 5.2.2.7.
fn check_directives(control: &ResponseControl, status: StatusCode) -> Result<(), Unstorable> {
    if control.has(Directive::MustUnderstand) {
        if !is_understood(status) {
            return Err(Unstorable::NotUnderstood);
        }
    } else if control.has(Directive::NoStore) {
        return Err(Unstorable::NoStore);
    }
    if control.has(Directive::Private) {
        return Err(Unstorable::Private);
    }
    Ok(())
}

/// Whether the response can be of use, and RFC 9111 section 3, last item, gives leave to store it.
fn check_use(
    asked: Asked<'_>,
    answered: Answered<'_>,
    basis: Basis,
    control: &ResponseControl,
) -> Result<(), Unstorable> {
    if *asked.method == Method::POST && !basis.is_explicit() {
        return Err(Unstorable::NoFreshness);
    }
    if basis == Basis::Nothing && !may_guess(answered.status, control) {
        return Err(Unstorable::StatusNeedsFreshness);
    }
    // Whatever stands there is sent back to the origin as it is, so that any tag will do.
    let has_validator = answered.headers.contains_key(ETAG)
        || Validators::from_headers(answered.headers).last_modified.is_some();
    match basis {
        _ if has_validator => Ok(()),
        Basis::Nothing => Err(Unstorable::NoFreshness),
        _ if control.has(Directive::NoCache) => Err(Unstorable::NoValidator),
        _ => Ok(()),
    }
}

fn demands(control: &ResponseControl) -> Demands {
    let plain = [
        (Directive::NoCache, Demand::NoCache),
        (Directive::MustRevalidate, Demand::MustRevalidate),
        (Directive::ProxyRevalidate, Demand::ProxyRevalidate),
        (Directive::Immutable, Demand::Immutable),
    ];
    let plain = plain.into_iter().filter(|(directive, _)| control.has(*directive)).map(|(_, demand)| demand);
    plain.chain(control.s_maxage.map(|_| Demand::SMaxAge)).fold(Demands::default(), Demands::with)
}

/// Statuses of RFC 9110 section 15 whose rules for caches are kept here: all that a server sends but 206, which is stored by
/// another way, and 304, which is not stored.
fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}

/// Statuses for which a cache may guess a lifetime (RFC 9110 section 15.1), or `public`, which allows it for any (RFC 9111
/// section 4.2.2).
fn may_guess(status: StatusCode, control: &ResponseControl) -> bool {
    let by_status =
        matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501);
    by_status || control.has(Directive::Public)
}

/// What an origin says about storing.
struct Origin<'a> {
    control: ResponseControl,
    /// Its fields, when `Expires` counts.
    expires_in: Option<&'a HeaderMap>,
}

impl<'a> Origin<'a> {
    /// RFC 9213 section 2.2: a valid targeted field stands in place of both `Cache-Control` and `Expires`.
    fn read(headers: &'a HeaderMap, settings: &Settings, overrides: &Overrides) -> Self {
        if overrides.directives == Directives::Ignored {
            return Self { control: ResponseControl::default(), expires_in: None };
        }
        match targeted::first_valid(headers, &settings.targets) {
            Some(control) => Self { control, expires_in: None },
            None => Self { control: ResponseControl::from_headers(headers), expires_in: Some(headers) },
        }
    }

    /// RFC 9111 section 3.5.
    fn may_be_shared(&self) -> bool {
        let control = &self.control;
        control.has(Directive::Public) || control.has(Directive::MustRevalidate) || control.s_maxage.is_some()
    }

    fn lifetime(&self, answered: Answered<'_>, settings: &Settings, overrides: &Overrides) -> (Basis, u32) {
        let status = answered.status;
        let may_guess = may_guess(status, &self.control);
        let default_ttl = || overrides.default_ttl(status).filter(|_| may_guess);
        let guess = || heuristic_lifetime(answered, settings.heuristic_max).filter(|_| may_guess);
        let ttl = overrides.overriding_ttl(status).map(|ttl| (Basis::RuleTtl, ttl));
        ttl.or_else(|| self.explicit_lifetime(answered))
            .or_else(|| Some((Basis::RuleError, overrides.error_ttl(status)?)))
            .or_else(|| Some((Basis::RuleDefault, default_ttl()?)))
            .or_else(guess)
            .unwrap_or((Basis::Nothing, 0))
    }

    /// RFC 9111 section 4.2.1.
    fn explicit_lifetime(&self, answered: Answered<'_>) -> Option<(Basis, u32)> {
        let s_maxage = self.control.s_maxage.map(|seconds| (Basis::SMaxAge, seconds));
        let max_age = || Some((Basis::MaxAge, self.control.max_age?));
        let expires = || Some((Basis::Expires, lifetime_to_expiry(self.expires_in?, answered.at)?));
        s_maxage.or_else(max_age).or_else(expires)
    }
}

/// `Expires` less `Date`; `None` when there is no `Expires`. What is no date means that the response is stale, and of several
/// lines the most restrictive counts (RFC 9111 sections 4.2.1 and 5.3).
fn lifetime_to_expiry(headers: &HeaderMap, at: Timestamp) -> Option<u32> {
    let expiries = headers.get_all(EXPIRES).iter().map(|line| date::parse(line.as_bytes()).unwrap_or(0));
    Some(seconds(expiries.min()?.saturating_sub(generated_at(headers, at))))
}

/// A tenth of `Date` less `Last-Modified`, at most `limit` (RFC 9111 section 4.2.2).
fn heuristic_lifetime(answered: Answered<'_>, limit: Duration) -> Option<(Basis, u32)> {
    let last_modified = Validators::from_headers(answered.headers).last_modified?;
    let unchanged = generated_at(answered.headers, answered.at).saturating_sub(last_modified);
    Some((Basis::Heuristic, seconds((unchanged / 10).min(limit.as_secs()))))
}

/// `Date` in seconds since 1970; when it is absent or malformed, the time of arrival (RFC 9110 section 6.6.1).
fn generated_at(headers: &HeaderMap, at: Timestamp) -> u64 {
    let date = headers.get(DATE).and_then(|value| date::parse(value.as_bytes()));
    date.unwrap_or_else(|| at.seconds())
}

/// At most [`MAX`].
fn seconds(seconds: u64) -> u32 {
    u32::try_from(seconds).map_or(MAX, |seconds| seconds.min(MAX))
}
