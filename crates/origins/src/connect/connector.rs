//! [`Connector`]: makes new connections for hyper's pool, and for tunnels.
//!
//! Owns the TLS configuration and the resolver. Every connection goes to an address that the guard has just
//! passed: nothing resolves a second time. The whole way is bounded: resolving by `resolve_timeout`, the
//! rest by `connect_timeout`. It deliberately does not retry and knows nothing of requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use cache::{Error, Kind, NamedBy};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::Uri;
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower_service::Service;

use super::Endpoint;
use super::link::{Addressing, Link, Reach, Transport};
use super::proxy::{self, Proxy, Scheme};
use super::resolve::{self, Resolve};
use super::tls::Tls;
use crate::metrics::{Live, Metrics};
use crate::{Guard, InvalidSettings, Settings, Versions};

/// Makes connections; cheap to clone.
#[derive(Clone)]
pub(crate) struct Connector {
    shared: Arc<Shared>,
    /// Offered over TLS.
    versions: Versions,
}

#[derive(Clone)]
struct Shared {
    settings: Arc<Settings>,
    guard: Guard,
    resolver: Arc<dyn Resolve>,
    tls: Arc<Tls>,
    metrics: Arc<Metrics>,
}

impl Connector {
    pub(crate) fn new(
        settings: Arc<Settings>,
        guard: Guard,
        resolver: Arc<dyn Resolve>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, InvalidSettings> {
        let tls = Arc::new(Tls::new(&settings)?);
        let versions = settings.versions;
        Ok(Self { shared: Arc::new(Shared { settings, guard, resolver, tls, metrics }), versions })
    }

    /// The same, but it offers HTTP/1.1 alone.
    pub(crate) fn of_http1(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), versions: Versions::Http1 }
    }

    /// The same, but it goes wherever the operator may send it.
    pub(crate) fn for_operator(&self) -> Self {
        let mut shared = Shared::clone(&self.shared);
        shared.guard = shared.guard.for_operator();
        Self { shared: Arc::new(shared), versions: self.versions }
    }

    /// A connection that carries what others speak: to the endpoint itself, or through the proxy that https goes by.
    pub(crate) async fn tunnel(&self, endpoint: &Endpoint) -> Result<Link, Error> {
        self.shared.timed(self.shared.tunnel(endpoint)).await
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Link>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Self::Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (shared, versions) = (Arc::clone(&self.shared), self.versions);
        Box::pin(async move { shared.timed(shared.connect(&uri, versions)).await.map(TokioIo::new) })
    }
}

/// Where to go for a target, judged.
struct Way<'a> {
    target: &'a Endpoint,
    proxy: Option<&'a Proxy>,
    addresses: Vec<SocketAddr>,
}

impl Shared {
    async fn timed(&self, connecting: impl Future<Output = Result<Link, Error>>) -> Result<Link, Error> {
        let began = Instant::now();
        let link = connecting.await?;
        self.metrics.connect_seconds.observe(began.elapsed().as_secs_f64());
        Ok(link)
    }

    async fn connect(&self, uri: &Uri, versions: Versions) -> Result<Link, Error> {
        let (scheme, target) = target(uri)?;
        let way = self.way(scheme, &target).await?;
        let link = async {
            match scheme {
                Scheme::Http => {
                    let (stream, live) = self.first_stop(&way).await?;
                    let addressing = way.proxy.map_or(Addressing::Origin, |_| Addressing::Proxy);
                    let reach = self.reach(&way, &stream);
                    Ok(Link::new(Transport::Plain(stream), addressing, reach, live))
                }
                Scheme::Https => {
                    let (stream, live) = self.all_the_way(&way).await?;
                    let reach = self.reach(&way, &stream);
                    let stream = self.tls.handshake(&target, stream, versions).await?;
                    Ok(Link::new(Transport::Tls(stream), Addressing::Origin, reach, live))
                }
            }
        };
        self.in_time(&way, link).await
    }

    async fn tunnel(&self, target: &Endpoint) -> Result<Link, Error> {
        let way = self.way(Scheme::Https, target).await?;
        let link = async {
            let (stream, live) = self.all_the_way(&way).await?;
            let reach = self.reach(&way, &stream);
            Ok(Link::new(Transport::Plain(stream), Addressing::Origin, reach, live))
        };
        self.in_time(&way, link).await
    }

