//! [`Exchange`]: a request to a site or through the forward proxy, answered by RFC 9111.
//!
//! ```text
//! exchange ─┬─ GET, HEAD ─► variant ─► reuse? ─┬─ yes ───────────────────────────────► answer
//!           │               (Vary)    (policy) └─ claim ─► fill (detached) ─┬─ stored ─► follow it ─► answer
//!           │                                                               └─ not ────► passed ────► answer
//!           └─ all others ─► passed ─► invalidates (policy)
//! ```
//!
//! Uses the store, the fills and the answers of the fetch door; what differs is when a stored object may be used
//! (`policy`), that every status is an object, and that all end-to-end fields are kept. Owns nothing; runs on the client's
//! task and may be dropped at any await.

mod answering;
mod begun;
mod fill;
mod invalidating;
mod listing;
mod pass;
mod pieces;
mod unkeyed;
mod unstorable;
mod variants;

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode};
use protocols::http::cache_control::{Directive, RequestControl};
use store::{Access, Decision, Entry, Key};

pub(crate) use self::pieces::Wanting;
pub(crate) use self::unstorable::{Askers, Unstorables};
pub(crate) use self::variants::{Selecting, Variants};
use crate::answer::Provenance;
use crate::fill::{Denied, Given, Response};
use crate::policy::{Reuse, Stored, Traffic, Trouble, ValidateBecause, decide, may_serve_on_error};
use crate::{Answer, Cache, Error, Http, KeyHasher, Kind, Manners, RequestBody, Rule, Target, Timestamp};

/// A request to be answered by RFC 9111. Borrowed from the request that is being answered.
#[derive(Clone)]
pub struct Exchange<'a> {
    /// What is asked for. Its key is that of the URL, the same as the fetch door's.
    pub target: &'a Arc<Target>,
    /// Any but CONNECT.
    pub method: &'a Method,
    /// The client's end-to-end fields: without hop-by-hop ones, those that `Connection` names, `Host` and
    /// `Content-Length`.
    pub headers: &'a HeaderMap,
    /// What the operator wants.
    pub rule: &'a Arc<Rule>,
    /// How it is passed on.
    pub manners: Manners,
    /// Makes the keys of other URLs that the answer makes invalid.
    pub hasher: &'a KeyHasher,
}

/// Why a turn ended without an answer.
enum Setback {
    /// There is none to be had.
    Final(Error),
    /// Another turn may bring one.
    Again(&'static str),
    /// The object broke off before its first byte.
    Broken(Error),
    /// The origin is asked for this request alone.
    Pass(&'static str),
    /// The origin has answered this request, but nothing is stored.
    Unstored(&'static str, Box<Response>),
    /// The origin is in trouble; perhaps it has said so in an answer.
    Trouble(Error, Option<Box<Response>>),
}

/// Where the object is that answers a request, or where it belongs.
struct Place {
    key: Key,
    entry: Option<Arc<Entry<Http>>>,
    /// Why there is none, if there is none.
    absence: &'static str,
}

impl Exchange<'_> {
    fn is_read(&self) -> bool {
        matches!(*self.method, Method::GET | Method::HEAD)
    }

    fn control(&self) -> RequestControl {
        RequestControl::from_headers(self.headers)
    }

    /// What becomes of a stored object for this request; `None`: it cannot be used.
    fn judge(&self, entry: &Entry<Http>, control: RequestControl, now: Timestamp) -> Option<Reuse> {
        let freshness = entry.head.freshness.as_ref()?;
        if !self.is_selected(entry) {
            return None;
        }
        if entry.head.is_marked() {
            let only_stored = control.has(Directive::OnlyIfCached);
            let because = ValidateBecause::Purged;
            return Some(if only_stored { Reuse::Unavailable(because) } else { Reuse::Validate(because) });
        }
        Some(decide(stored(entry, freshness, now), control, &self.rule.policy))
    }

    /// Whether an object that others waited for answers this request as well.
    fn may_share(&self, entry: &Entry<Http>) -> bool {
        entry.head.freshness.is_some() && !entry.head.is_marked() && self.is_selected(entry)
    }

    /// Whether the object answers requests with these fields.
    fn is_selected(&self, entry: &Entry<Http>) -> bool {
        entry.head.is_open_to(self.manners.named_by) && entry.head.answers(self.target.key, self.headers)
    }
}

fn stored<'a>(entry: &Entry<Http>, freshness: &'a crate::policy::Freshness, now: Timestamp) -> Stored<'a> {
    Stored { freshness, age: entry.head.age(now), since_validated: entry.head.since_validated(now) }
}

