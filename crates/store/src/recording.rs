//! What is written down about entries, and what follows when a record goes away.
//!
//! Functions of [`Inner`], called by fills when a body has reached the disk, by whoever changes or removes an entry, and
//! by the keeper. An entry whose body has not reached the disk is not recorded: a crash would find a record without a
//! body. Invariant: whoever takes a record out of the index settles it here, once.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::bodies::{BodyId, Facts, Named};
use crate::eviction::{Hold, Ledger, Look};
use crate::index::{Erased, Index, Number, Pinned, Removed, Seen};
use crate::journal::{BodyRef, Put, RECORD_LIMIT, Record};
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
                Recording::Changed => self.shared.bodies.release(&self.shared, id),
                Recording::TooLong => {
                    self.shared.bodies.release(&self.shared, id);
                    return;
                }
            }
        }
    }

    /// An entry that has a record got a new head: it is recorded again. Does not wait for the disk.
    pub(crate) fn rerecord(&self, entry: &Arc<Entry<C>>) {
        let Some(record) = self.index.recorded(&entry.key) else { return };
        let Some(digest) = entry.body.digest() else { return };
        let facts = Facts { digest, length: entry.body.committed(), epoch: self.shared.epoch() };
        let Ok(frame) = self.frame(entry, facts) else { return };
        let same = |known: &Arc<Entry<C>>| Arc::ptr_eq(known, entry);
        self.index.record_again(&entry.key, same, record, &frame, C::deadline(&entry.head));
    }

    fn note(&self, entry: &Arc<Entry<C>>, id: BodyId, facts: Facts) -> Recording {
        let Ok(frame) = self.frame(entry, facts) else { return Recording::TooLong };
        let same = |known: &Arc<Entry<C>>| Arc::ptr_eq(known, entry);
        let deadline = C::deadline(&entry.head);
        let Some(noted) = self.index.record(&entry.key, same, &frame, id, deadline) else {
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
        } else {
            // The entry named the body already.
            self.shared.bodies.release(&self.shared, id);
        }
        Recording::Done
    }

    /// The record of an entry, or nothing when it would be too long.
    fn frame(&self, entry: &Entry<C>, facts: Facts) -> Result<Vec<u8>, ()> {
        let mut head = Vec::with_capacity(256);
        C::encode(&entry.head, &mut head);
        let Facts { digest, length, epoch } = facts;
        let put = Put {
            key: entry.key,
            body: BodyRef::Whole { digest, length },
            epoch,
            deadline: C::deadline(&entry.head),
            stored: second(),
            name: &entry.name,
            head: &head,
        };
        let mut frame = Vec::with_capacity(head.len() + entry.name.len() + 128);
        Record::Put(put).encode(&mut frame).map_err(|_| {
            tracing::warn!(name = %entry.name, "an entry of more than {RECORD_LIMIT} bytes does not survive a restart");
        })?;
        Ok(frame)
    }

    /// Takes an entry out for good, if it is one that `is` accepts. Does not wait for the disk: what must follow there is
    /// left to a disk thread.
    pub(crate) fn take_out(self: &Arc<Self>, key: &Key, is: impl Fn(&Seen<Arc<Entry<C>>>) -> bool) -> bool {
        let Some(removed) = self.index.remove(key, is, &removal(key)) else { return false };
        let Removed { entry, erased } = removed;
        if let Some(erased) = erased {
            let (inner, settling) = (self.clone(), self.shared.settling());
            self.shared.pool.push(move || {
                inner.settle_erased(erased);
                drop(settling);
            });
        }
        drop(entry);
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
        let length = self.shared.bodies.facts(body).length;
        self.evictor.lock().removed(number.0, length);
        self.index.free(number);
        self.shared.bodies.release(&self.shared, body);
    }

    /// Why a body of this length is not worth the room that it needs: it is huge, others would have to go for it, and it
    /// was not asked for lately.
    pub(crate) fn not_admitted(&self, key: &Key, length: Option<u64>) -> Option<Refused> {
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
        if let Some(glance) = self.index.glance(number) {
            let length = self.shared.bodies.facts(glance.body).length;
            self.evictor.lock().keep(number.0, length);
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
}

impl<E: Clone, R: Clone> Ledger for Books<'_, E, R> {
    fn look(&self, id: u32) -> Option<Look> {
        let glance = self.index.glance(Number(id))?;
        let hold = match glance.pinned {
            Pinned::Yes => Hold::Held,
            Pinned::No if glance.is_flying => Hold::Held,
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
    Record::Removed(*key).encode(&mut frame).expect("a removal is short");
    frame
}

/// Seconds since 1970.
pub(crate) fn second() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
