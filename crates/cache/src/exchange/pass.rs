//! Exchanges past the store: what no stored object answers and nobody else may share.
//!
//! One exchange with the origin for one request, at the client's pace; nothing is retried, resumed or kept, with two
//! exceptions: the answer to a HEAD freshens the stored object (RFC 9111 section 4.3.5), and the answer to a POST may be
//! one that a later GET gets (RFC 9110 section 9.3.3).

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use protocols::http::conditional::{Conditions, Validators, Verdict};
use protocols::http::range::ContentRange;
use store::{Access, BodySpec};
use tokio::sync::oneshot;

use super::fill::is_empty;
use super::{Exchange, answering, unkeyed};
use crate::fill::{
    Asking, Grower, Growing, LiveFill, Response, Segment, Turn, declared_length, draining, is_in_parts,
    is_so_long, promised,
};
use crate::head::{Head, Terms, Wish};
use crate::metrics::Counted;
use crate::payload::Direct;
use crate::policy::{self, Storable, fields};
use crate::{Answer, Cache, Error, OriginRequest, Outcome, Payload, Purpose, RequestBody, Source};

/// What is held while bytes pass.
struct Ticket {
    live: LiveFill,
    turn: Turn,
    counted: Counted,
}

/// The client's fields that may reach the origin where the answer may be shared.
pub(super) fn shared_fields(exchange: &Exchange<'_>) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(exchange.headers.len());
    for (name, value) in exchange.headers {
        let passes = match &exchange.rule.forward {
            Some(names) => names.contains(name),
            None => !unkeyed::is(name),
        };
        if passes {
            fields.append(name, value.clone());
        }
    }
    fields
}

impl Cache {
    /// Asks the origin for this request alone.
    pub(super) async fn pass_on(
        &self,
        exchange: &Exchange<'_>,
        content: Option<RequestBody>,
        reason: &'static str,
    ) -> Result<Answer, Error> {
        let ticket = self.ticket().await?;
        // The answer to a HEAD freshens what everybody gets.
        let is_shared = *exchange.method == Method::HEAD;
        let request = OriginRequest {
            method: exchange.method.clone(),
            url: exchange.target.url.clone(),
            headers: if is_shared { shared_fields(exchange) } else { exchange.headers.clone() },
            credentials: exchange.target.credentials.clone(),
            purpose: Purpose::Exchange(exchange.manners.clone()),
        };
        let asked_at = self.inner.clock.now();
        let answer = tokio::select! {
            answer = self.inner.origin.fetch(request.clone(), content) => answer?,
            () = ticket.live.stopped() => return Err(draining()),
        };
        let response = Response { answer, asked_at, answered_at: self.inner.clock.now() };
        self.after_pass(exchange, response.answered()).await;
        match self.storable_post(exchange, &request, &response) {
            Some(storable) => self.keep_post(exchange, request, response, storable, ticket).await,
            None => passed(exchange, response, reason, ticket),
        }
    }

    /// Gives the request an answer that came for it and is not stored.
    pub(super) async fn pass_answer(
        &self,
        exchange: &Exchange<'_>,
        response: Response,
        reason: &'static str,
    ) -> Result<Answer, Error> {
        let ticket = self.ticket().await?;
        passed(exchange, response, reason, ticket)
    }

    async fn ticket(&self) -> Result<Ticket, Error> {
        let live = self.inner.live.enter().ok_or_else(draining)?;
        let turn = self.inner.bypass_turns.take().await?;
        Ok(Ticket { live, turn, counted: Counted::new(&self.inner.metrics.bypasses) })
    }

    /// Whether the answer may be given to later GETs.
    fn storable_post(
        &self,
        exchange: &Exchange<'_>,
        request: &OriginRequest,
        response: &Response,
    ) -> Option<Storable> {
        if *exchange.method != Method::POST || exchange.headers.keys().any(is_strange) {
            return None;
        }
        let OriginRequest { method, url, headers, .. } = request;
        let asked = policy::Asked { method, url, headers };
        let (status, headers) = (response.answer.status, &response.answer.headers);
        let answered = policy::Answered { status, headers, at: response.answered_at };
        let storable = exchange.rule.may_store(asked, answered).ok()?;
        // Which of several variants a later GET wants does not follow from a POST.
        (!headers.contains_key(http::header::VARY)).then_some(storable)
    }

