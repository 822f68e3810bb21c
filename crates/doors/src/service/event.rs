//! [`Event`]: one finished request, as the access log and the metrics see it.
//!
//! Small and made of refcounted values: it is filled on the request's way and costs no formatting there.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cache::Outcome;
use http::{Method, StatusCode};

use crate::access_log::AccessLog;
use crate::metrics::Metrics;

/// One finished request.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) client: IpAddr,
    pub(crate) method: Method,
    /// What was asked for, secrets masked.
    pub(crate) target: Arc<str>,
    pub(crate) status: StatusCode,
    pub(crate) door: &'static str,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) reason: &'static str,
    /// Body bytes sent.
    pub(crate) bytes: u64,
    /// When the request's head was there.
    pub(crate) started: Instant,
    /// From then to the first byte of the body.
    pub(crate) first_byte: Option<Duration>,
    /// From then to the last byte on the wire.
    pub(crate) duration: Duration,
    pub(crate) ending: Ending,
}

/// How the response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Every byte went out.
    Complete,
    /// The client left, stalled, or the body broke.
    Broken,
}

impl Ending {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Broken => "broken",
        }
    }
}

/// Where events go.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    pub(crate) log: AccessLog,
    pub(crate) metrics: Metrics,
}

impl Recorder {
    /// Counts the event and writes it down.
    pub(crate) fn record(&self, mut event: Event, ending: Ending) {
        event.ending = ending;
        event.duration = event.started.elapsed();
        let first_byte = event.first_byte.unwrap_or(event.duration);
        self.metrics.request_finished(event.door, event.outcome, event.reason);
        self.metrics.request_took(first_byte, event.duration);
        self.log.write(event);
    }

    /// Counts a request that could not be read and writes it down. It took no time that would mean anything.
    pub(crate) fn record_malformed(&self, client: IpAddr, status: StatusCode) {
        let event = Event {
            client,
            method: Method::from_bytes(b"-").unwrap_or_default(),
            target: "-".into(),
            status,
            door: "none",
            outcome: None,
            reason: "malformed",
            bytes: 0,
            started: Instant::now(),
            first_byte: None,
            duration: Duration::ZERO,
            ending: Ending::Complete,
        };
        self.metrics.request_finished(event.door, event.outcome, event.reason);
        self.log.write(event);
    }
}
