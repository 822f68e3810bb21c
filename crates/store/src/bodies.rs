//! [`Bodies`]: every complete body, by digest: how long it is, how many entries name it, who reads it now.
//!
//! Owns the names in `bodies/` and their bytes in the quota. Used by fills, by the index's callers when records come and
//! go, and by the dying [`Body`]; on disk threads only, because a name is changed under a shelf's lock.
//!
//! | a body that | stays because | goes when |
//! |---|---|---|
//! | entries name | of them | the last of them is released and nobody reads it |
//! | nobody names | somebody reads it (just completed, or doomed) | the last reader lets go |
//!
//! Invariants: a name in `bodies/` belongs to one body here and equal bodies get one name; at most one living [`Body`]
//! a digest reads the file; bytes are given back after the file is gone. Lock order: shelf, then a body's place.
//!
//! A *part* is a body with holes, in `parts/<id>`: see [`parts`].
//!
//! Deliberately not here: what entries are, and the order of eviction.

mod given_up;
mod parts;

use std::io;
use std::sync::{Arc, Weak};

use hashbrown::hash_table::Entry as Probe;
use hashbrown::{HashMap, HashTable};
use parking_lot::Mutex;

use self::given_up::GivenUp;
use self::parts::LEFT;
pub(crate) use self::parts::Revived;
use crate::files::directory::Place;
use crate::shared::Shared;
use crate::{Body, Digest, Failure};

/// Number of shelves; a power of two.
const SHELVES: usize = 16;
/// Bits of a [`BodyId`] that count within a shelf.
const WITHIN: u32 = 27;
/// The bit of a [`BodyId`] that says that the body has holes.
const PART: u32 = 1 << 31;
/// Records allocated together: so many that what the allocator adds to a large piece does not count.
const CHUNK: usize = 8192;

/// Every complete body.
pub(crate) struct Bodies {
    shelves: Box<[Mutex<Shelf>]>,
    pub(crate) given_up: GivenUp,
}

/// A body's number in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BodyId(u32);

#[derive(Default)]
struct Shelf {
    table: HashTable<u32>,
    records: Vec<Vec<Record>>,
    free: Vec<u32>,
    /// Bodies that somebody reads now.
    live: HashMap<u32, Live>,
}

struct Record {
    digest: Digest,
    length: u64,
    /// Entries that name the body.
    entries: u32,
    /// When it was completed or last verified.
    epoch: u32,
}

struct Live {
    id: u64,
    body: Weak<Body>,
}

/// What stands in the table for the digest of a part, whose bytes have none: no SHA-256 begins with 24 zero bytes.
fn name_of_part(id: u64) -> Digest {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&id.to_be_bytes());
    Digest::new(bytes)
}

fn part_of_name(digest: &Digest) -> Option<u64> {
    let (zeros, id) = digest.as_bytes().split_last_chunk::<8>()?;
    zeros.iter().all(|byte| *byte == 0).then(|| u64::from_be_bytes(*id))
}

fn place_of(digest: &Digest) -> Place {
    part_of_name(digest).map_or(Place::Named(*digest), Place::Part)
}

/// What is known of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) digest: Digest,
    pub(crate) length: u64,
    pub(crate) epoch: u32,
}

/// How a newly completed body found its place.
pub(crate) enum Named {
    /// It has its own name now.
    Own,
    /// A body with the same bytes was there before.
    Twin(Arc<Body>),
}

impl BodyId {
    /// Stands for "no body".
    pub(crate) const NONE: Self = Self(u32::MAX);

    fn new(shelf: usize, number: u32) -> Self {
        debug_assert!(number < 1 << WITHIN);
        Self((shelf as u32) << WITHIN | number)
    }

    fn of_part(self) -> Self {
        Self(self.0 | PART)
    }

    /// Whether the body has holes.
    pub(crate) fn is_part(self) -> bool {
        self != Self::NONE && self.0 & PART != 0
    }

