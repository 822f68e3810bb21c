//! [`Client`]: a raw HTTP/1.1 client that shows exactly what came.
//!
//! It sends the bytes it is given, checks every answer's framing strictly (panicking on any violation, for the server
//! under test must never commit one), and tells a complete body from one that ended early. It follows no redirect,
//! decodes no coding and retries nothing.

mod read;
mod response;
#[cfg(test)]
mod tests;

pub use response::{Ending, Response};

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::guarded;
use read::Reader;

/// One connection to a server.
pub struct Client {
    reader: Reader,
}

/// A field to send.
pub type Field<'a> = (&'a str, &'a str);

impl Client {
    /// Connects; panics when refused.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = guarded("a connection", TcpStream::connect(address)).await;
        let stream = stream.unwrap_or_else(|error| panic!("connect {address}: {error}"));
        Self { reader: Reader::new(stream) }
    }

    /// Connects to a server that may be gone: `None` when it refuses.
    pub async fn try_connect(address: SocketAddr) -> Option<Self> {
        let stream = guarded("a connection or a refusal", TcpStream::connect(address)).await.ok()?;
        Some(Self { reader: Reader::new(stream) })
    }

    /// Writes exactly these bytes. A server that has closed already is no error here: what it said is still to be read.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _closed = guarded("room to send", self.reader.stream.write_all(bytes.as_ref())).await;
    }

    /// Closes the sending side.
    pub async fn finish(&mut self) {
        let _closed = self.reader.stream.shutdown().await;
    }

    /// Writes a request without reading an answer. `Host` is the server's address unless `fields` name one.
    pub async fn start(&mut self, method: &str, target: &str, fields: &[Field<'_>]) {
        let mut text = format!("{method} {target} HTTP/1.1\r\n");
        if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            let address = self.reader.stream.peer_addr().map_or_else(|_| String::new(), |a| a.to_string());
            text.push_str(&format!("Host: {address}\r\n"));
        }
        for (name, value) in fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        self.send(text).await;
    }

    /// Writes a request and reads the whole answer.
    pub async fn request(&mut self, method: &str, target: &str, fields: &[Field<'_>]) -> Response {
        self.start(method, target, fields).await;
        self.response(method).await
    }

    /// Reads one whole answer to a request by `method`, interim ones skipped.
    pub async fn response(&mut self, method: &str) -> Response {
        let mut body = Vec::new();
        let mut response = self.head(method).await;
        response.ending = self.body(&response, |bytes| body.extend_from_slice(bytes)).await;
        response.body = body;
        response
    }

    /// Reads an answer's head; its body is empty and its ending [`Ending::Unread`] so far. A connection that ends
    /// before the head is complete gives status 0 and [`Ending::Cut`] or [`Ending::Reset`].
    pub async fn head(&mut self, method: &str) -> Response {
        loop {
            let response = self.reader.head(method).await;
            if response.status / 100 != 1 {
                return response;
            }
        }
    }

    /// Reads the body that belongs to a head, piece by piece, without keeping it.
    pub async fn body(&mut self, head: &Response, take: impl FnMut(&[u8])) -> Ending {
        match head.ending {
            Ending::Unread => self.reader.body(head, take).await,
            ended => ended,
        }
    }

    /// Reads until at least `n` bytes of a body with a `Content-Length` are here and returns them; they are not
    /// returned again.
    pub async fn some_body(&mut self, n: usize) -> Vec<u8> {
        self.reader.exactly(n).await
    }

    /// Whether the server closes the connection without another byte.
    pub async fn is_closed(&mut self) -> bool {
        self.reader.is_at_end().await
    }

    /// The socket, for tests that read slowly or set options.
    pub const fn stream(&mut self) -> &mut TcpStream {
        &mut self.reader.stream
    }
}

/// GET on a connection of its own.
pub async fn get(address: SocketAddr, target: &str) -> Response {
    get_with(address, target, &[]).await
}

/// GET with fields on a connection of its own.
pub async fn get_with(address: SocketAddr, target: &str, fields: &[Field<'_>]) -> Response {
    request(address, "GET", target, fields).await
}

/// HEAD on a connection of its own.
pub async fn head(address: SocketAddr, target: &str) -> Response {
    request(address, "HEAD", target, &[]).await
}

/// Any method on a connection of its own.
pub async fn request(address: SocketAddr, method: &str, target: &str, fields: &[Field<'_>]) -> Response {
    Client::connect(address).await.request(method, target, fields).await
}

/// Sends exactly these bytes on a connection of its own and reads one answer, as to a GET.
pub async fn raw(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Response {
    let mut client = Client::connect(address).await;
    client.send(bytes).await;
    client.response("GET").await
}
