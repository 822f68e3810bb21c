//! [`Connections`]: runs one connection after another through hyper.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::drain::Drain;
use super::settings::Settings;
use crate::exchange::fields::Scheme;
use crate::service::Service;
use crate::wire::{Entrance, Limits, Peer, Socket, Wire};

/// hyper refuses to work with less.
const LEAST_BUFFER: usize = 8192;

/// Most bytes of frames beside requests, from one request to the next: weeks of pings, or the content of a request that was
/// answered before it came.
const SMALL_TALK: usize = 1024 * 1024;

/// By which way a listener's connections come in.
pub(super) struct Way {
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) site: Option<Arc<str>>,
}

/// What all connections of a listener share.
pub(super) struct Connections {
    service: Service,
    protocol: auto::Builder<TokioExecutor>,
    settings: Settings,
    way: Way,
}

impl Connections {
    pub(super) fn new(service: Service, settings: Settings, way: Way) -> Self {
        Self { service, protocol: protocol(&settings), settings, way }
    }

    /// Serves one connection to its end.
    pub(super) async fn run(&self, socket: TcpStream, address: SocketAddr, mut drain: Drain) {
        let recorder = self.service.recorder();
        let _live = recorder.metrics.connection_opened();
        let scheme = if self.way.tls.is_some() { Scheme::Https } else { Scheme::Http };
        let entrance = Entrance { local: socket.local_addr().ok(), scheme, site: self.way.site.clone() };
        let Some(socket) = self.secured(socket, address, &mut drain).await else { return };
        let peer = Arc::new(Peer::entering(address, entrance, recorder.clone()));
        let wire = Wire::new(socket, Arc::clone(&peer), self.limits());
        let shared = Arc::new((self.service.clone(), Arc::clone(&peer)));
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(shared.0.handle(&shared.1, request).await) }
        });
        let mut connection = pin!(self.protocol.serve_connection_with_upgrades(wire, service));
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = drain.begun() => {
                connection.as_mut().graceful_shutdown();
                match tokio::time::timeout(self.settings.grace, connection).await {
                    Ok(ended) => ended,
                    Err(_) => return tracing::info!(%address, "connection cut at the end of the grace period"),
                }
            }
        };
        if let Err(error) = ended {
            self.note_end(address, &*error);
        }
        if let Some(tunnel) = peer.take_tunnel() {
            self.outlast(tunnel, drain).await;
        }
    }

    /// The socket, after the TLS handshake where there is to be one.
    async fn secured(&self, socket: TcpStream, address: SocketAddr, drain: &mut Drain) -> Option<Socket> {
        let Some(config) = &self.way.tls else { return Some(Socket::from(socket)) };
        let handshake = TlsAcceptor::from(Arc::clone(config)).accept(socket);
        let done = tokio::select! {
            done = tokio::time::timeout(self.settings.head_timeout, handshake) => done,
            () = drain.begun() => return None,
        };
        let problem = match done {
            Ok(Ok(stream)) => return Some(Socket::from(stream)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long".to_owned(),
        };
        self.service.recorder().metrics.handshake_failed();
        tracing::debug!(%address, problem, "TLS handshake failed");
        None
    }

    /// Waits for a tunnel, which holds the connection's place; after a drain has begun no longer than for others.
    async fn outlast(&self, mut tunnel: JoinHandle<()>, mut drain: Drain) {
        let left = tokio::select! {
            _ = &mut tunnel => return,
            () = drain.begun() => tokio::time::timeout(self.settings.grace, &mut tunnel).await,
        };
        if left.is_err() {
            tunnel.abort();
        }
    }

    const fn limits(&self) -> Limits {
        let Settings { write_timeout, head_timeout, idle_timeout, max_head_bytes, .. } = self.settings;
        let aside = max_head_bytes.saturating_add(SMALL_TALK);
        Limits { write: write_timeout, head: head_timeout, idle: idle_timeout, aside }
    }

    /// A request that hyper refused never reached the service; it ends as an event all the same.
    fn note_end(&self, address: SocketAddr, error: &(dyn Error + 'static)) {
        tracing::debug!(%address, error, "connection ended");
        let Some(error) = error.downcast_ref::<hyper::Error>() else { return };
        if error.is_parse() {
            let status = if error.is_parse_too_large() {
                http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            } else {
                http::StatusCode::BAD_REQUEST
            };
            self.service.recorder().record_malformed(address.ip(), status);
        }
    }
}

/// How connections speak: HTTP/1.1, or HTTP/2 when the client begins with its preface. Nothing is left to defaults.
pub(crate) fn protocol(settings: &Settings) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        // The wire keeps the time: one timer a connection, not one a request.
        .header_read_timeout(None)
        .keep_alive(true)
        .half_close(false)
        .max_headers(settings.max_headers)
        .max_buf_size(settings.max_head_bytes.max(LEAST_BUFFER))
        // Zero copy rests on both: queued buffers keep their addresses, flattened ones do not.
        .writev(true)
        .pipeline_flush(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.max_streams)
        .max_pending_accept_reset_streams(settings.max_reset_streams)
        .max_header_list_size(u32::try_from(settings.max_head_bytes).unwrap_or(u32::MAX))
        .max_send_buf_size(settings.max_stream_buffer)
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(64 * 1024)
        .keep_alive_interval(settings.ping_interval)
        .keep_alive_timeout(settings.ping_timeout);
    builder
}
