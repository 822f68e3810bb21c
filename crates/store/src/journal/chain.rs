//! The files of one shard, oldest first, and the reading of them from front to back.
//!
//! `<number, 8 hex digits>.log`, ascending; `<number>.log.tmp` is a compaction that was not finished. A file that
//! replaces all before it makes the older ones stale.
//!
//! Owns nothing but open files. Invariants: no content of a file makes reading panic, loop, or use more memory than a
//! few records; what is left out is counted. Reading changes nothing: deleting is up to [`Log::open`](super::Log::open).

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::io::Errno;

use super::header::{Follows, HEADER, Header, HeaderFault, Magic, OpenFault};
use super::position::LAST_FILE;
use super::record::{self, Fault, RECORD_LIMIT, Record};
use crate::files::disk::{Disk, Kind, TEMPORARY, parent, read_full_at};

/// Bytes read at once: large enough for the disk, small enough to be still in the cache when they are looked at.
const READ: usize = 256 << 10;

/// Descriptions of damage that are kept for the operator.
const FAULTS: usize = 16;

/// A file of the chain. Its bytes before `written` never change.
pub(super) struct LogFile {
    pub(super) number: u32,
    pub(super) path: PathBuf,
    /// Empty until the file is created.
    pub(super) file: OnceLock<File>,
    /// Bytes that are in the file for good.
    pub(super) written: AtomicU64,
    /// Whether this process made the file's name durable.
    pub(super) named: AtomicBool,
}

impl LogFile {
    pub(super) fn new(directory: &Path, number: u32) -> Self {
        let (path, file) = (directory.join(format!("{number:08x}.log")), OnceLock::new());
        Self { number, path, file, written: AtomicU64::new(0), named: AtomicBool::new(false) }
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub(super) fn opened(self, file: File, written: u64) -> Self {
        Self { file: OnceLock::from(file), written: AtomicU64::new(written), ..self }
    }

    /// Creates the file, and its directory when it is missing, unless it is open already.
    pub(super) fn create(&self, disk: &dyn Disk) -> io::Result<&File> {
        if self.file.get().is_none() {
            disk.create_directory(parent(&self.path))?;
            let file = disk.open_write(&self.path)?;
            return Ok(self.file.get_or_init(|| file));
        }
        self.handle()
    }

    /// Makes the file's name durable, and those of the shard's and the index's directory.
    pub(super) fn name(&self, disk: &dyn Disk) -> io::Result<()> {
        if !self.named.load(Ordering::Acquire) {
            let directory = parent(&self.path);
            disk.sync_directory(directory)?;
            disk.sync_directory(parent(directory))?;
            disk.sync_directory(parent(parent(directory)))?;
            self.named.store(true, Ordering::Release);
        }
        Ok(())
    }

    pub(super) fn handle(&self) -> io::Result<&File> {
        let missing = || io::Error::new(ErrorKind::NotFound, "the log file was never created");
        self.file.get().ok_or_else(missing)
    }
}

/// What reading a shard's logs came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Good records.
    pub(crate) records: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Bytes of unfinished records at the ends of files: normal after a crash.
    pub(crate) torn: u64,
    /// Damaged records that were skipped.
    pub(crate) damaged: u64,
    /// Bytes that were given up, because what follows damage could not be told apart or read.
    pub(crate) lost: u64,
    /// Where the first damages are and what they are.
    pub(crate) faults: Vec<String>,
}

impl Report {
    fn note(&mut self, path: &Path, offset: u64, what: std::fmt::Arguments<'_>) {
        if self.faults.len() < FAULTS {
            self.faults.push(format!("{} at byte {offset}: {what}", path.display()));
        }
    }
}

/// What lies in a shard's directory.
#[derive(Default)]
pub(super) struct Chain {
    /// What is to be read, oldest first.
    pub(super) files: Vec<Link>,
    /// Replaced by a newer file, or never finished.
    pub(super) stale: Vec<PathBuf>,
    /// The highest number of all.
    pub(super) highest: u32,
}

/// One file to be read.
pub(super) struct Link {
    pub(super) log: LogFile,
    length: u64,
    header: Option<Header>,
}

