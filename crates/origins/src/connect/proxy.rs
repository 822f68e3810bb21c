//! Upstream proxies, named by the usual environment variables: `http_proxy`, `https_proxy`, `no_proxy`.
//!
//! Pure values but for [`tunnel`], which speaks CONNECT on a socket. A proxy resolves names itself, so behind one
//! the guard judges hosts, ports and literal addresses, not what a name stands for; the operator who sets a proxy
//! trusts it with that. The proxy's own address is not judged. Only `http://` proxies are supported.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cache::{Error, Kind};
use http::HeaderValue;
use ipnet::IpNet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use super::Endpoint;

/// Which requests go through which proxy. The default has none.
#[derive(Clone, Debug, Default)]
pub struct ProxySettings {
    http: Option<Proxy>,
    https: Option<Proxy>,
    bypass: Vec<Bypass>,
}

/// One proxy.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    pub(crate) endpoint: Endpoint,
    /// Value of `Proxy-Authorization`, marked as sensitive.
    pub(crate) authorization: Option<HeaderValue>,
}

/// Hosts that are asked directly.
#[derive(Clone, Debug)]
enum Bypass {
    All,
    Net(IpNet),
    /// The host itself and all names below it, at this port when there is one.
    Domain(String, Option<u16>),
}

impl ProxySettings {
    /// Reads (name, value) pairs of an environment. Lower-case names win over upper-case ones; `HTTP_PROXY` is not
    /// believed in a CGI environment (`REQUEST_METHOD` is set), where a client's `Proxy` field ends up in it.
    ///
    /// # Errors
    /// A variable that would be used names no `http://` proxy.
    pub fn from_env(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, InvalidProxy> {
        let known = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"];
        let mut values: [Option<String>; 6] = Default::default();
        let mut is_cgi = false;
        for (name, value) in pairs {
            is_cgi |= name == "REQUEST_METHOD";
            if let Some(index) = known.iter().position(|known| *known == name) {
                values[index] = Some(value);
            }
        }
        let [http, upper_http, https, upper_https, no, upper_no] = values;
        let upper_http = upper_http.filter(|_| !is_cgi);
        Ok(Self {
            http: Proxy::parse("http_proxy", http.or(upper_http))?,
            https: Proxy::parse("https_proxy", https.or(upper_https))?,
            bypass: Bypass::parse_list(&no.or(upper_no).unwrap_or_default()),
        })
    }

    /// The proxy for a target; none for this machine itself.
    pub(crate) fn proxy_for(&self, scheme: Scheme, target: &Endpoint) -> Option<&Proxy> {
        let proxy = match scheme {
            Scheme::Http => self.http.as_ref(),
            Scheme::Https => self.https.as_ref(),
        }?;
        let literal = target.literal();
        let is_local = &*target.host == "localhost" || literal.is_some_and(|address| address.is_loopback());
        let direct = is_local || self.bypass.iter().any(|bypass| bypass.covers(target, literal));
        (!direct).then_some(proxy)
    }
}

/// Plain or TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Proxy {
    fn parse(variable: &'static str, value: Option<String>) -> Result<Option<Self>, InvalidProxy> {
        let Some(value) = value.filter(|value| !value.trim().is_empty()) else { return Ok(None) };
        let value = value.trim();
        let text = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
        let invalid = || InvalidProxy { variable };
        let url = Url::parse(&text).map_err(|_| invalid())?;
        if url.scheme() != "http" {
            return Err(invalid());
        }
        let endpoint = Endpoint::of_url(&url).map_err(|_| invalid())?;
        Ok(Some(Self { endpoint, authorization: authorization(&url).map_err(|()| invalid())? }))
    }
}

fn authorization(url: &Url) -> Result<Option<HeaderValue>, ()> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let mut pair = decoded(url.username());
    pair.push(b':');
    pair.extend(decoded(url.password().unwrap_or_default()));
    let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
    let mut value = HeaderValue::from_str(&value).map_err(|_| ())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn decoded(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

impl Bypass {
    fn parse_list(list: &str) -> Vec<Self> {
        list.split([',', ' ', '\t']).filter(|item| !item.is_empty()).map(Self::parse).collect()
    }

    fn parse(item: &str) -> Self {
        if item == "*" {
            return Self::All;
        }
        if let Ok(net) = item.parse() {
            return Self::Net(net);
        }
        let bare = item.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(item);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Self::Net(address.into());
        }
        let (host, port) = match item.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.parse().ok()),
            _ => (item, None),
        };
        let host = host.strip_prefix('*').unwrap_or(host).trim_matches('.');
        Self::Domain(host.to_ascii_lowercase(), port)
    }

    fn covers(&self, target: &Endpoint, literal: Option<IpAddr>) -> bool {
        match self {
            Self::All => true,
            Self::Net(net) => literal.is_some_and(|address| net.contains(&address)),
            Self::Domain(domain, port) => {
                let host = target.host.trim_end_matches('.');
                let below = host.strip_suffix(domain.as_str());
                port.is_none_or(|port| port == target.port)
                    && below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        }
    }
}

/// Most bytes of a proxy's answer to CONNECT.
const MAX_TUNNEL_HEAD: usize = 8 * 1024;

/// Asks a proxy to pass bytes on to `target` (RFC 9110 9.3.6).
pub(crate) async fn tunnel(
    mut stream: TcpStream,
    proxy: &Proxy,
    target: &Endpoint,
    user_agent: &str,
) -> Result<TcpStream, Error> {
    let unreachable = |why: String| {
        let detail = format!("the proxy {} gives no way to {target}: {why}", proxy.endpoint);
        Error::new(Kind::OriginUnreachable, detail)
    };
    let mut head =
        format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {user_agent}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        head.extend_from_slice(b"Proxy-Authorization: ");
        head.extend_from_slice(authorization.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    stream.write_all(&head).await.map_err(|error| unreachable(error.to_string()))?;

    let mut answer = Vec::with_capacity(512);
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == MAX_TUNNEL_HEAD {
            return Err(unreachable("its answer is too long".to_owned()));
        }
        // Byte by byte, because what follows the head belongs to TLS; this is a few hundred bytes per connection.
        answer.push(stream.read_u8().await.map_err(|error| unreachable(error.to_string()))?);
    }
    match status(&answer) {
        Some(status) if status.starts_with('2') => Ok(stream),
        Some("407") => Err(unreachable("it wants credentials (user:password@ in https_proxy)".to_owned())),
        Some(status) => Err(unreachable(format!("it answers {status}"))),
        None => Err(unreachable("it does not speak HTTP".to_owned())),
    }
}

/// The three digits of `HTTP/1.x nnn …`.
fn status(answer: &[u8]) -> Option<&str> {
    let line = answer.strip_prefix(b"HTTP/1.")?;
    let digits = line.get(2..5)?;
    let ends = line.get(5).is_some_and(|byte| matches!(byte, b' ' | b'\r'));
    (ends && digits.iter().all(u8::is_ascii_digit)).then(|| std::str::from_utf8(digits).ok()).flatten()
}

/// A proxy variable that can not be used. It does not show the value, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidProxy {
    variable: &'static str,
}

impl fmt::Display for InvalidProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment's {} is not of the form http://[user:password@]host[:port]", self.variable)
    }
}

impl std::error::Error for InvalidProxy {}

#[cfg(test)]
mod tests;
