//! Ranges of complete objects, and of those that are there in pieces (RFC 9110 section 14, RFC 9111 sections 3.3 and 3.4).

use scenarios::{impatient, outcome, settled};
use testkit::client::{Client, Field, Response};
use testkit::content::content;
use testkit::node::Node;
use testkit::origin::{Gate, Object, Origin as Server, Ranges, Request, Script};

use super::case::{Cached, Case, Origin, case, check};

const FRESH: &str = "Cache-Control: max-age=600";
const TAG: &str = "ETag: \"a\"";
const MODIFIED: &str = "Last-Modified: Tue, 06 Jan 2026 10:00:00 GMT";
const DAY: &str = "Tue, 06 Jan 2026 10:00:00 GMT";
const DIGITS: &str = "0123456789";

/// Ten digits, stored whole.
fn digits(name: impl Into<String>, validators: &[&str]) -> Case {
    case(name).origin_with(200, &[&[FRESH][..], validators].concat(), DIGITS).get(&[], Origin(1))
}

#[tokio::test]
async fn rfc9110_14_2_a_range_of_a_complete_object_is_cut_from_it() {
    let part = |range: &str, body: &str, content_range: &str| {
        digits(range, &[TAG])
            .get(&[("Range", range)], Cached(1))
            .status(206)
            .body(body)
            .has("Content-Range", content_range)
            .has("Content-Length", &body.len().to_string())
    };
    let none = |range: &str| {
        digits(range, &[TAG])
            .get(&[("Range", range)], Cached(1))
            .status(416)
            .body("")
            .has("Content-Range", "bytes */10")
    };
    let ignored =
        |range: &str| digits(range, &[TAG]).get(&[("Range", range)], Cached(1)).lacks("Content-Range");
    check([
        part("bytes=0-0", "0", "bytes 0-0/10"),
        part("bytes=9-", "9", "bytes 9-9/10"),
        part("bytes=-3", "789", "bytes 7-9/10"),
        part("bytes=-30", DIGITS, "bytes 0-9/10"),
        part("bytes=4-99", "456789", "bytes 4-9/10"),
        part("bytes=0-1, 20-30", "01", "bytes 0-1/10"),
        none("bytes=10-"),
        none("bytes=-0"),
        ignored("bytes=5-4"),
        ignored("lines=1-2"),
        ignored("bytes=a-b"),
    ])
    .await;
}

#[tokio::test]
async fn rfc9110_13_1_5_if_range_compares_strongly() {
    let row = |validators: &[&str], if_range: &str, status| {
        let fields = [("Range", "bytes=2-4"), ("If-Range", if_range)];
        let row = digits(format!("{if_range} of {validators:?}"), validators)
            .get(&fields, Cached(1))
            .status(status);
        if status == 206 { row.body("234") } else { row.lacks("Content-Range") }
    };
    check([
        row(&[TAG], "\"a\"", 206),
        row(&[TAG, MODIFIED], DAY, 206),
        row(&[MODIFIED], DAY, 206),
        row(&[TAG], "\"b\"", 200),
        row(&[TAG], "W/\"a\"", 200),
        row(&["ETag: W/\"a\""], "W/\"a\"", 200),
        row(&["ETag: W/\"a\""], "\"a\"", 200),
        row(&[MODIFIED], "Wed, 07 Jan 2026 10:00:00 GMT", 200),
        row(&[MODIFIED], "\"a\"", 200),
        row(&[TAG], "a", 200),
        row(&[], "\"a\"", 200),
    ])
    .await;
}

#[tokio::test]
async fn rfc9110_13_2_2_conditions_go_before_the_range() {
    check([
        digits("not modified", &[TAG])
            .get(&[("Range", "bytes=2-4"), ("If-None-Match", "\"a\"")], Cached(1))
            .status(304),
        digits("modified", &[TAG])
            .get(&[("Range", "bytes=2-4"), ("If-None-Match", "\"b\"")], Cached(1))
            .status(206)
            .body("234"),
        // RFC 9110 section 14.2: a range is about what would be 200.
        case("an error").origin(404, &[FRESH]).get(&[], Origin(1)).get(&[("Range", "bytes=0-1")], Cached(1)),
    ])
    .await;
}

