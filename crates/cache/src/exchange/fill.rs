//! [`Job`]: the detached fill of an exchange, from claim to end.
//!
//! ```text
//! turn ─► origin ─┬─ 304 ─────────────► the stored object under a new head
//!                 ├─ storable ─► home ─► the object grows (as for the fetch door)
//!                 ├─ not storable ────► the request that asked gets the answer itself, the others ask on their own
//!                 └─ trouble ─────────► each waiter decides whether a stale object stands in
//! ```
//!
//! An object's *home* is the key of the URL, or that of its variant once the URL has variants.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    RANGE, SET_COOKIE,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use protocols::http::conditional::Validators;
use protocols::http::range::ContentRange;
use protocols::http::tags::Tags;
use protocols::http::vary::{Nominated, Vary};
use store::{Access, BodySpec, BodyState, Claim, Entry, PartialSpec};
use tokio::sync::oneshot;

use super::begun::begun;
use super::pieces::{self, Fetcher};
use super::{Exchange, Selecting, is_trouble};
use crate::cache::Inner;
use crate::fill::{
    Asking, Denied, Given, Grower, Growing, LiveFill, Response, Segment, Verdict, declared_length, draining,
    is_in_parts, is_so_long, promised, store_error,
};
use crate::head::{Answered as Answer, Head, Terms, Wish};
use crate::metrics::{Counted, FillResult};
use crate::policy::fields::Excluded;
use crate::policy::{self, Freshness, SetCookie, Storable, fields};
use crate::{Error, Http, Kind, OriginRequest, Purpose, Refusal, Rule, Target, Timestamp, revalidate};

/// How long an object that can be validated is kept beyond its lifetime at least.
const WORTH_VALIDATING: Duration = Duration::from_secs(24 * 60 * 60);

/// What one client wants of the object, and no other.
const OF_ONE_REQUEST: [HeaderName; 6] =
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];

pub(super) struct Job {
    pub(super) inner: Arc<Inner>,
    pub(super) target: Arc<Target>,
    rule: Arc<Rule>,
    /// The client's fields, which tell variants apart.
    fields: HeaderMap,
    asking: Asking,
    /// The pieces that are wanted when nothing of the object is there; else all of it.
    first: Option<Range<u64>>,
    tell: oneshot::Sender<Verdict>,
    live: LiveFill,
}

/// Starts the fill of a claimed key on a task of its own.
pub(super) fn start(
    inner: &Arc<Inner>,
    claim: Claim<Http>,
    exchange: &Exchange<'_>,
    first: Option<Range<u64>>,
) -> Result<oneshot::Receiver<Verdict>, Error> {
    let Some(live) = inner.live.enter() else {
        let error = draining();
        claim.refuse(Refusal::new(error.clone()));
        return Err(error);
    };
    inner.metrics.fills_started.inc();
    let (tell, verdict) = oneshot::channel();
    let job = Job {
        inner: Arc::clone(inner),
        target: Arc::clone(exchange.target),
        rule: Arc::clone(exchange.rule),
        fields: exchange.headers.clone(),
        asking: asking(exchange),
        first,
        tell,
        live,
    };
    tokio::spawn(job.run(claim));
    Ok(verdict)
}

/// What the origin is asked for an object that everybody may get: nothing in it is one client's business.
pub(super) fn asking(exchange: &Exchange<'_>) -> Asking {
    let mut headers = super::pass::shared_fields(exchange);
    for name in &OF_ONE_REQUEST {
        headers.remove(name);
    }
    let request = OriginRequest {
        method: Method::GET,
        url: exchange.target.url.clone(),
        headers,
        credentials: exchange.target.credentials.clone(),
        purpose: Purpose::Exchange(exchange.manners.clone()),
    };
    Asking { request, name: Arc::clone(&exchange.target.name) }
}

/// What the origin's answer is for.
enum Answered {
    /// The stored object is still right.
    Confirmed(Arc<Entry<Http>>, Response),
    New(Response),
}

