//! Reads and checks answers from a connection (RFC 9112).

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::{Ending, Response};
use crate::guarded;

/// A connection and the bytes that were read too far.
pub(super) struct Reader {
    pub(super) stream: TcpStream,
    buffer: Vec<u8>,
    at: usize,
}

/// The end of the connection where more was to come.
type Early = Ending;

impl Reader {
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new(), at: 0 }
    }

    pub(super) async fn head(&mut self, method: &str) -> Response {
        let mut lines = Vec::new();
        loop {
            match self.line().await {
                Ok(line) if line.is_empty() => return parse(method, &lines),
                Ok(line) => lines.push(line),
                Err(ending) => {
                    let (headers, body) = (Vec::new(), Vec::new());
                    return Response { status: 0, headers, body, ending, bodyless: true };
                }
            }
        }
    }

    pub(super) async fn body(&mut self, head: &Response, mut take: impl FnMut(&[u8])) -> Ending {
        if head.bodyless {
            return Ending::Complete;
        }
        if head.header("transfer-encoding").is_some() {
            return self.chunks(take).await.err().unwrap_or(Ending::Complete);
        }
        if let Some(length) = head.content_length() {
            return self.counted(length, &mut take).await.err().unwrap_or(Ending::Complete);
        }
        match self.counted(u64::MAX, &mut take).await {
            Err(Ending::Cut) => Ending::WithConnection,
            Err(ending) => ending,
            Ok(()) => Ending::Complete,
        }
    }

    pub(super) async fn exactly(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(n);
        let ended = self.counted(n as u64, &mut |piece| bytes.extend_from_slice(piece)).await;
        assert_eq!(ended, Ok(()), "the connection ended after {} of {n} bytes", bytes.len());
        bytes
    }

    pub(super) async fn is_at_end(&mut self) -> bool {
        self.at == self.buffer.len() && self.more().await.is_err()
    }

    async fn counted(&mut self, length: u64, take: &mut impl FnMut(&[u8])) -> Result<(), Early> {
        let mut left = length;
        while left > 0 {
            if self.at == self.buffer.len() {
                self.more().await?;
            }
            let here = &self.buffer[self.at..];
            let n = here.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            take(&here[..n]);
            self.at += n;
            left -= n as u64;
        }
        Ok(())
    }

    async fn chunks(&mut self, mut take: impl FnMut(&[u8])) -> Result<(), Early> {
        loop {
            let line = self.line().await?;
            let size = u64::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("chunk size {line:?}"));
            if size == 0 {
                break;
            }
            self.counted(size, &mut take).await?;
            let end = self.line().await?;
            assert!(end.is_empty(), "chunk longer than its size");
        }
        while !self.line().await?.is_empty() {}
        Ok(())
    }

    /// The next line without its CRLF; panics on a bare LF.
    async fn line(&mut self) -> Result<String, Early> {
        loop {
            let here = &self.buffer[self.at..];
            if let Some(end) = here.iter().position(|byte| *byte == b'\n') {
                assert!(end > 0 && here[end - 1] == b'\r', "a line ends with a bare LF: {here:?}");
                let line = String::from_utf8_lossy(&here[..end - 1]).into_owned();
                assert!(!line.contains(['\r', '\0']), "CR or NUL inside a line: {line:?}");
                self.at += end + 1;
                return Ok(line);
            }
            assert!(here.len() < 1 << 20, "a line of more than 1 MiB");
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), Early> {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.reserve(64 << 10);
        match guarded("bytes from the server", self.stream.read_buf(&mut self.buffer)).await {
            Ok(0) => Err(Ending::Cut),
            Ok(_) => Ok(()),
            Err(_) => Err(Ending::Reset),
        }
    }
}

/// Checks a head's syntax and framing.
fn parse(method: &str, lines: &[String]) -> Response {
    let (first, fields) = lines.split_first().expect("an empty line instead of a status line");
    let rest = first
        .strip_prefix("HTTP/1.1 ")
        .or(first.strip_prefix("HTTP/1.0 "))
        .unwrap_or_else(|| panic!("status line {first:?}"));
    let status: u16 = rest.get(..3).and_then(|digits| digits.parse().ok()).expect("three digits");
    assert!((100..600).contains(&status) && matches!(rest.as_bytes().get(3), None | Some(b' ')), "{first:?}");
    let headers: Vec<_> = fields.iter().map(|line| field(line)).collect();
    let bodyless = method == "HEAD" || status / 100 == 1 || status == 204 || status == 304;
    let response = Response { status, headers, body: Vec::new(), ending: Ending::Unread, bodyless };
    check_framing(&response);
    response
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("field line {line:?}"));
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    assert!(!name.is_empty() && name.chars().all(is_token), "field name {name:?}");
    (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
}

fn check_framing(response: &Response) {
    let length = response.header("content-length");
    let coding = response.header("transfer-encoding");
    assert!(length.is_none() || coding.is_none(), "length and chunked together: {:?}", response.headers);
    if let Some(length) = length {
        let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        assert!(digits && length.parse::<u64>().is_ok(), "Content-Length {length:?}");
    }
    assert!(coding.is_none_or(|coding| coding == "chunked"), "Transfer-Encoding {coding:?}");
    assert!(response.status != 204 || length.is_none(), "204 with a length");
}
