//! `/api/v1/delete?url=…`: forgets one object and what is remembered of its refusals.

use http::header::{self, HOST, HeaderMap};
use http::request::Parts as RequestHead;
use http::{Method, Uri};

use super::{DeleteBy, Parts};
use crate::respond::{Page, Refusal};

const METHODS: &str = "POST, DELETE";
const METHODS_WITH_GET: &str = "GET, HEAD, POST, DELETE";

pub(super) async fn delete(parts: &Parts, head: &RequestHead) -> Result<Page, Refusal> {
    check_method(parts.settings.delete_by, &head.method)?;
    check_site(head)?;
    let target = parts.fetch.target(head.uri.query().unwrap_or_default(), &head.headers)?;
    if parts.cache.delete(&target).await {
        return Ok(Page::text(format!("deleted {}\n", target.name)));
    }
    let detail = format!("{} is not stored, so there is nothing to delete", target.name);
    Err(Refusal::not_found("not_stored", detail))
}

fn check_method(delete_by: DeleteBy, method: &Method) -> Result<(), Refusal> {
    match (method, delete_by) {
        (&Method::POST | &Method::DELETE, _) | (&Method::GET | &Method::HEAD, DeleteBy::AlsoGet) => Ok(()),
        (&Method::GET | &Method::HEAD, DeleteBy::PostAndDelete) => {
            let detail =
                "GET does not delete here; use POST or DELETE, or the operator can set admin.delete-by-get";
            Err(Refusal::method(METHODS, detail))
        }
        (_, delete_by) => {
            let allow = if delete_by == DeleteBy::AlsoGet { METHODS_WITH_GET } else { METHODS };
            Err(Refusal::method(allow, format!("this path answers {allow} only; use one of them")))
        }
    }
}

/// A page of another site must not make a browser change anything. Browsers say where a request comes from; other
/// clients say nothing.
pub(super) fn check_site(head: &RequestHead) -> Result<(), Refusal> {
    if is_same_site(&head.headers, &head.uri) {
        return Ok(());
    }
    let detail =
        "a page of another site made the browser send this; do it from this server's own pages or with curl";
    Err(Refusal::forbidden("cross_site", detail))
}

fn is_same_site(headers: &HeaderMap, uri: &Uri) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = uri.authority().map(|host| host.as_str()).or_else(|| headers.get(HOST)?.to_str().ok());
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    matches!((origin, host), (Some((_, origin)), Some(host)) if origin.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn only_browsers_on_other_sites_are_refused() {
        let cases: [(&[(&str, &str)], bool); 8] = [
            (&[], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("origin", "http://cache.lab:8001")], true),
            (&[("origin", "http://evil.example")], false),
            (&[("origin", "null")], false),
        ];
        for (fields, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("Cache.lab:8001"));
            for (name, value) in fields {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(is_same_site(&headers, &Uri::from_static("/")), expected, "{fields:?}");
        }
    }
}
