//! [`Tree`]: puts files into a tree, as hard links where that is possible, else as copies.
//!
//! Owns the open root and the open directory of the last file. Invariants: nothing outside the root is touched, whatever
//! lies in the tree (no link is followed on the way); a file appears whole and readable for everybody, or not at all; what
//! is in the way is not removed unless it is an older file of the same name. All functions wait for the disk: the command has no other work.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

/// Name of the file that is not complete yet.
const UNFINISHED: &str = ".standpipe-export";

/// A tree is for web servers, which are other users; who may look into it is said by the directory above it.
const FOR_EVERYBODY: Mode = Mode::from_raw_mode(0o644);

/// The directory that is written to.
pub(in crate::cli) struct Tree {
    root: OwnedFd,
    /// Names and handle of the directory of the last file: neighbours come together.
    last: Option<(Vec<OsString>, OwnedFd)>,
    unfinished: OsString,
}

/// Whether another file of the same name may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Replace {
    /// It is an older one.
    Allowed,
    /// It is in the way.
    Forbidden,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Put {
    /// It is another name of the given file now.
    Linked,
    /// It is a copy.
    Copied,
    /// It was that already.
    Unchanged,
}

/// What has a name in the tree.
enum Found {
    Nothing,
    Same,
    Another,
}

/// Why a file could not be put into the tree.
#[derive(Debug)]
pub(in crate::cli) enum PutError {
    /// The given file is not there any more.
    Gone,
    /// A directory is where the file should be, or a file where a directory should be.
    InTheWay,
    /// Anything else.
    Io(io::Error),
}

impl From<Errno> for PutError {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

impl From<io::Error> for PutError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Tree {
    /// The tree at `root`, which is created when absent.
    pub(in crate::cli) fn open(root: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty())?;
        Ok(Self { root, last: None, unfinished: format!("{UNFINISHED}-{}", std::process::id()).into() })
    }

    /// Puts the file at `source` under these names. Without a second name for it (other file system, no permission,
    /// too many names) it is copied. `modified` becomes its time.
    pub(in crate::cli) fn put(
        &mut self,
        names: &[OsString],
        source: &Path,
        modified: Option<SystemTime>,
        replace: Replace,
    ) -> Result<Put, PutError> {
        let Some((name, directories)) = names.split_last() else { return Err(PutError::InTheWay) };
        self.enter(directories)?;
        let file = match File::open(source) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(PutError::Gone),
            file => file?,
        };
        match self.found(name, &file)? {
            Found::Same if is_readable(&file)? => return Ok(Put::Unchanged),
            Found::Another if replace == Replace::Forbidden => return Err(PutError::InTheWay),
            Found::Same | Found::Another | Found::Nothing => {}
        }
        let put = self.make(source, &file)?;
        self.set_time(modified)?;
        self.finish(name)?;
        Ok(put)
    }

    /// Opens the directory with these names and makes what is missing of it.
    fn enter(&mut self, names: &[OsString]) -> Result<(), PutError> {
        if self.last.as_ref().is_some_and(|(last, _)| last == names) {
            return Ok(());
        }
        let mut directory = self.root.try_clone()?;
        for name in names {
            directory = match step(&directory, name) {
                Err(Errno::NOTDIR | Errno::LOOP) => return Err(PutError::InTheWay),
                entered => entered?,
            };
        }
        self.last = Some((names.to_vec(), directory));
        Ok(())
    }

    fn directory(&self) -> &OwnedFd {
        self.last.as_ref().map_or(&self.root, |(_, directory)| directory)
    }

    /// What has the name now. A copy is never taken for the same: length and time prove nothing.
    fn found(&self, name: &OsStr, file: &File) -> Result<Found, PutError> {
        let there = match rustix::fs::statat(self.directory(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            there => there?,
        };
        if FileType::from_raw_mode(there.st_mode) == FileType::Directory {
            return Err(PutError::InTheWay);
        }
        let given = file.metadata()?;
        let is_same = (there.st_dev, there.st_ino) == (given.dev(), given.ino());
        Ok(if is_same { Found::Same } else { Found::Another })
    }

    /// Links or copies to the unfinished name.
    fn make(&self, source: &Path, file: &File) -> Result<Put, PutError> {
        self.discard()?;
        match rustix::fs::linkat(CWD, source, &self.root, &self.unfinished, AtFlags::empty()) {
            Ok(()) if is_readable(file)? => return Ok(Put::Linked),
            // Not ours: what nobody else can read is of no use in a tree.
            Ok(()) => self.discard()?,
            Err(Errno::NOENT) => return Err(PutError::Gone),
            Err(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::ACCESS | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let copy = rustix::fs::openat(&self.root, &self.unfinished, flags, FOR_EVERYBODY)?;
        io::copy(&mut &*file, &mut File::from(copy))?;
        Ok(Put::Copied)
    }

    fn set_time(&self, modified: Option<SystemTime>) -> Result<(), PutError> {
        let since = modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let Some(since) = since else { return Ok(()) };
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: since.as_secs().cast_signed(), tv_nsec: 0 },
        };
        match rustix::fs::utimensat(&self.root, &self.unfinished, &times, AtFlags::SYMLINK_NOFOLLOW) {
            // A link to somebody else's file: its bytes are right, only its time is the server's.
            Err(Errno::PERM | Errno::ACCESS) => Ok(()),
            set => Ok(set?),
        }
    }

    /// Gives the unfinished file its name.
    fn finish(&self, name: &OsStr) -> Result<(), PutError> {
        match rustix::fs::renameat(&self.root, &self.unfinished, self.directory(), name) {
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                self.discard()?;
                Err(PutError::InTheWay)
            }
            renamed => Ok(renamed?),
        }
    }

    /// Removes what was not finished.
    fn discard(&self) -> Result<(), PutError> {
        match rustix::fs::unlinkat(&self.root, &self.unfinished, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            removed => Ok(removed?),
        }
    }
}

