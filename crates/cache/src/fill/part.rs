//! Going on with what an interrupted fill, perhaps of an earlier run, has left of an object.
//!
//! The origin is asked for the rest with `If-Range`. What it sends must prove to be the rest of the same representation,
//! as when a transfer is resumed; else the object is fetched anew.

use http::StatusCode;
use store::{BodySpec, Claim, Refused};

use crate::fill::opening::{Response, first_answer};
use crate::fill::resume::{self, Rest, continuation};
use crate::fill::task::{Growing, Job, promised};
use crate::fill::transfer::Segment;
use crate::{Error, Head, Http, Kind};

/// What is left of an object and can be used.
pub(super) enum Left {
    Nothing,
    /// The origin sends the object anew.
    Whole(Box<Response>),
    Rest(Box<Continuation>),
}

/// The rest of an object, which begins to come.
pub(super) struct Continuation {
    response: Response,
    /// What is known about the object now.
    head: Head,
    rest: Rest,
    /// Position of the first byte that comes.
    first: u64,
}

impl Job {
    /// Asks for the rest, if there is a beginning and a validator.
    pub(super) async fn open_rest(&self, claim: &Claim<Http>) -> Result<Left, Error> {
        let Some(part) = claim.part().await else { return Ok(Left::Nothing) };
        // Of a part that lacks nothing but its end, the last byte comes again: no range is empty.
        let first =
            if part.length == Some(part.received) { part.received.saturating_sub(1) } else { part.received };
        let Some(fields) = continuation(&part.head, first) else { return Ok(Left::Nothing) };
        let response = match first_answer(&self.inner, self.asking.with(fields)).await {
            Ok(response) => response,
            Err(error) if is_about_the_range(error.kind) => return Ok(Left::Nothing),
            Err(error) => return Err(error),
        };
        match response.answer.status {
            StatusCode::OK => Ok(Left::Whole(Box::new(response))),
            StatusCode::PARTIAL_CONTENT => {
                let rest = resume::rest(&part.head, first, part.length, &response.answer.headers);
                let Ok(rest) = rest else { return Ok(Left::Nothing) };
                let (fields, freshness) = response.object_after(&self.asking, &part.head);
                let head = part.head.continued(response.answered(), fields, freshness, self.wish());
                Ok(Left::Rest(Box::new(Continuation { response, head, rest, first })))
            }
            _ => Ok(Left::Nothing),
        }
    }

    /// Takes up what is left; from now on the object grows.
    pub(super) async fn take_up(
        &self,
        claim: Claim<Http>,
        continuation: Continuation,
    ) -> Result<Growing, (Claim<Http>, Refused)> {
        let Continuation { response, head, rest, first } = continuation;
        let total = Some(rest.total);
        let promised = promised(&response.answer.headers);
        let (entry, fill) = claim.resume(head, BodySpec { length: total, promised }).await?;
        let skip = fill.received().saturating_sub(first);
        let segment = Segment { body: response.answer.body, skip, left: Some(rest.length) };
        Ok(Growing { entry, fill, segment, total })
    }
}

fn is_about_the_range(kind: Kind) -> bool {
    matches!(kind, Kind::OriginStatus(StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PRECONDITION_FAILED))
}