    fn shelf(self) -> usize {
        ((self.0 & !PART) >> WITHIN) as usize
    }

    fn number(self) -> u32 {
        self.0 & ((1 << WITHIN) - 1)
    }
}

impl Bodies {
    pub(crate) fn new() -> Self {
        Self { shelves: (0..SHELVES).map(|_| Mutex::default()).collect(), given_up: GivenUp::new() }
    }

    /// One more entry names each of these bodies; those that are not known yet are taken to be on the disk, and counted in
    /// the quota. Many at once: where they belong is spread over much memory, and a lock for each would make the processor
    /// wait for one place after the other.
    pub(crate) fn enlist_all(&self, shared: &Shared, all: &[Facts]) -> Vec<BodyId> {
        let mut ids = vec![BodyId::NONE; all.len()];
        let mut order: Vec<u32> = (0..all.len() as u32).collect();
        let shelf_at = |at: &u32| shelf_of(&all[*at as usize].digest);
        order.sort_unstable_by_key(shelf_at);
        let (mut count, mut bytes) = (0, 0);
        for group in order.chunk_by(|one, next| shelf_at(one) == shelf_at(next)) {
            let number_of_shelf = shelf_at(&group[0]);
            let mut shelf = self.shelves[number_of_shelf].lock();
            shelf.make_room_for(group.iter().map(|at| &all[*at as usize].digest));
            for at in group.iter().map(|at| *at as usize) {
                let (number, is_new) = shelf.find_or_add(&all[at]);
                let record = shelf.record_mut(number);
                record.entries += 1;
                // The file may be younger than the oldest record that names it: the least trusted epoch counts.
                if record.epoch != all[at].epoch && !shared.is_trusted(all[at].epoch) {
                    record.epoch = all[at].epoch;
                }
                ids[at] = BodyId::new(number_of_shelf, number);
                count += u64::from(is_new);
                bytes += if is_new { all[at].length } else { 0 };
            }
        }
        shared.metrics.bodies.add(count);
        shared.quota.take_anyway(bytes);
        ids
    }

    /// While loading: there will be at most `most` bodies, and at most `times` as many as now: the tables need not grow in
    /// steps, which reads every digest again and leaves memory behind.
    pub(crate) fn expect(&self, most: usize, times: usize) {
        for shelf in &self.shelves {
            let mut shelf = shelf.lock();
            let Shelf { table, records, .. } = &mut *shelf;
            let count = (most / SHELVES).min(table.len() * times);
            let at = |number: &u32| hash(&records[*number as usize / CHUNK][*number as usize % CHUNK].digest);
            table.reserve(count.saturating_sub(table.len()), at);
        }
    }

    /// A part is in its place: `bytes` of it are there, and counted elsewhere until now. Exactly one entry names it.
    pub(crate) fn add_part(&self, id: u64, bytes: u64, epoch: u32) -> BodyId {
        let digest = name_of_part(id);
        let shelf_number = shelf_of(&digest);
        let mut shelf = self.shelves[shelf_number].lock();
        let (number, _) = shelf.find_or_add(&Facts { digest, length: bytes, epoch });
        shelf.record_mut(number).entries = 1;
        BodyId::new(shelf_number, number).of_part()
    }

    /// The part leaves the table and keeps its file and its bytes in the quota, which are the caller's now.
    pub(crate) fn take_part(&self, id: BodyId) -> Option<(u64, u64)> {
        let mut shelf = self.shelves[id.shelf()].lock();
        let Record { digest, length, .. } = *shelf.record(id.number());
        let part = part_of_name(&digest)?;
        shelf.remove(id.number());
        Some((part, length))
    }

    /// Whether a file in `parts/` belongs to a part.
    pub(crate) fn has_part(&self, id: u64) -> bool {
        self.id(&name_of_part(id)).is_some()
    }

