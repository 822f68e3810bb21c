//! [`Epochs`]: which starts of the store ended cleanly.
//!
//! Each start is an epoch; records name the one in which their body was completed. `index/epochs` holds the newest epoch
//! and those whose bodies can be trusted: they ended with a clean stop, or were verified since. Every other epoch is
//! *unclean*, also one that nobody has heard of: so whatever is lost of this file, no body is trusted wrongly.
//!
//! ```text
//! header      as of every file of the journal
//! u32         newest epoch
//! u32         number of ranges, then for each: u32 first, u32 behind the last trusted epoch
//! u32         crc32c of everything before it
//! ```
//!
//! Owned by the store; [`verified`](Epochs::verified) and [`stop`](Epochs::stop) wait for the disk. Invariant: an epoch
//! is in use by one start only. A start that cannot be noted therefore takes a number at random.
//!
//! Deliberately not here: what is verified when, and making bodies durable before a clean stop is noted.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::header::{Follows, HEADER, Header, HeaderFault, Magic, OpenFault};
use super::varint::Cursor;
use crate::extents::Extents;
use crate::files::disk::{Disk, Kind, parent, read_small, replace};

/// Ranges that are kept. More would take thousands of crashes without a verification between; the oldest go.
const RANGES: usize = 1024;

/// The longest file.
const LIMIT: usize = HEADER + 8 + 8 * RANGES + 4;

/// From here on epochs are chosen at random: counting does not get here.
const RANDOM: std::ops::Range<u32> = 1 << 31..u32::MAX - (1 << 20);

/// No start is ever this one.
const NO_EPOCH: u32 = u32::MAX;

/// Which starts of the store ended cleanly.
pub(crate) struct Epochs {
    path: PathBuf,
    current: u32,
    trusted: Extents,
    /// The run before this one is known not to have ended cleanly.
    follows_crash: bool,
}

/// What the file says.
#[derive(Default)]
struct Noted {
    newest: u32,
    trusted: Extents,
}

/// Why the file says nothing.
enum Unread {
    Newer(u16),
    Lost(String),
}

impl Epochs {
    /// Begins an epoch and notes it. Waits for the disk.
    ///
    /// The text is a warning for the operator: all bodies are to be verified, or the disk cannot be written to.
    ///
    /// # Errors
    /// A newer version wrote the file.
    pub(crate) fn start(disk: &dyn Disk, index: &Path) -> Result<(Self, Option<String>), OpenFault> {
        let path = index.join("epochs");
        let (noted, mut warning) = match read(disk, index, &path) {
            Ok(noted) => (Some(noted), None),
            Err(Unread::Newer(version)) => return Err(OpenFault::newer(&path, version)),
            Err(Unread::Lost(detail)) => (None, Some(lost(&path, &detail))),
        };
        let follows_crash =
            noted.as_ref().is_some_and(|noted| noted.newest != 0 && !contains(&noted.trusted, noted.newest));
        let next = noted.as_ref().and_then(|noted| noted.newest.checked_add(1));
        let trusted = noted.unwrap_or_default().trusted;
        let next = next.filter(|next| !contains(&trusted, *next)).unwrap_or_else(|| random(&trusted));
        let mut epochs = Self { path, current: next, trusted, follows_crash };
        let begun = disk.create_directory(index).and_then(|()| disk.sync_directory(parent(index)));
        if let Err(error) = begun.and_then(|()| epochs.note(disk)) {
            epochs.current = random(&epochs.trusted);
            warning = Some(unnoted(&epochs.path, &error));
        }
        Ok((epochs, warning))
    }

    /// What is noted, for tools: no epoch begins, nothing is written. Waits for the disk.
    ///
    /// # Errors
    /// A newer version wrote the file.
    pub(crate) fn look(disk: &dyn Disk, index: &Path) -> Result<Self, OpenFault> {
        let path = index.join("epochs");
        match read(disk, index, &path) {
            Err(Unread::Newer(version)) => Err(OpenFault::newer(&path, version)),
            noted => {
                let trusted = noted.unwrap_or_default().trusted;
                Ok(Self { path, current: NO_EPOCH, trusted, follows_crash: false })
            }
        }
    }

    /// Whether the last start, if there was one, ended cleanly; for tools. Waits for the disk.
    pub(crate) fn ended_cleanly(disk: &dyn Disk, index: &Path) -> bool {
        let noted = read(disk, index, &index.join("epochs"));
        noted.is_ok_and(|noted| noted.newest == 0 || contains(&noted.trusted, noted.newest))
    }

