//! What is written down about entries, and what follows when a record goes away.
//!
//! Functions of [`Inner`], called by fills when a body has reached the disk, by whoever changes or removes an entry, and
//! by the keeper. An entry whose body has not reached the disk is not recorded: a crash would find a record without a
//! body. Invariant: whoever takes a record out of the index settles it here, once.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::bodies::{BodyId, Facts, Named};
use crate::eviction::{Hold, Ledger, Look};
use crate::index::{Erased, Frame, Index, Number, Pinned, Removed, Seen};
use crate::journal::{BodyRef, Put, RECORD_LIMIT, Record, packed};
use crate::shared::Shared;
use crate::store::Inner;
use crate::{Contents, Digest, Entry, Key, Refused};

/// Times that an entry is recorded again because its head has changed meanwhile.
const TRIES: usize = 16;

impl<C: Contents> Inner<C> {
    /// A body has found its place on disk: its entry points to the body with these bytes and is recorded. Waits for the
    /// disk.
    pub(crate) fn settle(&self, entry: &Entry<C>, digest: Digest, named: Named) {
        let body = match named {
            Named::Own => entry.body.clone(),
            Named::Twin(twin) => {
                self.merge(entry, &twin);
                twin
            }
        };
        for _ in 0..TRIES {
            let current = self.index.peek(&entry.key).filter(|current| Arc::ptr_eq(&current.body, &body));
            let Some(current) = current else { return };
            let Some((id, facts)) = self.shared.bodies.hold(&digest) else { return };
            match self.note(&current, id, facts) {
                Recording::Done => return,
                Recording::Changed => {
                    self.record_later(&entry.key);
                    self.shared.bodies.release(&self.shared, id);
                }
                Recording::TooLong => {
                    self.shared.bodies.release(&self.shared, id);
                    return;
                }
            }
        }
    }

    /// An entry that has a record got a new head: it is recorded again. Does not wait for the disk.
    pub(crate) fn rerecord(&self, entry: &Arc<Entry<C>>) {
        if entry.body.is_partial() {
            return entry.body.tell_news();
        }
        // Its record is still that of the object before, which a crash must find; the new one comes with the body's place.
        if !entry.body.is_on_disk() {
            return;
        }
        let Some(record) = self.index.recorded(&entry.key) else { return };
        let Some(frame) = self.frame_again(entry) else { return };
        if !self.index.has_labels(&entry.key, &frame.labels)
            && let Some(digest) = entry.body.digest()
        {
            return self.settle(entry, digest, Named::Own);
        }
        let same = |known: &Arc<Entry<C>>| Arc::ptr_eq(known, entry);
        if !self.index.record_again(&entry.key, same, record, &frame) {
            self.record_later(&entry.key);
        }
        // A new head may have other tags.
        if let Some(is_pinned) = self.pinned() {
            self.index.set_pinned(&entry.key, Pinned::from(is_pinned(&entry.name, &entry.head)));
        }
    }

    /// Notes a key whose record found no place, if that was it.
    fn record_later(&self, key: &Key) {
        if self.index.is_full(key) {
            self.unrecorded.lock().insert(*key);
        }
    }

    /// The disk takes records again: what found no place is recorded now. Waits for the disk.
    pub(crate) fn record_the_rest(&self) {
        for key in std::mem::take(&mut *self.unrecorded.lock()) {
            let Some(entry) = self.index.peek(&key).filter(|entry| entry.body.is_on_disk()) else { continue };
            let Some(digest) = entry.body.digest() else { continue };
            match self.index.recorded(&key) {
                Some(record) if self.shared.bodies.id(&digest) == Some(record.body) => self.rerecord(&entry),
                _ => self.settle(&entry, digest, Named::Own),
            }
        }
    }

    /// A newer record of an entry whose body is complete. Does not wait for the disk.
    pub(crate) fn frame_again(&self, entry: &Entry<C>) -> Option<Frame> {
        let digest = entry.body.digest()?;
        let facts = Facts { digest, length: entry.body.committed(), epoch: self.shared.epoch() };
        self.frame(entry, facts).ok()
    }

    fn note(&self, entry: &Arc<Entry<C>>, id: BodyId, facts: Facts) -> Recording {
        let Ok(frame) = self.frame(entry, facts) else { return Recording::TooLong };
        let same = |known: &Arc<Entry<C>>| Arc::ptr_eq(known, entry);
        let Some(noted) = self.index.record(&entry.key, same, &frame, id) else {
            return Recording::Changed;
        };
        if let Some(replaced) = noted.replaced {
            // Until the new record is on the disk, a crash brings the old one back: it needs its body.
            self.shared.metrics.uncommitted.inc();
            self.replaced.lock().push(replaced);
        }
        if noted.is_first {
            if self.pinned().is_some_and(|is_pinned| is_pinned(&entry.name, &entry.head)) {
                self.index.set_pinned(&entry.key, Pinned::Yes);
            }
            self.evictor.lock().insert(noted.number.0, fingerprint(&entry.key), facts.length);
            if self.shared.metrics.entries.get() > self.shared.metrics.max_entries.get() {
                self.shared.room.alarm.ring();
            }
        } else {
            // The entry named the body already.
            self.shared.bodies.release(&self.shared, id);
        }
        Recording::Done
    }

