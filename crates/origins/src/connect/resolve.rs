//! From a host name to addresses.
//!
//! [`Resolve`] is the seam: [`HickoryResolver`], [`SystemResolver`], and in tests whatever flips, stalls or floods.
//! [`checked_addresses`] is the only caller and bounds what a resolver may do: its time, and how many addresses count.
//! Caching is the resolver's; judging is the guard's.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use cache::{Error, Kind};
use futures_util::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;

use super::Endpoint;
use crate::{Guard, ResolverChoice, Settings};

/// Turns host names into addresses.
pub trait Resolve: Send + Sync + 'static {
    /// All IPv4 and IPv6 addresses of `host`; none is an answer, too.
    ///
    /// # Errors
    /// Any failure, with a text for people.
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The resolver that the settings choose. Falls back to the system's when ours can not be configured, as in a
/// container without `/etc/resolv.conf`.
pub(crate) fn choose(settings: &Settings) -> Arc<dyn Resolve> {
    if settings.resolver == ResolverChoice::System {
        return Arc::new(SystemResolver);
    }
    match HickoryResolver::from_system(settings.resolve_timeout / 2) {
        Ok(resolver) => Arc::new(resolver),
        Err(error) => {
            tracing::warn!(%error, "own DNS resolver has no configuration, using the system's");
            Arc::new(SystemResolver)
        }
    }
}

/// Resolver with the system's name servers, search list and hosts file, read once; asks for A and AAAA, caches by
/// TTL.
pub struct HickoryResolver(TokioResolver);

impl HickoryResolver {
    /// Reads the system's configuration. A server that does not answer is asked again, or the next one, after
    /// at most `patience`.
    ///
    /// # Errors
    /// The configuration is missing or makes no sense.
    pub fn from_system(patience: Duration) -> io::Result<Self> {
        let mut builder = TokioResolver::builder_tokio().map_err(io::Error::other)?;
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        options.timeout = options.timeout.min(patience);
        Ok(Self(builder.build().map_err(io::Error::other)?))
    }
}

impl Resolve for HickoryResolver {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let (resolver, host) = (self.0.clone(), host.to_owned());
        Box::pin(async move {
            match resolver.lookup_ip(host).await {
                Ok(found) => Ok(found.iter().collect()),
                Err(error) if error.is_no_records_found() && !error.is_nx_domain() => Ok(Vec::new()),
                Err(error) if error.is_nx_domain() => Err(io::Error::other("the name does not exist")),
                Err(error) => Err(io::Error::other(error)),
            }
        })
    }
}

/// `getaddrinfo` on tokio's pool of blocking threads.
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let host = host.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// The addresses of an endpoint that may be connected to, in the order to try them: families in turns (RFC 8305),
/// beginning with the resolver's first. Those that the guard refuses are left out; when it refuses all, its
/// word on the first is the error. The caller has had host and port judged.
pub(crate) async fn checked_addresses(
    resolver: &dyn Resolve,
    guard: &Guard,
    endpoint: &Endpoint,
    settings: &Settings,
) -> Result<Vec<SocketAddr>, Error> {
    let host = &endpoint.host;
    let found = match endpoint.literal() {
        Some(address) => vec![address],
        None => resolve(resolver, host, settings).await?,
    };
    let mut refusal = None;
    let mut allowed = Vec::with_capacity(found.len().min(settings.max_addresses));
    for address in found {
        match guard.check_address(host, endpoint.port, address) {
            Ok(()) if allowed.contains(&address) => {}
            Ok(()) => allowed.push(address),
            Err(error) => refusal = refusal.or(Some(error)),
        }
        if allowed.len() == MOST_CONSIDERED {
            break;
        }
    }
    if allowed.is_empty() {
        let unresolved =
            || Error::new(Kind::OriginUnresolved, format!("the host name {host} has no address"));
        return Err(refusal.unwrap_or_else(unresolved));
    }
    Ok(in_order(allowed, endpoint.port, settings))
}

/// The addresses of a proxy: not judged, the operator has chosen it.
pub(crate) async fn proxy_addresses(
    resolver: &dyn Resolve,
    proxy: &Endpoint,
    settings: &Settings,
) -> Result<Vec<SocketAddr>, Error> {
    let found = match proxy.literal() {
        Some(address) => vec![address],
        None => resolve(resolver, &proxy.host, settings).await?,
    };
    Ok(in_order(found, proxy.port, settings))
}

/// Addresses looked at before the shorter list is made, so that both families get into it.
const MOST_CONSIDERED: usize = 256;

async fn resolve(resolver: &dyn Resolve, host: &str, settings: &Settings) -> Result<Vec<IpAddr>, Error> {
    let limit = settings.resolve_timeout;
    match tokio::time::timeout(limit, resolver.resolve(host)).await {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => {
            let detail = format!("the host name {host} can not be resolved: {error}");
            Err(Error::new(Kind::OriginUnresolved, detail))
        }
        Err(_) => {
            let detail = format!("DNS did not give the address of {host} within {limit:?}");
            Err(Error::new(Kind::OriginTimeout, detail))
        }
    }
}

fn in_order(addresses: Vec<IpAddr>, port: u16, settings: &Settings) -> Vec<SocketAddr> {
    let mut ordered = families_in_turns(addresses);
    ordered.truncate(settings.max_addresses.max(1));
    ordered.into_iter().map(|address| SocketAddr::new(address, port)).collect()
}

fn families_in_turns(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    first.reverse();
    second.reverse();
    let mut turns = Vec::with_capacity(first.len() + second.len());
    while let Some(address) = first.pop().or_else(|| second.pop()) {
        turns.push(address);
        turns.extend(second.pop());
    }
    turns
}

#[cfg(test)]
mod tests;