    async fn way<'a>(&'a self, scheme: Scheme, target: &'a Endpoint) -> Result<Way<'a>, Error> {
        self.guard.check_host(&target.host, target.port)?;
        let proxy = self.settings.proxies.proxy_for(scheme, target);
        let addresses = match proxy {
            Some(proxy) => resolve::proxy_addresses(&*self.resolver, &proxy.endpoint, &self.settings).await?,
            None => resolve::checked_addresses(&*self.resolver, &self.guard, target, &self.settings).await?,
        };
        Ok(Way { target, proxy, addresses })
    }

    /// What a name leads to behind a proxy, only the proxy knows.
    fn reach(&self, way: &Way<'_>, stream: &TcpStream) -> Reach {
        let Endpoint { host, port } = way.target;
        Reach(match (way.proxy, stream.peer_addr()) {
            (None, Ok(address)) => self.guard.reach(host, *port, Some(address.ip())),
            (None, Err(_)) => NamedBy::Operator,
            (Some(_), _) => self.guard.reach(host, *port, None),
        })
    }

    async fn in_time(
        &self,
        way: &Way<'_>,
        link: impl Future<Output = Result<Link, Error>>,
    ) -> Result<Link, Error> {
        let limit = self.settings.connect_timeout;
        tokio::time::timeout(limit, link).await.unwrap_or_else(|_| {
            let detail = format!("no connection to {} within {limit:?}", way.first_stop());
            Err(Error::new(Kind::OriginTimeout, detail))
        })
    }

    async fn first_stop(&self, way: &Way<'_>) -> Result<(TcpStream, Live), Error> {
        let stream = self.first_of(&way.addresses, way.first_stop()).await?;
        Ok((stream, self.metrics.live()))
    }

    async fn all_the_way(&self, way: &Way<'_>) -> Result<(TcpStream, Live), Error> {
        let (stream, live) = self.first_stop(way).await?;
        let Some(proxy) = way.proxy else { return Ok((stream, live)) };
        let stream = proxy::tunnel(stream, proxy, way.target, &self.settings.user_agent).await?;
        Ok((stream, live))
    }

    /// The first of the addresses that connects. Each has a head start before the next is tried beside it; when
    /// one fails the next starts at once.
    async fn first_of(&self, addresses: &[SocketAddr], endpoint: &Endpoint) -> Result<TcpStream, Error> {
        let mut rest = addresses.iter();
        let mut attempts = FuturesUnordered::new();
        let mut failure = None;
        loop {
            let next = rest.next();
            attempts.extend(next.map(|address| self.dial(*address)));
            let result = tokio::select! {
                biased;
                result = attempts.next() => result,
                () = tokio::time::sleep(self.settings.connect_stagger), if rest.len() > 0 => continue,
            };
            match result {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => failure = Some(error),
                None => break,
            }
        }
        let why = failure.map_or_else(|| "no address".to_owned(), |error| error.to_string());
        let count = addresses.len();
        let among = if count > 1 { format!(" (the last of {count} addresses)") } else { String::new() };
        Err(Error::new(Kind::OriginUnreachable, format!("no connection to {endpoint}: {why}{among}")))
    }

    async fn dial(&self, address: SocketAddr) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(self.settings.tcp_keepalive))?;
        // A kept connection whose other side has vanished fails soon, and the request is then sent again.
        socket.set_tcp_user_timeout(Some(self.settings.connect_timeout))?;
        Ok(stream)
    }
}

impl Way<'_> {
    fn first_stop(&self) -> &Endpoint {
        self.proxy.map_or(self.target, |proxy| &proxy.endpoint)
    }
}

/// Scheme, host and port of the URI that the pool asks for.
fn target(uri: &Uri) -> Result<(Scheme, Endpoint), Error> {
    let (scheme, default_port) = match uri.scheme_str() {
        Some("http") => (Scheme::Http, 80),
        Some("https") => (Scheme::Https, 443),
        _ => return Err(Error::new(Kind::UrlInvalid, "only http and https can be fetched")),
    };
    let host = uri.host().ok_or_else(|| Error::new(Kind::UrlInvalid, "the URL names no host"))?;
    Ok((scheme, Endpoint::new(host, uri.port_u16().unwrap_or(default_port))))
}
