//! [`Plan`]: the configured sites and rules, compiled; [`Plans`]: the one in force.
//!
//! A plan never changes; a reload puts another in its place. It owns the memo of what request targets mean, because that
//! depends on it. Invariants: what is appended to an origin's base never leads above it; two requests have one key only if
//! the origin sees the same URL (but for parameters that the operator ignores) and the same `Host`.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use cache::{KeyHasher, Target, policy};
use http::header::HOST;
use http::{HeaderValue, Method};
use protocols::http::url::CanonicalUrl;
use url::Url;

use super::Resolved;
use super::pattern::HostPattern;
use super::rules::{RuleBook, RuleSettings};
use crate::access::has_dot_segment;
use crate::memo::{Memo, Scope};
use crate::respond::Refusal;

/// Beginning of the paths of sites.
pub(crate) const SITES: &str = "/r/";

/// The memo's scope of the forward proxy; sites follow.
const PROXY: Scope = 0;

/// One site.
#[derive(Clone, Debug)]
pub struct SiteSettings {
    /// What it is called in `/r/NAME/…`, rules and logs: letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// Base URLs of its origins; the first names its objects.
    pub origins: Vec<String>,
    /// Hosts that are this site.
    pub hosts: Vec<HostPattern>,
    /// Path below which it is found on listeners that are not its own (default `/r/NAME`).
    pub prefix: Option<String>,
    /// `Host` for the origin.
    pub host: HostSent,
}

/// Which `Host` an origin gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostSent {
    /// That of its URL.
    #[default]
    Origin,
    /// The client's. It becomes part of the key.
    Keep,
}

/// Sites or rules are not written right; the sentence names the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPlan {
    /// One sentence.
    pub detail: String,
}

/// The configured sites and rules, compiled; immutable.
pub struct Plan {
    sites: Box<[Site]>,
    by_host: HashMap<Box<str>, usize>,
    by_pattern: Box<[(HostPattern, usize)]>,
    /// Longest first.
    by_prefix: Box<[(Box<str>, usize)]>,
    book: RuleBook,
    memo: Memo<Resolved>,
}

/// One site, compiled.
pub(crate) struct Site {
    pub(crate) name: Box<str>,
    /// Without a slash at its end.
    base: Box<str>,
    base_path: Box<str>,
    /// Canonical bases of all its origins, without a slash at the end; one: there is no choice.
    bases: Box<[Box<str>]>,
    host: HostSent,
}

/// The plan in force; clones share it.
#[derive(Clone)]
pub struct Plans {
    plan: Arc<ArcSwap<Plan>>,
    hasher: KeyHasher,
}

/// A request's site and what follows it in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) site: usize,
    /// Bytes of the target that belong to the site's prefix.
    pub(crate) prefix: usize,
}

impl std::fmt::Display for InvalidPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for InvalidPlan {}

impl Plans {
    /// `hasher` is the one of everybody who asks the cache.
    pub fn new(plan: Plan, hasher: KeyHasher) -> Self {
        Self { plan: Arc::new(ArcSwap::from_pointee(plan)), hasher }
    }

    /// Puts another plan in force; requests under way end with theirs.
    pub fn replace(&self, plan: Plan) {
        self.plan.store(Arc::new(plan));
    }

    /// Where else the object may be had, see [`Plan::alternatives`].
    pub fn alternatives(&self, url: &Url) -> Vec<Url> {
        self.plan.load().alternatives(url)
    }

    pub(crate) fn load(&self) -> Guard<Arc<Plan>> {
        self.plan.load()
    }

    pub(crate) const fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }
}

impl Plan {
    /// Compiles sites and rules; `memo_entries` targets are remembered.
    pub fn new(
        sites: Vec<SiteSettings>,
        rules: Vec<RuleSettings>,
        policy: policy::Settings,
        memo_entries: usize,
    ) -> Result<Self, InvalidPlan> {
        let mut plan = Self { memo: Memo::new(memo_entries), ..Self::empty() };
        check_rules(&rules, &sites)?;
        let (mut compiled, mut patterns, mut prefixes) = (Vec::new(), Vec::new(), Vec::new());
        for (at, settings) in sites.into_iter().enumerate() {
            let site = Site::new(&settings)?;
            let prefix = settings.prefix.as_deref().unwrap_or_default().trim_end_matches('/');
            let prefix = if prefix.is_empty() { format!("{SITES}{}", site.name) } else { prefix.to_owned() };
            if compiled.iter().any(|other: &Site| other.name == site.name) {
                return invalid(format!("the site `{}` is there twice; rename one", site.name));
            }
            if prefixes.iter().any(|(other, _): &(Box<str>, usize)| **other == *prefix) {
                return invalid(format!("two sites have the prefix `{prefix}`; change one"));
            }
            for pattern in settings.hosts {
                match pattern {
                    HostPattern::Name(name) => {
                        if plan.by_host.insert(name.clone(), at).is_some() {
                            return invalid(format!("two sites have the host `{name}`; remove one"));
                        }
                    }
                    pattern => patterns.push((pattern, at)),
                }
            }
            prefixes.push((prefix.into_boxed_str(), at));
            compiled.push(site);
        }
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        plan.sites = compiled.into();
        plan.by_pattern = patterns.into();
        plan.by_prefix = prefixes.into();
        plan.book = RuleBook::new(rules, policy);
        Ok(plan)
    }

