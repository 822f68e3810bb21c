//! Answering past the store: what the store cannot take (no room, too large, a broken disk) is streamed from the origin
//! to the one client that asked.
//!
//! Every such request has its own exchange with the origin, at most `max_bypasses` at once; the one that started the
//! refused fill goes on with the answer that was there already. Conditions and ranges are answered as from the store,
//! but several ranges with the whole. Invariants: nothing is stored; a body never ends clean before its end or, when a
//! digest is demanded, with another one; at most a few pieces of it are in memory, as the client's pace is the origin's.

mod passage;

use http::header::{CONTENT_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use protocols::http::range::ContentRange;
use store::Failure;

pub(crate) use self::passage::Stream;
use self::passage::{Flow, Passage};
use crate::answer::{Choice, Selection, frame, seconds_left, select};
use crate::fill::{self, Asking, LiveFill, Response, Turn, declared_length, draining};
use crate::head::{Wish, insert_age};
use crate::lookup::VERIFIED_FIRST;
use crate::{Answer, Cache, Error, Head, Kind, Method, Outcome, Payload, Refusal, Request, Source};

/// An answer of the origin, and what of it the client gets.
struct Coming {
    response: Response,
    head: Head,
    /// Length of the object.
    total: Option<u64>,
    /// Position in the object of the first byte that comes.
    start: u64,
    selection: Selection,
}

/// What one who is answered past the store holds.
struct Ticket {
    live: LiveFill,
    turn: Turn,
}

impl Cache {
    /// Answers with what the origin sends; `refusal` is why the store has not taken it, `unstored` the answer that it did
    /// not take.
    pub(crate) async fn bypass(
        &self,
        request: &Request,
        refusal: &Error,
        unstored: Option<Box<Response>>,
    ) -> Result<Answer, Error> {
        let live = self.inner.live.enter().ok_or_else(draining)?;
        let turn = self.inner.bypass_turns.take().await?;
        let coming = tokio::select! {
            coming = self.coming(request, unstored) => coming?,
            () = live.stopped() => return Err(draining()),
        };
        self.pass(request, refusal.kind.reason(), coming, Ticket { live, turn }).await
    }

    async fn coming(&self, request: &Request, unstored: Option<Box<Response>>) -> Result<Coming, Error> {
        if let Some(response) = unstored {
            let coming = self.whole(request, *response)?;
            if !coming.skips(request) {
                return Ok(coming);
            }
        }
        if let Some(coming) = self.ask_for_part(request).await? {
            return Ok(coming);
        }
        let response = fill::open_unconditionally(&self.inner, &Asking::object(&request.target)).await?;
        self.whole(request, response)
    }

    /// Asks for the range only, where the range is one. `None` when that does not answer the request.
    async fn ask_for_part(&self, request: &Request) -> Result<Option<Coming>, Error> {
        // A digest is that of the whole object.
        if request.method == Method::Head || request.expected.is_some() {
            return Ok(None);
        }
        let range = request.range.as_ref().filter(|range| range.specs.len() == 1);
        let Some(range) = range.and_then(|range| HeaderValue::try_from(range.to_string()).ok()) else {
            return Ok(None);
        };
        let fields = HeaderMap::from_iter([(RANGE, range)]);
        match fill::first_answer(&self.inner, Asking::object(&request.target).with(fields)).await {
            Ok(response) if response.answer.status == StatusCode::OK => {
                self.whole(request, response).map(Some)
            }
            Ok(response) => Ok(self.part(request, response)),
            Err(error) if error.kind == Kind::OriginStatus(StatusCode::RANGE_NOT_SATISFIABLE) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn whole(&self, request: &Request, response: Response) -> Result<Coming, Error> {
        let head = self.head(request, &response);
        let total = declared_length(&response.answer.headers)?;
        let selection = match select(request, &head, total, 0) {
            Choice::Selected(Selection::Parts(_)) | Choice::AfterCommitted(_) | Choice::AfterEnd => {
                Selection::Whole
            }
            Choice::Selected(selection) => selection,
        };
        Ok(Coming { response, head, total, start: 0, selection })
    }

    /// `None` when the answer is not the part that answers the request.
    fn part(&self, request: &Request, response: Response) -> Option<Coming> {
        let field = response.answer.headers.get(CONTENT_RANGE)?;
        let ContentRange { range: Some((first, last)), total: Some(total) } =
            ContentRange::parse(field.as_bytes())?
        else {
            return None;
        };
        let head = self.head(request, &response);
        let Choice::Selected(selection) = select(request, &head, Some(total), 0) else { return None };
        let fits = match &selection {
            Selection::Part(range) => *range == (first..last + 1),
            Selection::NotModified | Selection::PreconditionFailed => true,
            Selection::Whole | Selection::Parts(_) | Selection::Unsatisfiable => false,
        };
        fits.then_some(Coming { response, head, total: Some(total), start: first, selection })
    }

    fn head(&self, request: &Request, response: &Response) -> Head {
        let keep_until = self.inner.clock.now().after(request.keep);
        let (fields, terms) = response.object(&Asking::object(&request.target));
        let wish = Wish { keep_until, stale_for: self.inner.settings.stale_if_error };
        Head::sent(response.answered(), fields, terms, wish)
    }

    async fn pass(
        &self,
        request: &Request,
        reason: &'static str,
        coming: Coming,
        ticket: Ticket,
    ) -> Result<Answer, Error> {
        let Coming { response, head, total, start, selection } = coming;
        let origin_status = Some(response.answer.status);
        // What the origin promises is about the whole, as what the client demands is.
        let promised = || fill::promised(&response.answer.headers).filter(|_| selection == Selection::Whole);
        let expected = request.expected.or_else(promised);
        let (status, mut headers) = frame(&head, &selection, total, || head.headers.clone());
        insert_age(&mut headers, head.age(self.inner.clock.now()));
        let (range, length) = match selection {
            Selection::Whole => (0..total.unwrap_or(u64::MAX), total),
            Selection::Part(range) => (range.clone(), Some(range.end - range.start)),
            Selection::NotModified => (0..0, None),
            _ => (0..0, Some(0)),
        };
        let payload = if request.method == Method::Head || !status.is_success() {
            Payload::silent(length, Source::Origin)
        } else {
            let (passage, mut stream) = Passage::new(start, range, expected);
            let flow = Flow {
                inner: self.inner.clone(),
                asking: Asking::object(&request.target),
                head,
                total,
                passage,
                live: ticket.live,
                turn: ticket.turn,
            };
            tokio::spawn(flow.run(response.answer.body));
            if expected.is_some() && total.is_none_or(|total| total <= VERIFIED_FIRST) {
                stream.first().await.map_err(|failure| self.unproven(request, &failure))?;
            }
            Payload::passed(stream, length)
        };
        Ok(Answer {
            status,
            headers,
            payload,
            outcome: Outcome::Bypass,
            reason,
            ttl_seconds: seconds_left(request.max_age, std::time::Duration::ZERO),
            origin_status,
            key: request.target.key,
        })
    }

    /// The body ended before its head was answered.
    fn unproven(&self, request: &Request, failure: &Failure) -> Error {
        let error = Error::from_failure(failure);
        if let (Kind::DigestMismatch, Some(expected)) = (error.kind, request.expected) {
            let (refusal, now) = (Refusal::new(error.clone()), self.inner.clock.now());
            self.inner.negatives.remember_mismatch(request.target.key, expected, &refusal, now);
        }
        error
    }
}

impl Coming {
    /// Whether bytes would come that nobody wants, before those that are wanted.
    fn skips(&self, request: &Request) -> bool {
        matches!(&self.selection, Selection::Part(range) if range.start > 0) && request.expected.is_none()
    }
}
