//! The operators' door: health, status, deletion, metrics, and a page that says what there is.
//!
//! State: none of its own. The service calls [`AdminDoor::answer`] for every path that no other door owns.
//! Invariants: nothing changes by GET unless the operator configured it, and never because a page of another
//! site made a browser ask. Does not check networks: the access rules have done that.

mod delete;
mod health;
mod index;
mod pins;
mod scrub;
mod status;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cache::Cache;
use http::Method;
use http::request::Parts as RequestHead;
use prometheus_client::registry::Registry;

use crate::fetch::FetchDoor;
use crate::respond::{Page, Refusal, Reply, Responder};

pub use self::status::Traffic;

const SAFE: &str = "GET, HEAD";

/// What the door is built from.
pub struct Parts {
    /// What is deleted from, and whose counts are shown.
    pub cache: Cache,
    /// Knows which object a `url` names.
    pub fetch: FetchDoor,
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

    /// Whether the content of the request is wanted: JSON of at most some kilobytes.
    pub fn reads(head: &RequestHead) -> bool {
        head.method == Method::POST && pins::rest(head.uri.path()).is_some()
    }

    /// Answers. `content` is the request's, where [`reads`](Self::reads) says so.
    pub async fn answer(&self, head: &RequestHead, content: &[u8]) -> Reply {
        let path = head.uri.path();
        if let Some(id) = pins::rest(path) {
            let reply = pins::answer(&self.0, head, id, content).await;
            return reply
                .unwrap_or_else(|refusal| self.0.responder.refuse(&refusal, &head.headers, door(path)));
        }
        let page = match path {
            "/" => safe(head).map(|()| ("index", index::page(head))),
            "/api/v1/status" | "/api/v1/status/" => {
                safe(head).map(|()| ("status", status::page(&self.0, head)))
            }
            "/api/v1/health" | "/api/v1/health/" => self.health(head).await,
            "/api/v1/delete" | "/api/v1/delete/" => self.delete(head).await,
            "/api/v1/scrub" | "/api/v1/scrub/" => scrub::scrub(&self.0, head).map(|page| ("scrub", page)),
            "/metrics" => self.metrics(head),
            _ => Err(Refusal::no_route()),
        };
        match page {
            Ok((reason, page)) => self.0.responder.page(door(path), reason, page),
            Err(refusal) => self.0.responder.refuse(&refusal, &head.headers, door(path)),
        }
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

/// The door by the name that access rules use.
fn door(path: &str) -> &'static str {
    match path {
        "/api/v1/health" | "/api/v1/health/" => "health",
        "/metrics" => "metrics",
        _ => "admin",
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
