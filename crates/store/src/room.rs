//! [`Room`]: how those who need space ask the keeper for it, and learn that it has done what it could.
//!
//! Owned by [`Shared`]. Invariant: an asker waits for two rounds of the keeper at most, because the first may have begun
//! before it asked. Deliberately not here: who has to go.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::files::wake::Alarm;
use crate::quota::{NoSpace, Reservation};
use crate::shared::Shared;

/// Rounds of the keeper after which an asker gives up.
const ROUNDS: u64 = 2;

/// Requests for space.
#[derive(Default)]
pub(crate) struct Room {
    /// Bytes asked for since the last round began.
    wanted: AtomicU64,
    /// Rounds that have ended.
    rounds: AtomicU64,
    /// Wakes the keeper.
    pub(crate) alarm: Alarm,
}

impl Room {
    /// What has been asked for since the last time.
    pub(crate) fn take_wanted(&self) -> u64 {
        self.wanted.swap(0, Ordering::Relaxed)
    }

    /// A round has ended: what it has evicted is on its way out.
    pub(crate) fn end_round(&self) {
        self.rounds.fetch_add(1, Ordering::Release);
    }

    fn ask(&self, bytes: u64) -> u64 {
        let round = self.rounds.load(Ordering::Acquire);
        self.wanted.fetch_add(bytes, Ordering::Relaxed);
        self.alarm.ring();
        round
    }

    fn has_passed(&self, asked: u64) -> bool {
        self.rounds.load(Ordering::Acquire) >= asked + ROUNDS
    }
}

impl Shared {
    /// Reserves `bytes`; others are evicted when need be.
    pub(crate) async fn reserve(&self, bytes: u64) -> Result<Reservation, NoSpace> {
        loop {
            let refused = match self.quota.reserve(bytes) {
                Ok(reservation) => return Ok(reservation),
                Err(refused) => refused,
            };
            if !self.make_room(bytes).await {
                return self.quota.reserve(bytes).map_err(|_| refused);
            }
        }
    }

    /// Waits until `bytes` are free; `false` when they are not to be had.
    pub(crate) async fn make_room(&self, bytes: u64) -> bool {
        if bytes > self.quota.limit() || self.is_closed() {
            return false;
        }
        let asked = self.room.ask(bytes);
        let check = || {
            if self.quota.free() >= bytes {
                return Some(true);
            }
            let is_over = self.room.has_passed(asked) && !self.is_burying();
            if !is_over {
                // The next round may be the last.
                self.room.alarm.ring();
            }
            is_over.then_some(false)
        };
        self.quota.freed().until(check).await
    }
}
