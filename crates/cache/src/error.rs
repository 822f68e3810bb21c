//! [`Error`]: why there is no object, who is to blame, and whether asking again helps.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use store::{Blame, Failure, Retry};

use crate::Outcome;
use crate::policy::Unstorable;

/// Why there is no object. One enum for cache and origins; `doors` maps it to the wire in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A rule or the address guard forbids this origin.
    OriginForbidden,
    /// The URL names something that can never be fetched (scheme, host, length).
    UrlInvalid,
    /// The origin's host name has no usable address.
    OriginUnresolved,
    /// No connection to the origin (refused, reset, TLS).
    OriginUnreachable,
    /// The origin did not connect, answer or go on within its time.
    OriginTimeout,
    /// The origin answered with this final status instead of the object.
    OriginStatus(StatusCode),
    /// The origin's answer breaks HTTP or its own word: framing, length, range.
    OriginBroken,
    /// More redirects than allowed, or a circle of them.
    RedirectLoop,
    /// A redirect that must not be followed (scheme, missing or bad `Location`).
    RedirectInvalid,
    /// The request has already passed through this server (`Via`).
    Loop,
    /// The object's digest is not the expected one.
    DigestMismatch,
    /// The object changed at the origin in the middle of a transfer.
    ObjectChanged,
    /// The client's request content broke off or came too slowly.
    ContentBroken,
    /// Too many requests wait for this origin.
    OriginQueueFull,
    /// The answer to the request may not be stored, for this reason: it cannot be shared.
    NotStorable(Unstorable),
    /// The request takes nothing but what is stored.
    NotCached,
    /// The store has no room.
    NoSpace,
    /// The object is longer than all that the store may take.
    ObjectTooLarge,
    /// The store's disk failed.
    DiskError,
    /// The server is shutting down.
    Draining,
    /// A fill ended without saying why.
    FillAbandoned,
}

impl Kind {
    /// Kinds that the failure of a body names by their reason.
    const OF_BODIES: [Self; 9] = [
        Self::OriginUnresolved,
        Self::OriginUnreachable,
        Self::OriginTimeout,
        Self::DigestMismatch,
        Self::ObjectChanged,
        Self::NoSpace,
        Self::DiskError,
        Self::Draining,
        Self::FillAbandoned,
    ];

    /// Short constant slug for headers, logs and metric labels.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::OriginForbidden => "origin_forbidden",
            Self::UrlInvalid => "url_invalid",
            Self::OriginUnresolved => "origin_unresolved",
            Self::OriginUnreachable => "origin_unreachable",
            Self::OriginTimeout => "origin_timeout",
            Self::OriginStatus(_) => "origin_status",
            Self::OriginBroken => "origin_broken",
            Self::RedirectLoop => "redirect_loop",
            Self::RedirectInvalid => "redirect_invalid",
            Self::Loop => "loop",
            Self::DigestMismatch => "digest_mismatch",
            Self::ObjectChanged => "object_changed",
            Self::ContentBroken => "content_broken",
            Self::OriginQueueFull => "origin_queue_full",
            Self::NotStorable(why) => why.as_str(),
            Self::NotCached => "only_if_cached",
            Self::NoSpace => "no_space",
            Self::ObjectTooLarge => "object_too_large",
            Self::DiskError => "disk_error",
            Self::Draining => "draining",
            Self::FillAbandoned => "fill_abandoned",
        }
    }

    /// Who is to blame.
    pub const fn blame(self) -> Blame {
        match self {
            Self::OriginForbidden | Self::UrlInvalid | Self::Loop | Self::ContentBroken | Self::NotCached => {
                Blame::Client
            }
            Self::NoSpace
            | Self::ObjectTooLarge
            | Self::DiskError
            | Self::Draining
            | Self::FillAbandoned
            | Self::OriginQueueFull => Blame::Us,
            _ => Blame::Origin,
        }
    }

    /// Whether it is the store that did not take the object: it can still be had past it.
    pub(crate) const fn is_unstorable(self) -> bool {
        matches!(self, Self::NoSpace | Self::ObjectTooLarge | Self::DiskError)
    }

    /// Whether another attempt at the origin may help.
    pub fn retry(self) -> Retry {
        match self {
            Self::OriginUnresolved
            | Self::OriginUnreachable
            | Self::OriginTimeout
            | Self::OriginBroken
            | Self::ObjectChanged
            | Self::FillAbandoned => Retry::Sensible,
            Self::OriginStatus(status) if is_transient(status) => Retry::Sensible,
            _ => Retry::Pointless,
        }
    }
}

/// Statuses that an origin may well not repeat.
fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// Why there is no object.
#[derive(Clone, Debug)]
pub struct Error {
    /// What went wrong.
    pub kind: Kind,
    /// One sentence for people that names the fix where there is one; without secrets.
    pub detail: Arc<str>,
    /// How long the origin asked to wait.
    pub retry_after: Option<Duration>,
    /// The origin's `WWW-Authenticate`, relayed with a 401 unless it is longer than 4 KiB.
    pub challenge: Option<HeaderValue>,
    /// [`Outcome::Negative`] when it was remembered from an earlier request, else [`Outcome::Error`].
    pub outcome: Outcome,
}

impl Error {
    /// An error with a sentence for people.
    pub fn new(kind: Kind, detail: impl Into<Arc<str>>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None, challenge: None, outcome: Outcome::Error }
    }

    /// The failure of a body, for a request that has not answered its head yet.
    pub(crate) fn from_failure(failure: &Failure) -> Self {
        let same_word = Kind::OF_BODIES.into_iter().find(|kind| kind.reason() == failure.reason);
        let kind = same_word.unwrap_or(match failure.blame {
            Blame::Us => Kind::DiskError,
            Blame::Origin | Blame::Client => Kind::OriginBroken,
        });
        Self::new(kind, Arc::clone(&failure.detail))
    }

    /// The same as the failure of a body, for those who follow it.
    pub fn to_failure(&self) -> Failure {
        Failure {
            blame: self.kind.blame(),
            retry: self.kind.retry(),
            reason: self.kind.reason(),
            detail: Arc::clone(&self.detail),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind.reason(), self.detail)
    }
}

impl std::error::Error for Error {}
