//! Configuration consumed into a built [`App`]: every part made and connected, every listener bound, nothing running.
//!
//! ```text
//! store ─► cache ◄─ origin        cache ─► fetch door ─┐
//!                                 cache ─► admin door ─┴─► service ─► listeners
//! ```
//!
//! The only place that knows all crates. Owns nothing afterwards.

mod secret;
mod settings;

use std::env;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cache::{Cache, KeyHasher, SystemClock};
use doors::access_log::{AccessLog, WriterThread};
use doors::admin::AdminDoor;
use doors::fetch::FetchDoor;
use doors::listen::{self, Drain, Drainer, Listener};
use doors::metrics::Metrics;
use doors::respond::Responder;
use doors::service::{self, Service};
use doors::{access, admin, fetch};
use origins::{HttpOrigin, ProxySettings};
use prometheus_client::registry::Registry;

use crate::config::Values;
use crate::logs::Logs;

/// Everything built and bound, nothing running.
pub(crate) struct App {
    /// Bound, not yet accepting.
    pub(crate) listeners: Vec<Listener>,
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
    /// Turns the health check to 503.
    pub(crate) draining: Arc<AtomicBool>,
}

impl App {
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
        store,
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
    let service = service(&values, &cache, hasher, metrics, log, &draining, registry)?;
    let (drainer, drain) = listen::drain();
    let app =
        App { listeners, service, settings: settings::listen(&values), drainer, drain, cache, draining };
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
    metrics: Metrics,
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
    let counted = metrics.clone();
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
