//! Rules as they are configured, and [`RuleBook`], what they become: the first one that fits a request is taken.
//!
//! A rule speaks of the URL that is asked of the origin, its host and path, so that one object is under one rule whether it
//! is reached through a site or through the proxy. Compiled once; plain values without state.

use std::sync::Arc;

use cache::policy::{Covers, Directives, Overrides, SetCookie, Settings, StatusTtl, Traffic};
use cache::{Case, RangeFill, Rule, WhenFull};
use http::{HeaderName, Method};
use url::Url;

use super::pattern::{HostPattern, PathPattern};

/// One rule.
#[derive(Clone, Debug)]
pub struct RuleSettings {
    /// For people: in `explain`, logs and refusals.
    pub name: String,
    /// Sites it holds for; empty: all, and the forward proxy.
    pub sites: Vec<String>,
    /// Hosts of the origin; empty: all.
    pub hosts: Vec<HostPattern>,
    /// Paths at the origin; empty: all.
    pub paths: Vec<PathPattern>,
    /// Methods; empty: all.
    pub methods: Vec<Method>,
    /// What is wanted of answers that no case fits.
    pub wishes: Wishes,
    /// What is wanted of some answers.
    pub cases: Vec<CaseSettings>,
    /// Query parameters that make no difference: names, or beginnings of names with `*` behind.
    pub ignored_query: Vec<String>,
    /// Request fields passed where the answer may be stored; `None`: all that cannot change it for others.
    pub forward: Option<Vec<HeaderName>>,
    /// How ranges of what is not there are fetched.
    pub range_fill: RangeFill,
    /// What becomes of requests whose object the store cannot take.
    pub when_full: WhenFull,
}

/// What is wanted of answers. Times in seconds.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Lifetime in place of the origin's.
    pub ttl: Option<u32>,
    /// Lifetime when the origin names none.
    pub default_ttl: Option<u32>,
    /// Lifetimes of errors that the origin names none for.
    pub error_ttls: Vec<StatusTtl>,
    /// In place of the origin's `stale-while-revalidate`.
    pub stale_while_revalidate: Option<u32>,
    /// In place of the origin's `stale-if-error`.
    pub stale_if_error: Option<u32>,
    /// Whether the cache takes part.
    pub traffic: Traffic,
    /// Whether the origin's directives count.
    pub directives: Directives,
    /// What becomes of answers with `Set-Cookie`.
    pub set_cookie: SetCookie,
}

/// What is wanted of some answers of a rule.
#[derive(Clone, Debug)]
pub struct CaseSettings {
    /// First and last status; empty: every one.
    pub statuses: Vec<(u16, u16)>,
    /// Media types such as `text/html` or `image/*`; empty: every one.
    pub types: Vec<String>,
    /// What is wanted.
    pub wishes: Wishes,
}

/// The rules of a plan.
#[derive(Debug)]
pub(crate) struct RuleBook {
    rules: Box<[Compiled]>,
    otherwise: Compiled,
}

/// One rule, ready to be asked.
#[derive(Debug)]
pub(crate) struct Compiled {
    sites: Box<[Box<str>]>,
    hosts: Box<[HostPattern]>,
    paths: Box<[PathPattern]>,
    methods: Box<[Method]>,
    ignored: Box<[Ignored]>,
    pub(crate) rule: Arc<Rule>,
}

/// A query parameter that makes no difference.
#[derive(Debug)]
enum Ignored {
    Name(Box<str>),
    Beginning(Box<str>),
}

impl RuleBook {
    pub(crate) fn new(rules: Vec<RuleSettings>, policy: Settings) -> Self {
        let policy = Arc::new(policy);
        let plain = Rule { policy: Arc::clone(&policy), ..Rule::plain("default") };
        let otherwise = Compiled {
            sites: Box::default(),
            hosts: Box::default(),
            paths: Box::default(),
            methods: Box::default(),
            ignored: Box::default(),
            rule: Arc::new(plain),
        };
        Self { rules: rules.into_iter().map(|rule| compiled(rule, &policy)).collect(), otherwise }
    }

    /// The rule for a request; `site` is `None` for the proxy.
    pub(crate) fn find(&self, site: Option<&str>, url: &Url, method: &Method) -> &Compiled {
        let host = url.host_str().unwrap_or_default();
        let fits = |rule: &&Compiled| {
            (rule.sites.is_empty() || site.is_some_and(|site| rule.sites.iter().any(|name| **name == *site)))
                && (rule.hosts.is_empty() || rule.hosts.iter().any(|pattern| pattern.matches(host)))
                && (rule.methods.is_empty() || rule.methods.contains(method))
                && (rule.paths.is_empty() || rule.paths.iter().any(|pattern| pattern.matches(url.path())))
        };
        self.rules.iter().find(fits).unwrap_or(&self.otherwise)
    }
}

impl Compiled {
    /// The URL without what makes no difference, when that is another one.
    pub(crate) fn key_url(&self, url: &Url) -> Option<Url> {
        let query = url.query().filter(|_| !self.ignored.is_empty())?;
        let is_kept = |parameter: &&str| {
            let name = parameter.split('=').next().unwrap_or_default();
            !self.ignored.iter().any(|ignored| ignored.matches(name))
        };
        let kept: Vec<&str> = query.split('&').filter(is_kept).collect();
        let left = kept.join("&");
        if left.len() == query.len() {
            return None;
        }
        let mut key_url = url.clone();
        key_url.set_query((!kept.is_empty()).then_some(&left));
        Some(key_url)
    }
}

