//! Bodies with holes between two uses: what an interrupted fill leaves, what is recorded of one that grows in pieces, and
//! how either is gone on with.
//!
//! A fill whose origin broke, or that the end of the process has interrupted, is *suspended*: its file moves to `parts/` and
//! its entry becomes a record of what is there. The next claim of the key may resume it; or the entry is read as it is, and
//! filled [in pieces](crate::pieces). A part that an unclean epoch has left is dropped at the start: there is no digest to
//! compare it with.
//!
//! Invariants: a record never names bytes that are not committed; what the evictor knows of a part's length changes with
//! its record, under the evictor's lock.
//!
//! Deliberately not here: whether the origin still has the same object; the owner of the claim finds that out.

use std::sync::{Arc, Weak};

use crate::bodies::{BodyId, Revived};
use crate::body::{Owner, Partial};
use crate::claim::Part;
use crate::extents::Extents;
use crate::files::directory::Place;
use crate::files::open::OpenFile;
use crate::index::{Cold, Erased, Frame, Noted, Pinned, Seen};
use crate::journal::{BodyRef, Put, Record, decode, packed};
use crate::pieces::completion;
use crate::quota::Reservation;
use crate::recording::{fingerprint, removal, second};
use crate::shared::Completed;
use crate::store::Inner;
use crate::warming::{Unusable, damaged};
use crate::{Body, BodyState, Contents, Entry, Failure, Key};

/// What a body with holes knows of the store that it is in.
pub(crate) struct Home<C: Contents> {
    store: Weak<Inner<C>>,
    key: Key,
}

impl<C: Contents> Home<C> {
    pub(crate) fn new(store: &Arc<Inner<C>>, key: Key) -> Self {
        Self { store: Arc::downgrade(store), key }
    }
}

impl<C: Contents> Owner for Home<C> {
    fn hold(&self) -> Option<Arc<dyn Send + Sync>> {
        self.store.upgrade().map(|store| store as Arc<dyn Send + Sync>)
    }

    fn grown(&self, body: &Arc<Body>) {
        if let Some(store) = self.store.upgrade() {
            store.grown.lock().push((self.key, body.clone()));
        }
    }

    fn completed(&self, body: &Arc<Body>, completed: Completed) {
        let (Some(store), Ok(named)) = (self.store.upgrade(), completed.named) else { return };
        let entry = store.index.peek(&self.key).filter(|entry| Arc::ptr_eq(&entry.body, body));
        if let Some(entry) = entry {
            store.settle(&entry, completed.digest, named);
        }
    }

    fn lost(&self, body: &Body) {
        if let Some(store) = self.store.upgrade() {
            store.take_out_body(&self.key, body);
        }
    }
}

/// What the record of a part says.
pub(crate) struct Known<H> {
    pub(crate) name: Arc<str>,
    pub(crate) head: H,
    id: u64,
    length: Option<u64>,
    extents: Extents,
}

impl<C: Contents> Inner<C> {
    /// Keeps these bytes of a body that will not be completed now. `false` when there is nothing to keep or nowhere to
    /// keep it. Waits for the disk.
    pub(crate) fn suspend(&self, entry: &Arc<Entry<C>>, extents: Extents) -> bool {
        let (shared, body) = (&self.shared, &entry.body);
        let (id, bytes) = (fastrand::u64(..), extents.total());
        let Some(frame) = self.part_frame(entry, id, extents) else { return false };
        // First the table: what is not in it is a stray.
        let part = shared.bodies.add_part(id, bytes, shared.epoch());
        if shared.rename(body, Place::Part(id)).is_err() {
            let _ = shared.bodies.take_part(part);
            return false;
        }
        if let Some(reservation) = body.reservation.lock().take() {
            reservation.hand_over(bytes);
        }
        shared.metrics.bodies.inc();
        let same = |known: &Arc<Entry<C>>| Arc::ptr_eq(&known.body, body);
        let suspended = self.index.suspend(&entry.key, same, &frame, part);
        let Some((number, _entry)) = suspended else {
            shared.bodies.release(shared, part);
            return false;
        };
        self.evictor.lock().insert(number.0, fingerprint(&entry.key), bytes);
        shared.metrics.suspended.inc();
        true
    }

