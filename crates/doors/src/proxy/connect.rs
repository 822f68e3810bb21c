//! [`Tunneler`]: CONNECT (RFC 9110 section 9.3.6): bytes to and from an allowed host and port, as they come.
//!
//! Owns the number of tunnels that may be open. A tunnel ends when both sides have said all, when one of them breaks, or when
//! nothing has come from either for the idle timeout. Its bytes are counted and never kept. Where it leads is judged twice:
//! by the allow-list here, by the origins' address guard when it is opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use cache::Tunnels;
use http::StatusCode;
use http::request::Parts as Head;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::exchange::pattern::HostPattern;
use crate::respond::Refusal;

/// Bytes taken from one side at once.
const BUFFER: usize = 16 * 1024;

/// A host and port that may be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectRule {
    host: HostPattern,
    /// `None`: every port.
    port: Option<u16>,
}

/// Limits of tunnels.
#[derive(Clone, Debug)]
pub struct TunnelSettings {
    /// What may be connected to.
    pub allow: Vec<ConnectRule>,
    /// Most tunnels at once (default 1024).
    pub most: usize,
    /// How long both sides may say nothing (default 5 min).
    pub idle: Duration,
}

impl Default for TunnelSettings {
    fn default() -> Self {
        let https = ConnectRule { host: HostPattern::Any, port: Some(443) };
        Self { allow: vec![https], most: 1024, idle: Duration::from_secs(300) }
    }
}

/// Opens tunnels; clones share everything.
#[derive(Clone)]
pub struct Tunneler(Arc<Shared>);

struct Shared {
    tunnels: Arc<dyn Tunnels>,
    allow: Box<[ConnectRule]>,
    room: Arc<Semaphore>,
    idle: Duration,
    open: Gauge,
    opened: Counter,
    to_origin: Counter,
    to_client: Counter,
}

/// A tunnel whose far side is connected.
pub(crate) struct Opened {
    far: cache::Tunnel,
    shared: Arc<Shared>,
    /// `host:port`, for people.
    pub(crate) name: Arc<str>,
    _place: OwnedSemaphorePermit,
}

/// What went through a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) to_client: u64,
    pub(crate) end: End,
}

/// How a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Both sides had said all.
    Complete,
    /// One of them broke.
    Broken,
    /// Nothing came from either.
    Idle,
}

impl ConnectRule {
    /// Reads `host:port`; the host is a [`HostPattern`], the port a number or `*`. The error is a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let problem = || {
            format!(
                "`{}` is not `HOST:PORT`; write for example `*:443` or `*.lab.example:22`",
                text.escape_debug()
            )
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(problem)?;
        let port = match port {
            "*" => None,
            number => Some(number.parse().ok().filter(|port| *port > 0).ok_or_else(problem)?),
        };
        Ok(Self { host: HostPattern::parse(host.trim_matches(['[', ']']))?, port })
    }

    pub(super) fn allows(&self, host: &str, port: u16) -> bool {
        self.port.is_none_or(|allowed| allowed == port) && self.host.matches(host)
    }
}

impl Tunneler {
    /// Registers its metrics.
    pub fn new(tunnels: Arc<dyn Tunnels>, settings: TunnelSettings, registry: &mut Registry) -> Self {
        let TunnelSettings { allow, most, idle } = settings;
        let shared = Shared {
            tunnels,
            allow: allow.into(),
            room: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            idle,
            open: Gauge::default(),
            opened: Counter::default(),
            to_origin: Counter::default(),
            to_client: Counter::default(),
        };
        let registry = registry.sub_registry_with_prefix("standpipe");
        registry.register("tunnels_open", "Tunnels (CONNECT) open now", shared.open.clone());
        registry.register("tunnels", "Tunnels ever opened", shared.opened.clone());
        registry.register(
            "tunnel_bytes_to_origin",
            "Bytes that clients sent through tunnels",
            shared.to_origin.clone(),
        );
        registry.register("tunnel_bytes_to_client", "Bytes that came back", shared.to_client.clone());
        Self(Arc::new(shared))
    }

