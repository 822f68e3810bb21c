//! [`Answer`]: what goes back to the client, made of an entry and a request.
//!
//! Everything here is decided at once from what is known; waiting for a growing body is the business of
//! `lookup`, which comes back here when [`select`] can say what part of the body answers the request.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use protocols::http::conditional::Verdict;
use protocols::http::digest::REPR_DIGEST;
use protocols::http::range::{ContentRange, RangeSet, RangeSpec, Resolved};
use store::Entry;

use crate::head::{Head, insert_age};
use crate::payload::{Payload, Pieces, Source, View};
use crate::{Http, Method, Outcome, Request, Timestamp};

/// What goes back to the client: 200, 206, 304, 412 or 416.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// All end-to-end fields, with `ETag`, `Last-Modified`, `Content-Type`, `Content-Range`, `Accept-Ranges`, `Age`,
    /// `Repr-Digest`; not `Content-Length`, `Date`, `Via`, `Cache-Status`, `X-Cache` (the door's business).
    /// The origin's own `Date` is kept.
    pub headers: HeaderMap,
    /// The body.
    pub payload: Payload,
    /// How it was answered.
    pub outcome: Outcome,
    /// Why, as a short slug (`fresh`, `expired`, `absent`, `origin_down`, …).
    pub reason: &'static str,
    /// Seconds of freshness left for this request (negative when stale), for `Cache-Status: ttl`.
    pub ttl_seconds: i64,
    /// The origin's status when it was asked for this request, for `Cache-Status: fwd-status`.
    pub origin_status: Option<StatusCode>,
    /// The entry's key, for logs and `Cache-Status: key`.
    pub key: store::Key,
}

/// The refusal shared by everybody who waited for a flight.
pub type Refusal = Arc<crate::Error>;

/// How an answer came about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Provenance {
    pub(crate) outcome: Outcome,
    pub(crate) reason: &'static str,
    pub(crate) origin_status: Option<StatusCode>,
    pub(crate) source: Source,
}

/// What part of the representation answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    Whole,
    NotModified,
    PreconditionFailed,
    Part(Range<u64>),
    Parts(Vec<Range<u64>>),
    Unsatisfiable,
}

impl Selection {
    /// Whether a GET gets bytes of the object.
    pub(crate) const fn has_content(&self) -> bool {
        matches!(self, Self::Whole | Self::Part(_) | Self::Parts(_))
    }
}

/// What must be known of a growing body before its part can be selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Selected(Selection),
    /// This many committed bytes, or the end.
    AfterCommitted(u64),
    /// The end.
    AfterEnd,
}

/// Preconditions first, then the range (RFC 9110 section 13.2.2). `total` is the body's length when known,
/// `committed` what is there of it.
pub(crate) fn select(request: &Request, head: &Head, total: Option<u64>, committed: u64) -> Choice {
    if !request.conditions.is_empty() {
        match request.conditions.evaluate(&head.validators) {
            Verdict::Proceed => {}
            Verdict::NotModified => return Choice::Selected(Selection::NotModified),
            Verdict::Failed => return Choice::Selected(Selection::PreconditionFailed),
        }
    }
    let Some(ranges) = &request.range else {
        return Choice::Selected(Selection::Whole);
    };
    // A range means something only to GET (RFC 9110 section 14.2).
    if request.method == Method::Head || !request.conditions.range_applies(&head.validators) {
        return Choice::Selected(Selection::Whole);
    }
    match total {
        Some(total) => Choice::Selected(resolve(ranges, total)),
        None => select_unbounded(ranges, committed),
    }
}

fn resolve(ranges: &RangeSet, total: u64) -> Selection {
    match ranges.resolve(total) {
        Resolved::Unsatisfiable => Selection::Unsatisfiable,
        Resolved::Ignore => Selection::Whole,
        Resolved::Ranges(mut ranges) if ranges.len() == 1 => {
            ranges.pop().map_or(Selection::Whole, Selection::Part)
        }
        Resolved::Ranges(ranges) => Selection::Parts(ranges),
    }
}

/// A closed range can be answered before the total is known, once its last byte is there.
fn select_unbounded(ranges: &RangeSet, committed: u64) -> Choice {
    match *ranges.specs.as_slice() {
        [RangeSpec::From { first, last: Some(last) }] if last < u64::MAX => {
            let end = last + 1;
            if committed >= end {
                Choice::Selected(Selection::Part(first..end))
            } else {
                Choice::AfterCommitted(end)
            }
        }
        _ => Choice::AfterEnd,
    }
}

