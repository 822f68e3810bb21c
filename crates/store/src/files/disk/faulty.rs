//! [`FaultyDisk`]: a disk for tests that fails when told and forgets, at a power cut, what was not made durable.
//!
//! It works on a real directory, which shows what the page cache would show, and remembers besides what the platter
//! holds: [`content`] for the bytes of files, [`names`] for directories. [`FaultyDisk::crash`] writes a possible state
//! of the platter to another directory. All choices come from one seed.
//!
//! Owns the directory: nobody else may change files in it. All state is behind one lock; calls run one at a time, but a
//! gate is called without it and may wait.
//!
//! Deliberately not here: changes through mappings or directly to a [`File`], and moving directories.

mod content;
mod names;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::{Disk, Kind, Listed, RealDisk};
use content::Content;
use names::{Names, Node};

/// A disk for tests, over a directory of the real one.
pub struct FaultyDisk {
    root: PathBuf,
    state: Mutex<State>,
}

/// The calls of [`Disk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// [`Disk::create`]
    Create,
    /// [`Disk::open`]
    Open,
    /// [`Disk::open_write`]
    OpenWrite,
    /// [`Disk::write_at`]
    Write,
    /// [`Disk::read_at`]
    Read,
    /// [`Disk::set_length`]
    SetLength,
    /// [`Disk::sync`]
    Sync,
    /// [`Disk::sync_all`]
    SyncAll,
    /// [`Disk::sync_directory`]
    SyncDirectory,
    /// [`Disk::rename`]
    Rename,
    /// [`Disk::link`]
    Link,
    /// [`Disk::remove`]
    Remove,
    /// [`Disk::create_directory`]
    CreateDirectory,
    /// [`Disk::remove_directory`]
    RemoveDirectory,
    /// [`Disk::list`]
    List,
    /// [`Disk::length`]
    Length,
    /// [`Disk::free`]
    Free,
}

/// What is called before each operation, without a lock; it may wait.
pub type Gate = Arc<dyn Fn(Operation) + Send + Sync>;

struct State {
    random: fastrand::Rng,
    names: Names,
    contents: Vec<Content>,
    /// Device and inode → index of the content.
    inodes: HashMap<(u64, u64), usize>,
    calls: HashMap<u8, u64>,
    changes: u64,
    faults: Vec<Fault>,
    short_writes: bool,
    cut_at: Option<u64>,
    gate: Option<Gate>,
    /// What is said to be free, if not what is.
    free: Option<u64>,
}

struct Fault {
    /// `None`: all of them.
    operation: Option<Operation>,
    /// Calls until it strikes.
    left: u64,
    lasting: bool,
    errno: i32,
}

impl Operation {
    /// Whether the call changes what is on disk, or makes it durable.
    pub fn changes(self) -> bool {
        use Operation::{Free, Length, List, Open, Read};
        !matches!(self, Open | Read | List | Length | Free)
    }
}

impl FaultyDisk {
    /// A disk over `root`, which exists; what is in it is durable.
    pub fn new(root: &Path, seed: u64) -> io::Result<Self> {
        let mut state = State {
            random: fastrand::Rng::with_seed(seed),
            names: Names::default(),
            contents: Vec::new(),
            inodes: HashMap::new(),
            calls: HashMap::new(),
            changes: 0,
            faults: Vec::new(),
            short_writes: false,
            cut_at: None,
            gate: None,
            free: None,
        };
        state.adopt(root, Path::new(""))?;
        Ok(Self { root: root.to_owned(), state: Mutex::new(state) })
    }

    /// The `nth` call of `operation` from now (1: the next) fails with `errno`, once.
    pub fn fail(&self, operation: Operation, nth: u64, errno: i32) {
        self.add(Some(operation), nth, errno, false);
    }

    /// From its `nth` call on (1: the next), `operation` fails with `errno`, until [`heal`](Self::heal).
    pub fn fail_from(&self, operation: Operation, nth: u64, errno: i32) {
        self.add(Some(operation), nth, errno, true);
    }

    /// The `nth` call of any operation from now (1: the next) fails with `errno`, once.
    pub fn fail_any(&self, nth: u64, errno: i32) {
        self.add(None, nth, errno, false);
    }

