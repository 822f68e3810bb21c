//! What origins do wrong: framing, lengths, stalls, surprises.

use std::time::Duration;

use scenarios::{assert_recovers, impatient, outcome, survive};
use testkit::content::content;
use testkit::node::Node;
use testkit::origin::{BlackHole, End, Framing, Origin, Script, Step};

async fn pair() -> (Origin, Node) {
    (Origin::start().await, impatient().start().await)
}

/// A raw answer with these fields and this body, then a clean close.
fn answer(fields: &str, body: &str) -> Script {
    Script::raw(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}")).then(Step::Close)
}

// 1, 2, 3: the origin's framing is ambiguous or no framing at all.
#[tokio::test]
async fn ambiguous_framing_of_an_origin_is_never_believed() {
    let (origin, node) = pair().await;
    for (index, fields) in [
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 4",
        "Content-Length: +3",
        "Content-Length: 0x3",
        "Content-Length: -3",
        "Content-Length: 99999999999999999999999",
        "Content-Length: three",
        "Content-Length: 3\r\nTransfer-Encoding: gzip",
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/{index}");
        let got = survive(&node, &origin, &path, answer(fields, "abcd"), b"xyz").await;
        assert_eq!(got.status, 502, "{fields:?}");
    }
}

#[tokio::test]
async fn a_length_beside_chunks_never_shortens_or_lengthens_the_body() {
    // 1: RFC 9112 6.1 lets the chunks win; refusing is as honest.
    let (origin, node) = pair().await;
    let both = answer("Content-Length: 1\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n");
    survive(&node, &origin, "/f", both, b"abc").await;
}

// 4, 5, 6: chunks.
#[tokio::test]
async fn malformed_chunks_of_an_origin_are_never_a_complete_object() {
    let (origin, node) = pair().await;
    for (index, wire) in [
        "FFFFFFFFFFFFFFFFF\r\nabc",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcX\r\n0\r\n\r\n",
        "3\r\nabc",
        "3\r\nabc\r\n",
        "3\r\nabc\r\n0\r\n",
        "5\r\nabc\r\n0\r\n\r\n",
        "g\r\n",
        "",
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/{index}");
        origin.route(&path, Script::chunked_raw(wire));
        let got = node.fetch(&origin.url(&path)).await;
        assert!(!(got.status == 200 && got.is_complete()), "{wire:?}: {got:?}");
        assert!(got.is_broken() || [502, 504].contains(&got.status), "{wire:?}: {got:?}");
        assert_recovers(&node, &origin, &path, b"abc").await;
    }
}

#[tokio::test]
async fn chunk_extensions_and_trailers_of_an_origin_are_dropped() {
    let (origin, node) = pair().await;
    let wire = "3;name=\"a;b\"\r\nabc\r\n0\r\nX-Trailer: 1\r\nContent-Length: 99\r\n\r\n";
    origin.route("/f", Script::chunked_raw(wire));
    for _ in 0..2 {
        let got = node.fetch(&origin.url("/f")).await.expect_body(200, "abc");
        assert_eq!(got.header("x-trailer"), None);
    }
    for (index, wire) in ["3;ext\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\nX: y\n\n"].into_iter().enumerate() {
        // 5 and 6: bare LF, accepted or refused, but never mistaken.
        survive(&node, &origin, &format!("/{index}"), Script::chunked_raw(wire), b"abc").await;
    }
}

// 7, 13: heads.
#[tokio::test]
async fn malformed_and_oversized_heads_of_an_origin() {
    let (origin, node) = pair().await;
    let length = "Content-Length: 3";
    for (index, head) in [
        format!("HTTP/1.1 200 OK\r\nX-A : b\r\n{length}"),
        format!("HTTP/1.1 200 OK\r\nX-A: a\0b\r\n{length}"),
        format!("HTTP/1.1 200 OK\r\nX-A: b\r\n folded\r\n{length}"),
        format!("HTTP/1.1 200 OK\r\nX-A: a\rb\r\n{length}"),
        format!("HTTP/1.1 200 OK\r\nno colon\r\n{length}"),
        format!("HTTP/1.1 2000 OK\r\n{length}"),
        format!("HTTP/9.9 200 OK\r\n{length}"),
        format!("ICY 200 OK\r\n{length}"),
        format!("HTTP/1.1 200 OK\r\n{}{length}", "X-A: b\r\n".repeat(10_000)),
        format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n{length}", "b".repeat(1 << 20)),
        "SSH-2.0-OpenSSH_9.9".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/{index}");
        let bad = Script::raw(format!("{head}\r\n\r\nabc")).then(Step::Close);
        let got = survive(&node, &origin, &path, bad, b"abc").await;
        for (name, value) in &got.headers {
            assert!(!value.contains(['\r', '\n', '\0']), "{name}: {value:?}");
        }
    }
}

