//! Bodies with holes in the table.
//!
//! | a part that | its bytes are counted by | and it is deleted |
//! |---|---|---|
//! | nobody has opened | the table | when its entry lets go |
//! | a living [`Body`] has | the body's reservation | when entry and body have let go |
//! | has left: its file has another name by now | whoever has that | never |
//!
//! The length of a part in the table is what the evictor was told of it last, with the record; a body tells more while it
//! grows. Invariant: every byte is counted once.

use std::io;
use std::sync::{Arc, Weak};

use super::{Bodies, BodyId, Buried, Facts, Live, Record, name_of_part, part_of_name, shelf_of};
use crate::Body;
use crate::files::directory::Place;
use crate::quota::Reservation;
use crate::shared::Shared;

/// Stands for the living body of a part that has left; no body has this id.
pub(super) const LEFT: u64 = 0;

/// What there is of a part that is to be read.
pub(crate) enum Revived {
    Body(Arc<Body>),
    /// Its last reader is just letting go: look again.
    Dying,
    Gone,
}

impl Bodies {
    /// While loading: one more record names a part, of which so many bytes are there; a later record says more.
    pub(crate) fn enlist_part(&self, shared: &Shared, part: u64, bytes: u64, epoch: u32) -> BodyId {
        let digest = name_of_part(part);
        let shelf_number = shelf_of(&digest);
        let mut shelf = self.shelves[shelf_number].lock();
        let (number, is_new) = shelf.find_or_add(&Facts { digest, length: bytes, epoch });
        let record = shelf.record_mut(number);
        let before = if is_new { 0 } else { record.length };
        *record = Record { digest, length: bytes, entries: record.entries + 1, epoch };
        shared.metrics.bodies.add(u64::from(is_new));
        shared.quota.take_anyway(bytes);
        shared.quota.give_back(before);
        BodyId::new(shelf_number, number).of_part()
    }

    /// A new part that a body reads and no entry names yet.
    pub(crate) fn add_living_part(&self, shared: &Shared, part: u64, body: &Arc<Body>) {
        let digest = name_of_part(part);
        let mut shelf = self.shelves[shelf_of(&digest)].lock();
        let (number, _) = shelf.find_or_add(&Facts { digest, length: 0, epoch: shared.epoch() });
        shelf.live.insert(number, Live { id: body.id, body: Arc::downgrade(body) });
        shared.metrics.bodies.inc();
    }

    /// The id of a part.
    pub(crate) fn part(&self, part: u64) -> Option<BodyId> {
        self.id(&name_of_part(part)).map(BodyId::of_part)
    }

    /// One more record names the part.
    pub(crate) fn hold_part(&self, part: u64) -> Option<BodyId> {
        self.hold(&name_of_part(part)).map(|(id, _)| id.of_part())
    }

    /// Notes the bytes of a recorded part; returns what was noted before. The caller tells the evictor, whose lock it holds.
    pub(crate) fn set_part_length(&self, id: BodyId, length: u64) -> u64 {
        let mut shelf = self.shelves[id.shelf()].lock();
        std::mem::replace(&mut shelf.record_mut(id.number()).length, length)
    }

    /// The body that reads a part; made by `make`, which gets the part's bytes, when there is none.
    pub(crate) fn revive_part(
        &self,
        shared: &Shared,
        id: BodyId,
        make: impl FnOnce(Reservation) -> Arc<Body>,
    ) -> Revived {
        let mut shelf = self.shelves[id.shelf()].lock();
        let Record { digest, length, entries, .. } = *shelf.record(id.number());
        if part_of_name(&digest).is_none() || entries == 0 {
            return Revived::Gone;
        }
        match shelf.live.get(&id.number()) {
            Some(live) if live.id == LEFT => Revived::Gone,
            Some(live) => live.body.upgrade().map_or(Revived::Dying, Revived::Body),
            None => {
                let body = make(shared.quota.take_over(length));
                shelf.live.insert(id.number(), Live { id: body.id, body: Arc::downgrade(&body) });
                Revived::Body(body)
            }
        }
    }

    /// The file of a part has another name now, and its bytes are counted with that.
    pub(crate) fn part_has_left(&self, shared: &Shared, part: u64) {
        let digest = name_of_part(part);
        let mut shelf = self.shelves[shelf_of(&digest)].lock();
        let Some(number) = shelf.find(&digest) else { return };
        if shelf.record(number).entries > 0 {
            // Its record is just being replaced.
            shelf.live.insert(number, Live { id: LEFT, body: Weak::new() });
            return;
        }
        shelf.remove(number);
        shared.metrics.bodies.dec();
    }

    /// The body with this id that has read the part has died. Waits for the disk.
    pub(crate) fn part_died(&self, shared: &Shared, part: u64, id: u64, reservation: Option<Reservation>) {
        let digest = name_of_part(part);
        let mut shelf = self.shelves[shelf_of(&digest)].lock();
        let number = shelf.find(&digest);
        let Some(number) = number.filter(|number| shelf.live.get(number).is_some_and(|live| live.id == id))
        else {
            // What an interrupted fill had left when its body failed.
            return;
        };
        let Record { length, entries, .. } = *shelf.record(number);
        if entries > 0 {
            shelf.live.remove(&number);
            if let Some(reservation) = reservation {
                reservation.hand_over(length);
            }
            return;
        }
        let buried = Buried { length: 0, ..shelf.bury(shared, number) };
        drop(shelf);
        buried.finish(shared);
        drop(reservation);
    }
}

impl Buried {
    /// There is nothing to be deleted and nothing to be given back.
    pub(super) fn elsewhere(part: u64) -> Self {
        let digest = name_of_part(part);
        let moved = Err(io::ErrorKind::NotFound.into());
        Self { grave: Place::Part(part), length: 0, moved, digest }
    }
}
