//! [`Client`]: one request, one answer's head, over a kept or new connection.
//!
//! Owns hyper's pools. Checks what hyper leaves unchecked in an answer's head, turns hyper's errors into ours and
//! bounds the wait for the head. It neither follows redirects nor retries, with one exception: a kept connection
//! that the origin closes while the request is on its way tells nothing about the origin, so that request is
//! sent once more, if it has no content and its method is idempotent (RFC 9110 section 9.2.2). hyper's own repeats
//! are off, for they do not ask for the method.

use std::error::Error as StdError;
use std::sync::Arc;

use cache::{Error, Interim, Kind};
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use protocols::http::hop;
use url::Url;

use super::content::{Content, Sending};
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

type Pool = legacy::Client<Connector, Content>;

/// Sends requests.
pub(crate) struct Client {
    pool: Pool,
    /// For requests whose `Host` is not that of their URL: hyper's HTTP/2 takes `:authority` from the URL alone.
    http1: Pool,
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
}

/// The head of a request.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: &'a Method,
    pub(crate) url: &'a Url,
    pub(crate) endpoint: &'a Endpoint,
    /// Without framing; with `Host` when it is not that of the URL.
    pub(crate) fields: HeaderMap,
    pub(crate) interim: Option<&'a Interim>,
}

impl Client {
    pub(crate) fn new(connector: Connector, settings: Arc<Settings>, metrics: Arc<Metrics>) -> Self {
        let http1 = pool(connector.of_http1(), &settings);
        Self { pool: pool(connector, &settings), http1, settings, metrics }
    }

    /// Sends a request and waits for the head of the answer, which is sound.
    pub(crate) async fn send(
        &self,
        mut request: Outgoing<'_>,
        content: Content,
        sending: &Sending,
    ) -> Result<Response<Incoming>, Error> {
        let uri: Uri = request.url.as_str().parse().map_err(|error| {
            Error::new(Kind::UrlInvalid, format!("the URL can not be sent in a request: {error}"))
        })?;
        frame(&mut request.fields, request.method, &content);
        let (limit, endpoint) = (self.settings.first_byte_timeout, request.endpoint);
        let answer = sending.bounded(limit, self.exchange(&request, &uri, content)).await;
        let response = answer.ok_or_else(|| {
            let detail = format!("{endpoint} did not begin to answer within {limit:?}");
            Error::new(Kind::OriginTimeout, detail)
        })?;
        let response = response.map_err(|error| failed(&error, endpoint, sending))?;
        check_head(&response, endpoint, &self.settings)?;
        Ok(response)
    }

    async fn exchange(
        &self,
        request: &Outgoing<'_>,
        uri: &Uri,
        content: Content,
    ) -> Result<Response<Incoming>, legacy::Error> {
        if !content.is_none() || !request.method.is_idempotent() {
            return self.send_once(request, uri, content).await;
        }
        let mut sent_before = false;
        loop {
            let error = match self.send_once(request, uri, Content::none()).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            match closed_while_idle(&error) {
                // Each time costs a kept connection, so there is an end to it.
                Some(Progress::Unsent) => {}
                Some(Progress::Sent) if !sent_before => {
                    sent_before = true;
                    self.metrics.repeats.inc();
                }
                _ => return Err(error),
            }
        }
    }

    async fn send_once(
        &self,
        outgoing: &Outgoing<'_>,
        uri: &Uri,
        content: Content,
    ) -> Result<Response<Incoming>, legacy::Error> {
        let mut request = Request::new(content);
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = outgoing.fields.clone();
        if let Some(interim) = outgoing.interim.cloned() {
            hyper::ext::on_informational(&mut request, move |answer| {
                let mut headers = answer.headers().clone();
                hop::remove(&mut headers);
                interim(answer.status(), &headers);
            });
        }
        let pool = if outgoing.fields.contains_key(HOST) { &self.http1 } else { &self.pool };
        let response = pool.request(request).await?;
        if let Some(proven) = response.extensions().get::<Proven>() {
            proven.set();
        }
        Ok(response)
    }
}

fn pool(connector: Connector, settings: &Settings) -> Pool {
    legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(settings.pool_idle_timeout)
        .pool_max_idle_per_host(settings.max_idle_per_host)
        .retry_canceled_requests(false)
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
        .build(connector)
}

/// How the end of the content is marked (RFC 9112 section 6). A length of none is told as well, as some origins insist
/// on one.
fn frame(fields: &mut HeaderMap, method: &Method, content: &Content) {
    if content.is_none() {
        return;
    }
    if let Some(length) = content.length() {
        fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
    } else if matches!(*method, Method::GET | Method::HEAD) {
        // hyper sends no content with these unless told to; with others it chooses this itself.
        fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// How far a request got on a connection that was dead.
enum Progress {
    /// hyper found out before it wrote.
    Unsent,
    /// Perhaps as far as the origin.
    Sent,
}

/// None when the connection has never carried an answer, or when it was not its end that failed the request.
fn closed_while_idle(error: &legacy::Error) -> Option<Progress> {
    let mut extras = Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extras);
    }
    let proven = extras.get::<Proven>().is_some_and(Proven::get);
    let error = find::<hyper::Error>(error).filter(|error| proven && !error.is_parse())?;
    Some(if error.is_canceled() { Progress::Unsent } else { Progress::Sent })
}

/// What is wrong, from the content's own word, the connector's or hyper's.
fn failed(error: &legacy::Error, endpoint: &Endpoint, sending: &Sending) -> Error {
    if let Some(ours) = sending.failure().or_else(|| find::<Error>(error).cloned()) {
        return ours;
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
        && (codings.next().is_some() || !is_sound_coding(coding.as_bytes()))
    {
        return broken("has a transfer coding other than chunked");
    }
    Ok(())
}

/// `chunked`, or one word that names no coding at all (`identity`, `binary` and what else servers put there): then the
/// body is what comes until the connection ends (RFC 9112 section 6.3, rule 4), and hyper reads it so. A coding that
/// was applied we could not undo, and what looks like `chunked` is chunked for somebody.
fn is_sound_coding(coding: &[u8]) -> bool {
    const APPLIED: [&[u8]; 5] = [b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"];
    let coding = coding.trim_ascii().to_ascii_lowercase();
    let is_word =
        !coding.is_empty() && coding.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    coding == b"chunked"
        || is_word
            && !APPLIED.contains(&&*coding)
            && !coding.windows(b"chunk".len()).any(|part| part == b"chunk")
}

fn head_bytes(headers: &HeaderMap) -> usize {
    // Colon, space, CR, LF.
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}
