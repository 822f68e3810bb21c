//! The cache on the real store, with a scripted origin and a clock that the test moves.

mod bypass;
mod digests;
mod disk;
mod exchange;
mod fetching;
mod freshness;
mod limits;
mod operators;
mod origin;
mod parts;
mod pins;
mod refusals;
mod restart;
mod resuming;
mod suspending;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use http::HeaderMap;
use prometheus_client::registry::Registry;
use protocols::http::conditional::Conditions;
use protocols::http::range::RangeSet;
use protocols::http::url::CanonicalUrl;

use crate::tests::origin::Scripted;
use crate::{
    Answer, Cache, Clock, Digest, Failure, Http, KeyHasher, Method, Parts, Payload, Request, Settings,
    Target, Timestamp, WhenFull,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const SECOND: Duration = Duration::from_secs(1);
const URL: &str = "http://origin.example/file";

/// A clock that stands still until told. Starts at 2023-11-14 22:13:20 UTC.
struct ManualClock(AtomicU64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// A cache with everything around it.
struct Bed {
    cache: Cache,
    origin: Arc<Scripted>,
    clock: Arc<ManualClock>,
    registry: Registry,
    directory: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        Self::with_quota(settings, 64 << 20)
    }

    fn with_quota(settings: Settings, quota: u64) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = config(&directory, quota);
        Self::of(directory, config, settings)
    }

    /// A bed whose store lies on this disk.
    fn over(directory: tempfile::TempDir, disk: Arc<dyn store::Disk>) -> Self {
        let config = store::Config { disk, ..config(&directory, 64 << 20) };
        Self::of(directory, config, Settings::default())
    }

    fn of(directory: tempfile::TempDir, config: store::Config, settings: Settings) -> Self {
        let origin = Arc::new(Scripted::default());
        let clock = Arc::new(ManualClock(AtomicU64::new(1_700_000_000_000)));
        let mut registry = Registry::default();
        let cache = open(config, &origin, &clock, settings, &mut registry);
        Self { cache, origin, clock, registry, directory }
    }

    /// Closes the store and opens it again, as another process would.
    async fn restart(&mut self) {
        let settings = self.cache.inner.settings.clone();
        let quota = self.cache.reader().usage().quota;
        self.cache.inner.store.close().await.expect("a clean end");
        self.registry = Registry::default();
        // The store of the former cache goes with its last holder, and with it the directory's lock.
        let elsewhere = tempfile::tempdir().expect("a directory");
        let registry = &mut self.registry;
        let (origin, clock) = (&self.origin, &self.clock);
        let placeholder =
            open(config(&elsewhere, 0), origin, clock, settings.clone(), &mut Registry::default());
        drop(std::mem::replace(&mut self.cache, placeholder));
        self.cache = open(config(&self.directory, quota), origin, clock, settings, registry);
    }

    fn advance(&self, span: Duration) {
        self.clock.0.fetch_add(span.as_millis() as u64, Ordering::SeqCst);
    }

    async fn get(&self, request: Request) -> Full {
        Full::of(self.cache.answer(request).await.expect("an answer")).await
    }

    /// Asks on a task of its own.
    fn spawn(&self, request: Request) -> tokio::task::JoinHandle<Result<Answer, crate::Error>> {
        let cache = self.cache.clone();
        tokio::spawn(async move { cache.answer(request).await })
    }

    /// Waits until no fill runs.
    async fn quiet(&self) {
        self.cache.inner.live.emptied().await;
    }

    fn metric(&self, line: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("text");
        let found = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("no {line} in\n{text}")).parse().expect("a number")
    }
}

fn config(directory: &tempfile::TempDir, quota: u64) -> store::Config {
    store::Config {
        memory: 1 << 20,
        disk_threads: 2,
        open_files: 64,
        commit_interval: Duration::from_millis(20),
        // Nothing is evicted: a full store stays full.
        min_idle: Duration::from_secs(3600),
        ..store::Config::new(directory.path().join("store"), quota)
    }
}

