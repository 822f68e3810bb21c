//! [`Pool`]: the threads that wait for the disk.
//!
//! Owns the threads and their queue. Everybody in the crate may submit; jobs run in the order of submission, each on
//! one thread. Invariants: at most `room` callers' jobs wait, further callers wait to submit; jobs pushed without a
//! permit are bounded by what they belong to (two lanes a fill, one burial a body, one job for all entries that leave).
//! A panicking job ends alone. When the pool is dropped, queued jobs still run and then the threads end.
//!
//! Deliberately not here: priorities and cancelling.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::metrics::Level;
use crate::{Failure, reasons};

/// The disk threads.
pub(crate) struct Pool {
    queue: Arc<Queue>,
    room: Arc<Semaphore>,
}

/// The right to put one job in the queue.
pub(crate) struct Permit(#[expect(dead_code, reason = "held until the job starts")] OwnedSemaphorePermit);

struct Queue {
    state: Mutex<State>,
    ready: Condvar,
    waiting: Level,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Waiting>,
    closed: bool,
}

struct Waiting {
    permit: Option<Permit>,
    job: Box<dyn FnOnce() + Send>,
}

impl Pool {
    /// Starts `threads` threads; at most `room` jobs wait for one of them.
    pub(crate) fn start(threads: usize, room: usize, waiting: Level) -> std::io::Result<Self> {
        let queue = Arc::new(Queue { state: Mutex::default(), ready: Condvar::new(), waiting });
        let pool = Self { queue: queue.clone(), room: Arc::new(Semaphore::new(room.max(1))) };
        for number in 0..threads.max(1) {
            let queue = queue.clone();
            thread::Builder::new().name(format!("disk-{number}")).spawn(move || queue.work())?;
        }
        Ok(pool)
    }

    /// Runs `work` on a disk thread; waits first while the queue is full.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (reply, result) = oneshot::channel();
        let permit = self.enter().await;
        // Whoever asked may have gone away meanwhile.
        self.push_with(permit, move || drop(reply.send(work())));
        result.await.map_err(|_| reasons::disk_job_lost())
    }

    /// Waits until there is room in the queue.
    pub(crate) async fn enter(&self) -> Permit {
        Permit(self.room.clone().acquire_owned().await.expect("the semaphore is never closed"))
    }

    /// Puts a job in the queue.
    pub(crate) fn push_with(&self, permit: Permit, job: impl FnOnce() + Send + 'static) {
        self.queue.push(Waiting { permit: Some(permit), job: Box::new(job) });
    }

    /// Puts a job in the queue that its owner bounds himself.
    pub(crate) fn push(&self, job: impl FnOnce() + Send + 'static) {
        self.queue.push(Waiting { permit: None, job: Box::new(job) });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.state.lock().closed = true;
        self.queue.ready.notify_all();
    }
}

impl Queue {
    fn push(&self, waiting: Waiting) {
        self.waiting.inc();
        self.state.lock().jobs.push_back(waiting);
        self.ready.notify_one();
    }

    fn work(&self) {
        while let Some(Waiting { permit, job }) = self.next() {
            self.waiting.dec();
            drop(permit);
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a disk job panicked");
            }
        }
    }

    fn next(&self) -> Option<Waiting> {
        let mut state = self.state.lock();
        loop {
            if let Some(waiting) = state.jobs.pop_front() {
                return Some(waiting);
            }
            if state.closed {
                return None;
            }
            self.ready.wait(&mut state);
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::{Context, Waker};

    use super::Pool;
    use crate::metrics::Level;

    #[tokio::test]
    async fn a_panicking_job_ends_alone() {
        let pool = Pool::start(1, 1, Level::default()).unwrap();
        let lost = pool.run(|| panic!("expected by the test")).await;
        assert_eq!(lost.map(|()| 0).unwrap_err().reason, "disk_error");
        assert_eq!(pool.run(|| 1).await, Ok(1));
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_waits_for_room() {
        let waiting = Level::default();
        let pool = Pool::start(1, 1, waiting.clone()).unwrap();
        let (release, hold) = mpsc::channel::<()>();
        let (started, running) = mpsc::channel();
        pool.push(move || {
            started.send(()).unwrap();
            hold.recv().unwrap();
        });
        running.recv().unwrap();
        let mut first = pin!(pool.run(|| 1));
        let mut second = pin!(pool.run(|| 2));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(cx).is_pending());
        assert!(second.as_mut().poll(cx).is_pending());
        assert_eq!(waiting.get(), 1, "the second has not been queued");
        release.send(()).unwrap();
        assert_eq!((first.await, second.await), (Ok(1), Ok(2)));
    }

    #[test]
    fn queued_jobs_run_although_the_pool_is_dropped() {
        let pool = Pool::start(1, 1, Level::default()).unwrap();
        let (done, result) = mpsc::channel();
        for job in 0..3 {
            let done = done.clone();
            pool.push(move || done.send(job).unwrap());
        }
        drop((pool, done));
        assert_eq!(result.iter().collect::<Vec<_>>(), [0, 1, 2]);
    }
}
