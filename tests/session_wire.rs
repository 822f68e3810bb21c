//! The distcache protocol byte for byte, against the built dc_server and dc_client: every worked example of the
//! specification, every rejection, and what the C programs got wrong.
//!
//! Covers user-demand 4c, numbers 75 to 78.

use scenarios::session::{Peer, Running, add, client, frame, get, have, hex, remove, server, start, unix};
use tempfile::TempDir;
use tokio::net::UnixListener;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// One dc_server for each kind of socket.
async fn servers(directory: &TempDir) -> [Running; 2] {
    [server(&unix(directory.path(), "server")).await, server("IP:127.0.0.1:0").await]
}

/// Requests and replies in the order in which one server answers them; the names are those of the specification.
const EXAMPLES: [(&str, &str, &str); 13] = [
    (
        "A",
        "00110000 00 00000001 00 00 01 001c 0000ea60 00000008 4142434445464748 73657373696f6e2d64617461",
        "00110000 01 00000001 00 00 01 0001 00",
    ),
    (
        "B",
        "00110000 00 00000002 00 00 01 0015 0000ea60 00000008 4142434445464748 6f74686572",
        "00110000 01 00000002 00 00 01 0001 65",
    ),
    ("C", "00110000 00 00000003 00 03 01 0008 4142434445464748", "00110000 01 00000003 00 03 01 0001 00"),
    (
        "D",
        "00110000 00 00000004 00 01 01 0008 4142434445464748",
        "00110000 01 00000004 00 01 01 000c 73657373696f6e2d64617461",
    ),
    ("E", "00110000 00 00000005 00 02 01 0008 4142434445464748", "00110000 01 00000005 00 02 01 0001 00"),
    (
        "E again",
        "00110000 00 00000006 00 02 01 0008 4142434445464748",
        "00110000 01 00000006 00 02 01 0001 01",
    ),
    (
        "F HAVE",
        "00110000 00 00000007 00 03 01 0008 4142434445464748",
        "00110000 01 00000007 00 03 01 0001 01",
    ),
    ("F GET", "00110000 00 deadbeef 00 01 01 0008 4142434445464748", "00110000 01 deadbeef 00 01 01 0001 01"),
    (
        "G seven days",
        "00110000 00 00000001 00 00 01 000b 240c8400 00000002 6131 64",
        "00110000 01 00000001 00 00 01 0001 00",
    ),
    (
        "G one more",
        "00110000 00 00000001 00 00 01 000b 240c8401 00000002 6132 64",
        "00110000 01 00000001 00 00 01 0001 66",
    ),
    (
        "H length 50",
        "00110000 00 00000001 00 00 01 000b 000003e8 00000032 616263",
        "00110000 01 00000001 00 00 01 0001 64",
    ),
    (
        "H length 0",
        "00110000 00 00000001 00 00 01 000b 000003e8 00000000 616263",
        "00110000 01 00000001 00 00 01 0001 67",
    ),
    ("I", "00110000 00 00000001 00 01 01 0000", "00110000 01 00000001 00 01 01 0001 01"),
];

fn big_session() -> Vec<u8> {
    (0..5000_u32).map(|at| (at % 251) as u8).collect()
}

/// J: three frames of a session of 5000 bytes. K: its GET. O: what httpd stores.
fn big_examples() -> Vec<(Vec<u8>, Vec<u8>)> {
    let session = big_session();
    let prefix = hex("0000ea60 00000007 62696735303030");
    let j = [
        frame(9, 0, 0, &[&prefix, &session[..2033]].concat()),
        frame(9, 0, 0, &session[2033..4081]),
        frame(9, 0, 1, &session[4081..]),
    ];
    let k = [
        &hex("00110000 01 0000000a 00 01 00 0800")[..],
        &session[..2048],
        &hex("00110000 01 0000000a 00 01 00 0800"),
        &session[2048..4096],
        &hex("00110000 01 0000000a 00 01 01 0388"),
        &session[4096..],
    ];
    let id = [0x5a; 32];
    let mut o = hex("00110000 00 00000001 00 00 01 00c6 0004900e 00000020");
    o.extend(id);
    o.extend(hex("30819b 020101 02020303 0402c030 0420"));
    o.extend(id);
    o.extend(hex("0430"));
    o.resize(14 + 0xc6, 0x77);
    vec![
        (j.concat(), hex("00110000 01 00000009 00 00 01 0001 00")),
        (hex("00110000 00 0000000a 00 01 01 0007 62696735303030"), k.concat()),
        (o, hex("00110000 01 00000001 00 00 01 0001 00")),
    ]
}

