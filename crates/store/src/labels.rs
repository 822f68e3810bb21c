//! Labels: 64-bit values by which many entries can be found, and taken out, at once.
//!
//! The owner of the store makes them of an entry's name and head ([`Contents::labels`](crate::Contents::labels)); the store
//! never looks inside. They are recorded with the entry, so that loading them reads no head, and are in memory as
//! [`Pairs`], one list a shard, guarded by the shard's lock: about 9 bytes for an entry and a label, nothing for entries
//! without.
//!
//! | what | where |
//! |---|---|
//! | which slots have a label | [`pairs`] |
//! | taking entries out, or marking them | [`purge`] |
//! | what was begun before a purge and comes after it | [`recent`] |
//! | a look at every entry | [`walk`] |
//!
//! Invariants: an entry with a record is found by the labels of that record, one without by those of its head; whatever was
//! claimed before a purge began and is published after it, is subject to it.

pub(crate) mod pairs;
pub(crate) mod purge;
pub(crate) mod recent;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
pub(crate) mod walk;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use crate::files::directory::Directory;

pub use purge::{Affected, Mode, Selector};
pub use walk::{Matching, Met};

/// Where the secret is kept below `control/`.
const KEPT: &str = "labels";

/// What labels are keyed with, the same for every start of a store. Waits for the disk.
pub(crate) fn secret(directory: &Directory) -> [u8; 32] {
    let kept = directory.read_control(KEPT).ok();
    if let Some(secret) = kept.and_then(|bytes| bytes.try_into().ok()) {
        return secret;
    }
    let mut secret = [0; 32];
    let filled = SystemRandom::new().fill(&mut secret).is_ok();
    if let Err(error) = directory.write_control(KEPT, &secret) {
        tracing::error!(%error, "purges by host and tag will not find after a restart what is stored now");
    } else if !filled {
        tracing::error!("the system gives no random bytes: labels can be guessed");
    }
    secret
}
