//! [`Head`]: what is known about one URL besides its bytes, and the rules for what is kept of an origin's fields.
//!
//! A head is made once, when the origin answers, and holds everything a hit needs in the form in which it is
//! sent; a hit parses and formats nothing but its age. It serves both kinds of doors: the fetch door, which takes objects
//! for its own time and without the fields of their site, and sites and proxies, which go by RFC 9111 and take all fields.
//! Heads never change, except for the time until which the
//! object is wanted, which only grows, the mark of a purge, and the body's end, which is noted when it is first seen: from then on a hit
//! takes no lock of the body. Knows no clock.

mod codec;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::header::{
    ACCEPT_RANGES, AGE, CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, LAST_MODIFIED, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use protocols::http::conditional::Validators;
use protocols::http::{age, date, digest, hop};
use store::{Body, Digest, Key};

use crate::exchange::{Selecting, Variants};
use crate::policy::{Freshness, fields};
use crate::{NamedBy, Timestamp};

/// What is known about one URL besides its bytes.
pub struct Head {
    /// Status of the answer that brought the bytes; the fetch door knows 200 only.
    pub status: StatusCode,
    /// Fields of the origin that describe the object, in order, and `Accept-Ranges`: ready to be sent with all of it.
    pub headers: HeaderMap,
    /// All other end-to-end fields, which only clients of the origin's own site or of the proxy get.
    pub(crate) of_site: HeaderMap,
    /// What RFC 9111 makes of it; `None`: only the fetch door may use it.
    pub(crate) freshness: Option<Freshness>,
    /// Which requests it answers, when that depends on their fields.
    pub(crate) selecting: Option<Selecting>,
    /// There is no object under this key, but several, each under a key of its own.
    pub(crate) variants: Option<Box<Variants>>,
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
    /// Whether the object was purged softly since the origin confirmed it.
    is_marked: AtomicBool,
    /// Who may be given it.
    reach: NamedBy,
}

/// What a head consists of besides its fields.
struct Facts {
    status: StatusCode,
    freshness: Option<Freshness>,
    selecting: Option<Selecting>,
    variants: Option<Box<Variants>>,
    validated_at: Timestamp,
    initial_age: Duration,
    confirmed: Confirmation,
    /// Seconds since 1970.
    keep_until: u64,
    /// Seconds.
    stale_for: u64,
    is_marked: bool,
    reach: NamedBy,
}

/// How long an object is wanted.
#[derive(Clone, Copy)]
pub(crate) struct Wish {
    /// When the longest wish to keep it ends.
    pub(crate) keep_until: Timestamp,
    /// How long after that it may still stand in for an origin that is down.
    pub(crate) stale_for: Duration,
}

impl Wish {
    /// For an object that is wanted from `now` on for its lifetime.
    pub(crate) fn lasting(freshness: &Freshness, now: Timestamp, stale_for: Duration) -> Self {
        let lifetime = Duration::from_secs(u64::from(freshness.lifetime));
        Self { keep_until: now.after(lifetime), stale_for }
    }
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

/// What RFC 9111 makes of an answer.
#[derive(Default)]
pub(crate) struct Terms {
    pub(crate) freshness: Option<Freshness>,
    pub(crate) selecting: Option<Selecting>,
}

/// An origin's answer as far as a head is made from it.
#[derive(Clone, Copy)]
pub(crate) struct Answered<'a> {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its fields.
    pub(crate) headers: &'a HeaderMap,
    /// When the request left.
    pub(crate) asked_at: Timestamp,
    /// When the answer came.
    pub(crate) answered_at: Timestamp,
    /// Who has to name the origin for it to be reached there.
    pub(crate) reach: NamedBy,
}

impl Head {
    /// The head of an object that the origin just began to send. `fields` are those to be kept.
    pub(crate) fn sent(answered: Answered<'_>, fields: HeaderMap, terms: Terms, wish: Wish) -> Self {
        Self::made(fields, answered, Confirmation::Sent, terms, wish)
    }

    /// The fields of this head after the origin confirmed it with a 304 or sent more of it with a 206 (RFC 9111 sections
    /// 3.2 and 3.4).
    pub(crate) fn fields_after(&self, answer: &HeaderMap) -> HeaderMap {
        fields::stored(&fields::updated(&self.all_fields(), answer), &fields::Excluded::default())
    }

    /// This head after the origin confirmed it, with the fields of [`fields_after`](Self::fields_after).
    pub(crate) fn confirmed(
        &self,
        answered: Answered<'_>,
        fields: HeaderMap,
        freshness: Option<Freshness>,
        wish: Wish,
    ) -> Self {
        self.updated(answered, fields, Confirmation::NotModified, freshness, wish)
    }

    /// This head, of a part, after the origin sent the rest with a 206.
    pub(crate) fn continued(
        &self,
        answered: Answered<'_>,
        fields: HeaderMap,
        freshness: Option<Freshness>,
        wish: Wish,
    ) -> Self {
        self.updated(answered, fields, Confirmation::Continued, freshness, wish)
    }

    fn updated(
        &self,
        answered: Answered<'_>,
        fields: HeaderMap,
        confirmed: Confirmation,
        freshness: Option<Freshness>,
        wish: Wish,
    ) -> Self {
        let keep_until = wish.keep_until.max(self.keep_until());
        let answered = Answered { status: self.status, ..answered };
        let terms = Terms { freshness, selecting: self.selecting.clone() };
        Self::made(fields, answered, confirmed, terms, Wish { keep_until, ..wish })
    }

