//! The durable index: what the catalogue knows, as logs on disk.
//!
//! `index/<shard>/<number>.log` hold the records of a shard ([`log`], [`chain`], [`compaction`]; bytes by [`record`] and
//! [`header`]), `index/<shard>/heat` the eviction order of a clean stop ([`heat`]), `index/epochs` which starts ended
//! cleanly ([`epochs`]).
//!
//! Nothing here locks: a [`Log`] belongs to its shard and is called under that shard's lock. What waits for the disk is
//! made so that it runs without the lock. Only this module reads or writes below `index/`.
//!
//! Deliberately not here: what a record means, when to commit, when to compact.

mod chain;
mod compaction;
mod epochs;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod header;
mod heat;
mod log;
mod position;
mod record;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
mod varint;

pub(crate) use chain::Report;
pub(crate) use compaction::Move;
pub(crate) use epochs::Epochs;
pub(crate) use header::OpenFault;
pub(crate) use heat::Heat;
pub(crate) use log::{Located, Log, Pending, check, scan};
pub(crate) use position::Position;
pub(crate) use record::{BodyRef, Put, RECORD_LIMIT, Record, decode, packed};
