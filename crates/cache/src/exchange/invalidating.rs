//! What an exchange past the store means for what is stored: unsafe methods make it invalid (RFC 9111 section 4.4), the
//! answer to a HEAD freshens it or shows that it has changed (section 4.3.5).

use std::sync::Arc;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, StatusCode};
use protocols::http::conditional::Validators;
use protocols::http::url::CanonicalUrl;
use store::{Entry, Key};

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
        for url in policy::invalidated(exchange.method, &target.url, answered.status, answered.headers) {
            let key = if url == target.url {
                target.key
            } else if let Ok(url) = CanonicalUrl::parse(url.as_str()) {
                Target::new(url, Vec::new(), exchange.hasher).key
            } else {
                continue;
            };
            self.inner.metrics.invalidated.inc();
            self.remove_all(&key).await;
        }
    }

    /// Removes what is stored under a URL's key, all variants of it. Says whether there was anything.
    pub(crate) async fn remove_all(&self, key: &Key) -> bool {
        let entry = self.inner.reader.find_partial(key).await;
        if let Some(variants) = entry.as_ref().and_then(|entry| entry.head.variants.as_ref()) {
            for key in variants.keys() {
                self.inner.store.remove(key).await;
            }
        }
        self.inner.store.remove(key).await
    }

    async fn freshen(&self, exchange: &Exchange<'_>, answered: Answered<'_>) {
        if answered.status != StatusCode::OK {
            return;
        }
        let Some(entry) = self.place(exchange).await.entry else { return };
        if entry.head.freshness.is_none() || entry.head.complete(&entry.body).is_none() {
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
        let rule = &exchange.rule;
        let overrides = rule.overrides(entry.head.status, &merged);
        let Ok(storable) = policy::may_store(asked, after, &rule.policy, overrides) else {
            self.inner.store.remove_entry(&entry);
            return;
        };
        let fields = fields::stored(&merged, &storable.excluded);
        let lifetime = std::time::Duration::from_secs(u64::from(storable.freshness.lifetime));
        let keep_until = self.inner.clock.now().after(lifetime);
        let wish = Wish { keep_until, stale_for: rule.policy.stale_on_error };
        let head = entry.head.confirmed(answered, fields, Some(storable.freshness), wish);
        self.inner.store.replace_head(&entry, head);
    }
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