impl Job {
    async fn run(self, claim: Claim<Http>) {
        let scheduled = Counted::new(&self.inner.metrics.scheduled);
        let turn = match self.live.unless_stopped(self.inner.turns.take()).await {
            Ok(turn) => turn,
            Err(error) => return self.refuse(claim, error, None),
        };
        let basis = claim.previous().or(claim.partial()).filter(|entry| self.is_basis(entry)).cloned();
        let has_stand_in = self.has_stand_in(&claim);
        let answered = self.live.unless_stopped(self.open(basis.as_ref())).await;
        drop(scheduled);
        match answered {
            Ok(Answered::Confirmed(entry, response)) => self.confirm(claim, &entry, &response),
            Ok(Answered::New(response)) if has_stand_in && is_trouble(response.answer.status) => {
                let status = response.answer.status;
                let error = Error::new(Kind::OriginStatus(status), format!("The origin answered {status}."));
                self.refuse(claim, error, Some(Box::new(response)));
            }
            Ok(Answered::New(response)) if response.answer.status == StatusCode::PARTIAL_CONTENT => {
                match self.part(&response) {
                    Some((range, total)) if range == (0..total) => {
                        self.judge(claim, as_whole(response, total)).await;
                    }
                    part => self.judge_part(claim, response, part).await,
                }
            }
            // It is about our pieces: whoever wants a range there asks on its own.
            Ok(Answered::New(response))
                if self.first.is_some() && response.answer.status == StatusCode::RANGE_NOT_SATISFIABLE =>
            {
                let error = not_storable(policy::Unstorable::AnswersFields);
                self.refuse(claim, error, None);
            }
            Ok(Answered::New(response)) => self.judge(claim, response).await,
            Err(error) => self.refuse(claim, error, None),
        }
        drop(turn);
    }

    /// Whether what is stored could answer in place of an origin in trouble: each waiter decides for itself.
    fn has_stand_in(&self, claim: &Claim<Http>) -> bool {
        claim.previous().is_some_and(|entry| {
            entry.head.answers(self.target.key, &self.fields)
                && entry.head.freshness.is_some()
                && entry.body.state() == BodyState::Complete
        })
    }

    /// Whether the request can be made conditional on this object.
    fn is_basis(&self, entry: &Entry<Http>) -> bool {
        let head = &entry.head;
        head.answers(self.target.key, &self.fields)
            && head.freshness.is_some()
            && !head.validators.is_empty()
            && (entry.body.state() == BodyState::Complete || entry.body.is_partial())
    }

    async fn open(&self, basis: Option<&Arc<Entry<Http>>>) -> Result<Answered, Error> {
        let Some(entry) = basis else {
            let range = self.first.iter().map(|range| (RANGE, pieces::byte_range(range))).collect();
            return self.fetch(range).await.map(Answered::New);
        };
        let response = self.fetch(revalidate::conditions(&entry.head)).await?;
        if response.answer.status != StatusCode::NOT_MODIFIED {
            return Ok(Answered::New(response));
        }
        if revalidate::confirms(&entry.head.validators, &response.answer.headers) {
            return Ok(Answered::Confirmed(Arc::clone(entry), response));
        }
        // It is about another object and says nothing about ours (RFC 9111 section 4.3.4).
        self.fetch(HeaderMap::new()).await.map(Answered::New)
    }

    async fn fetch(&self, conditions: HeaderMap) -> Result<Response, Error> {
        let asked_at = self.inner.clock.now();
        let answer = self.inner.origin.fetch(self.asking.with(conditions), None).await?;
        Ok(Response { answer, asked_at, answered_at: self.inner.clock.now() })
    }

