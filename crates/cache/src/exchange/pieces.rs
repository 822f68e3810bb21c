//! Ranges of objects that are not there as a whole: the aligned pieces around them are fetched, and kept.
//!
//! ```text
//! range ─► partial entry? ─┬─ yes ─► claim what is missing of it ─► pieces, one request to the origin for each run of them
//!                          └─ no ──► claim the key ─► the first pieces: 206 ─► partial entry
//!                                                                       else ─► as for the whole (`fill`)
//! ```
//!
//! Invariants: bytes of two versions never mix: what comes must carry the strong validator and the length of the entry,
//! or the entry fails and its readers with it; a piece is fetched once, whoever wants it; nobody waits for a piece that
//! nobody fetches. RFC 9110 section 14, RFC 9111 sections 3.3 and 3.4.

use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{AUTHORIZATION, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use protocols::http::range::{RangeSet, RangeSpec};
use store::{Body, BodyReader, Chunk, Entry, Failure, PieceClaim, Ranged};

use super::{Exchange, Setback, answering, fill};
use crate::answer::{Choice, Provenance, Selection};
use crate::cache::Inner;
use crate::fill::{Asking, draining, rest};
use crate::{
    Answer, Cache, Error, Http, Kind, OriginBody, OriginRequest, Payload, RangeFill, Rule, Source, policy,
};

/// Most pieces that one run claims at once; the others follow when these are there.
const RUN: usize = 16;

/// How often a reader has a piece asked for again that does not come.
const PATIENCE: u8 = 3;

/// What the pieces of an entry are fetched with.
#[derive(Clone)]
pub(crate) struct Fetcher {
    inner: Arc<Inner>,
    entry: Arc<Entry<Http>>,
    asking: Asking,
    rule: Arc<Rule>,
}

/// A reader that sees to it that what it waits for is fetched.
pub(crate) struct Wanting {
    reader: BodyReader,
    fetcher: Fetcher,
    end: u64,
    /// The gap asked for last, and how often.
    asked: (u64, u8),
}

impl Cache {
    /// Answers from an entry with holes, having what is missing fetched.
    pub(super) async fn answer_partial(
        &self,
        entry: &Arc<Entry<Http>>,
        exchange: &Exchange<'_>,
        provenance: Provenance,
    ) -> Result<Answer, Setback> {
        let request = answering::wanted(exchange);
        let total = entry.body.length().unwrap_or_default();
        let Choice::Selected(selection) = answering::choose(&request, entry) else {
            return Err(Setback::Pass("range"));
        };
        let fetcher = Fetcher::new(&self.inner, entry, &fill::asking(exchange), exchange.rule);
        let was_there = match &selection {
            Selection::Part(range) => entry.body.gaps(range.clone()).is_empty(),
            Selection::Whole => false,
            _ => true,
        };
        if let Selection::Parts(ranges) = &selection {
            for range in ranges {
                fetcher.bring(range.clone()).await?;
            }
        }
        let wanted = match (&selection, exchange.method) {
            (_, method) if *method == http::Method::HEAD => None,
            (Selection::Part(range), _) => Some(range.clone()),
            (Selection::Whole, _) => Some(0..total),
            _ => None,
        };
        let provenance = if was_there && provenance.origin_status.is_none() {
            provenance
        } else {
            Provenance { outcome: crate::Outcome::Partial, source: Source::Origin, ..provenance }
        };
        let mut answer = self.dressed(entry, &request, selection, provenance);
        if let Some(range) = wanted {
            fetcher.want(range.clone());
            // An early break is an honest status.
            fetcher.first_byte(&range).await?;
            let length = Some(range.end - range.start);
            answer.payload =
                Payload::wanting(Wanting::new(fetcher.clone(), range), length, answer.payload.source());
            fetcher.complete(exchange.rule.range_fill);
        }
        Ok(answer)
    }

    /// The range of a request for an object that is not there, widened to pieces: what to ask the origin for first.
    pub(super) fn first_pieces(&self, exchange: &Exchange<'_>) -> Option<Range<u64>> {
        if exchange.rule.range_fill == RangeFill::Whole || *exchange.method != http::Method::GET {
            return None;
        }
        let piece = self.inner.settings.piece;
        let range = RangeSet::from_headers(exchange.headers)?;
        let first = range.specs.first()?;
        Some(match *first {
            RangeSpec::From { first, last } => {
                let start = first - first % piece;
                let end = last.map_or(start.saturating_add(piece), |last| last.saturating_add(1));
                // The rest follows when the object's length is known.
                start..end.div_ceil(piece).saturating_mul(piece).min(start.saturating_add(piece * RUN as u64))
            }
            // Where the end is, only an answer tells.
            RangeSpec::Suffix { .. } => 0..piece,
        })
    }
}

impl Fetcher {
    pub(super) fn new(
        inner: &Arc<Inner>,
        entry: &Arc<Entry<Http>>,
        asking: &Asking,
        rule: &Arc<Rule>,
    ) -> Self {
        let (inner, entry, rule) = (Arc::clone(inner), Arc::clone(entry), Arc::clone(rule));
        Self { inner, entry, asking: asking.clone(), rule }
    }

    fn claims(&self, range: Range<u64>) -> Vec<PieceClaim> {
        self.inner.store.claim_pieces(&self.entry, range, self.inner.settings.piece, RUN)
    }

    /// Has everything fetched that is missing of the range and that nobody fetches.
    fn want(&self, range: Range<u64>) {
        let claims = self.claims(range.clone());
        if claims.is_empty() {
            return;
        }
        let Some(live) = self.inner.live.enter() else { return };
        let fetcher = self.clone();
        tokio::spawn(async move {
            let fetched = tokio::select! {
                fetched = fetcher.fetch(claims, range) => fetched,
                () = live.stopped() => Err(draining()),
            };
            if let Err(error) = fetched {
                tracing::info!(name = %fetcher.asking.name, %error, "a piece did not come");
            }
        });
    }

    /// Fetches the rest as well, where the rule wants that.
    fn complete(&self, rule: RangeFill) {
        let body = &self.entry.body;
        let Some(total) = body.length() else { return };
        let there: u64 = body.extents().iter().map(|extent| extent.end - extent.start).sum();
        let is_small = total <= self.inner.settings.piece * RUN as u64;
        if rule == RangeFill::Auto && (is_small || there >= total / 2) {
            self.want(0..total);
        }
    }

    /// Waits until all of the range is there.
    async fn bring(&self, range: Range<u64>) -> Result<(), Setback> {
        for _ in 0..=PATIENCE {
            self.want(range.clone());
            match self.entry.body.wait_range(range.clone()).await {
                Ranged::Committed => return Ok(()),
                Ranged::Failed(_) => return Err(Setback::Again("broken")),
                Ranged::Unclaimed(_) => {}
            }
        }
        Err(Setback::Pass("range"))
    }

    async fn first_byte(&self, range: &Range<u64>) -> Result<(), Setback> {
        if range.is_empty() { Ok(()) } else { self.bring(range.start..range.start + 1).await }
    }

    /// Fetches claimed pieces, then what is missing of the rest of `range`.
    async fn fetch(&self, mut claims: Vec<PieceClaim>, range: Range<u64>) -> Result<(), Error> {
        while !claims.is_empty() {
            let _turn = self.inner.turns.take().await?;
            let mut waiting = claims.into_iter().peekable();
            while let Some(first) = waiting.next() {
                let mut run = vec![first];
                while let Some(next) = waiting
                    .next_if(|next| run.last().is_some_and(|last| last.range().end == next.range().start))
                {
                    run.push(next);
                }
                self.fetch_run(run).await?;
            }
            claims = self.claims(range.clone());
        }
        Ok(())
    }

    /// One request for pieces that follow each other.
    async fn fetch_run(&self, run: Vec<PieceClaim>) -> Result<(), Error> {
        let (Some(first), Some(last)) =
            (run.first().map(PieceClaim::range), run.last().map(PieceClaim::range))
        else {
            return Ok(());
        };
        let range = first.start..last.end;
        let head = &self.entry.head;
        let Some(validator) = head.validators.strong().and_then(|text| HeaderValue::try_from(text).ok())
        else {
            return Err(self.changed("it has no validator any more"));
        };
        let fields = HeaderMap::from_iter([(RANGE, byte_range(&range)), (IF_RANGE, validator)]);
        let answer = self.inner.origin.fetch(self.asking.with(fields), None).await?;
        match answer.status {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::OK | StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE => {
                return Err(self.changed("the origin has another one now"));
            }
            status => {
                return Err(Error::new(Kind::OriginStatus(status), format!("The origin answered {status}.")));
            }
        }
        match rest(head, range.start, self.entry.body.length(), &answer.headers) {
            Ok(_) => {}
            Err(unfit) => return Err(self.changed(&unfit.into_error().detail)),
        }
        if let Some(why) = self.forbidden(&answer.headers) {
            // What one client may not share is no reason to cut the others off.
            if self.asking.request.headers.contains_key(AUTHORIZATION) {
                return Err(fill::not_storable(why));
            }
            return Err(self.changed(&format!("it may not be stored any more ({})", why.as_str())));
        }
        self.take(answer.body, range.start, run).await
    }

    /// Why a later part, by what it says itself, is for nobody but whoever asked.
    fn forbidden(&self, headers: &HeaderMap) -> Option<policy::Unstorable> {
        let OriginRequest { method, url, headers: asked, .. } = &self.asking.request;
        let asked = policy::Asked { method, url, headers: asked };
        let answered = policy::Answered { status: StatusCode::OK, headers, at: self.inner.clock.now() };
        let why = self.rule.may_store(asked, answered).err()?;
        why.is_prohibition().then_some(why)
    }

    /// Writes the bytes of an answer, which begin at `at`, into those of its pieces that are claimed, in their order.
    pub(super) async fn take(
        &self,
        mut body: OriginBody,
        mut at: u64,
        run: Vec<PieceClaim>,
    ) -> Result<(), Error> {
        let mut left = Bytes::new();
        for claim in run {
            let refused = |refused| crate::fill::store_error(&self.inner, &refused);
            let mut piece = claim.begin().await.map_err(refused)?;
            let end = piece.range().end;
            while piece.position() < end {
                if left.is_empty() {
                    let frame = poll_fn(|cx| body.as_mut().poll_frame(cx)).await;
                    let Some(frame) = frame else {
                        let detail = "The origin sent less of a range than it promised.";
                        return Err(Error::new(Kind::OriginBroken, detail));
                    };
                    let Ok(bytes) = frame?.into_data() else { continue };
                    self.inner.metrics.origin_bytes.inc_by(bytes.len() as u64);
                    left = bytes;
                    continue;
                }
                // Somebody else fetches what is before it.
                let ahead = piece.position().saturating_sub(at);
                let length = if ahead > 0 { ahead } else { end - at }.min(left.len() as u64);
                let bytes = left.split_to(usize::try_from(length).unwrap_or(left.len()));
                at += length;
                if ahead > 0 {
                    continue;
                }
                piece.write(bytes).await.map_err(|failure| Error::from_failure(&failure))?;
            }
            piece.finish().await.map_err(|failure| Error::from_failure(&failure))?;
        }
        Ok(())
    }

    /// The entry is of no use any more: whoever reads it is cut, whoever comes next gets the new one.
    fn changed(&self, how: &str) -> Error {
        let error = Error::new(
            Kind::ObjectChanged,
            format!("The object changed while it was fetched in pieces: {how}."),
        );
        self.inner.store.fail_partial(&self.entry, error.to_failure());
        error
    }
}

impl Wanting {
    fn new(fetcher: Fetcher, range: Range<u64>) -> Self {
        let body: &Arc<Body> = &fetcher.entry.body;
        Self { reader: body.read(range.clone()), asked: (range.start, 0), end: range.end, fetcher }
    }

    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Failure>>> {
        loop {
            let next = self.reader.poll_chunk(cx);
            if next.is_ready() {
                return next;
            }
            let Some(gap) = self.reader.unclaimed_gap() else { return Poll::Pending };
            let (place, times) = self.asked;
            self.asked = if place == gap.start { (place, times + 1) } else { (gap.start, 1) };
            if self.asked.1 > PATIENCE {
                let detail = "The origin did not send a part of the object.";
                return Poll::Ready(Some(Err(Error::new(Kind::OriginBroken, detail).to_failure())));
            }
            self.fetcher.want(gap.start..self.end);
            if self.reader.unclaimed_gap().is_some() {
                // As many pieces are fetched as may be at once: the end of one of them wakes this task.
                return Poll::Pending;
            }
        }
    }
}

/// `Range` of half-open bytes.
pub(super) fn byte_range(range: &Range<u64>) -> HeaderValue {
    HeaderValue::try_from(format!("bytes={}-{}", range.start, range.end.saturating_sub(1)))
        .expect("digits and ASCII punctuation")
}