/// Looks up what a shard's directory holds; one that does not exist is empty.
pub(super) fn find(disk: &dyn Disk, directory: &Path, shard: u8) -> Result<Chain, OpenFault> {
    let mut chain = Chain::default();
    let listed = match disk.list(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(chain),
        listed => listed.map_err(OpenFault::disk(directory))?,
    };
    let mut numbers = Vec::new();
    for file in listed {
        let Some(name) = file.path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let number = number(name);
        // Also of what is no file: its name is taken.
        chain.highest = chain.highest.max(number.unwrap_or(0));
        match number.filter(|_| file.kind == Kind::File) {
            Some(number) => numbers.push(number),
            None if file.kind == Kind::File && name.ends_with(TEMPORARY) => chain.stale.push(file.path),
            None => {}
        }
    }
    numbers.sort_unstable();
    for number in numbers {
        let link = open(disk, directory, shard, number)?;
        if link.header.is_some_and(|header| header.follows == Follows::Nothing) {
            chain.stale.extend(chain.files.drain(..).map(|older| older.log.path));
        }
        chain.files.push(link);
    }
    Ok(chain)
}

/// Whether the disk has lost a file, so that no later start will find it. Anything else (a wrong owner, too many open
/// files) is for somebody to mend, and the records are still there then.
fn is_damage(error: &io::Error) -> bool {
    let errors = [Errno::IO, Errno::UCLEAN, Errno::BADMSG, Errno::NODATA];
    error.raw_os_error().is_some_and(|number| errors.iter().any(|damage| damage.raw_os_error() == number))
}

/// The number in the name of a log file.
fn number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 8)?;
    u32::from_str_radix(digits, 16)
        .ok()
        .filter(|number| *number <= LAST_FILE && *digits == format!("{number:08x}"))
}

fn open(disk: &dyn Disk, directory: &Path, shard: u8, number: u32) -> Result<Link, OpenFault> {
    let log = LogFile::new(directory, number);
    let file = match disk.open(&log.path) {
        Err(error) if is_damage(&error) => return Ok(Link { log, length: 0, header: None }),
        file => file.map_err(OpenFault::disk(&log.path))?,
    };
    let length = disk.length(&log.path).map_err(OpenFault::disk(&log.path))?;
    let mut bytes = [0; HEADER];
    // What cannot be read is damaged, like what reads wrong.
    let read = read_full_at(disk, &file, &mut bytes, 0).unwrap_or(0);
    let header = match Header::decode(Magic::Log, &bytes[..read]) {
        Err(HeaderFault::Newer(version)) => return Err(OpenFault::newer(&log.path, version)),
        header => header.ok().filter(|header| header.shard == shard),
    };
    Ok(Link { log: log.opened(file, length), length, header })
}

