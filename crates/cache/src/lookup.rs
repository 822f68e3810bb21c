//! The way of a request through the cache: from the store at once, by following a fill, or by starting one.
//!
//! Owns nothing; runs on the client's task and may be dropped at any await without harm to anybody else. A
//! request that waits starts over, at most `take_overs` times, when the fill it waited for ends without a
//! decision; the claim sees to it that only one of those who start over leads.

use std::sync::Arc;

use http::StatusCode;
use store::{Access, BodyState, Decision, Digest, Entry, Failure, Retry};

use crate::answer::{Choice, Provenance, Selection, compose, select};
use crate::fill::{self, Asking, Denied, Given, Response};
use crate::head::Confirmation;
use crate::revalidate::{may_be_stale, stale_reason};
use crate::{
    Answer, Cache, Error, Http, Kind, Method, Outcome, Refusal, Request, Source, Target, Timestamp, WhenFull,
};

/// A body no longer than this is compared with the digest a client demands before the head is answered, so
/// that a mismatch is an honest status. So much is held back of a longer one.
pub(crate) const VERIFIED_FIRST: u64 = 64 * 1024;

/// Why a turn ended without an answer.
enum Setback {
    /// There is none to be had.
    Final(Error),
    /// Another turn may bring one.
    Again(Error),
    /// The store does not take it; what the origin has begun to send, if this request led.
    Unstored(Error, Option<Box<Response>>),
}

/// An entry that answers a request, after what is still missing of its body has come.
struct Arrival {
    entry: Arc<Entry<Http>>,
    provenance: Provenance,
}

impl Cache {
    /// Answers without waiting when a complete, fresh, acceptable object is there; else `None`.
    pub fn answer_now(&self, request: &Request) -> Option<Answer> {
        let entry = self.inner.reader.lookup(&request.target.key)?;
        let now = self.inner.clock.now();
        if !entry.head.is_object()
            || !is_complete(&entry)
            || !is_fresh(&entry, request, now)
            || !has_expected_digest(&entry, request)
        {
            return None;
        }
        Some(self.stored(&entry, request, HIT, now))
    }

    /// Answers: from the store, by following a fill, or by starting one.
    pub async fn answer(&self, request: Request) -> Result<Answer, Error> {
        let request = self.of_variant(request).await;
        let mut turns_left = self.inner.settings.take_overs;
        loop {
            match self.turn(&request).await {
                Ok(answer) => return Ok(answer),
                Err(Setback::Unstored(error, unstored)) => {
                    return match request.when_full {
                        WhenFull::Stream => Box::pin(self.bypass(&request, &error, unstored)).await,
                        WhenFull::Refuse => Err(error),
                    };
                }
                Err(Setback::Again(_)) if turns_left > 0 => turns_left -= 1,
                Err(Setback::Again(error)) => return self.stale_or(error, &request).await,
                Err(Setback::Final(error)) => return Err(error),
            }
            self.inner.metrics.take_overs.inc();
        }
    }

    /// The same request; for an object of which there are variants, of the one that the fetch door gets.
    async fn of_variant(&self, request: Request) -> Request {
        let Some(entry) = self.inner.reader.find(&request.target.key).await else { return request };
        let Some(variants) = &entry.head.variants else { return request };
        let asked = Asking::object(&request.target).request.headers;
        let Some(key) = variants.candidates(request.target.key, &asked).next() else { return request };
        let target = Arc::new(Target { key, ..Target::clone(&request.target) });
        Request { target, ..request }
    }

    async fn turn(&self, request: &Request) -> Result<Answer, Setback> {
        if let Some(answer) = self.answer_now(request) {
            return Ok(answer);
        }
        let (key, now) = (request.target.key, self.inner.clock.now());
        if let Some(remembered) = self.inner.negatives.recall(key, request.expected, now) {
            return self.recalled(remembered, request).await;
        }
        let accept = |entry: &Entry<Http>| is_acceptable(entry, request, now);
        let arrival = match self.inner.store.lookup_or_claim(key, &request.target.name, accept).await {
            Access::Found(entry) if is_complete(&entry) => Arrival { entry, provenance: HIT },
            Access::Found(entry) => Arrival { entry, provenance: GROWING },
            Access::Flying(flight) => match flight.decided().await {
                Decision::Entry(entry) if entry.head.is_object() => {
                    Arrival { provenance: collapsed(&entry), entry }
                }
                Decision::Entry(_) => return Err(abandoned()),
                Decision::Refused(refusal) => {
                    return self.denied(Denied { refusal, unstored: None }, request).await;
                }
                Decision::Abandoned => return Err(abandoned()),
            },
            Access::Claimed(claim) => {
                let reason = why_asked(claim.previous(), request, now);
                let decision = fill::start(&self.inner, claim, request).map_err(Setback::Final)?;
                match decision.await {
                    Ok(Ok(Given { entry, .. })) => Arrival { provenance: led(&entry, reason), entry },
                    Ok(Err(denied)) => return self.denied(denied, request).await,
                    Err(_) => return Err(abandoned()),
                }
            }
        };
        self.follow(arrival, request).await
    }

