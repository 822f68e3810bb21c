//! A [`Head`] as bytes and back, for the store's log: every field in order, byte for byte, in about 10 bytes a field.
//!
//! ```text
//! version 1 | confirmed | validated_at ms | initial_age ms | keep_until s | stale_for s | number of fields | fields
//! version 2 | what follows | as version 1, from `confirmed` on | those that follow, in this order:
//!             status (1) | freshness (2) | selecting (4): key, names | variants (8) | purged softly (16): nothing
//! field:  name = place in NAMES + 1, or 0, length, bytes    value = payload * 4 + form, bytes
//! form:   0 text, payload is its length    1 payload is a place in VALUES    2 payload is a time, written as a date
//! ```
//!
//! Numbers are LEB128. Pure; trusts nothing it reads. Invariants: what was written once is read by every later version:
//! [`NAMES`] and [`VALUES`] only grow at their ends, and a form that means something else gets a version of its own.

use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use protocols::http::date;

use super::{Confirmation, Facts, Head};
use crate::exchange::{Selecting, Variants};
use crate::policy::Freshness;
use crate::{NamedBy, Timestamp, varint};

/// An object with status 200 and nothing that RFC 9111 asks for.
const PLAIN: u8 = 1;
const VERSION: u8 = 2;

/// What follows in version 2.
const STATUS: u8 = 1;
const FRESHNESS: u8 = 2;
const SELECTING: u8 = 4;
const VARIANTS: u8 = 8;
const MARKED: u8 = 16;
/// Only for requests to origins that the operator has named.
const FOR_OPERATOR: u8 = 32;

/// Forms of a value.
const TEXT: u64 = 0;
const KNOWN: u64 = 1;
const DATE: u64 = 2;

/// Fewest bytes of a field.
const LEAST_FIELD: u64 = 2;

/// Field names that get a number. Only to be added to at the end.
const NAMES: &[&str] = &[
    "accept-ranges",
    "content-type",
    "date",
    "etag",
    "last-modified",
    "cache-control",
    "expires",
    "server",
    "vary",
    "content-encoding",
    "content-disposition",
    "content-language",
    "content-location",
    "content-md5",
    "link",
    "pragma",
    "age",
    "access-control-allow-origin",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-expose-headers",
    "access-control-allow-credentials",
    "access-control-max-age",
    "cross-origin-resource-policy",
    "timing-allow-origin",
    "referrer-policy",
    "permissions-policy",
    "x-xss-protection",
    "x-robots-tag",
    "x-powered-by",
    "x-served-by",
    "x-timer",
    "x-varnish",
    "x-request-id",
    "server-timing",
    "cdn-cache-control",
    "surrogate-control",
    "surrogate-key",
    "cache-tag",
    "xkey",
    "digest",
    "x-amz-id-2",
    "x-amz-request-id",
    "x-amz-version-id",
    "x-amz-server-side-encryption",
    "x-amz-storage-class",
    "x-amz-meta-sha256",
    "x-amz-cf-id",
    "x-amz-cf-pop",
    "x-goog-generation",
    "x-goog-metageneration",
    "x-goog-hash",
    "x-goog-stored-content-length",
    "x-goog-stored-content-encoding",
    "x-goog-storage-class",
    "x-guploader-uploadid",
    "x-ms-request-id",
    "x-ms-version",
    "x-ms-blob-type",
    "x-ms-lease-status",
    "cf-ray",
    "cf-cache-status",
    "x-github-request-id",
    "x-fastly-request-id",
    "x-artifactory-id",
    "x-artifactory-filename",
    "x-checksum-md5",
    "x-checksum-sha1",
    "x-checksum-sha256",
    "x-linked-etag",
    "x-linked-size",
    "docker-content-digest",
    "docker-distribution-api-version",
];

