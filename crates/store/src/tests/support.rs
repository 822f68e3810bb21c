//! What the store's tests share: a store in a directory of its own, sources of bytes, readers.

use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use prometheus_client::registry::Registry;

use crate::*;

/// Heads are numbers, refusals are words.
pub(crate) struct Plain;

impl Contents for Plain {
    type Head = u32;
    type Refusal = &'static str;

    fn encode(head: &u32, into: &mut Vec<u8>) {
        into.extend_from_slice(&head.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<u32> {
        bytes.try_into().ok().map(u32::from_le_bytes)
    }

    /// The head is the deadline.
    fn deadline(head: &u32) -> u32 {
        *head
    }
}

/// A store in a directory of its own.
pub(crate) struct House {
    pub(crate) writer: Writer<Plain>,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) registry: Registry,
}

impl House {
    pub(crate) fn new(quota: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = config(&directory, quota);
        Self::open(directory, config)
    }

    /// A store with these settings, in a directory of its own.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(&directory, 1 << 20);
        change(&mut config);
        Self::open(directory, config)
    }

    pub(crate) fn open(directory: tempfile::TempDir, config: Config) -> Self {
        let mut registry = Registry::default();
        let writer = open(config, &mut registry).unwrap();
        block_on(writer.loaded());
        Self { writer, directory, registry }
    }

    /// From now on no file can be created.
    pub(crate) fn break_fills(&self) {
        let fills = self.directory.path().join("fills");
        std::fs::remove_dir(&fills).unwrap();
        std::fs::write(fills, "not a directory").unwrap();
    }

    /// The same store after a clean stop.
    pub(crate) fn reopened(self) -> Self {
        let Self { writer, directory, registry } = self;
        let quota = writer.reader().usage().quota;
        block_on(writer.close()).unwrap();
        drop((writer, registry));
        let config = config(&directory, quota);
        Self::open(directory, config)
    }

    /// The same store after a clean stop and what was done to it meanwhile.
    pub(crate) fn reopened_after(self, meanwhile: impl FnOnce()) -> Self {
        let Self { writer, directory, registry } = self;
        let quota = writer.reader().usage().quota;
        block_on(writer.close()).unwrap();
        drop((writer, registry));
        meanwhile();
        let config = config(&directory, quota);
        Self::open(directory, config)
    }

    /// What a process that is killed now leaves behind, opened after `meanwhile` was done to it.
    pub(crate) fn crashed(&self, meanwhile: impl FnOnce(&std::path::Path)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        copy(self.directory.path(), directory.path());
        meanwhile(directory.path());
        let config = config(&directory, self.usage().quota);
        Self::open(directory, config)
    }

    /// Waits until a metric has reached a value: background threads of the store see to that.
    pub(crate) fn wait_for(&self, name: &str, value: u64) {
        while self.metric(name) < value {
            std::thread::yield_now();
        }
    }

    /// Bytes of the files below a directory of the store.
    pub(crate) fn length_of(&self, below: &str) -> u64 {
        // Files may go meanwhile.
        fn length(path: &std::path::Path) -> u64 {
            let Ok(metadata) = std::fs::symlink_metadata(path) else { return 0 };
            if !metadata.is_dir() {
                return metadata.len();
            }
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| length(&entry.path())).sum()
        }
        length(&self.directory.path().join(below))
    }

    pub(crate) fn remove(&self, key: &Key) -> bool {
        ready(self.writer.remove(key))
    }

    pub(crate) fn claim(&self, key: u8) -> Claim<Plain> {
        match ready(self.writer.lookup_or_claim(key_of(key), &Arc::from("name"), |_| false)) {
            Access::Claimed(claim) => claim,
            _ => panic!("the key is free"),
        }
    }

    pub(crate) async fn publish(
        &self,
        key: u8,
        length: Option<u64>,
        promised: Option<Digest>,
    ) -> (Arc<Entry<Plain>>, Fill<Plain>) {
        match self.claim(key).publish(0, BodySpec { length, promised }).await {
            Ok(published) => published,
            Err((_, refused)) => panic!("{refused:?}"),
        }
    }

    /// Publishes, writes and finishes in one go.
    pub(crate) async fn put(&self, key: u8, bytes: &[u8]) -> Arc<Entry<Plain>> {
        let (entry, mut fill) = self.publish(key, Some(bytes.len() as u64), None).await;
        fill.write(Bytes::copy_from_slice(bytes)).await.unwrap();
        fill.finish().await.unwrap();
        self.writer.settle().await;
        entry
    }

    pub(crate) fn usage(&self) -> Usage {
        self.writer.reader().usage()
    }

    /// Number of files below a directory of the store.
    pub(crate) fn files(&self, below: &str) -> usize {
        let mut count = 0;
        let mut open = vec![self.directory.path().join(below)];
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                match entry.file_type().unwrap().is_dir() {
                    true => open.push(entry.path()),
                    false => count += 1,
                }
            }
        }
        count
    }

    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.directory.path().join("bodies").join(&name[..2]).join(name)
    }

    /// The file of a complete body.
    pub(crate) fn body(&self, digest: &Digest) -> Vec<u8> {
        std::fs::read(self.path(digest)).unwrap()
    }

    /// The value of a metric.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("standpipe_store_{name} ")));
        line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
    }
}

pub(crate) fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

pub(crate) fn config(directory: &tempfile::TempDir, quota: u64) -> Config {
    let directory = directory.path().to_owned();
    Config {
        high_mark: 100,
        huge_share: 100,
        low_mark: 90,
        memory: 1 << 20,
        disk_threads: 2,
        disk_queue: 16,
        open_files: 4,
        commit_interval: std::time::Duration::from_millis(20),
        ..Config::new(directory, quota)
    }
}

/// Waits on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Parked(std::thread::Thread);
    impl Wake for Parked {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Parked(std::thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// The result of a future that has nothing to wait for.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("nothing to wait for"),
    }
}

pub(crate) fn key_of(key: u8) -> Key {
    Key::new([key; 16])
}

/// Bytes that differ everywhere.
pub(crate) fn source(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

pub(crate) fn pieces(source: &[u8], size: usize) -> impl Iterator<Item = Bytes> {
    source.chunks(size).map(Bytes::copy_from_slice)
}

/// Reads to the end: all bytes, and the failure if it ended with one.
pub(crate) async fn drain(mut reader: BodyReader) -> (Vec<u8>, Option<Failure>) {
    let mut bytes = Vec::new();
    loop {
        match poll_fn(|cx| reader.poll_chunk(cx)).await {
            Some(Ok(chunk)) => bytes.extend_from_slice(&chunk.bytes),
            Some(Err(failure)) => return (bytes, Some(failure)),
            None => return (bytes, None),
        }
    }
}

/// What a reader gives without waiting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Bytes(Bytes),
    Failed(&'static str),
    End,
    Nothing,
}

pub(crate) fn now(reader: &mut BodyReader) -> Got {
    match reader.poll_chunk(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => Got::Nothing,
        Poll::Ready(None) => Got::End,
        Poll::Ready(Some(Ok(chunk))) => Got::Bytes(chunk.bytes),
        Poll::Ready(Some(Err(failure))) => Got::Failed(failure.reason),
    }
}

/// Counts how often it is woken.
pub(crate) struct CountingWaker(Arc<Wakes>);

struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl CountingWaker {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Wakes(AtomicUsize::new(0))))
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker::from(self.0.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.0.load(Ordering::Relaxed)
    }
}
