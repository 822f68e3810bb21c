//! [`Fill`]: writes one growing body.
//!
//! Owned by the task that claimed the key. Small bodies go to memory; others through a [`Pipeline`] to their file.
//! Invariants: bytes are reserved before they are taken; a body ends exactly once, and one that ends badly has left
//! the index before the fill's owner hears of it.
//!
//! Deliberately not here: where bytes come from, retries.

mod pipeline;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

pub(crate) use self::pipeline::write_all;
use self::pipeline::{Pipeline, Start};
use crate::body::LAST_BLOCK;
use crate::extents::Extents;
use crate::files::open::OpenFile;
use crate::index::Cold;
use crate::quota::NoSpace;
use crate::shared::{Completed, Shared};
use crate::store::Inner;
use crate::{Body, BodySpec, BodyState, Contents, Digest, Entry, Failure, Refused, reasons};

/// Longest declared length of a body that grows in memory.
pub(crate) const SMALL: u64 = 64 << 10;
/// Bytes committed at once.
pub(crate) const STEP: usize = 256 << 10;
/// Shorter pieces are copied together, so that a batch has few of them and they do not pin long buffers.
const SHORT: usize = 16 << 10;

/// A body that can take bytes, and its file unless it is small.
pub(crate) struct Begun {
    pub(crate) body: Arc<Body>,
    file: Option<Arc<OpenFile>>,
    /// What is in the file already. A fill writes again what lies behind the first gap; until then it is kept.
    there: Extents,
}

/// Reserves space and creates the body.
pub(crate) async fn begin(shared: &Arc<Shared>, spec: BodySpec) -> Result<Begun, Refused> {
    let full = |NoSpace { wanted, used, quota }| Refused::NoSpace { wanted, used, quota };
    let reservation = shared.reserve(spec.length.unwrap_or(0)).await.map_err(full)?;
    if let Some(length) = spec.length.filter(|length| *length <= SMALL && shared.has_memory()) {
        return Ok(Begun {
            body: Body::in_memory(shared, length, reservation),
            file: None,
            there: Extents::default(),
        });
    }
    if let Some(why) = shared.health.degraded() {
        return Err(Refused::Disk(reasons::degraded(&why)));
    }
    let body = Body::in_file(shared, spec.length, reservation);
    let growing = body.clone();
    let created = shared.pool.run(move || growing.shared.create(&growing)).await.flatten();
    let file = created.map_err(Refused::Disk)?;
    Ok(Begun { body, file: Some(file), there: Extents::default() })
}

/// Reserves what is missing of a part and makes it a body that can take the rest.
pub(crate) async fn begin_with<C: Contents>(
    store: &Arc<Inner<C>>,
    part: Cold,
    spec: BodySpec,
) -> Result<Begun, Refused> {
    let shared = &store.shared;
    let full = |NoSpace { wanted, used, quota }| Refused::NoSpace { wanted, used, quota };
    let bytes = shared.bodies.facts(part.record.body).length;
    let missing = spec.length.map_or(0, |length| length.saturating_sub(bytes));
    let reservation = shared.reserve(missing).await.map_err(full)?;
    let body = Body::in_file(shared, spec.length, reservation);
    let (growing, taker) = (body.clone(), store.clone());
    let job = move || take_over(&taker, &part, &growing);
    let (file, there) = shared.pool.run(job).await.map_err(Refused::Disk)??;
    shared.metrics.resumed.inc();
    Ok(Begun { body, file: Some(file), there })
}

/// A part becomes the beginning of a body. Waits for the disk.
fn take_over<C: Contents>(
    store: &Inner<C>,
    part: &Cold,
    body: &Body,
) -> Result<(Arc<OpenFile>, Extents), Refused> {
    let there = store.part_extents(part).ok_or(Refused::PartGone)?;
    let (file, taken) = match store.take_part(part, body, there.end()) {
        None => return Err(Refused::PartGone),
        Some(result) => result.map_err(Refused::Disk)?,
    };
    if let Some(reservation) = &mut *body.reservation.lock() {
        reservation.join(taken);
    }
    body.growth.commit(0..there.contiguous_end(0));
    Ok((file, there))
}

/// Writes one growing body. Dropping it fails the body (`blame: Us`, reason `fill_abandoned`).
/// A failed body's entry leaves the index at once, and the one that it had replaced comes back.
pub struct Fill<C: Contents> {
    store: Arc<Inner<C>>,
    entry: Arc<Entry<C>>,
    /// What the entry has replaced in the index.
    replaced: Option<Arc<Entry<C>>>,
    promised: Option<Digest>,
    received: u64,
    /// What was in the file before.
    there: Extents,
    batch: Batch,
    /// `None`: the body is small.
    pipeline: Option<Arc<Pipeline>>,
    /// How the body ended.
    end: Option<Result<(), Failure>>,
}

/// Bodies in memory no longer than this are hashed by whoever fills them.
const HASHED_HERE: u64 = 16 << 10;

