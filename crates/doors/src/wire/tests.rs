//! The way of a body down to the socket, with hyper in between as it is in the server.
//!
//! The trick of these tests: a made-up view of a file has other bytes in memory than in the file, so what the client
//! gets tells which way they took. In a file every byte is odd, in memory even.

mod clocks;
mod events;
mod pointers;
mod sending;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cache::{FileRange, Source};
use http::{Method, Response, StatusCode};
use hyper::service::service_fn;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::body::Piece;
use super::*;
use crate::access_log::{self, AccessLog};
use crate::listen::{Settings, protocol};
use crate::metrics::Metrics;
use crate::service::event::{Ending, Event, Recorder};

/// A body made up by a test.
pub struct Made {
    pub(super) length: Option<u64>,
    pub(super) steps: VecDeque<Step>,
}

/// What a made-up body does next.
pub(super) enum Step {
    Give(Piece),
    /// Waits until the sender says so, or is gone.
    Wait(oneshot::Receiver<()>),
    Fail,
}

impl Made {
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, Broken>>> {
        loop {
            match self.steps.front_mut() {
                Some(Step::Wait(told)) => {
                    std::task::ready!(std::pin::Pin::new(told).poll(cx)).ok();
                    self.steps.pop_front();
                }
                Some(_) => break,
                None => return Poll::Ready(None),
            }
        }
        match self.steps.pop_front() {
            Some(Step::Give(piece)) => Poll::Ready(Some(Ok(piece))),
            _ => Poll::Ready(Some(Err(Broken::Short))),
        }
    }
}

/// `length` bytes of a file: what the n-th byte is there.
pub(super) fn in_file(n: usize) -> u8 {
    ((n / 251 + n) as u8) | 1
}

/// And in memory.
pub(super) fn in_memory(n: usize) -> u8 {
    ((n / 251 + n) as u8) & !1
}

pub(super) fn file_bytes(length: usize) -> Vec<u8> {
    (0..length).map(in_file).collect()
}

pub(super) fn memory_bytes(length: usize) -> Vec<u8> {
    (0..length).map(in_memory).collect()
}

/// A file and what stands for its mapping.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) file: Arc<File>,
    pub(super) mapping: Bytes,
}

impl Stored {
    pub(super) fn new(length: usize) -> Self {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&file_bytes(length)).expect("room");
        Self { file: Arc::new(file), mapping: memory_bytes(length).into() }
    }

    /// The whole in frames of `frame` bytes.
    pub(super) fn steps(&self, frame: usize) -> VecDeque<Step> {
        (0..self.mapping.len()).step_by(frame).map(|start| Step::Give(self.piece(start, frame))).collect()
    }

    fn piece(&self, start: usize, frame: usize) -> Piece {
        let end = self.mapping.len().min(start + frame);
        Piece {
            bytes: self.mapping.slice(start..end),
            file: Some(FileRange { file: Arc::clone(&self.file), offset: start as u64 }),
            source: Some(Source::Cache),
        }
    }

    /// With `Content-Length`.
    pub(super) fn body(&self, frame: usize) -> Body {
        Body::Made(Made { length: Some(self.mapping.len() as u64), steps: self.steps(frame) })
    }

    /// In chunks.
    pub(super) fn body_in_chunks(&self, frame: usize) -> Body {
        Body::Made(Made { length: None, steps: self.steps(frame) })
    }
}

/// How a test server differs from the default.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) limits: Limits,
    pub(super) send_buffer: Option<usize>,
    pub(super) log: AccessLog,
}

impl Default for Setup {
    fn default() -> Self {
        let long = Duration::from_secs(3600);
        Self {
            limits: Limits { write: long, head: long, idle: long, aside: usize::MAX },
            send_buffer: None,
            log: AccessLog::off(),
        }
    }
}

/// A server that answers each path with a body.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) registry: Registry,
}

impl Server {
    pub(super) async fn start(setup: Setup, answer: impl Fn(&str) -> Body + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let mut registry = Registry::default();
        let recorder = Recorder { log: setup.log.clone(), metrics: Metrics::register(&mut registry) };
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((socket, address)) = listener.accept().await {
                if let Some(size) = setup.send_buffer {
                    socket2::SockRef::from(&socket).set_send_buffer_size(size).expect("a size");
                }
                let peer = Arc::new(Peer::new(address, recorder.clone()));
                let wire = Wire::new(socket, Arc::clone(&peer), setup.limits);
                tokio::spawn(serve(wire, peer, Arc::clone(&answer)));
            }
        });
        Self { address, registry }
    }

    pub(super) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("encodes");
        text
    }
}

async fn serve(wire: Wire, peer: Arc<Peer>, answer: Arc<impl Fn(&str) -> Body>) {
    let protocol = protocol(&Settings::default());
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let watch = Watch::begin(&peer, request.version());
        let body = Outgoing::new(answer(request.uri().path()), event(request.uri().path()), watch);
        std::future::ready(Ok::<_, Infallible>(Response::new(body)))
    });
    let _ = protocol.serve_connection(wire, service).await;
}

pub(super) fn event(target: &str) -> Event {
    Event {
        client: std::net::Ipv4Addr::LOCALHOST.into(),
        method: Method::GET,
        target: target.into(),
        status: StatusCode::OK,
        door: "fetch",
        outcome: None,
        reason: "test",
        bytes: 0,
        started: Instant::now(),
        first_byte: None,
        duration: Duration::ZERO,
        ending: Ending::Broken,
    }
}

/// Lines of an access log.
pub(super) struct Lines(Arc<parking_lot::Mutex<std::sync::mpsc::Receiver<serde_json::Value>>>);

/// A log whose lines come out of a channel.
pub(super) fn log() -> (AccessLog, Lines) {
    struct Output(std::sync::mpsc::Sender<serde_json::Value>);
    impl std::io::Write for Output {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            for line in String::from_utf8_lossy(bytes).lines() {
                let _ = self.0.send(serde_json::from_str(line).expect("JSON"));
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (sender, lines) = std::sync::mpsc::channel();
    let settings = access_log::Settings { format: access_log::Format::Json, queue: 100 };
    let metrics = Metrics::register(&mut Registry::default());
    let (log, _thread) = AccessLog::start(settings, Output(sender), metrics).expect("a thread");
    (log, Lines(Arc::new(parking_lot::Mutex::new(lines))))
}

/// The next line; the log's thread runs beside the test's.
pub(super) async fn next(lines: &Lines) -> serde_json::Value {
    let lines = Arc::clone(&lines.0);
    let line = tokio::task::spawn_blocking(move || lines.lock().recv_timeout(testkit::GUARD));
    line.await.expect("no panic").expect("a line")
}
