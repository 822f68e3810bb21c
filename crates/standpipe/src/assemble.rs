//! Configuration consumed into a built [`App`]: every part made and connected, every listener bound, nothing running.
//!
//! ```text
//! store ─► cache ◄─ origin        cache ─► fetch door ─┐
//!                                 cache ─► site, proxy ─┤
//!                                 cache ─► admin door ─┴─► service ─► listeners
//!                                                          sessions ─► session door, listeners with TLS
//! ```
//!
//! The only place that knows all crates. Owns nothing afterwards.

mod alternatives;
mod https;
pub(crate) mod offline;
mod reload;
pub(crate) mod secret;
mod session;
mod settings;

use std::env;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cache::{Cache, Http, KeyHasher, SystemClock, Tunnels};
use doors::access_log::{AccessLog, WriterThread};
use doors::admin::AdminDoor;
use doors::exchange::Plans;
use doors::fetch::FetchDoor;
use doors::listen::{self, Certificates, Drain, Drainer, Listener};
use doors::metrics::Metrics;
use doors::proxy::{ProxyDoor, Tunneler, Users};
use doors::respond::Responder;
use doors::service::{self, Reload, Service};
use doors::session::{self as sessions, SessionDoor};
use doors::site::SiteDoor;
use doors::{access, admin, fetch, proxy, site};
use origins::{HttpOrigin, ProxySettings};
use prometheus_client::registry::Registry;

use crate::config::{self, Config, Values};
use crate::logs::Logs;

use self::alternatives::Alternatives;
use self::reload::InForce;
pub(crate) use self::reload::Reloader;

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
    pub(crate) fn listening(&self) -> Vec<Announced> {
        let announced = |listener: &Listener| {
            let address = listener.local_addr().ok()?;
            let scheme = if listener.is_tls() { "https" } else { "http" };
            Some(Announced { address, scheme, site: listener.site().map(str::to_owned) })
        };
        self.listeners.iter().filter_map(announced).collect()
    }
}

/// A listener, for people.
pub(crate) struct Announced {
    pub(crate) address: SocketAddr,
    pub(crate) scheme: &'static str,
    pub(crate) site: Option<String>,
}

/// Everything built, and what goes on beside it.
pub(crate) struct Assembled {
    pub(crate) app: App,
    /// To be joined at the very end.
    pub(crate) log_writer: Option<WriterThread>,
    /// Reads the configuration again.
    pub(crate) reloader: Arc<Reloader>,
    /// Certificates whose files are looked at.
    pub(crate) certificates: Vec<Certificates>,
}

/// Builds everything. Must be called in the runtime.
pub(crate) fn assemble(config: Config, logs: &Logs) -> Result<Assembled, String> {
    let values = &config.values;
    // First, because a second server on the same port is the likeliest mistake.
    let (listeners, certificates) = bind(&config)?;
    let mut registry = Registry::default();
    let store = store::open(settings::store(values), &mut registry).map_err(|error| error.to_string())?;
    let hasher = KeyHasher::new(secret::load_or_create(&values.store_directory)?);
    let origin =
        HttpOrigin::new(settings::origins(values, proxies()?), settings::guard(values), &mut registry)
            .map_err(|error| error.to_string())?;
    let origin = Arc::new(origin);
    let plans = Plans::new(config::plan(values, &config.tables)?, hasher.clone());
    let with_alternatives =
        Alternatives { origin: Arc::clone(&origin) as Arc<dyn cache::Origin>, plans: plans.clone() };
    let parts = cache::Parts {
        store: store.clone(),
        origin: Arc::new(with_alternatives),
        clock: Arc::new(SystemClock::new()),
        settings: settings::cache(values),
    };
    let cache = Cache::new(parts, &mut registry);
    let metrics = Metrics::register(&mut registry);
    registry.sub_registry_with_prefix("standpipe").register(
        "log_dropped_lines",
        "Log lines lost to a full queue",
        logs.dropped(),
    );
    let (log, log_writer) = access_log(values, &metrics)?;
    let draining = Arc::new(AtomicBool::new(false));
    let session = session::open(values, &mut registry)?;
    let listeners = https::share(listeners, values, session.as_ref(), &mut registry)?;
    let counted = Counted { metrics, sessions: session.as_ref().map(SessionDoor::counter) };
    let tunnels = origin as Arc<dyn Tunnels>;
    let access = access::InForce::new(reload::access_rules(values)?);
    let users = reload::users(values)?;
    let (drainer, drain) = listen::drain();
    let (settings, drain_delay) = (settings::listen(values), values.server_drain_delay);
    let values = config.values.clone();
    let in_force = InForce {
        access: access.clone(),
        users: users.clone(),
        plans: plans.clone(),
        certificates: certificates.clone(),
    };
    let reloader = Arc::new(Reloader::new(config, in_force));
    let reload = reloader.function();
    let common = Common { cache: cache.clone(), hasher, plans, tunnels, access, users, reload };
    let service = service(&values, common, counted, log, &draining, registry)?;
    let app =
        App { listeners, session, service, settings, drainer, drain, cache, store, draining, drain_delay };
    Ok(Assembled { app, log_writer, reloader, certificates })
}

