//! `/api/v1/prewarm`: a list of URLs is fetched before somebody asks; `/api/v1/prewarm/<id>` tells how far it is, and
//! `…/events` tells it whenever it changes (server-sent events). The lists are the cache's.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use cache::{Prewarm, PrewarmRefused, Progress, Target};
use futures_util::stream;
use http::header::{HeaderValue, LOCATION};
use http::request::Parts as RequestHead;
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Parts, delete, json, query, safe};
use crate::fetch::parse_ttl;
use crate::respond::{Page, Refusal, Reply};
use crate::wire::Body;

const FORM: &str = "send URLs, one a line, or as a JSON array of strings";
const OF_ONE: &str = "GET, HEAD, DELETE";

/// Shortest time between two events.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest time without a line, so that a client that has gone is noticed.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

#[derive(Serialize)]
struct Begun<'a> {
    id: &'a str,
    urls: usize,
}

pub(super) fn begin(parts: &Parts, head: &RequestHead, content: &[u8]) -> Result<Reply, Refusal> {
    if head.method != Method::POST {
        return Err(Refusal::method("POST", format!("this path answers POST only; {FORM}")));
    }
    delete::check_site(head)?;
    let query = query::read(head)?;
    let ttl = query::one(&query, "ttl").map(parse_ttl).transpose()?;
    let targets = targets(parts, content)?;
    let (urls, ttl) = (targets.len(), ttl.unwrap_or_else(|| parts.fetch.default_ttl()));
    let id = parts.cache.prewarm(Prewarm { targets, ttl }).map_err(refusal)?;
    let mut reply = parts.responder.page("admin", "prewarming", json(&Begun { id: &id, urls }));
    *reply.response.status_mut() = StatusCode::ACCEPTED;
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/prewarm/{id}")) {
        reply.response.headers_mut().insert(LOCATION, location);
    }
    Ok(reply)
}

fn targets(parts: &Parts, content: &[u8]) -> Result<Vec<Arc<Target>>, Refusal> {
    let text =
        std::str::from_utf8(content).map_err(|_| invalid(&format!("the list is not UTF-8; {FORM}")))?;
    let named = |number: usize, url: &str| {
        let problem = |refusal: Refusal| invalid(&format!("URL {}: {}", number + 1, refusal.detail));
        parts.fetch.named(url, &HeaderMap::new()).map(Arc::new).map_err(problem)
    };
    if text.trim_start().starts_with('[') {
        let urls: Vec<String> = serde_json::from_str(text)
            .map_err(|error| invalid(&format!("the list cannot be read: {error}; {FORM}")))?;
        return urls.iter().enumerate().map(|(number, url)| named(number, url)).collect();
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.enumerate().map(|(number, line)| named(number, line)).collect()
}

pub(super) fn one(parts: &Parts, head: &RequestHead, id: &str) -> Result<Page, Refusal> {
    let progress = progress(parts, id)?;
    match head.method {
        Method::GET | Method::HEAD => {}
        Method::DELETE => {
            delete::check_site(head)?;
            parts.cache.cancel_prewarm(id);
        }
        _ => {
            return Err(Refusal::method(OF_ONE, format!("this path answers {OF_ONE} only; use one of them")));
        }
    }
    let page = json(&*progress.borrow());
    Ok(page)
}

pub(super) fn events(parts: &Parts, head: &RequestHead, id: &str) -> Result<Reply, Refusal> {
    safe(head)?;
    let progress = progress(parts, id)?;
    let page = Page { content_type: "text/event-stream", body: String::new() };
    let mut reply = parts.responder.page("admin", "prewarm_events", page);
    let draining = Arc::clone(&parts.draining);
    let news = News { progress, is_first: true, is_over: false };
    let events = stream::unfold(news, move |news| {
        let draining = Arc::clone(&draining);
        async move { if draining.load(Ordering::Relaxed) { None } else { news.next().await } }
    });
    *reply.response.body_mut() = Body::Stream(Box::pin(events));
    Ok(reply)
}

/// What a client is still to be told.
struct News {
    progress: watch::Receiver<Progress>,
    is_first: bool,
    is_over: bool,
}

impl News {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if self.is_over {
            return None;
        }
        if !std::mem::take(&mut self.is_first) {
            tokio::time::sleep(PAUSE).await;
            if timeout(SIGN_OF_LIFE, self.progress.changed()).await.is_err() {
                return Some((Bytes::from_static(b": nothing new\n\n"), self));
            }
        }
        let event = {
            let progress = self.progress.borrow_and_update();
            self.is_over = progress.is_over();
            // Strings and numbers always serialise.
            let data = serde_json::to_string(&*progress).unwrap_or_default();
            format!("event: {}\ndata: {data}\n\n", if self.is_over { "end" } else { "progress" })
        };
        Some((Bytes::from(event), self))
    }
}

fn progress(parts: &Parts, id: &str) -> Result<watch::Receiver<Progress>, Refusal> {
    let unknown = || Refusal::not_found("no_prewarm", format!("there is no list {id}, or it ended long ago"));
    parts.cache.prewarm_progress(id).ok_or_else(unknown)
}

fn refusal(refused: PrewarmRefused) -> Refusal {
    match refused {
        PrewarmRefused::Busy { most } => {
            let detail = format!(
                "{most} lists are being fetched, which is all there may be; wait for one, or DELETE it"
            );
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, "prewarms_full", detail)
        }
        PrewarmRefused::TooLong { most } => {
            let detail = format!("a list has at most {most} URLs; send several");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "prewarm_too_long", detail)
        }
    }
}

fn invalid(detail: &str) -> Refusal {
    Refusal::bad_request("prewarm_invalid", detail)
}
