//! [`HttpOrigin`]: fetches from http and https origins.
//!
//! ```text
//! fetch ─► host's turn ─► connection ─► request ─► head ─┬─ redirect ─► (again, with the next URL)
//!                         (guarded)                      └─ final ────► body that holds the turn until it ends
//! ```
//!
//! Owns the connection pool, the per-host limits and the metrics. One call is one attempt. Dropping the future or
//! the body drops the exchange. It deliberately does not retry, cache, decode content or keep cookies.

mod body;
mod client;
mod limits;
mod redirect;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use cache::{Error, Origin, OriginRequest, OriginResponse};
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION, USER_AGENT, VIA};
use http::{HeaderMap, HeaderValue, Version};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use prometheus_client::registry::Registry;
use protocols::http::{hop, via};
use url::Url;

use self::body::ExchangeBody;
use self::client::Client;
use self::limits::Limits;
use self::redirect::{Route, Step};
use crate::connect::Endpoint;
use crate::connect::connector::Connector;
use crate::connect::proxy::Scheme;
use crate::connect::resolve::{self, Resolve};
use crate::metrics::Metrics;
use crate::{Guard, InvalidSettings, Settings};

/// A redirect's own body is read to its end when it is at most this long and there soon, so that the connection
/// can be kept; else the connection is given up.
const MAX_DRAINED: u64 = 64 * 1024;
const MAX_DRAIN_TIME: Duration = Duration::from_millis(500);

/// Fetches over HTTP. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct HttpOrigin(Arc<Inner>);

struct Inner {
    settings: Arc<Settings>,
    client: Client,
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
    /// The fields of every request.
    fields: HeaderMap,
}

impl HttpOrigin {
    /// An origin with the resolver that the settings choose. Quick: opens no connection, reads no system
    /// certificates. Metrics go to `registry` under `standpipe_origin_…`.
    ///
    /// # Errors
    /// A setting that can not work: a CA file that can not be read, a name that is no field value.
    pub fn new(settings: Settings, guard: Guard, registry: &mut Registry) -> Result<Self, InvalidSettings> {
        let resolver = resolve::choose(&settings);
        Self::with_resolver(settings, guard, registry, resolver)
    }

    /// The same with a resolver of the caller's.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_resolver(
        settings: Settings,
        guard: Guard,
        registry: &mut Registry,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, InvalidSettings> {
        let fields = own_fields(&settings)?;
        let settings = Arc::new(settings);
        let metrics = Metrics::register(registry);
        let connector = Connector::new(Arc::clone(&settings), guard, resolver, Arc::clone(&metrics))?;
        let client = Client::new(connector, Arc::clone(&settings), Arc::clone(&metrics));
        let limits = Limits::new(Arc::clone(&settings), Arc::clone(&metrics));
        Ok(Self(Arc::new(Inner { settings, client, limits, metrics, fields })))
    }
}

impl Origin for HttpOrigin {
    fn fetch(&self, request: OriginRequest) -> BoxFuture<'static, Result<OriginResponse, Error>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let result = inner.fetch(request).await;
            inner.metrics.request(&result);
            result
        })
    }
}

impl Inner {
    async fn fetch(&self, request: OriginRequest) -> Result<OriginResponse, Error> {
        let mut route = Route::new(request.url, request.credentials);
        loop {
            let endpoint = Endpoint::of_url(route.url())?;
            let permit = self.limits.acquire(&endpoint).await?;
            let fields = self.fields_for(&request.headers, route.credentials(), route.url(), &endpoint);
            let response = self.client.get(route.url(), &endpoint, fields).await?;
            let (mut head, body) = response.into_parts();
            let step = route.follow(head.status, &head.headers, &self.settings)?;
            let metrics = Arc::clone(&self.metrics);
            let body = ExchangeBody::new(body, head.version, &self.settings, endpoint, metrics, permit);
            if step == Step::Moved {
                self.metrics.redirects.inc();
                drain(body).await;
                continue;
            }
            hop::remove(&mut head.headers);
            let (url, body) = (route.url().clone(), Box::pin(body));
            return Ok(OriginResponse { status: head.status, headers: head.headers, body, url });
        }
    }

    /// Our fields, then the request's, which replace ours of the same name, then `Via`, which adds to a chain.
    fn fields_for(
        &self,
        request: &HeaderMap,
        credentials: &HeaderMap,
        url: &Url,
        endpoint: &Endpoint,
    ) -> HeaderMap {
        let mut fields = request.clone();
        for name in credentials.keys() {
            fields.remove(name);
        }
        fields.extend(credentials.iter().map(|(name, value)| (name.clone(), value.clone())));
        // hyper writes these from the URL and the (empty) body.
        hop::remove(&mut fields);
        fields.remove(HOST);
        fields.remove(CONTENT_LENGTH);
        for (name, value) in &self.fields {
            if name == VIA {
                fields.append(name, value.clone());
            } else {
                fields.entry(name).or_insert_with(|| value.clone());
            }
        }
        if let Some(authorization) = self.proxy_authorization(url, endpoint) {
            fields.insert(PROXY_AUTHORIZATION, authorization);
        }
        fields
    }

    /// For a proxy that gets the whole request; one that only tunnels has had it with CONNECT.
    fn proxy_authorization(&self, url: &Url, endpoint: &Endpoint) -> Option<HeaderValue> {
        if url.scheme() != "http" {
            return None;
        }
        self.settings.proxies.proxy_for(Scheme::Http, endpoint)?.authorization.clone()
    }
}

fn own_fields(settings: &Settings) -> Result<HeaderMap, InvalidSettings> {
    let user_agent = HeaderValue::from_str(&settings.user_agent).map_err(|_| {
        let detail =
            format!("the user agent `{}` has characters that no field may have", settings.user_agent);
        InvalidSettings::new(detail)
    })?;
    if settings.pseudonym.is_empty() {
        return Err(InvalidSettings::new("the pseudonym is empty; Via needs a name"));
    }
    let mut fields = HeaderMap::new();
    fields.insert(USER_AGENT, user_agent);
    fields.insert(ACCEPT, HeaderValue::from_static("*/*"));
    fields.insert(VIA, via::member(Version::HTTP_11, &settings.pseudonym));
    Ok(fields)
}

async fn drain<B>(mut body: ExchangeBody<B>)
where
    ExchangeBody<B>: http_body::Body<Data = bytes::Bytes, Error = Error> + Unpin,
{
    let mut left = MAX_DRAINED;
    if body.size_hint().lower() > left {
        return;
    }
    let to_the_end = async {
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, bytes::Bytes::len) as u64;
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Late is the same as too long: the connection goes.
    let _late = tokio::time::timeout(MAX_DRAIN_TIME, to_the_end).await;
}
