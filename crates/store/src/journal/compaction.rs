//! Compaction: what still matters of a shard's older files is copied to one file that replaces them.
//!
//! | step | lock | after a crash here |
//! |---|---|---|
//! | [`Log::begin`](super::Log::begin): appends go to a new file | yes | the old files and the new one |
//! | what was pending is written | no | the same |
//! | [`Compaction::copy`]: beside, sync, rename, sync the directory | no | the same, or the copy and the new one |
//! | [`Log::adopt`](super::Log::adopt): both places are known | yes | the copy and the new one |
//! | the catalogue follows [`Copied::moves`], some at a time | yes | the same |
//! | [`Log::retire`](super::Log::retire): the old places are forgotten | yes | the same |
//! | [`Retired::delete`] | no | the same; the next start deletes the rest |
//!
//! The copy's number lies between the last old file's and the new one's.
//!
//! Invariant: a crash loses nothing that was durable before. So a record that was superseded since the beginning is
//! copied too, with all that the old files say of its key: the successor may not be on disk yet.
//!
//! Deliberately not here: when to compact, and how fast.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::chain::{LogFile, Next, Reader};
use super::header::{Follows, Header, Magic};
use super::log::{Tally, delete};
use super::position::Position;
use super::record::Record;
use crate::Key;
use crate::files::disk::{Disk, beside, parent, write_all_at};

/// Bytes that are written at once.
const WRITE: usize = 256 << 10;

/// A compaction that was begun.
pub(crate) struct Compaction {
    directory: PathBuf,
    shard: u8,
    /// Of the copy.
    number: u32,
    /// What is copied, oldest first, and how long each is.
    old: Vec<(Arc<LogFile>, u64)>,
}

/// A compaction whose copy is in place.
pub(crate) struct Copied {
    pub(super) file: Arc<LogFile>,
    pub(super) tally: Tally,
    moves: Vec<Move>,
}

/// A record that is in two places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    /// Whose record.
    pub(crate) key: Key,
    /// Where it was found; good until the old files are retired.
    pub(crate) from: Position,
    /// Where it is from now on.
    pub(crate) to: Position,
}

/// Files that are not needed any more.
pub(crate) struct Retired(Vec<Arc<LogFile>>);

impl Compaction {
    pub(super) fn new(directory: PathBuf, shard: u8, number: u32, old: Vec<(Arc<LogFile>, u64)>) -> Self {
        Self { directory, shard, number, old }
    }

    /// Copies what matters. `current` says where the newest record of a key is, `None` when the entry is gone; it is
    /// asked for each record and may lock the shard. Waits for the disk. May be repeated after an error.
    ///
    /// Damaged records are left out: their entries are at none of the moves, and gone when the old files are retired.
    ///
    /// # Errors
    /// `WouldBlock` when what was pending at the beginning is not written yet; else what the disk says. Nothing has
    /// changed then.
    pub(crate) fn copy(
        &self,
        disk: &dyn Disk,
        current: impl FnMut(&Key) -> Option<Position>,
    ) -> io::Result<Copied> {
        if self.old.iter().any(|(file, length)| file.written() < *length) {
            return Err(io::Error::new(ErrorKind::WouldBlock, "what is pending has to be written first"));
        }
        let target = LogFile::new(&self.directory, self.number);
        let beside = beside(&target.path);
        let copy = self.write(disk, &beside, current).and_then(|copy| {
            disk.rename(&beside, &target.path)?;
            target.name(disk)?;
            Ok(copy)
        });
        match copy {
            Ok(copy) => {
                let Copy { file, offset, moves, tally, damaged, .. } = copy;
                if damaged > 0 {
                    let path = target.path.display();
                    tracing::error!(%path, damaged, "what a compaction found damaged is not in the index any more");
                }
                Ok(Copied { file: Arc::new(target.opened(file, offset)), moves, tally })
            }
            Err(error) => {
                delete(disk, [&beside]);
                Err(error)
            }
        }
    }

