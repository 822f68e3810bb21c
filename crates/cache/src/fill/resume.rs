//! Going on with a transfer that broke: from the first missing byte when the origin can prove that the object
//! is still the same, from the start when nothing has been received, else not at all.

use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use protocols::http::conditional::Validators;
use protocols::http::range::ContentRange;
use store::Failure;

use crate::fill::opening::{request, status_error};
use crate::fill::pauses::Pauses;
use crate::fill::transfer::{Segment, Transfer};
use crate::{Error, Kind, OriginResponse};

/// Why an answer does not go on with the transfer.
enum Unfit {
    /// Another attempt may.
    Passing(Error),
    /// No other attempt will.
    Final(Error),
}

impl Transfer<'_> {
    /// Asks again until an answer goes on where the transfer broke.
    pub(super) async fn resume(&mut self, broken: Error) -> Result<Segment, Failure> {
        let received = self.fill.received();
        if received > self.progress {
            self.progress = received;
            self.pauses = Pauses::new(&self.inner.settings, self.inner.settings.resume_for);
        }
        // What came before the break is good: those who follow need not wait for the rest.
        self.fill.flush().await?;
        let Some(fields) = self.continuation() else {
            return Err(broken.to_failure());
        };
        let mut cause = broken;
        loop {
            let Some(pause) = self.pauses.after(&cause) else {
                return Err(cause.to_failure());
            };
            tracing::debug!(name = %self.target.name, received, %cause, ?pause, "going on with a broken transfer");
            tokio::time::sleep(pause).await;
            self.inner.metrics.resumes.inc();
            let answer = self.inner.origin.fetch(request(self.target, fields.clone())).await;
            match answer.map_err(Unfit::Passing).and_then(|answer| self.fit(answer)) {
                Ok(segment) => return Ok(segment),
                Err(Unfit::Passing(error)) => cause = error,
                Err(Unfit::Final(error)) => return Err(error.to_failure()),
            }
        }
    }

    /// The fields that ask for the rest; `None` when nothing could prove that the rest belongs to the start.
    fn continuation(&self) -> Option<HeaderMap> {
        let received = self.fill.received();
        if received == 0 {
            return Some(HeaderMap::new());
        }
        let validator = HeaderValue::try_from(self.head.validators.strong()?).ok()?;
        let range = HeaderValue::try_from(format!("bytes={received}-")).ok()?;
        Some(HeaderMap::from_iter([(RANGE, range), (IF_RANGE, validator)]))
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

    /// A 206 must go on at exactly the first missing byte of the same representation (RFC 9110 section 15.3.7.3).
    fn fit_part(&mut self, answer: OriginResponse) -> Result<Segment, Unfit> {
        let received = self.fill.received();
        if received == 0 {
            return Err(lie("206 (Partial Content) to a request without a range"));
        }
        let field = answer.headers.get(CONTENT_RANGE).and_then(|value| ContentRange::parse(value.as_bytes()));
        let Some(ContentRange { range: Some((first, last)), total }) = field else {
            return Err(lie("206 (Partial Content) without a Content-Range that makes sense"));
        };
        if first != received || last < first {
            return Err(lie("another range than the one asked for"));
        }
        if !self.is_same_part(&answer.headers) {
            return Err(changed("its validator or coding is another one now"));
        }
        let total = match (self.total, total) {
            (Some(known), Some(declared)) if known != declared => {
                return Err(changed("its length is another one now"));
            }
            (Some(total), _) | (None, Some(total)) => total,
            (None, None) => return Err(lie("a part of an object whose length it does not say")),
        };
        if last >= total {
            return Err(lie("a range that goes beyond the object's end"));
        }
        self.total = Some(total);
        Ok(Segment { body: answer.body, skip: 0, left: Some(last - first + 1) })
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
        let same = match self.fill.received() {
            // Followers know the head already: it must not change under them.
            0 => [ETAG, LAST_MODIFIED, CONTENT_TYPE, CONTENT_ENCODING]
                .into_iter()
                .all(|name| self.head.headers.get(&name) == answer.headers.get(&name)),
            _ => {
                let validators = Validators::from_headers(&answer.headers);
                self.head.validators.strong() == validators.strong()
                    && self.is_same(&answer.headers, &CONTENT_ENCODING)
            }
        };
        if !same {
            return Err(changed("the origin started over with another one"));
        }
        self.total = self.total.or(length);
        Ok(Segment { body: answer.body, skip: self.fill.received(), left: None })
    }

    /// A 206 to `If-Range` need not repeat `Last-Modified`, but must repeat `ETag`.
    fn is_same_part(&self, headers: &HeaderMap) -> bool {
        self.is_same(headers, &ETAG)
            && self.is_same(headers, &CONTENT_ENCODING)
            && (!headers.contains_key(LAST_MODIFIED) || self.is_same(headers, &LAST_MODIFIED))
    }

    fn is_same(&self, headers: &HeaderMap, name: &HeaderName) -> bool {
        self.head.headers.get(name) == headers.get(name)
    }
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
