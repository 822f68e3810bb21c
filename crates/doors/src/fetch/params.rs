//! The parameters of a fetch: `url`, `ttl`, `passheaders`, `sha256`, `revalidate`.
//!
//! A URL may be encoded, or pasted raw: a value with a literal `://` in it is raw. Then `+` is a plus, and the
//! following pairs that are no parameters of ours are the rest of the pasted URL, so that nothing of it is lost.
//! Values are percent-decoded once either way, as KissCache does. Of a repeated parameter the last one counts.

use std::borrow::Cow;
use std::time::Duration;

use cache::Digest;
use http::HeaderName;
use protocols::http::query::{Plus, decode};

use crate::respond::Refusal;

/// Longest `ttl`.
const LONGEST_TTL: Duration = Duration::from_secs(100 * 365 * DAY);
/// Most characters of a client's that a sentence repeats.
const LONGEST_QUOTE: usize = 16;
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// What the parameters say; nothing is checked against settings yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Params<'q> {
    /// The URL, decoded; empty when there is none.
    pub(super) url: Cow<'q, str>,
    /// How old a copy may be, and how long it is to be kept.
    pub(super) ttl: Option<Duration>,
    /// Names of request fields to pass to the origin.
    pub(super) pass: Option<Vec<HeaderName>>,
    /// Digest the object must have.
    pub(super) sha256: Option<Digest>,
    /// When to ask the origin although a copy is there.
    pub(super) revalidate: Option<Revalidate>,
}

/// When to ask the origin although a copy is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Revalidate {
    /// Every time.
    Always,
}

/// A value as it stands in the query.
#[derive(Default)]
struct Url<'q> {
    value: Cow<'q, str>,
    is_raw: bool,
}

impl<'q> Params<'q> {
    pub(super) fn parse(query: &'q str) -> Result<Self, Refusal> {
        let mut params = Self::default();
        let mut url = Url::default();
        let mut ttl = None;
        let mut digests = Digests::default();
        for pair in query.split('&') {
            let (name, encoded) = pair.split_once('=').unwrap_or((pair, ""));
            match &*decoded_name(name) {
                "url" => url = Url { value: encoded.into(), is_raw: encoded.contains("://") },
                "ttl" => ttl = Some(encoded),
                "passheaders" => params.pass = Some(parse_names(&value("passheaders", encoded)?)?),
                "sha256" => digests.add(&value("sha256", encoded)?)?,
                "revalidate" => params.revalidate = Some(parse_revalidate(&value("revalidate", encoded)?)?),
                _ if url.is_raw => url.continue_with(pair),
                _ => {}
            }
        }
        params.sha256 = digests.0;
        params.ttl = ttl.map(|encoded| parse_ttl(&value("ttl", encoded)?)).transpose()?;
        params.url = url.decoded()?;
        Ok(params)
    }
}

impl<'q> Url<'q> {
    fn continue_with(&mut self, pair: &str) {
        let value = self.value.to_mut();
        value.push('&');
        value.push_str(pair);
    }

    fn decoded(self) -> Result<Cow<'q, str>, Refusal> {
        if !self.is_raw {
            return text("url", self.value, Plus::Space);
        }
        // A decoded `#` would cut a pasted URL, whose fragment, if it had one, never came this far.
        let raw =
            if self.value.contains("%23") { self.value.replace("%23", "%2523").into() } else { self.value };
        text("url", raw, Plus::Literal)
    }
}

/// A name, decoded; what is not UTF-8 is no name of ours.
fn decoded_name(name: &str) -> Cow<'_, str> {
    if name.contains('%') { decode(name, Plus::Space).unwrap_or(name.into()) } else { name.into() }
}

fn value<'v>(name: &'static str, encoded: &'v str) -> Result<Cow<'v, str>, Refusal> {
    text(name, encoded.into(), Plus::Space)
}

fn text<'v>(name: &'static str, encoded: Cow<'v, str>, plus: Plus) -> Result<Cow<'v, str>, Refusal> {
    let decoded = match encoded {
        Cow::Borrowed(encoded) => decode(encoded, plus),
        Cow::Owned(encoded) => decode(&encoded, plus).map(|text| text.into_owned().into()),
    };
    decoded.map_err(|_| bad(name, "is not UTF-8 after percent-decoding; encode it once, as UTF-8"))
}

/// KissCache's grammar: a whole number and one of `d`, `h`, `m`, `s`; blanks and a plus around the number pass.
pub(crate) fn parse_ttl(text: &str) -> Result<Duration, Refusal> {
    let form = "give a whole number above 0 with one unit of d (days), h (hours), m (minutes) or s (seconds), \
                such as ttl=10d";
    let text = text.trim();
    let number = text.trim_end_matches(char::is_alphabetic);
    let unit = match &text[number.len()..] {
        "d" => DAY,
        "h" => HOUR,
        "m" => MINUTE,
        "s" => 1,
        "" if text.is_empty() => return Err(bad("ttl", &format!("is empty; {form}"))),
        "" => return Err(bad("ttl", &format!("has no unit; {form}"))),
        unit => {
            let unit: String = unit.chars().take(LONGEST_QUOTE).collect();
            return Err(bad("ttl", &format!("has the unknown unit `{unit}`; {form}")));
        }
    };
    let number = number.trim();
    let digits = number.strip_prefix('+').unwrap_or(number);
    if number.starts_with('-') {
        return Err(bad("ttl", &format!("is negative; {form}")));
    }
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad("ttl", &format!("is not one number with one unit; {form}")));
    }
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match seconds.map(Duration::from_secs) {
        Some(Duration::ZERO) => Err(bad("ttl", &format!("is zero; {form}, or revalidate=always"))),
        Some(ttl) if ttl <= LONGEST_TTL => Ok(ttl),
        _ => Err(bad("ttl", "is longer than 100 years; give at most 36500d")),
    }
}

fn parse_names(text: &str) -> Result<Vec<HeaderName>, Refusal> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let problem = "holds something that is no field name; give names separated by commas";
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("passheaders", problem))
        })
        .collect()
}

fn parse_revalidate(text: &str) -> Result<Revalidate, Refusal> {
    if text.trim() == "always" {
        return Ok(Revalidate::Always);
    }
    Err(bad("revalidate", "knows one value only: revalidate=always, which asks the origin every time"))
}

/// Every `sha256` given so far, which must be one and the same.
#[derive(Default)]
struct Digests(Option<Digest>);

impl Digests {
    fn add(&mut self, text: &str) -> Result<(), Refusal> {
        let problem = "is not 64 hexadecimal digits; give the SHA-256 of the object, as sha256sum prints it";
        let digest = text.trim().parse().map_err(|_| bad("sha256", problem))?;
        match self.0.replace(digest) {
            Some(other) if other != digest => {
                Err(bad("sha256", "is given twice with different values; give one"))
            }
            _ => Ok(()),
        }
    }
}

/// 400 for a parameter; the reason is the parameter's own.
fn bad(name: &'static str, problem: &str) -> Refusal {
    let reason = match name {
        "url" => "url_invalid",
        "ttl" => "ttl_invalid",
        "passheaders" => "passheaders_invalid",
        "sha256" => "sha256_invalid",
        _ => "revalidate_invalid",
    };
    Refusal::bad_request(reason, format!("the parameter {name} {problem}"))
}

#[cfg(test)]
mod tests;
