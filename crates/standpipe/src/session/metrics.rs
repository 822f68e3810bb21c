//! `--metrics ADDRESS`: the counters of a session program for Prometheus, over HTTP.
//!
//! Bound with everything else, before the user changes. Answers `GET /metrics` and nothing else; a reader that is slow
//! or one too many is closed.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::ArgMatches;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::Program;

const TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
/// Prometheus and a few people.
const CONNECTIONS: usize = 16;
/// A connection asks, is answered, and goes.
const PATIENCE: Duration = Duration::from_secs(10);
/// After an accept failed for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Bound, not yet answering.
pub(super) struct Metrics(TcpListener);

impl Metrics {
    /// Binds, when that is wanted.
    pub(super) fn bind(program: Program, arguments: &ArgMatches) -> Result<Option<Self>, String> {
        let Some(address) = arguments.get_one::<SocketAddr>("metrics") else { return Ok(None) };
        let bind = || -> io::Result<_> {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let bound = listener.local_addr()?;
            Ok((listener, bound))
        };
        let (listener, bound) = bind().map_err(|error| format!("metrics on {address}: {error}"))?;
        program.say(format_args!("metrics on http://{bound}/metrics"));
        Ok(Some(Self(listener)))
    }

    /// Answers for ever.
    pub(super) async fn serve(self, registry: Registry) {
        let (registry, room) = (Arc::new(registry), Arc::new(Semaphore::new(CONNECTIONS)));
        let Ok(listener) = tokio::net::TcpListener::from_std(self.0) else { return };
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let (registry, permit) = (Arc::clone(&registry), Arc::clone(&room).try_acquire_owned());
            tokio::spawn(async move {
                if let Ok(_permit) = permit {
                    let _ = timeout(PATIENCE, answer(stream, &registry)).await;
                }
            });
        }
    }
}

async fn answer(stream: TcpStream, registry: &Registry) {
    let service = service_fn(async |request| Ok::<_, Infallible>(page(&request, registry)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever asked has the answer or is gone.
    let _ = connection.await;
}

fn page<B>(request: &Request<B>, registry: &Registry) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" || request.method() != http::Method::GET {
        return status(StatusCode::NOT_FOUND, "GET /metrics is all there is\n");
    }
    let mut text = String::new();
    // Writing to a string fails only when a metric of ours cannot encode itself.
    if prometheus_client::encoding::text::encode(&mut text, registry).is_err() {
        return status(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a metric could not be encoded; please report it\n",
        );
    }
    let mut response = Response::new(Full::from(text));
    response.headers_mut().insert(CONTENT_TYPE, TYPE);
    response
}

fn status(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}