/// Bytes on their way to the file, few and long pieces.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) pieces: Vec<Bytes>,
    short: BytesMut,
    pub(crate) length: usize,
}

impl<C: Contents> Fill<C> {
    pub(crate) fn new(
        store: &Arc<Inner<C>>,
        entry: &Arc<Entry<C>>,
        replaced: Option<Arc<Entry<C>>>,
        begun: Begun,
        spec: BodySpec,
    ) -> Self {
        let received = begun.there.contiguous_end(0);
        let pipeline = begun.file.map(|file| {
            let (store, entry, replaced) = (store.clone(), entry.clone(), replaced.clone());
            let on_failure = move || store.unlist(&entry, replaced.as_ref());
            let start = Start { received, promised: spec.promised.is_some() };
            Pipeline::new(begun.body, file, start, Box::new(on_failure))
        });
        store.shared.metrics.fills.inc();
        Self {
            store: store.clone(),
            entry: entry.clone(),
            replaced,
            promised: spec.promised,
            received,
            there: begun.there,
            batch: Batch::default(),
            pipeline,
            end: None,
        }
    }

    /// The growing body.
    pub fn body(&self) -> &Arc<Body> {
        &self.entry.body
    }

    /// Bytes taken so far (written or buffered): where a resumed transfer goes on.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Takes the next bytes. Commits in steps of at most 256 KiB; the first bytes are committed at once. Waits (bounded
    /// buffering) when disk or hashing lag behind. Fails when the body outgrows its declared length (reason
    /// `origin_long_body`), space (`no_space`) or the disk fails (`disk_error`). Not to be cancelled half-way, unless
    /// the fill ends with it.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Failure> {
        if let Some(end) = &self.end {
            return end.clone();
        }
        let taken = self.take(bytes).await;
        taken.inspect_err(|failure| self.end_failed(failure.clone()))
    }

    /// Commits what is buffered, so that followers of a slow origin do not wait for a full step.
    /// The owner calls this when no bytes came for 5 ms.
    pub async fn flush(&mut self) -> Result<(), Failure> {
        if let Some(end) = &self.end {
            return end.clone();
        }
        let flushed = self.flush_batch().await;
        flushed.inspect_err(|failure| self.end_failed(failure.clone()))
    }

    /// Ends the body: all bytes written, length checked against the declared one (`origin_short_body`),
    /// digest checked against the promised one (`digest_mismatch`), then complete; equal bodies become one.
    pub async fn finish(mut self) -> Result<Digest, Failure> {
        if let Some(Err(failure)) = &self.end {
            return Err(failure.clone());
        }
        let digest = self.complete().await.inspect_err(|failure| self.end_failed(failure.clone()))?;
        self.end = Some(Ok(()));
        Ok(digest)
    }

    /// Ends the body as failed, but keeps what was received, so that a later claim can go on with it: see
    /// [`Claim::part`](crate::Claim::part). Followers get what is committed and then the failure. Keeps nothing when the
    /// body is small, or when the entry has replaced another one, which gets its place back.
    pub async fn suspend(mut self, failure: Failure) {
        let is_worth_it = self.pipeline.is_some() && self.replaced.is_none() && self.received > 0;
        if self.end.is_none() && is_worth_it && self.flush_batch().await.is_ok() {
            let (store, entry) = (self.store.clone(), self.entry.clone());
            let mut extents = std::mem::take(&mut self.there);
            extents.insert(0..self.received);
            let _ = self.store.shared.pool.run(move || store.suspend(&entry, extents)).await;
        }
        self.end_failed(failure);
    }

    /// Ends the body as failed: followers get what is committed and then the failure.
    pub fn fail(mut self, failure: Failure) {
        self.end_failed(failure);
    }

    async fn take(&mut self, mut bytes: Bytes) -> Result<(), Failure> {
        if bytes.is_empty() {
            return Ok(());
        }
        let first = self.received == 0;
        self.received += bytes.len() as u64;
        self.reserve().await?;
        let Some(pipeline) = self.pipeline.clone() else {
            self.take_in_memory(bytes, first);
            return Ok(());
        };
        while !bytes.is_empty() {
            let room = STEP - self.batch.length;
            self.batch.push(bytes.split_to(bytes.len().min(room)));
            if first || self.batch.length == STEP {
                pipeline.push(self.batch.take())?;
                pipeline.room().await?;
            }
        }
        Ok(())
    }

    fn take_in_memory(&self, bytes: Bytes, first: bool) {
        let body = &self.entry.body;
        let start = self.received - bytes.len() as u64;
        body.push_memory(bytes);
        if self.promised.is_some() {
            return;
        }
        body.growth.commit(start..self.received);
        if body.declared == Some(self.received) {
            body.growth.whole(self.received);
        } else if first {
            body.growth.wake();
        }
    }

    /// Sees to it that the bytes received so far may be stored.
    async fn reserve(&self) -> Result<(), Failure> {
        let body = &self.entry.body;
        match body.declared {
            Some(declared) if self.received > declared => return Err(reasons::long_body(declared)),
            Some(_) => return Ok(()),
            None => {}
        }
        let cover = || {
            let mut reservation = body.reservation.lock();
            reservation.as_mut().expect("a growing body has its reservation").cover(self.received)
        };
        while let Err(refused) = cover() {
            if !body.shared.make_room(refused.wanted).await {
                return cover().map_err(reasons::no_space);
            }
        }
        Ok(())
    }

    async fn flush_batch(&mut self) -> Result<(), Failure> {
        let Some(pipeline) = &self.pipeline else {
            self.entry.body.growth.wake();
            return Ok(());
        };
        if self.batch.length > 0 {
            pipeline.push(self.batch.take())?;
        }
        pipeline.written().await
    }

    async fn complete(&mut self) -> Result<Digest, Failure> {
        self.flush_batch().await?;
        let body = self.entry.body.clone();
        if let Some(declared) = body.declared.filter(|declared| *declared != self.received) {
            return Err(reasons::short_body(declared, self.received));
        }
        if self.promised.is_none() {
            body.growth.whole(self.received);
        }
        match self.pipeline.clone() {
            None => self.complete_memory(body).await,
            Some(pipeline) => self.complete_file(body, &pipeline).await,
        }
    }

    async fn complete_file(&self, body: Arc<Body>, pipeline: &Pipeline) -> Result<Digest, Failure> {
        let length = self.received;
        if let Some(reservation) = body.reservation.lock().as_mut() {
            reservation.shrink_to(length);
        }
        let digest = pipeline.digest().await?;
        if let Some(promised) = self.promised.filter(|promised| *promised != digest) {
            return Err(reasons::digest_mismatch(&promised, &digest));
        }
        body.growth.commit(0..length);
        let (shared, file) = (body.shared.clone(), pipeline.file().clone());
        let settle = self.settle();
        let job = move || {
            let completed = body.shared.complete_file(&body, length, digest, file)?;
            settle(completed);
            Ok(digest)
        };
        shared.pool.run(job).await.flatten()
    }

    /// Hashes and completes a body in memory, which reaches the disk a moment later. A short one is hashed here: handing
    /// it over would take longer.
    async fn complete_memory(&self, body: Arc<Body>) -> Result<Digest, Failure> {
        let (shared, promised, settle) = (body.shared.clone(), self.promised, self.settle());
        let settling = shared.settling();
        let complete = move || {
            let digest = body.shared.complete_memory(&body, promised)?;
            let shared = body.shared.clone();
            shared.later.push(move || {
                let named = body.shared.place(&body, digest);
                settle(Completed { digest, named });
                // The body first: it may be its end.
                drop(body);
                drop(settling);
            });
            Ok(digest)
        };
        if self.received <= HASHED_HERE {
            return complete();
        }
        shared.pool.run(complete).await.flatten()
    }

    /// What follows on a disk thread when the body has found its place, or has not: then the entry lives as long as its
    /// memory or its nameless file does.
    fn settle(&self) -> impl FnOnce(Completed) + Send + 'static {
        let (store, entry) = (self.store.clone(), self.entry.clone());
        move |completed| {
            if let Ok(named) = completed.named {
                store.settle(&entry, completed.digest, named);
            }
        }
    }

    fn end_failed(&mut self, failure: Failure) {
        if self.end.is_some() {
            return;
        }
        self.end = Some(Err(failure.clone()));
        // A fill that is dropped while it finishes may have completed its body.
        if self.entry.body.state() != BodyState::Complete {
            // Whoever learns of the failure from the body finds no entry any more.
            self.store.unlist(&self.entry, self.replaced.as_ref());
            self.entry.body.growth.fail(failure.clone());
        }
        if let Some(pipeline) = &self.pipeline {
            pipeline.stop(failure);
        }
    }
}

impl<C: Contents> Drop for Fill<C> {
    fn drop(&mut self) {
        self.end_failed(reasons::fill_abandoned());
        self.store.shared.metrics.fills.dec();
    }
}

impl Batch {
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.length += bytes.len();
        if bytes.len() < SHORT {
            self.short.extend_from_slice(&bytes);
            return;
        }
        self.close_short();
        self.pieces.push(bytes);
    }

    pub(crate) fn take(&mut self) -> Self {
        self.close_short();
        std::mem::take(self)
    }

    fn close_short(&mut self) {
        if !self.short.is_empty() {
            self.pieces.push(self.short.split().freeze());
        }
    }
}

/// How many bytes may be committed when `written` are in the file, while the digest is not known.
fn releasable(written: u64, declared: Option<u64>, promised: bool) -> u64 {
    if !promised {
        return written;
    }
    written.min(declared.unwrap_or(written).saturating_sub(LAST_BLOCK))
}
