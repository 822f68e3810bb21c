//! [`Head`]: what is known about one URL besides its bytes, and the rules for what is kept of an origin's fields.
//!
//! A head is made once, when the origin answers, and holds everything a hit needs in the form in which it is
//! sent; a hit parses and formats nothing but its age. Heads never change, except for the time until which the
//! object is wanted, which only grows, and the body's end, which is noted when it is first seen: from then on a hit
//! takes no lock of the body. Knows no clock.

mod codec;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{
    ACCEPT_RANGES, AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LOCATION, DATE, ETAG, EXPIRES,
    LAST_MODIFIED, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use protocols::http::conditional::Validators;
use protocols::http::{age, date, digest, hop};
use store::{Body, Digest};

use crate::Timestamp;

/// What is known about one URL besides its bytes.
pub struct Head {
    /// Fields of the origin that are kept, in order, and `Accept-Ranges`: ready to be sent with the whole object.
    pub headers: HeaderMap,
    /// When the origin last confirmed the object.
    pub validated_at: Timestamp,
    /// `Age` at that moment (RFC 9111 4.2.3).
    pub initial_age: Duration,
    /// How the origin last confirmed the object.
    pub confirmed: Confirmation,
    /// `ETag` and `Last-Modified`, parsed.
    pub validators: Validators,
    /// The fields of a 304 (RFC 9110 section 15.4.5).
    pub(crate) not_modified: HeaderMap,
    /// The body's end, once somebody has seen it.
    complete: OnceLock<Complete>,
    /// When the longest wish of a request to keep it ends, in whole seconds since 1970, rounded up.
    keep_until: AtomicU64,
    /// How long after that it may still stand in for an origin that is down, in whole seconds, rounded up.
    stale_for: u64,
}

/// What a head consists of besides its fields.
struct Facts {
    validated_at: Timestamp,
    initial_age: Duration,
    confirmed: Confirmation,
    /// Seconds since 1970.
    keep_until: u64,
    /// Seconds.
    stale_for: u64,
}

/// How long an object is wanted.
#[derive(Clone, Copy)]
pub(crate) struct Wish {
    /// When the longest wish to keep it ends.
    pub(crate) keep_until: Timestamp,
    /// How long after that it may still stand in for an origin that is down.
    pub(crate) stale_for: Duration,
}

/// How the origin last confirmed an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// It sent the object (200).
    Sent,
    /// It said that the stored one is still right (304).
    NotModified,
    /// It sent the rest of what an interrupted fill had left (206).
    Continued,
}

/// What is known of a complete body; it stays so.
pub(crate) struct Complete {
    pub(crate) digest: Digest,
    /// `Repr-Digest` (RFC 9530).
    pub(crate) repr_digest: HeaderValue,
}

/// An origin's answer as far as a head is made from it.
#[derive(Clone, Copy)]
pub(crate) struct Answered<'a> {
    /// Its fields.
    pub(crate) headers: &'a HeaderMap,
    /// When the request left.
    pub(crate) asked_at: Timestamp,
    /// When the answer came.
    pub(crate) answered_at: Timestamp,
}

impl Head {
    /// The head of an object that the origin just began to send.
    pub(crate) fn sent(answered: Answered<'_>, wish: Wish) -> Self {
        let mut headers = HeaderMap::with_capacity(answered.headers.len() + 8);
        keep_fields(answered.headers, &mut headers, |_| true);
        Self::made(headers, answered, Confirmation::Sent, wish)
    }

    /// This head after the origin confirmed it with a 304: each field of the answer replaces the stored ones of
    /// that name (RFC 9111 section 3.2), but those that belong to the stored bytes stay.
    pub(crate) fn confirmed(&self, answered: Answered<'_>, wish: Wish) -> Self {
        self.updated(answered, Confirmation::NotModified, wish)
    }

    /// This head, of a part, after the origin sent the rest with a 206: as with a 304 (RFC 9111 section 3.4).
    pub(crate) fn continued(&self, answered: Answered<'_>, wish: Wish) -> Self {
        self.updated(answered, Confirmation::Continued, wish)
    }

    fn updated(&self, answered: Answered<'_>, confirmed: Confirmation, wish: Wish) -> Self {
        let mut headers = self.headers.clone();
        let belongs_to_bytes = |name: &HeaderName| name == CONTENT_ENCODING || name == "content-range";
        for name in answered.headers.keys().filter(|name| is_kept(name) && !belongs_to_bytes(name)) {
            headers.remove(name);
        }
        keep_fields(answered.headers, &mut headers, |name| !belongs_to_bytes(name));
        let keep_until = wish.keep_until.max(self.keep_until());
        Self::made(headers, answered, confirmed, Wish { keep_until, ..wish })
    }

    fn made(mut headers: HeaderMap, answered: Answered<'_>, confirmed: Confirmation, wish: Wish) -> Self {
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let facts = Facts {
            validated_at: answered.answered_at,
            initial_age: initial_age(answered),
            confirmed,
            keep_until: whole_seconds(wish.keep_until.0),
            stale_for: whole_seconds(u64::try_from(wish.stale_for.as_millis()).unwrap_or(u64::MAX)),
        };
        Self::new(headers, facts)
    }

