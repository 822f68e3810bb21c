//! [`Directory`]: the store's place on disk, its lock and its names.
//!
//! | name | what |
//! |---|---|
//! | `lock` | held while the store is open; names the process |
//! | `fills/<id>` | a body while it grows, and what is about to be deleted |
//! | `parts/<id>` | a body with holes that waits for the rest |
//! | `bodies/ab/<sha256>` | a complete body |
//! | `index/` | the records: see [`journal`](crate::journal) |
//! | `control/<name>` | small state, replaced as a whole |
//! | `trash-…` | what an earlier run left in `fills/`, being deleted |
//!
//! Nothing else in the directory is touched, and links are not followed below it. What is made here only its owner can
//! read; a directory that was there keeps its mode. Body files hold the content and
//! nothing else. All functions wait for the disk: opening is for the start of the process, the rest for disk threads.
//!
//! Deliberately not here: who owns which name ([`Bodies`](crate::bodies::Bodies) knows).

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use super::disk::{Disk, FILE_MODE, Kind, Listed, NO_LINK, make_directory, read_small, replace};
use crate::{Digest, OpenError};

/// Begins the names of directories that are to be deleted.
const TRASH: &str = "trash-";
/// Longest small state that is read, in bytes.
const MOST_CONTROL: usize = 64 << 20;
/// The directories that a store has.
const DIRECTORIES: [&str; 5] = ["fills", "parts", "bodies", "index", "control"];

/// The locked directory.
pub(crate) struct Directory {
    root: PathBuf,
    disk: Arc<dyn Disk>,
    /// Open as long as the directory is in use: the lock goes with it.
    lock: File,
}

/// Where the file of a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// There is none (yet): the bytes are in memory.
    Nowhere,
    /// `fills/<id>`
    Fill(u64),
    /// `parts/<id>`
    Part(u64),
    /// `bodies/ab/<sha256>`
    Named(Digest),
}

impl Directory {
    /// Locks the directory and moves what grew in an earlier run out of the way; it is deleted by a thread of its own.
    pub(crate) fn open(root: &Path, disk: Arc<dyn Disk>) -> Result<Arc<Self>, OpenError> {
        let failed = |action: &str, error: io::Error| OpenError {
            detail: format!("cannot {action} the store directory {}: {error}", root.display()),
        };
        create(root).map_err(|error| failed("create", error))?;
        let directory = Self { root: root.to_owned(), disk, lock: lock(root)? };
        let trash = directory.prepare().map_err(|error| failed("prepare", error))?;
        std::thread::Builder::new()
            .name("disk-sweep".to_owned())
            .spawn(move || trash.iter().for_each(|path| sweep(path)))
            .map_err(|error| failed("sweep", error))?;
        Ok(Arc::new(directory))
    }

    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The directory of records.
    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index")
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a body's file. [`Place::Nowhere`] has none; asking for it is a mistake.
    pub(crate) fn path(&self, place: Place) -> PathBuf {
        path(&self.root, place)
    }

