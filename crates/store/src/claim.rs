//! [`Access`], [`Claim`], [`Flight`]: who may fill a key, and how everybody else learns what became of it.
//!
//! A claim owns one flight of the index and ends it in exactly one way: published, refreshed, refused or, when it is
//! dropped, abandoned. Invariants: one claim a key; the index is changed before the flight's followers are woken.
//!
//! Deliberately not here: bytes ([`Fill`]) and the decision who should claim.

use std::sync::Arc;

use crate::fill::{self, Begun};
use crate::flight::{Flying, Landing};
use crate::index::Cold;
use crate::labels::recent::Moment;
use crate::store::Inner;
use crate::{BodyState, Contents, Digest, Entry, Failure, Fill, Key};

/// What [`Writer::lookup_or_claim`](crate::Writer::lookup_or_claim) found, in one atomic step.
pub enum Access<C: Contents> {
    /// An entry that the caller's test accepted.
    Found(Arc<Entry<C>>),
    /// Somebody else holds the claim; wait for the decision.
    Flying(Flight<C>),
    /// The caller now holds the claim.
    Claimed(Claim<C>),
}

/// The flight of a store's claim.
type Flown<C> = Flying<Arc<Entry<C>>, <C as Contents>::Refusal>;

/// A flight somebody else leads.
pub struct Flight<C: Contents>(pub(crate) Arc<Flown<C>>);

/// How a flight ended.
pub enum Decision<C: Contents> {
    /// There is an entry now (its body may still grow).
    Entry(Arc<Entry<C>>),
    /// There is none, and this is why.
    Refused(C::Refusal),
    /// The claim was dropped without a word (its task died or was stopped): claiming again is sensible.
    Abandoned,
}

impl<C: Contents> Flight<C> {
    /// Waits for the decision.
    pub async fn decided(self) -> Decision<C> {
        match self.0.decided().await {
            Landing::Entry(entry) => Decision::Entry(entry),
            Landing::Refused(refusal) => Decision::Refused(refusal),
            Landing::Abandoned => Decision::Abandoned,
        }
    }
}

/// The right to fill one key. Exactly one exists per key; dropping it ends the flight as abandoned.
pub struct Claim<C: Contents> {
    store: Arc<Inner<C>>,
    key: Key,
    name: Arc<str>,
    found: Found<C>,
    /// `None` once the flight has ended.
    flight: Option<Arc<Flown<C>>>,
    /// Purges from then on are about what it brings.
    begun: Moment,
}

/// What the claimed key has.
pub(crate) struct Found<C: Contents> {
    previous: Option<Arc<Entry<C>>>,
    /// The entry, if its body has holes.
    partial: Option<Arc<Entry<C>>>,
    /// The record, if it is one of a body with holes.
    part: Option<Cold>,
}

impl<C: Contents> Found<C> {
    pub(crate) fn new(entry: Option<Arc<Entry<C>>>, part: Option<Cold>) -> Self {
        let (partial, previous) = match entry {
            Some(entry) if entry.body.is_partial() => (Some(entry), None),
            entry => (None, entry),
        };
        Self { previous, partial, part }
    }
}

/// The beginning of a body, which an interrupted fill has left.
pub struct Part<H> {
    /// What was known about the object when the fill began.
    pub head: H,
    /// Length that the origin declared.
    pub length: Option<u64>,
    /// The bytes that are there, from the start on.
    pub received: u64,
}

/// What is known of a body before its first byte.
#[derive(Clone, Copy, Debug)]
pub struct BodySpec {
    /// Length the origin declared.
    pub length: Option<u64>,
    /// Digest the origin or a repository promised: the last block (up to 64 KiB) is committed only when the whole body matches it.
    pub promised: Option<Digest>,
}

/// The store cannot take the body.
#[derive(Clone, Debug)]
pub enum Refused {
    /// Longer than the whole quota, or the quota is used up.
    NoSpace {
        /// Bytes asked for.
        wanted: u64,
        /// Bytes in use or reserved.
        used: u64,
        /// The quota.
        quota: u64,
    },
    /// The disk refused.
    Disk(Failure),
    /// The part that was to be resumed has been removed meanwhile.
    PartGone,
}

impl<C: Contents> Claim<C> {
    pub(crate) fn new(
        store: &Arc<Inner<C>>,
        key: Key,
        name: &Arc<str>,
        found: Found<C>,
        flight: Arc<Flown<C>>,
    ) -> Self {
        let begun = store.recent.now();
        Self { store: store.clone(), key, name: name.clone(), found, flight: Some(flight), begun }
    }

    /// The claimed key.
    pub fn key(&self) -> Key {
        self.key
    }

    /// What it brings was asked for with `other`: purges since then are about it.
    pub fn asked_with(&mut self, other: &Self) {
        self.begun = self.begun.min(other.begun);
    }

    pub(crate) fn store(&self) -> &Arc<Inner<C>> {
        &self.store
    }

    /// The entry that the caller's test did not accept, if there was one; not one whose body has holes.
    pub fn previous(&self) -> Option<&Arc<Entry<C>>> {
        self.found.previous.as_ref()
    }

    /// The entry whose body has holes, if the key has one in memory: it goes on by [`refresh`](Self::refresh).
    pub fn partial(&self) -> Option<&Arc<Entry<C>>> {
        self.found.partial.as_ref()
    }

