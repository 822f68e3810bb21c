//! A request that gets no object: its status, one sentence, and the fields that go with it, as text or JSON.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use cache::{Blame, Error, Kind, Outcome};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use protocols::http::cache_status::{CacheStatus, Collapsed, Forward, Source, Stored};
use serde::Serialize;

use super::{NOSNIFF, Reply, Responder};
use crate::wire::Body;

/// When to come back after a refusal that is our own and passes soon.
const SOON: Duration = Duration::from_secs(2);

/// Why a request gets no object.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// Short constant slug for `Cache-Status`, access log and metrics.
    pub reason: &'static str,
    /// One sentence that names what is wrong and the fix; no secrets.
    pub detail: Arc<str>,
    /// [`Outcome::Negative`] when a remembered refusal answers, else [`Outcome::Error`].
    pub outcome: Outcome,
    /// Who was asked for it.
    source: Source,
    /// `Allow`, `Retry-After`, `WWW-Authenticate`.
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal of a door's own.
    pub fn new(status: StatusCode, reason: &'static str, detail: impl Into<Arc<str>>) -> Self {
        Self {
            status,
            reason,
            detail: detail.into(),
            outcome: Outcome::Error,
            source: Source::Nowhere,
            fields: Vec::new(),
        }
    }

    /// 400: the request says something impossible.
    pub fn bad_request(reason: &'static str, detail: impl Into<Arc<str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason, detail)
    }

    /// 403: a rule or setting forbids it.
    pub fn forbidden(reason: &'static str, detail: impl Into<Arc<str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, reason, detail)
    }

    /// 404: it is not here.
    pub fn not_found(reason: &'static str, detail: impl Into<Arc<str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, reason, detail)
    }

    /// 404 for a path that no door answers.
    pub fn no_route() -> Self {
        Self::not_found(
            "no_route",
            "nothing answers this path; there are /api/v1/fetch?url=…, /https://host/path, /r/NAME/path of a site that \
             is configured, /api/v1/status/, /api/v1/health/, /metrics, and what /api/v1/openapi.json describes",
        )
    }

    /// 404 on the listener of a site that is not configured any more.
    pub fn no_site() -> Self {
        Self::not_found(
            "no_site",
            "the site of this address is not configured any more; the next start of the server no longer listens here",
        )
    }

    /// 405 with `Allow`.
    pub fn method(allow: &'static str, detail: impl Into<Arc<str>>) -> Self {
        let mut refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail);
        refusal.fields.push((header::ALLOW, HeaderValue::from_static(allow)));
        refusal
    }

    /// 407 with `Proxy-Authenticate`.
    pub(crate) fn proxy_authentication(detail: impl Into<Arc<str>>) -> Self {
        let mut refusal =
            Self::new(StatusCode::PROXY_AUTHENTICATION_REQUIRED, "proxy_authentication", detail);
        let challenge = HeaderValue::from_static("Basic realm=\"standpipe\", charset=\"UTF-8\"");
        refusal.fields.push((header::PROXY_AUTHENTICATE, challenge));
        refusal
    }

    fn retry_after(mut self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.fields.push((header::RETRY_AFTER, HeaderValue::from(seconds)));
        self
    }
}

/// The mapping of DESIGN section 6.
impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        let status = status(error.kind);
        let mut refusal = Self::new(status, error.kind.reason(), Arc::clone(&error.detail));
        refusal.outcome = error.outcome;
        refusal.source = source(error, status);
        if let Kind::OriginStatus(origin) = error.kind
            && status != origin
        {
            refusal.detail =
                format!("the origin answered {origin}, which is no object: {}", error.detail).into();
        }
        if status == StatusCode::UNAUTHORIZED
            && let Some(challenge) = &error.challenge
        {
            refusal.fields.push((header::WWW_AUTHENTICATE, challenge.clone()));
        }
        match error.retry_after {
            Some(wait) => refusal.retry_after(wait),
            None if status == StatusCode::SERVICE_UNAVAILABLE && error.kind.blame() == Blame::Us => {
                refusal.retry_after(SOON)
            }
            None => refusal,
        }
    }
}

