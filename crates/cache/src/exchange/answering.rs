//! The answer to an exchange, made of a stored or growing object.

use std::sync::Arc;

use http::header::{ACCEPT_RANGES, CONTENT_RANGE};
use http::{HeaderName, StatusCode};
use protocols::http::conditional::Conditions;
use protocols::http::digest::REPR_DIGEST;
use protocols::http::range::RangeSet;
use store::{BodyState, Entry};

use super::{Exchange, Setback};
use crate::answer::{Choice, Provenance, Selection, compose, select};
use crate::head::Confirmation;
use crate::policy::fields;
use crate::{Answer, Cache, Error, Http, Method, Outcome, Request, Source};

/// Fields of the origin in whose place our own stand.
const OURS: [HeaderName; 2] = [ACCEPT_RANGES, REPR_DIGEST];

pub(super) const fn hit(reason: &'static str) -> Provenance {
    Provenance { outcome: Outcome::Hit, reason, origin_status: None, source: Source::Cache }
}

pub(super) const fn stale(reason: &'static str, origin_status: Option<StatusCode>) -> Provenance {
    Provenance { outcome: Outcome::Stale, reason, origin_status, source: Source::Cache }
}

/// For what was there already, perhaps still growing. Whether a body with holes has what is wanted shows later.
pub(super) fn found(entry: &Entry<Http>, reason: &'static str) -> Provenance {
    if entry.head.complete(&entry.body).is_some() || entry.body.is_partial() {
        return hit(reason);
    }
    Provenance { outcome: Outcome::Follow, reason: "growing", origin_status: None, source: Source::Origin }
}

/// For the request that asked the origin.
pub(super) fn led(entry: &Entry<Http>, reason: &'static str) -> Provenance {
    let (outcome, status, source) = match entry.head.confirmed {
        Confirmation::Sent if entry.body.is_partial() => {
            (Outcome::Partial, StatusCode::PARTIAL_CONTENT, Source::Origin)
        }
        Confirmation::Sent => (Outcome::Miss, entry.head.status, Source::Origin),
        Confirmation::NotModified => (Outcome::Revalidated, StatusCode::NOT_MODIFIED, Source::Cache),
        Confirmation::Continued => (Outcome::Partial, StatusCode::PARTIAL_CONTENT, Source::Origin),
    };
    Provenance { outcome, reason, origin_status: Some(status), source }
}

/// For those who waited with it.
pub(super) fn collapsed(entry: &Entry<Http>, reason: &'static str) -> Provenance {
    match entry.head.confirmed {
        Confirmation::NotModified => led(entry, reason),
        _ => Provenance { outcome: Outcome::Follow, reason: "collapsed", ..led(entry, reason) },
    }
}

impl Cache {
    /// Waits for what the answer's head depends on, then answers.
    pub(super) async fn follow_exchange(
        &self,
        entry: &Arc<Entry<Http>>,
        exchange: &Exchange<'_>,
        provenance: Provenance,
    ) -> Result<Answer, Setback> {
        let (request, body) = (wanted(exchange), &entry.body);
        let broken = |failure: &store::Failure| {
            let error = Error::from_failure(failure);
            if failure.retry == store::Retry::Sensible {
                Setback::Broken(error)
            } else {
                Setback::Final(error)
            }
        };
        let selection = loop {
            match choose(&request, entry) {
                Choice::Selected(selection) => break selection,
                Choice::AfterCommitted(end) => {
                    body.wait_committed(end).await.map_err(|failure| broken(&failure))?;
                }
                Choice::AfterEnd => {
                    body.wait_complete().await.map_err(|failure| broken(&failure))?;
                }
            }
        };
        // An early break is an honest status.
        if request.method == Method::Get && selection.has_content() {
            body.wait_committed(1).await.map_err(|failure| broken(&failure))?;
        }
        if let BodyState::Failed(failure) = body.state() {
            return Err(broken(&failure));
        }
        Ok(self.dressed(entry, &request, selection, provenance))
    }

    /// Answers from a complete body.
    pub(super) fn exchanged(
        &self,
        entry: &Arc<Entry<Http>>,
        exchange: &Exchange<'_>,
        provenance: Provenance,
    ) -> Answer {
        let request = wanted(exchange);
        let selection = match choose(&request, entry) {
            Choice::Selected(selection) => selection,
            // The length of a complete body is known: nothing is left to wait for.
            Choice::AfterCommitted(_) | Choice::AfterEnd => Selection::Whole,
        };
        self.dressed(entry, &request, selection, provenance)
    }

    pub(super) fn dressed(
        &self,
        entry: &Arc<Entry<Http>>,
        request: &Request,
        selection: Selection,
        provenance: Provenance,
    ) -> Answer {
        let (head, now) = (&entry.head, self.inner.clock.now());
        let is_whole = selection == Selection::Whole;
        let is_content = selection.has_content();
        let mut answer = compose(entry, request, selection, provenance, now);
        if is_whole {
            answer.status = head.status;
        }
        if is_content {
            // What we say of ranges and digests is true of the stored bytes. Of a whole object the origin may say what it
            // wants (RFC 9110 section 14.4 gives `Content-Range` no meaning there).
            let is_ours = |name| OURS.contains(name) || *name == CONTENT_RANGE && !is_whole;
            for (name, value) in head.of_site.iter().filter(|(name, _)| !is_ours(*name)) {
                answer.headers.append(name, value.clone());
            }
        }
        if let Some(freshness) = &head.freshness {
            answer.ttl_seconds = freshness.ttl(head.age(now));
            if provenance.origin_status.is_none() {
                fields::unvalidated(&mut answer.headers, freshness);
            }
        }
        answer
    }
}

/// What of the object answers; conditions and ranges mean something to a 200 only (RFC 9110 section 13.2.1).
pub(super) fn choose(request: &Request, entry: &Entry<Http>) -> Choice {
    if entry.head.status != StatusCode::OK {
        return Choice::Selected(Selection::Whole);
    }
    let committed =
        if entry.head.complete(&entry.body).is_some() { u64::MAX } else { entry.body.committed() };
    select(request, &entry.head, entry.body.length(), committed)
}

/// The exchange as far as a stored object answers it.
pub(super) fn wanted(exchange: &Exchange<'_>) -> Request {
    let method = if *exchange.method == http::Method::HEAD { Method::Head } else { Method::Get };
    Request {
        target: Arc::clone(exchange.target),
        method,
        conditions: Conditions::from_headers(exchange.headers),
        range: RangeSet::from_headers(exchange.headers),
        max_age: std::time::Duration::ZERO,
        keep: std::time::Duration::ZERO,
        expected: None,
        when_full: exchange.rule.when_full,
    }
}
