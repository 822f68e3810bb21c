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
    CONTENT_RANGE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use protocols::http::conditional::Validators;
use protocols::http::range::ContentRange;
use protocols::http::vary::{Nominated, Vary};
use store::{Access, BodySpec, BodyState, Claim, Entry, Key, PartialSpec};
use tokio::sync::oneshot;

use super::pieces::{self, Fetcher};
use super::{Exchange, Selecting, Variants, is_trouble};
use crate::cache::Inner;
use crate::fill::{
    Asking, Denied, Grower, Growing, LiveFill, Response, Segment, Verdict, declared_length, draining,
    promised, store_error,
};
use crate::head::{Answered as Answer, Head, Terms, Wish};
use crate::metrics::{Counted, FillResult};
use crate::policy::{self, Freshness, Storable, fields};
use crate::{Error, Http, Kind, OriginRequest, Purpose, Refusal, Rule, Target, Timestamp, revalidate};

/// How long the list of a URL's variants is kept: as long as any of them can matter.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// How long an object that can be validated is kept beyond its lifetime at least.
const WORTH_VALIDATING: Duration = Duration::from_secs(24 * 60 * 60);

/// How often adding a variant starts over when others do the same.
const ATTEMPTS: usize = 8;

/// What one client wants of the object, and no other.
const OF_ONE_REQUEST: [HeaderName; 6] =
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];

