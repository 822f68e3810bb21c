use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use cache::Outcome;
use http::{Method, StatusCode};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;

use super::*;
use crate::service::event::Ending;

fn event(target: &str) -> Event {
    Event {
        client: Ipv4Addr::LOCALHOST.into(),
        method: Method::GET,
        target: target.into(),
        status: StatusCode::OK,
        door: "fetch",
        outcome: Some(Outcome::Hit),
        reason: "fresh",
        bytes: 7,
        started: Instant::now(),
        first_byte: Some(Duration::from_micros(1500)),
        duration: Duration::from_millis(20),
        ending: Ending::Complete,
    }
}

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).expect("lines are UTF-8")
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Says when a write begins and goes on when told.
struct Held {
    begun: Sender<()>,
    go_on: Receiver<()>,
}

impl Write for Held {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.begun.send(());
        let _ = self.go_on.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn start(format: Format, output: impl Write + Send + 'static) -> (AccessLog, WriterThread, Registry) {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let settings = Settings { format, queue: 4 };
    let (log, thread) = AccessLog::start(settings, output, metrics).expect("a thread");
    (log, thread, registry)
}

#[test]
fn a_json_line_has_every_field() {
    let kept = Kept::default();
    let (log, thread, _registry) = start(Format::Json, kept.clone());
    log.write(event("https://example.org/a?sig=***"));
    drop(log);
    thread.join();
    let line: serde_json::Value = serde_json::from_str(&kept.text()).expect("one JSON object");
    assert!(line["timestamp"].as_str().is_some_and(|time| time.len() == 27 && time.ends_with('Z')), "{line}");
    for (field, value) in [
        ("client", serde_json::json!("127.0.0.1")),
        ("method", serde_json::json!("GET")),
        ("target", serde_json::json!("https://example.org/a?sig=***")),
        ("status", serde_json::json!(200)),
        ("bytes", serde_json::json!(7)),
        ("door", serde_json::json!("fetch")),
        ("outcome", serde_json::json!("hit")),
        ("reason", serde_json::json!("fresh")),
        ("first_byte_ms", serde_json::json!(1.5)),
        ("duration_ms", serde_json::json!(20.0)),
        ("ending", serde_json::json!("complete")),
    ] {
        assert_eq!(line[field], value, "{field}");
    }
}

#[test]
fn a_line_for_people_is_one_line_and_says_what_broke() {
    let kept = Kept::default();
    let (log, thread, _registry) = start(Format::Human, kept.clone());
    log.write(Event { ending: Ending::Broken, ..event("https://example.org/a\nb") });
    drop(log);
    thread.join();
    let text = kept.text();
    assert!(
        text.ends_with("127.0.0.1 GET 200 hit fresh 7 B 20.0 ms https://example.org/a\\u{a}b (broken)\n"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn a_full_queue_drops_and_counts_and_does_not_block() {
    let (begun, began) = channel();
    let (release, go_on) = channel();
    let (log, thread, registry) = start(Format::Json, Held { begun, go_on });
    log.write(event("first"));
    began.recv().expect("the writer is at work, held");
    for _ in 0..10 {
        log.write(event("more than the queue takes"));
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
    assert!(text.contains("standpipe_access_log_dropped_lines_total 6"), "{text}");
    drop(release);
    drop(log);
    thread.join();
}

#[test]
fn a_line_after_a_quiet_time_wakes_the_writer() {
    let (begun, began) = channel();
    let (release, go_on) = channel();
    let (log, thread, _registry) = start(Format::Json, Held { begun, go_on });
    drop(release);
    let queue = Arc::clone(log.0.as_ref().expect("started"));
    for _ in 0..20 {
        while !queue.writer_sleeps() {
            std::thread::yield_now();
        }
        log.write(event("line"));
        began.recv_timeout(Duration::from_secs(30)).expect("the line is written");
    }
    drop((log, queue));
    thread.join();
}
