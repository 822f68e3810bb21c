//! The part of a fill before the first byte: attempts until the origin says what it has.

use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, RANGE, RETRY_AFTER, SET_COOKIE, VARY, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use store::Entry;

use crate::cache::Inner;
use crate::fill::pauses::Pauses;
use crate::head::{Answered, Head, Terms, own};
use crate::policy::{self, Freshness, Overrides, SetCookie, fields};
use crate::{Error, Http, Kind, OriginRequest, OriginResponse, Target, Timestamp, revalidate};

/// Most bytes of an origin's `WWW-Authenticate` that are relayed, because refusals are remembered.
const LONGEST_CHALLENGE: usize = 4096;

/// The origin's first answer.
pub(crate) enum Opened {
    /// The object begins to come.
    Object(Response),
    /// The stored object, which is still right.
    Confirmed(Arc<Entry<Http>>, Response),
}

/// What is asked of the origin for one object, again and again if need be.
#[derive(Clone)]
pub(crate) struct Asking {
    /// Without conditions and ranges.
    pub(crate) request: OriginRequest,
    /// What is asked for, secrets masked.
    pub(crate) name: Arc<str>,
}

impl Asking {
    /// For the fetch door.
    pub(crate) fn object(target: &Target) -> Self {
        let fields = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
        let request = OriginRequest::get(target.url.clone(), fields, target.credentials.clone());
        Self { request, name: Arc::clone(&target.name) }
    }

    /// With these conditional or range fields.
    pub(crate) fn with(&self, fields: HeaderMap) -> OriginRequest {
        let mut request = self.request.clone();
        request.headers.extend(fields);
        request
    }
}

/// An answer with the times that its age depends on.
pub(crate) struct Response {
    pub(crate) answer: OriginResponse,
    pub(crate) asked_at: Timestamp,
    pub(crate) answered_at: Timestamp,
}

impl Response {
    pub(crate) const fn answered(&self) -> Answered<'_> {
        let OriginResponse { status, headers, reach, .. } = &self.answer;
        let (asked_at, answered_at) = (self.asked_at, self.answered_at);
        Answered { status: *status, headers, asked_at, answered_at, reach: *reach }
    }

    /// The fields of the fetch door's object that are kept, and what sites and proxies may make of it.
    pub(crate) fn object(&self, asking: &Asking) -> (HeaderMap, Terms) {
        let freshness = self.freshness(asking, &self.answer.headers);
        (fields::stored(&self.answer.headers, &without_cookies()), Terms { freshness, selecting: None })
    }

    /// The fields of a stored object after this answer confirmed it or brought more of it, and what others may make of it.
    pub(crate) fn object_after(&self, asking: &Asking, stored: &Head) -> (HeaderMap, Option<Freshness>) {
        let fields = stored.fields_after(&self.answer.headers);
        let freshness = self.freshness(asking, &fields);
        (fields, freshness)
    }

    /// Only of what does not depend on the request, for ours is like nobody else's, and stands at the URL itself: others get
    /// the redirect, and nobody gets one origin's object as another's.
    fn freshness(&self, asking: &Asking, headers: &HeaderMap) -> Option<Freshness> {
        let OriginRequest { method, url, headers: fields, .. } = &asking.request;
        if headers.contains_key(VARY) || self.answer.url != *url {
            return None;
        }
        let asked = policy::Asked { method, url, headers: fields };
        let answered = policy::Answered { status: StatusCode::OK, headers, at: self.answered_at };
        let overrides = Overrides { set_cookie: SetCookie::Strip, ..Overrides::default() };
        let storable = policy::may_store(asked, answered, &policy::Settings::default(), &overrides).ok()?;
        Some(storable.freshness)
    }
}

/// Nobody else is to get a cookie that was set for us.
fn without_cookies() -> fields::Excluded {
    fields::Excluded::of([SET_COOKIE])
}

/// Asks for the object, conditionally when there is a stored one to confirm.
pub(crate) async fn open(
    inner: &Inner,
    asking: &Asking,
    basis: Option<Arc<Entry<Http>>>,
) -> Result<Opened, Error> {
    let Some(entry) = basis else {
        return open_unconditionally(inner, asking).await.map(Opened::Object);
    };
    let response = first_answer(inner, asking.with(revalidate::conditions(&entry.head))).await?;
    match response.answer.status {
        StatusCode::NOT_MODIFIED => {
            if revalidate::confirms(&entry.head.validators, &response.answer.headers) {
                return Ok(Opened::Confirmed(entry, response));
            }
            // The 304 is about another object: it says nothing about ours (RFC 9111 section 4.3.4).
            open_unconditionally(inner, asking).await.map(Opened::Object)
        }
        _ => Ok(Opened::Object(response)),
    }
}

/// Asks for the object, whatever is stored.
pub(crate) async fn open_unconditionally(inner: &Inner, asking: &Asking) -> Result<Response, Error> {
    let response = first_answer(inner, asking.request.clone()).await?;
    match response.answer.status {
        StatusCode::NOT_MODIFIED => {
            let detail = "The origin answered 304 (Not Modified) to a request without a condition.";
            Err(Error::new(Kind::OriginBroken, detail))
        }
        _ => Ok(response),
    }
}

/// Attempts until there is a 200 or a 304, or a 206 where a range was asked for, or another attempt makes no sense.
pub(crate) async fn first_answer(inner: &Inner, request: OriginRequest) -> Result<Response, Error> {
    let mut pauses = Pauses::new(&inner.settings, inner.settings.retry_for);
    let wants_part = request.headers.contains_key(RANGE);
    loop {
        let asked_at = inner.clock.now();
        let error = match inner.origin.fetch(request.clone(), None).await {
            Ok(answer) => match answer.status {
                StatusCode::OK | StatusCode::NOT_MODIFIED => {
                    return Ok(Response { answer, asked_at, answered_at: inner.clock.now() });
                }
                StatusCode::PARTIAL_CONTENT if wants_part => {
                    return Ok(Response { answer, asked_at, answered_at: inner.clock.now() });
                }
                StatusCode::PARTIAL_CONTENT => {
                    let detail = "The origin answered 206 (Partial Content) to a request without a range.";
                    return Err(Error::new(Kind::OriginBroken, detail));
                }
                _ => status_error(&answer, inner.clock.now()),
            },
            Err(error) => error,
        };
        let Some(pause) = pauses.after(&error) else {
            return Err(error);
        };
        tracing::debug!(host = request.url.host_str(), %error, ?pause, "asking the origin again");
        tokio::time::sleep(pause).await;
        inner.metrics.retries.inc();
    }
}

/// The error of a final status that brings no object.
pub(crate) fn status_error(answer: &OriginResponse, now: Timestamp) -> Error {
    let mut error =
        Error::new(Kind::OriginStatus(answer.status), format!("The origin answered {}.", answer.status));
    error.retry_after = answer
        .headers
        .get(RETRY_AFTER)
        .and_then(|value| protocols::http::retry_after::parse(value.as_bytes(), now.seconds()));
    if answer.status == StatusCode::UNAUTHORIZED {
        let challenge = answer.headers.get(WWW_AUTHENTICATE);
        error.challenge = challenge.filter(|challenge| challenge.len() <= LONGEST_CHALLENGE).map(own);
    }
    error
}
