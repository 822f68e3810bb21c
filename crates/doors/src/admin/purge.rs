//! `/api/v1/purge`: objects leave the store, or are confirmed by the origin before their next use; and method PURGE for one
//! URL. The work is the cache's.

use cache::{Cache, Mode, Purge, PurgeRefused, Purged};
use http::request::Parts as RequestHead;
use http::{HeaderMap, Method, StatusCode};
use protocols::http::expression::Expression;
use serde::{Deserialize, Serialize};

use super::locate::{Asked, locate};
use super::{Parts, delete, json};
use crate::respond::{Refusal, Reply, Responder};

const FORM: &str = r#"send JSON such as {"tag": "release-5"}, {"prefix": "https://host/path/", "mode": "soft"} or {"url": "https://host/a", "dry_run": true}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    url: Option<String>,
    prefix: Option<String>,
    host: Option<String>,
    tag: Option<String>,
    expression: Option<String>,
    #[serde(default)]
    mode: Wish,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wish {
    #[default]
    Hard,
    Soft,
}

#[derive(Serialize)]
struct Answer {
    entries: u64,
    bytes: u64,
    /// Only when it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<bool>,
}

pub(super) async fn answer(parts: &Parts, head: &RequestHead, content: &[u8]) -> Result<Reply, Refusal> {
    if head.method != Method::POST {
        return Err(Refusal::method("POST", format!("this path answers POST only; {FORM}")));
    }
    delete::check_site(head)?;
    let wanted: Wanted = serde_json::from_slice(content)
        .map_err(|error| invalid(&format!("the purge cannot be read: {error}; {FORM}")))?;
    let mode = match (wanted.dry_run, wanted.mode) {
        (true, _) => Mode::Dry,
        (false, Wish::Soft) => Mode::Soft,
        (false, Wish::Hard) => Mode::Hard,
    };
    purge(&parts.cache, &parts.responder, subject(parts, wanted)?, mode).await
}

fn subject(parts: &Parts, wanted: Wanted) -> Result<Purge, Refusal> {
    let Wanted { url, prefix, host, tag, expression, .. } = wanted;
    match (url, prefix, host, tag, expression) {
        (Some(url), None, None, None, None) => {
            let headers = &HeaderMap::new();
            let asked = Asked { url: &url, headers, door: None, ttl: None };
            Ok(Purge::Url(locate(parts, &asked)?.target))
        }
        (None, Some(prefix), None, None, None) => {
            Purge::prefix(&prefix).map_err(|problem| invalid(&format!("prefix: {problem}")))
        }
        (None, None, Some(host), None, None) if !host.is_empty() => Ok(Purge::host(&host)),
        (None, None, None, Some(tag), None) if !tag.is_empty() => Ok(Purge::Tag(tag.into())),
        (None, None, None, None, Some(expression)) => {
            let expression = Expression::parse(&expression);
            let expression = expression.map_err(|error| invalid(&format!("expression: {error}")))?;
            Ok(Purge::Expression(Box::new(expression)))
        }
        _ => Err(invalid(&format!("a purge names one of url, prefix, host, tag and expression; {FORM}"))),
    }
}

/// Purges, and says how much.
pub(super) async fn purge(
    cache: &Cache,
    responder: &Responder,
    what: Purge,
    mode: Mode,
) -> Result<Reply, Refusal> {
    let Purged { entries, bytes, is_done } = cache.purge(what, mode).await.map_err(refusal)?;
    let page = json(&Answer { entries, bytes, done: (!is_done).then_some(false) });
    let mut reply = responder.page("admin", if is_done { "purged" } else { "purging" }, page);
    if !is_done {
        *reply.response.status_mut() = StatusCode::ACCEPTED;
    }
    Ok(reply)
}

pub(super) fn refusal(refused: PurgeRefused) -> Refusal {
    match refused {
        PurgeRefused::Busy { most } => {
            let detail = format!(
                "{most} looks at all entries are going on, which is all there may be; ask again when one has ended"
            );
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, "walks_full", detail)
        }
        PurgeRefused::NotKept(failure) => {
            Refusal::new(StatusCode::INSUFFICIENT_STORAGE, failure.reason, failure.detail)
        }
    }
}

fn invalid(detail: &str) -> Refusal {
    Refusal::bad_request("purge_invalid", detail)
}
