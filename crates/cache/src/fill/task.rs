//! [`Job`]: one fill from claim to end.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use protocols::http::digest::{REPR_DIGEST, sha256};
use store::{Blame, BodySpec, Claim, Digest, Entry, Failure, Fill, Refused};
use tokio::sync::oneshot;

use crate::cache::Inner;
use crate::fill::live::LiveFill;
use crate::fill::opening::{Asking, Opened, Response, open};
use crate::fill::part::Left;
use crate::fill::transfer::{Cut, Segment, Transfer};
use crate::fill::{Denied, Given, Verdict, draining};
use crate::head::{Head, Wish};
use crate::lookup::mismatch;
use crate::metrics::{Counted, FillResult};
use crate::{Error, Http, Kind, Refusal, revalidate};

pub(crate) struct Job {
    pub(crate) inner: Arc<Inner>,
    pub(crate) asking: Asking,
    /// How long the request that started the fill wants the object kept.
    pub(crate) keep: Duration,
    /// The digest that request demands.
    pub(crate) expected: Option<Digest>,
    pub(crate) tell: oneshot::Sender<Verdict>,
    pub(crate) live: LiveFill,
}

/// How the way to the first byte ended.
enum Opening {
    /// The whole object begins to come.
    Object(Claim<Http>, Box<Response>),
    /// The rest of it does.
    Rest(Box<Growing>),
    Confirmed(Arc<Entry<Http>>),
    Refused(Claim<Http>, Error),
}

/// An object that is in the store and grows.
pub(crate) struct Growing {
    pub(crate) entry: Arc<Entry<Http>>,
    pub(crate) fill: Fill<Http>,
    /// The answer with the bytes that are to come.
    pub(crate) segment: Segment,
    /// Length of the whole object, when known.
    pub(crate) total: Option<u64>,
}

impl Job {
    pub(crate) async fn run(self, claim: Claim<Http>) {
        let scheduled = Counted::new(&self.inner.metrics.scheduled);
        let turn = match self.live.unless_stopped(self.inner.turns.take()).await {
            Ok(turn) => turn,
            Err(error) => return self.refuse(claim, error, None),
        };
        let opening = self.open(claim).await;
        drop(scheduled);
        match opening {
            Opening::Object(claim, response) => self.fill(claim, *response).await,
            Opening::Rest(growing) => self.grow(*growing, None).await,
            Opening::Confirmed(entry) => self.confirmed(entry),
            Opening::Refused(claim, error) => self.refuse(claim, error, None),
        }
        drop(turn);
    }

    async fn open(&self, claim: Claim<Http>) -> Opening {
        let rest = match self.live.unless_stopped(self.open_rest(&claim)).await {
            Ok(Left::Nothing) => return self.open_object(claim).await,
            Ok(Left::Whole(response)) => return Opening::Object(claim, response),
            Ok(Left::Rest(rest)) => rest,
            Err(error) => return Opening::Refused(claim, error),
        };
        match self.take_up(claim, *rest).await {
            Ok(growing) => Opening::Rest(Box::new(growing)),
            Err((claim, Refused::PartGone)) => self.open_object(claim).await,
            Err((claim, refused)) => Opening::Refused(claim, store_error(&self.inner, &refused)),
        }
    }

    /// Asks for the object as if there were no part of it.
    async fn open_object(&self, mut claim: Claim<Http>) -> Opening {
        let previous = claim.previous().filter(|entry| entry.head.is_object());
        let mut basis = revalidate::basis(previous, self.expected);
        loop {
            match self.live.unless_stopped(open(&self.inner, &self.asking, basis.take())).await {
                Ok(Opened::Object(response)) => return Opening::Object(claim, Box::new(response)),
                Ok(Opened::Confirmed(entry, response)) => {
                    let (fields, freshness) = response.object_after(&self.asking, &entry.head);
                    let head = entry.head.confirmed(response.answered(), fields, freshness, self.wish());
                    match claim.refresh(head) {
                        Ok(entry) => return Opening::Confirmed(entry),
                        // Deleted meanwhile: the next round asks for the whole object.
                        Err(returned) => claim = returned,
                    }
                }
                Err(error) => return Opening::Refused(claim, error),
            }
        }
    }

