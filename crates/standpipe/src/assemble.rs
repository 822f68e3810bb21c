//! Configuration consumed into a built [`App`]: every part made and connected, every listener bound, nothing running.
//!
//! ```text
//! store ─► cache ◄─ origin        cache ─► fetch door ─┐
//!                                 cache ─► admin door ─┴─► service ─► listeners
//!                                                          sessions ─► session door
//! ```
//!
//! The only place that knows all crates. Owns nothing afterwards.

pub(crate) mod offline;
pub(crate) mod secret;
mod session;
mod settings;

use std::env;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cache::{Cache, Http, KeyHasher, SystemClock};
use doors::access_log::{AccessLog, WriterThread};
use doors::admin::AdminDoor;
use doors::fetch::FetchDoor;
use doors::listen::{self, Drain, Drainer, Listener};
use doors::metrics::Metrics;
use doors::respond::Responder;
use doors::service::{self, Service};
use doors::session::{self as sessions, SessionDoor};
use doors::{access, admin, fetch};
use origins::{HttpOrigin, ProxySettings};
use prometheus_client::registry::Registry;

use crate::config::Values;
use crate::logs::Logs;

/// Everything built and bound, nothing running.
pub(crate) struct App {
    /// Bound, not yet accepting.
    pub(crate) listeners: Vec<Listener>,
    /// Serves TLS sessions on listeners of its own, when that is wanted.
    pub(crate) session: Option<SessionDoor>,
    /// Answers what the listeners accept.
    pub(crate) service: Service,
    /// Limits of the listeners.
    pub(crate) settings: listen::Settings,
    /// Stops the listeners.
    pub(crate) drainer: Drainer,
    /// How the listeners learn it.
    pub(crate) drain: Drain,
    /// Drained at the end, swept meanwhile.
    pub(crate) cache: Cache,
    /// Closed at the very end.
    pub(crate) store: store::Writer<Http>,
    /// Turns the health check to 503.
    pub(crate) draining: Arc<AtomicBool>,
    /// From then to the end of the listeners.
    pub(crate) drain_delay: Duration,
}

/// Who counts what the status shows.
struct Counted {
    metrics: Metrics,
    sessions: Option<sessions::Counter>,
}

impl Counted {
    fn traffic(&self) -> admin::Traffic {
        admin::Traffic {
            sessions: self.sessions.as_ref().map(sessions::Counter::counts),
            ..self.metrics.traffic()
        }
    }
}

impl App {
    /// Where the door for TLS sessions listens.
    pub(crate) fn session_addresses(&self) -> Vec<distcache::Address> {
        self.session.as_ref().map(SessionDoor::addresses).unwrap_or_default()
    }

    /// Where it listens, with the ports that were free.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }
}

/// Builds everything. Must be called in the runtime. The writer thread is to be joined at the very end.
pub(crate) fn assemble(values: Values, logs: &Logs) -> Result<(App, Option<WriterThread>), String> {
    // First, because a second server on the same port is the likeliest mistake.
    let listeners = bind(&values)?;
    let mut registry = Registry::default();
    let store = store::open(settings::store(&values), &mut registry).map_err(|error| error.to_string())?;
    let hasher = KeyHasher::new(secret::load_or_create(&values.store_directory)?);
    let origin =
        HttpOrigin::new(settings::origins(&values, proxies()?), settings::guard(&values), &mut registry)
            .map_err(|error| error.to_string())?;
    let parts = cache::Parts {
        store: store.clone(),
        origin: Arc::new(origin),
        clock: Arc::new(SystemClock::new()),
        settings: settings::cache(&values),
    };
    let cache = Cache::new(parts, &mut registry);
    let metrics = Metrics::register(&mut registry);
    registry.sub_registry_with_prefix("standpipe").register(
        "log_dropped_lines",
        "Log lines lost to a full queue",
        logs.dropped(),
    );
    let (log, log_writer) = access_log(&values, &metrics)?;
    let draining = Arc::new(AtomicBool::new(false));
    let session = session::open(&values, &mut registry)?;
    let counted = Counted { metrics, sessions: session.as_ref().map(SessionDoor::counter) };
    let service = service(&values, &cache, hasher, counted, log, &draining, registry)?;
    let (drainer, drain) = listen::drain();
    let (settings, drain_delay) = (settings::listen(&values), values.server_drain_delay);
    let app =
        App { listeners, session, service, settings, drainer, drain, cache, store, draining, drain_delay };
    Ok((app, log_writer))
}

fn bind(values: &Values) -> Result<Vec<Listener>, String> {
    let bind = |address: SocketAddr| {
        listen::bind(address).map_err(|error| format!("cannot listen on {address} (server.listen): {error}"))
    };
    values.server_listen.iter().map(|address| bind(address.0)).collect()
}

/// Upstream proxies by the usual variables.
fn proxies() -> Result<ProxySettings, String> {
    let readable = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    ProxySettings::from_env(readable).map_err(|error| error.to_string())
}

fn access_log(values: &Values, metrics: &Metrics) -> Result<(AccessLog, Option<WriterThread>), String> {
    let Some(settings) = settings::access_log(values) else { return Ok((AccessLog::off(), None)) };
    let (log, writer) = AccessLog::start(settings, io::stderr(), metrics.clone())
        .map_err(|error| format!("the access log cannot start: {error}"))?;
    Ok((log, Some(writer)))
}

fn service(
    values: &Values,
    cache: &Cache,
    hasher: KeyHasher,
    counted: Counted,
    log: AccessLog,
    draining: &Arc<AtomicBool>,
    mut registry: Registry,
) -> Result<Service, String> {
    let access = access::Rules::new(&texts(&values.access_rules), &texts(&values.access_trusted_proxies))
        .map_err(|error| error.to_string())?;
    let responder = Responder::new(&values.server_name);
    let parts = fetch::Parts {
        cache: cache.clone(),
        hasher,
        responder: responder.clone(),
        settings: settings::fetch(values)?,
    };
    let fetch = FetchDoor::new(parts, &mut registry);
    let metrics = counted.metrics.clone();
    let parts = admin::Parts {
        cache: cache.clone(),
        fetch: fetch.clone(),
        responder: responder.clone(),
        registry: Arc::new(registry),
        traffic: Arc::new(move || counted.traffic()),
        draining: Arc::clone(draining),
        settings: settings::admin(values),
    };
    let admin = AdminDoor::new(parts);
    let name = Arc::from(values.server_name.as_str());
    let max_target = values.server_max_target.count();
    Ok(Service::new(service::Parts { access, fetch, admin, responder, log, metrics, name, max_target }))
}

fn texts<T: AsRef<str>>(items: &[T]) -> Vec<&str> {
    items.iter().map(AsRef::as_ref).collect()
}
