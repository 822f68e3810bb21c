//! Asking the origin whether a stored object is still right (RFC 9110 section 13.1, RFC 9111 section 4.3), and
//! whether a stored object may be served although it could not be asked.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};
use protocols::http::conditional::Validators;
use store::{BodyState, Digest, Entry};

use crate::{Head, Http, Kind, Timestamp};

/// The stored object that a conditional request may be about: complete, with a validator, and of the digest
/// that the request wants, if it wants one.
pub(crate) fn basis(
    previous: Option<&Arc<Entry<Http>>>,
    expected: Option<Digest>,
) -> Option<Arc<Entry<Http>>> {
    let entry = previous?;
    let usable = entry.body.state() == BodyState::Complete
        && !entry.head.validators.is_empty()
        && expected.is_none_or(|expected| entry.body.digest() == Some(expected));
    usable.then(|| Arc::clone(entry))
}

/// The fields that make a request conditional on the stored object; both when there are both, for origins that
/// know only one of them.
pub(crate) fn conditions(head: &Head) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (stored, condition) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
        if let Some(value) = head.headers.get(stored) {
            headers.insert(condition, value.clone());
        }
    }
    headers
}

/// Whether a 304 is about the stored object: a validator in it must be the stored one (RFC 9111 section 4.3.4).
pub(crate) fn confirms(stored: &Validators, answer: &HeaderMap) -> bool {
    let answered = Validators::from_headers(answer);
    match (&answered.etag, &stored.etag) {
        (Some(answered), Some(stored)) => answered.weak_eq(stored) && (answered.weak || !stored.weak),
        (Some(_), None) => false,
        (None, _) => {
            answered.last_modified.is_none()
                || stored.last_modified.is_none()
                || answered.last_modified == stored.last_modified
        }
    }
}

/// Whether this trouble is the origin's passing inability to answer, for which a stale object may stand in
/// (RFC 5861 section 4), and the reason to give.
pub(crate) fn stale_reason(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::OriginUnresolved | Kind::OriginUnreachable => "origin_down",
        Kind::OriginTimeout => "origin_timeout",
        Kind::OriginBroken => "origin_broken",
        Kind::OriginQueueFull => "origin_queue_full",
        Kind::OriginStatus(status) => match status {
            StatusCode::TOO_MANY_REQUESTS => "origin_status_429",
            StatusCode::INTERNAL_SERVER_ERROR => "origin_status_500",
            StatusCode::BAD_GATEWAY => "origin_status_502",
            StatusCode::SERVICE_UNAVAILABLE => "origin_status_503",
            StatusCode::GATEWAY_TIMEOUT => "origin_status_504",
            other if other.is_server_error() => "origin_status_5xx",
            _ => return None,
        },
        _ => return None,
    })
}

/// Whether an object past its time is still young enough to stand in.
pub(crate) fn may_be_stale(head: &Head, max_age: Duration, stale_if_error: Duration, now: Timestamp) -> bool {
    head.since_validated(now) <= max_age.saturating_add(stale_if_error)
}
