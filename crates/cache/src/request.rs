//! [`Request`]: what a door asks of the cache; [`Target`]: what the request is for.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use protocols::http::conditional::Conditions;
use protocols::http::range::RangeSet;
use protocols::http::url::CanonicalUrl;
use store::{Digest, Key};
use url::Url;

use crate::head::own;

/// Identity of what is asked for: canonical URL plus the fields that make variants. Computed once per URL by a door.
#[derive(Clone, Debug)]
pub struct Target {
    /// Keyed hash of canonical URL and credentials.
    pub key: Key,
    /// Canonical URL: no userinfo, no fragment.
    pub url: Url,
    /// The URL for people: secrets in the query masked.
    pub name: Arc<str>,
    /// Fields forwarded to the origin on the client's behalf; part of the key, never stored in clear.
    pub credentials: HeaderMap,
}

/// Both methods a cached object answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Head and body.
    Get,
    /// Head only; still fills.
    Head,
}

/// What a door asks of the cache.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked for.
    pub target: Arc<Target>,
    /// GET or HEAD.
    pub method: Method,
    /// The client's preconditions (RFC 9110 section 13).
    pub conditions: Conditions,
    /// The client's `Range`, when it is a valid byte range (RFC 9110 section 14).
    pub range: Option<RangeSet>,
    /// Oldest copy this request accepts without asking the origin: time since the origin last confirmed it.
    pub max_age: Duration,
    /// How long this request wants the object kept; the longest wish wins.
    pub keep: Duration,
    /// Digest the client demands (`sha256=`).
    pub expected: Option<Digest>,
    /// What becomes of the request when the store cannot take the object.
    pub when_full: WhenFull,
}

/// What becomes of a request whose object the store cannot take: it has no room, the object is larger than all of it,
/// or its disk does not work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The object is streamed from the origin to the client, uncached.
    #[default]
    Stream,
    /// There is none.
    Refuse,
}

/// Name and value of a field passed through to the origin.
pub type PassedField = (HeaderName, HeaderValue);

impl Target {
    /// Computes key and name. `passed` fields become part of the key, and so does basic authorization from
    /// the URL, which a passed `Authorization` replaces.
    pub fn new(url: CanonicalUrl, passed: Vec<PassedField>, hasher: &KeyHasher) -> Self {
        let mut fields = passed;
        if let Some(authorization) = url.authorization
            && fields.iter().all(|(name, _)| name != AUTHORIZATION)
        {
            fields.push((AUTHORIZATION, authorization));
        }
        fields.sort_by(|(name, value), (other_name, other_value)| {
            (name.as_str(), value.as_bytes()).cmp(&(other_name.as_str(), other_value.as_bytes()))
        });
        let key = hasher.key(url.url.as_str(), &fields);
        let mut credentials = HeaderMap::with_capacity(fields.len());
        for (name, value) in fields {
            let mut value = own(&value);
            value.set_sensitive(true);
            credentials.append(name, value);
        }
        Self { key, url: url.url, name: url.display, credentials }
    }
}

/// Keyed 128-bit hash of canonical requests (BLAKE3, keyed mode, first 16 bytes).
#[derive(Clone)]
pub struct KeyHasher {
    secret: [u8; 32],
}

impl KeyHasher {
    /// A hasher with the store's secret, so that nobody outside can aim for collisions.
    pub const fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// Every part goes in with its length before it: no two different requests give the same input.
    fn key(&self, url: &str, fields: &[PassedField]) -> Key {
        let mut hash = blake3::Hasher::new_keyed(&self.secret);
        let mut part = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(url.as_bytes());
        for (name, value) in fields {
            part(name.as_str().as_bytes());
            part(value.as_bytes());
        }
        let mut key = [0; 16];
        key.copy_from_slice(&hash.finalize().as_bytes()[..16]);
        Key::new(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher() -> KeyHasher {
        KeyHasher::new([7; 32])
    }

    fn canonical(url: &str) -> CanonicalUrl {
        CanonicalUrl { url: Url::parse(url).expect("a URL"), authorization: None, display: Arc::from(url) }
    }

    fn key(url: &str, passed: &[(&'static str, &'static str)]) -> Key {
        target(url, passed).key
    }

    fn target(url: &str, passed: &[(&'static str, &'static str)]) -> Target {
        let passed = passed
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        Target::new(canonical(url), passed, &hasher())
    }

    // 4c 17-20
    #[test]
    fn host_port_scheme_path_and_query_order_make_different_keys() {
        let urls = [
            "http://a.example/f",
            "https://a.example/f",
            "http://b.example/f",
            "http://a.example:81/f",
            "http://a.example/F",
            "http://a.example/f?x=1&y=2",
            "http://a.example/f?y=2&x=1",
            "http://a.example/f%2f",
        ];
        let keys: std::collections::HashSet<_> = urls.iter().map(|url| key(url, &[])).collect();
        assert_eq!(keys.len(), urls.len());
    }

    // 4c 21
    #[test]
    fn parts_that_join_to_the_same_text_make_different_keys() {
        let url = "http://a.example/";
        assert_ne!(key(url, &[("x-a", "bc")]), key(url, &[("x-ab", "c")]));
        assert_ne!(key(url, &[("x-a", "1"), ("x-b", "2")]), key(url, &[("x-a", "1x-b2")]));
        assert_ne!(key("http://a.example/x-a", &[]), key(url, &[("x-a", "")]));
    }

    #[test]
    fn order_of_passed_fields_does_not_matter() {
        let url = "http://a.example/";
        assert_eq!(key(url, &[("x-a", "1"), ("x-b", "2")]), key(url, &[("x-b", "2"), ("x-a", "1")]));
    }

    #[test]
    fn the_secret_is_part_of_the_key() {
        let other = KeyHasher::new([8; 32]);
        let url = "http://a.example/";
        assert_ne!(Target::new(canonical(url), Vec::new(), &other).key, key(url, &[]));
    }

    #[test]
    fn credentials_do_not_keep_the_buffer_they_came_in() {
        let buffer = bytes::Bytes::from(vec![b'a'; 64 * 1024]);
        let value = HeaderValue::from_maybe_shared(buffer.slice(..3)).expect("a value");
        let passed = vec![(HeaderName::from_static("x-a"), value)];
        let target = Target::new(canonical("http://a.example/"), passed, &hasher());
        assert_eq!(target.credentials["x-a"], "aaa");
        assert!(buffer.is_unique());
    }

    #[test]
    fn credentials_are_sensitive_and_basic_authorization_counts() {
        let mut url = canonical("http://a.example/");
        url.authorization = Some(HeaderValue::from_static("Basic dTpw"));
        let with = Target::new(url.clone(), Vec::new(), &hasher());
        assert_ne!(with.key, key("http://a.example/", &[]));
        let value = with.credentials.get(AUTHORIZATION).expect("authorization is sent");
        assert!(value.is_sensitive());
        assert!(!format!("{with:?}").contains("dTpw"), "credentials never show");

        let passed = vec![(AUTHORIZATION, HeaderValue::from_static("Bearer t"))];
        let replaced = Target::new(url, passed, &hasher());
        assert_eq!(replaced.credentials.get_all(AUTHORIZATION).iter().count(), 1);
        assert_eq!(replaced.credentials[AUTHORIZATION], "Bearer t");
    }
}
