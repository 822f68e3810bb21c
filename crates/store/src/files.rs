//! Everything that touches the disk: the directory, the disk threads, open files, mappings and residency.
//!
//! Rule for all of it: a function that may wait for a disk runs on a disk thread ([`pool`]); what an executor thread
//! may call says so. `unsafe` is allowed in [`mapping`] and [`cachestat`] only.

mod cachestat;
pub(crate) mod directory;
pub(crate) mod disk;
pub(crate) mod mapping;
pub(crate) mod open;
pub(crate) mod pool;
pub(crate) mod residency;
pub(crate) mod wake;
