//! [`Origin`]: the trait of everything that bytes come from, and its value types.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, StatusCode};
use url::Url;

use crate::Error;

/// Bytes of an origin's answer as they come. Transfer framing is gone and verified: a body that ends
/// short of its `Content-Length` or without its last chunk ends with an [`Error`]. Content coding is kept.
pub type OriginBody = Pin<Box<dyn http_body::Body<Data = Bytes, Error = Error> + Send>>;

/// One GET to an origin.
#[derive(Clone, Debug)]
pub struct OriginRequest {
    /// What to get; http or https, no userinfo, no fragment.
    pub url: Url,
    /// Conditional and range fields set by the fill.
    pub headers: HeaderMap,
    /// Fields with credentials (passed headers, basic authorization): dropped when a redirect leaves the host.
    pub credentials: HeaderMap,
}

/// An origin's final answer: redirects have been followed, 1xx dropped.
pub struct OriginResponse {
    /// The final status; never 1xx, and 3xx only 304 or one that names no place to go (300).
    pub status: StatusCode,
    /// The answer's fields, hop-by-hop ones removed.
    pub headers: HeaderMap,
    /// The bytes.
    pub body: OriginBody,
    /// Where the answer came from after redirects.
    pub url: Url,
}

/// Where bytes come from: http, mirror set, s3, peer. One call is one attempt; retrying is the fill's decision.
pub trait Origin: Send + Sync + 'static {
    /// Sends the request and resolves when the final answer's head is there.
    fn fetch(&self, request: OriginRequest) -> BoxFuture<'static, Result<OriginResponse, Error>>;
}
