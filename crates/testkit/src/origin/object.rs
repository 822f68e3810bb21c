//! [`Object`]: a static file as a decent server gives it, and the lies a test can teach it.

use std::ops::Range;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::script::send_content;
use super::{End, Gate, Request};
use crate::content::Content;

/// A file on the origin. By default honest: `Date`, `ETag` from the content, `Last-Modified`, `Range`, `If-Range`,
/// `If-None-Match`, `If-Modified-Since`, HEAD, keep-alive. All offsets are offsets in the file, also when a range is
/// sent.
#[derive(Clone, Debug)]
pub struct Object {
    source: Source,
    etag: Option<String>,
    last_modified: Option<String>,
    headers: Vec<(String, String)>,
    ranges: Ranges,
    framing: Framing,
    declared: Option<u64>,
    head_gate: Option<Gate>,
    pauses: Vec<(u64, Gate)>,
    cut: Option<(u64, End)>,
    surplus: Bytes,
}

#[derive(Clone, Debug)]
enum Source {
    Bytes(Bytes),
    Content(Content, u64),
}

/// What the origin does with a `Range` field whose `If-Range` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// 206 with what was asked for, 416 when it is not there.
    Honest,
    /// 200 with everything; no `Accept-Ranges`.
    Ignored,
    /// 206, but with a range that starts so many bytes later than asked, and says so.
    Shifted(u64),
    /// 206 with at most so many bytes of what was asked for, as a server may (RFC 9110 15.3.7).
    AtMost(u64),
    /// 206 with the right bytes and this total in `Content-Range`.
    Total(u64),
    /// 206 with the right bytes and `*` as total.
    UnknownTotal,
    /// 206 with the right bytes and no `Content-Range` at all.
    NoContentRange,
    /// 206 `multipart/byteranges` although one range was asked.
    Multipart,
    /// 416 always.
    Refused,
}

/// How the end of the body is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`.
    Length,
    /// Chunked, in pieces of at most 64 KiB.
    Chunked,
    /// The connection ends.
    Close,
}

/// What is to be sent for one request.
struct Plan {
    status: &'static str,
    span: Range<u64>,
    fields: String,
    before: String,
    after: String,
}