    /// Waits for what the answer's head depends on, then answers.
    async fn follow(&self, arrival: Arrival, request: &Request) -> Result<Answer, Setback> {
        let Arrival { entry, provenance } = arrival;
        entry.head.keep(self.inner.clock.now().after(request.keep));
        let body = &entry.body;
        let selection = loop {
            match select(request, &entry.head, body.length(), body.committed()) {
                Choice::Selected(selection) => break selection,
                Choice::AfterCommitted(end) => {
                    body.wait_committed(end).await.map_err(|failure| broken(&failure))?;
                }
                Choice::AfterEnd => {
                    body.wait_complete().await.map_err(|failure| broken(&failure))?;
                }
            }
        };
        // After the selection, which may have waited for the body's end.
        if let Some(expected) = request.expected {
            self.verify_first(&entry, request, expected).await?;
        }
        if request.method == Method::Get
            && selection.has_content()
            && let Err(failure) = body.wait_committed(1).await
        {
            return self.nothing_came(&failure, request).await;
        }
        if let BodyState::Failed(failure) = body.state() {
            return Err(broken(&failure));
        }
        Ok(compose(&entry, request, selection, provenance, self.inner.clock.now()))
    }

    /// Compares the digest before the head is answered where the body is complete or short.
    async fn verify_first(
        &self,
        entry: &Arc<Entry<Http>>,
        request: &Request,
        expected: Digest,
    ) -> Result<(), Setback> {
        let body = &entry.body;
        match body.length() {
            Some(length) if length > VERIFIED_FIRST && !is_complete(entry) => return Ok(()),
            Some(_) => {}
            None => {
                let committed =
                    body.wait_committed(VERIFIED_FIRST + 1).await.map_err(|failure| broken(&failure))?;
                if committed > VERIFIED_FIRST && !is_complete(entry) {
                    return Ok(());
                }
            }
        }
        let (_, found) = body.wait_complete().await.map_err(|failure| broken(&failure))?;
        if found == expected {
            return Ok(());
        }
        let error = mismatch(found, expected);
        if entry.head.confirmed == Confirmation::NotModified {
            // The bytes are old; whether the origin has the expected ones by now is not known yet.
            return Err(Setback::Again(error));
        }
        let (refusal, now) = (Refusal::new(error.clone()), self.inner.clock.now());
        self.inner.negatives.remember_mismatch(request.target.key, expected, &refusal, now);
        Err(Setback::Final(error))
    }

    /// A refusal is remembered. It does not hide an object that is fresh for this request and was only cold.
    async fn recalled(&self, remembered: Error, request: &Request) -> Result<Answer, Setback> {
        if self.inner.reader.find(&request.target.key).await.is_some()
            && let Some(answer) = self.answer_now(request)
        {
            return Ok(answer);
        }
        self.denied(Denied { refusal: Refusal::new(remembered), unstored: None }, request).await
    }

    /// A body that failed before its first byte: the fill has asked as often as made sense, so this is a refusal. Only
    /// an object that changed meanwhile can be had, by a fill that begins with the new head.
    async fn nothing_came(&self, failure: &Failure, request: &Request) -> Result<Answer, Setback> {
        let error = Error::from_failure(failure);
        if error.kind == Kind::ObjectChanged {
            return Err(Setback::Again(error));
        }
        self.denied(Denied { refusal: Refusal::new(error), unstored: None }, request).await
    }

    async fn denied(&self, denied: Denied, request: &Request) -> Result<Answer, Setback> {
        let error = Error::clone(&denied.refusal);
        match error.kind {
            // What may not be stored for all may be stored for us.
            Kind::FillAbandoned | Kind::NotStorable(_) => Err(Setback::Again(error)),
            kind if kind.is_unstorable() => Err(Setback::Unstored(error, denied.unstored)),
            _ => self.stale_or(error, request).await.map_err(Setback::Final),
        }
    }

