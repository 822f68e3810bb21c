//! [`Origin`]: the trait of everything that bytes come from, and its value types.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

use crate::Error;

/// Bytes of an origin's answer as they come. Transfer framing is gone and verified: a body that ends
/// short of its `Content-Length` or without its last chunk ends with an [`Error`]. Content coding is kept.
pub type OriginBody = Pin<Box<dyn http_body::Body<Data = Bytes, Error = Error> + Send>>;

/// Content of a request on its way to an origin, at the client's pace. Its size hint is exact when the client has
/// declared the length.
pub type RequestBody = Pin<Box<dyn http_body::Body<Data = Bytes, Error = Error> + Send>>;

/// Told of every interim answer (1xx but 101) when it comes (RFC 9110 section 15.2).
pub type Interim = Arc<dyn Fn(StatusCode, &HeaderMap) + Send + Sync>;

/// One request to an origin.
#[derive(Clone)]
pub struct OriginRequest {
    /// Any but CONNECT.
    pub method: Method,
    /// What is asked for; http or https, no userinfo, no fragment.
    pub url: Url,
    /// End-to-end fields, among them conditions and ranges of the fill.
    pub headers: HeaderMap,
    /// Fields with credentials (passed headers, basic authorization): dropped when a redirect leaves the host.
    pub credentials: HeaderMap,
    /// On whose behalf.
    pub purpose: Purpose,
}

/// On whose behalf an origin is asked, and so what is done with its answer on the way.
#[derive(Clone, Default)]
pub enum Purpose {
    /// The server's own, which wants the object: it follows redirects and says what it accepts itself.
    #[default]
    Object,
    /// A client's of a site or proxy: the answer is passed as it comes, redirects as well.
    Exchange(Manners),
}

/// How a client's request is passed on.
#[derive(Clone, Default)]
pub struct Manners {
    /// Who has named the origin.
    pub named_by: NamedBy,
    /// `Host`, when it is not that of the URL.
    pub host: Option<HeaderValue>,
    /// Who is told of interim answers.
    pub interim: Option<Interim>,
}

/// Who has named an origin, and so how far it is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NamedBy {
    /// Whoever sends requests: only addresses that are open to all clients.
    #[default]
    Client,
    /// The configuration: loopback and private addresses as well.
    Operator,
}

/// An origin's final answer: redirects have been followed where they are to be, 1xx dropped or passed on.
pub struct OriginResponse {
    /// The final status; never 1xx. For [`Purpose::Object`] 3xx only when it is 304 or names no place to go (300).
    pub status: StatusCode,
    /// The answer's fields, hop-by-hop ones removed.
    pub headers: HeaderMap,
    /// The bytes.
    pub body: OriginBody,
    /// Where the answer came from after redirects.
    pub url: Url,
    /// Who has to name the origin for it to be reached there: what only the operator may name, no door gives to clients who
    /// name it themselves.
    pub reach: NamedBy,
}

/// Where bytes come from: http, mirror set, s3, peer. One call is one attempt; retrying is the fill's decision.
pub trait Origin: Send + Sync + 'static {
    /// Sends the request and resolves when the final answer's head is there. A request with content is never sent
    /// twice, and its redirects are not followed.
    fn fetch(
        &self,
        request: OriginRequest,
        content: Option<RequestBody>,
    ) -> BoxFuture<'static, Result<OriginResponse, Error>>;
}

/// Bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// A connection to an origin that carries whatever its two ends say. Dropping it ends it and gives its place at the
/// host back.
pub type Tunnel = Pin<Box<dyn Duplex>>;

/// Opens tunnels for CONNECT (RFC 9110 section 9.3.6).
pub trait Tunnels: Send + Sync + 'static {
    /// Connects to a host (a name or an address, IPv6 with or without brackets) and port, under the same guard, limits,
    /// times and upstream proxies as requests to https origins. Which hosts and ports a client may have is the
    /// caller's matter, as is how long a tunnel may be silent.
    fn open(&self, host: &str, port: u16) -> BoxFuture<'static, Result<Tunnel, Error>>;
}

impl OriginRequest {
    /// A GET of the server's own.
    pub fn get(url: Url, headers: HeaderMap, credentials: HeaderMap) -> Self {
        Self { method: Method::GET, url, headers, credentials, purpose: Purpose::Object }
    }
}