fn open(
    config: store::Config,
    origin: &Arc<Scripted>,
    clock: &Arc<ManualClock>,
    settings: Settings,
    registry: &mut Registry,
) -> Cache {
    let store = store::open::<Http>(config, registry).expect("a store");
    // Loading goes on on threads of its own; nothing here waits for anything else.
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    while std::pin::pin!(store.loaded()).poll(&mut cx).is_pending() {
        std::thread::yield_now();
    }
    let parts = Parts { store, origin: origin.clone(), clock: clock.clone(), settings };
    Cache::new(parts, registry)
}

impl Drop for Bed {
    /// Lets the disk threads end, so that the directory can be removed.
    fn drop(&mut self) {
        let mut keys = Vec::new();
        self.cache.inner.reader.for_each_warm(|entry| keys.push(entry.key));
        for key in keys {
            let removed = pin!(self.cache.inner.store.remove(&key));
            let _ = removed.poll(&mut Context::from_waker(Waker::noop()));
        }
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..100_000 {
            let settled = pin!(self.cache.inner.store.settle()).poll(&mut cx).is_ready();
            if settled && std::fs::remove_dir_all(self.directory.path()).is_ok() {
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// An answer with its whole body.
struct Full {
    status: u16,
    headers: HeaderMap,
    outcome: crate::Outcome,
    reason: &'static str,
    length: Option<u64>,
    source: crate::Source,
    body: Result<Vec<u8>, Failure>,
}

impl Full {
    async fn of(mut answer: Answer) -> Self {
        let length = answer.payload.length();
        let body = collect(&mut answer.payload).await;
        Self {
            status: answer.status.as_u16(),
            headers: answer.headers,
            outcome: answer.outcome,
            reason: answer.reason,
            length,
            source: answer.payload.source(),
            body,
        }
    }

    fn body(&self) -> &[u8] {
        self.body.as_deref().expect("a whole body")
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    fn how(&self) -> (&'static str, &'static str) {
        (self.outcome.as_str(), self.reason)
    }
}

async fn collect(payload: &mut Payload) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = poll_fn(|cx| payload.poll_chunk(cx)).await {
        bytes.extend_from_slice(&chunk?.bytes);
    }
    Ok(bytes)
}

/// Reads exactly `count` bytes of what is there.
async fn take(payload: &mut Payload, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let chunk = poll_fn(|cx| payload.poll_chunk(cx)).await.expect("more bytes").expect("no failure");
        bytes.extend_from_slice(&chunk.bytes);
    }
    assert_eq!(bytes.len(), count);
    bytes
}

/// Lets every task run until it waits.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn get() -> Request {
    get_url(URL)
}

fn get_url(url: &str) -> Request {
    let hasher = KeyHasher::new([1; 32]);
    let url = CanonicalUrl::parse(url).expect("a URL");
    Request {
        target: Arc::new(Target::new(url, Vec::new(), &hasher)),
        method: Method::Get,
        conditions: Conditions::default(),
        range: None,
        max_age: DAY,
        keep: DAY,
        expected: None,
        when_full: WhenFull::default(),
    }
}

fn head() -> Request {
    Request { method: Method::Head, ..get() }
}

/// A request that accepts copies up to this age, and wants them kept as long.
fn ttl(span: Duration) -> Request {
    Request { max_age: span, keep: span, ..get() }
}

fn expecting(digest: Digest) -> Request {
    Request { expected: Some(digest), ..get() }
}

/// A request with `Range` and conditional fields.
fn with_fields(fields: &[(&'static str, &str)]) -> Request {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().expect("a value"));
    }
    let range = headers.get("range").and_then(|value| RangeSet::parse(value.as_bytes()));
    Request { conditions: Conditions::from_headers(&headers), range, ..get() }
}

fn range(range: &str) -> Request {
    with_fields(&[("range", range)])
}

/// Bytes in which every position is recognisable.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(31) ^ (at >> 8)) as u8).collect()
}
