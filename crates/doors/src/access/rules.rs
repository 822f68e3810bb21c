//! [`Rules`]: ordered allow/deny rules, one a line of text, compiled once.
//!
//! Grammar, the same in TOML, flag and environment:
//! `allow|deny NETWORK [door=NAME,…] [method=NAME,…] [path=/prefix]`, where NETWORK is a CIDR, an address,
//! `any`, `loopback` or `private`. Names are separated by `,` or by `|`, since commas separate whole rules in a flag.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

use super::client::client;
use super::network::{InvalidNetwork, Network, unmapped};

/// Doors that a rule may name.
pub const DOORS: [&str; 7] = ["fetch", "site", "proxy", "connect", "admin", "metrics", "health"];

/// Doors that nobody outside is let in by a rule that does not name them: an open proxy is found and abused within hours.
const NAMED_ONLY: [&str; 2] = ["proxy", "connect"];

/// Who may ask without any configuration: this machine and its private networks.
const DEFAULT: [&str; 2] = ["allow loopback", "allow private"];

/// What separates the names of one part.
const SEPARATORS: [char; 2] = [',', '|'];

/// Methods that a rule may name.
const METHODS: [Method; 8] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::OPTIONS,
    Method::PATCH,
    Method::CONNECT,
];

/// Access rules and trusted proxies, compiled; immutable.
#[derive(Clone, Debug)]
pub struct Rules {
    rules: Box<[Rule]>,
    trusted_proxies: Box<[Network]>,
}

/// The rules in force; clones share them.
#[derive(Clone, Debug)]
pub struct InForce(Arc<ArcSwap<Rules>>);

impl InForce {
    /// These, until others are put in their place.
    pub fn new(rules: Rules) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(rules)))
    }

    /// Puts others in force, for requests from now on.
    pub fn replace(&self, rules: Rules) {
        self.0.store(Arc::new(rules));
    }

    pub(crate) fn load(&self) -> Guard<Arc<Rules>> {
        self.0.load()
    }
}

/// What is asked of [`Rules::check`].
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The client's address, from [`Rules::client`].
    pub client: IpAddr,
    /// The door that would answer, one of [`DOORS`].
    pub door: &'a str,
    /// The request's method.
    pub method: &'a Method,
    /// The request's path as it came, not decoded; for the proxy `/` and the URL, as the fetch door has it.
    pub path: &'a str,
}

/// The request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied<'a> {
    /// The client that asked.
    pub client: IpAddr,
    /// The door that would have answered.
    pub door: &'a str,
    /// The rule that refuses, as configured; `None` when no rule matches.
    pub rule: Option<&'a str>,
}

/// A rule or a trusted proxy is not written right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAccess {
    /// One sentence that names the text and the fix.
    pub detail: String,
}

#[derive(Clone, Debug)]
struct Rule {
    text: Box<str>,
    verdict: Verdict,
    network: Network,
    doors: Box<[&'static str]>,
    methods: Box<[Method]>,
    path: Option<Box<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allow,
    Deny,
}

impl Rules {
    /// Compiles `rules` (none: loopback and private networks are allowed) and `trusted_proxies`.
    pub fn new<S: AsRef<str>>(rules: &[S], trusted_proxies: &[S]) -> Result<Self, InvalidAccess> {
        let rules = if rules.is_empty() {
            DEFAULT.into_iter().map(Rule::parse).collect::<Result<_, _>>()?
        } else {
            rules.iter().map(|rule| Rule::parse(rule.as_ref())).collect::<Result<_, _>>()?
        };
        let trusted_proxies = trusted_proxies
            .iter()
            .map(|text| Network::parse(text.as_ref().trim()).map_err(InvalidAccess::from))
            .collect::<Result<_, _>>()?;
        Ok(Self { rules, trusted_proxies })
    }

    /// The client's address: `peer`, or what trusted proxies say in `X-Forwarded-For`. IPv4-mapped IPv6 becomes IPv4.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        client(peer, headers, &self.trusted_proxies)
    }

