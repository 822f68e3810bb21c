//! The failures that the store itself finds, each with its one reason.

use std::path::Path;
use std::sync::Arc;

use crate::quota::NoSpace;
use crate::{Blame, Digest, Failure, Retry};

pub(crate) fn disk_error(action: &str, path: &Path, error: &std::io::Error) -> Failure {
    failure(Blame::Us, Retry::Pointless, "disk_error", format!("{action} {}: {error}", path.display()))
}

pub(crate) fn degraded(why: &str) -> Failure {
    failure(Blame::Us, Retry::Pointless, "disk_error", format!("the store does not store at present: {why}"))
}

pub(crate) fn unclean_end(why: &str) -> Failure {
    let detail = format!("the store ends uncleanly, its bodies will be verified at the next start: {why}");
    tracing::warn!("{detail}");
    failure(Blame::Us, Retry::Pointless, "disk_error", detail)
}

pub(crate) fn disk_job_lost() -> Failure {
    failure(Blame::Us, Retry::Sensible, "disk_error", "a disk job ended without a result".to_owned())
}

pub(crate) fn purge_not_kept() -> Failure {
    let detail = "the disk does not take it: after a restart what was purged may be there again; purge again when the disk works";
    failure(Blame::Us, Retry::Sensible, "purge_not_kept", detail.to_owned())
}

pub(crate) fn no_space(no_space: NoSpace) -> Failure {
    let NoSpace { wanted, used, quota } = no_space;
    let detail = format!("{wanted} more bytes do not fit: {used} of {quota} bytes are used");
    failure(Blame::Us, Retry::Pointless, "no_space", detail)
}

pub(crate) fn fill_abandoned() -> Failure {
    failure(Blame::Us, Retry::Sensible, "fill_abandoned", "the fill was stopped before its end".to_owned())
}

pub(crate) fn short_body(declared: u64, received: u64) -> Failure {
    let detail = format!("the origin declared {declared} bytes and sent {received}");
    failure(Blame::Origin, Retry::Sensible, "origin_short_body", detail)
}

pub(crate) fn long_body(declared: u64) -> Failure {
    let detail = format!("the origin declared {declared} bytes and sent more");
    failure(Blame::Origin, Retry::Pointless, "origin_long_body", detail)
}

pub(crate) fn digest_mismatch(expected: &Digest, found: &Digest) -> Failure {
    let detail = format!("expected SHA-256 {expected}, the body has {found}");
    failure(Blame::Origin, Retry::Sensible, "digest_mismatch", detail)
}

fn failure(blame: Blame, retry: Retry, reason: &'static str, detail: String) -> Failure {
    Failure { blame, retry, reason, detail: Arc::from(detail) }
}