    fn confirm(self, claim: Claim<Http>, entry: &Arc<Entry<Http>>, response: &Response) {
        let before = entry.head.all_fields();
        let merged = fields::updated(&before, &response.answer.headers);
        let vary = |fields: &HeaderMap| Vary::from_headers(fields, self.rule.policy.vary_fields);
        let storable = self.may_store(entry.head.status, &merged, response.answered_at);
        // Whom it answers from now on is not whom it was stored for.
        let is_for_others = vary(&merged) != vary(&before);
        let stays = storable.is_ok() && !is_for_others;
        let (freshness, excluded) = match storable {
            Ok(storable) => (Some(storable.freshness), storable.excluded),
            Err(_) => (entry.head.freshness.clone(), Excluded::default()),
        };
        let own = self.own(&response.answer.headers, &excluded);
        let wish = self.wish(freshness.as_ref());
        let fields = fields::stored(&merged, &excluded);
        let head = entry.head.confirmed(response.answered(), fields, freshness, wish);
        if !stays {
            // It answers the request that asked, and nobody else.
            head.mark();
        }
        match claim.refresh(head) {
            Ok(entry) => {
                entry.head.complete(&entry.body);
                self.inner.metrics.ended(FillResult::Revalidated);
                if !stays {
                    self.inner.store.remove_entry(&entry);
                }
                let _ = self.tell.send(Ok(Given { entry, own }));
            }
            Err(claim) => {
                let detail = "The stored object was deleted while the origin confirmed it.";
                self.refuse(claim, Error::new(Kind::FillAbandoned, detail), None);
            }
        }
    }

