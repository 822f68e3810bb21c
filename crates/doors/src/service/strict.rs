//! What a request must be before any door sees it.
//!
//! hyper has parsed it and refused what is malformed; this refuses what two servers in a row could read differently
//! (framing, target, host) and what can only be a mistake or a loop. Pure: looks at the head, changes nothing.

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, StatusCode, Version};
use protocols::http::via::{self, Hops};

use crate::respond::Refusal;
use crate::wire::{Framing, Peer};

/// Whether a request has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attached {
    Nothing,
    Body,
}

/// What the door takes beside plain requests.
#[derive(Clone, Copy, Debug)]
pub(super) enum Takes<'a> {
    /// Content with a declared length.
    Declared,
    /// Content however it is framed, as this connection has seen it.
    Content(&'a Peer),
    /// CONNECT.
    Tunnels,
}

/// What is expected of every request.
#[derive(Debug)]
pub(super) struct Strictness {
    /// Our pseudonym in `Via`.
    name: Box<str>,
    /// Most bytes of a request target.
    max_target: usize,
}

impl Strictness {
    pub(super) fn new(name: &str, max_target: usize) -> Self {
        // As it stands in what we send, where not every character can.
        let member = via::member(Version::HTTP_11, name);
        let name =
            member.to_str().ok().and_then(|member| member.split_once(' ')).map_or(name, |(_, name)| name);
        Self { name: name.into(), max_target }
    }

    /// The refusal, when the request must not go on. The connection is to be closed after it.
    pub(super) fn check(&self, head: &Parts, attached: Attached, takes: Takes<'_>) -> Result<(), Refusal> {
        self.check_target(head, takes)?;
        let mut via = Via::Absent;
        for (name, value) in &head.headers {
            match *name {
                header::TRANSFER_ENCODING => check_coding(head, value, takes)?,
                header::EXPECT if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
                    let detail = "the only expectation understood is `100-continue`";
                    return Err(Refusal::new(StatusCode::EXPECTATION_FAILED, "expectation", detail));
                }
                header::VIA => via = Via::There,
                _ => {}
            }
        }
        check_host(head)?;
        if via == Via::There {
            self.check_hops(&head.headers)?;
        }
        // Content of a GET has no meaning (RFC 9110 section 9.3.1): passed on it could be a second request to somebody, kept
        // back it could be half of a question. Nobody needs it, so it is refused.
        if attached == Attached::Body && matches!(head.method, Method::GET | Method::HEAD) {
            let detail = format!("a {} request has no body here; send it without one", head.method);
            return Err(Refusal::bad_request("body", detail));
        }
        // What follows the head of a CONNECT is the tunnel's (RFC 9110 section 9.3.6); a length says that it is not.
        if head.method == Method::CONNECT
            && head.headers.get_all(header::CONTENT_LENGTH).iter().any(|length| length != "0")
        {
            return Err(Refusal::bad_request("body", "a CONNECT request has no body; send it without one"));
        }
        Ok(())
    }

    fn check_target(&self, head: &Parts, takes: Takes<'_>) -> Result<(), Refusal> {
        // Tracing shows fields to whoever made the client ask.
        let is_tunnel = head.method == Method::CONNECT;
        if head.method == Method::TRACE || (is_tunnel && !matches!(takes, Takes::Tunnels)) {
            return Err(Refusal::method("GET, HEAD", format!("{} is not offered here", head.method)));
        }
        // RFC 9112 section 3.2.4: it is no path.
        if head.uri.path() == "*" && head.method != Method::OPTIONS {
            return Err(Refusal::bad_request("target_invalid", "`*` can be asked with OPTIONS only"));
        }
        let path = head.uri.path_and_query().map_or(0, |path| path.as_str().len());
        let authority = head.uri.authority().map_or(0, |authority| authority.as_str().len());
        let length = path + authority;
        if length > self.max_target {
            let detail =
                format!("the request target has {length} bytes; at most {} are taken", self.max_target);
            return Err(Refusal::new(StatusCode::URI_TOO_LONG, "target_too_long", detail));
        }
        Ok(())
    }

    fn check_hops(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if Hops::from_headers(headers, &self.name).ours == 0 {
            return Ok(());
        }
        let detail = format!(
            "the request has passed through `{}` before; an origin or proxy setting makes a circle",
            self.name
        );
        Err(Refusal::new(StatusCode::LOOP_DETECTED, "loop", detail))
    }
}

/// One coding, `chunked`, alone (RFC 9112 sections 6.1 and 6.3): everything else two servers may read differently.
fn check_coding(head: &Parts, value: &HeaderValue, takes: Takes<'_>) -> Result<(), Refusal> {
    let Takes::Content(peer) = takes else {
        let detail = "no request here has a body in chunks; send it without `Transfer-Encoding`";
        return Err(Refusal::bad_request("transfer_encoding", detail));
    };
    let is_alone = head.headers.get_all(header::TRANSFER_ENCODING).iter().nth(1).is_none();
    if is_alone && peer.raw_head.framing() == Framing::Doubtful {
        let detail = "`Content-Length` and `Transfer-Encoding` are both there, or the request came in one piece with the one before; send one of them, and wait for answers";
        return Err(Refusal::bad_request("transfer_encoding", detail));
    }
    if head.version == Version::HTTP_11 && is_alone && value.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let detail = "the only transfer coding taken is `chunked`, once, in HTTP/1.1";
    Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, "transfer_encoding", detail))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Via {
    Absent,
    There,
}

/// `Host` is there when it must be, looks like a host, and is what the target says (RFC 9112 section 3.2).
fn check_host(head: &Parts) -> Result<(), Refusal> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host,
        (Some(_), Some(_)) => {
            return Err(Refusal::bad_request("host_twice", "send one `Host` field, not two"));
        }
        (None, _) if head.version == Version::HTTP_11 => {
            return Err(Refusal::bad_request("host_missing", "HTTP/1.1 needs a `Host` field"));
        }
        // A user name there is a mistake or a trick (RFC 9110 section 4.2.4); with `Host`, the two are not the same.
        (None, _) if head.uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
            return Err(Refusal::bad_request(
                "host_invalid",
                "leave the user name out of the request target",
            ));
        }
        (None, _) => return Ok(()),
    };
    if !host.as_bytes().iter().all(|byte| is_host_byte(*byte)) {
        return Err(Refusal::bad_request(
            "host_invalid",
            "`Host` must be a host name or address, and a port",
        ));
    }
    match head.uri.authority() {
        // Of a tunnel's target some leave the port out.
        Some(authority)
            if head.method == Method::CONNECT
                && authority.host().as_bytes().eq_ignore_ascii_case(host.as_bytes()) =>
        {
            Ok(())
        }
        Some(authority) if !is_same(authority, host.as_bytes(), head.uri.scheme_str()) => {
            let detail = "the request target and `Host` name different servers; send the same in both";
            Err(Refusal::bad_request("host_mismatch", detail))
        }
        _ => Ok(()),
    }
}

/// Bytes of names, addresses in brackets, ports, and percent-encoded names.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~' | b':' | b'[' | b']' | b'%')
}

fn is_same(authority: &Authority, host: &[u8], scheme: Option<&str>) -> bool {
    let default_port: &[u8] = if scheme == Some("https") { b":443" } else { b":80" };
    let bare = |text: &[u8]| text.strip_suffix(default_port).unwrap_or(text).to_ascii_lowercase();
    bare(authority.as_str().as_bytes()) == bare(host)
}
