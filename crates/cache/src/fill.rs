//! Fills: the detached tasks that fetch objects and write them into the store.
//!
//! [`start`] turns a claim into a task. The task holds the claim, later the fill, and nothing of the client: it
//! goes on when the client leaves. Its way: its turn (`max_fills`) → the origin's head (`opening`, with
//! `pauses` between attempts) → refresh, refuse or publish → the bytes (`transfer`, gone on with by `resume`)
//! → finish. [`Live`] counts the tasks and stops them when the server drains.

mod live;
mod opening;
mod pauses;
mod resume;
mod task;
mod transfer;

use std::sync::Arc;

use store::{Claim, Entry};
use tokio::sync::oneshot;

pub(crate) use live::Live;

use crate::cache::Inner;
use crate::{Error, Http, Kind, Refusal, Request};

/// What the request that started a fill waits for: the same that everybody who waits for the flight gets.
pub(crate) type Verdict = Result<Arc<Entry<Http>>, Refusal>;

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
        target: Arc::clone(&request.target),
        keep: request.keep,
        expected: request.expected,
        tell,
        live,
    };
    tokio::spawn(job.run(claim));
    Ok(verdict)
}

fn draining() -> Error {
    Error::new(Kind::Draining, "The server is shutting down and starts no transfers; ask again soon.")
}
