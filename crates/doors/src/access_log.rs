//! One line per finished request.
//!
//! [`AccessLog`] takes events on the request's way and hands them to a thread of its own, which formats and writes
//! ([`line`]). Invariants: writing never blocks a request: when the queue is full the line is dropped and counted;
//! fields cannot break out of their line. Does not decide what is logged: every request ends as one event.

mod line;
mod writer;

use std::io::Write;
use std::sync::Arc;

use crate::metrics::Metrics;
use crate::service::event::Event;
use writer::{Queue, Writer};

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people at a terminal.
    Human,
    /// One JSON object a line, for programs.
    Json,
}

/// Settings of the access log, with their defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How lines look (default: human on a terminal, JSON otherwise).
    pub format: Format,
    /// Most lines that wait for the writer; more are dropped and counted (default 8192).
    pub queue: usize,
}

impl Settings {
    /// The defaults for lines that go to `output`.
    pub fn for_output(output: &impl std::io::IsTerminal) -> Self {
        Self { format: if output.is_terminal() { Format::Human } else { Format::Json }, queue: 8192 }
    }
}

/// Hands finished requests to the writer; clones share it.
#[derive(Clone, Debug)]
pub struct AccessLog(Option<Arc<Queue>>);

/// The writer thread; ends with the last [`AccessLog`], having written what waited.
#[derive(Debug)]
pub struct WriterThread(Option<std::thread::JoinHandle<()>>);

impl AccessLog {
    /// No lines.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Starts the writer thread. Errors when the system has no thread left.
    pub fn start(
        settings: Settings,
        output: impl Write + Send + 'static,
        metrics: Metrics,
    ) -> std::io::Result<(Self, WriterThread)> {
        let (queue, writer) = Writer::new(settings, output, metrics);
        let thread = std::thread::Builder::new().name("access-log".into()).spawn(move || writer.run())?;
        queue.wakes(thread.thread().clone());
        Ok((Self(Some(Arc::new(queue))), WriterThread(Some(thread))))
    }

    /// Hands an event to the writer, or drops it when the queue is full.
    pub(crate) fn write(&self, event: Event) {
        if let Some(queue) = &self.0 {
            queue.push(event);
        }
    }
}

impl WriterThread {
    /// Waits until everything is written; the caller has dropped its [`AccessLog`]s.
    pub fn join(mut self) {
        if let Some(thread) = self.0.take()
            && thread.join().is_err()
        {
            tracing::error!("the access-log writer died; lines are missing");
        }
    }
}

#[cfg(test)]
mod tests;
