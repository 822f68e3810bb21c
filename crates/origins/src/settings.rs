//! [`Settings`]: every limit and choice of this crate, with its default.

use std::path::PathBuf;
use std::time::Duration;

use crate::ProxySettings;

/// Limits and choices of [`HttpOrigin`](crate::HttpOrigin).
#[derive(Clone, Debug)]
pub struct Settings {
    /// `User-Agent` of the server's own requests unless they bring one (default `Standpipe/<version>`). A client's
    /// request is passed on with the client's or none.
    pub user_agent: String,
    /// Our name in `Via` (RFC 9110 7.6.3), unique among the caches a request may pass (default `standpipe`).
    /// A request that comes to a door with it has gone in a circle.
    pub pseudonym: String,
    /// Who turns names into addresses (default [`ResolverChoice::Hickory`]).
    pub resolver: ResolverChoice,
    /// Longest wait for the addresses of a name (default 5 s); our own resolver asks again after half of it.
    pub resolve_timeout: Duration,
    /// Most addresses of one name that are tried (default 16).
    pub max_addresses: usize,
    /// Longest time for TCP, proxy and TLS together, over all addresses (default 10 s). Also how long the other
    /// side of a kept connection may leave a request or probe without any acknowledgement.
    pub connect_timeout: Duration,
    /// Head start of one address before the next is tried beside it (default 250 ms, RFC 8305).
    pub connect_stagger: Duration,
    /// Silence on a connection after which TCP and HTTP/2 probe the other side (default 60 s).
    pub tcp_keepalive: Duration,
    /// Longest wait for an answer's head, connecting included (default 60 s). Time in which the origin takes the
    /// request's content, or the client is to send it, does not count.
    pub first_byte_timeout: Duration,
    /// Longest wait for the next [`Self::min_progress`] bytes of a body (default 60 s). Time in which nobody
    /// reads the body does not count.
    pub idle_timeout: Duration,
    /// Bytes that must come within [`Self::idle_timeout`], so that an origin that drips is not waited for
    /// for ever (default 1 KiB).
    pub min_progress: u64,
    /// PEM files with certificates of authorities trusted besides the system's (default none).
    pub extra_ca_files: Vec<PathBuf>,
    /// HTTP versions offered over TLS (default [`Versions::Http1AndHttp2`]).
    pub versions: Versions,
    /// Upstream proxies (default none).
    pub proxies: ProxySettings,
    /// Most redirects followed for one request (default 10).
    pub max_redirects: usize,
    /// Whether a redirect may lead from https to http (default [`Downgrade::Refuse`]).
    pub downgrade: Downgrade,
    /// Most bytes of an answer's head (default 64 KiB).
    pub max_head_bytes: usize,
    /// Most fields of an answer's head (default 256).
    pub max_head_fields: usize,
    /// How much is read from a connection at once when much comes; small answers take small reads (default
    /// 2 MiB, at least 8 KiB). A fast origin that finds room for more is woken less often.
    pub read_buffer: usize,
    /// Most exchanges with one host and port at once (default 32).
    pub max_connections_per_host: usize,
    /// Most exchanges that wait for one host and port (default 1024).
    pub max_queue_per_host: usize,
    /// Longest wait in that queue (default 60 s).
    pub queue_timeout: Duration,
    /// Most hosts with exchanges at once (default 4096).
    pub max_hosts: usize,
    /// How long an unused connection is kept (default 30 s).
    pub pool_idle_timeout: Duration,
    /// Most unused connections kept for one host and port (default 16), and as many again for https requests whose
    /// `Host` is not that of their URL, which go by HTTP/1.1.
    pub max_idle_per_host: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            user_agent: concat!("Standpipe/", env!("CARGO_PKG_VERSION")).to_owned(),
            pseudonym: "standpipe".to_owned(),
            resolver: ResolverChoice::Hickory,
            resolve_timeout: Duration::from_secs(5),
            max_addresses: 16,
            connect_timeout: Duration::from_secs(10),
            connect_stagger: Duration::from_millis(250),
            tcp_keepalive: Duration::from_secs(60),
            first_byte_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            min_progress: 1024,
            extra_ca_files: Vec::new(),
            versions: Versions::Http1AndHttp2,
            proxies: ProxySettings::default(),
            max_redirects: 10,
            downgrade: Downgrade::Refuse,
            max_head_bytes: 64 * 1024,
            max_head_fields: 256,
            read_buffer: 2 * 1024 * 1024,
            max_connections_per_host: 32,
            max_queue_per_host: 1024,
            queue_timeout: Duration::from_secs(60),
            max_hosts: 4096,
            pool_idle_timeout: Duration::from_secs(30),
            max_idle_per_host: 16,
        }
    }
}

/// Who turns names into addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResolverChoice {
    /// Our own resolver with the system's configuration, hosts file included; caches by TTL.
    Hickory,
    /// The system's `getaddrinfo`, which knows nsswitch (mDNS, LDAP) but no TTLs.
    System,
}

/// HTTP versions offered over TLS; without TLS it is always HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, else HTTP/1.1.
    Http1AndHttp2,
}

/// What happens to a redirect from https to http.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downgrade {
    /// It is an error.
    Refuse,
    /// It is followed.
    Follow,
}

/// Settings that can not work; one sentence for people that names the setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSettings {
    /// The sentence.
    pub detail: String,
}

impl InvalidSettings {
    pub(crate) fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into() }
    }
}

impl std::fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for InvalidSettings {}
