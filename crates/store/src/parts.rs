//! Bodies with holes: what an interrupted fill leaves, and how a later one goes on with it.
//!
//! A fill whose origin broke, or that the end of the process has interrupted, is *suspended*: its file moves to `parts/` and
//! its entry becomes a record of what is there. The next claim of the key may resume it. A part that an unclean epoch has
//! left is dropped at the start: there is no digest to compare it with.
//!
//! Deliberately not here: whether the origin still has the same object; the owner of the claim finds that out.

use std::sync::Arc;

use crate::claim::Part;
use crate::extents::Extents;
use crate::files::directory::Place;
use crate::files::open::OpenFile;
use crate::index::Cold;
use crate::journal::{BodyRef, Located, Put, Record, decode};
use crate::quota::Reservation;
use crate::recording::{fingerprint, removal, second};
use crate::store::Inner;
use crate::{Body, Contents, Entry, Failure};

impl<C: Contents> Inner<C> {
    /// Keeps the first `received` bytes of a body that will not be completed now. `false` when there is nothing to keep or
    /// nowhere to keep it. Waits for the disk.
    pub(crate) fn suspend(&self, entry: &Arc<Entry<C>>, received: u64) -> bool {
        let (shared, body) = (&self.shared, &entry.body);
        let id = fastrand::u64(..);
        let Some(frame) = self.part_frame(entry, id, received) else { return false };
        if shared.rename(body, Place::Part(id)).is_err() {
            return false;
        }
        if let Some(reservation) = body.reservation.lock().take() {
            reservation.hand_over(received);
        }
        shared.metrics.bodies.inc();
        let part = shared.bodies.add_part(id, received, shared.epoch());
        let same = |known: &Arc<Entry<C>>| Arc::ptr_eq(&known.body, body);
        let suspended = self.index.suspend(&entry.key, same, &frame, part, C::deadline(&entry.head));
        let Some((number, _entry)) = suspended else {
            shared.bodies.release(shared, part);
            return false;
        };
        self.evictor.lock().insert(number.0, fingerprint(&entry.key), received);
        shared.metrics.suspended.inc();
        true
    }

    fn part_frame(&self, entry: &Entry<C>, id: u64, received: u64) -> Option<Vec<u8>> {
        let mut head = Vec::with_capacity(256);
        C::encode(&entry.head, &mut head);
        let mut extents = Extents::default();
        extents.insert(0..received);
        let put = Put {
            key: entry.key,
            body: BodyRef::Part { id, length: entry.body.declared, extents },
            epoch: self.shared.epoch(),
            deadline: C::deadline(&entry.head),
            stored: second(),
            name: &entry.name,
            head: &head,
        };
        let mut frame = Vec::new();
        Record::Put(put).encode(&mut frame).ok()?;
        Some(frame)
    }

    /// What the record of a part says. Waits for the disk.
    pub(crate) fn read_part_record(&self, part: &Cold) -> Option<Part<C::Head>> {
        let bytes = match self.index.locate(&part.key, part.record)? {
            Located::Pending(bytes) => bytes,
            Located::Written(at) => at.read(self.shared.disk()).ok()?,
            Located::Gone => return None,
        };
        let Ok((Record::Put(put), _)) = decode(&bytes) else { return None };
        let BodyRef::Part { length, extents, .. } = put.body else { return None };
        let received = extents.contiguous_end(0);
        Some(Part { head: C::decode(put.head)?, length, received }).filter(|part| part.received > 0)
    }

    /// Takes a part out of the index and the table: its file becomes `body`'s, its bytes come back as a reservation.
    /// `None` when it has gone meanwhile. Waits for the disk.
    pub(crate) fn take_part(
        &self,
        part: &Cold,
        body: &Body,
    ) -> Option<Result<(Arc<OpenFile>, Reservation), Failure>> {
        let shared = &self.shared;
        let erased = self.index.take_part(part, &removal(&part.key))?;
        let (id, received) = shared.bodies.take_part(erased.body)?;
        self.evictor.lock().removed(erased.number.0, received);
        self.index.free(erased.number);
        shared.metrics.bodies.dec();
        let reservation = shared.quota.take_over(received);
        *body.place.lock() = Place::Part(id);
        Some(shared.reopen(body, received).map(|file| (file, reservation)))
    }

    /// A new body takes a part's place. The deletion is left to a disk thread.
    pub(crate) fn drop_part(self: &Arc<Self>, part: Option<Cold>) {
        let Some(erased) = part.and_then(|part| self.index.take_part(&part, &removal(&part.key))) else {
            return;
        };
        let (inner, settling) = (self.clone(), self.shared.settling());
        self.shared.pool.push(move || {
            inner.settle_erased(erased);
            drop(settling);
        });
    }
}
