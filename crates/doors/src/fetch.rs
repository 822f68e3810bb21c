//! The fetch door: any URL, compatible with KissCache, and the path form `/https://host/path`.
//!
//! State: the memo of parsed request targets; everything else is settings. The service calls
//! [`FetchDoor::answer_now`] first, which never waits, and [`FetchDoor::answer`] when that has nothing.
//! Invariants: whatever a client sends is answered with a status below 500 or by the cache's own word; a target
//! whose meaning depends on request fields or holds a password is never remembered.
//! Does not judge where a URL leads (the origin's guard does) and does not see request bodies (the wire does).

mod asked;
#[cfg(test)]
pub(crate) mod fake;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod params;
mod pass;
mod routes;

use std::sync::Arc;
use std::time::Duration;

use cache::{Cache, KeyHasher, Method, Request, Target, WhenFull};
use http::HeaderMap;
use http::request::Parts as RequestHead;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use protocols::http::conditional::Conditions;
use protocols::http::range::RangeSet;

use self::asked::{Fetch, Reader};
use self::params::Params;
use crate::memo::{Memo, Scope};
use crate::respond::{Dress, Refusal, Reply, Responder};

pub(crate) use self::params::parse_ttl;
pub use self::pass::{InvalidPassHeaders, PassHeaders};

const DOOR: &str = "fetch";
const METHODS: &str = "GET, HEAD";

/// Targets mean the same to everybody here.
const SCOPE: Scope = 0;

/// What the door is built from.
pub struct Parts {
    /// Answers.
    pub cache: Cache,
    /// Makes keys; everybody who asks this cache uses the same.
    pub hasher: KeyHasher,
    /// Makes responses.
    pub responder: Responder,
    /// Settings.
    pub settings: Settings,
}

/// Settings with their defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `ttl` of a request that has none (default 10 d, as in KissCache).
    pub default_ttl: Duration,
    /// Which request fields may be passed to the origin (default none).
    pub pass_headers: PassHeaders,
    /// Most request targets whose meaning is remembered (default 4096).
    pub memo_entries: usize,
    /// What becomes of a request whose object the store cannot take (default [`WhenFull::Stream`]).
    pub when_full: WhenFull,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_ttl: Duration::from_secs(10 * 24 * 60 * 60),
            pass_headers: PassHeaders::default(),
            memo_entries: 4096,
            when_full: WhenFull::default(),
        }
    }
}

/// The fetch door; clones share everything.
#[derive(Clone)]
pub struct FetchDoor(Arc<Door>);

struct Door {
    cache: Cache,
    responder: Responder,
    reader: Reader,
    memo: Memo<Fetch>,
    parsed: Counter,
    when_full: WhenFull,
}

impl FetchDoor {
    /// A door of these parts; registers its metrics.
    pub fn new(parts: Parts, registry: &mut Registry) -> Self {
        let Parts { cache, hasher, responder, settings } = parts;
        let parsed = Counter::default();
        let help = "Request targets parsed because they were not remembered";
        registry.sub_registry_with_prefix("standpipe").register("fetch_targets_parsed", help, parsed.clone());
        let Settings { default_ttl, pass_headers, memo_entries, when_full } = settings;
        let reader = Reader { hasher, pass: pass_headers, default_ttl };
        let memo = Memo::new(memo_entries);
        Self(Arc::new(Door { cache, responder, reader, memo, parsed, when_full }))
    }

    /// Whether this door answers the path.
    pub fn owns(path: &str) -> bool {
        routes::owns(path)
    }

    /// Answers without waiting when the object is there or nothing can come of the request; else `None`.
    pub fn answer_now(&self, head: &RequestHead) -> Option<Reply> {
        let (fetch, request) = match self.0.read(head) {
            Ok(read) => read,
            Err(refusal) => return Some(self.0.responder.refuse(&refusal, &head.headers, DOOR)),
        };
        let answer = self.0.cache.answer_now(&request)?;
        Some(self.0.responder.answer(answer, &dress(&fetch)))
    }

    /// Answers, waiting for the cache.
    pub async fn answer(&self, head: &RequestHead) -> Reply {
        let (fetch, request) = match self.0.read(head) {
            Ok(read) => read,
            Err(refusal) => return self.0.responder.refuse(&refusal, &head.headers, DOOR),
        };
        match self.0.cache.answer(request).await {
            Ok(answer) => self.0.responder.answer(answer, &dress(&fetch)),
            Err(error) => {
                let mut reply = self.0.responder.refuse(&Refusal::from(&error), &head.headers, DOOR);
                reply.name = Some(Arc::clone(&fetch.target.name));
                reply
            }
        }
    }

    /// The object that a request to this door is for.
    pub(crate) fn asked(&self, head: &RequestHead) -> Result<Arc<Target>, Refusal> {
        Ok(Arc::clone(&self.0.fetch(head)?.target))
    }

    /// The object of a URL.
    pub(crate) fn named(&self, url: &str, headers: &HeaderMap) -> Result<Target, Refusal> {
        self.0.reader.target_of(&Params { url: url.into(), ..Params::default() }, headers)
    }

    /// `ttl` of a request that has none.
    pub(crate) fn default_ttl(&self) -> Duration {
        self.0.reader.default_ttl
    }

    /// The object that the `url` (and `passheaders`) of `query` name: the same as a fetch would find.
    pub(crate) fn target(&self, query: &str, headers: &HeaderMap) -> Result<Target, Refusal> {
        self.0.reader.target_of(&Params::parse(query)?, headers)
    }
}

impl Door {
    fn read(&self, head: &RequestHead) -> Result<(Arc<Fetch>, Request), Refusal> {
        let method = method(head)?;
        let fetch = self.fetch(head)?;
        let request = Request {
            target: Arc::clone(&fetch.target),
            method,
            conditions: Conditions::from_headers(&head.headers),
            range: RangeSet::from_headers(&head.headers),
            max_age: fetch.max_age,
            keep: fetch.keep,
            expected: fetch.expected,
            when_full: self.when_full,
        };
        Ok((fetch, request))
    }

    fn fetch(&self, head: &RequestHead) -> Result<Arc<Fetch>, Refusal> {
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let is_shared = !self.reader.pass.applies_to(&head.headers);
        if is_shared && let Some(fetch) = self.memo.find(SCOPE, target) {
            return Ok(fetch);
        }
        let route = routes::route(target).ok_or_else(Refusal::no_route)?;
        let fetch = Arc::new(self.reader.read(route, &head.headers)?);
        self.parsed.inc();
        if is_shared && !fetch.is_personal {
            self.memo.keep(SCOPE, target, &fetch);
        }
        Ok(fetch)
    }
}

fn method(head: &RequestHead) -> Result<Method, Refusal> {
    match head.method {
        http::Method::GET => Ok(Method::Get),
        http::Method::HEAD => Ok(Method::Head),
        _ => {
            let detail = format!("the fetch door answers {METHODS} only; use one of them");
            Err(Refusal::method(METHODS, detail))
        }
    }
}

fn dress(fetch: &Fetch) -> Dress<'_> {
    Dress { door: DOOR, name: &fetch.target.name, disposition: &fetch.disposition }
}

#[cfg(test)]
mod tests;
