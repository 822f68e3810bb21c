//! [`Queue`] and [`Writer`]: from the request's way to the log's thread.
//!
//! A request that wakes a sleeping thread pays for a system call. So the writer, once woken, looks into the queue each
//! [`LINGER`] until it finds it empty; only the first line after a quiet time wakes it.

use std::io::{BufWriter, Write};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Duration;

use super::line::Lines;
use super::{Format, Settings};
use crate::metrics::Metrics;
use crate::service::event::Event;

/// How long lines gather while there is traffic; a queue of the default size then takes 400 000 lines a second.
const LINGER: Duration = Duration::from_millis(20);

/// Lines gathered for one write.
const BUFFER: usize = 256 * 1024;

/// The request's end of the queue.
#[derive(Debug)]
pub(super) struct Queue {
    /// `None` only while the queue is dropped.
    events: Option<SyncSender<Event>>,
    asleep: Arc<AtomicBool>,
    thread: OnceLock<Thread>,
    metrics: Metrics,
}

impl Queue {
    /// Names the writer's thread.
    pub(super) fn wakes(&self, thread: Thread) {
        // Set once, right after the thread was started.
        let _ = self.thread.set(thread);
    }

    pub(super) fn push(&self, event: Event) {
        let Some(events) = &self.events else { return };
        match events.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.metrics.line_dropped(),
        }
        // Either the writer sees this event before it sleeps, or we see that it sleeps.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    #[cfg(test)]
    pub(super) fn writer_sleeps(&self) -> bool {
        self.asleep.load(Ordering::Relaxed)
    }

    fn wake(&self) {
        self.asleep.store(false, Ordering::Relaxed);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.events = None;
        self.wake();
    }
}

/// The thread's end of the queue.
pub(super) struct Writer<W: Write> {
    events: Receiver<Event>,
    asleep: Arc<AtomicBool>,
    output: BufWriter<W>,
    format: Format,
    lines: Lines,
    failing: bool,
}

/// What a look into the queue found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Lines,
    Nothing,
    End,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(settings: Settings, output: W, metrics: Metrics) -> (Queue, Self) {
        let (sender, events) = sync_channel(settings.queue.max(1));
        let asleep = Arc::new(AtomicBool::new(false));
        let queue =
            Queue { events: Some(sender), asleep: Arc::clone(&asleep), thread: OnceLock::new(), metrics };
        let output = BufWriter::with_capacity(BUFFER, output);
        let writer =
            Self { events, asleep, output, format: settings.format, lines: Lines::default(), failing: false };
        (queue, writer)
    }

    /// Writes until the last sender is gone.
    pub(super) fn run(mut self) {
        loop {
            match self.write_queued() {
                Found::End => return,
                Found::Lines => std::thread::park_timeout(LINGER),
                Found::Nothing => self.sleep(),
            }
        }
    }

    fn write_queued(&mut self) -> Found {
        let mut found = Found::Nothing;
        loop {
            match self.events.try_recv() {
                Ok(event) => {
                    found = Found::Lines;
                    let line = self.lines.format(&event, self.format);
                    let written = self.output.write_all(line.as_bytes());
                    self.judge(written);
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    found = Found::End;
                    break;
                }
            }
        }
        let flushed = self.output.flush();
        self.judge(flushed);
        found
    }

    fn sleep(&mut self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.write_queued() == Found::Nothing {
            std::thread::park();
        }
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// A log that cannot be written (disk full, pipe closed) is said once, and never stops the service.
    fn judge(&mut self, result: std::io::Result<()>) {
        match result {
            Ok(()) => self.failing = false,
            Err(_) if self.failing => {}
            Err(error) => {
                self.failing = true;
                tracing::warn!(%error, "the access log cannot be written; lines are lost until it can");
            }
        }
    }
}