// 8: HTTP/1.0 origins, with and without a Transfer-Encoding that they cannot have.
#[tokio::test]
async fn http_1_0_origins_work_and_their_chunks_are_not_trusted() {
    let (origin, node) = pair().await;
    origin.route("/f", Script::raw("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc").then(Step::Close));
    node.fetch(&origin.url("/f")).await.expect_body(200, "abc");
    let chunked = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    origin.route("/c", Script::raw(chunked).then(Step::Close));
    let got = node.fetch(&origin.url("/c")).await;
    assert!(got.status == 502 || got.text() == "abc" || got.text() == "3\r\nabc\r\n0\r\n\r\n", "{got:?}");
    node.assert_alive().await;
}

// 10: an upgrade that nobody asked for; interim answers first.
#[tokio::test]
async fn interim_answers_are_skipped_and_unasked_upgrades_refused() {
    let (origin, node) = pair().await;
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    origin.route("/f", Script::raw(format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")));
    node.fetch(&origin.url("/f")).await.expect_body(200, "abc");
    let upgrade =
        Script::raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc");
    let got = survive(&node, &origin, "/101", upgrade.then(Step::Close), b"abc").await;
    assert_eq!(got.status, 502);
    let endless = Script::raw("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(5_000)).then(Step::Close);
    survive(&node, &origin, "/103", endless, b"abc").await;
}

// 31: closes early, with and without a length, in mid-chunk.
#[tokio::test]
async fn an_early_end_is_never_a_complete_object() {
    let exact = content(1, 200_000);
    for end in [End::Close, End::Reset] {
        for framing in [Framing::Length, Framing::Chunked] {
            let (origin, node) = pair().await;
            for (path, at) in [("/early", 1), ("/late", 150_000), ("/last", 199_999)] {
                let bad = Script::object(exact.clone()).without_validators().framing(framing).cut_at(at, end);
                survive(&node, &origin, path, bad, &exact).await;
            }
            let end_of_all =
                Script::object(exact.clone()).without_validators().framing(framing).cut_at(200_000, end);
            survive(&node, &origin, "/end", end_of_all, &exact).await;
        }
    }
    let (origin, node) = pair().await;
    let bad = Script::object(exact.clone())
        .without_validators()
        .framing(Framing::Close)
        .cut_at(150_000, End::Reset);
    survive(&node, &origin, "/f", bad, &exact).await;
}

#[tokio::test]
async fn nothing_at_all_is_a_broken_origin() {
    let (origin, node) = pair().await;
    for (index, bad) in [
        Script::reset(),
        Script::Steps(vec![Step::Close]),
        Script::raw("HTTP/1.1 200 OK\r\nContent-Le").then(Step::Close),
        Script::raw("HTTP/1.1 200 OK\r\nContent-Le").then(Step::Reset),
        Script::raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").then(Step::Close),
    ]
    .into_iter()
    .enumerate()
    {
        survive(&node, &origin, &format!("/{index}"), bad, b"abcde").await;
    }
}

#[tokio::test]
async fn a_transfer_without_length_ends_with_the_connection() {
    let (origin, node) = pair().await;
    let exact = content(1, 200_000);
    origin.route("/f", Script::object(exact.clone()).framing(Framing::Close));
    for _ in 0..2 {
        node.fetch(&origin.url("/f")).await.expect_body(200, &exact);
    }
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_broken_start_is_tried_again_unseen() {
    let (origin, node) = pair().await;
    origin.route_each(
        "/f",
        vec![
            Script::reset(),
            Script::answer("503 Busy", "x"),
            Script::object("abc").without_validators().into(),
        ],
    );
    node.fetch(&origin.url("/f")).await.expect_body(200, "abc");
    assert_eq!(origin.requests().len(), 3);
}

// 32: more bytes than declared.
#[tokio::test]
async fn bytes_after_the_end_are_never_part_of_this_or_another_object() {
    let (origin, node) = pair().await;
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    origin.route("/f", Script::object("abc").surplus(poison));
    origin.route("/g", Script::object("def"));
    for _ in 0..5 {
        survive(&node, &origin, "/h", Script::object("abc").surplus(poison), b"abc").await;
        let got = node.fetch(&origin.url("/f")).await;
        assert!(got.text() == "abc" || got.status == 502, "{got:?}");
        let got = node.fetch(&origin.url("/g")).await;
        assert!(got.text() == "def", "{got:?}");
        let delete = format!("/api/v1/delete?url={}", origin.url("/h"));
        node.request("POST", &delete, &[("Content-Length", "0")]).await;
    }
    let chunked = Script::chunked_raw(format!("3\r\nabc\r\n0\r\n\r\n{poison}"));
    survive(&node, &origin, "/c", chunked, b"abc").await;
}

// 33: stalls for ever, at the head and at 99 %.
#[tokio::test]
async fn a_stalled_origin_is_left_in_time() {
    let (origin, node) = pair().await;
    let exact = content(1, 200_000);
    let silent = survive(&node, &origin, "/silent", Script::silence(), &exact).await;
    assert_eq!(silent.status, 504);
    let stalled = Script::raw("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n")
        .then(Step::Content { seed: 1, offset: 0, len: 198_000 })
        .then(Step::Stall);
    survive(&node, &origin, "/stalled", stalled, &exact).await;
    let half_head = Script::raw("HTTP/1.1 200 OK\r\nX-A: ").then(Step::Stall);
    survive(&node, &origin, "/half-head", half_head, &exact).await;
}

#[tokio::test]
async fn a_slow_but_steady_origin_is_waited_for() {
    let (origin, node) = pair().await;
    let slow = Script::raw("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
        .then(Step::Trickle { bytes: "01234567890123456789".into(), pause: Duration::from_millis(10) });
    origin.route("/f", slow);
    node.fetch(&origin.url("/f")).await.expect_body(200, "01234567890123456789");
}

#[tokio::test]
async fn an_origin_that_cannot_be_reached_is_502_within_seconds() {
    let node = impatient().start().await;
    let gone = Origin::start().await;
    let url = gone.url("/f");
    gone.stop().await;
    let refused = node.fetch(&url).await.expect_refusal(&[502]);
    assert!(refused.text().contains("127.0.0.1"), "{}", refused.text());
    let hole = BlackHole::start().await;
    node.fetch(&hole.url("/f")).await.expect_refusal(&[502, 504]);
    node.assert_alive().await;
}

#[tokio::test]
async fn a_refused_port_is_502_within_seconds_by_default_too() {
    let node = Node::start().await;
    let gone = Origin::start().await;
    let url = gone.url("/f");
    gone.stop().await;
    let before = tokio::time::Instant::now();
    node.fetch(&url).await.expect_refusal(&[502]);
    assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());
}

// 36: claims gzip and is none; a bomb is only bytes to us.
#[tokio::test]
async fn codings_are_not_opened() {
    let (origin, node) = pair().await;
    let bomb = vec![0x1f; 100_000];
    for coding in ["gzip", "br", "deflate, gzip", "x-unknown"] {
        let path = format!("/{}", coding.len());
        origin.route(&path, Script::object(bomb.clone()).header("Content-Encoding", coding));
        for _ in 0..2 {
            let got = node.fetch(&origin.url(&path)).await.expect_body(200, &bomb);
            assert_eq!(got.header("content-encoding"), Some(coding));
        }
    }
    let transfer = answer("Transfer-Encoding: gzip, chunked", "3\r\nabc\r\n0\r\n\r\n");
    survive(&node, &origin, "/te", transfer, b"abc").await;
}

// 39: server errors with and without Retry-After; the wait is honoured within bounds only.
#[tokio::test]
async fn server_errors_are_passed_on_after_bounded_attempts() {
    let (origin, node) = pair().await;
    for status in [500, 502, 503, 504, 429] {
        for retry_after in
            ["0", "3600", "-1", "99999999999999999999", "Fri, 01 Jan 2100 00:00:00 GMT", "soon"]
        {
            let path = format!("/{status}");
            let head = format!("{status} Oops\r\nRetry-After: {retry_after}");
            origin.route(&path, Script::answer(&head, "bad"));
            let got = node.fetch(&origin.url(&path)).await;
            got.clone().expect_refusal(&[status, 502]);
            if let Some(wait) = got.header("retry-after") {
                assert!(wait.parse::<u64>().is_ok() || wait.ends_with("GMT"), "{wait}");
            }
        }
        assert_recovers(&node, &origin, &format!("/{status}"), b"abc").await;
    }
}

#[tokio::test]
async fn successes_without_an_object_are_not_objects() {
    let (origin, node) = pair().await;
    for (path, head, body) in [
        ("/201", "201 Created", "made"),
        ("/202", "202 Accepted", "later"),
        ("/203", "203 Transformed", "changed"),
        ("/204", "204 No Content", ""),
        ("/205", "205 Reset Content", ""),
        ("/206", "206 Partial Content\r\nContent-Range: bytes 0-2/9", "par"),
        ("/226", "226 IM Used", "delta"),
        ("/300", "300 Multiple Choices", "choose"),
    ] {
        let text = if path == "/204" {
            Script::raw("HTTP/1.1 204 No Content\r\n\r\n")
        } else {
            Script::answer(head, body)
        };
        origin.route(path, text);
        let got = node.fetch(&origin.url(path)).await;
        assert!(!(got.status == 200 && got.text() == body), "{path} became an object");
        assert!(got.is_complete() && got.status != 206 && got.status != 500, "{path}: {got:?}");
        assert_recovers(&node, &origin, path, b"abc").await;
    }
}

// 41: what Set-Cookie and Cache-Control say to the fetch door.
#[tokio::test]
async fn cookies_are_neither_stored_nor_shared() {
    let (origin, node) = pair().await;
    origin.route("/f", Script::object("abc").header("Set-Cookie", "id=1").header("Vary", "*"));
    for _ in 0..2 {
        let got = node.fetch_with(&origin.url("/f"), &[("Cookie", "id=2")]).await.expect_body(200, "abc");
        assert_eq!(got.header("set-cookie"), None);
    }
    assert!(origin.requests().iter().all(|request| request.header("cookie").is_none()));
}

// 42: names that lead nowhere.
#[tokio::test]
async fn names_without_addresses_are_502() {
    let node = impatient().args(["--origin-resolver", "system"]).start().await;
    node.fetch("http://standpipe-test.invalid/f").await.expect_refusal(&[502, 504]);
    node.assert_alive().await;
}

#[tokio::test]
async fn keep_alive_connections_are_used_again_and_dead_ones_are_not_an_error() {
    let (origin, node) = pair().await;
    origin.route_with("/f", |request, before| {
        // Every second connection closes after its answer without saying so.
        let object = Script::answer("200 OK", format!("{} {before}", request.path_and_query()));
        if before % 2 == 1 { object.then(Step::Close) } else { object }
    });
    for n in 0..20 {
        let path = format!("/f?{n}");
        let got = node.fetch(&origin.url(&path)).await.expect(200);
        assert!(got.text().starts_with(&path), "{}", got.text());
    }
    assert!(origin.connections() <= 12, "{} connections for 20 requests", origin.connections());
}

#[tokio::test]
async fn a_head_with_more_than_the_object_is_cut_in_neither_direction() {
    let (origin, node) = pair().await;
    let exact = content(3, 100_000);
    // 32 and 31 on the declared side: the body ends before and after what was declared.
    for (path, declared) in [("/short", 99_999), ("/long", 100_001)] {
        origin.route(
            path,
            Script::object(exact.clone()).without_validators().declares(declared).cut_at(100_000, End::Close),
        );
        let got = node.fetch(&origin.url(path)).await;
        if declared < 100_000 {
            assert!(got.body == exact[..99_999] || got.status == 502, "{}", got.status);
        } else {
            assert!(!got.is_complete() || got.status == 502, "{}", got.status);
        }
        node.assert_alive().await;
    }
    assert_recovers(&node, &origin, "/long", &exact).await;
    scenarios::settled(&node).await;
    let hit = node.fetch(&origin.url("/long")).await;
    assert_eq!(outcome(&hit), "HIT");
}

#[tokio::test]
async fn retry_after_is_honoured_within_the_bound() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let busy = Script::answer("503 Busy\r\nRetry-After: 1", "busy");
    origin.route_each("/f", vec![busy, Script::object("abc").into()]);
    let before = tokio::time::Instant::now();
    node.fetch(&origin.url("/f")).await.expect_body(200, "abc");
    assert!(before.elapsed() >= Duration::from_millis(990), "asked again after {:?}", before.elapsed());
    assert_eq!(origin.requests().len(), 2);
}
