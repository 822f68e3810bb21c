//! [`Quota`]: exact accounting of body bytes, reserved before they are written.
//!
//! Owns the number of bytes in use. Invariants: `used` is the sum of all live [`Reservation`]s and never above the
//! quota; a reservation is given back when its owner drops it, which for a body is after its file is gone.
//! Deliberately not here: making room.

use std::sync::atomic::Ordering;

use crate::metrics::Level;

/// First step of a reservation for a body of unknown length.
const FIRST_STEP: u64 = 64 << 10;
/// Longest step.
const LAST_STEP: u64 = 16 << 20;

/// The store's limit on body bytes; clones share the count.
#[derive(Clone)]
pub(crate) struct Quota {
    used: Level,
    limit: u64,
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
    pub(crate) fn new(used: Level, limit: u64) -> Self {
        Self { used, limit }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.get()
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Takes `bytes` at once, or nothing.
    pub(crate) fn reserve(&self, bytes: u64) -> Result<Reservation, NoSpace> {
        let bytes = self.take(bytes, bytes)?;
        Ok(Reservation { quota: self.clone(), bytes })
    }

    /// Takes `wanted` bytes, or what there is if that is at least `needed`.
    fn take(&self, needed: u64, wanted: u64) -> Result<u64, NoSpace> {
        let used = self.used.atomic();
        let mut before = used.load(Ordering::Relaxed);
        loop {
            let free = self.limit.saturating_sub(before);
            if free < needed {
                return Err(NoSpace { wanted: needed, used: before, quota: self.limit });
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

    /// Gives back what is above `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        let excess = self.bytes.saturating_sub(bytes);
        self.quota.used.sub(excess);
        self.bytes -= excess;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.quota.used.sub(self.bytes);
    }
}