/// Values that get a number. Only to be added to at the end.
const VALUES: &[&str] = &[
    "bytes",
    "application/octet-stream",
    "application/gzip",
    "application/x-gzip",
    "application/zip",
    "application/json",
    "application/xml",
    "application/x-xz",
    "application/x-bzip2",
    "application/zstd",
    "application/x-tar",
    "application/x-rpm",
    "application/x-redhat-package-manager",
    "application/x-debian-package",
    "application/vnd.debian.binary-package",
    "application/pgp-signature",
    "application/pgp-encrypted",
    "application/x-iso9660-image",
    "application/java-archive",
    "application/pdf",
    "binary/octet-stream",
    "text/plain",
    "text/plain; charset=utf-8",
    "text/plain;charset=utf-8",
    "text/html",
    "text/html; charset=utf-8",
    "text/html;charset=UTF-8",
    "text/xml",
    "text/css",
    "text/javascript",
    "image/png",
    "image/jpeg",
    "nginx",
    "Apache",
    "openresty",
    "cloudflare",
    "AmazonS3",
    "ECS",
    "UploadServer",
    "GitHub.com",
    "Accept-Encoding",
    "accept-encoding",
    "Accept-Encoding, Origin",
    "Origin",
    "*",
    "no-cache",
    "no-store",
    "public",
    "private",
    "max-age=0",
    "max-age=300",
    "max-age=3600",
    "max-age=86400",
    "max-age=604800",
    "max-age=31536000",
    "public, max-age=3600",
    "public, max-age=86400",
    "public, max-age=31536000",
    "public, max-age=31536000, immutable",
    "max-age=31536000, immutable",
    "no-cache, no-store, must-revalidate",
    "gzip",
    "br",
    "zstd",
    "identity",
    "en",
    "-1",
    "0",
    "attachment",
    "inline",
    "true",
    "same-origin",
    "cross-origin",
    "STANDARD",
    "AES256",
    "1",
];

/// Appends the head.
pub(super) fn encode(head: &Head, into: &mut Vec<u8>) {
    let facts = head.facts();
    let follows = follows(&facts);
    if follows == 0 {
        into.push(PLAIN);
    } else {
        into.extend([VERSION, follows]);
    }
    into.push(match facts.confirmed {
        Confirmation::Sent => 0,
        Confirmation::NotModified => 1,
        Confirmation::Continued => 2,
    });
    varint::put(facts.validated_at.0, into);
    varint::put(u64::try_from(facts.initial_age.as_millis()).unwrap_or(u64::MAX), into);
    varint::put(facts.keep_until, into);
    varint::put(facts.stale_for, into);
    varint::put((head.headers.len() + head.of_site.len()) as u64, into);
    for (name, value) in head.headers.iter().chain(&head.of_site) {
        put_name(name.as_str(), into);
        put_value(value.as_bytes(), into);
    }
    if follows & STATUS != 0 {
        varint::put(u64::from(facts.status.as_u16()), into);
    }
    if let Some(freshness) = &facts.freshness {
        freshness.encode(into);
    }
    if let Some(selecting) = &facts.selecting {
        selecting.encode(into);
    }
    if let Some(variants) = &facts.variants {
        variants.encode(into);
    }
}

fn follows(facts: &Facts) -> u8 {
    let flag = |is_there: bool, flag| if is_there { flag } else { 0 };
    flag(facts.status != StatusCode::OK, STATUS)
        | flag(facts.freshness.is_some(), FRESHNESS)
        | flag(facts.selecting.is_some(), SELECTING)
        | flag(facts.variants.is_some(), VARIANTS)
        | flag(facts.is_marked, MARKED)
        | flag(facts.reach == NamedBy::Operator, FOR_OPERATOR)
}