/// Lets everybody read a file of the store, whose directory is closed to them. `false` when it is not ours to do that.
fn is_readable(file: &File) -> Result<bool, PutError> {
    if file.metadata()?.mode() & FOR_EVERYBODY.bits() == FOR_EVERYBODY.bits() {
        return Ok(true);
    }
    match rustix::fs::fchmod(file, FOR_EVERYBODY) {
        Err(Errno::PERM) => Ok(false),
        changed => Ok(changed.map(|()| true)?),
    }
}

/// One directory deeper; it is made when absent. A link is not followed.
fn step(directory: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => {}
        opened => return opened,
    }
    match rustix::fs::mkdirat(directory, name, Mode::from_raw_mode(0o755)) {
        Err(error) if error != Errno::EXIST => return Err(error),
        _ => {}
    }
    rustix::fs::openat(directory, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;

    struct Bench {
        tree: Tree,
        root: PathBuf,
        directory: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let root = directory.path().join("tree");
            Self { tree: Tree::open(&root).expect("made"), root, directory }
        }

        fn source(&self, text: &str) -> PathBuf {
            let path = self.directory.path().join(text);
            fs::write(&path, text).expect("written");
            path
        }

        fn put(&mut self, path: &str, source: &Path) -> Result<Put, PutError> {
            let names: Vec<OsString> = Path::new(path).iter().map(OsStr::to_owned).collect();
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
            self.tree.put(&names, source, Some(modified), Replace::Allowed)
        }

        fn text(&self, path: &str) -> String {
            fs::read_to_string(self.root.join(path)).expect("a file")
        }

        fn names(&self) -> usize {
            fs::read_dir(&self.root).expect("the tree").count()
        }
    }

    #[test]
    fn a_file_is_linked_once_and_replaced_when_another_has_its_name() {
        let mut bench = Bench::new();
        let (old, new) = (bench.source("old"), bench.source("new"));
        assert!(matches!(bench.put("https/a/x", &old), Ok(Put::Linked)));
        assert!(matches!(bench.put("https/a/x", &old), Ok(Put::Unchanged)));
        assert_eq!(
            fs::metadata(bench.root.join("https/a/x")).expect("there").ino(),
            fs::metadata(&old).expect("there").ino()
        );
        assert!(matches!(bench.put("https/a/x", &new), Ok(Put::Linked)));
        assert_eq!(
            (bench.text("https/a/x").as_str(), fs::read_to_string(old).expect("there").as_str()),
            ("new", "old")
        );
        assert_eq!(bench.names(), 1, "nothing unfinished is left");
        let modified = fs::metadata(bench.root.join("https/a/x")).expect("there").modified().expect("a time");
        assert_eq!(modified, SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
    }

    // A store's files are closed to others, and a link has the mode of the file.
    #[test]
    fn what_is_put_into_a_tree_can_be_read_by_everybody() {
        let mut bench = Bench::new();
        let source = bench.source("x");
        let close = || fs::set_permissions(&source, fs::Permissions::from_mode(0o600)).expect("ours");
        let mode = |bench: &Bench| fs::metadata(bench.root.join("https/a/x")).expect("there").mode() & 0o777;
        close();
        assert!(matches!(bench.put("https/a/x", &source), Ok(Put::Linked)));
        assert_eq!(mode(&bench), 0o644);
        close();
        assert!(matches!(bench.put("https/a/x", &source), Ok(Put::Unchanged)));
        assert_eq!(mode(&bench), 0o644, "also where the link was there");
    }

    #[test]
    fn a_file_and_a_directory_of_one_name_do_not_fit() {
        let mut bench = Bench::new();
        let source = bench.source("x");
        bench.put("https/a/x", &source).expect("put");
        assert!(matches!(bench.put("https/a/x/y", &source), Err(PutError::InTheWay)));
        bench.put("https/a/z/y", &source).expect("put");
        assert!(matches!(bench.put("https/a/z", &source), Err(PutError::InTheWay)));
        assert_eq!((bench.text("https/a/x"), bench.text("https/a/z/y")), ("x".into(), "x".into()));
    }

    #[test]
    fn no_link_leads_out_of_the_tree() {
        let mut bench = Bench::new();
        let source = bench.source("x");
        let outside = bench.directory.path().join("outside");
        fs::create_dir(&outside).expect("made");
        symlink(&outside, bench.root.join("https")).expect("made");
        assert!(matches!(bench.put("https/a", &source), Err(PutError::InTheWay)));
        assert_eq!(fs::read_dir(&outside).expect("there").count(), 0);
        // A link in the place of the file itself is replaced, not followed.
        symlink(outside.join("f"), bench.root.join("g")).expect("made");
        bench.put("g", &source).expect("put");
        assert!(!outside.join("f").exists());
        assert_eq!(bench.text("g"), "x");
    }

    #[test]
    fn what_must_not_be_replaced_stays() {
        let mut bench = Bench::new();
        let (first, second) = (bench.source("first"), bench.source("second"));
        bench.put("x", &first).expect("put");
        let put = |bench: &mut Bench, source| bench.tree.put(&["x".into()], source, None, Replace::Forbidden);
        assert!(matches!(put(&mut bench, &second), Err(PutError::InTheWay)));
        assert!(matches!(put(&mut bench, &first), Ok(Put::Unchanged)));
        assert_eq!(bench.text("x"), "first");
    }

    #[test]
    fn what_is_gone_is_said_to_be() {
        let mut bench = Bench::new();
        let missing = bench.directory.path().join("missing");
        assert!(matches!(bench.put("https/a/x", &missing), Err(PutError::Gone)));
    }
}