impl Chain {
    /// Reads all files in order.
    pub(super) fn read(
        &self,
        disk: &dyn Disk,
        report: &mut Report,
        mut visit: impl FnMut(&LogFile, u64, &[u8], Record<'_>),
    ) -> Result<(), OpenFault> {
        self.files.iter().try_for_each(|link| {
            link.read(disk, report, |offset, bytes, record| visit(&link.log, offset, bytes, record))
        })
    }
}

impl Link {
    fn read(
        &self,
        disk: &dyn Disk,
        report: &mut Report,
        mut visit: impl FnMut(u64, &[u8], Record<'_>),
    ) -> Result<(), OpenFault> {
        if self.log.handle().is_err() {
            report.damaged += 1;
            report.note(&self.log.path, 0, format_args!("the file cannot be opened"));
            return Ok(());
        }
        if self.header.is_none() {
            self.give_up(disk, report, 0, "no readable header of this shard");
            return Ok(());
        }
        let mut reader = Reader::new(disk, &self.log, self.length);
        loop {
            match reader.next(|offset, bytes, record| {
                report.records += 1;
                report.bytes += bytes.len() as u64;
                visit(offset, bytes, record);
            }) {
                Next::End => return Ok(()),
                Next::Torn(offset) => {
                    report.torn += self.length - offset;
                    return Ok(());
                }
                Next::Skipped(offset) => {
                    report.damaged += 1;
                    report.note(&self.log.path, offset, format_args!("a record is damaged and was skipped"));
                }
                Next::Lost(offset) => {
                    self.give_up(disk, report, offset, "the rest is unreadable");
                    return Ok(());
                }
                Next::Failed { offset, error } => {
                    report.lost += self.length - offset;
                    report.note(&self.log.path, offset, format_args!("the rest cannot be read: {error}"));
                    return Ok(());
                }
                Next::Unknown { kind } => return Err(self.unknown(kind)),
            }
        }
    }

    /// What follows `offset` makes no sense. When it is too short, or nothing but zeros, a crash has left it.
    fn give_up(&self, disk: &dyn Disk, report: &mut Report, offset: u64, what: &str) {
        let rest = self.length - offset;
        if self.length < HEADER as u64 || is_zero(disk, &self.log, offset) {
            report.torn += rest;
            return;
        }
        report.lost += rest;
        report.note(&self.log.path, offset, format_args!("{what}: {rest} bytes"));
    }

    fn unknown(&self, kind: u8) -> OpenFault {
        let (found, known) = (u32::from(kind), u32::from(record::LAST_KIND));
        OpenFault::Newer { path: self.log.path.clone(), what: "record kind", found, known }
    }
}

fn is_zero(disk: &dyn Disk, log: &LogFile, mut offset: u64) -> bool {
    let (Ok(file), mut bytes) = (log.handle(), vec![0; READ]) else {
        return false;
    };
    loop {
        match read_full_at(disk, file, &mut bytes, offset) {
            Ok(0) => return true,
            Ok(read) if bytes[..read].iter().all(|byte| *byte == 0) => offset += read as u64,
            _ => return false,
        }
    }
}

/// Reads the records of one file from front to back.
pub(super) struct Reader<'a> {
    disk: &'a dyn Disk,
    log: &'a LogFile,
    /// Where reading ends, whatever the file's length is by now.
    length: u64,
    buffer: Vec<u8>,
    /// What of the buffer is not yet looked at.
    at: usize,
    filled: usize,
    /// Where in the file the buffer begins.
    start: u64,
}

/// Why [`Reader::next`] came back.
pub(super) enum Next {
    /// There are no more bytes.
    End,
    /// A record begins here and does not end.
    Torn(u64),
    /// The record here is damaged; the next call goes on behind it.
    Skipped(u64),
    /// There is no telling where the next record begins.
    Lost(u64),
    /// A good record of an unknown kind.
    Unknown { kind: u8 },
    /// The disk does not give what is from here on.
    Failed { offset: u64, error: io::Error },
}

impl<'a> Reader<'a> {
    pub(super) fn new(disk: &'a dyn Disk, log: &'a LogFile, length: u64) -> Self {
        Self { disk, log, length, buffer: vec![0; READ], at: 0, filled: 0, start: HEADER as u64 }
    }

    /// Gives records to `visit` (offset, bytes, record) until something else is found.
    pub(super) fn next(&mut self, mut visit: impl FnMut(u64, &[u8], Record<'_>)) -> Next {
        loop {
            let offset = self.start + self.at as u64;
            let bytes = &self.buffer[self.at..self.filled];
            match record::decode(bytes) {
                Ok((record, length)) => {
                    visit(offset, &bytes[..length], record);
                    self.at += length;
                }
                Err(Fault::Torn) => match self.fill() {
                    Ok(0) if self.at == self.filled => return Next::End,
                    Ok(0) => return Next::Torn(offset),
                    Ok(_) => {}
                    Err(error) => return Next::Failed { offset, error },
                },
                Err(Fault::Corrupt { skip: Some(length) }) => {
                    self.at += length;
                    return Next::Skipped(offset);
                }
                Err(Fault::Corrupt { skip: None }) => return Next::Lost(offset),
                Err(Fault::Unknown { kind }) => return Next::Unknown { kind },
            }
        }
    }

    /// Reads more behind what is not yet looked at.
    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.at..self.filled, 0);
        self.start += self.at as u64;
        self.filled -= self.at;
        self.at = 0;
        if self.filled == self.buffer.len() {
            // A record longer than the buffer; its length was looked at, so this ends at the limit.
            debug_assert!(self.filled < RECORD_LIMIT);
            self.buffer.resize((self.filled * 2).min(RECORD_LIMIT), 0);
        }
        let from = self.start + self.filled as u64;
        let room = (self.buffer.len() - self.filled) as u64;
        let wanted = self.length.saturating_sub(from).min(room) as usize;
        let into = &mut self.buffer[self.filled..self.filled + wanted];
        let read = read_full_at(self.disk, self.log.handle()?, into, from)?;
        self.filled += read;
        Ok(read)
    }
}
