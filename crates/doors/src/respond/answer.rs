//! An answer of the cache becomes a response. This runs for every hit: values are made beforehand where they can be.

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use cache::{Answer, Outcome};
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use protocols::http::cache_status::{CacheStatus, Collapsed, Forward, Source, Stored};

use super::{NOSNIFF, Reply, Responder};
use crate::wire::Body;

/// What comes from an origin may be looked at but does nothing in the name of this server's site.
static SANDBOX: HeaderValue =
    HeaderValue::from_static("sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'");

/// Fields added here and by the wire.
const OURS: usize = 10;

/// What a door adds to an answer.
pub struct Dress<'a> {
    /// The door that answers.
    pub door: &'static str,
    /// What was asked for, secrets masked.
    pub name: &'a Arc<str>,
    /// Under which name the object is saved.
    pub disposition: &'a Disposition,
}

/// Under which name the client is told to save the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// What the origin says.
    Origin,
    /// This, unless the origin says something.
    Default(HeaderValue),
    /// This, whatever the origin says.
    Asked(HeaderValue),
}

impl Responder {
    /// The response for an answer of the cache.
    pub fn answer(&self, answer: Answer, dress: &Dress<'_>) -> Reply {
        let cache_status = self.cache_status(&answer, source);
        let Answer { status, mut headers, payload, outcome, reason, .. } = answer;
        headers.reserve(OURS);
        headers.append(header::VIA, self.0.via.clone());
        headers.append(header::CACHE_STATUS, cache_status);
        self.put_x_cache(&mut headers, outcome);
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF.clone());
        headers.insert(header::CONTENT_SECURITY_POLICY, SANDBOX.clone());
        if status.is_success() {
            match dress.disposition {
                Disposition::Origin => {}
                Disposition::Default(value) => {
                    headers.entry(header::CONTENT_DISPOSITION).or_insert_with(|| value.clone());
                }
                Disposition::Asked(value) => {
                    headers.insert(header::CONTENT_DISPOSITION, value.clone());
                }
            }
        }
        // A 304 would have to declare the length that the 200 has (RFC 9110 section 8.6), which is not at hand.
        if status != StatusCode::NOT_MODIFIED
            && let Some(length) = payload.length()
        {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        let mut response = Response::new(Body::Payload(payload));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Reply {
            response,
            door: dress.door,
            outcome: Some(outcome),
            reason,
            name: Some(Arc::clone(dress.name)),
        }
    }

    /// The response for an exchange: the origin's own page, to which only what says how it came is added.
    pub(crate) fn exchange(&self, answer: Answer, door: &'static str, name: &Arc<str>) -> Reply {
        let cache_status = self.cache_status(&answer, exchange_source);
        let Answer { status, mut headers, payload, outcome, reason, .. } = answer;
        headers.reserve(OURS);
        headers.append(header::VIA, self.0.via.clone());
        headers.append(header::CACHE_STATUS, cache_status);
        self.put_x_cache(&mut headers, outcome);
        if !matches!(status, StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT)
            && let Some(length) = payload.length()
        {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        let mut response = Response::new(Body::Payload(payload));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Reply { response, door, outcome: Some(outcome), reason, name: Some(Arc::clone(name)) }
    }

    /// What OPTIONS is told by a door where its way ends (RFC 9110 section 9.3.7).
    pub(crate) fn options(&self, door: &'static str) -> Reply {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::NO_CONTENT;
        let methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
        response.headers_mut().insert(header::VIA, self.0.via.clone());
        Reply { response, door, outcome: None, reason: "options", name: None }
    }

    fn cache_status(&self, answer: &Answer, source: fn(&Answer) -> Source) -> HeaderValue {
        if answer.outcome == Outcome::Hit {
            return self.hit_status(answer);
        }
        let status = CacheStatus {
            cache: &self.0.name,
            source: source(answer),
            // What is not stored has no time left.
            ttl: (answer.outcome != Outcome::Bypass).then_some(answer.ttl_seconds),
            key: None,
            detail: Some(answer.reason),
        };
        status.to_header()
    }

    /// The same for a hit, in one pass.
    fn hit_status(&self, answer: &Answer) -> HeaderValue {
        let mut text = String::with_capacity(self.0.hit.len() + 48);
        text.push_str(&self.0.hit);
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", answer.ttl_seconds);
        text.push_str("; detail=");
        text.push_str(answer.reason);
        HeaderValue::from_maybe_shared(Bytes::from(text))
            .expect("a token, digits and a slug are visible ASCII")
    }
}

fn source(answer: &Answer) -> Source {
    let reason = match (answer.outcome, answer.reason) {
        (Outcome::Hit | Outcome::Negative | Outcome::Error, _) => return Source::Cache,
        (Outcome::Revalidated | Outcome::Stale, _) | (Outcome::Miss, "expired" | "purged") => Forward::Stale,
        (Outcome::Miss, "digest_differs") => Forward::Miss,
        (Outcome::Miss | Outcome::Follow, _) => Forward::UriMiss,
        (Outcome::Partial, _) => Forward::Partial,
        (Outcome::Bypass, _) => Forward::Bypass,
    };
    Source::Forwarded {
        reason,
        status: answer.origin_status.filter(|status| *status != answer.status).map(|status| status.as_u16()),
        stored: match answer.outcome {
            Outcome::Miss => Stored::Yes,
            Outcome::Bypass => Stored::Unable,
            _ => Stored::No,
        },
        collapsed: if answer.outcome == Outcome::Follow { Collapsed::Yes } else { Collapsed::No },
    }
}

/// Where the answer of an exchange came from, by the reason that the cache gives (RFC 9211 section 2).
fn exchange_source(answer: &Answer) -> Source {
    let reason = match (answer.outcome, answer.reason) {
        (Outcome::Hit | Outcome::Negative | Outcome::Error, _) => return Source::Cache,
        // Nobody was asked for this request.
        (Outcome::Stale, "stale_while_revalidate" | "request_max_stale") => return Source::Cache,
        (_, "method") => Forward::Method,
        (_, "rule_bypass") => Forward::Bypass,
        (_, reason) if reason.starts_with("request_") => Forward::Request,
        (Outcome::Revalidated | Outcome::Stale, _) => Forward::Stale,
        (_, "stale" | "no_cache" | "must_revalidate" | "proxy_revalidate" | "s_maxage") => Forward::Stale,
        (Outcome::Partial, _) => Forward::Partial,
        (_, "absent" | "growing" | "collapsed") => Forward::UriMiss,
        (_, "variants" | "other_variant") => Forward::VaryMiss,
        _ => Forward::Miss,
    };
    Source::Forwarded {
        reason,
        status: answer.origin_status.filter(|status| *status != answer.status).map(|status| status.as_u16()),
        stored: if answer.outcome == Outcome::Miss { Stored::Yes } else { Stored::No },
        collapsed: if answer.outcome == Outcome::Follow { Collapsed::Yes } else { Collapsed::No },
    }
}
