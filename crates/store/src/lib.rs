//! A concurrently readable disk cache: entries (key → head, body) and bodies (plain content files), with
//! single-flight claims, bodies that can be read while they grow, and an exact byte quota. Knows no HTTP.
//!
//! The store opens into two sides. [`Reader`] finds entries and reads bodies; it can be given to anybody.
//! [`Writer`] claims, fills, replaces and removes; only the owner of the caching decisions holds it.
//!
//! # Invariants
//! 1. Published bytes never change in place.
//! 2. Extents only grow until a body is complete or failed.
//! 3. At most one flight per key and, of a body with holes, per extent.
//! 4. A follower gets exactly the bytes that were written, in order, or a [`Failure`]: never a clean end
//!    on a short body.
//! 5. Quota counts bytes until the last holder of a body lets go.
//! 6. No executor thread waits for a disk.

#![deny(unsafe_code)]

mod bodies;
mod body;
mod claim;
mod config;
mod digest;
mod entry;
pub mod eviction;
mod extents;
mod failure;
mod files;
mod fill;
mod flight;
mod growth;
mod health;
mod index;
mod journal;
mod keeper;
mod key;
mod labels;
mod later;
mod leaving;
#[cfg(all(test, loom))]
mod loom_tests;
mod metrics;
mod offline;
mod parts;
mod pieces;
mod quota;
mod reasons;
mod recording;
mod room;
mod scanning;
mod shared;
mod start;
mod store;
mod sync;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::journal::fuzzing::*;
}
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod synthetic;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
mod upkeep;
mod waiters;
mod warming;

pub use body::{Body, BodyReader, BodyState, Chunk, FileRange};
pub use claim::{Access, BodySpec, Claim, Decision, Flight, Part, Refused};
pub use config::{Config, OpenError};
pub use digest::{Digest, InvalidDigest};
pub use entry::{Contents, Entry};
pub use failure::{Blame, Failure, Retry};
#[cfg(any(test, feature = "faulty"))]
pub use files::disk::faulty::{FaultyDisk, Gate, Operation};
pub use files::disk::{Disk, Kind, Listed, RealDisk};
pub use fill::Fill;
pub use growth::Ranged;
pub use key::Key;
pub use labels::{Affected, Matching, Met, Mode, Selector};
pub use offline::{DirectoryLock, Recorded, RecordedBody, Scanned, body_path, lock, part_path, scan};
pub use pieces::{PartialSpec, PieceClaim, PieceFill};
pub use scanning::Viewed;
pub use store::{IsPinned, Reader, ScrubReport, Usage, Writer, open};
