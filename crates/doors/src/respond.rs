//! The one place where answers and refusals become responses: status, fields that say how it went, and the body.
//!
//! State: [`Responder`], the field values that are the same in every response, made once and shared by all doors.
//! Invariants: every answer says in `Cache-Status`, `X-Cache` and [`Reply`] the same outcome and reason; nothing
//! from an origin leaves without `nosniff` and a sandbox; a refusal is never stored by anybody.
//! Does not decide anything about caching and adds no `Date` (the wire does).

mod answer;
mod refusal;

use std::sync::Arc;

use cache::Outcome;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response, Version};
use protocols::http::cache_status::{CacheStatus, Source};
use protocols::http::via;

use crate::wire::Body;

pub use answer::{Disposition, Dress};
pub use refusal::Refusal;

static X_CACHE: HeaderName = HeaderName::from_static("x-cache");
static NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// A response and what is known about how it came to be, for access log and metrics.
pub struct Reply {
    /// What goes over the wire.
    pub response: Response<Body>,
    /// The door that answered, one of [`access::DOORS`](crate::access::DOORS).
    pub door: &'static str,
    /// How the cache answered; `None` where the cache was not asked and nothing went wrong.
    pub outcome: Option<Outcome>,
    /// Why, as a short constant slug.
    pub reason: &'static str,
    /// What was asked for, secrets masked.
    pub name: Option<Arc<str>>,
}

/// Makes responses under this node's name; clones share everything.
#[derive(Clone)]
pub struct Responder(Arc<Prebuilt>);

struct Prebuilt {
    /// A token, as [`via::member`] makes it.
    name: Box<str>,
    via: HeaderValue,
    /// One per outcome, in the order of [`Outcome::ALL`].
    x_cache: [HeaderValue; Outcome::ALL.len()],
    /// `Cache-Status` of a hit, as far as it is always the same.
    hit: Box<str>,
}

/// A page of our own.
pub struct Page {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// All of it.
    pub body: String,
}

impl Page {
    /// Plain text.
    pub fn text(body: impl Into<String>) -> Self {
        Self { content_type: "text/plain; charset=utf-8", body: body.into() }
    }
}

impl Responder {
    /// A responder for the node called `name`; what cannot stand in `Via` becomes `_`. Made once: values that every
    /// response carries are kept for good, so that no two threads count references to them.
    pub fn new(name: &str) -> Self {
        let via = for_good(via::member(Version::HTTP_11, name));
        let name = via.to_str().ok().and_then(|via| via.split_once(' ')).map_or("_", |(_, name)| name);
        let x_cache = Outcome::ALL.map(|outcome| {
            let text = format!("{} from {name}", outcome.as_str().to_ascii_uppercase());
            for_good(HeaderValue::try_from(text).expect("a token is visible ASCII"))
        });
        let hit = CacheStatus { cache: name, source: Source::Cache, ttl: None, key: None, detail: None };
        let hit = format!("{hit}; ttl=").into();
        Self(Arc::new(Prebuilt { name: name.into(), x_cache, hit, via: via.clone() }))
    }

    /// A page of our own; `reason` names it in log and metrics.
    pub fn page(&self, door: &'static str, reason: &'static str, page: Page) -> Reply {
        let mut response = Response::new(Body::text(page.body));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(page.content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF.clone());
        Reply { response, door, outcome: None, reason, name: None }
    }

    fn put_x_cache(&self, headers: &mut HeaderMap, outcome: Outcome) {
        let known = Outcome::ALL.iter().zip(&self.0.x_cache).find(|(known, _)| **known == outcome);
        if let Some((_, value)) = known {
            headers.insert(&X_CACHE, value.clone());
        }
    }
}

/// The value in memory that is never freed: cloning it touches nothing that is shared.
fn for_good(value: HeaderValue) -> HeaderValue {
    value.to_str().map_or_else(|_| value.clone(), |text| HeaderValue::from_static(text.to_owned().leak()))
}

#[cfg(test)]
mod tests;
