//! [`Route`]: which door a request is for.
//!
//! | the request | its door |
//! |---|---|
//! | on a site's own listener | that site; none, when a reload has taken the site away |
//! | CONNECT | tunnels |
//! | for a site's host | that site |
//! | HTTP/1 in absolute form, for another host than ours | forward proxy |
//! | path below a site's prefix | that site |
//! | all others, by path | fetch, metrics, health, admin |
//!
//! HTTP/2 always says scheme and authority, so there a foreign authority is only another name for us.

use std::sync::Arc;

use arc_swap::Guard;
use http::header::HOST;
use http::request::Parts as Head;
use http::uri::Authority;
use http::{Method, Version};

use super::FETCH;
use crate::exchange::plan::Place;
use crate::exchange::{Plan, Plans};
use crate::fetch::FetchDoor;
use crate::wire::{Entrance, Peer};
use crate::{proxy, site};

/// The door that a request is for.
pub(super) enum Route {
    Fetch,
    /// Pages of our own, by the name that access rules use.
    Operators(&'static str),
    Site(Guard<Arc<Plan>>, Place),
    Proxy,
    Connect,
    /// The listener's site is not configured any more.
    Nowhere,
}

impl Route {
    /// Where the request goes; `hosts` are further names of ours.
    pub(super) fn find(head: &Head, peer: &Peer, plans: &Plans, hosts: &[Box<str>]) -> Self {
        let plan = plans.load();
        if let Some(name) = peer.entrance.site.as_deref() {
            return match plan.by_name(name) {
                Some(place) => Self::Site(plan, place),
                None => Self::Nowhere,
            };
        }
        if head.method == Method::CONNECT {
            return Self::Connect;
        }
        if let Some(place) = plan.by_host(without_port(asked_host(head))) {
            return Self::Site(plan, place);
        }
        let absolute = head.uri.authority().filter(|_| head.version < Version::HTTP_2);
        if absolute.is_some_and(|authority| !is_ours(authority, &peer.entrance, hosts)) {
            return Self::Proxy;
        }
        let path = head.uri.path();
        match plan.by_path(path) {
            Some(place) => Self::Site(plan, place),
            None => by_path(path),
        }
    }

    /// The name that access rules, log and metrics use.
    pub(super) const fn door(&self) -> &'static str {
        match self {
            Self::Fetch => FETCH,
            Self::Operators(door) => door,
            Self::Site(..) | Self::Nowhere => site::DOOR,
            Self::Proxy => proxy::DOOR,
            Self::Connect => proxy::CONNECT,
        }
    }
}

fn by_path(path: &str) -> Route {
    match path {
        _ if FetchDoor::owns(path) => Route::Fetch,
        "/metrics" => Route::Operators("metrics"),
        "/api/v1/health" | "/api/v1/health/" => Route::Operators("health"),
        _ => Route::Operators("admin"),
    }
}

/// The host that the client asked for, with its port: of the target, else of `Host`.
pub(super) fn asked_host(head: &Head) -> &str {
    let field = || head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    head.uri.authority().map_or_else(field, Authority::as_str)
}

fn without_port(host: &str) -> &str {
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) && !name.is_empty() => name,
        _ => host,
    }
}

/// Whether an authority names us: the address that was connected to, `localhost` when that is on this machine, or a
/// configured name.
fn is_ours(authority: &Authority, entrance: &Entrance, hosts: &[Box<str>]) -> bool {
    let host = authority.host().trim_end_matches('.');
    if hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host)) {
        return true;
    }
    let Some(local) = entrance.local else { return false };
    let default_port = match entrance.scheme.as_str() {
        "https" => 443,
        _ => 80,
    };
    if authority.port_u16().unwrap_or(default_port) != local.port() {
        return false;
    }
    let ip = local.ip().to_canonical();
    match host.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
        Ok(named) => named.to_canonical() == ip,
        Err(_) => ip.is_loopback() && host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_where_we_were_reached_and_what_we_are_called() {
        let ours = |authority: &str, local: &str| {
            let entrance =
                Entrance { local: Some(local.parse().expect("an address")), ..Entrance::default() };
            is_ours(&authority.parse().expect("an authority"), &entrance, &["cache.example".into()])
        };
        assert!(ours("127.0.0.1:8001", "127.0.0.1:8001"));
        assert!(ours("LOCALHOST:8001", "127.0.0.1:8001"));
        assert!(ours("[::1]:8001", "[::1]:8001"));
        assert!(ours("10.0.0.1", "10.0.0.1:80"));
        assert!(ours("Cache.Example:1234", "10.0.0.1:80"));
        assert!(ours("10.0.0.1:80", "[::ffff:10.0.0.1]:80"));
        assert!(!ours("127.0.0.1:8002", "127.0.0.1:8001"));
        assert!(!ours("localhost:80", "10.0.0.1:80"));
        assert!(!ours("origin.example", "10.0.0.1:80"));
    }

    #[test]
    fn ports_are_left_out_of_names() {
        assert_eq!(without_port("a.example:80"), "a.example");
        assert_eq!(without_port("[::1]:80"), "[::1]");
        assert_eq!(without_port("a.example"), "a.example");
    }
}