    /// Stores the answer while it passes. When that cannot be, it only passes.
    async fn keep_post(
        &self,
        exchange: &Exchange<'_>,
        request: OriginRequest,
        response: Response,
        storable: Storable,
        ticket: Ticket,
    ) -> Result<Answer, Error> {
        let (key, name) = (exchange.target.key, &exchange.target.name);
        let Access::Claimed(claim) = self.inner.store.lookup_or_claim(key, name, |_| false).await else {
            return passed(exchange, response, "method", ticket);
        };
        let headers = &response.answer.headers;
        let spec = BodySpec { length: declared_length(headers)?, promised: promised(headers) };
        let fields = fields::stored(headers, &storable.excluded);
        let stale_for = exchange.rule.policy.stale_on_error;
        let wish = Wish::lasting(&storable.freshness, self.inner.clock.now(), stale_for);
        let terms = Terms { freshness: Some(storable.freshness), selecting: None };
        let head = Head::sent(response.answered(), fields, terms, wish);
        let (entry, fill) = match claim.publish(head, spec).await {
            Ok(published) => published,
            Err((claim, _)) => {
                drop(claim);
                return passed(exchange, response, "method", ticket);
            }
        };
        let growing = Growing {
            entry: Arc::clone(&entry),
            fill,
            segment: Segment::whole(response.answer.body),
            total: spec.length,
        };
        let asking =
            Asking { request: OriginRequest { method: Method::GET, ..request }, name: Arc::clone(name) };
        let (tell, _nobody) = oneshot::channel();
        let grower = Grower {
            inner: Arc::clone(&self.inner),
            asking,
            expected: None,
            tell,
            own: HeaderMap::new(),
            live: ticket.live,
        };
        let turn = ticket.turn;
        tokio::spawn(async move {
            grower.grow(growing, None).await;
            drop(turn);
        });
        // The client's conditions and ranges are about what the POST does, not about what it brings.
        let plain = Exchange { headers: &HeaderMap::new(), ..exchange.clone() };
        let provenance = answering::led(&entry, "method");
        match self.follow_exchange(&entry, &plain, provenance).await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(Error::new(crate::Kind::OriginBroken, "The origin's answer broke off.")),
        }
    }
}

/// Whether a field, which no key holds, could have made the answer another one for others.
fn is_strange(name: &HeaderName) -> bool {
    unkeyed::is(name) && !unkeyed::is_ours(name)
}

fn passed(
    exchange: &Exchange<'_>,
    response: Response,
    reason: &'static str,
    ticket: Ticket,
) -> Result<Answer, Error> {
    let length = declared_length(&response.answer.headers)?;
    let origin_status = response.answer.status;
    check_part(&response)?;
    let verdict = verdict(exchange, &response);
    let mut headers = response.answer.headers;
    headers.remove(CONTENT_LENGTH);
    let (status, payload) = match verdict {
        Verdict::NotModified => (StatusCode::NOT_MODIFIED, Payload::silent(None, Source::Origin)),
        Verdict::Failed => (StatusCode::PRECONDITION_FAILED, Payload::silent(Some(0), Source::Origin)),
        Verdict::Proceed if *exchange.method == Method::HEAD || origin_status == StatusCode::NOT_MODIFIED => {
            (origin_status, Payload::silent(length, Source::Origin))
        }
        Verdict::Proceed if is_empty(origin_status) => {
            (origin_status, Payload::silent(Some(0), Source::Origin))
        }
        Verdict::Proceed => {
            let Ticket { live, turn, counted } = ticket;
            let stopped = Box::pin(async move {
                live.stopped().await;
                drop((turn, counted));
            });
            (origin_status, Payload::direct(Direct { body: response.answer.body, stopped }, length))
        }
    };
    Ok(Answer {
        status,
        headers,
        payload,
        outcome: Outcome::Bypass,
        reason,
        ttl_seconds: 0,
        origin_status: Some(origin_status),
        key: exchange.target.key,
    })
}

/// A part whose length is not that of its range would be put together wrongly by whoever gets it.
fn check_part(response: &Response) -> Result<(), Error> {
    let headers = &response.answer.headers;
    let field = headers.get(CONTENT_RANGE).and_then(|value| ContentRange::parse(value.as_bytes()));
    let Some((first, last)) = field.and_then(|field| field.range) else { return Ok(()) };
    let is_part = response.answer.status == StatusCode::PARTIAL_CONTENT && !is_in_parts(headers);
    if !is_part || is_so_long(headers, last - first + 1) {
        return Ok(());
    }
    let detail = "The origin sent a range of another length than it says.";
    Err(Error::new(crate::Kind::OriginBroken, detail))
}

/// What the client's conditions make of an answer that was asked for without them.
fn verdict(exchange: &Exchange<'_>, response: &Response) -> Verdict {
    if !exchange.is_read() || response.answer.status != StatusCode::OK {
        return Verdict::Proceed;
    }
    Conditions::from_headers(exchange.headers).evaluate(&Validators::from_headers(&response.answer.headers))
}
