//! Fills: the detached tasks that fetch objects and write them into the store.
//!
//! [`start`] turns a claim into a task. The task holds the claim, later the fill, and nothing of the client: it
//! goes on when the client leaves. Its way: its turn (`max_fills`) → the origin's head (`opening`, with
//! `pauses` between attempts) → refresh, refuse or publish → the bytes (`transfer`, gone on with by `resume`)
//! → finish. When an interrupted fill has left its bytes, the rest is asked for first (`part`). [`Live`] counts the tasks and stops them when the server drains.

mod live;
mod opening;
mod part;
mod pauses;
mod resume;
mod task;
mod transfer;
mod turns;

use std::sync::Arc;

use http::HeaderMap;
use store::{Claim, Entry};
use tokio::sync::oneshot;

pub(crate) use live::{Live, LiveFill};
pub(crate) use opening::{Asking, Response, first_answer, open_unconditionally};
pub(crate) use resume::{is_in_parts, is_so_long, rest};
pub(crate) use task::{Grower, Growing, declared_length, promised, store_error};
pub(crate) use transfer::{Cut, Segment, Sink, Transfer};
pub(crate) use turns::{Limits, Turn, Turns};

use crate::cache::Inner;
use crate::{Error, Http, Kind, Refusal, Request};

/// What the request that started a fill waits for: the same that everybody who waits for the flight gets.
pub(crate) type Verdict = Result<Given, Denied>;

/// The entry, and what only the request that started the fill gets with it.
pub(crate) struct Given {
    pub(crate) entry: Arc<Entry<Http>>,
    pub(crate) own: HeaderMap,
}

impl From<Arc<Entry<Http>>> for Given {
    fn from(entry: Arc<Entry<Http>>) -> Self {
        Self { entry, own: HeaderMap::new() }
    }
}

/// Why there is no entry, and the origin's answer if it is the store that did not take it.
pub(crate) struct Denied {
    pub(crate) refusal: Refusal,
    pub(crate) unstored: Option<Box<Response>>,
}

/// Starts the fill of a claimed key on a task of its own.
pub(crate) fn start(
    inner: &Arc<Inner>,
    claim: Claim<Http>,
    request: &Request,
) -> Result<oneshot::Receiver<Verdict>, Error> {
    let Some(live) = inner.live.enter() else {
        let error = draining();
        claim.refuse(Refusal::new(error.clone()));
        return Err(error);
    };
    inner.metrics.fills_started.inc();
    let (tell, verdict) = oneshot::channel();
    let job = task::Job {
        inner: Arc::clone(inner),
        asking: Asking::object(&request.target),
        keep: request.keep,
        expected: request.expected,
        tell,
        live,
    };
    tokio::spawn(job.run(claim));
    Ok(verdict)
}

pub(crate) fn draining() -> Error {
    Error::new(Kind::Draining, "The server is shutting down and starts no transfers; ask again soon.")
}