    /// The beginning of the object that is there, if there is one and it is recorded. It stays until the claim is published
    /// or resumed; then it is used up. Waits for the disk.
    pub async fn part(&self) -> Option<Part<C::Head>> {
        let (store, part) = (self.store.clone(), self.found.part?);
        let shared = self.store.shared.clone();
        shared.pool.run(move || store.read_part_record(&part)).await.ok().flatten()
    }

    /// Goes on with the part: its bytes up to the first gap are the body's first ones, and the entry is put in the index as
    /// by [`publish`](Self::publish). What lies behind the gap is written again: [`refresh`](Self::refresh) and
    /// [`claim_pieces`](crate::Writer::claim_pieces) leave that out. `length` is what the origin declares for the whole. On
    /// refusal (also because somebody reads or fills the part: [`Refused::PartGone`]) the claim comes back.
    pub async fn resume(
        mut self,
        head: C::Head,
        spec: BodySpec,
    ) -> Result<(Arc<Entry<C>>, Fill<C>), (Self, Refused)> {
        let Some(part) = self.found.part else { return Err((self, Refused::PartGone)) };
        // What the claim holds is in nobody's use.
        let partial = self.found.partial.take().map(|entry| Arc::downgrade(&entry));
        match fill::begin_with(&self.store, part, spec).await {
            Ok(begun) => Ok(self.put(head, begun, spec)),
            Err(refused) => {
                self.found.partial = partial.and_then(|entry| entry.upgrade());
                Err((self, refused))
            }
        }
    }

    /// Reserves space, creates the body, puts the entry in the index in place of the previous one and wakes
    /// everybody who waits for this flight: from now on they follow the body. The previous entry is held until the
    /// fill ends, and gets its place back when that ends badly. On refusal the claim comes back.
    pub async fn publish(
        self,
        head: C::Head,
        spec: BodySpec,
    ) -> Result<(Arc<Entry<C>>, Fill<C>), (Self, Refused)> {
        if let Some(refused) = self.store.not_admitted(&self.key, spec.length) {
            return Err((self, refused));
        }
        match fill::begin(&self.store.shared, spec).await {
            Ok(begun) => {
                self.store.drop_part(self.found.part);
                Ok(self.put(head, begun, spec))
            }
            Err(refused) => Err((self, refused)),
        }
    }

    /// The body of the previous entry, or of the one with holes, goes on under a new head (304). The claim comes back when
    /// there was none, or it has been removed or its body has failed meanwhile.
    pub fn refresh(mut self, head: C::Head) -> Result<Arc<Entry<C>>, Self> {
        let known = self.found.previous.as_ref().or(self.found.partial.as_ref());
        let Some(body) = known.map(|known| known.body.clone()) else {
            return Err(self);
        };
        if matches!(body.state(), BodyState::Failed(_)) {
            return Err(self);
        }
        let digest = body.digest();
        // It may have found its twin meanwhile: the same bytes in another body.
        let same = |known: &Arc<Entry<C>>| {
            Arc::ptr_eq(&known.body, &body) || digest.is_some() && known.body.digest() == digest
        };
        let new = |known: &Arc<Entry<C>>| self.entry(head, known.body.clone());
        let Some((_, entry)) = self.store.index.republish(&self.key, same, new) else {
            return Err(self);
        };
        if self.store.catch_up(&entry, self.begun) {
            self.store.rerecord(&entry);
        }
        self.land(Landing::Entry(entry.clone()));
        Ok(entry)
    }

    /// Ends the flight without an object; a previous entry stays.
    pub fn refuse(mut self, refusal: C::Refusal) {
        self.store.index.release(&self.key);
        self.land(Landing::Refused(refusal));
    }

    /// Puts an entry in the index whose body has no bytes yet.
    pub(crate) fn put_partial(mut self, head: C::Head, body: Arc<crate::Body>) -> Arc<Entry<C>> {
        self.store.drop_part(self.found.part);
        let entry = self.entry(head, body);
        let replaced = self.store.index.publish(&self.key, entry.clone());
        self.store.catch_up(&entry, self.begun);
        self.land(Landing::Entry(entry.clone()));
        drop(replaced);
        entry
    }

    fn put(mut self, head: C::Head, begun: Begun, spec: BodySpec) -> (Arc<Entry<C>>, Fill<C>) {
        let entry = self.entry(head, begun.body.clone());
        // What has holes does not get its place back.
        let replaced = self.store.index.publish(&self.key, entry.clone());
        let replaced = replaced.filter(|replaced| !replaced.body.is_partial());
        let fill = Fill::new(&self.store, &entry, replaced, begun, spec);
        self.store.catch_up(&entry, self.begun);
        self.land(Landing::Entry(entry.clone()));
        (entry, fill)
    }

    fn entry(&self, head: C::Head, body: Arc<crate::Body>) -> Arc<Entry<C>> {
        Arc::new(Entry { key: self.key, name: self.name.clone(), head: Arc::new(head), body })
    }

    fn land(&mut self, landing: Landing<Arc<Entry<C>>, C::Refusal>) {
        if let Some(flight) = self.flight.take() {
            flight.decide(landing);
        }
    }
}

impl<C: Contents> Drop for Claim<C> {
    fn drop(&mut self) {
        if self.flight.is_some() {
            self.store.index.release(&self.key);
            self.land(Landing::Abandoned);
        }
    }
}
