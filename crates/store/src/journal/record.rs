//! One record of the log as bytes.
//!
//! ```text
//! u32   length of kind and payload, little-endian like all numbers of fixed size here
//! u8    kind: 1 put with a whole body, 2 put with a part of a body, 3 removed,
//!       4 and 5 as 1 and 2 with labels, 6 marked
//!       payload
//! u32   crc32c of everything before it, the length too
//! ```
//!
//! Payloads (`v` is a varint): *put*: key 16 bytes, epoch v, stored u32, deadline v, body, name's length v, name, head
//! (the rest). The deadline is 0 for none, else one more than the zigzag distance from stored. A *whole* body is digest
//! 32 bytes, length v; a *part* is id v, declared length + 1 (0 unknown) v, number of extents v, and for each the
//! distance from the end of the one before v and its length v. *Labels* stand before the name: number v, 8 bytes each.
//! *Removed* and *marked*: key 16 bytes.
//!
//! Stateless, no IO. Invariants: decoding garbage gives a [`Fault`], never a panic and never an allocation larger than
//! some times the bytes at hand; a record is at most [`RECORD_LIMIT`] bytes; a record that was changed in any single
//! bit, or cut, is not decoded.

use crate::extents::Extents;
use crate::{Digest, Key};

use super::varint::{self, Cursor};

/// Bytes of the longest record, everything counted.
pub(crate) const RECORD_LIMIT: usize = 1 << 20;

/// Bytes of a record besides kind and payload.
const FRAME: usize = 8;

const WHOLE: u8 = 1;
const PART: u8 = 2;
const REMOVED: u8 = 3;
const WHOLE_LABELLED: u8 = 4;
const PART_LABELLED: u8 = 5;
const MARKED: u8 = 6;

/// Bytes of a label.
const LABEL: usize = size_of::<u64>();

/// The highest kind that this version knows.
pub(super) const LAST_KIND: u8 = MARKED;

/// A change of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    /// The entry is now this.
    Put(Put<'a>),
    /// The entry is gone.
    Removed(Key),
    /// The entry that was put before must be confirmed before it is used.
    Marked(Key),
}

/// Everything about an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Put<'a> {
    /// Which entry.
    pub(crate) key: Key,
    /// Its body.
    pub(crate) body: BodyRef,
    /// The epoch in which the body was completed, or written to.
    pub(crate) epoch: u32,
    /// Until when it is useful, in seconds since 1970; 0: no end.
    pub(crate) deadline: u32,
    /// When it was stored, in seconds since 1970.
    pub(crate) stored: u32,
    /// By which it can be found, 8 bytes each; mostly none.
    pub(crate) labels: &'a [u8],
    /// What the entry is called in lists, usually its URL.
    pub(crate) name: &'a str,
    /// The head, as the owner of the store encodes it.
    pub(crate) head: &'a [u8],
}

/// The body of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BodyRef {
    /// A complete body, named by its digest.
    Whole {
        /// Names the file.
        digest: Digest,
        /// Of the file, in bytes.
        length: u64,
    },
    /// A body with holes.
    Part {
        /// Names the file.
        id: u64,
        /// How long the body is said to become.
        length: Option<u64>,
        /// What is there.
        extents: Extents,
    },
}

/// The record would be longer than [`RECORD_LIMIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The bytes end before the record does.
    Torn,
    /// The bytes are not what was written.
    Corrupt {
        /// After how many bytes the next record begins, if the length is right.
        skip: Option<usize>,
    },
    /// A good record of a kind that this version does not know.
    Unknown {
        /// The kind.
        kind: u8,
    },
}

impl Record<'_> {
    /// Appends the record to `into`; nothing is appended when it is too long.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) -> Result<(), TooLong> {
        let start = into.len();
        into.extend_from_slice(&[0; 4]);
        match self {
            Record::Removed(key) => {
                into.push(REMOVED);
                into.extend_from_slice(key.as_bytes());
            }
            Record::Marked(key) => {
                into.push(MARKED);
                into.extend_from_slice(key.as_bytes());
            }
            Record::Put(put) => put.encode(into),
        }
        let length = into.len() - start - 4;
        if length + FRAME > RECORD_LIMIT {
            into.truncate(start);
            return Err(TooLong);
        }
        into[start..start + 4].copy_from_slice(&(length as u32).to_le_bytes());
        let crc = crc32c::crc32c(&into[start..]);
        into.extend_from_slice(&crc.to_le_bytes());
        Ok(())
    }
}

impl Put<'_> {
    fn encode(&self, into: &mut Vec<u8>) {
        into.push(match (&self.body, self.labels.is_empty()) {
            (BodyRef::Whole { .. }, true) => WHOLE,
            (BodyRef::Part { .. }, true) => PART,
            (BodyRef::Whole { .. }, false) => WHOLE_LABELLED,
            (BodyRef::Part { .. }, false) => PART_LABELLED,
        });
        into.extend_from_slice(self.key.as_bytes());
        varint::put(into, u64::from(self.epoch));
        into.extend_from_slice(&self.stored.to_le_bytes());
        varint::put(into, pack_deadline(self.deadline, self.stored));
        match &self.body {
            BodyRef::Whole { digest, length } => {
                into.extend_from_slice(digest.as_bytes());
                varint::put(into, *length);
            }
            BodyRef::Part { id, length, extents } => {
                varint::put(into, *id);
                // A length of 2^64-1 bytes is no length: it comes back as unknown.
                varint::put(into, length.map_or(0, |length| length.wrapping_add(1)));
                pack_extents(into, extents);
            }
        }
        if !self.labels.is_empty() {
            varint::put(into, (self.labels.len() / LABEL) as u64);
            into.extend_from_slice(self.labels);
        }
        varint::put(into, self.name.len() as u64);
        into.extend_from_slice(self.name.as_bytes());
        into.extend_from_slice(self.head);
    }
}