    async fn fill(self, claim: Claim<Http>, response: Response) {
        let replaced = claim.previous().and_then(|entry| entry.body.digest());
        let spec = match body_spec(&response.answer.headers) {
            Ok(spec) => spec,
            Err(error) => return self.refuse(claim, error, None),
        };
        let (fields, terms) = response.object(&self.asking);
        let head = Head::sent(response.answered(), fields, terms, self.wish());
        match claim.publish(head, spec).await {
            Ok((entry, fill)) => {
                let segment = Segment::whole(response.answer.body);
                self.grow(Growing { entry, fill, segment, total: spec.length }, replaced).await;
            }
            Err((claim, refused)) => {
                let error = store_error(&self.inner, &refused);
                self.refuse(claim, error, Some(Box::new(response)));
            }
        }
    }

    async fn grow(self, growing: Growing, replaced: Option<Digest>) {
        let Self { inner, asking, expected, tell, live, .. } = self;
        Grower { inner, asking, expected, tell, own: HeaderMap::new(), live }.grow(growing, replaced).await;
    }

    fn confirmed(self, entry: Arc<Entry<Http>>) {
        entry.head.complete(&entry.body);
        self.inner.negatives.forget(entry.key);
        self.inner.metrics.ended(FillResult::Revalidated);
        let _ = self.tell.send(Ok(entry.into()));
    }

    /// Remembered before the flight ends, so that nobody slips in between and asks the origin again. An `unstored`
    /// answer goes to the request that started the fill; the others who wait make do with the refusal.
    fn refuse(self, claim: Claim<Http>, error: Error, unstored: Option<Box<Response>>) {
        tracing::info!(name = %self.asking.name, %error, "{}", refused_by(error.kind));
        let refusal = Refusal::new(error);
        self.inner.negatives.remember(claim.key(), &refusal, self.inner.clock.now());
        self.inner.metrics.ended(FillResult::Refused);
        claim.refuse(Arc::clone(&refusal));
        let _ = self.tell.send(Err(Denied { refusal, unstored }));
    }

    pub(super) fn wish(&self) -> Wish {
        let keep_until = self.inner.clock.now().after(self.keep);
        Wish { keep_until, stale_for: self.inner.settings.stale_if_error }
    }
}

/// For the log: who did not do their part.
fn refused_by(kind: Kind) -> &'static str {
    match kind.blame() {
        _ if kind.is_unstorable() => "the store does not take the object",
        Blame::Origin => "no object from the origin",
        Blame::Us | Blame::Client => "the object was not fetched",
    }
}

/// Says what fills the store. Bytes that no object holds any more count until their last reader lets go.
pub(crate) fn store_error(inner: &Inner, refused: &Refused) -> Error {
    let (wanted, used, quota) = match refused {
        Refused::NoSpace { wanted, quota, .. } if wanted > quota => return too_large(*wanted, *quota),
        Refused::NoSpace { wanted, used, quota } => (wanted, used, quota),
        // Whoever resumes asks for the whole object then.
        Refused::PartGone => {
            return Error::new(Kind::FillAbandoned, "What was left of the object is gone.");
        }
        Refused::Disk(failure) => return Error::new(Kind::DiskError, Arc::clone(&failure.detail)),
    };
    let store::Usage { entries, fills, .. } = inner.reader.usage();
    let pinned = match inner.metrics.pins.get() {
        0 => String::new(),
        pins => format!(
            "; pinned objects are not evicted (pins in force: {pins}): `standpipe pins` lists them, `standpipe unpin ID` \
             ends one"
        ),
    };
    let detail = format!(
        "The store has no room for {wanted} bytes: {used} of its {quota} bytes are taken, by {entries} objects, \
         {fills} of which are still coming, and by what was deleted or has failed until nobody reads it any more; \
         delete objects or raise `store.quota`{pinned}."
    );
    Error::new(Kind::NoSpace, detail)
}

/// From the first byte to the end.
pub(crate) struct Grower {
    pub(crate) inner: Arc<Inner>,
    pub(crate) asking: Asking,
    /// The digest that the request demands which started the fill.
    pub(crate) expected: Option<Digest>,
    pub(crate) tell: oneshot::Sender<Verdict>,
    /// What only that request gets.
    pub(crate) own: HeaderMap,
    pub(crate) live: LiveFill,
}