    fn new(headers: HeaderMap, facts: Facts) -> Self {
        let mut not_modified = HeaderMap::new();
        for name in [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, LAST_MODIFIED, VARY] {
            for value in headers.get_all(&name) {
                not_modified.append(&name, value.clone());
            }
        }
        Self {
            validators: Validators::from_headers(&headers),
            validated_at: facts.validated_at,
            initial_age: facts.initial_age,
            confirmed: facts.confirmed,
            not_modified,
            complete: OnceLock::new(),
            keep_until: AtomicU64::new(facts.keep_until),
            stale_for: facts.stale_for,
            headers,
        }
    }

    fn facts(&self) -> Facts {
        Facts {
            validated_at: self.validated_at,
            initial_age: self.initial_age,
            confirmed: self.confirmed,
            keep_until: self.keep_until.load(Ordering::Relaxed),
            stale_for: self.stale_for,
        }
    }

    /// Appends the head in the form of the store's log.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        codec::encode(self, into);
    }

    /// The head that was encoded so; `None` when the bytes make no sense.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        codec::decode(bytes)
    }

    /// When nobody wants the object any more, not even in place of an origin that is down: seconds since 1970. Goes by
    /// the setting of the time when the head was made.
    pub(crate) fn deadline(&self) -> u32 {
        let Facts { keep_until, stale_for, .. } = self.facts();
        u32::try_from(keep_until.saturating_add(stale_for)).unwrap_or(u32::MAX)
    }

    /// Time since the origin confirmed the object to us: what a request's `max_age` is compared with.
    pub fn since_validated(&self, now: Timestamp) -> Duration {
        now.since(self.validated_at)
    }

    /// The `Age` of the object (RFC 9111 section 4.2.3).
    pub fn age(&self, now: Timestamp) -> Duration {
        self.initial_age.saturating_add(self.since_validated(now))
    }

    /// When the longest wish of a request to keep it ends, rounded up to seconds.
    pub fn keep_until(&self) -> Timestamp {
        Timestamp(self.keep_until.load(Ordering::Relaxed).saturating_mul(1000))
    }

    /// Notes one more wish. Writes to shared memory at most once per second of wishes.
    pub(crate) fn keep(&self, until: Timestamp) {
        let until = whole_seconds(until.0);
        if self.keep_until.load(Ordering::Relaxed) < until {
            self.keep_until.fetch_max(until, Ordering::Relaxed);
        }
    }

    /// What is known of this head's body when it is complete; `None` while it grows or has failed.
    pub(crate) fn complete(&self, body: &Body) -> Option<&Complete> {
        self.complete.get().or_else(|| {
            let digest = body.digest()?;
            let repr_digest = digest::header_value(digest.as_bytes());
            Some(self.complete.get_or_init(|| Complete { digest, repr_digest }))
        })
    }
}

fn whole_seconds(milliseconds: u64) -> u64 {
    milliseconds.div_ceil(1000)
}

/// RFC 9111 section 4.2.3, `corrected_initial_age`.
fn initial_age(answered: Answered<'_>) -> Duration {
    let Answered { headers, asked_at, answered_at } = answered;
    let corrected = Duration::from_secs(age::age(headers)) + answered_at.since(asked_at);
    let date = headers.get(DATE).and_then(|value| date::parse(value.as_bytes()));
    let apparent = date.map_or(0, |date| answered_at.seconds().saturating_sub(date));
    corrected.max(Duration::from_secs(apparent))
}

fn keep_fields(from: &HeaderMap, into: &mut HeaderMap, also: impl Fn(&HeaderName) -> bool) {
    for (name, value) in from.iter().filter(|(name, _)| is_kept(name) && also(name)) {
        into.append(name, own(value));
    }
}

/// The same value in memory of its own: as it came it is a piece of the connection's read buffer, all of which it
/// would keep for as long as the object is stored.
pub(crate) fn own(value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone())
}

/// Whether a field of the origin describes the object (kept) or the connection, this server or the origin's
/// site (dropped): the fetch door serves objects of many sites under one name, where a cookie or a policy of
/// one site must not act on another's.
fn is_kept(name: &HeaderName) -> bool {
    if hop::FIELDS.contains(name) {
        return false;
    }
    let name = name.as_str();
    !DROPPED.contains(&name) && !DROPPED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

const DROPPED: &[&str] = &[
    // Ours to say.
    "accept-ranges",
    "age",
    "cache-status",
    "content-length",
    "content-range",
    "repr-digest",
    "via",
    "x-content-type-options",
    // Digest of one message's content, not of the object (RFC 9530 section 2): wrong for a range.
    "content-digest",
    // Act on a site or a connection.
    "alt-svc",
    "clear-site-data",
    "nel",
    "public-key-pins",
    "public-key-pins-report-only",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
    "www-authenticate",
    "x-frame-options",
    // Commands to a web server in front of us: with them an origin could fetch that server's files.
    "x-lighttpd-send-file",
    "x-sendfile",
];

const DROPPED_PREFIXES: &[&str] = &["content-security-policy", "proxy-", "x-accel-", "x-cache"];

/// Writes `Age`.
pub(crate) fn insert_age(headers: &mut HeaderMap, span: Duration) {
    headers.insert(AGE, HeaderValue::from(span.as_secs().min(age::MAX)));
}
