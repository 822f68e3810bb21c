//! `/api/v1/explain`: what would become of a GET now, and why. The cache explains; here it is found out what is asked.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts as RequestHead;

use super::locate::{Asked, locate};
use super::{Parts, json, query, safe};
use crate::fetch::parse_ttl;
use crate::respond::{Page, Refusal};

pub(super) async fn page(parts: &Parts, head: &RequestHead) -> Result<Page, Refusal> {
    safe(head)?;
    let query = query::read(head)?;
    let url = query::one(&query, "url").filter(|url| !url.is_empty());
    let url = url.ok_or_else(|| {
        Refusal::bad_request(
            "url_missing",
            "the parameter url is missing or empty; add url=https://host/path",
        )
    })?;
    let headers = headers(query::all(&query, "header"))?;
    let ttl = query::one(&query, "ttl").map(parse_ttl).transpose()?;
    let asked = Asked { url, headers: &headers, door: query::one(&query, "door"), ttl };
    let located = locate(parts, &asked)?;
    let subject = cache::Explained { target: &located.target, headers: &headers, manner: located.manner() };
    Ok(json(&parts.cache.explain(subject).await))
}

/// Fields such as `Accept-Language: de`.
fn headers<'q>(lines: impl Iterator<Item = &'q str>) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let field = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value.trim()).ok()?))
        });
        let detail = "the parameter header must be a field such as header=Accept-Language:%20de";
        let (name, value) = field.ok_or_else(|| Refusal::bad_request("header_invalid", detail))?;
        headers.append(name, value);
    }
    Ok(headers)
}
