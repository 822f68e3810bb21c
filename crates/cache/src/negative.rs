//! [`Negatives`]: refusals remembered for a short time, so that one failing URL is not asked for again and again.
//!
//! Owns the memory; the cache asks before it claims and the fill tells when a claim ends without an object. At
//! most `negative.entries` refusals, the oldest goes first. Never looks at stored objects: a refusal does not
//! touch them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use store::{Blame, Digest, Key};

use crate::metrics::Metrics;
use crate::{Error, Kind, Outcome, Refusal, Settings, Timestamp};

/// What a refusal is about: a key, or a digest that the object of that key was found not to have.
type Subject = (Key, Option<Digest>);

pub(crate) struct Negatives {
    limit: usize,
    gone: Duration,
    other: Duration,
    unstorable: Duration,
    metrics: Arc<Metrics>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    refusals: HashMap<Subject, Remembered>,
    /// Subjects by the number of their refusal: the first is the oldest.
    by_number: BTreeMap<u64, Subject>,
    next_number: u64,
}

struct Remembered {
    number: u64,
    refusal: Refusal,
    since: Timestamp,
    until: Timestamp,
}

impl Negatives {
    pub(crate) fn new(settings: &Settings, metrics: Arc<Metrics>) -> Self {
        Self {
            limit: settings.negative_entries,
            gone: settings.negative_gone,
            other: settings.negative_other,
            unstorable: settings.negative_unstorable,
            metrics,
            memory: Mutex::default(),
        }
    }

    /// Remembers why there is no object, when the origin is to blame; our own troubles end without notice.
    pub(crate) fn remember(&self, key: Key, refusal: &Refusal, now: Timestamp) {
        if refusal.kind.blame() == Blame::Origin {
            self.insert((key, None), refusal, now);
        }
    }

    /// Remembers that the object of `key` was fetched and does not have the digest `expected`.
    pub(crate) fn remember_mismatch(&self, key: Key, expected: Digest, refusal: &Refusal, now: Timestamp) {
        self.insert((key, Some(expected)), refusal, now);
    }

    /// Remembers that the store broke off the object of `key`.
    pub(crate) fn remember_unstorable(&self, key: Key, refusal: &Refusal, now: Timestamp) {
        self.insert((key, None), refusal, now);
    }

    /// The remembered refusal for a request, if any.
    pub(crate) fn recall(&self, key: Key, expected: Option<Digest>, now: Timestamp) -> Option<Error> {
        let mut memory = self.memory.lock();
        let found = memory.recall((key, None), now).or_else(|| memory.recall((key, Some(expected?)), now));
        self.metrics.negatives.set(memory.refusals.len() as i64);
        found
    }

    /// Forgets what was wrong with `key`: there is an object now, or somebody wants it asked for again.
    pub(crate) fn forget(&self, key: Key) {
        let mut memory = self.memory.lock();
        memory.remove(&(key, None));
        self.metrics.negatives.set(memory.refusals.len() as i64);
    }

    /// Forgets everything about `key`, digests as well. Looks at every refusal: for deletion on demand.
    pub(crate) fn forget_all(&self, key: Key) {
        self.retain(|subject, _| subject.0 != key);
    }

    /// Forgets what is past its time.
    pub(crate) fn sweep(&self, now: Timestamp) {
        self.retain(|_, remembered| now < remembered.until);
    }

    fn retain(&self, keep: impl Fn(&Subject, &Remembered) -> bool) {
        let mut memory = self.memory.lock();
        let Memory { refusals, by_number, .. } = &mut *memory;
        refusals.retain(|subject, remembered| {
            let kept = keep(subject, remembered);
            if !kept {
                by_number.remove(&remembered.number);
            }
            kept
        });
        self.metrics.negatives.set(refusals.len() as i64);
    }

    fn insert(&self, subject: Subject, refusal: &Refusal, now: Timestamp) {
        if self.limit == 0 {
            return;
        }
        let mut memory = self.memory.lock();
        memory.remove(&subject);
        while memory.refusals.len() >= self.limit {
            memory.drop_oldest();
            self.metrics.negatives_dropped.inc();
        }
        let until = now.after(self.span(refusal.kind));
        memory.insert(subject, Arc::clone(refusal), now, until);
        self.metrics.negatives.set(memory.refusals.len() as i64);
    }

    const fn span(&self, kind: Kind) -> Duration {
        match kind {
            Kind::OriginStatus(StatusCode::NOT_FOUND | StatusCode::GONE) => self.gone,
            kind if kind.is_unstorable() => self.unstorable,
            _ => self.other,
        }
    }
}

impl Memory {
    fn insert(&mut self, subject: Subject, refusal: Refusal, since: Timestamp, until: Timestamp) {
        let number = self.next_number;
        self.next_number += 1;
        self.by_number.insert(number, subject);
        self.refusals.insert(subject, Remembered { number, refusal, since, until });
    }

    fn remove(&mut self, subject: &Subject) {
        if let Some(remembered) = self.refusals.remove(subject) {
            self.by_number.remove(&remembered.number);
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, subject)) = self.by_number.pop_first() {
            self.refusals.remove(&subject);
        }
    }

    /// The refusal as it is now: what the origin asked to wait has become shorter.
    fn recall(&mut self, subject: Subject, now: Timestamp) -> Option<Error> {
        let remembered = self.refusals.get(&subject)?;
        if now >= remembered.until {
            self.remove(&subject);
            return None;
        }
        let mut error = Error::clone(&remembered.refusal);
        let elapsed = now.since(remembered.since);
        error.retry_after = error.retry_after.map(|wait| wait.saturating_sub(elapsed));
        error.outcome = Outcome::Negative;
        Some(error)
    }
}
