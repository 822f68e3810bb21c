//! [`Disk`]: every operation on the file system that the store makes, so that a faulty twin can stand in for it.
//!
//! Files come back as plain [`File`]s: reading through a mapping or `sendfile` needs no call of this trait. Everything
//! that changes the disk, or whose failure the store must survive, does. All functions wait for the disk.
//!
//! Deliberately not here: retries and policy. What is interrupted by a signal is tried again, nothing else.

#[cfg(test)]
#[cfg(not(loom))]
mod conformance;
#[cfg(any(test, feature = "faulty"))]
pub(crate) mod faulty;
mod real;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use real::RealDisk;
pub(super) use real::{FILE_MODE, NO_LINK, make_directory};

/// The file system below the store's directory.
pub trait Disk: Send + Sync + 'static {
    /// Creates a new file for reading and writing, which only its owner may read; one that is there is an error.
    fn create(&self, path: &Path) -> io::Result<File>;
    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<File>;
    /// Opens a file for reading and writing; creates it when absent.
    fn open_write(&self, path: &Path) -> io::Result<File>;
    /// Writes some of the slices at an offset; returns how many bytes.
    fn write_at(&self, file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;
    /// Reads at an offset; returns how many bytes, 0 at the end.
    fn read_at(&self, file: &File, into: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Shortens or lengthens a file.
    fn set_length(&self, file: &File, length: u64) -> io::Result<()>;
    /// Makes a file's bytes and length durable (`fdatasync`).
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Makes everything on the directory's file system durable (`syncfs`).
    fn sync_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// Moves a file; one at the new name is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name; one at the new name is an error.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Deletes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory and its parents, into which only their owner may look.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// Deletes an empty directory.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// What is in a directory, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<Listed>>;
    /// Length of the file at a path.
    fn length(&self, path: &Path) -> io::Result<u64>;
    /// Bytes an unprivileged process may still write on the directory's file system.
    fn free(&self, path: &Path) -> io::Result<u64>;
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Length of a file in bytes.
    pub length: u64,
    /// When it was last written to.
    pub modified: SystemTime,
}

/// What a name in a directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A plain file.
    File,
    /// A directory.
    Directory,
    /// Anything else: the store follows no links.
    Other,
}

/// Writes all of `bytes` at an offset.
pub(crate) fn write_all_at(
    disk: &dyn Disk,
    file: &File,
    mut bytes: &[u8],
    mut offset: u64,
) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = disk.write_at(file, &[IoSlice::new(bytes)], offset)?;
        if written == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}

/// Reads until `into` is full or the file ends; returns how many bytes.
pub(crate) fn read_full_at(disk: &dyn Disk, file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match disk.read_at(file, &mut into[filled..], offset + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// Replaces a small file as a whole: after a crash there is the old one or the new one, after `Ok` the new one.
///
/// Writes beside it first, as `<name>.tmp`; one caller at a time for each path.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    let file = disk.open_write(&beside)?;
    disk.set_length(&file, 0)?;
    write_all_at(disk, &file, bytes, 0)?;
    disk.sync(&file)?;
    disk.rename(&beside, path)?;
    disk.sync_directory(parent(path))
}

/// Reads a small file; an error when it is longer than `limit` bytes.
pub(crate) fn read_small(disk: &dyn Disk, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let length = usize::try_from(disk.length(path)?).unwrap_or(usize::MAX);
    if length > limit {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            format!("{length} bytes, at most {limit} expected"),
        ));
    }
    let mut bytes = vec![0; length];
    let read = read_full_at(disk, &file, &mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Where a file is written before it takes its name.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(TEMPORARY);
    PathBuf::from(name)
}

/// Ends the names of files that are not finished. What an earlier run left of them is deleted at the start.
pub(crate) const TEMPORARY: &str = ".tmp";

/// The directory of a path.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