impl Cache {
    /// Answers without waiting when a complete object is there that may be used as it is; else `None`.
    pub fn exchange_now(&self, exchange: &Exchange<'_>) -> Option<Answer> {
        if !exchange.is_read() || exchange.rule.overrides.traffic == Traffic::Bypassed {
            return None;
        }
        let entry = self.variant_now(exchange)?;
        entry.head.complete(&entry.body)?;
        let now = self.inner.clock.now();
        let provenance = match exchange.judge(&entry, exchange.control(), now)? {
            Reuse::Fresh(because) => answering::hit(because.as_str()),
            Reuse::Stale(because) => answering::stale(because.as_str(), None),
            _ => return None,
        };
        Some(self.exchanged(&entry, exchange, provenance))
    }

    /// Answers: from the store, by following a fill, by starting one, or past the store. `content` is the request's.
    pub async fn exchange(
        &self,
        exchange: Exchange<'_>,
        content: Option<RequestBody>,
    ) -> Result<Answer, Error> {
        if content.is_some() || !exchange.is_read() {
            return self.pass_on(&exchange, content, "method").await;
        }
        if exchange.rule.overrides.traffic == Traffic::Bypassed {
            return self.pass_on(&exchange, None, "rule_bypass").await;
        }
        let mut turns_left = self.inner.settings.take_overs;
        loop {
            match self.exchange_turn(&exchange).await {
                Ok(answer) => return Ok(answer),
                Err(Setback::Final(error)) => return Err(error),
                Err(Setback::Pass(reason)) => return self.pass_on(&exchange, None, reason).await,
                Err(Setback::Unstored(reason, response)) => {
                    return self.pass_answer(&exchange, *response, reason).await;
                }
                Err(Setback::Trouble(error, response)) => {
                    return self.stand_in(&exchange, error, response).await;
                }
                Err(Setback::Again(why)) if turns_left > 0 => {
                    tracing::debug!(name = %exchange.target.name, why, "starts over");
                    turns_left -= 1;
                }
                Err(Setback::Broken(error)) if turns_left > 0 => {
                    tracing::debug!(name = %exchange.target.name, %error, "starts over");
                    turns_left -= 1;
                }
                Err(Setback::Broken(error)) => return self.stand_in(&exchange, error, None).await,
                // Whoever comes so far need not be collapsed with others.
                Err(Setback::Again(_)) => return self.pass_on(&exchange, None, "not_collapsed").await,
            }
            self.inner.metrics.take_overs.inc();
        }
    }

    async fn exchange_turn(&self, exchange: &Exchange<'_>) -> Result<Answer, Setback> {
        let place = self.place(exchange).await;
        let (control, now) = (exchange.control(), self.inner.clock.now());
        let mut why = place.absence;
        if let Some(entry) = &place.entry
            && let Some(reuse) = exchange.judge(entry, control, now)
        {
            match reuse {
                Reuse::Fresh(because) => {
                    let provenance = answering::found(entry, because.as_str());
                    return self.deliver(entry, exchange, provenance).await;
                }
                Reuse::Stale(because) => {
                    let provenance = answering::stale(because.as_str(), None);
                    return self.deliver(entry, exchange, provenance).await;
                }
                Reuse::StaleWhileRevalidate if entry.head.complete(&entry.body).is_some() => {
                    self.revalidate_behind(exchange, place.key).await;
                    let provenance = answering::stale("stale_while_revalidate", None);
                    return Ok(self.exchanged(entry, exchange, provenance));
                }
                Reuse::StaleWhileRevalidate => why = "stale",
                Reuse::Unavailable(_) => return Err(Setback::Final(not_cached())),
                Reuse::Validate(because) => why = because.as_str(),
            }
        }
        if control.has(Directive::OnlyIfCached) {
            return Err(Setback::Final(not_cached()));
        }
        // A HEAD is no reason to fetch the whole (RFC 9111 section 4.3.5), and a request that says `no-store` shares
        // nothing.
        if *exchange.method == Method::HEAD {
            return Err(Setback::Pass("head"));
        }
        if control.has(Directive::NoStore) {
            return Err(Setback::Pass("request_no_store"));
        }
        self.ask(exchange, control, place.key, why).await
    }