    /// From now on so many bytes are said to be free.
    pub fn set_free(&self, bytes: u64) {
        self.state.lock().free = Some(bytes);
    }

    /// No more faults and short writes. Power that was cut stays cut.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.faults.clear();
        state.short_writes = false;
    }

    /// From now on writes write a part of what they were given, at least one byte.
    pub fn short_writes(&self) {
        self.state.lock().short_writes = true;
    }

    /// `gate` is called before each operation from now on.
    pub fn gate(&self, gate: Gate) {
        self.state.lock().gate = Some(gate);
    }

    /// The `nth` call from now (1: the next) that [changes](Operation::changes) something, and all calls of any
    /// operation after it, fail with `EIO` and do nothing.
    pub fn cut_power_at(&self, nth: u64) {
        let mut state = self.state.lock();
        state.cut_at = Some(state.changes + nth);
    }

    /// How often `operation` was called.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.state.lock().calls.get(&(operation as u8)).copied().unwrap_or(0)
    }

    /// How many calls were made that [change](Operation::changes) something.
    pub fn changes(&self) -> u64 {
        self.state.lock().changes
    }

    /// Writes to the empty directory `into` what a power cut would leave now: what was made durable, and of the rest
    /// what chance wants, sector by sector and name by name. This disk goes on unharmed.
    pub fn crash(&self, into: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let State { random, names, contents, .. } = &mut *state;
        for (path, node) in names.survivors(random) {
            match node {
                Node::Directory => std::fs::create_dir(into.join(path))?,
                Node::File(content) => std::fs::write(into.join(path), contents[content].survivor(random))?,
            }
        }
        Ok(())
    }

    fn add(&self, operation: Option<Operation>, nth: u64, errno: i32, lasting: bool) {
        self.state.lock().faults.push(Fault { operation, left: nth.max(1), lasting, errno });
    }

    fn call<T>(
        &self,
        operation: Operation,
        perform: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let gate = self.state.lock().gate.clone();
        if let Some(gate) = gate {
            gate(operation);
        }
        let mut state = self.state.lock();
        state.enter(operation)?;
        perform(&mut state)
    }

    fn inner<'a>(&self, path: &'a Path) -> io::Result<&'a Path> {
        path.strip_prefix(&self.root).map_err(io::Error::other)
    }
}

impl State {
    fn adopt(&mut self, root: &Path, inner: &Path) -> io::Result<()> {
        for listed in RealDisk.list(&root.join(inner))? {
            let name = inner.join(listed.path.file_name().unwrap_or_default());
            match listed.kind {
                Kind::Directory => {
                    self.names.add(name.clone(), Node::Directory);
                    self.adopt(root, &name)?;
                }
                Kind::File => {
                    let content = Content::new(std::fs::read(&listed.path)?);
                    let id = self.track(&File::open(&listed.path)?, content)?;
                    self.names.add(name, Node::File(id));
                }
                Kind::Other => {}
            }
        }
        self.names.sync_all();
        Ok(())
    }

    fn enter(&mut self, operation: Operation) -> io::Result<()> {
        *self.calls.entry(operation as u8).or_default() += 1;
        self.changes += u64::from(operation.changes());
        if self.cut_at.is_some_and(|cut| self.changes >= cut) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        let mut errno = None;
        self.faults.retain_mut(|fault| {
            if fault.operation.is_some_and(|only| only != operation) {
                return true;
            }
            fault.left = fault.left.saturating_sub(1);
            let strikes = fault.left == 0;
            if strikes {
                errno.get_or_insert(fault.errno);
            }
            !strikes || fault.lasting
        });
        errno.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
    }

    fn track(&mut self, file: &File, content: Content) -> io::Result<usize> {
        let id = self.contents.len();
        self.contents.push(content);
        // The number of a deleted file may come again: the newest counts.
        self.inodes.insert(inode(file)?, id);
        Ok(id)
    }

    fn content(&mut self, file: &File) -> io::Result<&mut Content> {
        let id = *self.inodes.get(&inode(file)?).ok_or_else(|| io::Error::other("a file of another disk"))?;
        Ok(&mut self.contents[id])
    }