    /// The record of an entry, or nothing when it would be too long.
    fn frame(&self, entry: &Entry<C>, facts: Facts) -> Result<Frame, ()> {
        let mut head = Vec::with_capacity(256);
        C::encode(&entry.head, &mut head);
        let Facts { digest, length, epoch } = facts;
        let (labels, deadline) = (self.labels(entry), C::deadline(&entry.head));
        let packed = packed(&labels);
        let put = Put {
            key: entry.key,
            body: BodyRef::Whole { digest, length },
            epoch,
            deadline,
            stored: second(),
            labels: &packed,
            name: &entry.name,
            head: &head,
        };
        let mut bytes = Vec::with_capacity(head.len() + entry.name.len() + packed.len() + 128);
        Record::Put(put).encode(&mut bytes).map_err(|_| {
            tracing::warn!(name = %entry.name, "an entry of more than {RECORD_LIMIT} bytes does not survive a restart");
        })?;
        Ok(Frame { bytes, deadline, labels })
    }

    /// Takes an entry out for good, if it is one that `is` accepts. Does not wait for the disk: what must follow there is
    /// left to a disk thread.
    pub(crate) fn take_out(self: &Arc<Self>, key: &Key, is: impl Fn(&Seen<Arc<Entry<C>>>) -> bool) -> bool {
        let Some(removed) = self.index.remove(key, is, &removal(key)) else { return false };
        let Removed { entry, erased } = removed;
        if let Some(erased) = erased {
            self.see_off(erased, entry);
        }
        true
    }

    /// What follows when the records that replace these are on the disk. Waits for the disk.
    pub(crate) fn settle_replaced(&self, replaced: Vec<Erased>) {
        for erased in replaced {
            self.settle_erased(erased);
            self.shared.metrics.uncommitted.dec();
        }
    }

    /// What follows when a record has gone away. Waits for the disk.
    pub(crate) fn settle_erased(&self, erased: Erased) {
        let Erased { number, body } = erased;
        self.leave_queue(number, body);
        self.index.free(number);
        self.shared.bodies.release(&self.shared, body);
    }

    /// The evictor forgets a number. The length is looked up under its lock: that of a body with holes changes under it.
    pub(crate) fn leave_queue(&self, number: Number, body: BodyId) -> u64 {
        let mut evictor = self.evictor.lock();
        let length = self.shared.bodies.facts(body).length;
        evictor.removed(number.0, length);
        length
    }

    /// Why a body of this length is not worth the room that it needs: there are too many entries of which none could go;
    /// or it is huge, others would have to go for it, and it
    /// was not asked for lately.
    pub(crate) fn not_admitted(&self, key: &Key, length: Option<u64>) -> Option<Refused> {
        if self.settings.has_too_many(self.shared.metrics.entries.get()) {
            self.shared.room.alarm.ring();
            let (used, quota) = (self.shared.quota.used(), self.shared.quota.limit());
            return Some(Refused::NoSpace { wanted: length.unwrap_or(0), used, quota });
        }
        let wanted = length.filter(|length| *length > self.settings.huge)?;
        let quota = &self.shared.quota;
        if wanted <= quota.free() || self.evictor.lock().admits(fingerprint(key), wanted) {
            return None;
        }
        Some(Refused::NoSpace { wanted, used: quota.used(), quota: quota.limit() })
    }

    /// Evicts one entry that the evictor has chosen. Returns the bytes of its body, unless it stays. Waits for the disk.
    pub(crate) fn evict(&self, number: Number) -> Option<u64> {
        let Some(Removed { entry, erased }) = self.index.evict(number, removal) else {
            self.keep(number);
            return None;
        };
        let Erased { number, body } = erased?;
        let length = self.shared.bodies.facts(body).length;
        self.index.free(number);
        drop(entry);
        self.shared.bodies.release(&self.shared, body);
        self.shared.metrics.evicted.inc();
        self.shared.metrics.evicted_bytes.inc_by(length);
        Some(length)
    }

    /// A victim that has become busy meanwhile goes back to the queues.
    fn keep(&self, number: Number) {
        let mut evictor = self.evictor.lock();
        if let Some(glance) = self.index.glance(number) {
            evictor.keep(number.0, self.shared.bodies.facts(glance.body).length);
        }
    }
}

enum Recording {
    Done,
    Changed,
    TooLong,
}

/// What the evictor asks about entries.
pub(crate) struct Books<'a, E, R> {
    pub(crate) index: &'a Index<E, R>,
    pub(crate) shared: &'a Shared,
    /// Seconds without a use before an entry may go.
    pub(crate) min_idle: u32,
    /// Whether somebody fills an entry that is warm.
    pub(crate) is_busy: fn(&E) -> bool,
}

impl<E: Clone, R: Clone> Ledger for Books<'_, E, R> {
    fn look(&self, id: u32) -> Option<Look> {
        let glance = self.index.glance(Number(id))?;
        let hold = match glance.pinned {
            Pinned::Yes => Hold::Held,
            Pinned::No if glance.is_flying || self.index.is_warm_and(Number(id), self.is_busy) => Hold::Held,
            Pinned::No if glance.idle < self.min_idle => Hold::Young,
            Pinned::No => Hold::Free,
        };
        Some(Look {
            bytes: self.shared.bodies.facts(glance.body).length,
            fingerprint: fingerprint(&glance.key),
            frequency: glance.frequency,
            hold,
        })
    }

    fn set_frequency(&self, id: u32, frequency: u8) {
        self.index.set_frequency(Number(id), frequency);
    }
}

/// The evictor's name for a key.
pub(crate) fn fingerprint(key: &Key) -> u64 {
    let (half, _) = key.as_bytes().split_first_chunk().expect("a key has 16 bytes");
    u64::from_be_bytes(*half)
}

pub(crate) fn removal(key: &Key) -> Vec<u8> {
    let mut frame = Vec::with_capacity(32);
    removal_into(key, &mut frame);
    frame
}

/// Appends the record of a removal.
pub(crate) fn removal_into(key: &Key, frame: &mut Vec<u8>) {
    Record::Removed(*key).encode(frame).expect("a removal is short");
}

/// Seconds since 1970.
pub(crate) fn second() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
