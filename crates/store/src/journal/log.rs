//! [`Log`]: the records of one shard, oldest first, appended to in memory and written out by somebody else.
//!
//! Owned by the shard and called under its lock; nothing of it waits for the disk but [`Log::open`]. What it hands out
//! ([`Pending`], [`RecordAt`], [`Compaction`](super::Compaction)) does, and is used without the lock.
//!
//! The way of a record: [`append`](Log::append) → buffer → [`take_pending`](Log::take_pending) → taken →
//! [`Pending::write`], synced → [`written`](Log::written) → in the file. Until then it is served from memory.
//!
//! Invariants: a position never changes its record, but compaction ends it; bytes reach the disk in the order of their
//! positions, so that what a crash leaves is a beginning of what was appended; bytes that could not be written are
//! written again at the same place. The memory held is what was appended and not yet written: whoever appends bounds it
//! by [`pending_bytes`](Log::pending_bytes).
//!
//! Deliberately not here: which records still matter (the caller's), and deleting (compaction's).

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::chain::{self, LogFile, Report};
use super::compaction::{Compaction, Copied, Retired};
use super::header::{Follows, HEADER, Header, Magic, OpenFault};
use super::position::{LAST_FILE, LAST_OFFSET, Position};
use super::record::{self, Fault, Record};
use crate::files::disk::{Disk, read_full_at, write_all_at};

/// What is read at once for one record: nearly all fit.
const GLANCE: usize = 512;

/// More files are compacted although they are no garbage: every start adds one.
const FILES: usize = 32;

/// The most that an empty buffer keeps allocated, in bytes.
const KEPT: usize = 64 << 10;

/// The records of one shard.
pub(crate) struct Log {
    directory: PathBuf,
    shard: u8,
    /// Ascending by number. The last one is appended to; it may not exist on disk yet.
    files: Vec<Arc<LogFile>>,
    /// Appended to the last file and not yet taken.
    buffer: Vec<u8>,
    /// Where in the last file the buffer begins.
    start: u64,
    /// Taken and not yet known to be written, in order of position.
    taken: Vec<Arc<Span>>,
    compacting: bool,
    tally: Tally,
    /// What of the tally was appended since the last rotation.
    recent: Tally,
}

/// Bytes that belong somewhere in a file.
struct Span {
    file: Arc<LogFile>,
    offset: u64,
    bytes: Vec<u8>,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    bytes: u64,
    puts: u64,
    put_bytes: u64,
}

/// What was appended and is not yet known to be on disk.
pub(crate) struct Pending {
    spans: Vec<Arc<Span>>,
}

/// Where the bytes of a position are.
pub(crate) enum Located {
    /// In memory: these are the record's bytes.
    Pending(Vec<u8>),
    /// On disk.
    Written(RecordAt),
    /// Nowhere: it never was, or its file is gone.
    Gone,
}

/// A record on disk. Keeps its file open: compaction does not take it away.
#[derive(Clone)]
pub(crate) struct RecordAt {
    file: Arc<LogFile>,
    offset: u64,
}

/// What the files hold, in bytes, by estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Records that still matter.
    pub(crate) live: u64,
    /// All others.
    pub(crate) garbage: u64,
    /// In how many files they are.
    pub(crate) files: usize,
}