#[tokio::test]
async fn rfc9110_15_3_7_a_part_says_what_it_is_a_part_of() {
    let date = super::case::from_now(-5);
    let dated = format!("Date: {date}");
    let fields = [TAG, MODIFIED, &dated, "Content-Location: /x", "Vary: Accept", "Content-Type: text/css"];
    check([digits("fields", &fields)
        .get(&[("Range", "bytes=2-4")], Cached(1))
        .status(206)
        .body("234")
        .has("ETag", "\"a\"")
        .has("Last-Modified", DAY)
        .has("Date", &date)
        .has("Cache-Control", "max-age=600")
        .has("Content-Location", "/x")
        .has("Vary", "Accept")
        .has("Content-Type", "text/css")])
    .await;
}

const PIECE: usize = 64 << 10;
const LEN: usize = 10 * PIECE + 1234;

/// A site whose objects are fetched by this rule, in pieces of 64 KiB.
async fn start(rule: &str) -> (Server, Node) {
    let origin = Server::start().await;
    let toml = format!(
        "[[site]]\nname = \"rfc\"\norigin = \"{}\"\n[[rule]]\nrange-fill = \"{rule}\"\n",
        origin.url("/")
    );
    let node = impatient().args(["--fill-piece", "64KiB"]).config(&toml).start().await;
    (origin, node)
}

fn version(bytes: &[u8], tag: &str) -> Object {
    Script::object(bytes.to_vec()).header("Cache-Control", "max-age=600").etag(tag)
}

async fn get(node: &Node, fields: &[Field<'_>]) -> Response {
    let answer = node.request("GET", "/r/rfc/f", fields).await;
    settled(node).await;
    answer
}

/// The half-open range, asked for.
async fn range(node: &Node, span: std::ops::Range<usize>) -> Response {
    get(node, &[("Range", &format!("bytes={}-{}", span.start, span.end - 1))]).await
}

/// What the origin was asked for since the last time: `Range` and `If-Range` of each request.
fn asked(origin: &Server) -> Vec<(String, String)> {
    let field = |request: &Request, name: &str| request.header(name).unwrap_or("-").to_owned();
    let seen = origin.requests().into_iter();
    let seen = seen.map(|request| (field(&request, "range"), field(&request, "if-range"))).collect();
    origin.forget();
    seen
}

fn pair(range: &str, if_range: &str) -> (String, String) {
    (range.to_owned(), if_range.to_owned())
}

#[tokio::test]
async fn rfc9111_3_3_a_range_brings_the_pieces_around_it_and_no_more() {
    let (origin, node) = start("pieces").await;
    let bytes = content(1, LEN);
    origin.route("/f", version(&bytes, "\"v1\""));
    // To the end of its last piece: when that has come, all has.
    let span = PIECE + 5..3 * PIECE;
    let first = range(&node, span.clone()).await.expect_body(206, &bytes[span.clone()]);
    assert_eq!(first.header("content-range"), Some(&*format!("bytes {}-{}/{LEN}", span.start, span.end - 1)));
    assert_eq!(asked(&origin), [pair(&format!("bytes={PIECE}-{}", 3 * PIECE - 1), "-")]);
    for span in [PIECE..3 * PIECE, span, PIECE..PIECE + 1, 3 * PIECE - 1..3 * PIECE] {
        let again = range(&node, span.clone()).await.expect_body(206, &bytes[span]);
        assert_eq!(outcome(&again), "HIT");
    }
    assert!(asked(&origin).is_empty());
}

#[tokio::test]
async fn rfc9111_3_4_only_what_is_missing_is_fetched_and_under_the_same_validator() {
    let (origin, node) = start("pieces").await;
    let bytes = content(1, LEN);
    origin.route("/f", version(&bytes, "\"v1\""));
    range(&node, 2 * PIECE..3 * PIECE).await.expect_body(206, &bytes[2 * PIECE..3 * PIECE]);
    asked(&origin);
    // Of four pieces the third is there.
    range(&node, 10..4 * PIECE - 10).await.expect_body(206, &bytes[10..4 * PIECE - 10]);
    let mut gaps = asked(&origin);
    gaps.sort();
    let gap = |from: usize, to: usize| pair(&format!("bytes={}-{}", from, to - 1), "\"v1\"");
    assert_eq!(gaps, [gap(0, 2 * PIECE), gap(3 * PIECE, 4 * PIECE)]);
    // The whole brings the rest, and is then as if it had come at once.
    get(&node, &[]).await.expect_body(200, &bytes);
    assert_eq!(asked(&origin), [gap(4 * PIECE, LEN)]);
    let whole = get(&node, &[]).await.expect_body(200, &bytes);
    assert_eq!((&*outcome(&whole), whole.content_length()), ("HIT", Some(LEN as u64)));
    range(&node, 5..9).await.expect_body(206, &bytes[5..9]);
    get(&node, &[("Range", "bytes=-7")]).await.expect_body(206, &bytes[LEN - 7..]);
    assert!(asked(&origin).is_empty());
}

#[tokio::test]
async fn rfc9110_13_1_5_if_range_is_judged_by_pieces_as_by_the_whole() {
    let (origin, node) = start("pieces").await;
    let bytes = content(1, LEN);
    origin.route("/f", version(&bytes, "\"v1\""));
    range(&node, 0..10).await.expect_body(206, &bytes[..10]);
    asked(&origin);
    let part = [("Range", "bytes=5-9"), ("If-Range", "\"v1\"")];
    get(&node, &part).await.expect_body(206, &bytes[5..10]);
    let known = [("Range", "bytes=5-9"), ("If-None-Match", "\"v1\"")];
    get(&node, &known).await.expect_body(304, "");
    get(&node, &[("If-None-Match", "\"v1\"")]).await.expect_body(304, "");
    let beyond = get(&node, &[("Range", "bytes=99999999-")]).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some(&*format!("bytes */{LEN}"))));
    let head = node.request("HEAD", "/r/rfc/f", &[]).await.expect_body(200, "");
    assert_eq!(head.content_length(), Some(LEN as u64));
    assert!(asked(&origin).is_empty());
    let other = [("Range", "bytes=5-9"), ("If-Range", "\"v0\"")];
    get(&node, &other).await.expect_body(200, &bytes);
}