    /// The epoch of this start.
    pub(crate) fn current(&self) -> u32 {
        self.current
    }

    /// What the operator should know of the run before this one.
    pub(crate) fn notice(&self) -> Option<&'static str> {
        self.follows_crash.then_some(
            "the last run did not end cleanly: objects that came in it are compared with their digests before their first \
             use, from now on and behind the service; what it had not written down yet is fetched again",
        )
    }

    /// Whether bodies of this epoch have to be verified before they are used.
    pub(crate) fn is_unclean(&self, epoch: u32) -> bool {
        epoch != self.current && !contains(&self.trusted, epoch)
    }

    /// All bodies of these epochs have been verified. On an error they count as unclean again after the next start.
    pub(crate) fn verified(&mut self, disk: &dyn Disk, epochs: &[u32]) -> io::Result<()> {
        epochs
            .iter()
            .filter(|epoch| **epoch != self.current)
            .for_each(|epoch| trust(&mut self.trusted, *epoch));
        self.note(disk)
    }

    /// The current epoch ends cleanly: all its records and bodies are durable.
    pub(crate) fn stop(&mut self, disk: &dyn Disk) -> io::Result<()> {
        trust(&mut self.trusted, self.current);
        self.note(disk)
    }

    fn note(&self, disk: &dyn Disk) -> io::Result<()> {
        let mut bytes = Header { shard: 0, follows: Follows::Before }.encode(Magic::Epochs).to_vec();
        let ranges = self.trusted.ranges();
        let ranges = &ranges[ranges.len().saturating_sub(RANGES)..];
        let numbers = ranges.iter().flat_map(|range| [range.start as u32, range.end as u32]);
        for number in [self.current, ranges.len() as u32].into_iter().chain(numbers) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        replace(disk, &self.path, &bytes)
    }
}

fn read(disk: &dyn Disk, index: &Path, path: &Path) -> Result<Noted, Unread> {
    match read_small(disk, path, LIMIT) {
        Ok(bytes) => decode(&bytes),
        // Without it and without logs nothing has ever been here.
        Err(error) if error.kind() == ErrorKind::NotFound && !has_shards(disk, index) => Ok(Noted::default()),
        Err(error) => Err(Unread::Lost(error.to_string())),
    }
}

