//! [`Fields`]: the fields of a request to an origin.
//!
//! Owns the constant ones. Pure. Invariants: nothing that belongs to one connection is passed on (RFC 9110 section
//! 7.6.1), and our member ends every chain of `Via`. Framing is not its matter: the client writes it with the content.

use std::sync::Arc;

use cache::Manners;
use http::header::{ACCEPT, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHORIZATION, USER_AGENT, VIA};
use http::{HeaderMap, HeaderValue, Version};
use protocols::http::{hop, via};
use url::Url;

use crate::connect::Endpoint;
use crate::connect::proxy::Scheme;
use crate::{InvalidSettings, Settings};

/// Makes the fields of requests.
pub(crate) struct Fields {
    settings: Arc<Settings>,
    user_agent: HeaderValue,
    via: HeaderValue,
}

/// The fields that a request brings, and where it goes.
pub(crate) struct Given<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) credentials: &'a HeaderMap,
    pub(crate) url: &'a Url,
    pub(crate) endpoint: &'a Endpoint,
}

impl Fields {
    pub(crate) fn new(settings: Arc<Settings>) -> Result<Self, InvalidSettings> {
        let user_agent = HeaderValue::from_str(&settings.user_agent).map_err(|_| {
            let detail =
                format!("the user agent `{}` has characters that no field may have", settings.user_agent);
            InvalidSettings::new(detail)
        })?;
        if settings.pseudonym.is_empty() {
            return Err(InvalidSettings::new("the pseudonym is empty; Via needs a name"));
        }
        let via = via::member(Version::HTTP_11, &settings.pseudonym);
        Ok(Self { settings, user_agent, via })
    }

    /// For a request of the server's own: its fields replace ours of the same name, but for `Via`, which adds to a
    /// chain.
    pub(crate) fn of_object(&self, given: &Given<'_>) -> HeaderMap {
        let mut fields = given.headers.clone();
        for name in given.credentials.keys() {
            fields.remove(name);
        }
        fields.extend(given.credentials.iter().map(|(name, value)| (name.clone(), value.clone())));
        hop::remove(&mut fields);
        // hyper writes these from the URL and the content.
        fields.remove(HOST);
        fields.remove(CONTENT_LENGTH);
        fields.entry(USER_AGENT).or_insert_with(|| self.user_agent.clone());
        fields.entry(ACCEPT).or_insert_with(|| HeaderValue::from_static("*/*"));
        self.add_ours(&mut fields, given);
        fields
    }

    /// For a client's request: what it brings, in its order, and `Via`. We name ourselves nowhere else: a proxy is
    /// no user agent, so none is added for a client that does not say its own.
    pub(crate) fn of_exchange(&self, given: &Given<'_>, manners: &Manners) -> HeaderMap {
        let all = || {
            let headers = given.headers.iter();
            headers.filter(|(name, _)| !given.credentials.contains_key(*name)).chain(given.credentials)
        };
        let mut end_to_end: HeaderMap = all().map(|(name, value)| (name.clone(), value.clone())).collect();
        hop::remove(&mut end_to_end);
        // Content is sent without waiting for leave, so nothing is expected (RFC 9110 section 10.1.1).
        let ours = [HOST, CONTENT_LENGTH, EXPECT];

        // Removing from a map moves its last field up; what stays is copied instead.
        let mut fields = HeaderMap::with_capacity(end_to_end.len() + 4);
        if let Some(host) = manners.host.as_ref().filter(|host| !is_host_of(host, given.url)) {
            fields.insert(HOST, host.clone());
        }
        for (name, value) in all().filter(|(name, _)| end_to_end.contains_key(*name)) {
            if !ours.contains(name) {
                fields.append(name.clone(), value.clone());
            }
        }
        self.add_ours(&mut fields, given);
        fields
    }

    fn add_ours(&self, fields: &mut HeaderMap, given: &Given<'_>) {
        fields.append(VIA, self.via.clone());
        if let Some(authorization) = self.proxy_authorization(given) {
            fields.insert(PROXY_AUTHORIZATION, authorization);
        }
    }

    /// For a proxy that gets the whole request; one that only tunnels has had it with CONNECT.
    fn proxy_authorization(&self, given: &Given<'_>) -> Option<HeaderValue> {
        if given.url.scheme() != "http" {
            return None;
        }
        self.settings.proxies.proxy_for(Scheme::Http, given.endpoint)?.authorization.clone()
    }
}

/// Whether a `Host` is what is sent for the URL anyway.
fn is_host_of(host: &HeaderValue, url: &Url) -> bool {
    let name = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => host.as_bytes() == format!("{name}:{port}").as_bytes(),
        None => host.as_bytes() == name.as_bytes(),
    }
}