// 4c 29: the object changes between its pieces.
#[tokio::test]
async fn rfc9111_3_4_pieces_of_two_versions_never_meet() {
    let (old, new) = (content(1, LEN), content(2, LEN));
    let long = content(3, LEN + PIECE);
    let cases = [
        ("another tag", version(&new, "\"v2\""), &new),
        ("another length", version(&long, "\"v2\""), &long),
        ("another tag, ranges ignored", version(&new, "\"v2\"").ranges(Ranges::Ignored), &new),
        ("a weak tag", version(&new, "W/\"v1\""), &new),
        ("no validator", version(&new, "").last_modified(""), &new),
    ];
    for (name, changed, now) in cases {
        let (origin, node) = start("pieces").await;
        origin.route("/f", version(&old, "\"v1\""));
        range(&node, 0..10).await.expect_body(206, &old[..10]);
        origin.route("/f", changed);
        let span = 10..3 * PIECE;
        let answer = range(&node, span.clone()).await;
        // Bytes of the old one are there: whoever is given those must not get others behind them.
        match answer.status {
            206 | 200 if answer.is_broken() => {
                let at = if answer.status == 206 { 10 } else { 0 };
                assert!(old[at..].starts_with(&answer.body), "{name}: mixed before the break");
            }
            206 => assert!(answer.body == now[span.clone()], "{name}: neither version"),
            200 => assert!(answer.body == *now, "{name}: neither version"),
            _ => {
                answer.expect_refusal(&[502]);
            }
        }
        get(&node, &[]).await.expect_body(200, now);
        let again = range(&node, span.clone()).await.expect_body(206, &now[span]);
        assert!(again.header("etag") != Some("\"v1\""), "{name}: {again:?}");
        node.assert_alive().await;
    }
}

