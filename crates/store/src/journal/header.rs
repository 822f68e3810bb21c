//! What stands at the beginning of every file of the journal, and what is said when it is too new.
//!
//! ```text
//! 8 bytes  magic, another for each kind of file
//! u16      version, little-endian
//! u8       shard
//! u8       1: this file replaces all before it; else 0
//! u32      crc32c of the 12 bytes before
//! ```
//!
//! A newer version may change everything behind these 16 bytes, never these.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of a header.
pub(super) const HEADER: usize = 16;

/// The version that is written.
const VERSION: u16 = 1;

/// The kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Magic {
    Log,
    Epochs,
    Heat,
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) shard: u8,
    pub(super) follows: Follows,
}

/// What a file is in its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// It goes on where the file before it ended.
    Before,
    /// It holds everything: older files are not needed.
    Nothing,
}

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderFault {
    /// It is not one, or not a whole one.
    Damaged,
    /// A newer version wrote it.
    Newer(u16),
}

impl Magic {
    fn bytes(self) -> &'static [u8; 8] {
        match self {
            Magic::Log => b"stdp-log",
            Magic::Epochs => b"stdp-epo",
            Magic::Heat => b"stdp-ht2",
        }
    }
}

impl Header {
    pub(super) fn encode(self, magic: Magic) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(magic.bytes());
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10] = self.shard;
        bytes[11] = u8::from(self.follows == Follows::Nothing);
        let crc = crc32c::crc32c(&bytes[..12]);
        bytes[12..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header at the beginning of `bytes`.
    pub(super) fn decode(magic: Magic, bytes: &[u8]) -> Result<Self, HeaderFault> {
        let (content, crc) = bytes
            .first_chunk::<HEADER>()
            .and_then(|header| header.split_last_chunk::<4>())
            .ok_or(HeaderFault::Damaged)?;
        if content[..8] != magic.bytes()[..] || crc32c::crc32c(content) != u32::from_le_bytes(*crc) {
            return Err(HeaderFault::Damaged);
        }
        let version = u16::from_le_bytes([content[8], content[9]]);
        if version > VERSION {
            return Err(HeaderFault::Newer(version));
        }
        let follows = if content[11] == 1 { Follows::Nothing } else { Follows::Before };
        Ok(Self { shard: content[10], follows })
    }
}

/// Why an index cannot be opened. [`Display`](fmt::Display) is the message for the operator.
#[derive(Debug)]
pub(crate) enum OpenFault {
    /// A newer version wrote it; reading it would lose what this version does not know.
    Newer {
        /// The file.
        path: PathBuf,
        /// What about it is newer.
        what: &'static str,
        /// Its number there.
        found: u32,
        /// The highest number that this version knows.
        known: u32,
    },
    /// The disk did not let us.
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
}

impl OpenFault {
    pub(super) fn newer(path: &Path, found: u16) -> Self {
        let (found, known) = (u32::from(found), u32::from(VERSION));
        Self::Newer { path: path.to_owned(), what: "format version", found, known }
    }

    pub(super) fn disk(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Disk { path: path.to_owned(), error }
    }
}

impl fmt::Display for OpenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer { path, what, found, known } => write!(
                f,
                "{} was written by a newer version: {what} {found}, this version knows up to {known}; \
                 run that version, or use another directory",
                path.display()
            ),
            Self::Disk { path, error } => {
                write!(f, "cannot read the index at {}: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for OpenFault {}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::{Follows, HEADER, Header, HeaderFault, Magic};

    /// The bytes of a header with some of them changed and the checksum made good again.
    fn changed(header: Header, at: usize, byte: u8) -> [u8; HEADER] {
        let mut bytes = header.encode(Magic::Log);
        bytes[at] = byte;
        let crc = crc32c::crc32c(&bytes[..12]);
        bytes[12..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    #[test]
    fn a_header_comes_back_and_every_flipped_bit_is_noticed() {
        for follows in [Follows::Before, Follows::Nothing] {
            let header = Header { shard: 0x2a, follows };
            let mut bytes = header.encode(Magic::Log);
            assert_eq!(Header::decode(Magic::Log, &bytes), Ok(header));
            assert_eq!(Header::decode(Magic::Heat, &bytes), Err(HeaderFault::Damaged));
            for bit in 0..HEADER * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Header::decode(Magic::Log, &bytes), Err(HeaderFault::Damaged), "bit {bit}");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let header = Header { shard: 1, follows: Follows::Before };
        assert_eq!(Header::decode(Magic::Log, &changed(header, 8, 2)), Err(HeaderFault::Newer(2)));
    }
}
