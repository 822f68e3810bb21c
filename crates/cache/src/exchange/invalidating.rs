//! What an exchange past the store means for what is stored: unsafe methods make it invalid (RFC 9111 section 4.4), the
//! answer to a HEAD freshens it or shows that it has changed (section 4.3.5).

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_LOCATION, HOST, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use protocols::http::conditional::Validators;
use protocols::http::url::CanonicalUrl;
use store::Entry;

use super::Exchange;
use crate::head::{Answered, Wish};
use crate::policy::{self, fields};
use crate::{Cache, Http, Target};

impl Cache {
    pub(super) async fn after_pass(&self, exchange: &Exchange<'_>, answered: Answered<'_>) {
        match *exchange.method {
            Method::GET => {}
            Method::HEAD => self.freshen(exchange, answered).await,
            _ => self.invalidate(exchange, answered).await,
        }
    }

    async fn invalidate(&self, exchange: &Exchange<'_>, answered: Answered<'_>) {
        let target = exchange.target;
        let headers = as_targets(exchange, answered.headers);
        for url in policy::invalidated(exchange.method, &target.url, answered.status, &headers) {
            self.inner.metrics.invalidated.inc();
            if url == target.url {
                self.withdraw(target).await;
            } else if let Ok(url) = CanonicalUrl::parse(url.as_str()) {
                let kept = exchange.manners.host.iter().map(|host| (HOST, host.clone())).collect();
                self.withdraw(&Target::new(url, kept, exchange.hasher)).await;
            }
        }
    }

    /// Removes what is stored of a target, all variants of it, and what is on its way. Says whether there was anything.
    pub(crate) async fn withdraw(&self, target: &Target) -> bool {
        let (store, name) = (&self.inner.store, &target.name);
        let entry = self.inner.reader.find_partial(&target.key).await;
        if let Some(variants) = entry.as_ref().and_then(|entry| entry.head.variants.as_ref()) {
            for key in variants.keys() {
                store.withdraw(key, name).await;
            }
        }
        store.withdraw(&target.key, name).await
    }

    async fn freshen(&self, exchange: &Exchange<'_>, answered: Answered<'_>) {
        if answered.status != StatusCode::OK {
            return;
        }
        let Some(entry) = self.place(exchange).await.entry else { return };
        if !exchange.is_selected(&entry)
            || entry.head.freshness.is_none()
            || entry.head.complete(&entry.body).is_none()
        {
            return;
        }
        if !is_same(&entry, answered.headers) {
            self.inner.store.remove_entry(&entry);
            return;
        }
        let merged = fields::updated(&entry.head.all_fields(), answered.headers);
        let (method, url) = (&Method::GET, &exchange.target.url);
        let asked = policy::Asked { method, url, headers: exchange.headers };
        let after =
            policy::Answered { status: entry.head.status, headers: &merged, at: answered.answered_at };
        let storable = match exchange.rule.may_store(asked, after) {
            Ok(storable) => storable,
            // What one client says of its request is no reason to take the object from the others.
            Err(why) => {
                if why.is_said_by_the_answer() {
                    self.inner.store.remove_entry(&entry);
                }
                return;
            }
        };
        let fields = fields::stored(&merged, &storable.excluded);
        let stale_for = exchange.rule.policy.stale_on_error;
        let wish = Wish::lasting(&storable.freshness, self.inner.clock.now(), stale_for);
        let head = entry.head.confirmed(answered, fields, Some(storable.freshness), wish);
        self.inner.store.replace_head(&entry, head);
    }
}

/// Where the origin is told the client's `Host`, it names its URLs by that: those are the target's origin's.
fn as_targets<'a>(exchange: &Exchange<'_>, headers: &'a HeaderMap) -> Cow<'a, HeaderMap> {
    let named = exchange.manners.host.as_ref().and_then(|host| host.to_str().ok());
    let Some(named) = named else { return Cow::Borrowed(headers) };
    let ours = |line: &HeaderValue| {
        let (_, rest) = line.to_str().ok()?.split_once("://")?;
        let path = rest
            .get(..named.len())
            .filter(|host| host.eq_ignore_ascii_case(named))
            .map(|_| &rest[named.len()..])?;
        let is_whole = path.is_empty() || path.starts_with(['/', '?', '#']);
        let url = exchange.target.url.join(if path.starts_with('/') { path } else { "/" }).ok()?;
        HeaderValue::try_from(url.as_str()).ok().filter(|_| is_whole)
    };
    let mut headers = headers.clone();
    for name in [LOCATION, CONTENT_LOCATION] {
        for line in headers.get_all(&name).iter().filter_map(ours).collect::<Vec<_>>() {
            headers.append(&name, line);
        }
    }
    Cow::Owned(headers)
}

/// Whether the answer to a HEAD is about the stored object.
fn is_same(entry: &Arc<Entry<Http>>, headers: &HeaderMap) -> bool {
    let (answered, stored) = (Validators::from_headers(headers), &entry.head.validators);
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let has_length = declared.is_none() || declared == entry.body.length();
    let has_tag = match (&answered.etag, &stored.etag) {
        (Some(answered), Some(stored)) => answered.weak_eq(stored),
        (None, None) => true,
        _ => false,
    };
    has_length && has_tag && answered.last_modified == stored.last_modified
}