    /// A plan without sites and rules.
    pub fn empty() -> Self {
        Self {
            sites: Box::default(),
            by_host: HashMap::new(),
            by_pattern: Box::default(),
            by_prefix: Box::default(),
            memo: Memo::new(0),
            book: RuleBook::new(Vec::new(), policy::Settings::default()),
        }
    }

    /// Whether there is a site of this name.
    pub fn has_site(&self, name: &str) -> bool {
        self.sites.iter().any(|site| *site.name == *name)
    }

    /// The site of a listener that is a site's own.
    pub(crate) fn by_name(&self, name: &str) -> Option<Place> {
        let site = self.sites.iter().position(|site| *site.name == *name)?;
        Some(Place { site, prefix: 0 })
    }

    /// The site that is this host (without port).
    pub(crate) fn by_host(&self, host: &str) -> Option<Place> {
        if self.by_host.is_empty() && self.by_pattern.is_empty() {
            return None;
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let by_pattern = || self.by_pattern.iter().find(|(pattern, _)| pattern.matches(&host));
        let site = self.by_host.get(&*host).copied().or_else(|| by_pattern().map(|(_, site)| *site))?;
        Some(Place { site, prefix: 0 })
    }

    /// The site below whose prefix this path is.
    pub(crate) fn by_path(&self, path: &str) -> Option<Place> {
        let lies_below = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let (prefix, site) = self.by_prefix.iter().find(|(prefix, _)| lies_below(prefix))?;
        Some(Place { site: *site, prefix: prefix.len() })
    }

    /// Where else an object may be had that a site's first origin would give.
    pub fn alternatives(&self, url: &Url) -> Vec<Url> {
        let with_choice = self.sites.iter().filter(|site| site.bases.len() > 1);
        let mut found = with_choice.filter_map(|site| {
            let rest = url.as_str().strip_prefix(&*site.bases[0]).filter(|rest| rest.starts_with('/'))?;
            Some(
                site.bases[1..].iter().filter_map(|base| Url::parse(&format!("{base}{rest}")).ok()).collect(),
            )
        });
        found.next().unwrap_or_default()
    }

    /// What `target` (path and query) asks of the site. `host` is the client's.
    pub(crate) fn resolve(
        &self,
        place: Place,
        target: &str,
        host: &str,
        method: &Method,
        hasher: &KeyHasher,
    ) -> Result<Arc<Resolved>, Refusal> {
        let site = &self.sites[place.site];
        let rest = &target[place.prefix.min(target.len())..];
        let scope = scope(place.site, method);
        let spelled;
        let memorable = match site.host {
            HostSent::Origin => rest,
            HostSent::Keep => {
                spelled = format!("{host}{rest}");
                &spelled
            }
        };
        if let Some(resolved) = self.memo.find(scope, memorable) {
            return Ok(resolved);
        }
        let kept = match site.host {
            HostSent::Origin => None,
            HostSent::Keep => Some(kept_host(host)?),
        };
        let resolved = Arc::new(self.target(Some(&site.name), site.url(rest)?, kept, method, hasher));
        self.memo.keep(scope, memorable, &resolved);
        Ok(resolved)
    }

    /// What an absolute URL asks of the proxy.
    pub(crate) fn resolve_absolute(
        &self,
        url: &str,
        method: &Method,
        hasher: &KeyHasher,
    ) -> Result<Arc<Resolved>, Refusal> {
        let scope = PROXY + Scope::from(*method == Method::HEAD);
        if let Some(resolved) = self.memo.find(scope, url) {
            return Ok(resolved);
        }
        let canonical = canonical(url)?;
        let is_personal = canonical.authorization.is_some();
        let resolved = Arc::new(self.target(None, canonical, None, method, hasher));
        // A password is never remembered; and a rule by method holds for that method only.
        if !is_personal && super::is_read(method) {
            self.memo.keep(scope, url, &resolved);
        }
        Ok(resolved)
    }

    fn target(
        &self,
        site: Option<&str>,
        url: CanonicalUrl,
        kept: Option<HeaderValue>,
        method: &Method,
        hasher: &KeyHasher,
    ) -> Resolved {
        let found = self.book.find(site, &url.url, method);
        let passed = kept.iter().map(|host| (HOST, host.clone())).collect();
        let (asked, display) = (url.url.clone(), Arc::clone(&url.display));
        let key = match found.key_url(&url.url) {
            Some(key_url) => CanonicalUrl { url: key_url, ..url },
            None => url,
        };
        let mut target = Target::new(key, passed, hasher);
        // The key knows them; the origin sees the whole URL, and `Host` once.
        target.credentials.remove(HOST);
        target.url = asked;
        target.name = display;
        Resolved { target: Arc::new(target), rule: Arc::clone(&found.rule), host: kept }
    }
}

/// Only what a stored object can answer is looked up often; a rule by method holds for that method only.
fn scope(site: usize, method: &Method) -> Scope {
    let kind = match *method {
        Method::GET => 0,
        Method::HEAD => 1,
        Method::POST => 2,
        Method::PUT => 3,
        Method::DELETE => 4,
        Method::PATCH => 5,
        Method::OPTIONS => 6,
        // Unknown methods share one: rules can name only those above.
        _ => 7,
    };
    2 + Scope::try_from(site).unwrap_or(Scope::MAX / 8 - 1) * 8 + kind
}

impl Site {
    fn new(settings: &SiteSettings) -> Result<Self, InvalidPlan> {
        let name = &settings.name;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || !name.bytes().all(is_name) || has_dot_segment(name) {
            return invalid(format!(
                "`{}` is no name for a site; take letters, digits, `-`, `_` and `.`",
                name.escape_debug()
            ));
        }
        let Some(first) = settings.origins.first() else {
            return invalid(format!("the site `{name}` has no origin; add `origin = \"https://host/\"`"));
        };
        let mut bases = Vec::new();
        for origin in &settings.origins {
            let problem = |problem: &str| {
                invalid(format!(
                    "the site `{name}`: the origin `{}` {problem}",
                    protocols::http::url::masked(origin)
                ))
            };
            match CanonicalUrl::parse(origin) {
                Err(error) => return problem(&format!("is not written right: {}", error.detail)),
                Ok(url) if url.url.query().is_some() => return problem("has a query; remove it"),
                Ok(url) if url.authorization.is_some() && settings.origins.len() > 1 => {
                    return problem("has a user name, which goes with a single origin only");
                }
                Ok(url) => bases.push(url.url.as_str().trim_end_matches('/').into()),
            }
        }
        if settings
            .prefix
            .as_deref()
            .is_some_and(|prefix| !prefix.starts_with('/') || has_dot_segment(prefix))
        {
            return invalid(format!(
                "the site `{name}` has a prefix that does not begin with `/`; correct it"
            ));
        }
        let base = first.split('#').next().unwrap_or_default().trim_end_matches('/');
        let canonical = CanonicalUrl::parse(first).map_err(|error| InvalidPlan { detail: error.detail })?;
        Ok(Self {
            name: name.as_str().into(),
            base: base.into(),
            base_path: canonical.url.path().trim_end_matches('/').into(),
            bases: bases.into(),
            host: settings.host,
        })
    }

