//! [`Rule`]: what the operator wants of the exchanges that match it.
//!
//! Made by the configuration, chosen by a door before the cache is asked; what depends on the answer is chosen here.
//! Plain values without state.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, StatusCode};

use crate::WhenFull;
use crate::policy::{Answered, Asked, Overrides, Settings, Storable, Unstorable, may_store};

/// What the operator wants of some exchanges.
#[derive(Clone, Debug)]
pub struct Rule {
    /// For people: in `explain`, logs and refusals.
    pub name: Arc<str>,
    /// Limits of the policy (RFC 9111 leaves them to us).
    pub policy: Arc<Settings>,
    /// Wishes about answers of some statuses or types; the first that matches is taken.
    pub cases: Vec<Case>,
    /// Wishes about all other answers.
    pub overrides: Overrides,
    /// How a range of an object that is not there is fetched.
    pub range_fill: RangeFill,
    /// Request fields passed to the origin where the answer may be stored (`None`: all end-to-end fields but those by
    /// which a client could change the answer for others, see `exchange::unkeyed`).
    pub forward: Option<Vec<HeaderName>>,
    /// What becomes of a request whose object the store cannot take.
    pub when_full: WhenFull,
}

/// Wishes about some answers.
#[derive(Clone, Debug)]
pub struct Case {
    /// First and last status; empty: every one.
    pub statuses: Vec<(u16, u16)>,
    /// Media types like `text/html` or `image/*`, lower case; empty: every one.
    pub types: Vec<Box<str>>,
    /// What is wanted.
    pub overrides: Overrides,
}

/// How a range of an object that is not there is fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RangeFill {
    /// The pieces around the range, and nothing else.
    Pieces,
    /// The whole object.
    Whole,
    /// Pieces of what is long, the whole of what is not, and the rest of what has been asked for in large part.
    #[default]
    Auto,
}

impl Rule {
    /// A rule that wants nothing but what RFC 9111 says.
    pub fn plain(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            policy: Arc::default(),
            cases: Vec::new(),
            overrides: Overrides::default(),
            range_fill: RangeFill::default(),
            forward: None,
            when_full: WhenFull::default(),
        }
    }

    /// What is wanted of an answer.
    pub fn overrides(&self, status: StatusCode, headers: &HeaderMap) -> &Overrides {
        let case = self.cases.iter().find(|case| case.matches(status, headers));
        case.map_or(&self.overrides, |case| &case.overrides)
    }

    /// Whether an answer may be stored under this rule, and how.
    pub(crate) fn may_store(&self, asked: Asked<'_>, answered: Answered<'_>) -> Result<Storable, Unstorable> {
        may_store(asked, answered, &self.policy, self.overrides(answered.status, answered.headers))
    }
}

impl Case {
    fn matches(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let status = status.as_u16();
        let fits = self.statuses.iter().any(|(first, last)| (*first..=*last).contains(&status));
        (fits || self.statuses.is_empty()) && (self.types.is_empty() || self.has_type(headers))
    }

    fn has_type(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
            return false;
        };
        let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        self.types.iter().any(|wanted| match wanted.strip_suffix("/*") {
            Some(kind) => essence.split('/').next() == Some(kind),
            None => essence == **wanted,
        })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_first_case_that_fits_status_and_type_is_taken() {
        let wish = |ttl| Overrides { ttl: Some(ttl), ..Overrides::default() };
        let case = |statuses: &[(u16, u16)], types: &[&str], ttl| Case {
            statuses: statuses.to_vec(),
            types: types.iter().map(|text| Box::from(*text)).collect(),
            overrides: wish(ttl),
        };
        let mut rule = Rule::plain("r");
        rule.overrides = wish(0);
        rule.cases = vec![case(&[(400, 499)], &[], 1), case(&[(200, 200)], &["image/*", "text/css"], 2)];
        let ttl = |status: u16, kind: &'static str| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
            rule.overrides(StatusCode::from_u16(status).expect("a status"), &headers).ttl
        };
        assert_eq!(ttl(404, "image/png"), Some(1));
        assert_eq!(ttl(200, "Image/PNG; x=1"), Some(2));
        assert_eq!(ttl(200, "text/css"), Some(2));
        assert_eq!(ttl(200, "text/html"), Some(0));
        assert_eq!(ttl(301, "image/png"), Some(0));
    }
}
