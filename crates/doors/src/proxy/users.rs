//! [`Users`]: who may use the proxy, by `Proxy-Authorization: Basic` (RFC 7617).

use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::PROXY_AUTHORIZATION;
use subtle::ConstantTimeEq;

use crate::respond::Refusal;

/// Most users.
const MOST: usize = 1000;

/// Names and passwords; clones share them. Without any, nobody is asked.
#[derive(Clone, Default)]
pub struct Users(Arc<ArcSwap<List>>);

/// As they stand in the field, after the scheme.
type List = Vec<Box<[u8]>>;

/// A list of users is not written right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidUsers {
    /// One sentence, without the password.
    pub detail: String,
}

impl std::fmt::Display for InvalidUsers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for InvalidUsers {}

impl Users {
    /// Reads a list: a line `name:password` each; empty lines and those that begin with `#` say nothing.
    pub fn parse(text: &str) -> Result<Self, InvalidUsers> {
        let mut credentials = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once(':') {
                Some((name, password)) if !name.is_empty() && !password.is_empty() => {
                    credentials.push(STANDARD.encode(line).into_bytes().into_boxed_slice());
                }
                _ => {
                    let detail = format!("line {} is not `name:password`", number + 1);
                    return Err(InvalidUsers { detail });
                }
            }
        }
        if credentials.len() > MOST {
            return Err(InvalidUsers { detail: format!("there are more than {MOST} users") });
        }
        Ok(Self(Arc::new(ArcSwap::from_pointee(credentials))))
    }

    /// Puts others in their place, for requests from now on.
    pub fn replace(&self, others: &Self) {
        self.0.store(others.0.load_full());
    }

    /// 407 unless the request names a user and the right password.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let credentials = self.0.load();
        if credentials.is_empty() {
            return Ok(());
        }
        let given = headers.get(PROXY_AUTHORIZATION).map(http::HeaderValue::as_bytes).and_then(basic);
        // All are compared, so that the time tells nothing.
        let is_known = given.is_some_and(|given| {
            credentials.iter().fold(false, |found, known| found | bool::from(known.ct_eq(given)))
        });
        if is_known {
            return Ok(());
        }
        let detail = "this proxy wants a name and a password; give it those its operator has told you";
        Err(Refusal::proxy_authentication(detail))
    }
}

/// What stands after the scheme.
fn basic(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    scheme.eq_ignore_ascii_case(b"basic ").then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, StatusCode};

    use super::*;

    fn headers(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(PROXY_AUTHORIZATION, HeaderValue::from_static(value))])
    }

    #[test]
    fn only_users_with_their_password_pass() {
        let users = Users::parse("# ours\n\nann:open:sesame\nbob:x\n").expect("right");
        assert!(users.check(&headers("Basic YW5uOm9wZW46c2VzYW1l")).is_ok());
        assert!(users.check(&headers("basic  Ym9iOng=")).is_ok());
        for value in ["Basic Ym9iOnk=", "Bearer Ym9iOng=", "Basic", "", "Basic Ym9iOng=x"] {
            let refusal = users.check(&headers(value)).expect_err(value);
            assert_eq!(refusal.status, StatusCode::PROXY_AUTHENTICATION_REQUIRED, "{value}");
        }
        assert!(users.check(&HeaderMap::new()).is_err());
    }

    #[test]
    fn without_users_nobody_is_asked() {
        assert!(Users::parse("# none\n").is_ok_and(|users| users.check(&HeaderMap::new()).is_ok()));
    }

    #[test]
    fn a_list_that_is_none_is_refused_by_line_and_without_its_secrets() {
        let problem = |text| Users::parse(text).map(drop).expect_err("refused").detail;
        assert_eq!(problem("a:b\nsecret\n"), "line 2 is not `name:password`");
        assert!(Users::parse(":x").is_err() && Users::parse("x:").is_err());
    }
}