fn has_shards(disk: &dyn Disk, index: &Path) -> bool {
    match disk.list(index) {
        Ok(listed) => listed.iter().any(|listed| listed.kind == Kind::Directory),
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

fn decode(bytes: &[u8]) -> Result<Noted, Unread> {
    match Header::decode(Magic::Epochs, bytes) {
        Err(HeaderFault::Newer(version)) => return Err(Unread::Newer(version)),
        Err(HeaderFault::Damaged) => return Err(Unread::Lost("it is damaged".to_owned())),
        Ok(_) => {}
    }
    payload(bytes).ok_or_else(|| Unread::Lost("it is damaged".to_owned()))
}

fn payload(bytes: &[u8]) -> Option<Noted> {
    let (content, crc) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(content) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut cursor = Cursor(content.get(HEADER..)?);
    let (newest, ranges) = (cursor.u32()?, cursor.u32()?);
    let mut trusted = Extents::default();
    for _ in 0..ranges {
        trusted.insert(u64::from(cursor.u32()?)..u64::from(cursor.u32()?));
    }
    Some(Noted { newest, trusted })
}

/// The epochs that a file trusts.
#[cfg(feature = "fuzzing")]
pub(super) fn trusted_of(bytes: &[u8]) -> Option<Extents> {
    decode(bytes).ok().map(|noted| noted.trusted)
}

fn contains(trusted: &Extents, epoch: u32) -> bool {
    trusted.contiguous_end(u64::from(epoch)) > u64::from(epoch)
}

fn trust(trusted: &mut Extents, epoch: u32) {
    // The last number is not trusted: the range behind it would not fit the file.
    if epoch != u32::MAX {
        trusted.insert(u64::from(epoch)..u64::from(epoch) + 1);
    }
}

fn random(trusted: &Extents) -> u32 {
    loop {
        let epoch = fastrand::u32(RANDOM);
        if !contains(trusted, epoch) {
            return epoch;
        }
    }
}

fn lost(path: &Path, detail: &str) -> String {
    format!("{} cannot be read ({detail}): every body is verified before it is used", path.display())
}

fn unnoted(path: &Path, error: &io::Error) -> String {
    format!(
        "{} cannot be written ({error}): what is stored now is verified after the next start",
        path.display()
    )
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::path::Path;

    use super::{Epochs, LIMIT, OpenFault, RANDOM};
    use crate::files::disk::RealDisk;
    use crate::files::disk::faulty::{FaultyDisk, Operation};

    fn start(index: &Path) -> (Epochs, bool) {
        let (epochs, warning) = Epochs::start(&RealDisk, index).unwrap();
        (epochs, warning.is_some())
    }

    #[test]
    fn a_start_without_a_clean_stop_is_unclean_until_it_was_verified() {
        let root = tempfile::tempdir().unwrap();
        let index = root.path().join("index");
        let (mut first, warned) = start(&index);
        assert_eq!(
            (first.current(), first.is_unclean(1), first.is_unclean(2), warned),
            (1, false, true, false)
        );
        first.stop(&RealDisk).unwrap();
        let (second, _) = start(&index);
        assert_eq!((second.current(), second.is_unclean(1), second.is_unclean(2)), (2, false, false));
        assert_eq!((first.notice(), second.notice()), (None, None));
        let (mut third, _) = start(&index);
        assert!(third.notice().is_some());
        assert_eq!((third.current(), third.is_unclean(1), third.is_unclean(2)), (3, false, true));
        third.verified(&RealDisk, &[2, 3]).unwrap();
        assert!(!third.is_unclean(2));
        let (fourth, warned) = start(&index);
        assert_eq!([1, 2, 3, 4, 5].map(|epoch| fourth.is_unclean(epoch)), [false, false, true, false, true]);
        assert!(!warned);
    }

    #[test]
    fn when_the_file_is_damaged_or_missing_nothing_is_trusted() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("epochs");
        start(root.path()).0.stop(&RealDisk).unwrap();
        let good = std::fs::read(&path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bytes).unwrap();
            let (epochs, warned) = start(root.path());
            assert!(warned && epochs.is_unclean(1) && RANDOM.contains(&epochs.current()), "bit {bit}");
        }
        for bytes in [&good[..good.len() - 1], &[], &vec![0; LIMIT + 1]] {
            std::fs::write(&path, bytes).unwrap();
            assert!(start(root.path()).1);
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(root.path().join("3f")).unwrap();
        let (epochs, warned) = start(root.path());
        assert!(warned && epochs.is_unclean(1));
        let (next, warned) = start(root.path());
        assert_eq!((next.current(), warned), (epochs.current() + 1, false), "from there it counts on");
    }

    #[test]
    fn a_newer_version_is_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("epochs");
        start(root.path());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[8] = 7;
        let crc = crc32c::crc32c(&bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        std::fs::write(&path, &bytes).unwrap();
        let Err(fault) = Epochs::start(&RealDisk, root.path()) else { panic!("it was opened") };
        assert!(matches!(fault, OpenFault::Newer { found: 7, known: 1, .. }));
        let message = fault.to_string();
        assert!(message.contains(&*path.to_string_lossy()) && message.contains("version 7"), "{message}");
    }

    #[test]
    fn an_epoch_that_could_not_be_noted_is_never_used_again() {
        let root = tempfile::tempdir().unwrap();
        let index = root.path().join("index");
        start(&index).0.stop(&RealDisk).unwrap();
        let steps = [
            (Operation::CreateDirectory, 1),
            (Operation::SyncDirectory, 1),
            (Operation::OpenWrite, 1),
            (Operation::SetLength, 1),
            (Operation::Write, 1),
            (Operation::Sync, 1),
            (Operation::Rename, 1),
            (Operation::SyncDirectory, 2),
        ];
        for (operation, nth) in steps {
            let disk = FaultyDisk::new(root.path(), 1).unwrap();
            disk.fail(operation, nth, libc::ENOSPC);
            let (epochs, warning) = Epochs::start(&disk, &index).unwrap();
            assert!(warning.is_some() && RANDOM.contains(&epochs.current()), "{operation:?} {nth}");
            let (next, warned) = start(&index);
            assert!(
                next.current() < 100 && !warned && next.is_unclean(epochs.current()) && !next.is_unclean(1)
            );
        }
    }

    #[test]
    fn very_many_crashes_do_not_make_the_file_longer_than_it_is_read() {
        let root = tempfile::tempdir().unwrap();
        let (mut epochs, _) = start(root.path());
        let every_second: Vec<u32> = (1..3000).map(|epoch| epoch * 2).collect();
        epochs.verified(&RealDisk, &every_second).unwrap();
        let (epochs, warned) = start(root.path());
        assert!(!warned && epochs.is_unclean(4) && !epochs.is_unclean(5998));
    }
}