    fn part_frame(&self, entry: &Entry<C>, id: u64, extents: Extents) -> Option<Frame> {
        let (labels, deadline) = (self.labels(entry), C::deadline(&entry.head));
        let packed = packed(&labels);
        let mut head = Vec::with_capacity(256);
        C::encode(&entry.head, &mut head);
        let put = Put {
            key: entry.key,
            body: BodyRef::Part { id, length: entry.body.declared, extents },
            epoch: self.shared.epoch(),
            deadline,
            stored: second(),
            labels: &packed,
            name: &entry.name,
            head: &head,
        };
        let mut bytes = Vec::new();
        Record::Put(put).encode(&mut bytes).ok()?;
        Some(Frame { bytes, deadline, labels })
    }

    /// Records what there is of bodies that have grown in pieces. Waits for the disk only when one has to go.
    pub(crate) fn record_grown(&self) {
        let grown = std::mem::take(&mut *self.grown.lock());
        for (key, body) in grown {
            self.record_part(&key, &body);
        }
    }

    /// Records what there is of a body, if it still is the key's and is not whole on the disk.
    fn record_part(&self, key: &Key, body: &Arc<Body>) {
        let (shared, Some(partial)) = (&self.shared, &body.partial) else { return };
        let _not_while_it_is_named = partial.recording.lock();
        // What comes from now on is new.
        partial.take_news();
        let extents = body.growth.extents();
        let bytes = extents.total();
        if bytes == 0 || body.is_on_disk() || matches!(body.state(), BodyState::Failed(_)) {
            return;
        }
        let entry = self.index.peek(key).filter(|entry| Arc::ptr_eq(&entry.body, body));
        let Some(entry) = entry else { return };
        let Some(frame) = self.part_frame(&entry, partial.id, extents) else {
            tracing::warn!(name = %entry.name, "the record of an unfinished object would be too long");
            return;
        };
        let Some(part) = shared.bodies.hold_part(partial.id) else { return };
        let same = |known: &Arc<Entry<C>>| Arc::ptr_eq(known, &entry);
        let Some(noted) = self.index.record(key, same, &frame, part) else {
            // It has another head by now, or the log takes no more: the next round will see.
            body.tell_news();
            return shared.bodies.release(shared, part);
        };
        if let Some(replaced) = noted.replaced {
            shared.metrics.uncommitted.inc();
            self.replaced.lock().push(replaced);
        }
        if !noted.is_first {
            shared.bodies.release(shared, part);
        } else if self.pinned().is_some_and(|is_pinned| is_pinned(&entry.name, &entry.head)) {
            self.index.set_pinned(key, Pinned::Yes);
        }
        self.note_length(&noted, part, (fingerprint(key), bytes));
    }

    /// Tells the evictor how long a recorded part is, unless its record is gone already.
    fn note_length(&self, noted: &Noted, part: BodyId, (fingerprint, bytes): (u64, u64)) {
        let mut evictor = self.evictor.lock();
        if self.index.glance(noted.number).is_none_or(|glance| glance.body != part) {
            return;
        }
        let before = self.shared.bodies.set_part_length(part, bytes);
        // The same part under other labels: the old number is settled later, with the new length.
        if let Some(old) = noted.replaced.filter(|old| old.body == part) {
            evictor.resized(old.number.0, before, bytes);
        }
        match noted.is_first {
            true => evictor.insert(noted.number.0, fingerprint, bytes),
            false => evictor.resized(noted.number.0, before, bytes),
        }
    }

    /// What the record of a part says. Waits for the disk.
    pub(crate) fn part_record(&self, part: &Cold) -> Result<Known<C::Head>, Unusable> {
        let bytes = self.record_bytes(part)?;
        let Ok((Record::Put(put), _)) = decode(&bytes) else {
            return Err(damaged("its record makes no sense"));
        };
        let BodyRef::Part { id, length, extents } = put.body else { return Err(Unusable::Changed) };
        if put.key != part.key {
            return Err(damaged("its record is another one's"));
        }
        let head = C::decode(put.head).ok_or_else(|| damaged("its head makes no sense"))?;
        Ok(Known { name: Arc::from(put.name), head, id, length, extents })
    }

    /// The beginning of a part. Waits for the disk.
    pub(crate) fn read_part_record(&self, part: &Cold) -> Option<Part<C::Head>> {
        self.record_grown();
        let Known { head, length, extents, .. } = self.part_record(part).ok()?;
        let received = extents.contiguous_end(0);
        Some(Part { head, length, received }).filter(|part| part.received > 0)
    }

