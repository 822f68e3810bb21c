//! [`Failure`]: why a body ended before it was complete.

use std::sync::Arc;

/// Who is to blame for a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The client asked for something impossible or forbidden.
    Client,
    /// The origin broke its word or could not be reached.
    Origin,
    /// This server: its disk, its limits, its shutdown.
    Us,
}

/// Whether doing the same again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Another attempt may well succeed.
    Sensible,
    /// The same attempt would fail the same way.
    Pointless,
}

/// Why a body ended before it was complete. Kept with the body, handed to every follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Who is to blame.
    pub blame: Blame,
    /// Whether another fill may succeed.
    pub retry: Retry,
    /// Short constant slug for headers, logs and metric labels, for example `origin_short_body`.
    pub reason: &'static str,
    /// One sentence for people, without secrets.
    pub detail: Arc<str>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

impl std::error::Error for Failure {}