    /// Connects the far side of what CONNECT asks for.
    pub(super) async fn open(&self, head: &Head) -> Result<Opened, Refusal> {
        let (host, port) = asked(head)?;
        if !self.0.allow.iter().any(|rule| rule.allows(&host, port)) {
            let detail = format!(
                "tunnels to {host}:{port} are not allowed; the operator can add `{host}:{port}` to the setting \
                 proxy.connect"
            );
            return Err(Refusal::forbidden("connect_forbidden", detail));
        }
        let Ok(place) = Arc::clone(&self.0.room).try_acquire_owned() else {
            let detail =
                "too many tunnels are open; try again, or ask the operator to raise proxy.max-tunnels";
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "tunnels_full", detail));
        };
        let far = self.0.tunnels.open(&host, port).await.map_err(|error| Refusal::from(&error))?;
        self.0.opened.inc();
        self.0.open.inc();
        let name = format!("{host}:{port}").into();
        Ok(Opened { far, shared: Arc::clone(&self.0), name, _place: place })
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.shared.open.dec();
    }
}

impl Opened {
    /// Passes bytes until the tunnel ends.
    pub(crate) async fn run(mut self, near: impl AsyncRead + AsyncWrite) -> Passed {
        let shared = Arc::clone(&self.shared);
        let (from_client, to_client) = tokio::io::split(near);
        let (from_origin, to_origin) = tokio::io::split(&mut self.far);
        let activity = AtomicU64::new(0);
        let passing = |counter| Passing { counter, activity: &activity, idle: shared.idle };
        let (received, sent) = (AtomicU64::new(0), AtomicU64::new(0));
        let up = passing(&shared.to_origin).pump(from_client, to_origin, &received);
        let down = passing(&shared.to_client).pump(from_origin, to_client, &sent);
        let end = match tokio::try_join!(up, down) {
            Ok(((), ())) => End::Complete,
            Err(end) => end,
        };
        Passed { to_client: sent.into_inner(), end }
    }
}

/// What both directions of a tunnel share.
struct Passing<'a> {
    counter: &'a Counter,
    /// Grows with everything that comes from either side.
    activity: &'a AtomicU64,
    idle: Duration,
}

impl Passing<'_> {
    async fn pump(
        self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        sum: &AtomicU64,
    ) -> Result<(), End> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = self.read(&mut from, &mut buffer).await?;
            if count == 0 {
                // The other direction goes on.
                return to.shutdown().await.map_err(|_| End::Broken);
            }
            self.activity.fetch_add(1, Relaxed);
            let written = timeout(self.idle, async {
                to.write_all(&buffer[..count]).await?;
                to.flush().await
            });
            written.await.map_err(|_| End::Idle)?.map_err(|_| End::Broken)?;
            self.counter.inc_by(count as u64);
            sum.fetch_add(count as u64, Relaxed);
        }
    }

    async fn read(&self, from: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> Result<usize, End> {
        loop {
            let before = self.activity.load(Relaxed);
            match timeout(self.idle, from.read(buffer)).await {
                Ok(Ok(count)) => return Ok(count),
                Ok(Err(_)) => return Err(End::Broken),
                Err(_) if self.activity.load(Relaxed) == before => return Err(End::Idle),
                // The other side talks meanwhile.
                Err(_) => {}
            }
        }
    }
}

/// Host and port of a CONNECT, canonical as in URLs.
pub(super) fn asked(head: &Head) -> Result<(String, u16), Refusal> {
    let invalid = || Refusal::bad_request("connect_invalid", "CONNECT wants `host:port`; write both");
    let authority = head.uri.authority().ok_or_else(invalid)?;
    let port = authority.port_u16().filter(|port| *port > 0).ok_or_else(invalid)?;
    // One reading of hosts for all doors: numbers in disguise become addresses (4c 44).
    let url = protocols::http::url::CanonicalUrl::parse(&format!("http://{}:{port}/", authority.host()))
        .map_err(|error| Refusal::bad_request("connect_invalid", error.detail))?;
    if url.authorization.is_some() || authority.as_str().contains('@') {
        return Err(invalid());
    }
    let host = url.url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    Ok((host, port))
}