    /// What there is of a part that begins at the beginning. Waits for the disk.
    pub(crate) fn part_extents(&self, part: &Cold) -> Option<Extents> {
        self.record_grown();
        let Known { extents, .. } = self.part_record(part).ok()?;
        (extents.contiguous_end(0) > 0).then_some(extents)
    }

    /// Makes a cold entry warm whose body has holes. Waits for the disk.
    pub(crate) fn warm_up_part(self: &Arc<Self>, cold: &Cold) -> Result<Option<Arc<Entry<C>>>, Unusable> {
        let Known { name, head, id, length, extents } = self.part_record(cold)?;
        let shared = &self.shared;
        let make = |bytes: Reservation| {
            let partial = Partial::new(id, Box::new(Home::new(self, cold.key)));
            let body = Body::in_pieces(shared, (length, extents), partial, bytes);
            *body.place.lock() = Place::Part(id);
            body
        };
        let body = match shared.bodies.revive_part(shared, cold.record.body, make) {
            Revived::Body(body) => body,
            Revived::Dying => return Err(Unusable::Changed),
            Revived::Gone => return Err(damaged("its part is gone")),
        };
        shared.open_body(&body).map_err(|failure| damaged(&failure.detail))?;
        let entry = Arc::new(Entry { key: cold.key, name, head: Arc::new(head), body: body.clone() });
        shared.metrics.warmed.inc();
        let warm = self.index.warm_up(cold, entry, |entry| C::mark(&entry.head));
        let is_ours = warm.as_ref().is_some_and(|warm| Arc::ptr_eq(&warm.body, &body));
        if is_ours && body.state() == BodyState::Filling && !body.is_partial() {
            // The process ended before it was hashed.
            completion::start(&body);
        }
        Ok(warm)
    }

    /// Takes a part that nobody uses out of the index and the table: its file becomes `body`'s, its bytes come back as a
    /// reservation. `None` when it has gone meanwhile or is in use. Waits for the disk.
    pub(crate) fn take_part(
        &self,
        part: &Cold,
        body: &Body,
        received: u64,
    ) -> Option<Result<(Arc<OpenFile>, Reservation), Failure>> {
        let shared = &self.shared;
        let is_idle =
            |entry: &Arc<Entry<C>>| Arc::strong_count(entry) == 1 && Arc::strong_count(&entry.body) == 1;
        let (erased, warm) = self.index.take_part(part, is_idle, &removal(&part.key))?;
        let Erased { number, body: known } = erased;
        self.leave_queue(number, known);
        let (id, bytes) = shared.bodies.take_part(known)?;
        self.index.free(number);
        shared.metrics.bodies.dec();
        let reservation = warm.and_then(|entry| {
            // Its file and its bytes are another body's.
            *entry.body.place.lock() = Place::Nowhere;
            entry.body.reservation.lock().take()
        });
        let reservation = reservation.unwrap_or_else(|| shared.quota.take_over(bytes));
        *body.place.lock() = Place::Part(id);
        Some(shared.reopen(body, received).map(|file| (file, reservation)))
    }

    /// A new body takes a part's place. The deletion is left to a disk thread.
    pub(crate) fn drop_part(self: &Arc<Self>, part: Option<Cold>) {
        let Some(erased) = part.and_then(|part| self.index.drop_part(&part, &removal(&part.key))) else {
            return;
        };
        self.see_off(erased, None);
    }

    /// Takes the entry with this body out of the index, if there is one.
    pub(crate) fn take_out_body(self: &Arc<Self>, key: &Key, body: &Body) -> bool {
        let same = |seen: &Seen<Arc<Entry<C>>>| matches!(seen, Seen::Warm(known) if std::ptr::eq(&*known.body, body));
        self.take_out(key, same)
    }
}

/// Whether the entry's body has holes: those who do not know of such bodies are not given it.
pub(crate) fn is_partial<C: Contents>(entry: &Entry<C>) -> bool {
    entry.body.is_partial()
}

/// Whether somebody fills a piece of the entry's body: what it is filled for must not make room for it.
pub(crate) fn is_being_filled<C: Contents>(entry: &Arc<Entry<C>>) -> bool {
    entry.body.growth.has_claims()
}

/// Whether the entry's body has holes and nobody reads or fills it.
pub(crate) fn is_unused_partial<C: Contents>(entry: &Entry<C>) -> bool {
    Arc::strong_count(&entry.body) == 1 && entry.body.is_partial()
}
