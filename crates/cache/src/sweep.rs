//! Removal of objects that nobody wants kept any more. Runs beside everything else on one task; owns nothing.

use tokio::time::MissedTickBehavior;

use crate::Cache;

impl Cache {
    /// Removes, at every `sweep_interval` and for ever, the objects whose longest wish to be kept ended more
    /// than `stale_if_error` ago, and refusals and pins past their time. The binary spawns this once.
    pub async fn sweep_forever(self) {
        let mut ticks = tokio::time::interval(self.inner.settings.sweep_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.expire_pins().await;
            let cache = self.clone();
            // The store looks at all its entries: too long for an executor thread when there are millions.
            if let Err(error) = tokio::task::spawn_blocking(move || cache.sweep()).await {
                tracing::error!(%error, "the removal of old objects broke off");
            }
        }
    }

    /// Removes all that is past its time now; returns how many entries that were.
    pub(crate) fn sweep(&self) -> usize {
        let now = self.inner.clock.now();
        self.inner.negatives.sweep(now);
        // A deadline of this second has come.
        let second = u32::try_from(now.seconds() + 1).unwrap_or(u32::MAX);
        let mut sum = 0;
        loop {
            let removed = self.inner.store.remove_expired(second, self.inner.settings.sweep_batch);
            self.inner.metrics.swept.inc_by(removed as u64);
            sum += removed;
            if removed < self.inner.settings.sweep_batch {
                return sum;
            }
        }
    }
}
