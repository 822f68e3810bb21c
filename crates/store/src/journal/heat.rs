//! [`Heat`]: how often the entries of a shard were used, kept over a restart.
//!
//! `index/<shard>/heat`: a header as of every file of the journal; for each entry, in the order of their records, how far
//! its record's position is behind that of the one before (varint) and one byte that means what the store makes of it;
//! crc32c (u32). An entry that has another record now is not in it any more.
//!
//! Stateless. Losing it costs some wrong evictions, so that every fault reads as absent.

use std::io;
use std::path::{Path, PathBuf};

use super::header::{Follows, HEADER, Header, Magic};
use super::log::directory;
use super::position::Position;
use super::varint::{self, Cursor};
use crate::files::disk::{Disk, read_small, replace};

/// The longest file that is read: as many entries in one shard do not fit into memory anyway.
const LIMIT: usize = 256 << 20;

/// How often the entries of a shard were used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heat {
    /// Position and level of each entry, as in the file.
    levels: Vec<u8>,
}

impl Heat {
    /// `levels`: a byte for each position, which ascend.
    pub(crate) fn new(levels: &[(Position, u8)]) -> Self {
        let (mut bytes, mut before) = (Vec::with_capacity(3 * levels.len()), 0);
        for (position, level) in levels {
            varint::put(&mut bytes, position.to_bits().wrapping_sub(before));
            bytes.push(*level);
            before = position.to_bits();
        }
        Self { levels: bytes }
    }

    /// What a file says, without its header and checksum.
    #[cfg(feature = "fuzzing")]
    pub(super) fn of(levels: &[u8]) -> Self {
        Self { levels: levels.to_vec() }
    }

    /// Tells two of them apart.
    pub(crate) fn sum(&self) -> u32 {
        crc32c::crc32c(&self.levels)
    }

    /// Replaces what was there before. Waits for the disk.
    pub(crate) fn write(&self, disk: &dyn Disk, index: &Path, shard: u8) -> io::Result<()> {
        let mut bytes = Header { shard, follows: Follows::Before }.encode(Magic::Heat).to_vec();
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
        Some(Self { levels: content.get(HEADER..)?.to_vec() })
    }

    /// Position and level of each entry, ascending.
    pub(crate) fn levels(&self) -> impl Iterator<Item = (Position, u8)> {
        let (mut cursor, mut before) = (Cursor(&self.levels), 0_u64);
        std::iter::from_fn(move || {
            before = before.wrapping_add(cursor.varint()?);
            let [level] = cursor.array()?;
            Some((Position::from_bits(before), level))
        })
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

    const LEVELS: [(u32, u64, u8); 4] = [(1, 16, 3), (1, 300, 0), (4, 16, 255), (4, 1 << 20, 1)];

    fn levels() -> Vec<(Position, u8)> {
        LEVELS.iter().map(|(file, offset, level)| (Position::new(*file, *offset), *level)).collect()
    }

    #[test]
    fn heat_comes_back_for_its_own_shard_only() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("3f")).unwrap();
        Heat::new(&levels()).write(&RealDisk, root.path(), 0x3f).unwrap();
        let heat = Heat::read(&RealDisk, root.path(), 0x3f).unwrap();
        assert_eq!(heat.levels().collect::<Vec<_>>(), levels());
        std::fs::rename(root.path().join("3f"), root.path().join("3e")).unwrap();
        assert_eq!(Heat::read(&RealDisk, root.path(), 0x3e), None);
    }

    #[test]
    fn damaged_heat_is_no_heat() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("3f")).unwrap();
        Heat::new(&levels()).write(&RealDisk, root.path(), 0x3f).unwrap();
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
