//! `/api/v1/pins`: promises that objects are not evicted until a time.
//!
//! POST of `{"url" | "prefix" | "tag": …, "ttl": "7d", "name": …}` makes one, GET lists them; GET and DELETE of
//! `/api/v1/pins/<id>` show one and take it away. JSON in and out. The list is the cache's.
//! `applied` says whether the pins hold for all objects that are there already: with millions of them that takes longer
//! than [`PATIENCE`], and the answer does not wait for it.

use std::time::Duration;

use cache::{Cache, Pin, PinError, PinRequest, Subject};
use http::header::{HeaderValue, LOCATION};
use http::request::Parts as RequestHead;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Parts, delete, json};
use crate::fetch::parse_ttl;
use crate::respond::{Refusal, Reply};

/// How long the answer to a new pin waits for the pin to hold.
const PATIENCE: Duration = Duration::from_secs(2);
const OF_LIST: &str = "GET, HEAD, POST";
const OF_ONE: &str = "GET, HEAD, DELETE";
const FORM: &str = r#"send JSON such as {"prefix": "https://host/path/", "ttl": "7d", "name": "release 5"}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    url: Option<String>,
    prefix: Option<String>,
    tag: Option<String>,
    ttl: Option<String>,
    name: Option<String>,
}

#[derive(Serialize)]
struct List {
    pins: Vec<Pin>,
    applied: bool,
}

#[derive(Serialize)]
struct One {
    #[serde(flatten)]
    pin: Pin,
    applied: bool,
}

/// Answers; `id` is empty for the list.
pub(super) async fn answer(
    parts: &Parts,
    head: &RequestHead,
    id: &str,
    content: &[u8],
) -> Result<Reply, Refusal> {
    let (reason, page) = match (&head.method, id) {
        (&Method::GET | &Method::HEAD, "") => ("pins", json(&list(&parts.cache))),
        (&Method::GET | &Method::HEAD, id) => ("pin", json(&one(&parts.cache, find(&parts.cache, id)?))),
        (&Method::POST, "") => {
            delete::check_site(head)?;
            return pin(parts, content).await;
        }
        (&Method::DELETE, id) if !id.is_empty() => {
            delete::check_site(head)?;
            let pin = parts.cache.unpin(id).await.map_err(refusal)?;
            ("unpinned", json(&pin.ok_or_else(|| unknown(id))?))
        }
        (_, "") => return Err(not_offered(OF_LIST)),
        _ => return Err(not_offered(OF_ONE)),
    };
    Ok(parts.responder.page("admin", reason, page))
}

async fn pin(parts: &Parts, content: &[u8]) -> Result<Reply, Refusal> {
    let pin = parts.cache.pin(read(content)?).await.map_err(refusal)?;
    // Too late is an answer as well: it is said in it.
    let _ = tokio::time::timeout(PATIENCE, parts.cache.pins_applied()).await;
    let id = pin.id.clone();
    let mut reply = parts.responder.page("admin", "pinned", json(&one(&parts.cache, pin)));
    *reply.response.status_mut() = StatusCode::CREATED;
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/pins/{id}")) {
        reply.response.headers_mut().insert(LOCATION, location);
    }
    Ok(reply)
}

fn read(content: &[u8]) -> Result<PinRequest, Refusal> {
    let wanted: Wanted = serde_json::from_slice(content)
        .map_err(|error| invalid(&format!("the pin cannot be read: {error}; {FORM}")))?;
    let Wanted { url, prefix, tag, ttl, name } = wanted;
    let subject = match (url, prefix, tag) {
        (Some(url), None, None) => Subject::url(&url),
        (None, Some(prefix), None) => Subject::prefix(&prefix),
        (None, None, Some(tag)) => Subject::tag(&tag),
        _ => return Err(invalid(&format!("a pin names one of url, prefix and tag; {FORM}"))),
    };
    let ttl = ttl.ok_or_else(|| invalid(&format!("a pin needs a ttl, at whose end it goes; {FORM}")))?;
    Ok(PinRequest { subject: subject.map_err(refusal)?, ttl: parse_ttl(&ttl)?, name })
}

fn list(cache: &Cache) -> List {
    List { pins: cache.pins(), applied: cache.are_pins_applied() }
}

fn one(cache: &Cache, pin: Pin) -> One {
    One { pin, applied: cache.are_pins_applied() }
}

fn find(cache: &Cache, id: &str) -> Result<Pin, Refusal> {
    cache.pins().into_iter().find(|pin| pin.id == id).ok_or_else(|| unknown(id))
}

fn refusal(error: PinError) -> Refusal {
    match error {
        PinError::Invalid(detail) => invalid(&detail),
        PinError::Full { most } => {
            let detail = format!(
                "there are {most} pins, which is all there may be; delete one or raise admin.max-pins"
            );
            Refusal::new(StatusCode::CONFLICT, "pins_full", detail)
        }
        PinError::NotKept(failure) => {
            let detail =
                format!("the list of pins could not be written, so nothing has changed: {}", failure.detail);
            Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "pin_not_kept", detail)
        }
    }
}

fn invalid(detail: &str) -> Refusal {
    Refusal::bad_request("pin_invalid", detail)
}

fn unknown(id: &str) -> Refusal {
    Refusal::not_found("no_pin", format!("there is no pin {id}; GET /api/v1/pins lists them"))
}

fn not_offered(methods: &'static str) -> Refusal {
    Refusal::method(methods, format!("this path answers {methods} only; use one of them"))
}

#[cfg(test)]
mod tests;
