//! Requests with content, byte by byte at the origin.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::exchange::exchange;
use super::*;
use cache::RequestBody;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use testkit::origin::Step;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Content that the test gives piece by piece.
pub(super) struct Upload {
    pieces: mpsc::Receiver<Result<Bytes, Error>>,
    left: Option<u64>,
}

pub(super) type Pieces = mpsc::Sender<Result<Bytes, Error>>;

/// Content of this length, if any is declared.
pub(super) fn upload(length: Option<u64>) -> (Pieces, RequestBody) {
    let (sender, pieces) = mpsc::channel(1);
    (sender, Box::pin(Upload { pieces, left: length }))
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let piece = std::task::ready!(self.pieces.poll_recv(cx));
        if let Some(Ok(data)) = &piece {
            self.left = self.left.map(|left| left - data.len() as u64);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

pub(super) async fn give(pieces: &Pieces, data: &'static str) {
    guarded("content to be taken", pieces.send(Ok(data.into()))).await.expect("content is wanted");
}

pub(super) fn full(data: &'static str) -> RequestBody {
    Box::pin(Full::new(Bytes::from_static(data.as_bytes())).map_err(|never| match never {}))
}

/// An origin that the test speaks for.
struct Wire(TcpListener);

struct Peer(TcpStream);

impl Wire {
    async fn start() -> Self {
        Self(TcpListener::bind(("127.0.0.1", 0)).await.expect("a port"))
    }

    fn url(&self) -> String {
        format!("http://{}/", self.0.local_addr().expect("its address"))
    }

    async fn accept(&self) -> Peer {
        Peer(guarded("a connection", self.0.accept()).await.expect("a connection").0)
    }
}

impl Peer {
    /// Everything up to these bytes, with them.
    async fn until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            read.push(guarded(end, self.0.read_u8()).await.expect(end));
        }
        String::from_utf8(read).expect("text")
    }

    async fn rest(mut self) -> String {
        let mut read = String::new();
        guarded("the end", self.0.read_to_string(&mut read)).await.expect("a clean end of the connection");
        read
    }

    async fn say(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.expect("written");
    }
}

const DONE: &str = "HTTP/1.1 204 No Content\r\n\r\n";

#[tokio::test]
async fn a_known_length_is_declared_and_other_content_is_chunked() {
    let wire = Wire::start().await;
    let bench = Bench::new();
    let cases = [
        ("PUT", Some(full("abc")), "content-length: 3\r\n", "\r\n\r\nabc"),
        ("GET", Some(full("abc")), "content-length: 3\r\n", "\r\n\r\nabc"),
        ("POST", Some(full("")), "content-length: 0\r\n", "\r\n\r\n"),
        ("POST", None, "", "\r\n\r\n"),
        ("DELETE", None, "", "\r\n\r\n"),
        ("POST", Some(upload(None).1), "transfer-encoding: chunked\r\n", "\r\n\r\n0\r\n\r\n"),
        ("GET", Some(upload(None).1), "transfer-encoding: chunked\r\n", "\r\n\r\n0\r\n\r\n"),
        ("BREW", Some(upload(None).1), "transfer-encoding: chunked\r\n", "\r\n\r\n0\r\n\r\n"),
    ];
    let mut kept = None;
    for (method, content, framing, end) in cases {
        let asking = bench.pass(exchange(method, &wire.url()), content);
        let (answer, seen) = tokio::join!(asking, async {
            let peer = match &mut kept {
                Some(peer) => peer,
                none => none.insert(wire.accept().await),
            };
            let seen = peer.until(end).await;
            peer.say(DONE).await;
            seen
        });
        assert_eq!(answer.expect("an answer").status, 204);
        assert!(seen.starts_with(&format!("{method} / HTTP/1.1\r\n")), "{seen}");
        let told: Vec<_> = seen
            .split_inclusive("\r\n")
            .filter(|line| line.contains("-length") || line.contains("transfer-"))
            .collect();
        assert_eq!(told.concat(), framing, "{seen}");
    }
}

#[tokio::test]
async fn content_passes_as_the_client_gives_it() {
    let wire = Wire::start().await;
    let bench = Bench::new();
    let (pieces, content) = upload(None);
    let (answer, ()) = tokio::join!(bench.pass(exchange("POST", &wire.url()), Some(content)), async {
        let mut peer = wire.accept().await;
        peer.until("\r\n\r\n").await;
        for piece in ["one", "two"] {
            give(&pieces, piece).await;
            peer.until(&format!("3\r\n{piece}\r\n")).await;
        }
        drop(pieces);
        peer.until("0\r\n\r\n").await;
        peer.say(DONE).await;
    });
    assert_eq!(answer.expect("an answer").status, 204);
}

