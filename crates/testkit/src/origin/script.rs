//! [`Script`]: how the origin answers one request.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Gate, Object, Request};
use crate::content::Content;

/// How the origin answers one request: a well-behaved object (with what the test changed about it), or a list of
/// steps that put exact bytes on the wire.
#[derive(Clone, Debug)]
pub enum Script {
    /// A static file as a decent server gives it; see [`Object`] for the lies it can be taught.
    Object(Object),
    /// Steps in order. After the last one the connection waits for the next request; a script whose answer is not
    /// complete then simply stalls.
    Steps(Vec<Step>),
}

/// One step of a script.
#[derive(Clone, Debug)]
pub enum Step {
    /// Writes these bytes.
    Send(Bytes),
    /// Writes `len` bytes of the content of `seed` from `offset` on.
    Content {
        /// Of the content.
        seed: u64,
        /// First byte.
        offset: u64,
        /// How many.
        len: u64,
    },
    /// Writes byte after byte with a pause before each.
    Trickle {
        /// What to write.
        bytes: Bytes,
        /// Before each byte.
        pause: Duration,
    },
    /// Waits until the test opens the gate.
    Wait(Gate),
    /// Closes cleanly (FIN).
    Close,
    /// Breaks the connection (RST).
    Reset,
    /// Says nothing more, until the client goes away.
    Stall,
}

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The next request may come.
    KeepAlive,
    /// FIN.
    Close,
    /// RST.
    Reset,
}

impl Script {
    /// A static file with these bytes.
    pub fn object(bytes: impl Into<Bytes>) -> Object {
        Object::new(bytes.into())
    }

    /// A static file with the first `len` bytes of the content of `seed`; needs no memory.
    pub fn generated(seed: u64, len: u64) -> Object {
        Object::generated(seed, len)
    }

    /// A complete answer with an honest `Content-Length`. `head` is the status line and any fields, without the
    /// final empty line: `"404 Not Found\r\nCache-Control: no-store"`.
    pub fn answer(head: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        Self::raw(join(format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len()), body))
    }

    /// The same with a `Content-Length` of the test's choice, text for text, and a clean close after the body.
    pub fn lying_length(length: &str, body: impl AsRef<[u8]>) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        Self::raw(join(head, body.as_ref())).then(Step::Close)
    }

    /// A body that ends with the connection.
    pub fn until_close(body: impl AsRef<[u8]>) -> Self {
        Self::raw(join("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".into(), body.as_ref()))
            .then(Step::Close)
    }

    /// A chunked answer whose chunked part is exactly `wire` (sizes, ends and lies included), then a clean close.
    pub fn chunked_raw(wire: impl AsRef<[u8]>) -> Self {
        Self::raw(join("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".into(), wire.as_ref()))
            .then(Step::Close)
    }

    /// A redirect.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::answer(&format!("{status} Moved\r\nLocation: {location}"), "")
    }

    /// Exactly these bytes; the connection stays open.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self::Steps(vec![Step::Send(bytes.into())])
    }

    /// Reads the request and never answers.
    pub fn silence() -> Self {
        Self::Steps(vec![Step::Stall])
    }

    /// Reads the request and breaks the connection.
    pub fn reset() -> Self {
        Self::Steps(vec![Step::Reset])
    }

    /// Adds a step. Panics on an [`Object`], which has knobs instead.
    #[must_use]
    pub fn then(self, step: Step) -> Self {
        match self {
            Self::Steps(mut steps) => {
                steps.push(step);
                Self::Steps(steps)
            }
            Self::Object(_) => panic!("an object takes no steps"),
        }
    }

    pub(super) async fn play(&self, stream: &mut TcpStream, request: &Request) -> std::io::Result<End> {
        match self {
            Self::Object(object) => object.serve(stream, request).await,
            Self::Steps(steps) => {
                for step in steps {
                    if let Some(end) = step.play(stream).await? {
                        return Ok(end);
                    }
                }
                Ok(End::KeepAlive)
            }
        }
    }
}

impl From<Object> for Script {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl Step {
    async fn play(&self, stream: &mut TcpStream) -> std::io::Result<Option<End>> {
        match self {
            Self::Send(bytes) => stream.write_all(bytes).await?,
            Self::Content { seed, offset, len } => {
                send_content(stream, &Content::new(*seed), *offset..offset + len).await?;
            }
            Self::Trickle { bytes, pause } => {
                for byte in bytes {
                    tokio::time::sleep(*pause).await;
                    stream.write_all(&[*byte]).await?;
                }
            }
            Self::Wait(gate) => gate.pass().await,
            Self::Close => return Ok(Some(End::Close)),
            Self::Reset => return Ok(Some(End::Reset)),
            Self::Stall => {
                while stream.read(&mut [0; 1024]).await? > 0 {}
                return Ok(Some(End::Close));
            }
        }
        Ok(None)
    }
}

/// Writes a span of content in pieces of 256 KiB.
pub(super) async fn send_content(
    stream: &mut TcpStream,
    content: &Content,
    span: std::ops::Range<u64>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    let mut at = span.start;
    while at < span.end {
        let len = (span.end - at).min(buffer.len() as u64) as usize;
        content.copy(at, &mut buffer[..len]);
        stream.write_all(&buffer[..len]).await?;
        at += len as u64;
    }
    Ok(())
}

fn join(head: String, body: &[u8]) -> Vec<u8> {
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
