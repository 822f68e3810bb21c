//! [`Quota`]: exact accounting of body bytes, reserved before they are written.
//!
//! Owns the number of bytes in use. Invariants: `used` is the sum of all live [`Reservation`]s and of the bodies that
//! have a name; what is reserved never goes above the limit; bytes are given back after the file is gone.
//! Deliberately not here: making room, which the keeper does for those who wait in [`Quota::freed`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::metrics::Level;
use crate::waiters::WaitList;

/// First step of a reservation for a body of unknown length.
const FIRST_STEP: u64 = 64 << 10;
/// Longest step.
const LAST_STEP: u64 = 16 << 20;

/// The store's limit on body bytes; clones share the count.
#[derive(Clone)]
pub(crate) struct Quota {
    used: Level,
    /// What the operator allows.
    quota: u64,
    /// What may be used now: the quota, or less when the disk has less.
    limit: Arc<AtomicU64>,
    freed: Arc<WaitList>,
}

/// Bytes that are not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoSpace {
    pub(crate) wanted: u64,
    pub(crate) used: u64,
    pub(crate) quota: u64,
}

/// Bytes that belong to one body.
pub(crate) struct Reservation {
    quota: Quota,
    bytes: u64,
}

impl Quota {
    pub(crate) fn new(used: Level, quota: u64) -> Self {
        Self { used, quota, limit: Arc::new(AtomicU64::new(quota)), freed: Arc::default() }
    }

    /// Bytes that may be reserved now.
    pub(crate) fn free(&self) -> u64 {
        self.limit().saturating_sub(self.used())
    }

    /// The operator's quota.
    pub(crate) fn quota(&self) -> u64 {
        self.quota
    }

    /// The disk leaves room for `bytes` in all: the quota holds, or this when it is less.
    pub(crate) fn set_room(&self, bytes: u64) {
        self.limit.store(self.quota.min(bytes), Ordering::Relaxed);
    }

    /// Counts bytes that are on the disk already, above the limit if need be.
    pub(crate) fn take_anyway(&self, bytes: u64) {
        self.used.add(bytes);
    }

    /// Gives bytes back whose file is gone.
    pub(crate) fn give_back(&self, bytes: u64) {
        self.used.sub(bytes);
        self.freed.wake_all();
    }

    /// Those who wait for bytes to be given back.
    pub(crate) fn freed(&self) -> &WaitList {
        &self.freed
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.get()
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Takes `bytes` at once, or nothing.
    pub(crate) fn reserve(&self, bytes: u64) -> Result<Reservation, NoSpace> {
        let bytes = self.take(bytes, bytes)?;
        Ok(Reservation { quota: self.clone(), bytes })
    }

    /// Bytes that are counted already are the reservation's from now on.
    pub(crate) fn take_over(&self, bytes: u64) -> Reservation {
        Reservation { quota: self.clone(), bytes }
    }

    /// Takes `wanted` bytes, or what there is if that is at least `needed`.
    fn take(&self, needed: u64, wanted: u64) -> Result<u64, NoSpace> {
        let used = self.used.atomic();
        let mut before = used.load(Ordering::Relaxed);
        loop {
            let limit = self.limit();
            let free = limit.saturating_sub(before);
            if free < needed {
                return Err(NoSpace { wanted: needed, used: before, quota: limit });
            }
            let taken = wanted.min(free);
            match used.compare_exchange_weak(before, before + taken, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(taken),
                Err(now) => before = now,
            }
        }
    }
}

impl Reservation {
    /// Makes the reservation at least `bytes` long, in steps that double from 64 KiB to 16 MiB; a step is never the
    /// reason for a refusal.
    pub(crate) fn cover(&mut self, bytes: u64) -> Result<(), NoSpace> {
        let Some(needed) = bytes.checked_sub(self.bytes).filter(|needed| *needed > 0) else { return Ok(()) };
        let step = self.bytes.clamp(FIRST_STEP, LAST_STEP);
        self.bytes += self.quota.take(needed, needed.max(step))?;
        Ok(())
    }

    /// Takes another reservation's bytes too.
    pub(crate) fn join(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Gives back what is above `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        let excess = self.bytes.saturating_sub(bytes);
        self.quota.give_back(excess);
        self.bytes -= excess;
    }

    /// Gives `bytes` back.
    pub(crate) fn release(&mut self, bytes: u64) {
        let released = bytes.min(self.bytes);
        self.bytes -= released;
        self.quota.give_back(released);
    }

    /// The first `bytes` are counted elsewhere from now on; the rest is given back.
    pub(crate) fn hand_over(mut self, bytes: u64) {
        self.shrink_to(bytes);
        self.bytes = 0;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.quota.give_back(self.bytes);
    }
}