    fn created(&mut self, file: File, path: &Path) -> io::Result<File> {
        let id = self.track(&file, Content::new(Vec::new()))?;
        self.names.add(path.to_owned(), Node::File(id));
        Ok(file)
    }
}

fn inode(file: &File) -> io::Result<(u64, u64)> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        let inner = self.inner(path)?;
        self.call(Operation::Create, |state| state.created(RealDisk.create(path)?, inner))
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.call(Operation::Open, |_| RealDisk.open(path))
    }

    fn open_write(&self, path: &Path) -> io::Result<File> {
        let inner = self.inner(path)?;
        self.call(Operation::OpenWrite, |state| {
            let known = path.exists();
            let file = RealDisk.open_write(path)?;
            if known { Ok(file) } else { state.created(file, inner) }
        })
    }

    fn write_at(&self, file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        self.call(Operation::Write, |state| {
            let mut bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            if state.short_writes && !bytes.is_empty() {
                bytes.truncate(state.random.usize(1..=bytes.len()));
            }
            super::write_all_at(&RealDisk, file, &bytes, offset)?;
            let written = bytes.len();
            state.content(file)?.write(offset, bytes);
            Ok(written)
        })
    }

    fn read_at(&self, file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.call(Operation::Read, |_| RealDisk.read_at(file, into, offset))
    }

    fn set_length(&self, file: &File, length: u64) -> io::Result<()> {
        self.call(Operation::SetLength, |state| {
            RealDisk.set_length(file, length)?;
            state.content(file)?.set_length(length);
            Ok(())
        })
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let result = self.call(Operation::Sync, |state| {
            state.content(file)?.sync();
            Ok(())
        });
        if result.is_err() {
            // As Linux does: what could not be written counts as clean, and is not tried again by the next sync.
            let mut state = self.state.lock();
            let mut random = state.random.fork();
            state.content(file)?.give_up(&mut random);
        }
        result
    }

    fn sync_all(&self, _: &Path) -> io::Result<()> {
        self.call(Operation::SyncAll, |state| {
            state.contents.iter_mut().for_each(Content::sync);
            state.names.sync_all();
            Ok(())
        })
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let inner = self.inner(path)?;
        self.call(Operation::SyncDirectory, |state| {
            // Nothing below is asked to be durable: only `crash` tells, and tests are quicker.
            if !std::fs::metadata(path)?.is_dir() {
                return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
            }
            state.names.sync(inner);
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (inner_from, inner_to) = (self.inner(from)?, self.inner(to)?);
        self.call(Operation::Rename, |state| {
            if from.is_dir() {
                return Err(io::Error::from_raw_os_error(libc::EISDIR));
            }
            RealDisk.rename(from, to)?;
            state.names.rename(inner_from, inner_to);
            Ok(())
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (inner_from, inner_to) = (self.inner(from)?, self.inner(to)?);
        self.call(Operation::Link, |state| {
            RealDisk.link(from, to)?;
            state.names.link(inner_from, inner_to);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let inner = self.inner(path)?;
        self.call(Operation::Remove, |state| {
            RealDisk.remove(path)?;
            state.names.remove(inner);
            Ok(())
        })
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let inner = self.inner(path)?;
        self.call(Operation::CreateDirectory, |state| {
            let missing: Vec<_> = inner.ancestors().filter(|path| !self.root.join(path).is_dir()).collect();
            RealDisk.create_directory(path)?;
            missing.into_iter().rev().for_each(|path| state.names.add(path.to_owned(), Node::Directory));
            Ok(())
        })
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let inner = self.inner(path)?;
        self.call(Operation::RemoveDirectory, |state| {
            RealDisk.remove_directory(path)?;
            state.names.remove(inner);
            Ok(())
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        self.call(Operation::List, |_| RealDisk.list(path))
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        self.call(Operation::Length, |_| RealDisk.length(path))
    }

    fn free(&self, path: &Path) -> io::Result<u64> {
        self.call(Operation::Free, |state| state.free.map_or_else(|| RealDisk.free(path), Ok))
    }
}
