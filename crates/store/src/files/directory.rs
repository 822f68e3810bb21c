//! [`Directory`]: the store's place on disk, its lock and its names.
//!
//! `lock` (held while the store is open; names the process), `fills/<id>` while a body grows,
//! `bodies/ab/<sha256>` when it is complete, `trash-…` for what an earlier run left. Nothing else in the directory is
//! touched. Body files hold the content and nothing else.
//!
//! All functions wait for the disk: opening is for the start of the process, the rest for disk threads.
//! Deliberately not here: who owns which name ([`Shared`](crate::shared::Shared) knows).

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use crate::{Digest, OpenError};

/// Begins the names of directories that are to be deleted.
const TRASH: &str = "trash-";

/// The locked directory.
pub(crate) struct Directory {
    root: PathBuf,
    /// Open as long as the directory is in use: the lock goes with it.
    _lock: File,
}

/// Where the file of a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// There is none (yet): the bytes are in memory.
    Nowhere,
    /// `fills/<id>`
    Fill(u64),
    /// `bodies/ab/<sha256>`
    Named(Digest),
}

impl Directory {
    /// Locks the directory and moves the bodies of earlier runs out of the way; they are deleted by a thread of its own.
    pub(crate) fn open(root: &Path) -> Result<Arc<Self>, OpenError> {
        let failed = |action: &str, error: io::Error| OpenError {
            detail: format!("cannot {action} the store directory {}: {error}", root.display()),
        };
        fs::create_dir_all(root).map_err(|error| failed("create", error))?;
        let directory = Self { root: root.to_owned(), _lock: lock(root)? };
        let trash = directory.empty().map_err(|error| failed("empty", error))?;
        std::thread::Builder::new()
            .name("disk-sweep".to_owned())
            .spawn(move || trash.iter().for_each(|path| sweep(path)))
            .map_err(|error| failed("sweep", error))?;
        Ok(Arc::new(directory))
    }

    /// The path of a body's file. [`Place::Nowhere`] has none; asking for it is a mistake.
    pub(crate) fn path(&self, place: Place) -> PathBuf {
        match place {
            Place::Nowhere => unreachable!("a body in memory has no path"),
            Place::Fill(id) => self.root.join("fills").join(format!("{id:016x}")),
            Place::Named(digest) => {
                let name = digest.to_string();
                self.root.join("bodies").join(&name[..2]).join(name)
            }
        }
    }

    /// Creates a new file in `fills`.
    pub(crate) fn create(&self, id: u64) -> io::Result<File> {
        File::options().read(true).write(true).create_new(true).open(self.path(Place::Fill(id)))
    }

    /// Moves a body's file; one that is there already is replaced.
    pub(crate) fn rename(&self, from: Place, to: Place) -> io::Result<()> {
        let (from, to) = (self.path(from), self.path(to));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(to.parent().expect("a body's path has a parent"))?;
                fs::rename(&from, &to)
            }
            result => result,
        }
    }

    /// Moves old bodies away and returns what is to be deleted.
    fn empty(&self) -> io::Result<Vec<PathBuf>> {
        for name in ["fills", "bodies", "parts"] {
            let trash = self.root.join(format!("{TRASH}{:016x}", fastrand::u64(..)));
            match fs::rename(self.root.join(name), trash) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::create_dir(self.root.join("fills"))?;
        fs::create_dir(self.root.join("bodies"))?;
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

fn sweep(path: &Path) {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "the bodies of an earlier run could not be deleted");
        }
        _ => {}
    }
}

/// Locks the file `lock` and writes this process's id in it.
fn lock(root: &Path) -> Result<File, OpenError> {
    let path = root.join("lock");
    let failed = |error: io::Error| OpenError { detail: format!("cannot lock {}: {error}", path.display()) };
    let mut file =
        File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
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
