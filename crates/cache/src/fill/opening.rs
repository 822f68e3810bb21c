//! The part of a fill before the first byte: attempts until the origin says what it has.

use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, RANGE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use store::Entry;

use crate::cache::Inner;
use crate::fill::pauses::Pauses;
use crate::head::{Answered, own};
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

/// An answer with the times that its age depends on.
pub(crate) struct Response {
    pub(crate) answer: OriginResponse,
    asked_at: Timestamp,
    answered_at: Timestamp,
}

impl Response {
    pub(crate) const fn answered(&self) -> Answered<'_> {
        Answered { headers: &self.answer.headers, asked_at: self.asked_at, answered_at: self.answered_at }
    }
}

/// Asks for the object, conditionally when there is a stored one to confirm.
pub(crate) async fn open(
    inner: &Inner,
    target: &Target,
    basis: Option<Arc<Entry<Http>>>,
) -> Result<Opened, Error> {
    let Some(entry) = basis else {
        return open_unconditionally(inner, target).await.map(Opened::Object);
    };
    let response = first_answer(inner, request(target, revalidate::conditions(&entry.head))).await?;
    match response.answer.status {
        StatusCode::NOT_MODIFIED => {
            if revalidate::confirms(&entry.head.validators, &response.answer.headers) {
                return Ok(Opened::Confirmed(entry, response));
            }
            // The 304 is about another object: it says nothing about ours (RFC 9111 section 4.3.4).
            open_unconditionally(inner, target).await.map(Opened::Object)
        }
        _ => Ok(Opened::Object(response)),
    }
}

/// Asks for the object, whatever is stored.
pub(crate) async fn open_unconditionally(inner: &Inner, target: &Target) -> Result<Response, Error> {
    let response = first_answer(inner, request(target, HeaderMap::new())).await?;
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
        let error = match inner.origin.fetch(request.clone()).await {
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

/// A GET with these conditional or range fields.
pub(crate) fn request(target: &Target, mut headers: HeaderMap) -> OriginRequest {
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    OriginRequest { url: target.url.clone(), headers, credentials: target.credentials.clone() }
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