    /// What only the request that asked may have of an answer: the fields that it keeps for one client (RFC 9111 section
    /// 5.2.2.7), but those that a rule takes away.
    fn own(&self, headers: &HeaderMap, excluded: &Excluded) -> HeaderMap {
        if excluded.names().is_empty() {
            return HeaderMap::new();
        }
        let strips = self.rule.overrides(StatusCode::OK, headers).set_cookie == SetCookie::Strip;
        let is_stripped = |name: &HeaderName| strips && *name == SET_COOKIE;
        let is_own = |name: &HeaderName| excluded.names().contains(name) && !is_stripped(name);
        let fields = fields::stored(headers, &Excluded::default());
        fields
            .iter()
            .filter(|(name, _)| is_own(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    async fn judge(self, claim: Claim<Http>, response: Response) {
        let Response { answer, answered_at, .. } = &response;
        let storable = match self.may_store(answer.status, &answer.headers, *answered_at) {
            Ok(storable) => storable,
            Err(why) => return self.judge_unstorable(claim, response, why).await,
        };
        let selecting = self.selecting(&claim, &answer.headers);
        match self.go_home(claim, selecting.as_ref()).await {
            Ok((claim, first)) => self.fill(claim, first, response, storable, selecting).await,
            Err(refusal) => {
                let _ = self.tell.send(Err(Denied { refusal, unstored: Some(Box::new(response)) }));
            }
        }
    }

    /// What may not be stored goes to the request that asked. Where something is stored that could stand in for it, it must
    /// have begun: an origin that breaks off before its first byte is in trouble.
    async fn judge_unstorable(self, claim: Claim<Http>, mut response: Response, why: policy::Unstorable) {
        if self.has_stand_in(&claim) {
            match self.live.unless_stopped(begun(response.answer.body)).await {
                Ok(body) => response.answer.body = body,
                Err(error) => return self.refuse(claim, error, None),
            }
        }
        self.supersede(&claim, why, response.answer.status);
        self.refuse(claim, not_storable(why), Some(Box::new(response)));
    }

    /// A final answer stands in place of the stored object, even when it may not be stored itself (RFC 9111 section 4.3.3);
    /// an origin in trouble, or one that does not take this client's request, says nothing about the object.
    fn supersede(&self, claim: &Claim<Http>, why: policy::Unstorable, status: StatusCode) {
        if status.is_server_error() || is_about_the_request(status) || !why.is_said_by_the_answer() {
            return;
        }
        if let Some(before) = claim.previous().or(claim.partial()) {
            self.inner.store.remove_entry(before);
        }
    }

    /// The claim of the object's home, and the one that the fill began with, if that is another.
    async fn go_home(
        &self,
        claim: Claim<Http>,
        selecting: Option<&Selecting>,
    ) -> Result<(Claim<Http>, Option<Claim<Http>>), Refusal> {
        let home = selecting.map_or(self.target.key, Selecting::key);
        if claim.key() == home {
            return Ok((claim, None));
        }
        match self.inner.store.lookup_or_claim(home, &self.target.name, |_| false).await {
            Access::Claimed(mut at_home) => {
                at_home.asked_with(&claim);
                Ok((at_home, Some(claim)))
            }
            // Somebody else fetches the same variant: then this answer is for its own request only.
            Access::Found(_) | Access::Flying(_) => {
                let detail = "Another transfer stores this variant.";
                let refusal = Refusal::new(Error::new(Kind::FillAbandoned, detail));
                claim.refuse(Arc::clone(&refusal));
                Err(refusal)
            }
        }
    }

    /// An answer to a request for pieces: the beginning of an entry with holes.
    async fn judge_part(self, claim: Claim<Http>, response: Response, part: Option<(Range<u64>, u64)>) {
        // Another part must prove to belong to this one.
        let validators = Validators::from_headers(&response.answer.headers);
        let Some((range, total)) = part.filter(|_| validators.strong().is_some()) else {
            return self.refuse(claim, not_storable(policy::Unstorable::PartialContent), None);
        };
        let mut headers = response.answer.headers.clone();
        headers.remove(CONTENT_RANGE);
        let storable = match self.may_store(StatusCode::OK, &headers, response.answered_at) {
            Ok(storable) => storable,
            Err(why) => return self.refuse(claim, not_storable(why), None),
        };
        let selecting = self.selecting(&claim, &headers);
        let (claim, first) = match self.go_home(claim, selecting.as_ref()).await {
            Ok(claims) => claims,
            Err(refusal) => {
                let _ = self.tell.send(Err(Denied { refusal, unstored: None }));
                return;
            }
        };
        self.count_tags(&headers);
        let fields = fields::stored(&headers, &storable.excluded);
        let own = self.own(&headers, &storable.excluded);
        let wish = self.wish(Some(&storable.freshness));
        let terms = Terms { freshness: Some(storable.freshness), selecting: selecting.clone() };
        let answered = Answer { status: StatusCode::OK, ..response.answered() };
        let spec = PartialSpec { length: total, promised: promised(&headers) };
        let (start, piece) = (range.start, self.inner.settings.piece);
        let head = Head::sent(answered, fields, terms, wish);
        match claim.publish_partial(head, spec, range, piece).await {
            Ok((entry, claims)) => {
                if let Some(selecting) = &selecting {
                    self.list_variant(selecting, first).await;
                }
                let fetcher = Fetcher::new(&self.inner, &entry, &self.asking, &self.rule);
                let _ = self.tell.send(Ok(Given { entry, own }));
                let taken = tokio::select! {
                    taken = fetcher.take(response.answer.body, start, claims) => taken,
                    () = self.live.stopped() => Err(draining()),
                };
                if let Err(error) = taken {
                    tracing::info!(name = %self.target.name, %error, "the first pieces did not come");
                }
            }
            Err((claim, refused)) => {
                let error = store_error(&self.inner, &refused);
                self.refuse(claim, error, None);
            }
        }
    }

    /// Which bytes of how many come, if they are those that were asked for.
    fn part(&self, response: &Response) -> Option<(Range<u64>, u64)> {
        let headers = &response.answer.headers;
        let asked = self.first.as_ref()?;
        let field = ContentRange::parse(headers.get(CONTENT_RANGE)?.as_bytes())?;
        let (Some((first, last)), Some(total)) = (field.range, field.total) else { return None };
        let range = first..last.checked_add(1)?;
        let is_asked =
            range.start == asked.start && range.end == asked.end.min(total) && !is_in_parts(headers);
        (is_asked && is_so_long(headers, range.end - range.start)).then_some((range, total))
    }

    /// Puts the object in its home and lets it grow.
    async fn fill(
        self,
        claim: Claim<Http>,
        first: Option<Claim<Http>>,
        response: Response,
        storable: Storable,
        selecting: Option<Selecting>,
    ) {
        let headers = &response.answer.headers;
        let spec = match declared_length(headers) {
            // What these statuses bring is empty, whatever length they declare (RFC 9110 section 6.4.1).
            Ok(_) if is_empty(response.answer.status) => BodySpec { length: Some(0), promised: None },
            Ok(length) => BodySpec { length, promised: promised(headers) },
            Err(error) => return self.refuse(claim, error, None),
        };
        self.count_tags(headers);
        let fields = fields::stored(headers, &storable.excluded);
        let own = self.own(headers, &storable.excluded);
        let wish = self.wish(Some(&storable.freshness));
        let terms = Terms { freshness: Some(storable.freshness), selecting: selecting.clone() };
        let head = Head::sent(response.answered(), fields, terms, wish);
        match claim.publish(head, spec).await {
            Ok((entry, fill)) => {
                if let Some(selecting) = &selecting {
                    self.list_variant(selecting, first).await;
                }
                let growing = Growing {
                    entry,
                    fill,
                    segment: Segment::whole(response.answer.body),
                    total: spec.length,
                };
                let Self { inner, asking, tell, live, .. } = self;
                Grower { inner, asking, expected: None, tell, own, live }.grow(growing, None).await;
            }
            Err((claim, refused)) => {
                let error = store_error(&self.inner, &refused);
                drop(first);
                self.refuse(claim, error, Some(Box::new(response)));
            }
        }
    }

    fn may_store(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        at: Timestamp,
    ) -> Result<Storable, policy::Unstorable> {
        let OriginRequest { method, url, headers: asked, .. } = &self.asking.request;
        let asked = policy::Asked { method, url, headers: asked };
        let answered = policy::Answered { status, headers, at };
        self.rule.may_store(asked, answered)
    }

    /// Tags beyond the limits cannot be purged by: whoever runs the origin should know.
    fn count_tags(&self, headers: &HeaderMap) {
        let dropped = Tags::from_headers(headers).dropped;
        if dropped > 0 {
            self.inner.metrics.tags_dropped.inc_by(dropped as u64);
            tracing::info!(name = %self.target.name, dropped, "the answer has more or longer tags than are kept");
        }
    }

    /// Which requests the object answers. Where a URL has variants, one that answers all is a variant as well.
    fn selecting(&self, claim: &Claim<Http>, headers: &HeaderMap) -> Option<Selecting> {
        let of_url = self.target.key;
        match Vary::from_headers(headers, self.rule.policy.vary_fields) {
            Vary::Fields(nominated) => Some(Selecting::new(of_url, nominated, &self.fields)),
            _ if claim.key() != of_url => Some(Selecting::new(of_url, Nominated::default(), &self.fields)),
            _ => None,
        }
    }

    /// An object is kept while it may be used, and a while longer when it can be validated.
    fn wish(&self, freshness: Option<&Freshness>) -> Wish {
        let (now, stale_for) =
            (self.inner.clock.now(), self.rule.policy.stale_on_error.max(WORTH_VALIDATING));
        freshness
            .map_or(Wish { keep_until: now, stale_for }, |freshness| Wish::lasting(freshness, now, stale_for))
    }

    /// An `unstored` answer goes to the request that started the fill; the others who wait make do with the refusal.
    fn refuse(self, claim: Claim<Http>, error: Error, unstored: Option<Box<Response>>) {
        tracing::debug!(name = %self.target.name, %error, "nothing to store");
        let refusal = Refusal::new(error);
        if let Kind::NotStorable(why) = refusal.kind {
            self.inner.unstorables.remember(claim.key(), why, self.inner.clock.now());
        }
        self.inner.metrics.ended(FillResult::Refused);
        claim.refuse(Arc::clone(&refusal));
        let _ = self.tell.send(Err(Denied { refusal, unstored }));
    }
}

pub(super) fn not_storable(why: policy::Unstorable) -> Error {
    Error::new(Kind::NotStorable(why), "The answer of the origin may not be stored.")
}

/// A part that is all of the object is the object (RFC 9111 section 3.3): so long, and no shorter.
fn as_whole(mut response: Response, total: u64) -> Response {
    response.answer.status = StatusCode::OK;
    response.answer.headers.remove(CONTENT_RANGE);
    response.answer.headers.insert(CONTENT_LENGTH, total.into());
    response
}

/// Statuses of what is wrong with how one client asks (RFC 9110 section 15.5).
fn is_about_the_request(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 405..=408 | 411..=417 | 421 | 422 | 425 | 426 | 428 | 429 | 431)
}

/// Statuses without content.
pub(super) fn is_empty(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}