    /// The URL of what follows the site's prefix: verbatim, and never above the base.
    fn url(&self, rest: &str) -> Result<CanonicalUrl, Refusal> {
        let path = rest.split('?').next().unwrap_or_default();
        if has_dot_segment(path) || path.contains('\\') {
            let detail = "the path has a `.` or `..` segment or a backslash; write the path that is meant";
            return Err(Refusal::bad_request("path_invalid", detail));
        }
        let slash = if rest.starts_with('/') { "" } else { "/" };
        let url = canonical(&format!("{}{slash}{rest}", self.base))?;
        match url.url.path().strip_prefix(&*self.base_path) {
            Some(below) if below.starts_with('/') => Ok(url),
            _ => Err(Refusal::bad_request("path_invalid", "the path leads out of the site; correct it")),
        }
    }
}

fn canonical(url: &str) -> Result<CanonicalUrl, Refusal> {
    if url.len() > CanonicalUrl::MAX_LENGTH {
        let detail = format!("the URL is longer than {} bytes; shorten it", CanonicalUrl::MAX_LENGTH);
        return Err(Refusal::new(http::StatusCode::URI_TOO_LONG, "url_too_long", detail));
    }
    CanonicalUrl::parse(url).map_err(|error| Refusal::bad_request("url_invalid", error.detail))
}

/// The client's host as the origin gets it: one spelling for all that mean the same.
fn kept_host(host: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::try_from(host.to_ascii_lowercase())
        .ok()
        .filter(|host| !host.is_empty())
        .ok_or_else(|| Refusal::bad_request("host_missing", "this site needs a `Host` field; send one"))
}

fn check_rules(rules: &[RuleSettings], sites: &[SiteSettings]) -> Result<(), InvalidPlan> {
    for rule in rules {
        let unknown = rule.sites.iter().find(|name| sites.iter().all(|site| site.name != **name));
        if let Some(name) = unknown {
            return invalid(format!("the rule `{}` names the site `{name}`, which is not there", rule.name));
        }
    }
    Ok(())
}

fn invalid<T>(detail: String) -> Result<T, InvalidPlan> {
    Err(InvalidPlan { detail })
}

#[cfg(test)]
mod tests;
