//! Whether bytes are in memory, so that sending them does not wait for the disk.
//!
//! [`known`] is for executor threads and asks the kernel at most once a second for each block; [`read_ahead`] is for
//! disk threads. Owns nothing: the answers are remembered in the [`Segment`].
//!
//! Deliberately not here: a guarantee. The kernel may drop a page right after the answer; then a sender waits once.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use rustix::fs::{Advice, fadvise};

use super::mapping::Segment;

/// How far behind the range in need the kernel is asked to read.
const AHEAD: NonZeroU64 = NonZeroU64::new(4 << 20).expect("not zero");

/// Whether `range`, within one block of `segment`, is in memory. `second` is the coarse time, not 0.
pub(crate) fn known(segment: &Segment, range: &Range<u64>, second: u32) -> bool {
    let checked = segment.checked(range.start);
    if checked.load(Ordering::Relaxed).wrapping_add(1) >= second.max(2) {
        return true;
    }
    // When the kernel does not say, a disk thread finds out.
    if !segment.is_resident(range).unwrap_or(false) {
        return false;
    }
    checked.store(second, Ordering::Relaxed);
    true
}

/// Reads `range` into the page cache and asks the kernel to go on behind it.
pub(crate) fn read_ahead(file: &File, range: Range<u64>) -> io::Result<()> {
    // Only advice: a file system that does not take it is read all the same.
    let _ = fadvise(file, range.end, Some(AHEAD), Advice::WillNeed);
    let mut scratch = vec![0; 64 << 10];
    let mut at = range.start;
    while at < range.end {
        let wanted = (range.end - at).min(scratch.len() as u64) as usize;
        match file.read_at(&mut scratch[..wanted], at) {
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the file has been shortened")),
            Ok(read) => at += read as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