impl Object {
    pub(super) fn new(bytes: Bytes) -> Self {
        let sum = bytes.iter().fold(bytes.len() as u64, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(5)
        });
        Self::from_source(Source::Bytes(bytes), format!("\"{sum:016x}\""))
    }

    pub(super) fn generated(seed: u64, len: u64) -> Self {
        Self::from_source(Source::Content(Content::new(seed), len), format!("\"{seed:x}-{len:x}\""))
    }

    fn from_source(source: Source, etag: String) -> Self {
        Self {
            source,
            etag: Some(etag),
            last_modified: Some("Tue, 06 Jan 2026 10:00:00 GMT".into()),
            headers: vec![("Content-Type".into(), "application/octet-stream".into())],
            ranges: Ranges::Honest,
            framing: Framing::Length,
            declared: None,
            head_gate: None,
            pauses: Vec::new(),
            cut: None,
            surplus: Bytes::new(),
        }
    }

    /// Another `ETag`, quotes included; empty: none.
    #[must_use]
    pub fn etag(mut self, etag: &str) -> Self {
        self.etag = (!etag.is_empty()).then(|| etag.to_owned());
        self
    }

    /// Another `Last-Modified`; empty: none.
    #[must_use]
    pub fn last_modified(mut self, date: &str) -> Self {
        self.last_modified = (!date.is_empty()).then(|| date.to_owned());
        self
    }

    /// A `Last-Modified` that is as young as the answer's `Date`: no strong validator (RFC 9110 8.8.2.2).
    #[must_use]
    pub fn modified_now(self) -> Self {
        self.last_modified(&httpdate::fmt_http_date(std::time::SystemTime::now()))
    }

    /// Neither `ETag` nor `Last-Modified`.
    #[must_use]
    pub fn without_validators(self) -> Self {
        self.etag("").last_modified("")
    }

    /// One more field; `Content-Type` replaces the default.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| name != "Content-Type" || known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What happens to ranges.
    #[must_use]
    pub fn ranges(mut self, ranges: Ranges) -> Self {
        self.ranges = ranges;
        self
    }

    /// How the end of the body is marked.
    #[must_use]
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Declares this `Content-Length` instead of the true one (also to HEAD); the bytes stay what they are.
    #[must_use]
    pub fn declares(mut self, length: u64) -> Self {
        self.declared = Some(length);
        self
    }

    /// Answers only when the gate is open.
    #[must_use]
    pub fn head_after(mut self, gate: &Gate) -> Self {
        self.head_gate = Some(gate.clone());
        self
    }

    /// Stops before the byte at `offset` until the gate is open.
    #[must_use]
    pub fn pause_at(mut self, offset: u64, gate: &Gate) -> Self {
        self.pauses.push((offset, gate.clone()));
        self.pauses.sort_by_key(|(at, _)| *at);
        self
    }

    /// Ends the connection in this way instead of sending the byte at `offset`; an answer that starts there or
    /// later goes through.
    #[must_use]
    pub fn cut_at(mut self, offset: u64, end: End) -> Self {
        self.cut = Some((offset, end));
        self
    }

    /// Sends these bytes after the end of the body.
    #[must_use]
    pub fn surplus(mut self, bytes: impl Into<Bytes>) -> Self {
        self.surplus = bytes.into();
        self
    }

    fn total(&self) -> u64 {
        match &self.source {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::Content(_, len) => *len,
        }
    }

    pub(super) async fn serve(&self, stream: &mut TcpStream, request: &Request) -> std::io::Result<End> {
        if let Some(gate) = &self.head_gate {
            gate.pass().await;
        }
        let plan = self.plan(request);
        let length = self.declared.unwrap_or_else(|| {
            plan.span.end - plan.span.start + (plan.before.len() + plan.after.len()) as u64
        });
        let date = match self.headers.iter().any(|(name, _)| name == "Date") {
            true => String::new(),
            false => format!("Date: {}\r\n", httpdate::fmt_http_date(std::time::SystemTime::now())),
        };
        let bodyless = plan.status.starts_with("304");
        let framing = match self.framing {
            _ if bodyless => String::new(),
            Framing::Length => format!("Content-Length: {length}\r\n"),
            Framing::Chunked => "Transfer-Encoding: chunked\r\n".into(),
            Framing::Close => "Connection: close\r\n".into(),
        };
        let head = format!("HTTP/1.1 {}\r\n{date}{}{}{framing}\r\n", plan.status, self.fields(), plan.fields);
        stream.write_all(head.as_bytes()).await?;
        if bodyless || request.method == "HEAD" {
            return Ok(if self.framing == Framing::Close { End::Close } else { End::KeepAlive });
        }
        self.send_body(stream, &plan).await
    }

    async fn send_body(&self, stream: &mut TcpStream, plan: &Plan) -> std::io::Result<End> {
        stream.write_all(plan.before.as_bytes()).await?;
        let cut = self.cut.filter(|(at, _)| plan.span.start < *at && *at <= plan.span.end);
        let end = cut.map_or(plan.span.end, |(at, _)| at);
        let mut at = plan.span.start;
        for (pause, gate) in &self.pauses {
            if !(plan.span.start..=end).contains(pause) {
                continue;
            }
            self.send_span(stream, at..*pause).await?;
            at = *pause;
            gate.pass().await;
        }
        self.send_span(stream, at..end).await?;
        if let Some((_, how)) = cut {
            return Ok(how);
        }
        stream.write_all(plan.after.as_bytes()).await?;
        if self.framing == Framing::Chunked {
            stream.write_all(b"0\r\n\r\n").await?;
        }
        stream.write_all(&self.surplus).await?;
        Ok(if self.framing == Framing::Close { End::Close } else { End::KeepAlive })
    }

    async fn send_span(&self, stream: &mut TcpStream, span: Range<u64>) -> std::io::Result<()> {
        if self.framing != Framing::Chunked {
            return self.send_plain(stream, span).await;
        }
        let mut at = span.start;
        while at < span.end {
            let next = span.end.min(at + (64 << 10));
            stream.write_all(format!("{:x}\r\n", next - at).as_bytes()).await?;
            self.send_plain(stream, at..next).await?;
            stream.write_all(b"\r\n").await?;
            at = next;
        }
        Ok(())
    }

    async fn send_plain(&self, stream: &mut TcpStream, span: Range<u64>) -> std::io::Result<()> {
        match &self.source {
            Source::Bytes(bytes) => stream.write_all(&bytes[span.start as usize..span.end as usize]).await,
            Source::Content(content, _) => send_content(stream, content, span).await,
        }
    }

    /// Fields of every answer.
    fn fields(&self) -> String {
        let mut fields = String::new();
        let validators = [("ETag", &self.etag), ("Last-Modified", &self.last_modified)]
            .into_iter()
            .filter_map(|(n, v)| {
                let value = v.as_deref()?;
                Some((n, value))
            });
        for (name, value) in validators.chain(self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str()))) {
            fields.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.ranges != Ranges::Ignored {
            fields.push_str("Accept-Ranges: bytes\r\n");
        }
        fields
    }

    fn plan(&self, request: &Request) -> Plan {
        let total = self.total();
        let plan =
            |status, span, fields| Plan { status, span, fields, before: String::new(), after: String::new() };
        if self.is_known_to(request) {
            return plan("304 Not Modified", 0..0, String::new());
        }
        let Some(asked) = request.header("range").filter(|_| self.if_range_holds(request)) else {
            return plan("200 OK", 0..total, String::new());
        };
        if self.ranges == Ranges::Ignored || asked.contains(',') {
            return plan("200 OK", 0..total, String::new());
        }
        let Some(span) = resolve(asked, total).filter(|_| self.ranges != Ranges::Refused) else {
            return plan("416 Range Not Satisfiable", 0..0, format!("Content-Range: bytes */{total}\r\n"));
        };
        let describe = |span: &Range<u64>, total: &str| {
            format!("Content-Range: bytes {}-{}/{total}\r\n", span.start, span.end - 1)
        };
        let honest = total.to_string();
        match self.ranges {
            Ranges::Shifted(by) => {
                let span = (span.start + by).min(total - 1)..span.end.max(span.start + by + 1).min(total);
                let fields = describe(&span, &honest);
                plan("206 Partial Content", span, fields)
            }
            Ranges::AtMost(limit) => {
                let span = span.start..span.end.min(span.start + limit);
                let fields = describe(&span, &honest);
                plan("206 Partial Content", span, fields)
            }
            Ranges::Total(lie) => {
                let fields = describe(&span, &lie.to_string());
                plan("206 Partial Content", span, fields)
            }
            Ranges::UnknownTotal => {
                let fields = describe(&span, "*");
                plan("206 Partial Content", span, fields)
            }
            Ranges::NoContentRange => plan("206 Partial Content", span, String::new()),
            Ranges::Multipart => Plan {
                status: "206 Partial Content",
                fields: "Content-Type: multipart/byteranges; boundary=piece\r\n".into(),
                before: format!("--piece\r\n{}\r\n", describe(&span, &honest)),
                after: "\r\n--piece--\r\n".into(),
                span,
            },
            _ => {
                let fields = describe(&span, &honest);
                plan("206 Partial Content", span, fields)
            }
        }
    }

    /// Whether the request's validators say that the client has this very file.
    fn is_known_to(&self, request: &Request) -> bool {
        if let Some(tags) = request.header("if-none-match") {
            let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
            return self
                .etag
                .as_deref()
                .is_some_and(|own| tags.split(',').any(|tag| opaque(tag) == opaque(own)));
        }
        let since = request.header("if-modified-since");
        since.is_some() && since == self.last_modified.as_deref()
    }

    /// RFC 9110 13.1.5: a strong tag or the exact date.
    fn if_range_holds(&self, request: &Request) -> bool {
        let Some(validator) = request.header("if-range") else { return true };
        if validator.starts_with("W/") {
            return false;
        }
        self.etag.as_deref() == Some(validator) || self.last_modified.as_deref() == Some(validator)
    }
}

/// One byte range against a total; `None` when it is malformed or not there.
fn resolve(field: &str, total: u64) -> Option<Range<u64>> {
    let (first, last) = field.strip_prefix("bytes=")?.split_once('-')?;
    let span = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) => first..last.saturating_add(1).min(total),
        (Ok(first), Err(_)) => first..total,
        (Err(_), Ok(suffix)) => total.saturating_sub(suffix)..total,
        (Err(_), Err(_)) => return None,
    };
    (span.start < span.end).then_some(span)
}