    fn write<'a>(
        &'a self,
        disk: &'a dyn Disk,
        beside: &Path,
        mut current: impl FnMut(&Key) -> Option<Position>,
    ) -> io::Result<Copy<'a>> {
        disk.create_directory(parent(beside))?;
        let file = disk.open_write(beside)?;
        disk.set_length(&file, 0)?;
        let mut copy = Copy::new(disk, file, self.number);
        let header = Header { shard: self.shard, follows: Follows::Nothing };
        copy.buffer.extend_from_slice(&header.encode(Magic::Log));
        for (old, length) in &self.old {
            copy.all_of(Reader::new(disk, old, *length), old.number, &mut current)?;
        }
        copy.flush()?;
        disk.sync(&copy.file)?;
        Ok(copy)
    }
}

/// The copy while it is written.
struct Copy<'a> {
    disk: &'a dyn Disk,
    file: File,
    number: u32,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    offset: u64,
    moves: Vec<Move>,
    tally: Tally,
    damaged: u64,
}

impl<'a> Copy<'a> {
    fn new(disk: &'a dyn Disk, file: File, number: u32) -> Self {
        let (moves, tally) = (Vec::new(), Tally::default());
        Self {
            disk,
            file,
            number,
            buffer: Vec::with_capacity(2 * WRITE),
            offset: 0,
            moves,
            tally,
            damaged: 0,
        }
    }

    fn all_of(
        &mut self,
        mut reader: Reader<'_>,
        number: u32,
        current: &mut impl FnMut(&Key) -> Option<Position>,
    ) -> io::Result<()> {
        let mut flushed = Ok(());
        loop {
            let next = reader.next(|offset, bytes, record| {
                if flushed.is_ok() {
                    flushed = self.take(Position::new(number, offset), bytes, &record, current);
                }
            });
            std::mem::replace(&mut flushed, Ok(()))?;
            match next {
                Next::End | Next::Torn(_) => return Ok(()),
                Next::Skipped(_) => self.damaged += 1,
                // What was not readable at the start is not readable now.
                Next::Lost(_) => {
                    self.damaged += 1;
                    return Ok(());
                }
                Next::Failed { error, .. } => return Err(error),
                Next::Unknown { .. } => return Err(ErrorKind::InvalidData.into()),
            }
        }
    }

    /// Copies the record if it matters.
    fn take(
        &mut self,
        from: Position,
        bytes: &[u8],
        record: &Record<'_>,
        current: &mut impl FnMut(&Key) -> Option<Position>,
    ) -> io::Result<()> {
        let (key, puts) = match record {
            Record::Put(put) => (put.key, true),
            Record::Removed(key) | Record::Marked(key) => (*key, false),
        };
        match current(&key) {
            Some(position) if position == from => self.moves.push(Move { key, from, to: self.end() }),
            // The mark on what was put before it.
            Some(position) if position < from && matches!(record, Record::Marked(_)) => {}
            // Superseded since: until that is on disk, what these files say of the key has to stay.
            Some(position) if position.file() > self.number => {}
            _ => return Ok(()),
        }
        self.buffer.extend_from_slice(bytes);
        self.tally.count(bytes.len(), puts);
        if self.buffer.len() < WRITE {
            return Ok(());
        }
        self.flush()
    }

    fn end(&self) -> Position {
        Position::new(self.number, self.offset + self.buffer.len() as u64)
    }

    fn flush(&mut self) -> io::Result<()> {
        write_all_at(self.disk, &self.file, &self.buffer, self.offset)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Copied {
    /// Which records moved, in order. Whose entry is not at `from` any more stays where it is.
    pub(crate) fn moves(&self) -> &[Move] {
        &self.moves
    }
}

impl Retired {
    pub(super) fn new(files: Vec<Arc<LogFile>>) -> Self {
        Self(files)
    }

    /// Deletes the files; who still reads from them can go on. What cannot be deleted is left to the next start.
    pub(crate) fn delete(self, disk: &dyn Disk) {
        delete(disk, self.0.iter().map(|file| &file.path));
    }
}
