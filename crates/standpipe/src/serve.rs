//! `standpipe serve`: logging, runtime, the built app, its announcement, and its end.
//!
//! Owns the runtime. Invariants: everything is bound before anything is announced; whatever ends the service, lines
//! that wait for the access log are written. Deliberately knows no parts: that is `assemble`.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use doors::access_log::WriterThread;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::assemble::{self, Announced, Assembled, Reloader};
use crate::config::{Config, Values};
use crate::shutdown::{self, Signals};
use crate::{limits, logs};

/// How long what nobody waits for (idle tasks, the log's reader) may hold up the end.
const LAST_MOMENTS: Duration = Duration::from_secs(1);

/// Serves until a signal comes.
pub(crate) fn run(config: Config) -> Result<(), String> {
    let logs = logs::start(&config.values)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(file) = &config.file {
        tracing::info!(file = %file.display(), "configuration read");
    }
    limits::raise(&config.values);

    let runtime = runtime(&config.values)?;
    let (ended, log_writer) = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(|error| format!("signals cannot be heard: {error}"))?;
        let interval = config.values.server_certificate_interval.0;
        let Assembled { app, log_writer, reloader, certificates } = assemble::assemble(config, &logs)?;
        for certificates in certificates {
            tokio::spawn(certificates.watch(interval));
        }
        reload_on_signal(reloader)?;
        app.cache.restore_pins().await;
        announce(&app.listening(), &app.session_addresses());
        Ok::<_, String>((shutdown::serve_until_signal(app, &mut signals).await, log_writer))
    })?;
    // Tasks hold the access log; only when they are gone is its last line known.
    runtime.shutdown_timeout(LAST_MOMENTS);
    if let Some(log_writer) = log_writer {
        finish(log_writer);
    }
    ended
}

/// SIGHUP reads the configuration again.
fn reload_on_signal(reloader: Arc<Reloader>) -> Result<(), String> {
    let mut hangup =
        signal(SignalKind::hangup()).map_err(|error| format!("signals cannot be heard: {error}"))?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let reloader = Arc::clone(&reloader);
            // It reads files; what it says is in the log.
            let _ = tokio::task::spawn_blocking(move || reloader.reload()).await;
        }
    });
    Ok(())
}

/// Lets the access log write what waits, unless nobody takes it.
fn finish(log_writer: WriterThread) {
    let (written, is_written) = sync_channel(1);
    let joined = thread::Builder::new().spawn(move || {
        log_writer.join();
        let _ = written.try_send(());
    });
    if joined.is_err() || is_written.recv_timeout(LAST_MOMENTS).is_err() {
        tracing::warn!("the last lines of the access log could not be written");
    }
}

fn runtime(values: &Values) -> Result<Runtime, String> {
    Builder::new_multi_thread()
        .worker_threads(values.server_workers.count())
        .max_blocking_threads(values.server_blocking_threads.count())
        .thread_name("worker")
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot start: {error}"))
}

/// Says on stdout where we listen: scripts and people wait for these lines.
fn announce(listening: &[Announced], sessions: &[distcache::Address]) {
    let mut text = String::new();
    for address in sessions {
        text.push_str(&format!("standpipe listening for TLS sessions on {address}\n"));
    }
    for Announced { address, scheme, site } in listening {
        let for_site = site.as_ref().map_or(String::new(), |site| format!(" for the site {site}"));
        text.push_str(&format!("standpipe listening{for_site} on {scheme}://{address}\n"));
    }
    let main = listening.iter().find(|listener| listener.site.is_none());
    if let Some(Announced { address, scheme, .. }) = main {
        text.push_str(&format!("try: curl '{scheme}://{}/https://example.com/'\n", reachable(*address)));
    }
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        tracing::warn!(%error, "stdout cannot be written to");
    }
}

/// An address a client on this machine can use.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curl_line_names_an_address_that_can_be_reached() {
        let shown = |text: &str| reachable(text.parse().expect("an address")).to_string();
        assert_eq!(shown("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(shown("[::]:80"), "[::1]:80");
        assert_eq!(shown("10.0.0.1:80"), "10.0.0.1:80");
    }
}