/// 500 only for what is our own fault and nobody's wish.
fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::UrlInvalid | Kind::ContentBroken => StatusCode::BAD_REQUEST,
        Kind::OriginForbidden => StatusCode::FORBIDDEN,
        Kind::OriginStatus(status) if can_pass(status) => status,
        Kind::OriginStatus(_)
        | Kind::OriginUnresolved
        | Kind::OriginUnreachable
        | Kind::OriginBroken
        | Kind::RedirectLoop
        | Kind::RedirectInvalid
        | Kind::NotStorable(_)
        | Kind::DigestMismatch
        | Kind::ObjectChanged => StatusCode::BAD_GATEWAY,
        // RFC 9111 section 5.2.1.7 for the latter.
        Kind::OriginTimeout | Kind::NotCached => StatusCode::GATEWAY_TIMEOUT,
        Kind::Loop => StatusCode::LOOP_DETECTED,
        Kind::OriginQueueFull | Kind::Draining | Kind::FillAbandoned => StatusCode::SERVICE_UNAVAILABLE,
        Kind::NoSpace | Kind::ObjectTooLarge => StatusCode::INSUFFICIENT_STORAGE,
        Kind::DiskError => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Most troubles show only when the origin has been asked, those of the store when it has answered.
fn source(error: &Error, sent: StatusCode) -> Source {
    let asked = error.kind.blame() == Blame::Origin
        || matches!(error.kind, Kind::NoSpace | Kind::ObjectTooLarge | Kind::DiskError);
    match error.outcome {
        Outcome::Negative => Source::Cache,
        _ if !asked => Source::Nowhere,
        _ => Source::Forwarded {
            // What may be stored, and too old to be used, is not known here.
            reason: Forward::Miss,
            status: match error.kind {
                Kind::OriginStatus(status) if status != sent => Some(status.as_u16()),
                _ => None,
            },
            stored: Stored::No,
            collapsed: Collapsed::No,
        },
    }
}

/// Whether a client can be told an origin's status as if it were ours: 204, and every refusal but the one that
/// speaks of a proxy between us and the origin.
fn can_pass(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT
        || (status.is_client_error() && status != StatusCode::PROXY_AUTHENTICATION_REQUIRED)
        || status.is_server_error()
}

#[derive(Serialize)]
struct Report<'a> {
    error: ReportError<'a>,
}

#[derive(Serialize)]
struct ReportError<'a> {
    status: u16,
    reason: &'a str,
    detail: &'a str,
}

impl Responder {
    /// The response for a request that gets no object; JSON when the request's `Accept` prefers it.
    pub fn refuse(&self, refusal: &Refusal, request: &HeaderMap, door: &'static str) -> Reply {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = refusal.status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF.clone());
        headers.insert(header::VIA, self.0.via.clone());
        headers.insert(header::CACHE_STATUS, self.refusal_status(refusal));
        self.put_x_cache(headers, refusal.outcome);
        for (name, value) in &refusal.fields {
            headers.append(name.clone(), value.clone());
        }
        if refusal.status != StatusCode::NO_CONTENT {
            let (content_type, body) = body(refusal, request);
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            *response.body_mut() = Body::text(body);
        }
        Reply { response, door, outcome: Some(refusal.outcome), reason: refusal.reason, name: None }
    }

    /// RFC 9211: a remembered refusal is a `hit`, one that the origin was asked for has `fwd`, a door's own neither.
    fn refusal_status(&self, refusal: &Refusal) -> HeaderValue {
        let (cache, source, detail) = (&*self.0.name, refusal.source, Some(refusal.reason));
        CacheStatus { cache, source, ttl: None, key: None, detail }.to_header()
    }
}

fn body(refusal: &Refusal, request: &HeaderMap) -> (&'static str, String) {
    let detail = printable(&refusal.detail);
    if !prefers_json(request) {
        return ("text/plain; charset=utf-8", format!("{detail}\n"));
    }
    let status = refusal.status.as_u16();
    let report = Report { error: ReportError { status, reason: refusal.reason, detail: &detail } };
    ("application/json", serde_json::to_string(&report).unwrap_or_default())
}

/// Details may quote what a client sent, and end on a terminal.
fn printable(text: &str) -> Cow<'_, str> {
    let is_unsafe = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.contains(is_unsafe) { text.replace(is_unsafe, "\u{fffd}").into() } else { text.into() }
}

/// Whether `Accept` names JSON and gives it more weight than text, or the same weight and an earlier place.
fn prefers_json(request: &HeaderMap) -> bool {
    let mut json = 0.0;
    let mut text = 0.0;
    let items = request.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    for item in items.flat_map(|line| line.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let weight = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0));
        if media.eq_ignore_ascii_case("application/json") && weight > text {
            json = weight;
        } else if media.get(..5).is_some_and(|kind| kind.eq_ignore_ascii_case("text/")) && weight > json {
            text = weight;
            json = 0.0;
        }
    }
    json > text
}
