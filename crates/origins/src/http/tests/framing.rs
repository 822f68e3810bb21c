//! Answers that break HTTP or their own word (user demand 4c 1-8, 10, 13, 31, 32).

use super::*;
use testkit::origin::Step;

async fn kind(script: Script) -> Kind {
    let origin = Origin::start().await;
    origin.route("/", script);
    Bench::new().refusal(&origin.url("/")).await.kind
}

async fn body(script: Script) -> Bytes {
    let origin = Origin::start().await;
    origin.route("/", script);
    Bench::new().get(&origin.url("/")).await.expect("an answer").1
}

/// The body makes sense as chunks and as bytes, so that nothing but the head can be found wrong.
fn head(fields: &str) -> Script {
    Script::raw(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{CHUNKS}")).then(Step::Close)
}

const CHUNKS: &str = "5\r\n01234\r\n0\r\n\r\n";

// 1-3, 7, 8
#[tokio::test]
async fn framing_that_can_be_read_in_two_ways_is_refused() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;a=b",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: GZIP",
        "Transfer-Encoding: x-compress",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity\r\nContent-Length: 5",
        "Transfer-Encoding:",
        "X-Folded: a\r\n b\r\nContent-Length: 5",
        "Content-Length : 5",
        "X-Null: a\0b\r\nContent-Length: 5",
        "X-Return: a\rb\r\nContent-Length: 5",
        "no colon",
    ] {
        assert_eq!(kind(head(fields)).await, Kind::OriginBroken, "{fields:?}");
    }
    let old = Script::raw("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n");
    assert_eq!(kind(old).await, Kind::OriginBroken);
}

// RFC 9112 section 6.3, rule 4.
#[tokio::test]
async fn a_word_that_is_no_transfer_coding_leaves_the_end_to_the_connection() {
    for fields in ["Transfer-Encoding: identity", "Transfer-Encoding: Binary"] {
        assert_eq!(body(head(fields)).await, CHUNKS, "{fields:?}");
    }
    let old = Script::raw("HTTP/1.0 200 OK\r\nTransfer-Encoding: identity\r\n\r\na").then(Step::Close);
    assert_eq!(kind(old).await, Kind::OriginBroken);
}

// 10
#[tokio::test]
async fn what_is_not_an_answer_is_refused() {
    for bytes in [
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "<html>no head at all</html>\r\n\r\n",
        "HTTP/3.0 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n\r\n",
    ] {
        assert_eq!(kind(Script::raw(bytes).then(Step::Close)).await, Kind::OriginBroken, "{bytes:?}");
    }
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(body(Script::raw(format!("{interim}{last}"))).await, "ok");
}

// 13
#[tokio::test]
async fn a_head_beyond_the_limits_is_refused() {
    let many = "X-A: b\r\n".repeat(10_000);
    assert_eq!(kind(head(&format!("{many}Content-Length: 5"))).await, Kind::OriginBroken);
    let few_too_many = "X-A: b\r\n".repeat(257);
    assert_eq!(kind(head(&format!("{few_too_many}Content-Length: 5"))).await, Kind::OriginBroken);
    for length in [70 << 10, 1 << 20] {
        let long = "b".repeat(length);
        assert_eq!(
            kind(head(&format!("X-A: {long}\r\nContent-Length: 5"))).await,
            Kind::OriginBroken,
            "{length}"
        );
    }
    let fits = format!("X-A: {}\r\n{}Content-Length: 15", "b".repeat(50 << 10), "X-B: c\r\n".repeat(200));
    assert_eq!(body(head(&fits)).await, CHUNKS);
    assert_eq!(body(head("Transfer-Encoding: Chunked")).await, "01234");
}

// 31
#[tokio::test]
async fn a_body_that_ends_early_never_ends_cleanly() {
    for script in [
        Script::lying_length("11", "0123456789"),
        Script::lying_length("1000000", "0123456789"),
        Script::chunked_raw("5\r\n01234\r\n"),
        Script::chunked_raw("5\r\n012"),
        Script::chunked_raw("5\r\n01234\r\n0\r\n"),
        Script::chunked_raw("5\r\n01234\r\n0"),
        Script::chunked_raw(""),
        Script::raw("HTTP/1.1 200 OK\r\n\r\n01234").then(Step::Reset),
        Script::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234").then(Step::Reset),
    ] {
        assert_eq!(kind(script.clone()).await, Kind::OriginBroken, "{script:?}");
    }
}

// 4-6
#[tokio::test]
async fn chunks_that_lie_are_refused() {
    for wire in [
        "fffffffffffffffff\r\na\r\n0\r\n\r\n",
        "5\r\n0123456\r\n0\r\n\r\n",
        "g\r\na\r\n0\r\n\r\n",
        "-1\r\na\r\n0\r\n\r\n",
        "1;a\nb\r\na\r\n0\r\n\r\n",
        "1\na\n0\n\n",
        "0x1\r\na\r\n0\r\n\r\n",
    ] {
        assert_eq!(kind(Script::chunked_raw(wire)).await, Kind::OriginBroken, "{wire:?}");
    }
    let huge = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(100_000));
    assert_eq!(kind(Script::chunked_raw(huge)).await, Kind::OriginBroken);
    assert_eq!(
        body(Script::chunked_raw("1;x=\"y\"\r\na\r\n2\r\nbc\r\n0\r\nTrailer: t\r\n\r\n")).await,
        "abc"
    );
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_a_clean_close() {
    assert_eq!(body(Script::until_close("0123456789")).await, "0123456789");
    assert_eq!(body(Script::raw("HTTP/1.0 200 OK\r\n\r\nold").then(Step::Close)).await, "old");
}

// 32
#[tokio::test]
async fn bytes_beyond_the_length_are_nobodys_answer() {
    let origin = Origin::start().await;
    let extra =
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    origin.route("/extra", Script::raw(extra));
    origin.route("/next", ok("next"));
    let bench = Bench::new();
    assert_eq!(bench.get(&origin.url("/extra")).await.expect("an answer").1, "abc");
    assert_eq!(bench.get(&origin.url("/next")).await.expect("an answer").1, "next");
}