    /// One more entry names a body that is known.
    pub(crate) fn hold(&self, digest: &Digest) -> Option<(BodyId, Facts)> {
        let shelf_number = shelf_of(digest);
        let mut shelf = self.shelves[shelf_number].lock();
        let number = shelf.find(digest)?;
        let record = shelf.record_mut(number);
        record.entries += 1;
        Some((BodyId::new(shelf_number, number), record.facts()))
    }

    /// One entry less names the body. Waits for the disk.
    pub(crate) fn release(&self, shared: &Shared, id: BodyId) {
        let mut shelf = self.shelves[id.shelf()].lock();
        let record = shelf.record_mut(id.number());
        record.entries -= 1;
        if record.entries == 0 && !shelf.is_held(id) {
            let buried = shelf.bury(shared, id.number());
            drop(shelf);
            buried.finish(shared);
        }
    }

    pub(crate) fn facts(&self, id: BodyId) -> Facts {
        self.shelves[id.shelf()].lock().record(id.number()).facts()
    }

    /// The body has been verified in this epoch.
    pub(crate) fn verified(&self, id: BodyId, epoch: u32) {
        self.shelves[id.shelf()].lock().record_mut(id.number()).epoch = epoch;
    }

    /// The body that readers share; made when nobody reads it yet. `None` when the number is not this digest's any more.
    pub(crate) fn living(&self, shared: &Arc<Shared>, id: BodyId, digest: &Digest) -> Option<Arc<Body>> {
        let mut shelf = self.shelves[id.shelf()].lock();
        (shelf.find(digest) == Some(id.number())).then(|| shelf.living_or_new(shared, id.number()))
    }

    /// The body of this digest, if there is one that can be used: found and held in one step, so that its last entry
    /// cannot take its file away in between. Waits for the disk.
    pub(crate) fn twin(
        &self,
        shared: &Arc<Shared>,
        digest: &Digest,
        is_usable: impl Fn(&Facts) -> bool,
    ) -> Option<Arc<Body>> {
        let mut shelf = self.shelves[shelf_of(digest)].lock();
        let number = shelf.find(digest).filter(|number| is_usable(&shelf.record(*number).facts()))?;
        Some(shelf.living_or_new(shared, number))
    }

    /// Gives a body whose bytes are all in its own file its final name, unless an equal one has it; an equal one that
    /// cannot be used is replaced. Waits for the disk.
    pub(crate) fn name(
        &self,
        body: &Arc<Body>,
        length: u64,
        digest: Digest,
        is_usable: impl Fn(&Facts) -> bool,
    ) -> Result<Named, Failure> {
        let shared = &body.shared;
        let mut shelf = self.shelves[shelf_of(&digest)].lock();
        let known = shelf.find(&digest);
        if let Some(number) = known.filter(|number| is_usable(&shelf.record(*number).facts())) {
            return Ok(Named::Twin(shelf.living_or_new(shared, number)));
        }
        // After a power cut an older record would vouch for this file.
        if known.is_some() || self.given_up.is_recorded(&digest) || shared.metrics.unloaded.get() > 0 {
            shared.sync(body)?;
        }
        shared.rename(body, Place::Named(digest))?;
        let facts = Facts { digest, length, epoch: shared.epoch() };
        let (number, is_new) = shelf.find_or_add(&facts);
        shelf.record_mut(number).epoch = facts.epoch;
        shelf.live.insert(number, Live { id: body.id, body: Arc::downgrade(body) });
        if let Some(reservation) = body.reservation.lock().take() {
            // From now on the bytes are counted with the name.
            if is_new {
                shared.metrics.bodies.inc();
                reservation.hand_over(length);
            }
        }
        Ok(Named::Own)
    }

    /// The body with this id has died. Waits for the disk.
    pub(crate) fn died(&self, shared: &Shared, digest: &Digest, id: u64) {
        let mut shelf = self.shelves[shelf_of(digest)].lock();
        let Some(number) = shelf.find(digest) else { return };
        if shelf.live.get(&number).is_none_or(|live| live.id != id) {
            // Somebody reads the file through another body by now.
            return;
        }
        shelf.live.remove(&number);
        if shelf.record(number).entries == 0 {
            let buried = shelf.bury(shared, number);
            drop(shelf);
            buried.finish(shared);
        }
    }

