//! [`Connector`]: makes new connections for hyper's pool.
//!
//! Owns the TLS configuration and the resolver. Every connection goes to an address that the guard has just
//! passed: nothing resolves a second time. The whole way is bounded: resolving by `resolve_timeout`, the
//! rest by `connect_timeout`. It deliberately does not retry and knows nothing of requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use cache::{Error, Kind};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::Uri;
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower_service::Service;

use super::Endpoint;
use super::link::{Addressing, Link, Transport};
use super::proxy::{self, Scheme};
use super::resolve::{self, Resolve};
use super::tls::Tls;
use crate::metrics::Metrics;
use crate::{Guard, InvalidSettings, Settings};

/// Makes connections; cheap to clone.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Shared>);

struct Shared {
    settings: Arc<Settings>,
    guard: Guard,
    resolver: Arc<dyn Resolve>,
    tls: Tls,
    metrics: Arc<Metrics>,
}

impl Connector {
    pub(crate) fn new(
        settings: Arc<Settings>,
        guard: Guard,
        resolver: Arc<dyn Resolve>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, InvalidSettings> {
        let tls = Tls::new(&settings)?;
        Ok(Self(Arc::new(Shared { settings, guard, resolver, tls, metrics })))
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
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let began = Instant::now();
            let link = shared.connect(&uri).await?;
            shared.metrics.connect_seconds.observe(began.elapsed().as_secs_f64());
            Ok(TokioIo::new(link))
        })
    }
}

impl Shared {
    async fn connect(&self, uri: &Uri) -> Result<Link, Error> {
        let (scheme, target) = target(uri)?;
        self.guard.check_host(&target.host, target.port)?;
        let proxy = self.settings.proxies.proxy_for(scheme, &target);
        let addresses = match proxy {
            Some(proxy) => resolve::proxy_addresses(&*self.resolver, &proxy.endpoint, &self.settings).await?,
            None => resolve::checked_addresses(&*self.resolver, &self.guard, &target, &self.settings).await?,
        };
        let first_stop = proxy.map_or(&target, |proxy| &proxy.endpoint);
        let limit = self.settings.connect_timeout;
        let way = async {
            let stream = self.first_of(&addresses, first_stop).await?;
            let live = self.metrics.live();
            let (transport, addressing) = match (scheme, proxy) {
                (Scheme::Http, None) => (Transport::Plain(stream), Addressing::Origin),
                (Scheme::Http, Some(_)) => (Transport::Plain(stream), Addressing::Proxy),
                (Scheme::Https, proxy) => {
                    let stream = match proxy {
                        Some(proxy) => {
                            proxy::tunnel(stream, proxy, &target, &self.settings.user_agent).await?
                        }
                        None => stream,
                    };
                    (Transport::Tls(self.tls.handshake(&target, stream).await?), Addressing::Origin)
                }
            };
            Ok(Link::new(transport, addressing, live))
        };
        tokio::time::timeout(limit, way).await.unwrap_or_else(|_| {
            let detail = format!("no connection to {first_stop} within {limit:?}");
            Err(Error::new(Kind::OriginTimeout, detail))
        })
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
