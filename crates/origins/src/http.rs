//! [`HttpOrigin`]: fetches from http and https origins, passes requests on to them, and opens tunnels.
//!
//! ```text
//! fetch ─► host's turn ─► connection ─► request ─► head ─┬─ redirect ─► (again, with the next URL)
//!                         (guarded)     (content)        └─ final ────► body that holds the turn until it ends
//! open ──► host's turn ─► connection ─► bytes in both directions, which hold the turn until they are dropped
//! ```
//!
//! Owns the connection pools, the per-host limits and the metrics. One call is one attempt. Dropping the future or
//! the body drops the exchange. Redirects are followed for the server's own requests without content alone. It
//! deliberately does not retry, cache, decode content or keep cookies.

mod body;
mod client;
mod content;
mod fields;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod limits;
mod redirect;
#[cfg(test)]
mod tests;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use cache::{
    Error, Kind, Manners, NamedBy, Origin, OriginRequest, OriginResponse, Purpose, RequestBody, Tunnel,
    Tunnels,
};
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, response};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use prometheus_client::registry::Registry;
use protocols::http::hop;
use url::Url;

use self::body::{ExchangeBody, Held};
use self::client::{Client, Outgoing};
use self::content::Content;
use self::fields::{Fields, Given};
use self::limits::Limits;
use self::redirect::{Route, Step};
use self::tunnel::Passage;
use crate::connect::Endpoint;
use crate::connect::connector::Connector;
use crate::connect::link::Reach;
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
    /// For origins that the operator has named. Its connections are not lent to requests that clients aim.
    operators: Client,
    /// The way for tunnels; the clients have their own.
    connector: Connector,
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
    fields: Fields,
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
        let settings = Arc::new(settings);
        let fields = Fields::new(Arc::clone(&settings))?;
        let metrics = Metrics::register(registry);
        let connector = Connector::new(Arc::clone(&settings), guard, resolver, Arc::clone(&metrics))?;
        let client = Client::new(connector.clone(), Arc::clone(&settings), Arc::clone(&metrics));
        let operators = Client::new(connector.for_operator(), Arc::clone(&settings), Arc::clone(&metrics));
        let limits = Limits::new(Arc::clone(&settings), Arc::clone(&metrics));
        Ok(Self(Arc::new(Inner { settings, client, operators, connector, limits, metrics, fields })))
    }
}

impl Origin for HttpOrigin {
    fn fetch(
        &self,
        request: OriginRequest,
        content: Option<RequestBody>,
    ) -> BoxFuture<'static, Result<OriginResponse, Error>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let result = match (&request.purpose, &content) {
                (Purpose::Object, None) if request.method.is_safe() => inner.follow(&request).await,
                _ => inner.pass(&request, content).await,
            };
            inner.metrics.request(&result);
            result
        })
    }
}

impl Tunnels for HttpOrigin {
    fn open(&self, host: &str, port: u16) -> BoxFuture<'static, Result<Tunnel, Error>> {
        let inner = Arc::clone(&self.0);
        let endpoint = Endpoint::of_host(host, port);
        Box::pin(async move {
            let result = match endpoint {
                Ok(endpoint) => inner.tunnel(&endpoint).await,
                Err(error) => Err(error),
            };
            inner.metrics.tunnel(&result);
            result
        })
    }
}

impl Inner {
    /// Asks for an object, wherever it has moved to.
    async fn follow(&self, request: &OriginRequest) -> Result<OriginResponse, Error> {
        let mut route = Route::new(request.url.clone(), request.credentials.clone());
        loop {
            let (head, body) = self.ask(request, route.url(), route.credentials(), None).await?;
            if route.follow(head.status, &head.headers, &self.settings)? == Step::Arrived {
                return Ok(answer(head, body, route.url().clone()));
            }
            self.metrics.redirects.inc();
            drain(body).await;
        }
    }

    /// Asks once.
    async fn pass(
        &self,
        request: &OriginRequest,
        content: Option<RequestBody>,
    ) -> Result<OriginResponse, Error> {
        if request.method == Method::CONNECT {
            return Err(Error::new(Kind::UrlInvalid, "CONNECT asks for a tunnel, not for an answer"));
        }
        let (head, body) = self.ask(request, &request.url, &request.credentials, content).await?;
        Ok(answer(head, body, request.url.clone()))
    }

    async fn ask(
        &self,
        request: &OriginRequest,
        url: &Url,
        credentials: &HeaderMap,
        content: Option<RequestBody>,
    ) -> Result<(response::Parts, ExchangeBody<Incoming>), Error> {
        let endpoint = Endpoint::of_url(url)?;
        let permit = self.limits.acquire(&endpoint).await?;
        let given = Given { headers: &request.headers, credentials, url, endpoint: &endpoint };
        let (fields, interim) = match &request.purpose {
            Purpose::Object => (self.fields.of_object(&given), None),
            Purpose::Exchange(manners) => {
                (self.fields.of_exchange(&given, manners), manners.interim.as_ref())
            }
        };
        let outgoing = Outgoing { method: &request.method, url, endpoint: &endpoint, fields, interim };
        let (content, sending) = Content::new(content);
        let (head, body) =
            self.client(&request.purpose).send(outgoing, content, &sending).await?.into_parts();
        sending.answered(head.status);
        let (metrics, held) = (Arc::clone(&self.metrics), Held::new(permit, sending));
        let body = ExchangeBody::new(body, head.version, &self.settings, endpoint, metrics, held);
        Ok((head, body))
    }

    fn client(&self, purpose: &Purpose) -> &Client {
        match purpose {
            Purpose::Exchange(Manners { named_by: NamedBy::Operator, .. }) => &self.operators,
            _ => &self.client,
        }
    }

    async fn tunnel(&self, endpoint: &Endpoint) -> Result<Tunnel, Error> {
        let permit = self.limits.acquire(endpoint).await?;
        Ok(Box::pin(Passage::new(self.connector.tunnel(endpoint).await?, permit)))
    }
}

fn answer(mut head: response::Parts, body: ExchangeBody<Incoming>, url: Url) -> OriginResponse {
    hop::remove(&mut head.headers);
    let reach = head.extensions.get::<Reach>().map_or(NamedBy::Client, |reach| reach.0);
    OriginResponse { status: head.status, headers: head.headers, body: Box::pin(body), url, reach }
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
