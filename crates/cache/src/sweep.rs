//! Removal of objects that nobody wants kept any more. Runs beside everything else on one task; owns nothing.

use std::sync::Arc;

use store::{BodyState, Entry};
use tokio::time::MissedTickBehavior;

use crate::{Cache, Http, Timestamp};

impl Cache {
    /// Removes, at every `sweep_interval` and for ever, the objects whose longest wish to be kept ended more
    /// than `stale_if_error` ago, and refusals past their time. The binary spawns this once.
    pub async fn sweep_forever(self) {
        let mut ticks = tokio::time::interval(self.inner.settings.sweep_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            while self.sweep() == self.inner.settings.sweep_batch {
                tokio::task::yield_now().await;
            }
        }
    }

    /// One pass; returns how many entries it found.
    pub(crate) fn sweep(&self) -> usize {
        let now = self.inner.clock.now();
        self.inner.negatives.sweep(now);
        let mut unwanted = Vec::new();
        self.inner.reader.for_each(|entry| {
            if unwanted.len() < self.inner.settings.sweep_batch && self.is_unwanted(entry, now) {
                unwanted.push(Arc::clone(entry));
            }
        });
        for entry in &unwanted {
            if self.inner.store.remove_entry(entry) {
                self.inner.metrics.swept.inc();
            }
        }
        unwanted.len()
    }

    fn is_unwanted(&self, entry: &Entry<Http>, now: Timestamp) -> bool {
        let end = entry.head.keep_until().after(self.inner.settings.stale_if_error);
        end <= now && entry.body.state() != BodyState::Filling
    }
}