/// Makes the answer of what has been selected.
pub(crate) fn compose(
    entry: &Arc<Entry<Http>>,
    request: &Request,
    selection: Selection,
    provenance: Provenance,
    now: Timestamp,
) -> Answer {
    let head = &*entry.head;
    let total = entry.body.length();
    let source = provenance.source;
    let view = || {
        // What is complete and right needs no second look. What grows is verified as it is read, and so is what has
        // become complete, and another one, since it was looked at.
        let digest = head.complete(&entry.body).map(|complete| complete.digest);
        let expected = request.expected.filter(|expected| digest != Some(*expected));
        View { body: Arc::clone(&entry.body), expected }
    };
    let (status, mut headers) = frame(head, &selection, total, || describing(entry));
    let payload = match selection {
        Selection::NotModified => Payload::silent(None, source),
        Selection::PreconditionFailed | Selection::Unsatisfiable => Payload::silent(Some(0), source),
        Selection::Whole => match request.method {
            Method::Head => Payload::silent(total, source),
            Method::Get => Payload::part(&view(), 0..total.unwrap_or(u64::MAX), total, source),
        },
        Selection::Part(range) => {
            let length = Some(range.end - range.start);
            Payload::part(&view(), range, length, source)
        }
        Selection::Parts(ranges) => {
            let pieces = Pieces::new(view(), ranges, total, headers.get(CONTENT_TYPE));
            headers.insert(CONTENT_TYPE, pieces.content_type());
            Payload::pieces(pieces, source)
        }
    };
    insert_age(&mut headers, head.age(now));
    Answer {
        status,
        headers,
        payload,
        outcome: provenance.outcome,
        reason: provenance.reason,
        ttl_seconds: seconds_left(request.max_age, head.since_validated(now)),
        origin_status: provenance.origin_status,
        key: entry.key,
    }
}

/// Status and fields of a selection; `describing` gives the fields of the whole representation.
pub(crate) fn frame(
    head: &Head,
    selection: &Selection,
    total: Option<u64>,
    describing: impl FnOnce() -> HeaderMap,
) -> (StatusCode, HeaderMap) {
    match selection {
        Selection::NotModified => (StatusCode::NOT_MODIFIED, head.not_modified.clone()),
        Selection::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, identifying(head)),
        Selection::Unsatisfiable => {
            let mut headers = identifying(head);
            headers.insert(CONTENT_RANGE, content_range(None, total));
            (StatusCode::RANGE_NOT_SATISFIABLE, headers)
        }
        Selection::Whole => (StatusCode::OK, describing()),
        Selection::Part(range) => {
            let mut headers = partial(describing());
            headers.insert(CONTENT_RANGE, content_range(Some(range), total));
            (StatusCode::PARTIAL_CONTENT, headers)
        }
        Selection::Parts(_) => (StatusCode::PARTIAL_CONTENT, partial(describing())),
    }
}

/// Without a digest that covers this message's bytes.
fn partial(mut headers: HeaderMap) -> HeaderMap {
    headers.remove(HeaderName::from_static("content-md5"));
    headers
}

/// The fields of the whole representation.
fn describing(entry: &Entry<Http>) -> HeaderMap {
    let mut headers = entry.head.headers.clone();
    if let Some(complete) = entry.head.complete(&entry.body) {
        headers.insert(REPR_DIGEST, complete.repr_digest.clone());
    }
    headers
}

/// The fields that say which object an answer without it is about.
fn identifying(head: &Head) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in [ETAG, LAST_MODIFIED, http::header::ACCEPT_RANGES] {
        if let Some(value) = head.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers
}

/// `Content-Range` of a half-open range (RFC 9110 section 14.4).
pub(crate) fn content_range(range: Option<&Range<u64>>, total: Option<u64>) -> HeaderValue {
    let range = range.map(|range| (range.start, range.end.saturating_sub(1)));
    HeaderValue::try_from(ContentRange { range, total }.to_string()).expect("digits and ASCII punctuation")
}

pub(crate) fn seconds_left(max_age: Duration, since_validated: Duration) -> i64 {
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    seconds(max_age).saturating_sub(seconds(since_validated))
}