impl Ignored {
    fn new(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(beginning) => Self::Beginning(beginning.into()),
            None => Self::Name(text.into()),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Name(ignored) => **ignored == *name,
            Self::Beginning(beginning) => name.starts_with(&**beginning),
        }
    }
}

fn compiled(settings: RuleSettings, policy: &Arc<Settings>) -> Compiled {
    let case = |case: CaseSettings| {
        // Whoever names a status means it, an error as well.
        let ttl_covers = if case.statuses.is_empty() { Covers::default() } else { Covers::AllStatuses };
        Case {
            statuses: case.statuses,
            types: case.types.iter().map(|kind| kind.to_ascii_lowercase().into()).collect(),
            overrides: Overrides { ttl_covers, ..overrides(case.wishes) },
        }
    };
    let rule = Rule {
        name: settings.name.into(),
        policy: Arc::clone(policy),
        cases: settings.cases.into_iter().map(case).collect(),
        overrides: overrides(settings.wishes),
        range_fill: settings.range_fill,
        forward: settings.forward,
        when_full: settings.when_full,
    };
    Compiled {
        sites: settings.sites.into_iter().map(String::into_boxed_str).collect(),
        hosts: settings.hosts.into(),
        paths: settings.paths.into(),
        methods: settings.methods.into(),
        ignored: settings.ignored_query.iter().map(|text| Ignored::new(text)).collect(),
        rule: Arc::new(rule),
    }
}

fn overrides(wishes: Wishes) -> Overrides {
    Overrides {
        ttl_covers: Covers::default(),
        traffic: wishes.traffic,
        directives: wishes.directives,
        ttl: wishes.ttl,
        default_ttl: wishes.default_ttl,
        error_ttls: wishes.error_ttls,
        stale_while_revalidate: wishes.stale_while_revalidate,
        stale_if_error: wishes.stale_if_error,
        set_cookie: wishes.set_cookie,
    }
}

impl RuleSettings {
    /// A rule that fits everything and wants nothing.
    pub fn plain(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            sites: Vec::new(),
            hosts: Vec::new(),
            paths: Vec::new(),
            methods: Vec::new(),
            wishes: Wishes::default(),
            cases: Vec::new(),
            ignored_query: Vec::new(),
            forward: None,
            range_fill: RangeFill::default(),
            when_full: WhenFull::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    fn path(text: &str) -> Vec<PathPattern> {
        vec![PathPattern::parse(text).expect("a pattern")]
    }

    #[test]
    fn the_first_rule_that_fits_host_path_method_and_site_is_taken() {
        let rules = vec![
            RuleSettings { methods: vec![Method::POST], ..RuleSettings::plain("posts") },
            RuleSettings {
                sites: vec!["shop".into()],
                paths: path("/img/**"),
                ..RuleSettings::plain("images")
            },
            RuleSettings {
                hosts: vec![HostPattern::parse("*.a.example").expect("a pattern")],
                ..RuleSettings::plain("a")
            },
        ];
        let book = RuleBook::new(rules, Settings::default());
        let name = |site, text: &str, method| book.find(site, &url(text), &method).rule.name.to_string();
        assert_eq!(name(None, "http://h/img/x", Method::POST), "posts");
        assert_eq!(name(Some("shop"), "http://h/img/x/y", Method::GET), "images");
        assert_eq!(name(Some("other"), "http://h/img/x", Method::GET), "default");
        assert_eq!(name(None, "http://h/img/x", Method::GET), "default");
        assert_eq!(name(Some("shop"), "http://b.a.example/", Method::GET), "a");
        assert_eq!(name(None, "http://b.a.example:81/", Method::GET), "a");
    }

    // 4c 20: what is ignored is named by the operator; all else keeps its order and spelling.
    #[test]
    fn ignored_parameters_leave_the_key_and_nothing_else_does() {
        let rule =
            RuleSettings { ignored_query: vec!["utm_*".into(), "sig".into()], ..RuleSettings::plain("r") };
        let rule = compiled(rule, &Arc::default());
        let key = |text: &str| rule.key_url(&url(text)).map(String::from);
        assert_eq!(key("http://h/p?a=1&utm_source=x&b=2").as_deref(), Some("http://h/p?a=1&b=2"));
        assert_eq!(key("http://h/p?sig=1").as_deref(), Some("http://h/p"));
        assert_eq!(key("http://h/p?sig=1&").as_deref(), Some("http://h/p?"));
        for text in ["http://h/p", "http://h/p?b=1&a=2", "http://h/p?signed=1", "http://h/p?%75tm_x=1"] {
            assert_eq!(key(text), None, "{text}");
        }
    }

    #[test]
    fn cases_come_before_the_wishes_of_their_rule() {
        let wish = |ttl| Wishes { ttl: Some(ttl), ..Wishes::default() };
        let case =
            CaseSettings { statuses: vec![(404, 404)], types: vec!["Text/HTML".into()], wishes: wish(5) };
        let rule = RuleSettings { cases: vec![case], wishes: wish(60), ..RuleSettings::plain("r") };
        let rule = compiled(rule, &Arc::default()).rule;
        let headers = http::HeaderMap::from_iter([(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("text/html"),
        )]);
        assert_eq!(rule.overrides(http::StatusCode::NOT_FOUND, &headers).ttl, Some(5));
        assert_eq!(rule.overrides(http::StatusCode::OK, &headers).ttl, Some(60));
    }
}
