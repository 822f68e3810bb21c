//! `standpipe session serve`, alias dc_server: a session server of its own.
//!
//! One thread a core, each with a runtime and the listener of its own, so that connections never change threads. The
//! first thread also hears signals, reports, and serves metrics.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::ArgMatches;
use distcache::net::Listener;
use distcache::store::MemorySettings;
use distcache::stunnel::{Sessiond, SessiondSettings};
use distcache::{Address, Server, ServerSettings};
use doors::session::{Kept, Shown};
use prometheus_client::registry::Registry;
use tokio::net::UdpSocket;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinError;

use self::report::Report;
use super::arguments::{amount, count, time};
use super::metrics::Metrics;
use super::signals::Signals;
use super::startup::Startup;
use super::tls::Files;
use super::{Failed, Program, daemon, store};
use crate::config::Size;

mod report;

const PROGRAM: Program = Program::Server;

pub(super) fn run(arguments: &ArgMatches) -> Result<(), Failed> {
    let startup = Startup::new(PROGRAM, arguments)?;
    if startup.is_for_background() {
        return Ok(daemon::start()?);
    }
    let tls = Files::of(arguments, "tls-client-ca").server()?;
    let place = store_choice(arguments).read()?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let listener = startup.open(tls)?;
        let metrics = Metrics::bind(PROGRAM, arguments)?;
        let mut signals = Signals::listen(startup.users)?;
        let sessiond = bind_sessiond(arguments)?;
        startup.settle(&listener)?;
        // From here on there may be threads.
        let kept = place.open()?;
        let server = Server::new(Arc::clone(&kept.store), settings(arguments));
        let sessiond = sessiond.map(|socket| serve_sessiond(arguments, &kept, socket));
        let mut registry = Registry::default();
        let shown = Shown { server: Arc::clone(server.metrics()), kept: kept.clone(), sessiond };
        doors::session::register(&mut registry, shown);
        if let Some(metrics) = metrics {
            tokio::spawn(metrics.serve(registry));
        }
        spread(&server, &listener, threads(arguments))?;
        tokio::spawn(report(arguments, &server, kept).run());
        serve(&server, listener, &mut signals).await
    })?;
    Ok(())
}

/// A runtime on the thread that runs it.
pub(super) fn runtime() -> Result<Runtime, String> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot start: {error}"))
}

async fn serve(server: &Server, listener: Listener, signals: &mut Signals) -> Result<(), String> {
    let serving = server.clone();
    // A task of its own: once stopped it still takes what has come.
    let serving = tokio::spawn(async move { serving.serve(listener).await });
    tokio::select! {
        () = signals.end() => {}
        // The one connection of FD: is over, or the listener broke.
        ended = serving => whole(ended)?,
    }
    server.stop();
    tokio::select! {
        () = server.stopped() => Ok(()),
        () = signals.end() => Err("a second signal: ended at once".to_owned()),
    }
}

/// How a listener's task ended.
pub(super) fn whole(ended: Result<io::Result<()>, JoinError>) -> Result<(), String> {
    ended.map_err(io::Error::from).flatten().map_err(|error| format!("the listener broke: {error}"))
}

/// Serves on further threads; they end with the process.
fn spread(server: &Server, listener: &Listener, threads: usize) -> Result<(), String> {
    if matches!(listener.address(), Address::Fd { .. }) {
        return Ok(());
    }
    for _ in 1..threads {
        let (server, runtime) = (server.clone(), runtime()?);
        let copy = {
            let _within = runtime.enter();
            listener.try_clone().map_err(|error| format!("the listener cannot be shared: {error}"))?
        };
        let serve = move || {
            runtime.block_on(async {
                if let Err(error) = server.serve(copy).await {
                    PROGRAM.say(format_args!("a listener broke: {error}"));
                }
                server.stopped().await;
            });
        };
        let started = thread::Builder::new().name("serve".to_owned()).spawn(serve);
        started.map_err(|error| format!("a thread cannot start: {error}"))?;
    }
    Ok(())
}

fn threads(arguments: &ArgMatches) -> usize {
    match count(arguments, "threads") {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
}

fn store_choice(arguments: &ArgMatches) -> store::Choice {
    let defaults = MemorySettings::default();
    let bytes = arguments.get_one::<Size>("max-bytes");
    let file = |name: &str| arguments.get_one::<PathBuf>(name).cloned();
    store::Choice {
        url: arguments.get_one::<String>("store").cloned(),
        remote: store::Remote {
            key: file("store-key"),
            prefix: arguments.get_one::<String>("store-prefix").cloned(),
            timeout: arguments.get_one::<Duration>("store-timeout").copied(),
            ca: file("store-ca"),
            certificate: file("store-certificate"),
            certificate_key: file("store-certificate-key"),
        },
        memory: MemorySettings {
            sessions: count(arguments, "sessions"),
            bytes: bytes.map_or(defaults.bytes, |size| usize::try_from(size.0).unwrap_or(usize::MAX)),
        },
    }
}

fn settings(arguments: &ArgMatches) -> ServerSettings {
    let defaults = ServerSettings::default();
    ServerSettings {
        connections: count(arguments, "connections"),
        idle: arguments.get_one("idle").copied().filter(|idle| *idle > Duration::ZERO),
        partial: time(arguments, "request-timeout", defaults.partial),
        stalled: time(arguments, "write-timeout", defaults.stalled),
        min_ttl_ms: u32::try_from(time(arguments, "min-ttl", Duration::ZERO).as_millis()).unwrap_or(u32::MAX),
        allow_uids: allowed_uids(arguments),
        drain: time(arguments, "grace", defaults.drain),
        ..defaults
    }
}

/// Where stunnels ask, when that is wanted.
fn bind_sessiond(arguments: &ArgMatches) -> Result<Option<UdpSocket>, String> {
    let Some(address) = arguments.get_one::<SocketAddr>("sessiond") else { return Ok(None) };
    let bind = || -> io::Result<_> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        let bound = socket.local_addr()?;
        Ok((UdpSocket::from_std(socket)?, bound))
    };
    let (socket, bound) = bind().map_err(|error| format!("sessiond on {address}: {error}"))?;
    PROGRAM.say(format_args!("sessiond on udp {bound}"));
    Ok(Some(socket))
}

fn serve_sessiond(arguments: &ArgMatches, kept: &Kept, socket: UdpSocket) -> Sessiond {
    let mut settings = SessiondSettings::default();
    if let Some(allowed) = arguments.get_many::<IpAddr>("sessiond-allow") {
        settings.allow = Some(allowed.copied().collect());
    }
    let sessiond = Sessiond::new(Arc::clone(&kept.store), settings);
    let serving = sessiond.clone();
    tokio::spawn(async move {
        if let Err(error) = serving.serve(socket).await {
            PROGRAM.say(format_args!("sessiond broke: {error}"));
        }
    });
    sessiond
}

/// `None` lets everyone in.
pub(super) fn allowed_uids(arguments: &ArgMatches) -> Option<Vec<u32>> {
    let given = arguments.get_many::<u64>("allow-uid")?;
    Some(given.filter_map(|uid| u32::try_from(*uid).ok()).collect())
}

fn report(arguments: &ArgMatches, server: &Server, kept: Kept) -> Report {
    Report {
        server: Arc::clone(server.metrics()),
        kept,
        progress: amount(arguments, "progress"),
        form: if arguments.get_flag("json") { report::Form::Json } else { report::Form::Line },
    }
}
