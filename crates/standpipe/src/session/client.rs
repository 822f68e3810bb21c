//! `standpipe session client`, alias dc_client: many local clients on one connection to a server.
//!
//! One thread: the work is to hand bytes on, and all of them go through one connection.

use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use distcache::Address;
use distcache::net::{Connector, Listener};
use distcache::proxy::{Proxy, ProxySettings};
use prometheus_client::registry::Registry;

use super::arguments::{amount, count, time};
use super::metrics::Metrics;
use super::serve::{allowed_uids, runtime, whole};
use super::signals::Signals;
use super::startup::Startup;
use super::tls::Files;
use super::{Failed, Program, daemon};

pub(super) fn run(arguments: &ArgMatches) -> Result<(), Failed> {
    let startup = Startup::new(Program::Client, arguments)?;
    let address = server(arguments)?;
    let to_server = Files::of(arguments, "tls-ca").client_of(&address)?;
    if startup.is_for_background() {
        return Ok(daemon::start()?);
    }
    let from_clients = Files::of(arguments, "tls-client-ca");
    // A certificate may be meant for the server alone.
    let from_clients = if from_clients.authority.is_some() { from_clients.server()? } else { None };
    let runtime = runtime()?;
    runtime.block_on(async {
        let listener = startup.open(from_clients)?;
        let metrics = Metrics::bind(Program::Client, arguments)?;
        let mut signals = Signals::listen(startup.users)?;
        startup.settle(&listener)?;
        let connector = Connector { tls: to_server, ..Connector::new(address) };
        let proxy = Proxy::start(connector, settings(arguments));
        let mut registry = Registry::default();
        doors::session::register_proxy(&mut registry, Arc::clone(proxy.metrics()));
        if let Some(metrics) = metrics {
            tokio::spawn(metrics.serve(registry));
        }
        serve(&proxy, listener, &mut signals).await
    })?;
    Ok(())
}

async fn serve(proxy: &Proxy, listener: Listener, signals: &mut Signals) -> Result<(), String> {
    let serving = proxy.clone();
    // A task of its own: once stopped it still takes what has come.
    let serving = tokio::spawn(async move { serving.serve(listener).await });
    tokio::select! {
        () = signals.end() => {}
        ended = serving => whole(ended)?,
    }
    proxy.stop();
    tokio::select! {
        () = proxy.stopped() => Ok(()),
        () = signals.end() => Err("a second signal: ended at once".to_owned()),
    }
}

/// The one server.
fn server(arguments: &ArgMatches) -> Result<Address, Failed> {
    let mut given = arguments.get_many::<Address>("server").into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(address), None) => Ok(address.clone()),
        _ => Err(Failed::Usage("exactly one server is needed (-server or -connect)".to_owned())),
    }
}

fn settings(arguments: &ArgMatches) -> ProxySettings {
    let defaults = ProxySettings::default();
    let milliseconds = |name| Duration::from_millis(amount(arguments, name));
    ProxySettings {
        clients: count(arguments, "connections"),
        in_flight: count(arguments, "in-flight"),
        retry: milliseconds("retry"),
        idle: Some(milliseconds("idle")).filter(|idle| *idle > Duration::ZERO),
        timeout: time(arguments, "timeout", defaults.timeout),
        partial: time(arguments, "request-timeout", defaults.partial),
        stalled: time(arguments, "write-timeout", defaults.stalled),
        allow_uids: allowed_uids(arguments),
        drain: time(arguments, "grace", defaults.drain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::arguments;

    #[test]
    fn the_server_is_named_once_by_either_switch() {
        let named = |words: &[&str]| {
            let words = ["dc_client"].iter().chain(words);
            let matches = arguments::classic(Program::Client).try_get_matches_from(words).ok()?;
            server(&matches).ok().map(|address| address.to_string())
        };
        assert_eq!(named(&["--server=UNIX:/s"]).as_deref(), Some("UNIX:/s"));
        assert_eq!(named(&["--connect=IP:localhost:1"]).as_deref(), Some("IP:localhost:1"));
        assert_eq!(named(&["--server=UNIX:/s", "--connect=UNIX:/s"]), None);
        assert_eq!(named(&[]), None);
        assert_eq!(named(&["--server=IP:1"]), None);
    }
}