/// All listeners, and their certificates.
fn bind(config: &Config) -> Result<(Vec<Listener>, Vec<Certificates>), String> {
    let (mut listeners, mut all) = (Vec::new(), Vec::new());
    for wanted in config::listening(&config.values, &config.tables) {
        let (address, place) = (wanted.address.0, wanted.place);
        let mut listener = listen::bind(address)
            .map_err(|error| format!("cannot listen on {address} ({place}): {error}"))?;
        if let Some(site) = wanted.site {
            listener = listener.for_site(site);
        }
        if !wanted.certificates.is_empty() {
            let certificates =
                Certificates::load(wanted.certificates).map_err(|error| format!("{place}: {error}"))?;
            all.push(certificates.clone());
            listener = listener.with_tls(certificates);
        }
        listeners.push(listener);
    }
    Ok((listeners, all))
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

/// What all doors share.
struct Common {
    cache: Cache,
    hasher: KeyHasher,
    plans: Plans,
    tunnels: Arc<dyn Tunnels>,
    access: access::InForce,
    users: Users,
    reload: Reload,
}

fn service(
    values: &Values,
    common: Common,
    counted: Counted,
    log: AccessLog,
    draining: &Arc<AtomicBool>,
    mut registry: Registry,
) -> Result<Service, String> {
    let Common { cache, hasher, plans, tunnels, access, users, reload } = common;
    let responder = Responder::new(&values.server_name);
    let parts = fetch::Parts {
        cache: cache.clone(),
        hasher,
        responder: responder.clone(),
        settings: settings::fetch(values)?,
    };
    let fetch = FetchDoor::new(parts, &mut registry);
    let content_patience = values.server_content_timeout.0;
    let site = SiteDoor::new(site::Parts {
        cache: cache.clone(),
        responder: responder.clone(),
        plans: plans.clone(),
        content_patience,
    });
    let proxy = ProxyDoor::new(proxy::Parts {
        cache: cache.clone(),
        responder: responder.clone(),
        plans: plans.clone(),
        users,
        tunnels: Tunneler::new(tunnels, settings::tunnels(values), &mut registry),
        content_patience,
    });
    let metrics = counted.metrics.clone();
    let parts = admin::Parts {
        cache,
        fetch: fetch.clone(),
        plans,
        responder: responder.clone(),
        registry: Arc::new(registry),
        traffic: Arc::new(move || counted.traffic()),
        draining: Arc::clone(draining),
        settings: settings::admin(values),
    };
    let admin = AdminDoor::new(parts);
    let name = Arc::from(values.server_name.as_str());
    let hosts = values.server_hosts.iter().map(|host| host.0.as_str().into()).collect();
    let max_target = values.server_max_target.count();
    Ok(Service::new(service::Parts {
        access,
        fetch,
        site,
        proxy,
        admin,
        responder,
        log,
        metrics,
        name,
        hosts,
        max_target,
        reload: Some(reload),
    }))
}

fn texts<T: AsRef<str>>(items: &[T]) -> Vec<&str> {
    items.iter().map(AsRef::as_ref).collect()
}