    /// Asks the origin, or waits with somebody who does.
    async fn ask(
        &self,
        exchange: &Exchange<'_>,
        control: RequestControl,
        key: Key,
        why: &'static str,
    ) -> Result<Answer, Setback> {
        let now = self.inner.clock.now();
        // Others must not wait for what will not answer them.
        if exchange.headers.contains_key(AUTHORIZATION)
            && self.inner.unstorables.has(key, Askers::Authorized, now)
        {
            return Err(Setback::Pass("authorization"));
        }
        let accept = |entry: &Entry<Http>| {
            entry.head.variants.is_some()
                || matches!(exchange.judge(entry, control, now), Some(Reuse::Fresh(_)))
                    && !matches!(entry.body.state(), store::BodyState::Failed(_))
        };
        match self.inner.store.lookup_partial_or_claim(key, &exchange.target.name, accept).await {
            Access::Found(entry) if entry.head.variants.is_some() && key == exchange.target.key => {
                Err(Setback::Again("variants"))
            }
            Access::Found(entry) => {
                let provenance = answering::found(&entry, "fresh");
                self.deliver(&entry, exchange, provenance).await
            }
            Access::Flying(_) if self.inner.unstorables.has(key, Askers::All, now) => {
                Err(Setback::Pass("not_storable"))
            }
            Access::Flying(flight) => match flight.decided().await {
                Decision::Entry(entry) if exchange.may_share(&entry) => {
                    let provenance = answering::collapsed(&entry, why);
                    self.deliver(&entry, exchange, provenance).await
                }
                Decision::Entry(_) => Err(Setback::Again("other_variant")),
                // It was refused to whoever asked, who may have come by another door.
                Decision::Refused(refusal) if refusal.kind == Kind::OriginForbidden => {
                    Err(Setback::Again("refused_to_another"))
                }
                Decision::Refused(refusal) => Err(denied(Denied { refusal, unstored: None })),
                Decision::Abandoned => Err(Setback::Again("abandoned")),
            },
            Access::Claimed(claim) => {
                let first = self.first_pieces(exchange);
                // An object whose parts cannot be kept is not asked for twice for each of them.
                if first.is_some() && self.inner.unstorables.has(key, Askers::All, now) {
                    return Err(Setback::Pass("range_not_storable"));
                }
                let verdict = fill::start(&self.inner, claim, exchange, first).map_err(Setback::Final)?;
                match verdict.await {
                    Ok(Ok(Given { entry, own })) => {
                        let provenance = answering::led(&entry, why);
                        let mut answer = self.deliver(&entry, exchange, provenance).await?;
                        answer.headers.extend(own);
                        Ok(answer)
                    }
                    Ok(Err(refused)) => Err(denied(refused)),
                    Err(_) => Err(Setback::Again("abandoned")),
                }
            }
        }
    }

    async fn deliver(
        &self,
        entry: &Arc<Entry<Http>>,
        exchange: &Exchange<'_>,
        provenance: Provenance,
    ) -> Result<Answer, Setback> {
        if entry.body.is_partial() {
            return self.answer_partial(entry, exchange, provenance).await;
        }
        self.follow_exchange(entry, exchange, provenance).await
    }

    /// Begins to ask whether a stale object is still right, unless somebody does already.
    async fn revalidate_behind(&self, exchange: &Exchange<'_>, key: Key) {
        let now = self.inner.clock.now();
        let accept = |entry: &Entry<Http>| {
            let judged = exchange.judge(entry, RequestControl::default(), now);
            !matches!(judged, Some(Reuse::StaleWhileRevalidate))
        };
        let access = self.inner.store.lookup_or_claim(key, &exchange.target.name, accept).await;
        if let Access::Claimed(claim) = access {
            // Nobody waits for it, and when the server drains it need not be.
            drop(fill::start(&self.inner, claim, exchange, None));
        }
    }

