//! [`Answers`]: the last answers of origins, for a bounded number of URLs; [`Watched`]: the origin that writes them down.
//!
//! Of an answer those fields are kept that decide about storing it, as far as they are short; of cookies only that there was
//! one. Lives in memory only.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use parking_lot::Mutex;
use protocols::http::date;

use super::{Answered, Subject, may_store};
use crate::policy::{self, Unstorable};
use crate::{Clock, Error, Origin, OriginRequest, OriginResponse, RequestBody, Timestamp};

/// Answers remembered of a URL.
const OF_A_URL: usize = 3;
/// Most bytes of the fields that are kept of an answer.
const MOST_FIELDS: usize = 2048;

/// Fields that decide about storing, beside those that end in `cache-control`.
const FIELDS: [&str; 9] =
    ["date", "age", "expires", "pragma", "vary", "etag", "last-modified", "content-type", "set-cookie"];

/// The last answers of origins.
pub(crate) struct Answers {
    most: usize,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    by_url: HashMap<Box<str>, VecDeque<Remembered>>,
    /// The oldest first.
    order: VecDeque<Box<str>>,
}

/// An answer of an origin.
#[derive(Clone)]
pub(crate) struct Remembered {
    at: Timestamp,
    took: Duration,
    method: Method,
    answer: Result<(StatusCode, HeaderMap), &'static str>,
}

impl Answers {
    /// For so many URLs.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, memory: Mutex::default() }
    }

    /// The answers of a URL, the last first.
    pub(crate) fn of(&self, url: &str) -> Vec<Remembered> {
        self.memory
            .lock()
            .by_url
            .get(url)
            .map(|answers| answers.iter().cloned().collect())
            .unwrap_or_default()
    }

    fn note(&self, url: &str, answer: Remembered) {
        if self.most == 0 {
            return;
        }
        let mut memory = self.memory.lock();
        let Memory { by_url, order } = &mut *memory;
        if let Some(answers) = by_url.get_mut(url) {
            answers.truncate(OF_A_URL - 1);
            return answers.push_front(answer);
        }
        if order.len() >= self.most
            && let Some(oldest) = order.pop_front()
        {
            by_url.remove(&oldest);
        }
        order.push_back(url.into());
        by_url.insert(url.into(), VecDeque::from([answer]));
    }
}

impl Remembered {
    pub(super) fn shown(&self, subject: Subject<'_>, now: Timestamp) -> Answered {
        Answered {
            at: date::format(self.at.seconds().min(date::MAX)),
            ago: now.since(self.at).as_secs(),
            milliseconds: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            method: self.method.to_string(),
            status: self.answer.as_ref().ok().map(|(status, _)| status.as_u16()),
            reason: self.answer.as_ref().err().copied().unwrap_or("answered"),
            storable: match (&self.answer, self.unstorable(subject)) {
                (Err(_), _) => "no_answer",
                (Ok(_), Some(why)) => why.as_str(),
                (Ok((status, _)), None) if *status == StatusCode::NOT_MODIFIED => "not_modified",
                (Ok(_), None) => "yes",
            },
        }
    }

    /// Why it may not be stored for the subject, if that is so.
    pub(super) fn unstorable(&self, subject: Subject<'_>) -> Option<Unstorable> {
        let (status, headers) = self.answer.as_ref().ok()?;
        let answered = policy::Answered { status: *status, headers, at: self.at };
        may_store(subject, answered).err().filter(|why| *why != Unstorable::NotModified)
    }
}

/// An origin whose answers are written down.
pub(crate) struct Watched {
    origin: Arc<dyn Origin>,
    answers: Arc<Answers>,
    clock: Arc<dyn Clock>,
}

impl Watched {
    pub(crate) fn new(origin: Arc<dyn Origin>, answers: &Arc<Answers>, clock: &Arc<dyn Clock>) -> Self {
        Self { origin, answers: Arc::clone(answers), clock: Arc::clone(clock) }
    }
}

impl Origin for Watched {
    fn fetch(
        &self,
        request: OriginRequest,
        content: Option<RequestBody>,
    ) -> BoxFuture<'static, Result<OriginResponse, Error>> {
        let (answers, clock) = (Arc::clone(&self.answers), Arc::clone(&self.clock));
        let (url, method, asked_at) = (request.url.clone(), request.method.clone(), clock.now());
        let fetched = self.origin.fetch(request, content);
        let note = move |response: Result<OriginResponse, Error>| {
            let at = clock.now();
            let answer = match &response {
                Ok(response) => Ok((response.status, kept(&response.headers))),
                Err(error) => Err(error.kind.reason()),
            };
            answers.note(url.as_str(), Remembered { at, took: at.since(asked_at), method, answer });
            response
        };
        fetched.map(note).boxed()
    }
}

/// The fields that decide about storing.
fn kept(headers: &HeaderMap) -> HeaderMap {
    let (mut kept, mut room) = (HeaderMap::new(), MOST_FIELDS);
    for (name, value) in headers {
        let matters = FIELDS.contains(&name.as_str()) || name.as_str().ends_with("cache-control");
        if !matters || value.len() > room {
            continue;
        }
        room -= value.len();
        let cookie = HeaderValue::from_static("a=b");
        let value = if *name == SET_COOKIE { cookie } else { crate::head::own(value) };
        kept.append(name, value);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(at: u64) -> Remembered {
        Remembered { at: Timestamp(at), took: Duration::ZERO, method: Method::GET, answer: Err("x") }
    }

    #[test]
    fn the_last_three_answers_of_the_last_urls_are_remembered() {
        let answers = Answers::new(2);
        for (at, url) in ["a", "a", "b", "a", "a", "c"].into_iter().enumerate() {
            answers.note(url, answer(at as u64));
            if url == "a" {
                assert_eq!(answers.of("a")[0].at.0, at as u64);
            }
        }
        assert!(answers.of("a").is_empty(), "the oldest URL has gone");
        assert_eq!((answers.of("b").len(), answers.of("c").len()), (1, 1));
        (0..9).for_each(|at| answers.note("b", answer(at)));
        let times: Vec<_> = answers.of("b").iter().map(|answer| answer.at.0).collect();
        assert_eq!(times, [8, 7, 6]);
    }

    #[test]
    fn cookies_and_long_fields_are_not_kept() {
        let mut headers = HeaderMap::new();
        headers.insert("set-cookie", "secret=1".parse().unwrap());
        headers.insert("cache-control", "max-age=1".parse().unwrap());
        headers.insert("x-own-cache-control", "max-age=2".parse().unwrap());
        headers.insert("etag", "x".repeat(3000).parse().unwrap());
        headers.insert("x-other", "1".parse().unwrap());
        let kept = kept(&headers);
        assert_eq!(kept["set-cookie"], "a=b");
        let mut names: Vec<_> = kept.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["cache-control", "set-cookie", "x-own-cache-control"]);
    }
}
