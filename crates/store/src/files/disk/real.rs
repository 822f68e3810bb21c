//! [`RealDisk`]: the file system as the kernel gives it.
//!
//! Stateless. Calls that a signal interrupts are made again; every other error goes to the caller.

use std::fs::{self, DirBuilder, File};
use std::io::{self, IoSlice};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Disk, Kind, Listed};

/// The file system as the kernel gives it.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// A link is somebody else's doing: what it leads to is not what was stored, and not to be written to.
pub(in crate::files) const NO_LINK: i32 = OFlags::NOFOLLOW.bits().cast_signed();

/// Objects may have been fetched with credentials: nobody else reads what the store writes.
pub(in crate::files) const FILE_MODE: u32 = 0o600;
/// As [`FILE_MODE`], for directories.
const DIRECTORY_MODE: u32 = 0o700;

/// Makes one directory; its parent must be there.
pub(in crate::files) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(DIRECTORY_MODE).create(path)
}

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        File::options().read(true).write(true).create_new(true).mode(FILE_MODE).open(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        File::options().read(true).custom_flags(NO_LINK).open(path)
    }

    fn open_write(&self, path: &Path) -> io::Result<File> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        options.custom_flags(NO_LINK).open(path)
    }

    fn write_at(&self, file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        uninterrupted(|| rustix::io::pwritev(file, slices, offset))
    }

    fn read_at(&self, file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
        uninterrupted(|| rustix::io::pread(file, &mut *into, offset))
    }

    fn set_length(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        let directory = File::open(path)?;
        uninterrupted(|| rustix::fs::syncfs(&directory).map(|()| 0)).map(drop)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for entry in fs::read_dir(path)? {
            let path = entry?.path();
            match fs::symlink_metadata(&path) {
                Ok(metadata) => listed.push(describe(path, &metadata)?),
                // Deleted by somebody since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(listed)
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::symlink_metadata(path)?.len())
    }

    fn free(&self, path: &Path) -> io::Result<u64> {
        let statistics = rustix::fs::statvfs(path)?;
        Ok(statistics.f_bavail.saturating_mul(statistics.f_frsize))
    }
}

fn describe(path: PathBuf, metadata: &fs::Metadata) -> io::Result<Listed> {
    let kind = match metadata.file_type() {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Directory,
        _ => Kind::Other,
    };
    let modified = metadata.modified()?;
    Ok(Listed { path, kind, length: metadata.len(), modified })
}

fn uninterrupted(mut call: impl FnMut() -> rustix::io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result.map_err(io::Error::from),
        }
    }
}
