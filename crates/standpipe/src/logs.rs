//! Log lines on their way to stderr.
//!
//! A terminal that scrolls back or a full pipe must not stop a thread that serves: lines go through a bounded queue to
//! a thread of their own, and are dropped and counted when it is full. Owns the queue; [`start`] is called once, and the
//! guard it gives, when dropped, waits (not for ever) until what was logged is written. Panics are logged here too.
//!
//! Deliberately not here: the access log, which has a queue of its own.

use std::io::{self, IsTerminal, Write};
use std::panic;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, registry};

use crate::config::{LogFormat, Values};

/// How long the end of the process waits for lines to be written.
const PATIENCE: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    /// Everything before this has been written when the answer comes.
    Flush(SyncSender<()>),
}

/// Writes what waits when dropped.
pub(crate) struct Logs {
    queue: SyncSender<Message>,
    dropped: Counter,
}

/// Starts logging as configured.
pub(crate) fn start(values: &Values) -> Result<Logs, String> {
    let (queue, lines) = sync_channel(values.log_queue.count());
    let dropped = Counter::default();
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write_all(&lines, io::stderr()))
        .map_err(|error| format!("the log's thread cannot start: {error}"))?;

    let on_terminal = io::stderr().is_terminal();
    let writer = Queue { queue: queue.clone(), dropped: dropped.clone() };
    let lines = fmt::layer().with_writer(writer).with_ansi(on_terminal);
    let json = values.log_format == LogFormat::Json || values.log_format == LogFormat::Auto && !on_terminal;
    let lines = if json { lines.json().flatten_event(true).boxed() } else { lines.boxed() };
    // Fails only when logging has been started before, and then it has been started.
    drop(registry().with(lines.with_filter(values.log_level.0.clone())).try_init());
    log_panics();
    Ok(Logs { queue, dropped })
}

/// A panic ends its task and nothing else; it is logged where all else is.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let cause = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, cause, "panic; please report it");
    }));
}

impl Logs {
    /// Lines dropped because the queue was full, for the registry.
    pub(crate) fn dropped(&self) -> Counter {
        self.dropped.clone()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let (written, is_written) = sync_channel(1);
        if self.queue.try_send(Message::Flush(written)).is_ok() {
            // Who does not read stderr does not read the last line either.
            let _ = is_written.recv_timeout(PATIENCE);
        }
    }
}

fn write_all(lines: &Receiver<Message>, mut output: impl Write) {
    for message in lines {
        match message {
            // Where should a failure to log be logged?
            Message::Line(line) => drop(output.write_all(&line)),
            Message::Flush(written) => drop(output.flush().map(|()| written.try_send(()))),
        }
    }
}

#[derive(Clone)]
struct Queue {
    queue: SyncSender<Message>,
    dropped: Counter,
}

/// Gathers one line.
struct Line<'a> {
    text: Vec<u8>,
    queue: &'a Queue,
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { text: Vec::new(), queue: self }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let line = Message::Line(std::mem::take(&mut self.text));
        if let Err(TrySendError::Full(_)) = self.queue.queue.try_send(line) {
            self.queue.dropped.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(length: usize) -> (Queue, Receiver<Message>) {
        let (queue, lines) = sync_channel(length);
        (Queue { queue, dropped: Counter::default() }, lines)
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_never_waits() {
        let (queue, lines) = queue(2);
        for number in 0..5 {
            writeln!(queue.make_writer(), "{number}").expect("memory");
        }
        assert_eq!(queue.dropped.get(), 3);
        drop(queue);
        let mut written = Vec::new();
        write_all(&lines, &mut written);
        assert_eq!(written, b"0\n1\n");
    }

    #[test]
    fn a_panic_becomes_a_line_of_the_log_and_ends_only_its_thread() {
        let (queue, lines) = queue(2);
        let log = registry().with(fmt::layer().json().flatten_event(true).with_writer(queue));
        let usual = panic::take_hook();
        log_panics();
        let died =
            tracing::subscriber::with_default(log, || panic::catch_unwind(|| panic!("tap {}", "left open")));
        panic::set_hook(usual);
        assert!(died.is_err());
        let Ok(Message::Line(line)) = lines.try_recv() else { panic!("no line") };
        let line: serde_json::Value = serde_json::from_slice(&line).expect("one JSON object");
        assert_eq!(line["level"], "ERROR");
        assert_eq!(
            (line["message"].as_str(), line["cause"].as_str()),
            (Some("panic; please report it"), Some("tap left open"))
        );
        assert!(line["place"].as_str().is_some_and(|place| place.contains("logs.rs:")), "{line}");
    }

    #[test]
    fn dropping_the_guard_waits_until_all_is_written() {
        let (queue, lines) = queue(8);
        writeln!(queue.make_writer(), "last words").expect("memory");
        let (reader, writer) = io::pipe().expect("a pipe");
        thread::spawn(move || write_all(&lines, writer));
        drop(Logs { queue: queue.queue.clone(), dropped: Counter::default() });
        drop(queue);
        assert_eq!(io::read_to_string(reader).expect("read"), "last words\n");
    }
}