struct Job {
    inner: Arc<Inner>,
    target: Arc<Target>,
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
        let turn = match self.unless_stopped(self.inner.turns.take()).await {
            Ok(turn) => turn,
            Err(error) => return self.refuse(claim, error, None),
        };
        let basis = claim.previous().or(claim.partial()).filter(|entry| self.is_basis(entry)).cloned();
        let answered = self.unless_stopped(self.open(basis.as_ref())).await;
        drop(scheduled);
        match answered {
            Ok(Answered::Confirmed(entry, response)) => self.confirm(claim, &entry, &response),
            Ok(Answered::New(response)) if basis.is_some() && is_trouble(response.answer.status) => {
                let status = response.answer.status;
                let error = Error::new(Kind::OriginStatus(status), format!("The origin answered {status}."));
                self.refuse(claim, error, Some(Box::new(response)));
            }
            Ok(Answered::New(response)) if response.answer.status == StatusCode::PARTIAL_CONTENT => {
                self.judge_part(claim, response).await;
            }
            Ok(Answered::New(response)) => self.judge(claim, response).await,
            Err(error) => self.refuse(claim, error, None),
        }
        drop(turn);
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            result = work => result,
            () = self.live.stopped() => Err(draining()),
        }
    }

    /// Whether the request can be made conditional on this object.
    fn is_basis(&self, entry: &Entry<Http>) -> bool {
        let head = &entry.head;
        let selecting = head.selecting.as_ref();
        head.variants.is_none()
            && head.freshness.is_some()
            && !head.validators.is_empty()
            && selecting.is_none_or(|selecting| selecting.matches(self.target.key, &self.fields))
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
        let fields = entry.head.fields_after(&response.answer.headers);
        let storable = self.may_store(entry.head.status, &fields, response.answered_at);
        let goes = storable.is_err();
        let freshness =
            storable.map_or_else(|_| entry.head.freshness.clone(), |storable| Some(storable.freshness));
        let wish = self.wish(freshness.as_ref());
        let head = entry.head.confirmed(response.answered(), fields, freshness, wish);
        match claim.refresh(head) {
            Ok(entry) => {
                entry.head.complete(&entry.body);
                self.inner.metrics.ended(FillResult::Revalidated);
                if goes {
                    // It answers this time and never again.
                    self.inner.store.remove_entry(&entry);
                }
                let _ = self.tell.send(Ok(entry));
            }
            Err(claim) => {
                let detail = "The stored object was deleted while the origin confirmed it.";
                self.refuse(claim, Error::new(Kind::FillAbandoned, detail), None);
            }
        }
    }

    async fn judge(self, claim: Claim<Http>, response: Response) {
        let Response { answer, answered_at, .. } = &response;
        let storable = match self.may_store(answer.status, &answer.headers, *answered_at) {
            Ok(storable) => storable,
            Err(why) => {
                let error = Error::new(Kind::NotStorable(why), "The answer of the origin may not be stored.");
                return self.refuse(claim, error, Some(Box::new(response)));
            }
        };
        let selecting = self.selecting(&claim, &answer.headers);
        match self.go_home(claim, selecting.as_ref()).await {
            Ok((claim, first)) => self.fill(claim, first, response, storable, selecting).await,
            Err(refusal) => {
                let _ = self.tell.send(Err(Denied { refusal, unstored: Some(Box::new(response)) }));
            }
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
    async fn judge_part(self, claim: Claim<Http>, response: Response) {
        let Some((range, total)) = self.part(&response) else {
            let why = policy::Unstorable::PartialContent;
            let detail = "The origin's part of the object cannot be kept.";
            return self.refuse(claim, Error::new(Kind::NotStorable(why), detail), None);
        };
        let mut headers = response.answer.headers.clone();
        headers.remove(CONTENT_RANGE);
        let storable = match self.may_store(StatusCode::OK, &headers, response.answered_at) {
            Ok(storable) => storable,
            Err(why) => {
                let error = Error::new(Kind::NotStorable(why), "The answer of the origin may not be stored.");
                return self.refuse(claim, error, None);
            }
        };
        let selecting = self.selecting(&claim, &headers);
        let (claim, first) = match self.go_home(claim, selecting.as_ref()).await {
            Ok(claims) => claims,
            Err(refusal) => {
                let _ = self.tell.send(Err(Denied { refusal, unstored: None }));
                return;
            }
        };
        let fields = fields::stored(&headers, &storable.excluded);
        let wish = self.wish(Some(&storable.freshness));
        let terms = Terms { freshness: Some(storable.freshness), selecting: selecting.clone() };
        let answered = Answer { status: StatusCode::OK, ..response.answered() };
        let spec = PartialSpec { length: total, promised: promised(&headers) };
        match claim.publish_partial(Head::sent(answered, fields, terms, wish), spec).await {
            Ok(entry) => {
                if let Some(selecting) = &selecting {
                    self.list_variant(selecting, first).await;
                }
                let claims =
                    self.inner.store.claim_pieces(&entry, range, self.inner.settings.piece, usize::MAX);
                let fetcher = Fetcher::new(&self.inner, &entry, &self.asking);
                let _ = self.tell.send(Ok(entry));
                let taken = tokio::select! {
                    taken = fetcher.take(response.answer.body, claims) => taken,
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

    /// Which bytes of how many come, if they are those that were asked for and can be proved to belong together.
    fn part(&self, response: &Response) -> Option<(Range<u64>, u64)> {
        let headers = &response.answer.headers;
        let asked = self.first.as_ref()?;
        let field = ContentRange::parse(headers.get(CONTENT_RANGE)?.as_bytes())?;
        let (Some((first, last)), Some(total)) = (field.range, field.total) else { return None };
        let range = first..last.checked_add(1)?;
        let is_asked = range.start == asked.start && range.end == asked.end.min(total);
        let length = declared_length(headers).ok()?;
        let has_length = length.is_none_or(|length| length == range.end - range.start);
        Validators::from_headers(headers).strong()?;
        (is_asked && has_length).then_some((range, total))
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
        let fields = fields::stored(headers, &storable.excluded);
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
                Grower { inner, asking, expected: None, tell, live }.grow(growing, None).await;
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
        policy::may_store(asked, answered, &self.rule.policy, self.rule.overrides(status, headers))
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

    /// Adds the variant to the URL's list; `claim` is that of the URL, if this fill has it.
    async fn list_variant(&self, selecting: &Selecting, claim: Option<Claim<Http>>) {
        let of_url = self.target.key;
        if let Some(claim) = claim {
            if claim.key() == of_url {
                return self.publish_list(claim, selecting).await;
            }
            let error = Error::new(Kind::FillAbandoned, "The object belongs to another variant.");
            claim.refuse(Refusal::new(error));
        }
        for _ in 0..ATTEMPTS {
            let is_list = |entry: &Entry<Http>| entry.head.variants.is_some();
            match self.inner.store.lookup_or_claim(of_url, &self.target.name, is_list).await {
                Access::Claimed(claim) => return self.publish_list(claim, selecting).await,
                Access::Flying(flight) => drop(flight.decided().await),
                Access::Found(entry) => {
                    let Some(variants) = &entry.head.variants else { continue };
                    if variants.has(selecting) {
                        return;
                    }
                    let mut variants = Variants::clone(variants);
                    let goes = variants.add(selecting, self.inner.settings.max_variants);
                    let head = Head::of_variants(variants, self.inner.clock.now(), self.for_ever());
                    if self.inner.store.replace_head(&entry, head).is_some() {
                        return self.remove_variant(goes).await;
                    }
                }
            }
        }
    }

    async fn publish_list(&self, claim: Claim<Http>, selecting: &Selecting) {
        let mut variants = Variants::default();
        variants.add(selecting, self.inner.settings.max_variants);
        let head = Head::of_variants(variants, self.inner.clock.now(), self.for_ever());
        let spec = BodySpec { length: Some(0), promised: None };
        if let Ok((_, fill)) = claim.publish(head, spec).await
            && let Err(failure) = fill.finish().await
        {
            tracing::debug!(name = %self.target.name, %failure, "the list of variants is not stored");
        }
    }

    async fn remove_variant(&self, key: Option<Key>) {
        if let Some(key) = key {
            self.inner.metrics.variants_dropped.inc();
            self.inner.store.remove(&key).await;
        }
    }

    fn for_ever(&self) -> Wish {
        Wish { keep_until: self.inner.clock.now().after(FOR_EVER), stale_for: Duration::ZERO }
    }

    /// An object is kept while it may be used, and a while longer when it can be validated.
    fn wish(&self, freshness: Option<&Freshness>) -> Wish {
        let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
        let lifetime = freshness.map_or(Duration::ZERO, |freshness| seconds(freshness.lifetime));
        let stale_for = self.rule.policy.stale_on_error.max(WORTH_VALIDATING);
        Wish { keep_until: self.inner.clock.now().after(lifetime), stale_for }
    }

    /// An `unstored` answer goes to the request that started the fill; the others who wait make do with the refusal.
    fn refuse(self, claim: Claim<Http>, error: Error, unstored: Option<Box<Response>>) {
        tracing::debug!(name = %self.target.name, %error, "nothing to store");
        let refusal = Refusal::new(error);
        if matches!(refusal.kind, Kind::NotStorable(_)) {
            self.inner.unstorables.remember(claim.key(), self.inner.clock.now());
        }
        self.inner.metrics.ended(FillResult::Refused);
        claim.refuse(Arc::clone(&refusal));
        let _ = self.tell.send(Err(Denied { refusal, unstored }));
    }
}

/// Statuses without content.
pub(super) fn is_empty(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}
