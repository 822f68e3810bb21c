//! How many pages of a file are in the page cache, by `cachestat(2)` (Linux 6.5): one look per folio where `mincore`
//! takes one per page. Reads nothing and never waits for a disk.
//!
//! One of the two modules of the crate with `unsafe`: no crate in use wraps this call.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;

/// The call's number, the same on every architecture; `libc` does not name it everywhere.
const SYS_CACHESTAT: libc::c_long = 451;

#[repr(C)]
struct CachestatRange {
    offset: u64,
    length: u64,
}

#[repr(C)]
#[derive(Default)]
struct Cachestat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Pages of `range` that are in the page cache. An error (`ENOSYS`, `EPERM`, …) means: ask in another way.
pub(super) fn cached_pages(file: &File, range: &Range<u64>) -> io::Result<u64> {
    let range = CachestatRange { offset: range.start, length: range.end - range.start };
    let mut stat = Cachestat::default();
    // SAFETY: the descriptor is open for the whole call; both structures have the layout that the kernel's
    // include/uapi/linux/mman.h gives and live until it returns; the kernel reads the first and writes the second.
    let result = unsafe {
        libc::syscall(SYS_CACHESTAT, file.as_raw_fd(), &raw const range, &raw mut stat, 0 as libc::c_uint)
    };
    if result == 0 { Ok(stat.cached) } else { Err(io::Error::last_os_error()) }
}