impl Grower {
    pub(crate) async fn grow(self, growing: Growing, replaced: Option<Digest>) {
        let Growing { entry, mut fill, segment, total } = growing;
        self.inner.negatives.forget(entry.key);
        // Nobody listens when the client has left; the fill goes on.
        let _ = self.tell.send(Ok(Given { entry: Arc::clone(&entry), own: self.own }));
        let _filling = Counted::new(&self.inner.metrics.filling);
        let mut transfer = Transfer::new(&self.inner, &self.asking, &entry.head, &mut fill, total);
        let transferred = tokio::select! {
            result = transfer.run(segment) => result,
            () = self.live.stopped() => Err(Cut::Clean(draining().to_failure())),
        };
        let ending = Ending { inner: &self.inner, entry: &entry, expected: self.expected, replaced };
        ending.settle(transferred, fill).await;
    }
}

/// What a fill leaves behind.
struct Ending<'a> {
    inner: &'a Inner,
    entry: &'a Arc<Entry<Http>>,
    expected: Option<Digest>,
    /// Digest of the object that this fill took the place of.
    replaced: Option<Digest>,
}

impl Ending<'_> {
    async fn settle(&self, transferred: Result<(), Cut>, fill: Fill<Http>) {
        let finished = match transferred {
            Ok(()) => {
                // The last bytes woke their followers: let them be answered before a disk thread is.
                tokio::task::yield_now().await;
                fill.finish().await
            }
            // With a validator another fill can go on with it.
            Err(Cut::Clean(failure)) if self.entry.head.validators.strong().is_some() => {
                fill.suspend(failure.clone()).await;
                Err(failure)
            }
            Err(cut) => {
                let failure = cut.into_failure();
                fill.fail(failure.clone());
                Err(failure)
            }
        };
        let name = &self.entry.name;
        match (finished, self.expected) {
            (Ok(found), Some(expected)) if found != expected => {
                tracing::info!(%name, %found, %expected, "not the object that was asked for");
                self.inner.metrics.ended(FillResult::DigestMismatch);
                self.reject(found, expected);
            }
            (Ok(digest), _) => {
                tracing::debug!(%name, %digest, "stored");
                // Noted now, so that no hit has to.
                self.entry.head.complete(&self.entry.body);
                self.inner.metrics.ended(FillResult::Complete);
            }
            (Err(failure), _) => {
                let at = if failure.blame == Blame::Us { "here" } else { "at the origin" };
                tracing::warn!(%name, %failure, "the transfer broke off {at}");
                self.inner.metrics.ended(FillResult::Failed);
                self.remember_unstorable(&failure);
            }
        }
    }

    /// What outgrew the store, or its disk, in the midst would do so again: for a while it is not tried.
    fn remember_unstorable(&self, failure: &Failure) {
        let error = Error::from_failure(failure);
        if error.kind.is_unstorable() {
            let (refusal, now) = (Refusal::new(error), self.inner.clock.now());
            self.inner.negatives.remember_unstorable(self.entry.key, &refusal, now);
        }
    }

    /// docs/decisions/0003: an object fetched on behalf of a digest that it does not have is not stored, unless
    /// it is the one that was stored before: a wrong `sha256=` must not throw out what others use.
    fn reject(&self, found: Digest, expected: Digest) {
        let refusal = Refusal::new(mismatch(found, expected));
        let (key, now) = (self.entry.key, self.inner.clock.now());
        self.inner.negatives.remember_mismatch(key, expected, &refusal, now);
        if self.replaced == Some(found) {
            return;
        }
        // Finishing may have put another entry with the same body in place of ours.
        if let Some(current) = self.inner.reader.lookup(&key)
            && current.body.digest() == Some(found)
        {
            self.inner.store.remove_entry(&current);
        }
    }
}

fn too_large(wanted: u64, quota: u64) -> Error {
    let detail = format!(
        "The object has {wanted} bytes and the whole store takes {quota}: raise `store.quota`, or let such objects be \
         streamed uncached with `fetch.when-full`."
    );
    Error::new(Kind::ObjectTooLarge, detail)
}

/// What the origin says about the body it begins to send.
fn body_spec(headers: &HeaderMap) -> Result<BodySpec, Error> {
    Ok(BodySpec { length: declared_length(headers)?, promised: promised(headers) })
}

/// The digest of the whole object that the origin gives with it.
pub(crate) fn promised(headers: &HeaderMap) -> Option<Digest> {
    sha256(headers, &REPR_DIGEST).map(Digest::new)
}

/// `Content-Length`.
pub(crate) fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let Some(value) = headers.get(CONTENT_LENGTH) else { return Ok(None) };
    match value.to_str().ok().and_then(|text| text.parse().ok()) {
        Some(length) => Ok(Some(length)),
        None => Err(Error::new(Kind::OriginBroken, "The origin's Content-Length is not a number of bytes.")),
    }
}
