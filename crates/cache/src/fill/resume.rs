//! Going on with a transfer that broke: from the first missing byte when the origin can prove that the object
//! is still the same, from the start when nothing has been received, else not at all.

use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use protocols::http::conditional::Validators;
use protocols::http::range::ContentRange;

use crate::fill::declared_length;
use crate::fill::opening::status_error;
use crate::fill::pauses::Pauses;
use crate::fill::transfer::{Cut, Segment, Sink, Transfer};
use crate::{Error, Head, Kind, OriginResponse};

/// Why an answer does not go on with the transfer.
pub(crate) enum Unfit {
    /// Another attempt may.
    Passing(Error),
    /// No other attempt will.
    Final(Error),
}

impl Unfit {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Passing(error) | Self::Final(error) => error,
        }
    }
}

impl<S: Sink> Transfer<'_, S> {
    /// Asks again until an answer goes on where the transfer broke.
    pub(super) async fn resume(&mut self, broken: Error) -> Result<Segment, Cut> {
        let received = self.sink.received();
        if received > self.progress {
            self.progress = received;
            self.pauses = Pauses::new(&self.inner.settings, self.inner.settings.resume_for);
        }
        // What came before the break is good: those who follow need not wait for the rest.
        self.sink.flush().await.map_err(Cut::Foul)?;
        let Some(fields) = self.continuation() else {
            return Err(Cut::Foul(broken.to_failure()));
        };
        let mut cause = broken;
        loop {
            let Some(pause) = self.pauses.after(&cause) else {
                return Err(Cut::Clean(cause.to_failure()));
            };
            tracing::debug!(name = %self.asking.name, received, %cause, ?pause, "going on with a broken transfer");
            tokio::time::sleep(pause).await;
            self.inner.metrics.resumes.inc();
            let answer = self.inner.origin.fetch(self.asking.with(fields.clone()), None).await;
            match answer.map_err(Unfit::Passing).and_then(|answer| self.fit(answer)) {
                Ok(segment) => return Ok(segment),
                Err(Unfit::Passing(error)) => cause = error,
                Err(Unfit::Final(error)) => return Err(Cut::Foul(error.to_failure())),
            }
        }
    }

    fn continuation(&self) -> Option<HeaderMap> {
        match self.sink.received() {
            0 => Some(HeaderMap::new()),
            received => continuation(self.head, received),
        }
    }

    fn fit(&mut self, answer: OriginResponse) -> Result<Segment, Unfit> {
        match answer.status {
            StatusCode::PARTIAL_CONTENT => self.fit_part(answer),
            StatusCode::OK => self.fit_whole(answer),
            StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PRECONDITION_FAILED => {
                Err(changed("the origin no longer has the rest of it"))
            }
            _ => Err(Unfit::Passing(status_error(&answer, self.inner.clock.now()))),
        }
    }

    fn fit_part(&mut self, answer: OriginResponse) -> Result<Segment, Unfit> {
        let received = self.sink.received();
        if received == 0 {
            return Err(lie("206 (Partial Content) to a request without a range"));
        }
        let Rest { total, length } = rest(self.head, received, self.total, &answer.headers)?;
        self.total = Some(total);
        Ok(Segment { body: answer.body, skip: 0, left: Some(length) })
    }

    /// A 200 starts over: welcome while nothing has been received; later only if it provably repeats it.
    fn fit_whole(&mut self, answer: OriginResponse) -> Result<Segment, Unfit> {
        let length: Option<u64> = answer
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse().ok());
        if let (Some(known), Some(declared)) = (self.total, length)
            && known != declared
        {
            return Err(changed("its length is another one now"));
        }
        let same = match self.sink.received() {
            // Followers know the head already: it must not change under them.
            0 => [ETAG, LAST_MODIFIED, CONTENT_TYPE, CONTENT_ENCODING]
                .into_iter()
                .all(|name| self.head.headers.get(&name) == answer.headers.get(&name)),
            _ => {
                let validators = Validators::from_headers(&answer.headers);
                self.head.validators.strong() == validators.strong()
                    && is_same(self.head, &answer.headers, &CONTENT_ENCODING)
            }
        };
        if !same {
            return Err(changed("the origin started over with another one"));
        }
        self.total = self.total.or(length);
        Ok(Segment { body: answer.body, skip: self.sink.received(), left: None })
    }
}