fn all_examples() -> Vec<(Vec<u8>, Vec<u8>)> {
    let small = EXAMPLES.iter().map(|(_, request, reply)| (hex(request), hex(reply)));
    small.chain(big_examples()).collect()
}

#[tokio::test]
async fn every_worked_example_is_answered_byte_for_byte() {
    let directory = directory();
    for server in servers(&directory).await {
        let mut peer = Peer::connect(&server.address).await;
        for (name, request, reply) in EXAMPLES {
            println!("{name} on {}", server.address);
            peer.send(hex(request)).await;
            peer.expect(&hex(reply)).await;
        }
        for (request, reply) in big_examples() {
            peer.send(request).await;
            peer.expect(&reply).await;
        }
    }
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte_and_many_may_come_at_once() {
    let directory = directory();
    for server in servers(&directory).await {
        let mut peer = Peer::connect(&server.address).await;
        for (request, reply) in all_examples() {
            for byte in request {
                peer.send([byte]).await;
            }
            peer.expect(&reply).await;
        }
        // The second round finds what the first has stored.
        for id in [&b"a1"[..], b"big5000", &[0x5a; 32]] {
            assert_eq!(peer.status(&remove(1, id)).await, 0);
        }
        let (requests, replies): (Vec<_>, Vec<_>) = all_examples().into_iter().unzip();
        peer.send(requests.concat()).await;
        peer.expect(&replies.concat()).await;
    }
}

// 4c 75, 76
#[tokio::test]
async fn malformed_bytes_close_their_connection_and_no_other() {
    let full = [0; 2048];
    let ok = have(1, b"id");
    let with = |at: usize, byte: u8| {
        let mut bytes = ok.clone();
        bytes[at] = byte;
        bytes
    };
    let long_message = |last: Vec<u8>| [frame(1, 1, 0, &full).repeat(16), last].concat();
    let rejected = [
        ("another version", with(1, 0x10)),
        ("an HTTP request", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("five bytes of another version", b"GET /".to_vec()),
        ("a direction of 2", with(4, 2)),
        ("a response", with(4, 1)),
        ("a class", with(9, 1)),
        ("operation 4", with(10, 4)),
        ("operation 255", with(10, 255)),
        ("complete 2", with(11, 2)),
        ("2049 bytes", [&with(12, 8)[..12], &[8, 1], &[0; 2049]].concat()),
        ("65535 bytes", [&ok[..12], &[255, 255]].concat()),
        ("an unfinished frame that is not full", frame(1, 1, 0, b"id")),
        ("a continuation with another uid", [frame(1, 1, 0, &full), frame(2, 1, 1, b"id")].concat()),
        ("a continuation with another operation", [frame(1, 1, 0, &full), frame(1, 3, 1, b"id")].concat()),
        ("a payload of 32769 bytes", long_message(frame(1, 1, 1, b"x"))),
        ("seventeen full frames", long_message(frame(1, 1, 0, &full))),
        ("an ADD of 7 bytes", frame(1, 0, 1, &[0; 7])),
        ("an empty ADD", frame(1, 0, 1, b"")),
    ];
    let directory = directory();
    for server in servers(&directory).await {
        let mut other = Peer::connect(&server.address).await;
        assert_eq!(other.status(&ok).await, 1);
        for (what, bytes) in &rejected {
            let mut peer = Peer::connect(&server.address).await;
            peer.send_to_deaf_ears(bytes).await;
            assert_eq!(peer.rest().await, b"", "{what}");
            assert_eq!(other.status(&ok).await, 1, "{what}");
        }
        assert_eq!(other.status(&with(3, 7)).await, 1, "a patch level means nothing");
        // A fragment waits.
        other.send(&ok[..4]).await;
        other.send(&ok[4..]).await;
        other.expect(&hex("00110000 01 00000001 00 03 01 0001 01")).await;
        assert!(server.stop().await.success());
    }
}

#[tokio::test]
async fn lengths_and_timeouts_are_checked_in_the_order_of_the_specification() {
    let directory = directory();
    let server = server(&unix(directory.path(), "server")).await;
    let mut peer = Peer::connect(&server.address).await;
    let over = 604_800_001;
    for (what, request, status) in [
        ("the timeout first", frame(1, 0, 1, &[&u32::to_be_bytes(over)[..], &[0, 0, 0, 9]].concat()), 102),
        ("no data", add(1, 1000, b"id", b""), 100),
        ("a length of 4 GiB", frame(1, 0, 1, &hex("000003e8 ffffffff 616263")), 100),
        ("an id of 65 bytes", add(1, 1000, &[1; 65], b"x"), 103),
        ("an id of 64 bytes", add(1, 60_000, &[1; 64], b"x"), 0),
        ("timeout 0", add(1, 0, b"zero", b"x"), 0),
        ("an id too long to be there", have(1, &[1; 65]), 1),
        ("an id of a full frame", remove(1, &[1; 2048]), 1),
        ("an id of two frames", [frame(1, 1, 0, &[1; 2048]), frame(1, 1, 1, b"x")].concat(), 1),
        ("an empty id", remove(1, b""), 1),
        (
            "sixteen full frames and an empty one",
            [frame(1, 3, 0, &[1; 2048]).repeat(16), frame(1, 3, 1, b"")].concat(),
            1,
        ),
    ] {
        assert_eq!(peer.status(&request).await, status, "{what}");
    }
    // The largest that one message carries, in exactly sixteen frames.
    let largest = [&hex("0000ea60 00000001 4c")[..], &vec![7; 32_768 - 9]].concat();
    let frames: Vec<_> =
        largest.chunks(2048).enumerate().map(|(at, data)| frame(5, 0, u8::from(at == 15), data)).collect();
    assert_eq!(peer.status(&frames.concat()).await, 0);
    peer.send(get(6, b"L")).await;
    let reply = peer.take(16 * 14 + 32_768 - 9).await;
    assert!(reply[14..14 + 2048].iter().all(|byte| *byte == 7));
}

#[tokio::test]
async fn short_sessions_are_sessions() {
    let directory = directory();
    let server = server(&unix(directory.path(), "server")).await;
    let mut peer = Peer::connect(&server.address).await;
    for length in 1..=5_u8 {
        let session = vec![0x41; usize::from(length)];
        assert_eq!(peer.status(&add(1, 60_000, &[length], &session)).await, 0);
        peer.send(get(2, &[length])).await;
        let expected = [&hex("00110000 01 00000002 00 01 01 00")[..], &[length], &session].concat();
        peer.expect(&expected).await;
    }
}

// 4c 77
#[tokio::test]
async fn a_client_that_has_sent_all_still_gets_all() {
    let directory = directory();
    for server in servers(&directory).await {
        let mut peer = Peer::connect(&server.address).await;
        let (requests, replies): (Vec<_>, Vec<_>) = all_examples().into_iter().unzip();
        peer.send(requests.concat()).await;
        peer.finish().await;
        assert_eq!(peer.rest().await, replies.concat());
    }
}

// 4c 78. The C server closed the connection.
#[tokio::test]
async fn pipelined_requests_for_large_sessions_wait_for_a_slow_reader() {
    let directory = directory();
    for server in servers(&directory).await {
        let mut peer = Peer::connect(&server.address).await;
        let session = vec![9; 9000 - 2048];
        let first = [&hex("0000ea60 00000001 42")[..], &[9; 2048 - 9]].concat();
        let rest: Vec<_> = session.chunks(2048).collect();
        let frames =
            rest.iter().enumerate().map(|(at, data)| frame(1, 0, u8::from(at == rest.len() - 1), data));
        let stored = [vec![frame(1, 0, 0, &first)], frames.collect()].concat().concat();
        assert_eq!(peer.status(&stored).await, 0);
        // Answers of 18 MB: far more than all buffers between the two hold. Nothing is read until all is asked.
        let asked = 2000;
        let reply_length = 5 * 14 + 9000 - 9;
        let mut sender = Peer::connect(&server.address).await;
        sender.send(get(2, b"B").repeat(asked)).await;
        for _ in 0..asked {
            let reply = sender.take(reply_length).await;
            assert_eq!(reply[..14], hex("00110000 01 00000002 00 01 00 0800"));
        }
        assert_eq!(sender.status(&have(3, b"B")).await, 0);
    }
}

#[tokio::test]
async fn a_full_server_drops_what_ends_first() {
    let directory = directory();
    let address = unix(directory.path(), "server");
    let server = start("dc_server", &["-listen", &address, "-sessions", "64"]).await;
    let mut peer = Peer::connect(&server.address).await;
    let id = |number: u8| [b'i', number];
    for number in 0..64 {
        // The last ones end first.
        let timeout = 600_000 - 1000 * u32::from(number);
        assert_eq!(peer.status(&add(1, timeout, &id(number), b"session")).await, 0);
    }
    assert_eq!(peer.status(&add(1, 600_000, &id(64), b"session")).await, 0);
    for number in 0..=64 {
        let expected = u8::from(number == 62 || number == 63);
        assert_eq!(peer.status(&have(1, &id(number))).await, expected, "{number}");
    }
}

#[tokio::test]
async fn what_timed_out_is_gone_and_can_be_stored_again() {
    let directory = directory();
    let server = server(&unix(directory.path(), "server")).await;
    let mut peer = Peer::connect(&server.address).await;
    assert_eq!(peer.status(&add(1, 1, b"id", b"first")).await, 0);
    let gone = async { while peer.status(&have(1, b"id")).await == 0 {} };
    testkit::guarded("the session to time out", gone).await;
    assert_eq!(peer.status(&add(1, 60_000, b"id", b"again")).await, 0);
    assert_eq!(peer.status(&add(1, 60_000, b"id", b"other")).await, 101);
}

/// A server that the test plays itself.
async fn backend(directory: &TempDir) -> (UnixListener, String) {
    let path = directory.path().join("backend");
    (UnixListener::bind(&path).expect("a socket"), unix(directory.path(), "backend"))
}

async fn accepted(listener: &UnixListener, proxy: &Running) -> Peer {
    let backend = testkit::guarded("the proxy to connect", listener.accept()).await.expect("a connection").0;
    proxy.connected().await;
    backend.into()
}

// Example L.
#[tokio::test]
async fn a_proxy_gives_requests_uids_of_its_own_and_answers_those_of_its_clients() {
    let directory = directory();
    let (listener, address) = backend(&directory).await;
    let proxy = client(&unix(directory.path(), "proxy"), &address).await;
    let mut backend = accepted(&listener, &proxy).await;
    let [mut a, mut b] = [Peer::connect(&proxy.address).await, Peer::connect(&proxy.address).await];
    a.send(add(0x1111_1111, 60_000, b"aaaa", b"AAAAAAAA")).await;
    backend
        .expect(&hex("00110000 00 00000001 00 00 01 0014 0000ea60 00000004 61616161 4141414141414141"))
        .await;
    b.send(have(0x2222_2222, b"bbbb")).await;
    backend.expect(&hex("00110000 00 00000002 00 03 01 0004 62626262")).await;
    // In another order than they were asked for.
    backend.send(hex("00110000 01 00000002 00 03 01 0001 01")).await;
    b.expect(&hex("00110000 01 22222222 00 03 01 0001 01")).await;
    backend.send(hex("00110000 01 00000001 00 00 01 0001 00")).await;
    a.expect(&hex("00110000 01 11111111 00 00 01 0001 00")).await;
    // One at a time from each client, its further requests afterwards.
    a.send([get(7, b"x"), get(8, b"y")].concat()).await;
    backend.expect(&hex("00110000 00 00000003 00 01 01 0001 78")).await;
    backend.send(hex("00110000 01 00000003 00 01 01 0005 6869206d65")).await;
    a.expect(&hex("00110000 01 00000007 00 01 01 0005 6869206d65")).await;
    backend.expect(&hex("00110000 00 00000004 00 01 01 0001 79")).await;
    backend.send(hex("00110000 01 00000004 00 01 01 0001 01")).await;
    a.expect(&hex("00110000 01 00000008 00 01 01 0001 01")).await;
}

// Examples M and N; N with status 2 instead of nothing, which hangs C clients.
#[tokio::test]
async fn a_proxy_without_its_server_answers_status_2_and_comes_back() {
    let directory = directory();
    let (listener, address) = backend(&directory).await;
    let proxy = client(&unix(directory.path(), "proxy"), &address).await;
    let mut backend = accepted(&listener, &proxy).await;
    let mut peer = Peer::connect(&proxy.address).await;
    peer.send(hex("00110000 00 00000002 00 01 01 0008 4142434445464748")).await;
    backend.take(22).await;
    drop((listener, backend));
    peer.expect(&hex("00110000 01 00000002 00 01 01 0001 02")).await;
    peer.send(hex("00110000 00 00000009 00 03 01 0001 41")).await;
    peer.expect(&hex("00110000 01 00000009 00 03 01 0001 02")).await;
    let server = server(&address).await;
    let back = async { while peer.status(&have(3, b"id")).await == 2 {} };
    testkit::guarded("the proxy to find its server", back).await;
    assert_eq!(peer.status(&add(4, 60_000, b"id", b"session")).await, 0);
    assert!(server.stop().await.success() && proxy.stop().await.success());
}

// The C proxy aborted.
#[tokio::test]
async fn a_proxy_survives_clients_that_go_and_servers_that_talk_nonsense() {
    let directory = directory();
    let (listener, address) = backend(&directory).await;
    let proxy = client(&unix(directory.path(), "proxy"), &address).await;
    let mut backend = accepted(&listener, &proxy).await;
    let mut peer = Peer::connect(&proxy.address).await;
    let mut gone = Peer::connect(&proxy.address).await;
    gone.send(get(1, b"gone")).await;
    backend.take(18).await;
    drop(gone);
    // The answer comes to nobody.
    backend.send(hex("00110000 01 00000001 00 01 01 0001 01")).await;
    peer.send(have(5, b"id")).await;
    backend.expect(&hex("00110000 00 00000002 00 03 01 0002 6964")).await;
    backend.send(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    peer.expect(&hex("00110000 01 00000005 00 03 01 0001 02")).await;
    assert_eq!(backend.rest().await, b"");
    let mut nonsense = Peer::connect(&proxy.address).await;
    nonsense.send_to_deaf_ears(b"GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(nonsense.rest().await, b"");
    let mut backend = accepted(&listener, &proxy).await;
    peer.send(have(6, b"id")).await;
    backend.expect(&hex("00110000 00 00000003 00 03 01 0002 6964")).await;
    backend.send(hex("00110000 01 00000003 00 03 01 0001 00")).await;
    peer.expect(&hex("00110000 01 00000006 00 03 01 0001 00")).await;
}