// 4c 28
#[tokio::test]
async fn rfc9110_15_3_7_a_part_that_is_not_what_was_asked_for_is_not_kept() {
    let bytes = content(1, LEN);
    let lies = [
        Ranges::Shifted(1),
        Ranges::AtMost(100),
        Ranges::Total(LEN as u64 + 1),
        Ranges::UnknownTotal,
        Ranges::NoContentRange,
        Ranges::Multipart,
        Ranges::Refused,
    ];
    for lie in lies {
        let (origin, node) = start("pieces").await;
        // The first answer, and one that is to fill a gap.
        for honest_first in [None, Some(())] {
            origin.route("/f", version(&bytes, "\"v1\""));
            if honest_first.is_some() {
                range(&node, 0..10).await.expect_body(206, &bytes[..10]);
            }
            origin.route("/f", version(&bytes, "\"v1\"").ranges(lie));
            let span = 3 * PIECE..3 * PIECE + 10;
            let answer = range(&node, span.clone()).await;
            if answer.status == 206 && answer.is_complete() && is_about(&answer, &span) {
                assert!(answer.body == bytes[span.clone()], "{lie:?}: wrong bytes");
            }
            assert!(answer.status != 200 || answer.is_broken() || answer.body == bytes, "{lie:?}");
            origin.route("/f", version(&bytes, "\"v1\""));
            range(&node, span.clone()).await.expect_body(206, &bytes[span]);
            get(&node, &[]).await.expect_body(200, &bytes);
            node.request("POST", "/r/rfc/f", &[]).await.expect(200);
        }
    }
}

/// Whether the answer claims to be this range of the whole.
fn is_about(answer: &Response, span: &std::ops::Range<usize>) -> bool {
    answer.header("content-range") == Some(&*format!("bytes {}-{}/{LEN}", span.start, span.end - 1))
}

// What was asked for is our own doing: it says nothing about the object.
#[tokio::test]
async fn rfc9110_15_5_17_a_range_beyond_the_end_is_no_answer_for_others() {
    let bytes = content(1, LEN);
    for rule in ["pieces", "auto", "whole"] {
        let (origin, node) = start(rule).await;
        origin.route("/f", version(&bytes, "\"v1\""));
        let beyond = get(&node, &[("Range", "bytes=99999999-")]).await;
        assert_eq!(
            (beyond.status, beyond.header("content-range")),
            (416, Some(&*format!("bytes */{LEN}"))),
            "{rule}"
        );
        get(&node, &[]).await.expect_body(200, &bytes);
        range(&node, 5..9).await.expect_body(206, &bytes[5..9]);
    }
}

// Without a strong validator nobody can tell whether two pieces belong together.
#[tokio::test]
async fn rfc9111_3_4_what_has_no_strong_validator_is_not_kept_in_pieces() {
    let bytes = content(1, LEN);
    for weak in [
        version(&bytes, "W/\"v1\""),
        version(&bytes, "").last_modified(""),
        version(&bytes, "").modified_now(),
    ] {
        let (origin, node) = start("pieces").await;
        origin.route("/f", weak);
        for span in [0..10, 3 * PIECE..3 * PIECE + 10] {
            range(&node, span.clone()).await.expect_body(206, &bytes[span]);
        }
        get(&node, &[]).await.expect_body(200, &bytes);
    }
}

