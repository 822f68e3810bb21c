//! [`Request`]: what came to the origin, as it was written on the wire.

use tokio::io::{AsyncRead, AsyncReadExt};

/// One request as the origin saw it.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `HEAD`, …
    pub method: String,
    /// The target as written: origin form, or absolute form when the origin is used as a proxy.
    pub target: String,
    /// Names as written, in order.
    pub headers: Vec<(String, String)>,
    /// The body, when `Content-Length` announced one.
    pub body: Vec<u8>,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

impl Request {
    /// The first value of a field, by name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The target in origin form: path and query.
    pub fn path_and_query(&self) -> &str {
        let Some((_, rest)) = self.target.split_once("://") else { return &self.target };
        rest.find('/').map_or("/", |at| &rest[at..])
    }

    /// The path alone.
    pub fn path(&self) -> &str {
        self.path_and_query().split('?').next().unwrap_or_default()
    }

    /// Reads the next request of a connection; `None` when the client has gone. `buffer` keeps what was read too far.
    pub(super) async fn read<S: AsyncRead + Unpin>(
        stream: &mut S,
        buffer: &mut Vec<u8>,
        connection: usize,
    ) -> Option<Self> {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            more(stream, buffer).await?;
        };
        let mut request = Self::parse(&buffer[..end], connection);
        let length: usize = request.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
        while buffer.len() < end + length {
            more(stream, buffer).await?;
        }
        request.body = buffer[end..end + length].to_vec();
        buffer.drain(..end + length);
        Some(request)
    }

    fn parse(head: &[u8], connection: usize) -> Self {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
        let mut first = lines.next().unwrap_or_default().split(' ');
        let method = first.next().unwrap_or_default().to_owned();
        let target = first.next().unwrap_or_default().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Self { method, target, headers, body: Vec::new(), connection }
    }
}

/// Reads some bytes; `None` at the end or on a broken connection.
async fn more<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> Option<()> {
    match stream.read_buf(buffer).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(()),
    }
}