    /// Calls `work` under the lock of the shelf of `digest`, if no body has this name: nobody gives it away meanwhile.
    pub(crate) fn if_unknown(&self, digest: &Digest, work: impl FnOnce()) {
        let shelf = self.shelves[shelf_of(digest)].lock();
        if shelf.find(digest).is_none() {
            work();
        }
    }

    /// The bodies of one shelf for which `is` says so of the epoch: digest and epoch.
    pub(crate) fn digests(&self, shelf: usize, is: impl Fn(u32) -> bool) -> Vec<(Digest, u32)> {
        let shelf = self.shelves[shelf].lock();
        let records = shelf.table.iter().map(|number| shelf.record(*number));
        let whole = records.filter(|record| part_of_name(&record.digest).is_none());
        whole.filter(|record| is(record.epoch)).map(|record| (record.digest, record.epoch)).collect()
    }

    /// The lengths of the bodies whose files are in `bodies/<first>/` and for which `is` says so of the epoch.
    pub(crate) fn in_directory(&self, first: u8, is: impl Fn(u32) -> bool) -> HashMap<Digest, u64> {
        let shelf = self.shelves[shelf_of_directory(first)].lock();
        let records = shelf.table.iter().map(|number| shelf.record(*number));
        let wanted = records.filter(|record| {
            record.digest.as_bytes()[0] == first && is(record.epoch) && part_of_name(&record.digest).is_none()
        });
        wanted.map(|record| (record.digest, record.length)).collect()
    }

    /// While loading: one entry less names the body, whose file, if nobody names it, is found as a stray later.
    pub(crate) fn forget(&self, shared: &Shared, id: BodyId) {
        let mut shelf = self.shelves[id.shelf()].lock();
        let record = shelf.record_mut(id.number());
        record.entries -= 1;
        if record.entries > 0 {
            return;
        }
        let length = record.length;
        shelf.remove(id.number());
        drop(shelf);
        shared.metrics.bodies.dec();
        shared.quota.give_back(length);
    }

    pub(crate) const fn shelves() -> usize {
        SHELVES
    }

    /// The id of the body with this digest.
    pub(crate) fn id(&self, digest: &Digest) -> Option<BodyId> {
        let number = shelf_of(digest);
        let shelf = self.shelves[number].lock();
        Some(BodyId::new(number, shelf.find(digest)?))
    }
}

impl Shelf {
    fn find(&self, digest: &Digest) -> Option<u32> {
        self.table.find(hash(digest), |number| self.record(*number).digest == *digest).copied()
    }