    /// The stored object, past its time, when the origin's trouble and the limits allow; else the error.
    async fn stale_or(&self, error: Error, request: &Request) -> Result<Answer, Error> {
        let Some(reason) = stale_reason(error.kind) else { return Err(error) };
        let stored = self.inner.reader.find(&request.target.key).await;
        let (stale_if_error, now) = (self.inner.settings.stale_if_error, self.inner.clock.now());
        let stored = stored.filter(|entry| {
            entry.head.is_object()
                && is_complete(entry)
                && has_expected_digest(entry, request)
                && may_be_stale(&entry.head, request.max_age, stale_if_error, now)
        });
        let Some(entry) = stored else { return Err(error) };
        let origin_status = match error.kind {
            Kind::OriginStatus(status) => Some(status),
            _ => None,
        };
        let provenance = Provenance { outcome: Outcome::Stale, reason, origin_status, source: Source::Cache };
        Ok(self.stored(&entry, request, provenance, now))
    }

    /// Answers from a complete body.
    fn stored(
        &self,
        entry: &Arc<Entry<Http>>,
        request: &Request,
        provenance: Provenance,
        now: Timestamp,
    ) -> Answer {
        entry.head.keep(now.after(request.keep));
        let length = entry.body.length();
        let selection = match select(request, &entry.head, length, length.unwrap_or_default()) {
            Choice::Selected(selection) => selection,
            // The length of a complete body is known: nothing is left to wait for.
            Choice::AfterCommitted(_) | Choice::AfterEnd => Selection::Whole,
        };
        compose(entry, request, selection, provenance, now)
    }
}

/// A growing object is as fresh as can be. A complete one must have been confirmed recently enough, and be the
/// one that is asked for. Runs under the store's lock: compares only.
fn is_acceptable(entry: &Entry<Http>, request: &Request, now: Timestamp) -> bool {
    if !entry.head.is_object() {
        return false;
    }
    if is_complete(entry) {
        return is_fresh(entry, request, now) && has_expected_digest(entry, request);
    }
    !matches!(entry.body.state(), BodyState::Failed(_))
}

fn is_complete(entry: &Entry<Http>) -> bool {
    entry.head.complete(&entry.body).is_some()
}

fn is_fresh(entry: &Entry<Http>, request: &Request, now: Timestamp) -> bool {
    entry.head.since_validated(now) < request.max_age && !entry.head.is_marked()
}

fn has_expected_digest(entry: &Entry<Http>, request: &Request) -> bool {
    let Some(expected) = request.expected else { return true };
    entry.head.complete(&entry.body).is_some_and(|complete| complete.digest == expected)
}

const HIT: Provenance =
    Provenance { outcome: Outcome::Hit, reason: "fresh", origin_status: None, source: Source::Cache };

const GROWING: Provenance =
    Provenance { outcome: Outcome::Follow, reason: "growing", origin_status: None, source: Source::Origin };

/// For those who waited for somebody else's fill.
fn collapsed(entry: &Entry<Http>) -> Provenance {
    match entry.head.confirmed {
        Confirmation::NotModified => led(entry, "expired"),
        Confirmation::Sent | Confirmation::Continued => {
            Provenance { outcome: Outcome::Follow, reason: "collapsed", ..led(entry, "collapsed") }
        }
    }
}

/// For the request that started the fill.
fn led(entry: &Entry<Http>, reason: &'static str) -> Provenance {
    let (outcome, reason, status, source) = match entry.head.confirmed {
        Confirmation::Sent => (Outcome::Miss, reason, StatusCode::OK, Source::Origin),
        Confirmation::NotModified => (Outcome::Revalidated, reason, StatusCode::NOT_MODIFIED, Source::Cache),
        Confirmation::Continued => (Outcome::Partial, "resumed", StatusCode::PARTIAL_CONTENT, Source::Origin),
    };
    Provenance { outcome, reason, origin_status: Some(status), source }
}

/// Why the origin is asked although there may be an object.
fn why_asked(previous: Option<&Arc<Entry<Http>>>, request: &Request, now: Timestamp) -> &'static str {
    match previous {
        None => "absent",
        Some(entry) if entry.head.is_marked() => "purged",
        Some(entry) if !is_fresh(entry, request, now) => "expired",
        Some(_) => "digest_differs",
    }
}

fn abandoned() -> Setback {
    let detail = "The transfer from the origin was abandoned; ask again.";
    Setback::Again(Error::new(Kind::FillAbandoned, detail))
}

/// A body that failed before the request's head was answered.
fn broken(failure: &Failure) -> Setback {
    let error = Error::from_failure(failure);
    match failure.retry {
        Retry::Sensible => Setback::Again(error),
        Retry::Pointless if error.kind.is_unstorable() => Setback::Unstored(error, None),
        Retry::Pointless => Setback::Final(error),
    }
}

pub(crate) fn mismatch(found: Digest, expected: Digest) -> Error {
    let detail = format!(
        "The object's SHA-256 is {found}, but the request demands {expected}: correct `sha256=` or ask the origin's owner."
    );
    Error::new(Kind::DigestMismatch, detail)
}
