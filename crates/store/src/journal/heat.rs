//! [`Heat`]: how often the entries of a shard were used, kept over a restart.
//!
//! `index/<shard>/heat`: a header as of every file of the journal, the position behind the newest record (u64), the
//! number of entries (u32), one byte for each, crc32c (u32). The bytes are in the order of the entries' records and mean
//! what the store makes of them.
//!
//! Stateless. Invariant: without the log it was written for, it is not used. Losing it costs some wrong evictions, so
//! that every fault reads as absent.

use std::io;
use std::path::{Path, PathBuf};

use super::header::{Follows, HEADER, Header, Magic};
use super::log::directory;
use super::position::Position;
use super::varint::Cursor;
use crate::files::disk::{Disk, read_small, replace};

/// The longest file that is read: as many entries in one shard do not fit into memory anyway.
const LIMIT: usize = 64 << 20;

/// How often the entries of a shard were used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heat {
    /// Where the shard's log ended.
    end: Position,
    /// One byte an entry, in the order of the entries' positions.
    levels: Vec<u8>,
}

impl Heat {
    /// `levels`: one byte for each entry, in the order of their positions; `end`: the end of their log.
    pub(crate) fn new(end: Position, levels: Vec<u8>) -> Self {
        Self { end, levels }
    }

    /// Replaces what was there before. Waits for the disk.
    pub(crate) fn write(&self, disk: &dyn Disk, index: &Path, shard: u8) -> io::Result<()> {
        let mut bytes = Header { shard, follows: Follows::Before }.encode(Magic::Heat).to_vec();
        bytes.extend_from_slice(&self.end.to_bits().to_le_bytes());
        bytes.extend_from_slice(&(self.levels.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.levels);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        replace(disk, &path(index, shard), &bytes)
    }

    /// What was written last; `None` when it is absent or cannot be read. Waits for the disk.
    pub(crate) fn read(disk: &dyn Disk, index: &Path, shard: u8) -> Option<Self> {
        let bytes = read_small(disk, &path(index, shard), LIMIT).ok()?;
        if Header::decode(Magic::Heat, &bytes).ok()?.shard != shard {
            return None;
        }
        let (content, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(content) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut cursor = Cursor(content.get(HEADER..)?);
        let end = Position::from_bits(u64::from_le_bytes(cursor.array()?));
        let levels = cursor.u32()? as usize;
        Some(Self { end, levels: cursor.bytes(levels)?.to_vec() })
    }

    /// The levels of `entries` entries whose log ends at `end`; `None` when they belong to another log.
    pub(crate) fn levels(self, end: Position, entries: usize) -> Option<Vec<u8>> {
        (self.end == end && self.levels.len() == entries).then_some(self.levels)
    }
}

fn path(index: &Path, shard: u8) -> PathBuf {
    directory(index, shard).join("heat")
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::{Heat, path};
    use crate::files::disk::RealDisk;
    use crate::journal::position::Position;

    #[test]
    fn heat_comes_back_for_its_own_log_only() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("3f")).unwrap();
        let (end, levels) = (Position::new(4, 1000), vec![3, 0, 1]);
        Heat::new(end, levels.clone()).write(&RealDisk, root.path(), 0x3f).unwrap();
        let heat = || Heat::read(&RealDisk, root.path(), 0x3f).unwrap();
        assert_eq!(heat().levels(end, 3), Some(levels));
        assert_eq!(heat().levels(end, 4), None);
        assert_eq!(heat().levels(Position::new(4, 1001), 3), None);
        assert_eq!(Heat::read(&RealDisk, root.path(), 0x3e), None);
    }

    #[test]
    fn damaged_heat_is_no_heat() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("3f")).unwrap();
        Heat::new(Position::new(4, 1000), vec![3, 0, 1]).write(&RealDisk, root.path(), 0x3f).unwrap();
        let path = path(root.path(), 0x3f);
        let good = std::fs::read(&path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(Heat::read(&RealDisk, root.path(), 0x3f), None, "bit {bit}");
        }
        std::fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert_eq!(Heat::read(&RealDisk, root.path(), 0x3f), None);
    }
}
