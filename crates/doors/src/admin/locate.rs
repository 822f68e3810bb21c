//! Which object a URL, or a path on this server, names, and how its door answers.

use std::sync::Arc;
use std::time::Duration;

use cache::{Answering, Rule, Target};
use http::{HeaderMap, Method};
use url::Url;

use super::Parts;
use crate::exchange::{Plan, Resolved};
use crate::respond::Refusal;

/// An object, and how its door answers.
pub(super) struct Located {
    pub(super) target: Arc<Target>,
    manner: Manner,
}

enum Manner {
    Fetch(Duration),
    Exchange(Arc<Rule>),
}

impl Located {
    pub(super) fn manner(&self) -> Answering<'_> {
        match &self.manner {
            Manner::Fetch(max_age) => Answering::Fetch(*max_age),
            Manner::Exchange(rule) => Answering::Exchange(rule),
        }
    }
}

impl From<Arc<Resolved>> for Located {
    fn from(resolved: Arc<Resolved>) -> Self {
        let (target, rule) = (Arc::clone(&resolved.target), Arc::clone(&resolved.rule));
        Self { target, manner: Manner::Exchange(rule) }
    }
}

/// What a request asks for. `door` decides where several could answer.
pub(super) struct Asked<'a> {
    pub(super) url: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) door: Option<&'a str>,
    pub(super) ttl: Option<Duration>,
}

/// The object that is asked for.
pub(super) fn locate(parts: &Parts, asked: &Asked<'_>) -> Result<Located, Refusal> {
    let plan = parts.plans.load();
    let hasher = parts.plans.hasher();
    match asked.door {
        None if asked.url.starts_with('/') => below(parts, &plan, asked),
        None => match at_host(parts, &plan, asked.url) {
            Some(site) => site,
            None => fetch(parts, asked),
        },
        Some("fetch") => fetch(parts, asked),
        Some("proxy") => plan.resolve_absolute(asked.url, &Method::GET, hasher).map(Located::from),
        Some("site") if asked.url.starts_with('/') => below(parts, &plan, asked),
        Some("site") => at_host(parts, &plan, asked.url).unwrap_or_else(|| Err(no_site(asked.url))),
        Some(_) => Err(invalid("door must be fetch, site or proxy; leave it out to have it found")),
    }
}

fn fetch(parts: &Parts, asked: &Asked<'_>) -> Result<Located, Refusal> {
    let target = Arc::new(parts.fetch.named(asked.url, asked.headers)?);
    let max_age = asked.ttl.unwrap_or_else(|| parts.fetch.default_ttl());
    Ok(Located { target, manner: Manner::Fetch(max_age) })
}

/// The site that has the URL's host.
fn at_host(parts: &Parts, plan: &Plan, url: &str) -> Option<Result<Located, Refusal>> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    let place = plan.by_host(host)?;
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let resolved = plan.resolve(place, target, host, &Method::GET, parts.plans.hasher());
    Some(resolved.map(Located::from))
}

/// The site below whose prefix the path is, or what the fetch door has there.
fn below(parts: &Parts, plan: &Plan, asked: &Asked<'_>) -> Result<Located, Refusal> {
    if let Some(url) = ["/http://", "/https://"]
        .into_iter()
        .find_map(|form| asked.url.starts_with(form).then(|| &asked.url[1..]))
    {
        return fetch(parts, &Asked { url, ..*asked });
    }
    let path = asked.url.split('?').next().unwrap_or_default();
    let place = plan.by_path(path).ok_or_else(|| no_site(asked.url))?;
    let resolved = plan.resolve(place, asked.url, "", &Method::GET, parts.plans.hasher());
    resolved.map(Located::from)
}

fn no_site(url: &str) -> Refusal {
    let url = protocols::http::url::masked(url);
    invalid(&format!("no site has {url}; give the URL of an object or a path such as /r/NAME/path"))
}

fn invalid(detail: &str) -> Refusal {
    Refusal::bad_request("url_invalid", detail)
}
