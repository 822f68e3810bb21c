//! The operators' door: health, status, deletion, metrics, and a page that says what there is.
//!
//! State: none of its own. The service calls [`AdminDoor::answer`] for every path that no other door owns.
//! Invariants: nothing changes by GET unless the operator configured it, and never because a page of another
//! site made a browser ask. Does not check networks: the access rules have done that.

mod delete;
mod entries;
mod explain;
mod health;
mod index;
mod locate;
mod openapi;
mod pins;
mod prewarm;
mod purge;
mod query;
mod routes;
mod scrub;
mod status;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cache::{Cache, Mode, Purge, Target};
use http::Method;
use http::request::Parts as RequestHead;
use prometheus_client::registry::Registry;
use serde::Serialize;

use self::routes::Place;
use crate::exchange::Plans;
use crate::fetch::FetchDoor;
use crate::respond::{Page, Refusal, Reply, Responder};

pub use self::status::Traffic;

const SAFE: &str = "GET, HEAD";

/// Most bytes of what is sent here but lists: some lines of JSON.
pub(crate) const LONGEST_CONTENT: usize = 16 << 10;

/// Most bytes of a list of URLs.
const LONGEST_LIST: usize = 16 << 20;

/// What the door is built from.
pub struct Parts {
    /// What is deleted from, and whose counts are shown.
    pub cache: Cache,
    /// Knows which object a `url` names.
    pub fetch: FetchDoor,
    /// Know which object a URL of a site names, and its rule.
    pub plans: Plans,
    /// Makes responses.
    pub responder: Responder,
    /// What `/metrics` shows.
    pub registry: Arc<Registry>,
    /// Counts of the doors, for `/api/v1/status/`.
    pub traffic: Arc<dyn Fn() -> Traffic + Send + Sync>,
    /// Set when the server begins to shut down.
    pub draining: Arc<AtomicBool>,
    /// Settings.
    pub settings: Settings,
}

/// Settings with their defaults.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Version shown in the status (default empty).
    pub version: &'static str,
    /// While this file exists, health is 503 (default none).
    pub shutdown_file: Option<PathBuf>,
    /// Bytes a second that a scrub reads when it is not told (default 50 MB).
    pub scrub_rate: u64,
    /// Which methods delete (default [`DeleteBy::PostAndDelete`]).
    pub delete_by: DeleteBy,
}

/// Which methods delete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeleteBy {
    /// POST and DELETE only.
    #[default]
    PostAndDelete,
    /// GET and HEAD as well, as in KissCache: every crawler that finds such a link deletes.
    AlsoGet,
}

/// The operators' door; clones share everything.
#[derive(Clone)]
pub struct AdminDoor(Arc<Parts>);

impl AdminDoor {
    /// A door of these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Most bytes of content that the request may bring, where it is wanted; else `None`.
    pub fn longest_content(head: &RequestHead) -> Option<usize> {
        if head.method != Method::POST {
            return None;
        }
        match routes::find(head.uri.path())?.0 {
            Place::Pins | Place::Purge => Some(LONGEST_CONTENT),
            Place::Prewarms => Some(LONGEST_LIST),
            _ => None,
        }
    }

    /// Answers. `content` is the request's, where [`longest_content`](Self::longest_content) wants it.
    pub async fn answer(&self, head: &RequestHead, content: &[u8]) -> Reply {
        let path = head.uri.path();
        let reply = match routes::find(path) {
            Some((place, segment)) => self.answer_at(place, segment, head, content).await,
            None => Err(Refusal::no_route()),
        };
        reply.unwrap_or_else(|refusal| self.0.responder.refuse(&refusal, &head.headers, door(path)))
    }

    async fn answer_at(
        &self,
        place: Place,
        segment: &str,
        head: &RequestHead,
        content: &[u8],
    ) -> Result<Reply, Refusal> {
        let parts = &*self.0;
        let (reason, page) = match place {
            Place::Pins | Place::Pin => return pins::answer(parts, head, segment, content).await,
            Place::Purge => return purge::answer(parts, head, content).await,
            Place::Prewarms => return prewarm::begin(parts, head, content),
            Place::PrewarmEvents => return prewarm::events(parts, head, segment),
            Place::Index => safe(head).map(|()| ("index", index::page(head)))?,
            Place::Status => safe(head).map(|()| ("status", status::page(parts, head)))?,
            Place::Health => self.health(head).await?,
            Place::Delete => self.delete(head).await?,
            Place::Scrub => ("scrub", scrub::scrub(parts, head)?),
            Place::Metrics => self.metrics(head)?,
            Place::Explain => ("explained", explain::page(parts, head).await?),
            Place::Entries => ("entries", entries::list(parts, head).await?),
            Place::Entry => ("entry", entries::one(parts, head, segment).await?),
            Place::Prewarm => ("prewarm", prewarm::one(parts, head, segment)?),
            Place::OpenApi => {
                safe(head).map(|()| ("openapi", json(&openapi::describe(parts.settings.version))))?
            }
            Place::Elsewhere => return Err(Refusal::no_route()),
        };
        Ok(parts.responder.page(door(head.uri.path()), reason, page))
    }

    /// Method PURGE: takes what is stored for a request's target out.
    pub(crate) async fn purge(&self, head: &RequestHead, target: Result<Arc<Target>, Refusal>) -> Reply {
        let purge = async {
            delete::check_site(head)?;
            purge::purge(&self.0.cache, &self.0.responder, Purge::Url(target?), Mode::Hard).await
        };
        purge.await.unwrap_or_else(|refusal| self.0.responder.refuse(&refusal, &head.headers, ADMIN))
    }

    async fn health(&self, head: &RequestHead) -> Result<(&'static str, Page), Refusal> {
        safe(head)?;
        health::check(&self.0).await
    }

    async fn delete(&self, head: &RequestHead) -> Result<(&'static str, Page), Refusal> {
        delete::delete(&self.0, head).await.map(|page| ("deleted", page))
    }

    fn metrics(&self, head: &RequestHead) -> Result<(&'static str, Page), Refusal> {
        safe(head)?;
        let mut body = String::new();
        // Writing to a string fails only when a metric of ours cannot encode itself.
        prometheus_client::encoding::text::encode(&mut body, &self.0.registry).map_err(|_| {
            let detail = "a metric could not be encoded; this is a fault of the server, please report it";
            Refusal::new(http::StatusCode::INTERNAL_SERVER_ERROR, "metrics_encoding", detail)
        })?;
        let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        Ok(("metrics", Page { content_type, body }))
    }
}

/// JSON for people, too.
fn json(value: &impl Serialize) -> Page {
    // Strings and numbers always serialise.
    let body = serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
    Page { content_type: "application/json", body }
}

/// Whether the request wants something stored to be forgotten (as Varnish and Squid have it).
pub(crate) fn is_purge(head: &RequestHead) -> bool {
    head.method.as_str() == "PURGE"
}

/// The name that access rules use.
pub(crate) const ADMIN: &str = "admin";

/// The door by the name that access rules use.
fn door(path: &str) -> &'static str {
    match path {
        "/api/v1/health" | "/api/v1/health/" => "health",
        "/metrics" => "metrics",
        _ => ADMIN,
    }
}

/// 405 for what is neither GET nor HEAD.
fn safe(head: &RequestHead) -> Result<(), Refusal> {
    match head.method {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(Refusal::method(SAFE, "this path answers GET and HEAD only; use one of them")),
    }
}

#[cfg(test)]
mod tests;
