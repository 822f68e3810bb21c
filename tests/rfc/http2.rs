//! HTTP/2 by hand (RFC 9113): heads that would be other requests in HTTP/1.1, and floods of frames.

use scenarios::{counted, impatient};
use testkit::node::{Builder, Node};
use testkit::origin::{Origin, Script};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const BOTH: u8 = END_STREAM | END_HEADERS;

/// A frame (section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What a client says first.
fn hello() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(SETTINGS, 0, 0, &[])].concat()
}

type Field<'a> = (&'a str, &'a str);

/// A field block of literals (RFC 7541 section 6.2.2); nothing is checked.
fn block(fields: &[Field<'_>]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            // An integer with a prefix of seven bits (RFC 7541 section 5.1).
            match text.len().checked_sub(127) {
                None => block.push(text.len() as u8),
                Some(mut left) => {
                    block.push(127);
                    while left >= 128 {
                        block.push((left % 128) as u8 | 128);
                        left /= 128;
                    }
                    block.push(left as u8);
                }
            }
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// One frame of the server's: kind, stream and payload; `None` at the connection's end.
async fn next_frame(stream: &mut TcpStream) -> Option<(u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    testkit::guarded("a frame", stream.read_exact(&mut head)).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    testkit::guarded("a frame's payload", stream.read_exact(&mut payload)).await.ok()?;
    Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
}

/// What became of the first request of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Answered by 200.
    Granted,
    /// Answered otherwise.
    Refused,
    /// The stream or the connection was broken.
    Broken,
}

/// Sends these frames on a connection of their own and waits for what becomes of stream 1.
async fn fate(node: &Node, frames: &[Vec<u8>]) -> Fate {
    let mut stream = TcpStream::connect(node.address()).await.expect("connects");
    let bytes = [hello(), frames.concat()].concat();
    let _closed = stream.write_all(&bytes).await;
    loop {
        match next_frame(&mut stream).await {
            // The eighth entry of the static table is `:status: 200`.
            Some((HEADERS, 1, block)) if block.first() == Some(&0x88) => return Fate::Granted,
            Some((HEADERS, 1, _)) => return Fate::Refused,
            Some((RST_STREAM, 1, _) | (GOAWAY, ..)) | None => return Fate::Broken,
            Some(_) => {}
        }
    }
}

async fn start() -> (Origin, Node) {
    let origin = Origin::start().await;
    origin.route("/f", Script::answer("200 OK", "abc"));
    let toml = format!("[[site]]\nname = \"rfc\"\norigin = \"{}\"\n", origin.url("/"));
    let node = impatient().config(&toml).start().await;
    (origin, node)
}

const GET: [Field<'_>; 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/r/rfc/f")];
const POST: [Field<'_>; 4] =
    [(":method", "POST"), (":scheme", "http"), (":authority", "h"), (":path", "/r/rfc/f")];

#[tokio::test]
async fn rfc9113_8_2_a_head_that_http_1_would_read_otherwise_reaches_no_origin() {
    let (origin, node) = start().await;
    let with = |field: Field<'static>| [&GET[..], &[field]].concat();
    let in_place_of =
        |field: Field<'static>| GET.map(|known| if known.0 == field.0 { field } else { known }).to_vec();
    let malformed = [
        // Section 8.2.2: fields of a connection.
        with(("transfer-encoding", "chunked")),
        with(("connection", "close")),
        with(("keep-alive", "timeout=5")),
        with(("proxy-connection", "close")),
        with(("upgrade", "h2c")),
        with(("te", "gzip")),
        // Section 8.2.1: names and values.
        with(("X-Upper", "1")),
        with(("x a", "1")),
        with(("x:a", "1")),
        with(("", "1")),
        with(("x-a", "1\r\nHost: evil")),
        with(("x-a", "1\nHost: evil")),
        with(("x-a", "1\0")),
        with(("x-a\r\nhost", "evil")),
        // Section 8.3: pseudo-fields.
        with((":path", "/r/rfc/f")),
        with((":evil", "1")),
        [&[("x-a", "1")][..], &GET].concat(),
        GET[..3].to_vec(),
        GET[1..].to_vec(),
        in_place_of((":path", "")),
        in_place_of((":path", "/r/rfc/f HTTP/1.1\r\nHost: evil\r\n\r\n")),
        in_place_of((":path", "/r/rfc/f x")),
        in_place_of((":path", "r/rfc/f")),
        in_place_of((":method", "GET /smuggled HTTP/1.1\r\nX:")),
        in_place_of((":method", "")),
        in_place_of((":authority", "h\r\nHost: evil")),
        in_place_of((":authority", "a b")),
        // RFC 9113 section 8.3.1: the same host, or none.
        with(("host", "evil.example")),
    ];
    for fields in malformed {
        let fate = fate(&node, &[frame(HEADERS, BOTH, 1, &block(&fields))]).await;
        assert!(fate != Fate::Granted, "{fields:?} was answered");
        assert!(origin.requests().is_empty(), "{fields:?} was passed on");
    }
    assert_eq!(fate(&node, &[frame(HEADERS, BOTH, 1, &block(&GET))]).await, Fate::Granted);
    assert_eq!(
        fate(&node, &[frame(HEADERS, BOTH, 1, &block(&with(("te", "trailers"))))]).await,
        Fate::Granted
    );
    assert!(origin.requests().iter().all(|request| request.header("te").is_none()));
    node.assert_alive().await;
}

// Content of another length than declared would be half of a request, or one and a half.
#[tokio::test]
async fn rfc9113_8_1_1_content_has_the_length_that_was_declared() {
    let (origin, node) = start().await;
    origin.route("/f", Script::answer("200 OK", "taken"));
    let post = |length: &'static str, content: &[u8]| {
        let fields = block(&[&POST[..], &[("content-length", length)]].concat());
        [frame(HEADERS, END_HEADERS, 1, &fields), frame(DATA, END_STREAM, 1, content)]
    };
    for (length, content) in
        [("5", b"abc".as_slice()), ("1", b"abc"), ("+3", b"abc"), ("3, 3", b"abc"), ("-1", b"abc")]
    {
        let fate = fate(&node, &post(length, content)).await;
        assert!(fate != Fate::Granted, "{length:?} with {content:?} was answered");
        let seen = origin.requests().into_iter().map(|request| request.body).collect::<Vec<_>>();
        assert!(seen.is_empty(), "{length:?} with {content:?} was passed on: {seen:?}");
    }
    let twice = block(&[&POST[..], &[("content-length", "3"), ("content-length", "4")]].concat());
    let frames = [frame(HEADERS, END_HEADERS, 1, &twice), frame(DATA, END_STREAM, 1, b"abc")];
    assert!(fate(&node, &frames).await != Fate::Granted);
    assert!(origin.requests().is_empty());
    // Content of a GET, as in HTTP/1.1.
    let frames = [frame(HEADERS, END_HEADERS, 1, &block(&GET)), frame(DATA, END_STREAM, 1, b"abc")];
    assert_eq!(fate(&node, &frames).await, Fate::Refused);
    assert!(origin.requests().is_empty());
    assert_eq!(fate(&node, &post("3", b"abc")).await, Fate::Granted);
    assert_eq!(origin.requests()[0].body, b"abc");
}

/// Whether a client that floods takes what it is sent.
#[derive(Clone, Copy, Debug)]
enum Reads {
    Everything,
    Nothing,
}

/// Sends these frames for ever; returns when the server has had enough.
async fn flood(node: &Node, reads: Reads, first: Vec<u8>, again: impl Fn(u32) -> Vec<u8>) {
    let (mut from, mut to) = TcpStream::connect(node.address()).await.expect("connects").into_split();
    to.write_all(&[hello(), first].concat()).await.expect("sent");
    let sending = async {
        for turn in 0.. {
            if to.write_all(&again(turn)).await.is_err() {
                return;
            }
        }
    };
    let reading = async {
        if matches!(reads, Reads::Nothing) {
            return std::future::pending().await;
        }
        let mut taken = vec![0; 65_536];
        while from.read(&mut taken).await.is_ok_and(|count| count > 0) {}
    };
    testkit::guarded("the connection to be cut", async {
        tokio::select! { () = sending => {}, () = reading => {} }
    })
    .await;
}

/// Kilobytes of memory that the server has.
fn resident(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux tells");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// A server that waits for nobody longer than half a second.
fn hasty() -> Builder {
    impatient().args(["--server-keepalive-timeout", "500ms", "--server-write-timeout", "500ms"])
}

/// Frames that go on and on without a request among them: many in one write.
fn idle_floods() -> [(&'static str, Vec<u8>); 6] {
    let many = |frame: Vec<u8>| frame.repeat(16_384 / frame.len());
    [
        ("PING", many(frame(PING, 0, 0, &[7; 8]))),
        ("SETTINGS", many(frame(SETTINGS, 0, 0, &[]))),
        ("SETTINGS of tables", many(frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 16, 0, 0, 1, 0, 0, 0, 0]))),
        ("PRIORITY", many(frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 16]))),
        ("acknowledged PING", many(frame(PING, 1, 0, &[7; 8]))),
        ("unknown frames", many(frame(0xbb, 0, 0, &[0; 100]))),
    ]
}