#[tokio::test]
async fn rfc9111_4_3_1_stale_pieces_are_validated_before_they_are_used() {
    let bytes = content(1, LEN);
    let (origin, node) = start("pieces").await;
    origin.route("/f", version(&bytes, "\"v1\"").header("Age", "1000"));
    range(&node, 0..10).await.expect_body(206, &bytes[..10]);
    asked(&origin);
    origin.route("/f", version(&bytes, "\"v1\""));
    range(&node, 5..20).await.expect_body(206, &bytes[5..20]);
    let seen = origin.requests();
    assert_eq!((seen.len(), seen[0].header("if-none-match")), (1, Some("\"v1\"")), "{seen:?}");
    range(&node, 20..30).await.expect_body(206, &bytes[20..30]);
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn rfc9111_3_3_an_answer_that_may_not_be_stored_is_not_stored_in_pieces() {
    let bytes = content(1, LEN);
    for control in ["no-store", "private, max-age=600"] {
        let (origin, node) = start("pieces").await;
        origin.route("/f", Script::object(bytes.clone()).header("Cache-Control", control).etag("\"v1\""));
        for _ in 0..2 {
            range(&node, 5..10).await.expect_body(206, &bytes[5..10]);
        }
        assert!(origin.requests().len() >= 2, "{control}: it was kept");
    }
}

// RFC 9110 section 14.2: without the range, with all of what comes.
#[tokio::test]
async fn rfc9110_14_2_the_rule_says_how_much_of_an_absent_object_is_fetched() {
    let bytes = content(1, LEN);
    let (origin, node) = start("whole").await;
    origin.route("/f", version(&bytes, "\"v1\""));
    range(&node, 3 * PIECE..3 * PIECE + 9).await.expect_body(206, &bytes[3 * PIECE..3 * PIECE + 9]);
    assert_eq!(asked(&origin), [pair("-", "-")]);
    assert_eq!(outcome(&get(&node, &[]).await.expect_body(200, &bytes)), "HIT");
    // What is small is completed behind the answer.
    let (origin, node) = start("auto").await;
    origin.route("/f", version(&bytes, "\"v1\""));
    range(&node, 3 * PIECE..3 * PIECE + 9).await.expect_body(206, &bytes[3 * PIECE..3 * PIECE + 9]);
    assert_eq!(asked(&origin)[0], pair(&format!("bytes={}-{}", 3 * PIECE, 4 * PIECE - 1), "-"));
    origin.route("/f", version(&bytes, "\"v1\""));
    get(&node, &[]).await.expect_body(200, &bytes);
    assert_eq!(outcome(&get(&node, &[]).await.expect_body(200, &bytes)), "HIT");
    assert!(asked(&origin).iter().all(|(range, _)| range != "-"), "it was fetched anew");
    // What is large is not.
    let (origin, node) = start("auto").await;
    origin.route("/f", Script::generated(4, 64 << 20).header("Cache-Control", "max-age=600"));
    let answer = range(&node, 40 << 20..(40 << 20) + 9).await.expect(206);
    let exact = testkit::content::Content::new(4);
    let mut nine = [0; 9];
    exact.copy(40 << 20, &mut nine);
    assert_eq!(answer.body, nine);
    assert_eq!(asked(&origin).len(), 1);
}

// Who comes while the first pieces are on their way gets what belongs to its own range.
#[tokio::test]
async fn rfc9111_3_4_pieces_stay_in_their_places_whoever_asks_for_them_first() {
    let bytes = content(1, LEN);
    for _ in 0..20 {
        let (origin, node) = start("pieces").await;
        let gate = Gate::new();
        origin.route("/f", version(&bytes, "\"v1\"").head_after(&gate));
        let mut clients = Vec::new();
        let mut ask = async |span: std::ops::Range<usize>| {
            let mut client = Client::connect(node.address()).await;
            let range = format!("bytes={}-{}", span.start, span.end - 1);
            client.start("GET", "/r/rfc/f", &[("Range", &range)]).await;
            clients.push((client, span));
        };
        ask(0..3 * PIECE).await;
        origin.request_seen(1).await;
        for at in 0..8 {
            ask(at..at + 10).await;
        }
        gate.open();
        for (mut client, span) in clients {
            client.response("GET").await.expect_body(206, &bytes[span]);
        }
        get(&node, &[]).await.expect_body(200, &bytes);
    }
}

// Several clients, one piece: asked for once.
#[tokio::test]
async fn rfc9111_4_ranges_of_one_piece_are_collapsed() {
    let bytes = content(1, LEN);
    for _ in 0..8 {
        let (origin, node) = start("pieces").await;
        let gate = Gate::new();
        origin.route("/f", version(&bytes, "\"v1\"").head_after(&gate));
        let mut clients = Vec::new();
        for at in 0..8 {
            let mut client = Client::connect(node.address()).await;
            client.start("GET", "/r/rfc/f", &[("Range", &format!("bytes={at}-{}", at + 9))]).await;
            clients.push(client);
        }
        origin.request_seen(1).await;
        gate.open();
        for (at, client) in clients.iter_mut().enumerate() {
            client.response("GET").await.expect_body(206, &bytes[at..at + 10]);
        }
        assert_eq!(origin.requests().len(), 1);
    }
}
