//! [`Job`]: one fill from claim to end.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use protocols::http::digest::{REPR_DIGEST, sha256};
use store::{BodySpec, Claim, Digest, Entry, Failure, Fill, Refused};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::cache::Inner;
use crate::fill::live::LiveFill;
use crate::fill::opening::{Opened, Response, open};
use crate::fill::transfer::Transfer;
use crate::fill::{Verdict, draining};
use crate::head::Head;
use crate::lookup::mismatch;
use crate::metrics::{Counted, FillResult};
use crate::{Error, Http, Kind, Refusal, Target, Timestamp, revalidate};

pub(crate) struct Job {
    pub(crate) inner: Arc<Inner>,
    pub(crate) target: Arc<Target>,
    /// How long the request that started the fill wants the object kept.
    pub(crate) keep: Duration,
    /// The digest that request demands.
    pub(crate) expected: Option<Digest>,
    pub(crate) tell: oneshot::Sender<Verdict>,
    pub(crate) live: LiveFill,
}

/// How the part before the first byte ended.
enum Opening {
    Object { claim: Claim<Http>, response: Box<Response>, turn: OwnedSemaphorePermit },
    Confirmed(Arc<Entry<Http>>),
    Refused(Claim<Http>, Error),
}

impl Job {
    pub(crate) async fn run(self, claim: Claim<Http>) {
        let scheduled = Counted::new(&self.inner.metrics.scheduled);
        let opening = self.open(claim).await;
        drop(scheduled);
        match opening {
            Opening::Object { claim, response, turn } => {
                self.fill(claim, *response).await;
                drop(turn);
            }
            Opening::Confirmed(entry) => self.confirmed(entry),
            Opening::Refused(claim, error) => self.refuse(claim, error),
        }
    }

    async fn open(&self, mut claim: Claim<Http>) -> Opening {
        let turn = match self.unless_stopped(self.turn()).await {
            Ok(turn) => turn,
            Err(error) => return Opening::Refused(claim, error),
        };
        let mut basis = revalidate::basis(claim.previous(), self.expected);
        loop {
            match self.unless_stopped(open(&self.inner, &self.target, basis.take())).await {
                Ok(Opened::Object(response)) => {
                    return Opening::Object { claim, response: Box::new(response), turn };
                }
                Ok(Opened::Confirmed(entry, response)) => {
                    let head = entry.head.confirmed(response.answered(), self.keep_until());
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

    /// Waits, within limits, until one of the `max_fills` may run.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, Error> {
        let (turns, settings) = (&self.inner.turns, &self.inner.settings);
        if let Ok(turn) = Arc::clone(turns).try_acquire_owned() {
            return Ok(turn);
        }
        let full = || {
            let detail = format!(
                "All {} transfers from origins that may run at once are running: ask again, or raise `fill.max`.",
                settings.max_fills
            );
            Error::new(Kind::OriginQueueFull, detail)
        };
        let waiting = &self.inner.metrics.waiting;
        if usize::try_from(waiting.get()).is_ok_and(|count| count >= settings.max_waiting_fills) {
            return Err(full());
        }
        let _waiting = Counted::new(waiting);
        match tokio::time::timeout(settings.fill_wait, Arc::clone(turns).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(full()),
        }
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            result = work => result,
            () = self.live.stopped() => Err(draining()),
        }
    }

    async fn fill(self, claim: Claim<Http>, response: Response) {
        let replaced = claim.previous().and_then(|entry| entry.body.digest());
        let spec = match body_spec(&response.answer.headers) {
            Ok(spec) => spec,
            Err(error) => return self.refuse(claim, error),
        };
        let head = Head::sent(response.answered(), self.keep_until());
        let (entry, mut fill) = match claim.publish(head, spec).await {
            Ok(published) => published,
            Err((claim, refused)) => {
                let error = self.store_error(&refused);
                return self.refuse(claim, error);
            }
        };
        self.inner.negatives.forget(entry.key);
        // Nobody listens when the client has left; the fill goes on.
        let _ = self.tell.send(Ok(Arc::clone(&entry)));
        let _filling = Counted::new(&self.inner.metrics.filling);
        let mut transfer = Transfer::new(&self.inner, &self.target, &entry.head, &mut fill, spec.length);
        let transferred = tokio::select! {
            result = transfer.run(response.answer.body) => result,
            () = self.live.stopped() => Err(draining().to_failure()),
        };
        let ending = Ending { inner: &self.inner, entry: &entry, expected: self.expected, replaced };
        ending.settle(transferred, fill).await;
    }

    fn confirmed(self, entry: Arc<Entry<Http>>) {
        entry.head.complete(&entry.body);
        self.inner.negatives.forget(entry.key);
        self.inner.metrics.ended(FillResult::Revalidated);
        let _ = self.tell.send(Ok(entry));
    }

    /// Remembered before the flight ends, so that nobody slips in between and asks the origin again.
    fn refuse(self, claim: Claim<Http>, error: Error) {
        tracing::info!(name = %self.target.name, %error, "no object from the origin");
        let refusal = Refusal::new(error);
        self.inner.negatives.remember(claim.key(), &refusal, self.inner.clock.now());
        self.inner.metrics.ended(FillResult::Refused);
        claim.refuse(Arc::clone(&refusal));
        let _ = self.tell.send(Err(refusal));
    }

    fn keep_until(&self) -> Timestamp {
        self.inner.clock.now().after(self.keep)
    }

    /// Says what fills the store.
    fn store_error(&self, refused: &Refused) -> Error {
        let (wanted, used, quota) = match refused {
            Refused::NoSpace { wanted, used, quota } => (wanted, used, quota),
            Refused::Disk(failure) => return Error::new(Kind::DiskError, Arc::clone(&failure.detail)),
        };
        let store::Usage { entries, fills, .. } = self.inner.reader.usage();
        let detail = format!(
            "The store has no room for {wanted} bytes: {used} of its {quota} bytes are taken by {entries} objects, \
             {fills} of which are still coming; delete objects or raise `store.quota`."
        );
        Error::new(Kind::NoSpace, detail)
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
    async fn settle(&self, transferred: Result<(), Failure>, fill: Fill<Http>) {
        let finished = match transferred {
            Ok(()) => {
                // The last bytes woke their followers: let them be answered before a disk thread is.
                tokio::task::yield_now().await;
                fill.finish().await
            }
            Err(failure) => {
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
                tracing::warn!(%name, %failure, "transfer from the origin broke");
                self.inner.metrics.ended(FillResult::Failed);
            }
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

/// What the origin says about the body it begins to send.
fn body_spec(headers: &HeaderMap) -> Result<BodySpec, Error> {
    let length = match headers.get(CONTENT_LENGTH) {
        None => None,
        Some(value) => match value.to_str().ok().and_then(|text| text.parse().ok()) {
            Some(length) => Some(length),
            None => {
                let detail = "The origin's Content-Length is not a number of bytes.";
                return Err(Error::new(Kind::OriginBroken, detail));
            }
        },
    };
    let promised = sha256(headers, &REPR_DIGEST).map(Digest::new);
    Ok(BodySpec { length, promised })
}