/// The head that was encoded so; `None` when the bytes make no sense or come from a later version.
pub(super) fn decode(bytes: &[u8]) -> Option<Head> {
    // One piece of memory for all values, and none of the caller's.
    let mut input = Input(Bytes::copy_from_slice(bytes));
    let follows = match input.byte()? {
        PLAIN => 0,
        VERSION => input.byte()?,
        _ => return None,
    };
    let confirmed = match input.byte()? {
        0 => Confirmation::Sent,
        1 => Confirmation::NotModified,
        2 => Confirmation::Continued,
        _ => return None,
    };
    let mut facts = Facts {
        status: StatusCode::OK,
        freshness: None,
        selecting: None,
        variants: None,
        confirmed,
        validated_at: Timestamp(input.number()?),
        initial_age: Duration::from_millis(input.number()?),
        keep_until: input.number()?,
        stale_for: input.number()?,
        is_marked: follows & MARKED != 0,
        reach: if follows & FOR_OPERATOR == 0 { NamedBy::Client } else { NamedBy::Operator },
    };
    let count = input.number()?;
    if count > input.0.len() as u64 / LEAST_FIELD {
        return None;
    }
    let mut headers = HeaderMap::try_with_capacity(usize::try_from(count).ok()?).ok()?;
    for _ in 0..count {
        let name = input.name()?;
        headers.try_append(name, input.value()?).ok()?;
    }
    if follows & STATUS != 0 {
        facts.status = StatusCode::from_u16(u16::try_from(input.number()?).ok()?).ok()?;
    }
    let rest = &mut &input.0[..];
    if follows & FRESHNESS != 0 {
        facts.freshness = Some(Freshness::decode(rest)?);
    }
    if follows & SELECTING != 0 {
        facts.selecting = Some(Selecting::decode(rest)?);
    }
    if follows & VARIANTS != 0 {
        facts.variants = Some(Box::new(Variants::decode(rest)?));
    }
    rest.is_empty().then(|| Head::new(headers, facts))
}

fn put_name(name: &str, into: &mut Vec<u8>) {
    match NAMES.iter().position(|known| *known == name) {
        Some(place) => varint::put(place as u64 + 1, into),
        None => {
            varint::put(0, into);
            varint::put(name.len() as u64, into);
            into.extend_from_slice(name.as_bytes());
        }
    }
}

fn put_value(value: &[u8], into: &mut Vec<u8>) {
    let mut put = |payload: u64, form: u64| varint::put(payload << 2 | form, into);
    if let Some(place) = VALUES.iter().position(|known| known.as_bytes() == value) {
        return put(place as u64, KNOWN);
    }
    if let Some(seconds) = as_date(value) {
        return put(seconds, DATE);
    }
    put(value.len() as u64, TEXT);
    into.extend_from_slice(value);
}

/// The time that a date names, if the date is written exactly as we write it.
fn as_date(value: &[u8]) -> Option<u64> {
    date::parse(value).filter(|seconds| date::format(*seconds).as_bytes() == value)
}

/// What is left to be read.
struct Input(Bytes);

impl Input {
    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn take(&mut self, length: u64) -> Option<Bytes> {
        let length = usize::try_from(length).ok().filter(|length| *length <= self.0.len())?;
        Some(self.0.split_to(length))
    }

    fn number(&mut self) -> Option<u64> {
        let mut rest = &self.0[..];
        let number = varint::take(&mut rest)?;
        let read = self.0.len() - rest.len();
        self.0.advance(read);
        Some(number)
    }

    fn name(&mut self) -> Option<HeaderName> {
        match self.number()? {
            0 => {
                let length = self.number()?;
                HeaderName::from_bytes(&self.take(length)?).ok()
            }
            place => {
                let name = NAMES.get(usize::try_from(place - 1).ok()?)?;
                Some(HeaderName::from_static(name))
            }
        }
    }

    fn value(&mut self) -> Option<HeaderValue> {
        let lead = self.number()?;
        let payload = lead >> 2;
        match lead & 3 {
            TEXT => HeaderValue::from_maybe_shared(self.take(payload)?).ok(),
            KNOWN => {
                let value = VALUES.get(usize::try_from(payload).ok()?)?;
                Some(HeaderValue::from_static(value))
            }
            DATE => (payload <= date::MAX).then(|| date::header_value(payload)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