// 4c 15
#[tokio::test]
async fn rfc9113_10_5_floods_of_frames_that_ask_for_nothing_end_the_connection() {
    let node = hasty().start().await;
    let before = resident(&node);
    for reads in [Reads::Everything, Reads::Nothing] {
        for (name, frames) in idle_floods() {
            eprintln!("{name}, client reads {reads:?}");
            flood(&node, reads, Vec::new(), |_| frames.clone()).await;
            node.assert_alive().await;
        }
        counted(&node, "standpipe_floods_total", &[], idle_floods().len() as f64).await;
    }
    let grown = resident(&node).saturating_sub(before);
    assert!(grown < 64 << 10, "the floods took {grown} KiB");
}

// 4c 15: heads that never end, requests that are reset at once, content without bytes.
#[tokio::test]
async fn rfc9113_10_5_floods_of_requests_end_the_connection() {
    let node = hasty().start().await;
    let before = resident(&node);
    let page =
        block(&[(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/api/v1/health/")]);
    let open = frame(HEADERS, END_STREAM, 1, &page);
    flood(&node, Reads::Everything, open.clone(), |_| {
        frame(CONTINUATION, 0, 1, &block(&[("x-a", &"b".repeat(16_000))]))
    })
    .await;
    node.assert_alive().await;
    flood(&node, Reads::Everything, open, |_| frame(CONTINUATION, 0, 1, &[]).repeat(1000)).await;
    node.assert_alive().await;
    flood(&node, Reads::Everything, Vec::new(), |turn| {
        let stream = 2 * turn + 1;
        [frame(HEADERS, BOTH, stream, &page), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    })
    .await;
    node.assert_alive().await;
    let post =
        block(&[(":method", "POST"), (":scheme", "http"), (":authority", "h"), (":path", "/api/v1/purge")]);
    flood(&node, Reads::Everything, frame(HEADERS, END_HEADERS, 1, &post), |_| {
        frame(DATA, 0, 1, &[]).repeat(1000)
    })
    .await;
    node.assert_alive().await;
    // Window by window up to more than 2^31 (section 6.9.1).
    flood(&node, Reads::Everything, Vec::new(), |_| frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]))
        .await;
    node.assert_alive().await;
    let grown = resident(&node).saturating_sub(before);
    assert!(grown < 64 << 10, "the floods took {grown} KiB");
}

// 4c 13, 15
#[tokio::test]
async fn rfc9113_10_5_1_a_huge_list_of_fields_is_refused() {
    let (origin, node) = start().await;
    let value = "b".repeat(100);
    let many = [&GET[..], &vec![("x-a", value.as_str()); 10_000]].concat();
    let long = "b".repeat(1 << 20);
    for fields in [many, [&GET[..], &[("x-a", long.as_str())]].concat()] {
        let whole = block(&fields);
        let mut pieces = whole.chunks(16_384);
        let mut frames = vec![frame(HEADERS, END_STREAM, 1, pieces.next().expect("a head"))];
        frames.extend(pieces.map(|piece| frame(CONTINUATION, 0, 1, piece)));
        frames.push(frame(CONTINUATION, END_HEADERS, 1, &[]));
        assert!(fate(&node, &frames).await != Fate::Granted);
        assert!(origin.requests().is_empty());
        node.assert_alive().await;
    }
}