    /// Whether what `peer` says of others is believed.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        let peer = unmapped(peer);
        self.trusted_proxies.iter().any(|network| network.contains(peer))
    }

    /// Whether the request may go on: the first rule that matches decides, and no match refuses.
    pub fn check<'a>(&'a self, asked: &Asked<'a>) -> Result<(), Denied<'a>> {
        let (client, door) = (unmapped(asked.client), asked.door);
        match self.rules.iter().find(|rule| rule.matches(client, asked)) {
            Some(rule) if rule.verdict == Verdict::Allow => Ok(()),
            Some(rule) => Err(Denied { client, door, rule: Some(&rule.text) }),
            None => Err(Denied { client, door, rule: None }),
        }
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, InvalidAccess> {
        let text = text.trim();
        let mut words = text.split_ascii_whitespace();
        let verdict = match words.next() {
            Some("allow") => Verdict::Allow,
            Some("deny") => Verdict::Deny,
            _ => return Err(invalid(text, "starts with neither `allow` nor `deny`")),
        };
        let network = words.next().ok_or_else(|| invalid(text, "names no network"))?;
        let network = Network::parse(network).map_err(|error| invalid(text, &error.detail))?;
        let mut rule = Self {
            text: text.into(),
            verdict,
            network,
            doors: Box::default(),
            methods: Box::default(),
            path: None,
        };
        for word in words {
            match word.split_once('=') {
                Some(("door", names)) if rule.doors.is_empty() => rule.doors = parse_doors(text, names)?,
                Some(("method", names)) if rule.methods.is_empty() => {
                    rule.methods = parse_methods(text, names)?;
                }
                Some(("path", prefix)) if rule.path.is_none() && prefix.starts_with('/') => {
                    rule.path = Some(prefix.trim_end_matches('/').into());
                }
                _ => return Err(invalid(text, &format!("has an unknown, repeated or empty part `{word}`"))),
            }
        }
        Ok(rule)
    }

    fn matches(&self, client: IpAddr, asked: &Asked<'_>) -> bool {
        self.network.contains(client)
            && self.is_about(asked.door, client)
            && (self.methods.is_empty() || self.methods.contains(asked.method))
            && self.path.as_deref().is_none_or(|prefix| self.lies_below(asked.path, prefix))
    }

    fn is_about(&self, door: &str, client: IpAddr) -> bool {
        if !self.doors.is_empty() {
            return self.doors.contains(&door);
        }
        let is_near = || [Network::Loopback, Network::Private].iter().any(|network| network.contains(client));
        self.verdict == Verdict::Deny || !NAMED_ONLY.contains(&door) || is_near()
    }

    /// Whether `path` is `prefix` or continues it after a `/`. What refuses matches in every spelling that a server behind us
    /// may take for the prefix, what allows only as it is written, so that no spelling slips past a refusal or into a
    /// permission.
    fn lies_below(&self, path: &str, prefix: &str) -> bool {
        if has_dot_segment(path) {
            // It leads away from what it shows, though never to another server.
            return self.verdict == Verdict::Deny && is_same_server(path, prefix);
        }
        match self.verdict {
            Verdict::Allow => continues(path, prefix),
            Verdict::Deny => continues(&plain(path), &plain(prefix)),
        }
    }
}

fn continues(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What the laxest server would make of a path: escapes decoded, no case, `\` as `/`, no empty segments and none of the
/// parameters that follow a `;`.
fn plain(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy().to_ascii_lowercase().replace('\\', "/");
    let segments = decoded.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    segments.filter(|segment| !segment.is_empty()).flat_map(|segment| ["/", segment]).collect()
}

/// Whether a segment is `.` or `..`, in any spelling of the dots (RFC 3986 section 6.2.2.3) and of what stands around them:
/// servers decode `%2f`, take `\` for `/`, and forget what follows a `;`.
pub(crate) fn has_dot_segment(path: &str) -> bool {
    let begins_with_dot = path.starts_with('.') || path.contains("/.") || path.contains("\\.");
    if !begins_with_dot && !path.contains('%') {
        return false;
    }
    let path = [("%2e", "."), ("%2f", "/"), ("%5c", "/"), ("\\", "/"), ("%3b", ";")]
        .into_iter()
        .fold(path.to_ascii_lowercase(), |path, (spelled, meant)| path.replace(spelled, meant));
    path.split('/').any(|segment| matches!(segment.split(';').next(), Some("." | "..")))
}

/// Whether two paths begin alike, as far as `/scheme://host`.
fn is_same_server(path: &str, prefix: &str) -> bool {
    let start = |path: &str| path.split('/').take(4).map(str::to_ascii_lowercase).collect::<Vec<_>>();
    start(path).iter().zip(start(prefix)).all(|(one, other)| *one == other)
}

fn parse_doors(rule: &str, names: &str) -> Result<Box<[&'static str]>, InvalidAccess> {
    let known = |name| DOORS.into_iter().find(|door| *door == name);
    names
        .split(SEPARATORS)
        .map(|name| {
            let problem = || format!("names the unknown door `{name}`; doors are {}", DOORS.join(", "));
            known(name).ok_or_else(|| invalid(rule, &problem()))
        })
        .collect()
}

fn parse_methods(rule: &str, names: &str) -> Result<Box<[Method]>, InvalidAccess> {
    let known = |name: &str| METHODS.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(name));
    names
        .split(SEPARATORS)
        .map(|name| known(name).ok_or_else(|| invalid(rule, &format!("names the unknown method `{name}`"))))
        .collect()
}

fn invalid(rule: &str, problem: &str) -> InvalidAccess {
    let detail = format!(
        "the access rule `{rule}` {problem}; write `allow|deny NETWORK [door=NAME,…] [method=NAME,…] [path=/prefix]`"
    );
    InvalidAccess { detail }
}

impl From<InvalidNetwork> for InvalidAccess {
    fn from(error: InvalidNetwork) -> Self {
        Self { detail: format!("a trusted proxy is not written right: {}", error.detail) }
    }
}

impl std::fmt::Display for InvalidAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for InvalidAccess {}

/// The sentence for the client: which rule refuses it, or that none allows it.
impl std::fmt::Display for Denied<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.rule {
            Some(rule) => write!(f, "the access rule `{rule}` refuses requests from {}", self.client),
            None => write!(
                f,
                "no access rule allows this request from {client}; the operator can add `allow {client}{door}`",
                client = self.client,
                door = if NAMED_ONLY.contains(&self.door) {
                    format!(" door={}", self.door)
                } else {
                    String::new()
                }
            ),
        }
    }
}

#[cfg(test)]
mod tests;