    /// The head of a key that has variants in place of an object.
    pub(crate) fn of_variants(variants: Variants, now: Timestamp, wish: Wish) -> Self {
        let headers = HeaderMap::new();
        let answered = Answered {
            status: StatusCode::OK,
            headers: &headers,
            asked_at: now,
            answered_at: now,
            reach: NamedBy::Client,
        };
        let mut head = Self::made(HeaderMap::new(), answered, Confirmation::Sent, Terms::default(), wish);
        head.variants = Some(Box::new(variants));
        head
    }

    fn made(
        mut headers: HeaderMap,
        answered: Answered<'_>,
        confirmed: Confirmation,
        terms: Terms,
        wish: Wish,
    ) -> Self {
        // Whoever gets it later must be able to tell when it was made (RFC 9110 section 6.6.1).
        headers.entry(DATE).or_insert_with(|| date::header_value(answered.answered_at.seconds()));
        let facts = Facts {
            status: answered.status,
            freshness: terms.freshness,
            selecting: terms.selecting,
            variants: None,
            validated_at: answered.answered_at,
            initial_age: initial_age(answered),
            confirmed,
            keep_until: whole_seconds(wish.keep_until.0),
            stale_for: whole_seconds(u64::try_from(wish.stale_for.as_millis()).unwrap_or(u64::MAX)),
            is_marked: false,
            reach: answered.reach,
        };
        Self::new(headers, facts)
    }

    fn new(fields: HeaderMap, facts: Facts) -> Self {
        let (mut headers, mut of_site) = (HeaderMap::with_capacity(fields.len() + 8), HeaderMap::new());
        // Ours to say, whatever the origin says.
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        for (name, value) in fields.iter().filter(|(name, _)| *name != ACCEPT_RANGES) {
            let into = if is_of_object(name) { &mut headers } else { &mut of_site };
            into.append(name, value.clone());
        }
        let mut not_modified = HeaderMap::new();
        for name in [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, LAST_MODIFIED, VARY] {
            for value in headers.get_all(&name) {
                not_modified.append(&name, value.clone());
            }
        }
        Self {
            status: facts.status,
            validators: Validators::from_headers(&headers),
            validated_at: facts.validated_at,
            initial_age: facts.initial_age,
            confirmed: facts.confirmed,
            freshness: facts.freshness,
            selecting: facts.selecting,
            variants: facts.variants,
            not_modified,
            complete: OnceLock::new(),
            keep_until: AtomicU64::new(facts.keep_until),
            stale_for: facts.stale_for,
            is_marked: AtomicBool::new(facts.is_marked),
            reach: facts.reach,
            headers,
            of_site,
        }
    }

    fn facts(&self) -> Facts {
        Facts {
            status: self.status,
            freshness: self.freshness.clone(),
            selecting: self.selecting.clone(),
            variants: self.variants.clone(),
            validated_at: self.validated_at,
            initial_age: self.initial_age,
            confirmed: self.confirmed,
            keep_until: self.keep_until.load(Ordering::Relaxed),
            stale_for: self.stale_for,
            is_marked: self.is_marked(),
            reach: self.reach,
        }
    }

    /// Every field that is kept.
    pub(crate) fn all_fields(&self) -> HeaderMap {
        let mut all = self.headers.clone();
        for (name, value) in &self.of_site {
            all.append(name, value.clone());
        }
        all
    }

    /// Whether the fetch door may give it away.
    pub(crate) fn is_object(&self) -> bool {
        self.status == StatusCode::OK && self.variants.is_none() && self.reach == NamedBy::Client
    }

    /// Whether requests to origins named so may have it.
    pub(crate) fn is_open_to(&self, named_by: NamedBy) -> bool {
        self.reach == NamedBy::Client || named_by == NamedBy::Operator
    }

    /// Whether it answers requests for the URL with these fields.
    pub(crate) fn answers(&self, of_url: Key, fields: &HeaderMap) -> bool {
        self.variants.is_none()
            && self.selecting.as_ref().is_none_or(|selecting| selecting.matches(of_url, fields))
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

    /// The origin has to confirm the object before its next use, whatever its age: that head is another one.
    pub(crate) fn mark(&self) {
        self.is_marked.store(true, Ordering::Relaxed);
    }

    /// Whether the object was purged softly since the origin confirmed it.
    pub fn is_marked(&self) -> bool {
        self.is_marked.load(Ordering::Relaxed)
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
    let Answered { headers, asked_at, answered_at, .. } = answered;
    let corrected = Duration::from_secs(age::age(headers)) + answered_at.since(asked_at);
    let date = headers.get(DATE).and_then(|value| date::parse(value.as_bytes()));
    let apparent = date.map_or(0, |date| answered_at.seconds().saturating_sub(date));
    corrected.max(Duration::from_secs(apparent))
}

/// The same value in memory of its own: as it came it is a piece of the connection's read buffer, all of which it
/// would keep for as long as the object is stored.
pub(crate) fn own(value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone())
}

/// Whether a field of the origin describes the object, or the connection, this server or the origin's site: the fetch
/// door serves objects of many sites under one name, where a cookie or a policy of one site must not act on another's.
fn is_of_object(name: &HeaderName) -> bool {
    if hop::FIELDS.contains(name) {
        return false;
    }
    let name = name.as_str();
    !OF_SITE.contains(&name) && !OF_SITE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

const OF_SITE: &[&str] = &[
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

const OF_SITE_PREFIXES: &[&str] = &["content-security-policy", "proxy-", "x-accel-", "x-cache"];

/// Writes `Age`.
pub(crate) fn insert_age(headers: &mut HeaderMap, span: Duration) {
    headers.insert(AGE, HeaderValue::from(span.as_secs().min(age::MAX)));
}
