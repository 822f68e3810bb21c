//! [`Later`]: small bodies reach the disk a moment after their clients have been answered, many at once.
//!
//! Creating and naming a file costs more than all else about a small object. Done at once it would take the core from the
//! next request; done together, by one thread, it costs the clients nothing. Owned by [`Shared`](crate::shared::Shared).
//! Invariant: what is put off happens, also when the store ends. How much waits is bounded by the memory that bodies may
//! take on their way to the disk.

use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

use crate::OpenError;
use crate::files::wake::Alarm;
use crate::shared::Shared;

/// How long the first of a batch waits for others.
const BATCH: Duration = Duration::from_millis(20);
/// How often the thread looks whether the store is still there.
const IDLE: Duration = Duration::from_secs(1);

/// Work that was put off.
#[derive(Default)]
pub(crate) struct Later {
    queue: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
    /// Rung when there is something in the queue.
    filled: Alarm,
    /// Rung by those who do not want to wait for the batch.
    hurry: Alarm,
}

impl Later {
    pub(crate) fn push(&self, work: impl FnOnce() + Send + 'static) {
        let mut queue = self.queue.lock();
        queue.push(Box::new(work));
        if queue.len() == 1 {
            drop(queue);
            self.filled.ring();
        }
    }

    /// What waits now is done at once.
    pub(crate) fn hurry(&self) {
        if !self.queue.lock().is_empty() {
            self.hurry.ring();
        }
    }

    /// Lets the thread see that the store ends.
    pub(crate) fn stop(&self) {
        self.filled.ring();
        self.hurry.ring();
    }

    /// Does what waits, on this thread. Says whether there was anything.
    pub(crate) fn work_off(&self) -> bool {
        let batch = std::mem::take(&mut *self.queue.lock());
        let is_empty = batch.is_empty();
        batch.into_iter().for_each(|work| work());
        !is_empty
    }
}

/// Starts the thread, which ends with the store, when the queue is empty.
pub(crate) fn start(shared: &Arc<Shared>) -> Result<JoinHandle<()>, OpenError> {
    let weak = Arc::downgrade(shared);
    let run = move || {
        while let Some(shared) = Weak::upgrade(&weak) {
            let later = &shared.later;
            later.filled.sleep(IDLE);
            if !shared.is_closed() {
                later.hurry.sleep(BATCH);
            }
            if !later.work_off() && shared.is_closed() {
                return;
            }
        }
    };
    thread::Builder::new()
        .name("store-later".to_owned())
        .spawn(run)
        .map_err(|error| OpenError { detail: format!("cannot start a disk thread: {error}") })
}