/// Bytes of the whole record that begins with `bytes`.
pub(super) fn frame(bytes: &[u8]) -> Result<usize, Fault> {
    let length = bytes.first_chunk().ok_or(Fault::Torn)?;
    let length = u32::from_le_bytes(*length) as usize;
    if length == 0 || length > RECORD_LIMIT - FRAME {
        return Err(Fault::Corrupt { skip: None });
    }
    Ok(length + FRAME)
}

/// Whether the record in `frame` puts an entry, by its kind alone.
pub(super) fn puts(frame: &[u8]) -> bool {
    matches!(frame.get(4), Some(&(WHOLE | PART | WHOLE_LABELLED | PART_LABELLED)))
}

/// The record at the beginning of `bytes` and how many of them it takes.
pub(crate) fn decode(bytes: &[u8]) -> Result<(Record<'_>, usize), Fault> {
    let length = frame(bytes)?;
    let (content, crc) = bytes.get(..length).and_then(<[u8]>::split_last_chunk::<4>).ok_or(Fault::Torn)?;
    let corrupt = Fault::Corrupt { skip: Some(length) };
    if crc32c::crc32c(content) != u32::from_le_bytes(*crc) {
        return Err(corrupt);
    }
    let (kind, payload) = content[4..].split_first().ok_or(corrupt)?;
    let record = match *kind {
        WHOLE | PART | WHOLE_LABELLED | PART_LABELLED => Put::decode(*kind, payload).map(Record::Put),
        REMOVED => payload.try_into().ok().map(|key| Record::Removed(Key::new(key))),
        MARKED => payload.try_into().ok().map(|key| Record::Marked(Key::new(key))),
        kind => return Err(Fault::Unknown { kind }),
    };
    Ok((record.ok_or(corrupt)?, length))
}

impl<'a> Put<'a> {
    fn decode(kind: u8, payload: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor(payload);
        let key = Key::new(cursor.array()?);
        let epoch = u32::try_from(cursor.varint()?).ok()?;
        let stored = cursor.u32()?;
        let deadline = unpack_deadline(cursor.varint()?, stored)?;
        let body = if matches!(kind, WHOLE | WHOLE_LABELLED) {
            BodyRef::Whole { digest: Digest::new(cursor.array()?), length: cursor.varint()? }
        } else {
            let (id, length) = (cursor.varint()?, cursor.varint()?.checked_sub(1));
            BodyRef::Part { id, length, extents: unpack_extents(&mut cursor, length)? }
        };
        let labels = match kind {
            WHOLE | PART => &[],
            _ => labels(&mut cursor)?,
        };
        let name = cursor.length()?;
        let name = std::str::from_utf8(cursor.bytes(name)?).ok()?;
        Some(Self { key, body, epoch, deadline, stored, labels, name, head: cursor.0 })
    }

    /// The labels as numbers.
    pub(crate) fn labels(&self) -> impl Iterator<Item = u64> {
        let (labels, _) = self.labels.as_chunks();
        labels.iter().copied().map(u64::from_le_bytes)
    }
}

fn labels<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let count = cursor.length()?;
    cursor.bytes(count.checked_mul(LABEL).filter(|_| count > 0)?)
}

/// Labels as a record has them.
pub(crate) fn packed(labels: &[u64]) -> Vec<u8> {
    labels.iter().flat_map(|label| label.to_le_bytes()).collect()
}

fn pack_deadline(deadline: u32, stored: u32) -> u64 {
    if deadline == 0 {
        return 0;
    }
    let distance = i64::from(deadline) - i64::from(stored);
    ((distance << 1) ^ (distance >> 63)) as u64 + 1
}

fn unpack_deadline(packed: u64, stored: u32) -> Option<u32> {
    let Some(zigzag) = packed.checked_sub(1) else {
        return Some(0);
    };
    let distance = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
    u32::try_from(i64::from(stored).checked_add(distance)?).ok().filter(|deadline| *deadline != 0)
}

fn pack_extents(into: &mut Vec<u8>, extents: &Extents) {
    varint::put(into, extents.ranges().len() as u64);
    let mut end = 0;
    for range in extents.ranges() {
        varint::put(into, range.start - end);
        varint::put(into, range.end - range.start);
        end = range.end;
    }
}

fn unpack_extents(cursor: &mut Cursor<'_>, length: Option<u64>) -> Option<Extents> {
    let (count, mut end) = (cursor.length()?, 0_u64);
    let mut extents = Extents::default();
    for _ in 0..count {
        let start = end.checked_add(cursor.varint()?)?;
        end = start.checked_add(cursor.varint()?)?;
        extents.insert(start..end);
    }
    let fits = length.is_none_or(|length| end <= length);
    (fits && extents.ranges().len() == count).then_some(extents)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
