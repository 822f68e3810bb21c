//! [`Segment`] and [`View`]: body files as memory, without reading them.
//!
//! A segment maps up to 256 MiB of one file, read-only; a view is a committed part of it that goes out as
//! [`Bytes`](bytes::Bytes) and keeps the mapping, the file and the body alive. Safe to call on executor threads:
//! mapping reads nothing, and asking what is resident reads nothing.
//!
//! Invariants: a view lies within its segment and within bytes that have been written to the file; such bytes never
//! change and the file is never shortened while a view lives (the directory is locked, and [`Body`]'s file is unlinked,
//! not truncated). Pages past the end of a growing file are mapped but never touched.
//!
//! One of the two modules of the crate with `unsafe`; the other is [`cachestat`](super::cachestat).

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use memmap2::{MmapOptions, MmapRaw};

use super::cachestat::cached_pages;
use crate::Body;

/// Bytes of a file that one mapping covers.
pub(crate) const SEGMENT: u64 = 256 << 20;
/// Residency is remembered in blocks of this many bytes; chunks do not cross them.
pub(crate) const BLOCK: u64 = 1 << 20;

/// A mapped part of a file.
pub(crate) struct Segment {
    start: u64,
    map: MmapRaw,
    file: Arc<File>,
    /// For each block the [second](crate::shared::Shared::second) when it was last known to be resident; 0: never.
    checked: Box<[AtomicU32]>,
}

/// A committed part of a segment.
pub(crate) struct View {
    segment: Arc<Segment>,
    range: Range<usize>,
    _body: Arc<Body>,
}

impl Segment {
    /// Maps the segment that contains `offset` of a file that is, or is going to be, `length` bytes long.
    pub(crate) fn map(file: &Arc<File>, offset: u64, length: Option<u64>) -> io::Result<Self> {
        let start = offset / SEGMENT * SEGMENT;
        let size = length.map_or(SEGMENT, |length| (length - start).min(SEGMENT));
        let map = MmapOptions::new().offset(start).len(size as usize).map_raw_read_only(&**file)?;
        let checked = (0..size.div_ceil(BLOCK)).map(|_| AtomicU32::new(0)).collect();
        Ok(Self { start, map, file: file.clone(), checked })
    }

    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    pub(crate) fn contains(&self, offset: u64) -> bool {
        offset.checked_sub(self.start).is_some_and(|offset| offset < self.map.len() as u64)
    }

    /// When the block at `offset` was last known to be resident.
    pub(crate) fn checked(&self, offset: u64) -> &AtomicU32 {
        &self.checked[((offset - self.start) / BLOCK) as usize]
    }

    /// Whether all pages of `range` are in memory now. Ranges are at most a block long.
    pub(crate) fn is_resident(&self, range: &Range<u64>) -> io::Result<bool> {
        let page = rustix::param::page_size() as u64;
        match cached_pages(&self.file, range) {
            // Pages that are still being read count as cached: the last one must have been read.
            Ok(cached) if cached == range.end.div_ceil(page) - range.start / page => {
                self.is_incore(&(range.end - 1..range.end))
            }
            Ok(_) => Ok(false),
            // An older kernel, or a sandbox that does not know the call.
            Err(_) => self.is_incore(range),
        }
    }

    /// The same by `mincore(2)`.
    pub(crate) fn is_incore(&self, range: &Range<u64>) -> io::Result<bool> {
        let page = rustix::param::page_size();
        let range = self.within(range);
        let first = range.start / page * page;
        let mut pages = vec![0_u8; (range.end - first).div_ceil(page)];
        // SAFETY: `first` is a multiple of the page size and the mapping begins on a page; `first..range.end` lies
        // within the mapping, which lives as long as `self`; `pages` has one byte for each page of that range.
        // mincore reads no byte of the mapping.
        let result = unsafe {
            let address = self.map.as_mut_ptr().add(first);
            libc::mincore(address.cast(), range.end - first, pages.as_mut_ptr().cast())
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(pages.iter().all(|page| page & 1 == 1))
    }

    /// The view of `range`, which must be committed.
    pub(crate) fn view(self: &Arc<Self>, range: &Range<u64>, body: &Arc<Body>) -> View {
        View { segment: self.clone(), range: self.within(range), _body: body.clone() }
    }

    fn within(&self, range: &Range<u64>) -> Range<usize> {
        let (start, end) = ((range.start - self.start) as usize, (range.end - self.start) as usize);
        assert!(start < end && end <= self.map.len(), "a range lies within its segment");
        start..end
    }
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `range` lies within the mapping (checked when the view was made), which lives as long as `self`.
        // Its bytes were written to the file before they were committed, and nobody changes or truncates them
        // afterwards, so they are initialised, immutable and backed by the file.
        unsafe {
            std::slice::from_raw_parts(self.segment.map.as_ptr().add(self.range.start), self.range.len())
        }
    }
}
