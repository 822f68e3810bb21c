//! The small HTTP client of the commands: one connection, one request, to a Standpipe server.
//!
//! Owns the connection's task, which ends with the answer. Every wait is bounded. Deliberately speaks only plain
//! HTTP/1.1, follows no redirect and keeps no connection: it talks to our own server.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use crate::config::SERVER_VARIABLE;

const DEFAULT_SERVER: &str = "http://127.0.0.1:8001";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest answer that is kept in memory.
const LONGEST_TEXT: usize = 1 << 20;

/// What may stand in a query value as it is (RFC 3986 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where the server is.
#[derive(Clone, Debug)]
pub(super) struct Server {
    base: Url,
}

impl Server {
    /// The server that was named, else that of the environment, else the default one.
    pub(super) fn new(named: Option<&str>) -> Result<Self, String> {
        let by_environment = std::env::var(SERVER_VARIABLE).ok().filter(|text| !text.is_empty());
        let text = named.map(str::to_owned).or(by_environment).unwrap_or_else(|| DEFAULT_SERVER.to_owned());
        let whole = if text.contains("://") { text.clone() } else { format!("http://{text}") };
        let base = Url::parse(&whole).map_err(|error| format!("the server `{text}` is no URL: {error}"))?;
        if base.scheme() != "http" || !base.has_host() {
            return Err(format!("the server `{text}` must be an http URL such as {DEFAULT_SERVER}"));
        }
        Ok(Self { base })
    }

    /// The server's URL without a slash at its end.
    pub(super) fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Sends one request; `query` values are escaped here. Waits at most `patience` for the head of the answer.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        patience: Duration,
    ) -> Result<Response<Incoming>, String> {
        self.exchange(self.request(method, path, query, Bytes::new())?, patience).await
    }

    /// Sends one request with JSON. Waits at most `patience` for the head of the answer.
    pub(super) async fn send_json(
        &self,
        method: Method,
        path: &str,
        content: &Value,
        patience: Duration,
    ) -> Result<Response<Incoming>, String> {
        let mut request = self.request(method, path, &[], Bytes::from(content.to_string()))?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.exchange(request, patience).await
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        patience: Duration,
    ) -> Result<Response<Incoming>, String> {
        let place = self.place();
        let unreachable = |cause: String| format!("no answer from the server at {}: {cause}", self.base());
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(&place))
            .await
            .map_err(|_| unreachable("connecting took too long".to_owned()))?
            .map_err(|error| unreachable(format!("{error}; is it running? Start it with `standpipe`")))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(error.to_string()))?;
        // The task ends when the answer has been read or dropped; its error reaches us through the body.
        tokio::spawn(connection);
        timeout(patience, sender.send_request(request))
            .await
            .map_err(|_| unreachable(format!("nothing came for {} s", patience.as_secs())))?
            .map_err(|error| unreachable(error.to_string()))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        content: Bytes,
    ) -> Result<Request<Full<Bytes>>, String> {
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let target = format!("{}{path}{mark}{}", self.base.path().trim_end_matches('/'), query.join("&"));
        Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, self.authority())
            .header(USER_AGENT, concat!("standpipe-cli/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(content))
            .map_err(|error| format!("the request cannot be made: {error}"))
    }

    fn authority(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        self.base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    fn place(&self) -> String {
        format!(
            "{}:{}",
            self.base.host_str().unwrap_or_default(),
            self.base.port_or_known_default().unwrap_or(80)
        )
    }
}

/// A query value, escaped.
pub(super) fn escaped(value: &str) -> String {
    utf8_percent_encode(value, UNRESERVED).to_string()
}

/// The whole answer as text: for answers that people read. Bounded in length and time.
pub(super) async fn text(response: Response<Incoming>, patience: Duration) -> Result<String, String> {
    let body = Limited::new(response.into_body(), LONGEST_TEXT).collect();
    let body = timeout(patience, body).await.map_err(|_| "the answer did not end in time".to_owned())?;
    let body = body.map_err(|error| format!("the answer broke off: {error}"))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

/// A sentence for an answer that is none of the expected ones.
pub(super) async fn refusal(response: Response<Incoming>, patience: Duration) -> String {
    let status = response.status();
    let body = text(response, patience).await.unwrap_or_default();
    format!("{}: {}", shown(status), printable(body.trim()))
}

/// Status and its name.
fn shown(status: StatusCode) -> String {
    status
        .canonical_reason()
        .map_or_else(|| status.as_u16().to_string(), |name| format!("{} {name}", status.as_u16()))
}

/// Text of the network without what could steer a terminal.
pub(super) fn printable(text: &str) -> String {
    let cleaned = text.chars().take(2000).map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c });
    cleaned.collect()
}

/// The length the server declares.
pub(super) fn declared_length(response: &Response<Incoming>) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_url_or_by_address() {
        let server = |text| Server::new(Some(text));
        assert_eq!(server("http://a.example/x/").expect("valid").base(), "http://a.example/x");
        assert_eq!(server("a.example:81").expect("valid").place(), "a.example:81");
        assert_eq!(server("http://[::1]").expect("valid").place(), "[::1]:80");
        for text in ["https://a.example", "ftp://a", "http://", "http://a:99999"] {
            assert!(server(text).is_err(), "{text}");
        }
    }

    #[test]
    fn query_values_are_escaped_and_the_servers_path_is_kept() {
        let server = Server::new(Some("http://a.example:81/x")).expect("valid");
        let request = server
            .request(Method::GET, "/fetch", &[("url", "http://o/a b?c=1&d#é")], Bytes::new())
            .expect("made");
        assert_eq!(request.uri(), "/x/fetch?url=http%3A%2F%2Fo%2Fa%20b%3Fc%3D1%26d%23%C3%A9");
        assert_eq!(request.headers()[HOST], "a.example:81");
    }

    // user-demand.md 4c: 82 (terminal escapes).
    #[test]
    fn text_of_the_network_cannot_steer_a_terminal() {
        assert_eq!(printable("a\u{1b}[2J\nb"), "a\u{fffd}[2J\nb");
    }
}
