//! [`Client`]: one request, one answer's head, over a kept or new connection.
//!
//! Owns hyper's pool. Checks what hyper leaves unchecked in an answer's head, turns hyper's errors into ours and
//! bounds the wait for the head. It neither follows redirects nor retries, with one exception: a kept connection
//! that the origin closes while the request is on its way tells nothing about the origin, so that request is
//! sent once more (RFC 9110 9.2.2; only GET is ever sent).

use std::error::Error as StdError;
use std::sync::Arc;

use bytes::Bytes;
use cache::{Error, Kind};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Extensions, HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use url::Url;

use crate::Settings;
use crate::connect::Endpoint;
use crate::connect::connector::Connector;
use crate::connect::link::Proven;
use crate::metrics::Metrics;

/// HTTP/2 flow-control windows: a connection's and a stream's share of what an origin may send ahead.
const H2_CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
const H2_STREAM_WINDOW: u32 = 4 * 1024 * 1024;
/// The least that hyper takes as a read buffer.
const LEAST_READ_BUFFER: usize = 8 * 1024;

/// Sends requests.
pub(crate) struct Client {
    pool: legacy::Client<Connector, Empty<Bytes>>,
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
}

impl Client {
    pub(crate) fn new(connector: Connector, settings: Arc<Settings>, metrics: Arc<Metrics>) -> Self {
        let pool = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(settings.pool_idle_timeout)
            .pool_max_idle_per_host(settings.max_idle_per_host)
            // Adaptive: 8 KiB first, doubled while reads come back full. A small answer never pays for a big
            // buffer, a big body comes in frames of up to this size.
            // It also holds the head while that is not whole.
            .http1_max_buf_size(settings.read_buffer.max(settings.max_head_bytes).max(LEAST_READ_BUFFER))
            .http1_max_headers(settings.max_head_fields)
            .http2_keep_alive_interval(settings.tcp_keepalive)
            .http2_keep_alive_timeout(settings.connect_timeout)
            .http2_keep_alive_while_idle(true)
            .http2_initial_connection_window_size(H2_CONNECTION_WINDOW)
            .http2_initial_stream_window_size(H2_STREAM_WINDOW)
            .http2_max_header_list_size(u32::try_from(settings.max_head_bytes).unwrap_or(u32::MAX))
            .build(connector);
        Self { pool, settings, metrics }
    }

    /// Sends a GET and waits for the head of the answer, which is sound.
    pub(crate) async fn get(
        &self,
        url: &Url,
        endpoint: &Endpoint,
        headers: HeaderMap,
    ) -> Result<Response<Incoming>, Error> {
        let uri: Uri = url.as_str().parse().map_err(|error| {
            Error::new(Kind::UrlInvalid, format!("the URL can not be sent in a request: {error}"))
        })?;
        let limit = self.settings.first_byte_timeout;
        let response =
            tokio::time::timeout(limit, self.send(uri, endpoint, headers)).await.map_err(|_| {
                let detail = format!("{endpoint} did not begin to answer within {limit:?}");
                Error::new(Kind::OriginTimeout, detail)
            })??;
        check_head(&response, endpoint, &self.settings)?;
        Ok(response)
    }

    async fn send(
        &self,
        uri: Uri,
        endpoint: &Endpoint,
        headers: HeaderMap,
    ) -> Result<Response<Incoming>, Error> {
        let error = match self.send_once(uri.clone(), headers.clone()).await {
            Ok(response) => return Ok(response),
            Err(error) if closed_while_idle(&error) => {
                self.metrics.repeats.inc();
                match self.send_once(uri, headers).await {
                    Ok(response) => return Ok(response),
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        Err(failed(&error, endpoint))
    }

    async fn send_once(&self, uri: Uri, headers: HeaderMap) -> Result<Response<Incoming>, legacy::Error> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let response = self.pool.request(request).await?;
        if let Some(proven) = response.extensions().get::<Proven>() {
            proven.set();
        }
        Ok(response)
    }
}

fn closed_while_idle(error: &legacy::Error) -> bool {
    let mut extras = Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extras);
    }
    let proven = extras.get::<Proven>().is_some_and(Proven::get);
    proven && find::<hyper::Error>(error).is_some_and(|error| !error.is_parse())
}

/// What is wrong, from the connector's own word or hyper's.
fn failed(error: &legacy::Error, endpoint: &Endpoint) -> Error {
    if let Some(ours) = find::<Error>(error) {
        return ours.clone();
    }
    let cause = root_cause(error);
    let Some(hyper) = find::<hyper::Error>(error) else {
        return Error::new(Kind::OriginUnreachable, format!("no exchange with {endpoint}: {cause}"));
    };
    if hyper.is_parse() {
        return Error::new(Kind::OriginBroken, format!("{endpoint} does not answer in HTTP: {cause}"));
    }
    if hyper.is_incomplete_message() {
        let detail = format!("{endpoint} closed the connection before its answer's head was whole");
        return Error::new(Kind::OriginBroken, detail);
    }
    Error::new(Kind::OriginUnreachable, format!("the connection to {endpoint} failed: {cause}"))
}

fn find<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// The innermost error, which says what happened; those around it say where.
pub(crate) fn root_cause<'e>(error: &'e (dyn StdError + 'static)) -> &'e (dyn StdError + 'static) {
    chain(error).last().unwrap_or(error)
}

fn chain<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// What hyper lets pass (user demand 4c 1-3, 10): framing that another reader might take otherwise, a protocol
/// switch nobody asked for, a head above our limit. Field folding, spaces before colons, control characters and
/// lengths that differ or are no numbers never come this far.
fn check_head<B>(response: &Response<B>, endpoint: &Endpoint, settings: &Settings) -> Result<(), Error> {
    let broken = |what: &str| Err(Error::new(Kind::OriginBroken, format!("the answer of {endpoint} {what}")));
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return broken("switches protocols unasked (101)");
    }
    let headers = response.headers();
    if head_bytes(headers) > settings.max_head_bytes {
        return broken(&format!("has a head of more than {} bytes", settings.max_head_bytes));
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        if lengths.next().is_some() || !length.as_bytes().iter().all(u8::is_ascii_digit) {
            return broken("has more than one Content-Length");
        }
        if headers.contains_key(TRANSFER_ENCODING) {
            return broken("has both Content-Length and Transfer-Encoding");
        }
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next()
        && (codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return broken("has a transfer coding other than chunked");
    }
    Ok(())
}

fn head_bytes(headers: &HeaderMap) -> usize {
    // Colon, space, CR, LF.
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}
