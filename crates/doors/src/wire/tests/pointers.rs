//! That the addresses a body hands to hyper arrive beneath it, which is what zero copy rests on.

use std::io::{self, IoSlice};
use std::pin::Pin;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;

/// Address and length of each slice that came down.
type Seen = Arc<Mutex<Vec<(usize, usize)>>>;

/// An IO that notes what it is given and takes it wholly.
struct Probe {
    inner: TokioIo<DuplexStream>,
    seen: Seen,
}

impl Read for Probe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl Write for Probe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.seen.lock().extend(slices.iter().map(|slice| (slice.as_ptr().addr(), slice.len())));
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        Pin::new(&mut self.inner).poll_write(cx, &all)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The slices that came down for one response with this body.
async fn slices(protocol: auto::Builder<TokioExecutor>, body: Body) -> Vec<(usize, usize)> {
    let (mut client, server) = tokio::io::duplex(16 << 20);
    let seen = Seen::default();
    let probe = Probe { inner: TokioIo::new(server), seen: Arc::clone(&seen) };
    let metrics = Metrics::register(&mut Registry::default());
    let peer = Arc::new(Peer::new(([127, 0, 0, 1], 1).into(), Recorder { log: AccessLog::off(), metrics }));
    let body = Mutex::new(Some(body));
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let watch = Watch::begin(&peer, request.version());
        let body = Outgoing::new(body.lock().take().expect("one request"), event("/"), watch);
        std::future::ready(Ok::<_, Infallible>(Response::new(body)))
    });
    let talk = async move {
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("room");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.expect("an answer");
    };
    let (served, ()) = tokio::join!(protocol.serve_connection(probe, service), talk);
    served.expect("a whole response");
    std::mem::take(&mut *seen.lock())
}

fn frames(stored: &Stored, frame: usize) -> Vec<(usize, usize)> {
    let whole = &stored.mapping;
    let starts = (0..whole.len()).step_by(frame);
    starts.map(|start| (whole[start..].as_ptr().addr(), frame.min(whole.len() - start))).collect()
}

#[tokio::test]
async fn addresses_arrive_unchanged_with_a_length_and_in_chunks() {
    let stored = Stored::new(3_000_000);
    for body in [stored.body(1 << 20), stored.body_in_chunks(1 << 20)] {
        let seen = slices(protocol(&Settings::default()), body).await;
        for frame in frames(&stored, 1 << 20) {
            assert!(seen.contains(&frame), "{frame:?} was copied on its way: {seen:?}");
        }
    }
}

#[tokio::test]
async fn the_probe_sees_it_when_a_layer_copies() {
    let stored = Stored::new(300_000);
    let mut copying = protocol(&Settings::default());
    copying.http1().writev(false);
    let seen = slices(copying, stored.body(1 << 20)).await;
    assert!(!seen.contains(&frames(&stored, 1 << 20)[0]), "{seen:?}");
    let mut copying = protocol(&Settings::default());
    copying.http1().pipeline_flush(true);
    let seen = slices(copying, stored.body(1 << 20)).await;
    assert!(!seen.contains(&frames(&stored, 1 << 20)[0]), "{seen:?}");
}