/// Reads the records of a shard in order and changes nothing on disk.
pub(crate) fn scan(
    disk: &dyn Disk,
    index: &Path,
    shard: u8,
    mut visit: impl FnMut(Position, Record<'_>),
) -> Result<Report, OpenFault> {
    let chain = chain::find(disk, &directory(index, shard), shard)?;
    let mut report = Report::default();
    chain.read(disk, &mut report, |file, offset, _, record| {
        visit(Position::new(file.number, offset), record);
    })?;
    Ok(report)
}

/// Looks at the files of a shard and reads their headers only: whether this version may open them at all.
pub(crate) fn check(disk: &dyn Disk, index: &Path, shard: u8) -> Result<(), OpenFault> {
    chain::find(disk, &directory(index, shard), shard).map(drop)
}

/// Where the files of a shard are.
pub(super) fn directory(index: &Path, shard: u8) -> PathBuf {
    index.join(format!("{shard:02x}"))
}

impl Log {
    /// Reads the records of a shard in order and prepares to append. Deletes what an unfinished or a finished compaction
    /// left; writes nothing. Waits for the disk. Damage is no error: it is in the [`Report`].
    ///
    /// New records go to a new file: what an earlier process left at the end of the newest one, torn or never made
    /// durable, cannot come between them.
    pub(crate) fn open(
        disk: &dyn Disk,
        index: &Path,
        shard: u8,
        mut visit: impl FnMut(Position, Record<'_>),
    ) -> Result<(Self, Report), OpenFault> {
        let directory = directory(index, shard);
        let chain = chain::find(disk, &directory, shard)?;
        let (mut report, mut tally) = (Report::default(), Tally::default());
        chain.read(disk, &mut report, |file, offset, bytes, record| {
            tally.count(bytes.len(), matches!(record, Record::Put(_)));
            visit(Position::new(file.number, offset), record);
        })?;
        // The process that replaced the stale files may not have come to make the new name durable.
        if !chain.stale.is_empty() && disk.sync_directory(&directory).is_ok() {
            delete(disk, &chain.stale);
        }
        let next = LogFile::new(&directory, chain.highest + 1);
        let files = chain.files.into_iter().map(|link| link.log).chain([next]).map(Arc::new).collect();
        let (buffer, taken, recent) = (Vec::new(), Vec::new(), Tally::default());
        let log = Self { directory, shard, files, buffer, start: 0, taken, compacting: false, tally, recent };
        Ok((log, report))
    }

    /// Adds one encoded record. No IO.
    pub(crate) fn append(&mut self, frame: &[u8]) -> Position {
        if self.end().offset() + (HEADER + frame.len()) as u64 > LAST_OFFSET {
            let next = self.active().number + 1;
            self.rotate(next);
        }
        if self.end().offset() == 0 {
            self.begin_file();
        }
        let position = self.end();
        self.buffer.extend_from_slice(frame);
        self.recent.count(frame.len(), record::puts(frame));
        position
    }

    /// Where the last record ends.
    pub(crate) fn end(&self) -> Position {
        Position::new(self.active().number, self.start + self.buffer.len() as u64)
    }

    /// Where the bytes of the record at `position` are. No IO.
    pub(crate) fn locate(&self, position: Position) -> Located {
        let found = self.files.binary_search_by_key(&position.file(), |file| file.number);
        let Some(file) = found.ok().map(|at| &self.files[at]) else {
            return Located::Gone;
        };
        let offset = position.offset();
        if offset < file.written() {
            return Located::Written(RecordAt { file: file.clone(), offset });
        }
        let taken = self.taken.iter().map(|span| (&span.file, span.offset, &span.bytes));
        let buffer = std::iter::once((self.active(), self.start, &self.buffer));
        taken
            .chain(buffer)
            .filter(|(holder, ..)| Arc::ptr_eq(holder, file))
            .find_map(|(_, start, bytes)| record_in(bytes, usize::try_from(offset.checked_sub(start)?).ok()?))
            .map_or(Located::Gone, Located::Pending)
    }

    /// Takes what is to be written: what was appended since the last time, and what could not be written before.
    ///
    /// One thread at a time takes, writes and tells [`written`](Self::written).
    pub(crate) fn take_pending(&mut self) -> Option<Pending> {
        self.seal();
        (!self.taken.is_empty()).then(|| Pending { spans: self.taken.clone() })
    }

    /// Notes that `pending` is on disk. After an error it is dropped instead, and comes again.
    pub(crate) fn written(&mut self, pending: Pending) {
        for span in &pending.spans {
            span.file.written.fetch_max(span.end(), Ordering::AcqRel);
        }
        self.taken.retain(|taken| !pending.spans.iter().any(|span| Arc::ptr_eq(span, taken)));
    }

    /// Bytes in memory that are not yet known to be on disk.
    pub(crate) fn pending_bytes(&self) -> u64 {
        let taken: usize = self.taken.iter().map(|span| span.bytes.len()).sum();
        (taken + self.buffer.len()) as u64
    }

    /// Estimates what a compaction would win, by the mean length of the records.
    pub(crate) fn weight(&self, live_records: u64) -> Weight {
        let all = self.tally.plus(self.recent);
        let live = u128::from(all.put_bytes) * u128::from(live_records) / u128::from(all.puts.max(1));
        let live = u64::try_from(live).unwrap_or(u64::MAX).min(all.bytes);
        Weight { live, garbage: all.bytes - live, files: self.files.len() }
    }

    /// Begins a compaction: what is appended from now on goes to a new file. `None` when one is under way, or there is
    /// nothing to compact. No IO.
    ///
    /// What is pending now has to be written before the copying can begin.
    pub(crate) fn begin(&mut self) -> Option<Compaction> {
        let empty = self.files.len() == 1 && self.end().offset() == 0;
        let number = self.active().number + 1;
        if self.compacting || empty || number >= LAST_FILE {
            return None;
        }
        self.rotate(number + 1);
        self.compacting = true;
        let old = self.files[..self.files.len() - 1].iter();
        let old = old.map(|file| (file.clone(), self.length(file))).collect();
        Some(Compaction::new(self.directory.clone(), self.shard, number, old))
    }

    /// From now on both the old and the new positions are found.
    pub(crate) fn adopt(&mut self, copied: &Copied) {
        let at = self.files.partition_point(|file| file.number < copied.file.number);
        self.files.insert(at, copied.file.clone());
    }

    /// From now on the old positions are gone. Ends the compaction; what is returned deletes its files.
    pub(crate) fn retire(&mut self, copied: Copied) -> Retired {
        let kept = self.files.partition_point(|file| file.number < copied.file.number);
        let old: Vec<_> = self.files.drain(..kept).collect();
        self.taken.retain(|span| span.file.number > copied.file.number);
        self.tally = copied.tally;
        self.compacting = false;
        Retired::new(old)
    }

    /// Gives a compaction up that could not be copied; everything stays where it is.
    pub(crate) fn abandon(&mut self, compaction: Compaction) {
        drop(compaction);
        self.compacting = false;
    }

    fn active(&self) -> &Arc<LogFile> {
        self.files.last().expect("a log always has a file to append to")
    }

    /// How long a file is when all of it is written.
    fn length(&self, file: &Arc<LogFile>) -> u64 {
        let taken = self.taken.iter().filter(|span| Arc::ptr_eq(&span.file, file));
        taken.map(|span| span.end()).fold(file.written(), u64::max)
    }

    /// Makes the buffer a span of its own.
    fn seal(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let next = Vec::with_capacity(self.buffer.len().min(KEPT));
        let bytes = std::mem::replace(&mut self.buffer, next);
        let span = Span { file: self.active().clone(), offset: self.start, bytes };
        self.start = span.end();
        self.taken.push(Arc::new(span));
    }

    fn begin_file(&mut self) {
        // An earlier process may have left the file before in the page cache only: it is made durable first.
        let before = self.files.len().checked_sub(2).map(|at| self.files[at].clone());
        if let Some(file) = before.filter(|file| !file.named.load(Ordering::Acquire)) {
            let offset = self.length(&file);
            self.taken.push(Arc::new(Span { file, offset, bytes: Vec::new() }));
        }
        let header = Header { shard: self.shard, follows: Follows::Before };
        self.buffer.extend_from_slice(&header.encode(Magic::Log));
    }

    /// Goes on in the file with this number.
    fn rotate(&mut self, number: u32) {
        self.seal();
        if self.end().offset() == 0 {
            self.files.pop();
        }
        self.files.push(Arc::new(LogFile::new(&self.directory, number)));
        self.start = 0;
        self.tally = self.tally.plus(self.recent);
        self.recent = Tally::default();
    }
}

impl Tally {
    pub(super) fn count(&mut self, bytes: usize, puts: bool) {
        let one =
            Self { bytes: bytes as u64, puts: u64::from(puts), put_bytes: u64::from(puts) * bytes as u64 };
        *self = self.plus(one);
    }

    fn plus(self, other: Self) -> Self {
        let (puts, put_bytes) = (self.puts + other.puts, self.put_bytes + other.put_bytes);
        Self { bytes: self.bytes + other.bytes, puts, put_bytes }
    }
}

impl Weight {
    /// Whether more is garbage than not, and at least `from` bytes; or whether the files are too many.
    pub(crate) fn wants_compaction(self, from: u64) -> bool {
        self.garbage > self.live.max(from) || self.files > FILES
    }
}

impl Span {
    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

impl Pending {
    /// Writes everything and makes it durable, older files before newer ones. Waits for the disk.
    ///
    /// May be repeated: the same bytes go to the same place.
    pub(crate) fn write(&self, disk: &dyn Disk) -> io::Result<()> {
        for spans in self.spans.chunk_by(|one, next| Arc::ptr_eq(&one.file, &next.file)) {
            let log = &spans[0].file;
            let file = log.create(disk)?;
            for span in spans {
                write_all_at(disk, file, &span.bytes, span.offset)?;
            }
            disk.sync(file)?;
            log.name(disk)?;
        }
        Ok(())
    }
}

impl RecordAt {
    /// The bytes of the record, for [`decode`](super::decode). Waits for the disk, usually for one read.
    ///
    /// # Errors
    /// What the disk says; `InvalidData` when the bytes there are not what was written.
    pub(crate) fn read(&self, disk: &dyn Disk) -> io::Result<Vec<u8>> {
        let file = self.file.handle()?;
        let mut bytes = vec![0; GLANCE];
        let mut read = disk.read_at(file, &mut bytes, self.offset)?;
        let length = match record::frame(&bytes[..read]) {
            Ok(length) => length,
            Err(Fault::Torn) => GLANCE,
            Err(_) => return Err(self.damaged()),
        };
        bytes.resize(length.max(read), 0);
        if read < length {
            read += read_full_at(disk, file, &mut bytes[read..], self.offset + read as u64)?;
        }
        let (_, length) = record::decode(&bytes[..read]).map_err(|_| self.damaged())?;
        bytes.truncate(length);
        Ok(bytes)
    }

    fn damaged(&self) -> io::Error {
        let (path, offset) = (self.file.path.display(), self.offset);
        io::Error::new(ErrorKind::InvalidData, format!("the record in {path} at byte {offset} is damaged"))
    }
}

/// The bytes of the record that begins at `offset` of `bytes`.
fn record_in(bytes: &[u8], offset: usize) -> Option<Vec<u8>> {
    let bytes = bytes.get(offset..)?;
    bytes.get(..record::frame(bytes).ok()?).map(<[u8]>::to_vec)
}

/// Deletes files that nobody needs. What cannot be deleted is tried again at the next start.
pub(super) fn delete<'a>(disk: &dyn Disk, paths: impl IntoIterator<Item = &'a PathBuf>) {
    for path in paths {
        match disk.remove(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "an old file of the index could not be deleted");
            }
            _ => {}
        }
    }
}
