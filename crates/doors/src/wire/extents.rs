//! [`Extents`]: which bytes on their way to the socket are views of a file.
//!
//! The body notes each view it hands to hyper; the [`Wire`](super::Wire) beneath hyper finds it again by its address
//! and lets the kernel send from the file. Shared by exactly these two, per connection.
//!
//! Invariants: an extent holds its bytes, so the address range cannot come to mean anything else while it is listed;
//! the list is short and bounded. A view that is not listed (too small, list overflown) is sent like any other memory:
//! slower, never wrong.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use cache::FileRange;
use parking_lot::Mutex;

/// Most extents listed per connection: hyper queues at most 16 buffers.
const MOST: usize = 16;

/// Responses shorter than this are written from their mapping: over loopback, a copy out of the processor's cache costs
/// less than the page references of `sendfile` and the sleeping and waking that comes with it (docs/decisions/0005).
pub(super) const SENDFILE_MIN: u64 = 2 * 1024 * 1024;

/// Within a long response, shorter views than this are written from their mapping: they cost less than a system call
/// of their own. Longer ones are not, even where they come in small steps because the body grows: its pages were just
/// written and touching them through the mapping would fault in each of them.
pub(super) const VIEW_MIN: usize = 64 * 1024;

/// Views of files on their way to one socket.
#[derive(Debug, Default)]
pub(crate) struct Extents {
    /// Spares connections that never send files the lock.
    used: AtomicBool,
    listed: Mutex<VecDeque<Extent>>,
}

#[derive(Debug)]
struct Extent {
    bytes: Bytes,
    file: Arc<File>,
    offset: u64,
}

/// Where a slice stands in a file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
}

impl Extents {
    /// Notes a view before it goes to hyper.
    pub(super) fn note(&self, bytes: &Bytes, place: FileRange) {
        if bytes.len() < VIEW_MIN {
            return;
        }
        let mut listed = self.listed.lock();
        if listed.len() == MOST {
            listed.pop_front();
        }
        listed.push_back(Extent { bytes: bytes.clone(), file: place.file, offset: place.offset });
        self.used.store(true, Relaxed);
    }

    /// Where the slice stands in a file, when it is long enough and wholly inside a noted view.
    pub(super) fn find(&self, slice: &[u8]) -> Option<Found> {
        if !self.used.load(Relaxed) || slice.is_empty() {
            return None;
        }
        let listed = self.listed.lock();
        let (extent, skipped) =
            listed.iter().find_map(|extent| Some((extent, extent.distance_to(slice)?)))?;
        // The rest of a view that was long enough counts as well: what comes before it is out.
        Some(Found { file: Arc::clone(&extent.file), offset: extent.offset + skipped as u64 })
    }

    /// Forgets everything: all noted bytes are out.
    pub(super) fn clear(&self) {
        if self.used.swap(false, Relaxed) {
            self.listed.lock().clear();
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.listed.lock().len()
    }
}

impl Extent {
    /// How far into this view the slice begins, when it lies wholly inside. Addresses are compared as numbers only.
    fn distance_to(&self, slice: &[u8]) -> Option<usize> {
        let skipped = slice.as_ptr().addr().checked_sub(self.bytes.as_ptr().addr())?;
        let end = skipped.checked_add(slice.len())?;
        (end <= self.bytes.len()).then_some(skipped)
    }
}