#[tokio::test]
async fn content_that_breaks_off_breaks_the_request() {
    let gone = || Error::new(Kind::Draining, "the client has gone");
    for (length, ending, expected) in [
        (None, Some(gone()), Kind::Draining),
        (Some(6), Some(gone()), Kind::Draining),
        (Some(6), None, Kind::FillAbandoned),
    ] {
        let wire = Wire::start().await;
        let bench = Bench::new();
        let (pieces, content) = upload(length);
        let (answer, rest) = tokio::join!(bench.pass(exchange("PUT", &wire.url()), Some(content)), async {
            let mut peer = wire.accept().await;
            peer.until("\r\n\r\n").await;
            give(&pieces, "one").await;
            peer.until("one").await;
            if let Some(error) = ending {
                pieces.send(Err(error)).await.expect("content is wanted");
            }
            drop(pieces);
            peer.rest().await
        });
        assert_eq!(answer.err().map(|error| error.kind), Some(expected));
        // No last chunk, or less than declared.
        assert_eq!(rest, if length.is_none() { "\r\n" } else { "" });
    }
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_breaks_too() {
    let wire = Wire::start().await;
    let bench = Bench::new();
    let (pieces, content) = upload(None);
    let mut asking = Box::pin(bench.pass(exchange("PUT", &wire.url()), Some(content)));
    let peer = tokio::select! {
        _ = &mut asking => panic!("no answer was given"),
        peer = async {
            let mut peer = wire.accept().await;
            peer.until("\r\n\r\n").await;
            peer
        } => peer,
    };
    drop(asking);
    assert_eq!(peer.rest().await, "");
    guarded("the content's end", pieces.closed()).await;
}

#[tokio::test]
async fn an_early_refusal_is_handed_on_and_content_stops() {
    const REFUSAL: &str = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\n";
    for length in [None, Some(1 << 30)] {
        let wire = Wire::start().await;
        let bench = Bench::new();
        let (pieces, content) = upload(length);
        let (answer, mut peer) =
            tokio::join!(bench.pass(exchange("PUT", &wire.url()), Some(content)), async {
                let mut peer = wire.accept().await;
                peer.until("\r\n\r\n").await;
                give(&pieces, "one").await;
                peer.until("one").await;
                peer.say(REFUSAL).await;
                peer
            });
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 413);
        // The content is let go while the answer is still to come.
        guarded("the content's end", pieces.closed()).await;
        peer.say("big").await;
        assert_eq!(whole(answer.body).await.expect("bytes"), "big");
        // And the connection, on which the next request would be content, is not kept.
        assert!(!peer.rest().await.contains("\r\n0\r\n"));
    }
}

#[tokio::test]
async fn a_refusal_is_read_although_the_origin_hangs_up_on_the_content() {
    let wire = Wire::start().await;
    let bench = Bench::new();
    for _ in 0..20 {
        let (pieces, content) = upload(None);
        let (answer, ()) = tokio::join!(bench.pass(exchange("PUT", &wire.url()), Some(content)), async {
            let mut peer = wire.accept().await;
            peer.until("\r\n\r\n").await;
            give(&pieces, "unread").await;
            give(&pieces, "unread").await;
            peer.say("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
                .await;
            // There is unread content, so this is a reset.
            drop(peer);
            while pieces.send(Ok("unread".into())).await.is_ok() {}
        });
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 413);
        assert_eq!(whole(answer.body).await.expect("bytes"), "big");
    }
}

#[tokio::test]
async fn an_origin_may_answer_while_it_reads() {
    let wire = Wire::start().await;
    let bench = Bench::new();
    let (pieces, content) = upload(None);
    let (answer, mut peer) = tokio::join!(bench.pass(exchange("POST", &wire.url()), Some(content)), async {
        let mut peer = wire.accept().await;
        peer.until("\r\n\r\n").await;
        peer.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        peer
    });
    let mut body = answer.expect("an answer").body;
    for piece in ["one", "two"] {
        give(&pieces, piece).await;
        peer.until(&format!("3\r\n{piece}\r\n")).await;
        peer.say(&format!("3\r\n{piece}\r\n")).await;
        let echo = guarded("the echo", body.frame()).await.expect("a frame").expect("data");
        assert_eq!(echo.into_data().expect("data"), piece);
    }
    peer.say("0\r\n\r\n").await;
    assert_eq!(whole(body).await.expect("a clean end"), "");
    // Nobody is left who could want the rest.
    guarded("the content's end", pieces.closed()).await;
    assert_eq!(peer.rest().await, "");
}

// RFC 9110 section 9.2.2
#[tokio::test]
async fn only_what_may_be_repeated_is_repeated() {
    for (method, content, times) in [
        ("PUT", Some("abc"), 1),
        ("GET", Some("abc"), 1),
        ("DELETE", Some(""), 1),
        ("POST", Some("abc"), 1),
        ("POST", None, 1),
        ("PATCH", None, 1),
        ("BREW", None, 1),
        ("GET", None, 2),
        ("HEAD", None, 2),
        ("OPTIONS", None, 2),
        ("DELETE", None, 2),
    ] {
        let origin = Origin::start().await;
        origin.route("/first", ok("x"));
        origin.route_each("/", vec![Script::Steps(vec![Step::Close]), ok("")]);
        let bench = Bench::new();
        bench.get(&origin.url("/first")).await.expect("an answer");
        let answer = bench.pass(exchange(method, &origin.url("/")), content.map(full)).await;
        assert_eq!(answer.is_ok(), times == 2, "{method} {content:?}");
        assert_eq!(origin.requests_for("/").len(), times, "{method} {content:?}");
    }
}