    /// Makes room for those of these bodies that are not known. Looking at all of them first lets the processor wait for
    /// many places of the table at once.
    fn make_room_for<'a>(&mut self, digests: impl Iterator<Item = &'a Digest>) {
        let new = digests.filter(|digest| self.find(digest).is_none()).count();
        let Self { table, records, .. } = self;
        let at = |number: &u32| hash(&records[*number as usize / CHUNK][*number as usize % CHUNK].digest);
        table.reserve(new, at);
    }

    /// The number of a body, and whether it is new.
    fn find_or_add(&mut self, facts: &Facts) -> (u32, bool) {
        let Self { table, records, free, .. } = self;
        let at = |number: u32| &records[number as usize / CHUNK][number as usize % CHUNK].digest;
        let vacant = match table.entry(
            hash(&facts.digest),
            |number| *at(*number) == facts.digest,
            |number| hash(at(*number)),
        ) {
            Probe::Occupied(known) => return (*known.get(), false),
            Probe::Vacant(vacant) => vacant,
        };
        let number = free.pop().unwrap_or_else(|| {
            records.last().map_or(0, |last| ((records.len() - 1) * CHUNK + last.len()) as u32)
        });
        vacant.insert(number);
        let record = Record { digest: facts.digest, length: facts.length, entries: 0, epoch: facts.epoch };
        let (chunk, place) = (number as usize / CHUNK, number as usize % CHUNK);
        if chunk == records.len() {
            records.push(Vec::with_capacity(CHUNK));
        }
        match records[chunk].get_mut(place) {
            Some(known) => *known = record,
            None => records[chunk].push(record),
        }
        (number, true)
    }

    fn record(&self, number: u32) -> &Record {
        &self.records[number as usize / CHUNK][number as usize % CHUNK]
    }

    fn record_mut(&mut self, number: u32) -> &mut Record {
        &mut self.records[number as usize / CHUNK][number as usize % CHUNK]
    }

    fn living(&self, number: u32) -> Option<Arc<Body>> {
        self.live.get(&number)?.body.upgrade()
    }

    /// Whether somebody sees to the body when he lets go of it.
    fn is_held(&self, id: BodyId) -> bool {
        match id.is_part() {
            true => self.live.get(&id.number()).is_some_and(|live| live.id != LEFT),
            false => self.living(id.number()).is_some(),
        }
    }

    fn living_or_new(&mut self, shared: &Arc<Shared>, number: u32) -> Arc<Body> {
        if let Some(body) = self.living(number) {
            return body;
        }
        let Record { digest, length, .. } = *self.record(number);
        let body = Body::stored(shared, length, digest);
        self.live.insert(number, Live { id: body.id, body: Arc::downgrade(&body) });
        body
    }

    fn remove(&mut self, number: u32) {
        let found = self.table.find_entry(hash(&self.record(number).digest), |known| *known == number);
        let Ok(found) = found else { unreachable!("a body is in the table") };
        found.remove();
        self.live.remove(&number);
        self.free.push(number);
    }

    /// Takes a body that nobody names and nobody reads out of the table, and its file from its name: deleting a long file
    /// takes long, and the name is free at once.
    fn bury(&mut self, shared: &Shared, number: u32) -> Buried {
        let Record { digest, length, .. } = *self.record(number);
        let has_left = self.live.get(&number).is_some_and(|live| live.id == LEFT);
        self.remove(number);
        shared.metrics.bodies.dec();
        if let Some(part) = part_of_name(&digest).filter(|_| has_left) {
            return Buried::elsewhere(part);
        }
        shared.bodies.given_up.note(&digest);
        let grave = Place::Fill(shared.next_id());
        let moved = shared.directory.rename(place_of(&digest), grave);
        Buried { grave, length, moved, digest }
    }
}

/// A body whose name is free already.
#[must_use]
struct Buried {
    grave: Place,
    length: u64,
    moved: io::Result<()>,
    digest: Digest,
}

impl Buried {
    /// Deletes the file, then gives the bytes back.
    fn finish(self, shared: &Shared) {
        match self.moved {
            Ok(()) => shared.delete(self.grave),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => drop(shared.disk_error("rename", place_of(&self.digest), &error)),
        }
        shared.quota.give_back(self.length);
    }
}

impl Record {
    fn facts(&self) -> Facts {
        Facts { digest: self.digest, length: self.length, epoch: self.epoch }
    }
}

/// A shelf has the bodies of 16 directories: who compares one of those with its names looks at one shelf only.
fn shelf_of(digest: &Digest) -> usize {
    shelf_of_directory(digest.as_bytes()[0])
}

fn shelf_of_directory(first: u8) -> usize {
    (usize::from(first) * SHELVES) >> 8
}

/// The end of a digest: its beginning is what the shelf is chosen by, and that of a part's name is nothing but zeros.
fn hash(digest: &Digest) -> u64 {
    let (_, end) = digest.as_bytes().split_last_chunk().expect("a digest has 32 bytes");
    u64::from_be_bytes(*end)
}
