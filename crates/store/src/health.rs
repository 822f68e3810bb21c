//! [`Health`]: whether the disk takes what the store writes, and what is wrong when it does not.
//!
//! Owned by [`Shared`](crate::shared::Shared). Set by whoever meets an error that concerns more than one file, cleared by
//! the keeper when a probe succeeds. While it is set, nothing long is stored: doors stream through.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::io::Errno;

use crate::metrics::Level;

/// Whether the disk takes what the store writes.
pub(crate) struct Health {
    is_degraded: AtomicBool,
    /// 1 while it is set.
    level: Level,
    why: Mutex<Option<Arc<str>>>,
}

impl Health {
    pub(crate) fn new(level: Level) -> Self {
        Self { is_degraded: AtomicBool::new(false), level, why: Mutex::default() }
    }

    /// Why the store does not store, if it does not.
    pub(crate) fn degraded(&self) -> Option<Arc<str>> {
        self.is_degraded.load(Ordering::Relaxed).then(|| self.why.lock().clone()).flatten()
    }

    /// Notes an error; those that concern the whole disk degrade the store.
    pub(crate) fn note(&self, error: &io::Error) {
        if concerns_disk(error) {
            self.degrade(&error.to_string());
        }
    }

    pub(crate) fn degrade(&self, why: &str) {
        let mut known = self.why.lock();
        if known.is_none() {
            tracing::error!("the store does not store any more until this is over: {why}");
            *known = Some(why.into());
            self.is_degraded.store(true, Ordering::Relaxed);
            self.level.set(1);
        }
    }

    pub(crate) fn recover(&self) {
        if self.why.lock().take().is_some() {
            self.is_degraded.store(false, Ordering::Relaxed);
            self.level.set(0);
            tracing::info!("the disk takes files again: the store stores");
        }
    }
}

/// Whether the next file would meet the same error.
fn concerns_disk(error: &io::Error) -> bool {
    let kinds =
        [Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::IO, Errno::ACCESS, Errno::PERM, Errno::NODEV];
    error.raw_os_error().is_some_and(|number| kinds.iter().any(|kind| kind.raw_os_error() == number))
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::io;

    use rustix::io::Errno;

    use super::Health;
    use crate::metrics::Level;

    #[test]
    fn only_what_concerns_the_disk_degrades_and_a_probe_mends_it() {
        let level = Level::default();
        let health = Health::new(level.clone());
        health.note(&Errno::NOENT.into());
        health.note(&io::Error::other("a file is too short"));
        assert_eq!(health.degraded(), None);
        health.note(&Errno::NOSPC.into());
        health.note(&Errno::IO.into());
        assert!(health.degraded().unwrap().contains("No space"));
        assert_eq!(level.get(), 1);
        health.recover();
        assert_eq!(level.get(), 0);
        assert_eq!(health.degraded(), None);
    }
}