    /// The stored object, if it may stand in for an origin in trouble; else what the origin said, or the error.
    async fn stand_in(
        &self,
        exchange: &Exchange<'_>,
        error: Error,
        response: Option<Box<Response>>,
    ) -> Result<Answer, Error> {
        let now = self.inner.clock.now();
        let place = self.place(exchange).await;
        let usable = |entry: &Arc<Entry<Http>>| {
            exchange.is_selected(entry) && entry.head.complete(&entry.body).is_some()
        };
        if let Some(entry) = place.entry.filter(usable)
            && let Some(freshness) = &entry.head.freshness
            && let Some((trouble, reason)) = trouble(error.kind)
            && may_serve_on_error(
                stored(&entry, freshness, now),
                exchange.control(),
                trouble,
                &exchange.rule.policy,
            )
            .is_ok()
        {
            let status = if let Kind::OriginStatus(status) = error.kind { Some(status) } else { None };
            return Ok(self.exchanged(&entry, exchange, answering::stale(reason, status)));
        }
        match (response, error.kind) {
            (Some(response), _) => self.pass_answer(exchange, *response, "origin_status").await,
            (None, Kind::OriginStatus(_)) => self.pass_on(exchange, None, "origin_status").await,
            (None, _) => Err(error),
        }
    }

    /// The warm object that answers the request.
    fn variant_now(&self, exchange: &Exchange<'_>) -> Option<Arc<Entry<Http>>> {
        let of_url = exchange.target.key;
        let entry = self.inner.reader.lookup(&of_url)?;
        let Some(variants) = &entry.head.variants else { return Some(entry) };
        let found =
            variants.candidates(of_url, exchange.headers).filter_map(|key| self.inner.reader.lookup(&key));
        latest(found)
    }

    /// The same, wherever the store has it.
    async fn place(&self, exchange: &Exchange<'_>) -> Place {
        let of_url = exchange.target.key;
        let entry = self.inner.reader.find_partial(&of_url).await;
        let variants = entry.as_ref().and_then(|entry| entry.head.variants.as_ref());
        let Some(variants) = variants else { return Place { key: of_url, entry, absence: "absent" } };
        let (mut found, mut first) = (Vec::new(), None);
        for key in variants.candidates(of_url, exchange.headers) {
            first.get_or_insert(key);
            found.extend(self.inner.reader.find_partial(&key).await);
        }
        let entry = latest(found.into_iter());
        let key = entry.as_ref().map_or(first.unwrap_or(of_url), |entry| entry.key);
        Place { key, entry, absence: "other_variant" }
    }
}

/// Of several that match, the one that the origin confirmed last (RFC 9111 section 4.1).
fn latest(found: impl Iterator<Item = Arc<Entry<Http>>>) -> Option<Arc<Entry<Http>>> {
    found.max_by_key(|entry| entry.head.validated_at)
}

fn not_cached() -> Error {
    let detail = "The request takes only what is stored (`only-if-cached`), and nothing that answers it is.";
    Error::new(Kind::NotCached, detail)
}

fn denied(denied: Denied) -> Setback {
    let error = Error::clone(&denied.refusal);
    match (error.kind, denied.unstored) {
        (Kind::FillAbandoned, None) => Setback::Again("abandoned"),
        (Kind::FillAbandoned, Some(response)) => Setback::Unstored("other_variant", response),
        (Kind::NotStorable(why), Some(response)) => Setback::Unstored(why.as_str(), response),
        (Kind::NotStorable(why), None) => Setback::Pass(why.as_str()),
        (kind, Some(response)) if kind.is_unstorable() => Setback::Unstored(kind.reason(), response),
        (kind, None) if kind.is_unstorable() => Setback::Pass(kind.reason()),
        (_, response) => Setback::Trouble(error, response),
    }
}

/// What is wrong with the origin, and the reason to give for a stale answer.
fn trouble(kind: Kind) -> Option<(Trouble, &'static str)> {
    let reason = crate::revalidate::stale_reason(kind)?;
    match kind {
        Kind::OriginStatus(status) => Some((Trouble::Status(status), reason)),
        _ => Some((Trouble::Unreachable, reason)),
    }
}

/// Statuses that say that the origin, or what stands before it, cannot answer now.
fn is_trouble(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
