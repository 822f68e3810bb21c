//! [`Fetch`]: what one request target asks for, checked and ready for the cache.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use cache::{Digest, KeyHasher, PassedField, Target};
use http::StatusCode;
use http::header::{HeaderMap, HeaderName};
use protocols::http::disposition;
use protocols::http::query::{Plus, decode};
use protocols::http::url::CanonicalUrl;

use super::params::{Params, Revalidate};
use super::pass::PassHeaders;
use super::routes::Route;
use crate::respond::{Disposition, Refusal};

/// What one request target asks for.
pub(super) struct Fetch {
    /// The object.
    pub(super) target: Arc<Target>,
    /// Oldest copy that is good enough.
    pub(super) max_age: Duration,
    /// How long the object is wanted.
    pub(super) keep: Duration,
    /// Digest the object must have.
    pub(super) expected: Option<Digest>,
    /// Under which name it is to be saved.
    pub(super) disposition: Disposition,
    /// Whether request fields or a password in the URL had a say: then this belongs to one request only.
    pub(super) is_personal: bool,
}

/// What turns a route into a [`Fetch`].
pub(super) struct Reader {
    pub(super) hasher: KeyHasher,
    pub(super) pass: PassHeaders,
    pub(super) default_ttl: Duration,
}

impl Reader {
    pub(super) fn read(&self, route: Route<'_>, headers: &HeaderMap) -> Result<Fetch, Refusal> {
        match route {
            Route::Query { filename, query } => self.read_query(filename, query, headers),
            Route::Verbatim(url) => {
                let target = self.target(url, self.pass.unnamed(), headers)?;
                let is_personal = !target.credentials.is_empty();
                Ok(Fetch {
                    target: Arc::new(target),
                    max_age: self.default_ttl,
                    keep: self.default_ttl,
                    expected: None,
                    disposition: Disposition::Origin,
                    is_personal,
                })
            }
            Route::Merged => Err(Refusal::bad_request(
                "url_invalid",
                "the URL in the path has lost a slash on its way; write two after the scheme, or use \
                 /api/v1/fetch?url=… with an encoded URL",
            )),
        }
    }

    fn read_query(&self, filename: Option<&str>, query: &str, headers: &HeaderMap) -> Result<Fetch, Refusal> {
        let params = Params::parse(query)?;
        let filename = filename.map(decode_filename).transpose()?;
        let target = self.target_of(&params, headers)?;
        let disposition = match filename {
            Some(name) => Disposition::Asked(disposition::attachment(&name)),
            None => default_disposition(&target),
        };
        let keep = params.ttl.unwrap_or(self.default_ttl);
        let max_age = match params.revalidate {
            Some(Revalidate::Always) => Duration::ZERO,
            None => keep,
        };
        let is_personal = params.pass.is_some() || !target.credentials.is_empty();
        Ok(Fetch {
            target: Arc::new(target),
            max_age,
            keep,
            expected: params.sha256,
            disposition,
            is_personal,
        })
    }

    /// The object that parameters name.
    pub(super) fn target_of(&self, params: &Params<'_>, headers: &HeaderMap) -> Result<Target, Refusal> {
        if params.url.is_empty() {
            let detail = "the parameter url is missing or empty; add url=https://host/path";
            return Err(Refusal::bad_request("url_missing", detail));
        }
        match &params.pass {
            None => self.target(&params.url, self.pass.unnamed(), headers),
            Some(names) => {
                self.pass.check(names)?;
                self.target(&params.url, names, headers)
            }
        }
    }

    fn target(&self, url: &str, pass: &[HeaderName], headers: &HeaderMap) -> Result<Target, Refusal> {
        if url.len() > CanonicalUrl::MAX_LENGTH {
            let detail = format!("the URL is longer than {} bytes; shorten it", CanonicalUrl::MAX_LENGTH);
            return Err(Refusal::new(StatusCode::URI_TOO_LONG, "url_too_long", detail));
        }
        let url =
            CanonicalUrl::parse(url).map_err(|error| Refusal::bad_request("url_invalid", error.detail))?;
        Ok(Target::new(url, passed(pass, headers), &self.hasher))
    }
}

/// The request's fields of these names; a name may stand twice, its values are passed once.
fn passed(names: &[HeaderName], headers: &HeaderMap) -> Vec<PassedField> {
    let mut fields = Vec::new();
    for (place, name) in names.iter().enumerate() {
        if !names[..place].contains(name) {
            fields.extend(headers.get_all(name).iter().map(|value| (name.clone(), value.clone())));
        }
    }
    fields
}

/// One path segment, decoded. A slash that was hidden in it makes it two, which no route has.
fn decode_filename(segment: &str) -> Result<Cow<'_, str>, Refusal> {
    let bad = |detail: &'static str| Refusal::bad_request("filename_invalid", detail);
    let name = decode(segment, Plus::Literal).map_err(|_| {
        bad("the file name in the path is not UTF-8 after percent-decoding; encode it as UTF-8")
    })?;
    if name.contains('/') {
        return Err(Refusal::no_route());
    }
    if name.chars().any(char::is_control) || disposition::safe_name(&name).is_none() {
        return Err(bad("the file name in the path is no name for a file; leave control characters out"));
    }
    Ok(name)
}

/// The last segment of the URL's path, as browsers and curl would name the file.
fn default_disposition(target: &Target) -> Disposition {
    match disposition::file_name(&target.url) {
        Some(name) => Disposition::Default(disposition::attachment(&name)),
        None => Disposition::Origin,
    }
}