/// The fields that ask for everything from `first` on; `None` when nothing could prove that it belongs to the start.
pub(crate) fn continuation(head: &Head, first: u64) -> Option<HeaderMap> {
    let validator = HeaderValue::try_from(head.validators.strong()?).ok()?;
    let range = HeaderValue::try_from(format!("bytes={first}-")).ok()?;
    Some(HeaderMap::from_iter([(RANGE, range), (IF_RANGE, validator)]))
}

/// What a 206 brings.
pub(crate) struct Rest {
    /// Length of the whole object.
    pub(crate) total: u64,
    /// Bytes that come.
    pub(crate) length: u64,
}

/// A 206 must go on at exactly the first byte that was asked for, with the same representation
/// (RFC 9110 section 15.3.7.3).
pub(crate) fn rest(head: &Head, first: u64, known: Option<u64>, answer: &HeaderMap) -> Result<Rest, Unfit> {
    let field = answer.get(CONTENT_RANGE).and_then(|value| ContentRange::parse(value.as_bytes()));
    let Some(ContentRange { range: Some((begins, last)), total }) = field else {
        return Err(lie("206 (Partial Content) without a Content-Range that makes sense"));
    };
    if begins != first || last < first {
        return Err(lie("another range than the one asked for"));
    }
    if !is_same_part(head, answer) {
        return Err(changed("its validator or coding is another one now"));
    }
    let total = match (known, total) {
        (Some(known), Some(declared)) if known != declared => {
            return Err(changed("its length is another one now"));
        }
        (Some(total), _) | (None, Some(total)) => total,
        (None, None) => return Err(lie("a part of an object whose length it does not say")),
    };
    if last >= total {
        return Err(lie("a range that goes beyond the object's end"));
    }
    let length = last - first + 1;
    if is_in_parts(answer) || !is_so_long(answer, length) {
        return Err(lie("a range of another length than it says"));
    }
    Ok(Rest { total, length })
}

/// A 206 to `If-Range` need not repeat `Last-Modified`, but must repeat `ETag`.
fn is_same_part(head: &Head, answer: &HeaderMap) -> bool {
    is_same(head, answer, &ETAG)
        && is_same(head, answer, &CONTENT_ENCODING)
        && (!answer.contains_key(LAST_MODIFIED) || is_same(head, answer, &LAST_MODIFIED))
}

/// Whether a part declares this length, or none.
pub(crate) fn is_so_long(answer: &HeaderMap, length: u64) -> bool {
    declared_length(answer).is_ok_and(|declared| declared.is_none_or(|declared| declared == length))
}

/// Several ranges with boundaries between them (RFC 9110 section 14.6), which nobody asked for.
pub(crate) fn is_in_parts(answer: &HeaderMap) -> bool {
    const IN_PARTS: &[u8] = b"multipart/byteranges";
    let content = answer.get(CONTENT_TYPE).map_or(&[][..], |value| value.as_bytes().trim_ascii_start());
    content.get(..IN_PARTS.len()).is_some_and(|start| start.eq_ignore_ascii_case(IN_PARTS))
}

fn is_same(head: &Head, answer: &HeaderMap, name: &HeaderName) -> bool {
    head.headers.get(name) == answer.get(name)
}

fn lie(what: &str) -> Unfit {
    Unfit::Final(Error::new(
        Kind::OriginBroken,
        format!("Asked for the rest of a broken transfer, the origin sent {what}."),
    ))
}

fn changed(how: &str) -> Unfit {
    Unfit::Final(Error::new(Kind::ObjectChanged, format!("The object changed during the transfer: {how}.")))
}