    /// Creates a new file in `fills`, which is made again if somebody has deleted it.
    pub(crate) fn create(&self, id: u64) -> io::Result<File> {
        let path = self.path(Place::Fill(id));
        match self.disk.create(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.disk.create_directory(&self.root.join("fills"))?;
                self.disk.create(&path)
            }
            result => result,
        }
    }

    /// Opens a body's file for reading.
    pub(crate) fn open_file(&self, place: Place) -> io::Result<File> {
        self.disk.open(&self.path(place))
    }

    /// Moves a body's file; one that is there already is replaced.
    pub(crate) fn rename(&self, from: Place, to: Place) -> io::Result<()> {
        let (from, to) = (self.path(from), self.path(to));
        match self.disk.rename(&from, &to) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.disk.create_directory(to.parent().expect("a body's path has a parent"))?;
                self.disk.rename(&from, &to)
            }
            result => result,
        }
    }

    /// Deletes a body's file.
    pub(crate) fn remove(&self, place: Place) -> io::Result<()> {
        self.disk.remove(&self.path(place))
    }

    /// What was kept under a name.
    pub(crate) fn read_control(&self, name: &str) -> io::Result<Vec<u8>> {
        read_small(&*self.disk, &self.root.join("control").join(name), MOST_CONTROL)
    }

    /// Keeps a few bytes under a name.
    pub(crate) fn write_control(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        replace(&*self.disk, &self.root.join("control").join(name), bytes)
    }

    /// Bytes that may still be written on this file system.
    pub(crate) fn free(&self) -> io::Result<u64> {
        self.disk.free(&self.root)
    }

    /// Whether the disk takes a file now: writes, syncs and deletes a small one.
    pub(crate) fn probe(&self) -> io::Result<()> {
        let path = self.root.join("fills").join("probe");
        self.disk.create_directory(&self.root.join("fills"))?;
        let written = replace(&*self.disk, &path, &[0; 4096]);
        let removed = self.disk.remove(&path);
        written.and(removed)
    }

    /// Whether the directory of records is there.
    pub(crate) fn has_index(&self) -> bool {
        self.index().is_dir()
    }

    /// Whether the directory still is the one that was locked.
    pub(crate) fn is_ours(&self) -> bool {
        let same =
            |there: fs::Metadata, ours: fs::Metadata| (there.dev(), there.ino()) == (ours.dev(), ours.ino());
        let there = fs::symlink_metadata(self.root.join("lock"));
        there.and_then(|there| Ok(same(there, self.lock.metadata()?))).unwrap_or(false)
    }

    /// The files below `bodies/`, of one of its 256 directories, with their lengths.
    pub(crate) fn bodies(&self, first: u8) -> io::Result<Vec<(PathBuf, Option<Digest>, u64)>> {
        let directory = self.root.join("bodies").join(format!("{first:02x}"));
        let listed = match self.disk.list(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            result => result?,
        };
        let named = |path: &Path| {
            let name = path.file_name()?.to_str()?;
            let digest = Digest::from_str(name).ok()?;
            // Only the lower-case form is ours.
            (digest.to_string() == name && digest.as_bytes()[0] == first).then_some(digest)
        };
        Ok(listed
            .into_iter()
            .filter(|listed| listed.kind == Kind::File)
            .map(|listed| (listed.path.clone(), named(&listed.path), listed.length))
            .collect())
    }

    /// The files in `parts/`.
    pub(crate) fn parts(&self) -> Vec<u64> {
        let listed = self.disk.list(&self.root.join("parts")).unwrap_or_default();
        let id = |listed: &Listed| u64::from_str_radix(listed.path.file_name()?.to_str()?, 16).ok();
        listed.iter().filter(|listed| listed.kind == Kind::File).filter_map(id).collect()
    }

    /// Makes the directories, moves old fills away and returns what is to be deleted.
    fn prepare(&self) -> io::Result<Vec<PathBuf>> {
        let trash = self.root.join(format!("{TRASH}{:016x}", fastrand::u64(..)));
        match fs::rename(self.root.join("fills"), trash) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for name in DIRECTORIES {
            let path = self.root.join(name);
            match make_directory(&path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            if !fs::symlink_metadata(&path)?.is_dir() {
                let what = format!("{} is not a directory; links are not followed here", path.display());
                return Err(io::Error::new(ErrorKind::NotADirectory, what));
            }
        }
        let mut trash = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(TRASH.as_bytes()) {
                trash.push(entry.path());
            }
        }
        Ok(trash)
    }
}

/// The path of a body's file in a store's directory. [`Place::Nowhere`] has none; asking for it is a mistake.
pub(crate) fn path(root: &Path, place: Place) -> PathBuf {
    match place {
        Place::Nowhere => unreachable!("a body in memory has no path"),
        Place::Fill(id) => root.join("fills").join(format!("{id:016x}")),
        Place::Part(id) => root.join("parts").join(format!("{id:016x}")),
        Place::Named(digest) => {
            let name = digest.to_string();
            root.join("bodies").join(&name[..2]).join(name)
        }
    }
}

/// Makes the store's directory when absent, for its owner only; directories above it are everybody's.
fn create(root: &Path) -> io::Result<()> {
    match root.parent() {
        Some(parent) if !root.exists() => fs::create_dir_all(parent)?,
        _ => {}
    }
    match make_directory(root) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && root.is_dir() => Ok(()),
        made => made,
    }
}

fn sweep(path: &Path) {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "what an earlier run left could not be deleted");
        }
        _ => {}
    }
}

/// Locks the file `lock` and writes this process's id in it.
pub(crate) fn lock(root: &Path) -> Result<File, OpenError> {
    let path = root.join("lock");
    let failed = |error: io::Error| OpenError { detail: format!("cannot lock {}: {error}", path.display()) };
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE).custom_flags(NO_LINK);
    let mut file = options.open(&path).map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(locked(root, file)),
        Err(error) => return Err(failed(error.into())),
    }
    file.set_len(0).map_err(failed)?;
    write!(file, "{}", std::process::id()).map_err(failed)?;
    Ok(file)
}

fn locked(root: &Path, mut file: File) -> OpenError {
    let mut pid = String::new();
    let holder = match file.read_to_string(&mut pid) {
        Ok(_) if !pid.is_empty() => format!("process {pid}"),
        _ => "another process".to_owned(),
    };
    OpenError { detail: format!("the store directory {} is in use by {holder}", root.display()) }
}
