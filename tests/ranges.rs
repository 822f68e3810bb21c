//! Parts of objects: complete ones and growing ones.

use scenarios::{assert_recovers, impatient};
use testkit::client::Response;
use testkit::content::{Content, content};
use testkit::node::{Node, fetch_target};
use testkit::origin::{End, Framing, Gate, Origin, Ranges, Script};

const LEN: usize = 300_000;

async fn range(node: &Node, url: &str, range: &str) -> Response {
    node.fetch_with(url, &[("Range", range)]).await
}

/// The parts of a `multipart/byteranges` body: `Content-Range` and bytes of each.
fn parts(answer: &Response) -> Vec<(String, Vec<u8>)> {
    let kind = answer.header("content-type").expect("a type");
    let boundary = kind.split("boundary=").nth(1).expect("a boundary").trim_matches('"');
    let delimiter = format!("\r\n--{boundary}");
    let mut body = b"\r\n".to_vec();
    body.extend_from_slice(&answer.body);
    let mut starts: Vec<usize> = find_all(&body, delimiter.as_bytes());
    let end = starts.pop().expect("an end");
    assert_eq!(&body[end + delimiter.len()..][..2], b"--", "the last delimiter closes the body");
    starts.push(end);
    let between = starts.windows(2).map(|pair| &body[pair[0] + delimiter.len() + 2..pair[1]]);
    between.map(split_part).collect()
}

fn split_part(part: &[u8]) -> (String, Vec<u8>) {
    let head_end = find_all(part, b"\r\n\r\n")[0];
    let head = String::from_utf8_lossy(&part[..head_end]);
    let field = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-range").then(|| value.to_owned())
    });
    (field.expect("a Content-Range in every part"), part[head_end + 4..].to_vec())
}

fn find_all(bytes: &[u8], needle: &[u8]) -> Vec<usize> {
    bytes
        .windows(needle.len())
        .enumerate()
        .filter(|(_, window)| *window == needle)
        .map(|(at, _)| at)
        .collect()
}

// 24: first byte, last byte, suffixes, beyond the end, 2^63 and more, reversed.
#[tokio::test]
async fn one_range_of_a_complete_object() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let bytes = content(1, LEN);
    origin.route("/f", Script::object(bytes.clone()).etag("\"v1\""));
    let url = origin.url("/f");
    node.fetch(&url).await.expect_body(200, &bytes);
    let cases = [
        ("bytes=0-0", 0..1),
        ("bytes=299999-299999", 299_999..LEN),
        ("bytes=299999-", 299_999..LEN),
        ("bytes=-1", 299_999..LEN),
        ("bytes=-300000", 0..LEN),
        ("bytes=-999999999", 0..LEN),
        ("bytes=-18446744073709551615", 0..LEN),
        ("bytes=0-", 0..LEN),
        ("bytes=1-9223372036854775808", 1..LEN),
        ("bytes=1-18446744073709551615", 1..LEN),
        ("bytes=100000-200000", 100_000..200_001),
        ("Bytes=5-9", 5..10),
        ("bytes= 5-9 ", 5..10),
    ];
    for (field, span) in cases {
        let answer = range(&node, &url, field).await.expect_body(206, &bytes[span.clone()]);
        let expected = format!("bytes {}-{}/{LEN}", span.start, span.end - 1);
        assert_eq!(answer.header("content-range"), Some(expected.as_str()), "{field}");
        assert_eq!(answer.header("etag"), Some("\"v1\""));
        assert_eq!(answer.content_length(), Some(span.len() as u64));
    }
    for field in ["bytes=300000-", "bytes=300000-300001", "bytes=9223372036854775808-", "bytes=-0"] {
        let answer = range(&node, &url, field).await;
        assert_eq!((answer.status, answer.header("content-range")), (416, Some("bytes */300000")), "{field}");
        assert!(answer.is_complete());
    }
    for field in
        ["bytes=9-5", "bytes=", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=1-2-3", "bytes", "bytes=+1-2"]
    {
        range(&node, &url, field).await.expect_body(200, &bytes);
    }
    for field in ["bytes=18446744073709551616-", "bytes=99999999999999999999-99999999999999999999"] {
        assert!([200, 416].contains(&range(&node, &url, field).await.status), "{field}");
    }
    let head = node.request("HEAD", &fetch_target(&url, ""), &[("Range", "bytes=0-9")]).await;
    assert!(head.is_complete() && head.body.is_empty() && [200, 206].contains(&head.status));
    assert_eq!(origin.requests().len(), 1);
    node.assert_alive().await;
}

// 25: many ranges, too many, overlapping, one byte each.
#[tokio::test]
async fn several_ranges_come_as_multipart() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let bytes = content(1, LEN);
    origin.route("/f", Script::object(bytes.clone()).header("Content-Type", "text/plain"));
    let url = origin.url("/f");
    node.fetch(&url).await.expect_body(200, &bytes);
    let answer = range(&node, &url, "bytes=0-0,100-199,-1").await.expect(206);
    assert_eq!(answer.header("content-range"), None);
    let expected = [
        ("bytes 0-0/300000", 0..1),
        ("bytes 100-199/300000", 100..200),
        ("bytes 299999-299999/300000", LEN - 1..LEN),
    ];
    let got = parts(&answer);
    assert_eq!(got.len(), 3);
    for ((field, part), (expected, span)) in got.iter().zip(expected) {
        assert_eq!((field.as_str(), part.as_slice()), (expected, &bytes[span]));
    }
    // One of two is there: that one alone, in whichever form.
    let one = range(&node, &url, "bytes=0-1,300000-").await.expect(206);
    let alone = one.header("content-range") == Some("bytes 0-1/300000") && one.body == bytes[..2];
    assert!(alone || parts(&one) == [("bytes 0-1/300000".to_owned(), bytes[..2].to_vec())]);
    assert_eq!(range(&node, &url, "bytes=300000-,400000-").await.status, 416);
    let many =
        |n: usize| (0..n).map(|i| format!("{}-{}", i * 1000, i * 1000 + 499)).collect::<Vec<_>>().join(",");
    let answer = range(&node, &url, &format!("bytes={}", many(256))).await.expect(206);
    let got = parts(&answer);
    assert_eq!(got.len(), 256);
    for (index, (_, part)) in got.iter().enumerate() {
        assert!(*part == bytes[index * 1000..index * 1000 + 500], "part {index}");
    }
    let answer = range(&node, &url, &format!("bytes={}", many(257))).await;
    assert!(answer.body == bytes || answer.status == 416, "{}", answer.status);
    let thousand = (0..1000).map(|i| format!("{i}-{i}")).collect::<Vec<_>>().join(",");
    let answer = range(&node, &url, &format!("bytes={thousand}")).await;
    assert!(answer.body == bytes || answer.status == 416, "{}", answer.status);
    let overlapping = vec!["0-"; 200].join(",");
    let answer = range(&node, &url, &format!("bytes={overlapping}")).await;
    assert!(answer.body.len() < 2 * LEN, "{} bytes for an object of {LEN}", answer.body.len());
    node.assert_alive().await;
}

// 26: If-Range strong, weak, date, wrong.
#[tokio::test]
async fn if_range_decides_between_the_part_and_the_whole() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/strong", Script::object("0123456789").etag("\"v1\""));
    origin.route("/weak", Script::object("0123456789").etag("W/\"v1\""));
    let cases = [
        ("/strong", "\"v1\"", 206),
        ("/strong", "W/\"v1\"", 200),
        ("/strong", "\"v2\"", 200),
        ("/strong", "Tue, 06 Jan 2026 10:00:00 GMT", 206),
        ("/strong", "Tue, 06 Jan 2026 10:00:01 GMT", 200),
        ("/strong", "Tue, 06 Jan 2026 09:59:59 GMT", 200),
        ("/strong", "nonsense", 200),
        ("/weak", "W/\"v1\"", 200),
        ("/weak", "\"v1\"", 200),
    ];
    for (path, validator, status) in cases {
        let url = origin.url(path);
        node.fetch(&url).await.expect(200);
        let answer = node.fetch_with(&url, &[("Range", "bytes=2-3"), ("If-Range", validator)]).await;
        answer.expect_body(status, if status == 206 { "23" } else { "0123456789" });
    }
}

// 27: every pair around the edges where bytes are put together.
#[tokio::test]
async fn ranges_around_every_edge() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let len = 2 * 1024 * 1024 + 3;
    let bytes = content(4, len);
    origin.route("/f", Script::object(bytes.clone()));
    let url = origin.url("/f");
    node.fetch(&url).await.expect_body(200, &bytes);
    let mut client = node.client().await;
    let target = fetch_target(&url, "");
    let mut points = vec![0, 1, len - 2, len - 1];
    for edge in [4096, 65_536, 262_144, 1_048_576, 2_097_152] {
        points.extend([edge - 1, edge, edge + 1]);
    }
    points.sort_unstable();
    for &first in &points {
        for &last in points.iter().filter(|last| **last >= first) {
            let field = format!("bytes={first}-{last}");
            let answer = client.request("GET", &target, &[("Range", &field)]).await.expect(206);
            assert!(answer.body == bytes[first..=last], "{field}");
        }
    }
    assert_eq!(origin.requests().len(), 1);
}

// 30: the empty file, one byte.
#[tokio::test]
async fn ranges_of_tiny_objects() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/0", Script::object(""));
    origin.route("/1", Script::object("x"));
    origin.route("/0c", Script::object("").framing(Framing::Chunked));
    for path in ["/0", "/0c"] {
        let url = origin.url(path);
        for _ in 0..2 {
            node.fetch(&url).await.expect_body(200, "");
        }
        assert_eq!(node.fetch_head(&url).await.expect(200).content_length(), Some(0));
        for field in ["bytes=0-0", "bytes=0-", "bytes=-1"] {
            let answer = range(&node, &url, field).await;
            assert!(
                answer.is_complete() && answer.body.is_empty() | (answer.status == 416),
                "{path} {field}"
            );
            assert!([200, 416].contains(&answer.status), "{path} {field}: {}", answer.status);
        }
    }
    let url = origin.url("/1");
    node.fetch(&url).await.expect_body(200, "x");
    for field in ["bytes=0-0", "bytes=0-", "bytes=-1", "bytes=0-5"] {
        range(&node, &url, field).await.expect_body(206, "x");
    }
    assert_eq!(range(&node, &url, "bytes=1-").await.status, 416);
    node.assert_alive().await;
}

#[tokio::test]
async fn a_range_of_an_absent_object_is_answered_and_the_rest_is_consistent() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let bytes = content(1, LEN);
    for (index, field) in ["bytes=100-199", "bytes=-5", "bytes=0-0", "bytes=299990-"].into_iter().enumerate()
    {
        let path = format!("/{index}");
        origin.route(&path, Script::object(bytes.clone()));
        let answer = range(&node, &origin.url(&path), field).await.expect(206);
        assert!(bytes.windows(answer.body.len()).any(|window| window == answer.body), "{field}");
        node.fetch(&origin.url(&path)).await.expect_body(200, &bytes);
    }
    let beyond = range(&node, &origin.url("/0"), "bytes=300000-").await;
    assert_eq!(beyond.status, 416);
}

// Growing objects: what is there is answered at once, what is not waits for it.
#[tokio::test]
async fn ranges_of_a_growing_object() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let gate = Gate::new();
    let bytes = content(1, LEN);
    origin.route("/f", Script::object(bytes.clone()).etag("\"v1\"").pause_at(200_000, &gate));
    let url = origin.url("/f");
    let mut whole = node.client().await;
    whole.start("GET", &fetch_target(&url, ""), &[]).await;
    gate.reached(1).await;

    range(&node, &url, "bytes=0-99999").await.expect_body(206, &bytes[..100_000]);
    range(&node, &url, "bytes=150000-199999").await.expect_body(206, &bytes[150_000..200_000]);
    assert_eq!(range(&node, &url, "bytes=300000-").await.status, 416);
    assert_eq!(parts(&range(&node, &url, "bytes=0-9,199990-199999").await.expect(206)).len(), 2);
    let known = [("If-None-Match", "\"v1\"")];
    node.fetch_with(&url, &known).await.expect_body(304, "");
    let head = node.fetch_head(&url).await.expect(200);
    assert_eq!(head.content_length(), Some(LEN as u64));

    let mut waiting = Vec::new();
    for (field, span) in [
        ("bytes=-10", LEN - 10..LEN),
        ("bytes=199999-200000", 199_999..200_001),
        ("bytes=250000-", 250_000..LEN),
    ] {
        let mut client = node.client().await;
        client.start("GET", &fetch_target(&url, ""), &[("Range", field)]).await;
        waiting.push((client, span));
    }
    gate.open();
    for (mut client, span) in waiting {
        client.response("GET").await.expect_body(206, &bytes[span]);
    }
    whole.response("GET").await.expect_body(200, &bytes);
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn ranges_of_a_growing_object_of_unknown_length() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let gate = Gate::new();
    let bytes = content(1, LEN);
    origin.route("/f", Script::object(bytes.clone()).framing(Framing::Chunked).pause_at(200_000, &gate));
    let url = origin.url("/f");
    let mut whole = node.client().await;
    whole.start("GET", &fetch_target(&url, ""), &[]).await;
    gate.reached(1).await;
    let mut waiting = Vec::new();
    let cases: [(&str, u16, std::ops::Range<usize>); 4] = [
        ("bytes=-10", 206, LEN - 10..LEN),
        ("bytes=250000-", 206, 250_000..LEN),
        ("bytes=0-9", 206, 0..10),
        ("bytes=300000-", 416, 0..0),
    ];
    for (field, status, span) in cases {
        let mut client = node.client().await;
        client.start("GET", &fetch_target(&url, ""), &[("Range", field)]).await;
        waiting.push((client, field, status, span));
    }
    gate.open();
    for (mut client, field, status, span) in waiting {
        let answer = client.response("GET").await;
        // RFC 9110 14.2: a server may ignore Range; what it must not do is lie.
        let ignored = answer.status == 200 && answer.body == bytes && answer.is_complete();
        let exact = answer.status == status && (status == 416 || answer.body == bytes[span]);
        assert!(ignored || exact, "{field}: {} with {} bytes", answer.status, answer.body.len());
    }
    whole.response("GET").await.expect_body(200, &bytes);
    assert_eq!(origin.requests().len(), 1);
    range(&node, &url, "bytes=-10").await.expect_body(206, &bytes[LEN - 10..]);
}

// 31 with a resume: a broken transfer goes on where it stopped, unseen by the client.
#[tokio::test]
async fn a_broken_transfer_is_resumed() {
    for end in [End::Close, End::Reset] {
        let (origin, node) = (Origin::start().await, impatient().start().await);
        let bytes = content(1, LEN);
        let object = Script::object(bytes.clone()).etag("\"v1\"");
        origin.route_each("/f", vec![object.clone().cut_at(150_000, end).into(), object.into()]);
        node.fetch(&origin.url("/f")).await.expect_body(200, &bytes);
        let requests = origin.requests();
        assert_eq!(requests[1].header("if-range"), Some("\"v1\""));
        let from =
            requests[1].header("range").and_then(|field| field.strip_prefix("bytes=")?.strip_suffix('-'));
        assert!(
            from.is_some_and(|from| from.parse::<usize>().is_ok_and(|from| from <= 150_000)),
            "{requests:?}"
        );
        node.fetch(&origin.url("/f")).await.expect_body(200, &bytes);
        assert_eq!(origin.requests().len(), 2);
    }
}

#[tokio::test]
async fn a_transfer_that_breaks_again_and_again_but_moves_on_is_completed() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    let bytes = content(1, LEN);
    let steps =
        (1..6).map(|n| Script::object(bytes.clone()).etag("\"v1\"").cut_at(n * 50_000, End::Close).into());
    origin.route_each("/f", steps.chain([Script::object(bytes.clone()).etag("\"v1\"").into()]).collect());
    node.fetch(&origin.url("/f")).await.expect_body(200, &bytes);
    node.assert_alive().await;
}

// 28: less than what was asked for is no lie, only less.
#[tokio::test]
async fn a_resume_that_is_answered_in_small_parts_is_completed() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    let bytes = content(1, LEN);
    let object = Script::object(bytes.clone()).etag("\"v1\"");
    let parts = object.clone().ranges(Ranges::AtMost(40_000));
    origin.route_each("/f", vec![object.cut_at(150_000, End::Close).into(), parts.into()]);
    node.fetch(&origin.url("/f")).await.expect_body(200, &bytes);
    node.fetch(&origin.url("/f")).await.expect_body(200, &bytes);
    node.assert_alive().await;
}

// 28: the origin's answer to the resume is not what was asked for.
#[tokio::test]
async fn a_resume_that_the_origin_answers_wrongly_never_mixes_bytes() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    let bytes = content(1, LEN);
    let lies = [
        Ranges::Ignored,
        Ranges::Shifted(1),
        Ranges::Total(LEN as u64 + 1),
        Ranges::Total(LEN as u64 - 1),
        Ranges::UnknownTotal,
        Ranges::NoContentRange,
        Ranges::Multipart,
        Ranges::Refused,
    ];
    for (index, lie) in lies.into_iter().enumerate() {
        let path = format!("/{index}");
        let object = Script::object(bytes.clone()).etag("\"v1\"");
        origin.route(&path, object.cut_at(150_000, End::Close).ranges(lie));
        let answer = node.fetch(&origin.url(&path)).await;
        scenarios::assert_honest(&answer, &bytes);
        assert_recovers(&node, &origin, &path, &bytes).await;
    }
}

// 29: the object changes in the middle: another ETag, the same ETag is not there, or the same length with new bytes.
#[tokio::test]
async fn an_object_that_changes_in_the_middle_is_never_mixed() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    let (old, new) = (content(1, LEN), content(2, LEN));
    let object = |bytes: &bytes::Bytes, tag: &str| Script::object(bytes.clone()).last_modified("").etag(tag);
    let first = |tag: &str| object(&old, tag).cut_at(150_000, End::Close).into();
    let then = |tag: &str| object(&new, tag).into();
    let just_now = |bytes: &bytes::Bytes| Script::object(bytes.clone()).etag("").modified_now();
    let cases = [
        ("/flips", first("\"v1\""), then("\"v2\"")),
        ("/weak", first("W/\"v1\""), then("W/\"v1\"")),
        ("/forgets", first("\"v1\""), then("")),
        ("/never-had-one", first(""), then("")),
        // A date says nothing about changes within the same second or minute.
        ("/just-now", just_now(&old).cut_at(150_000, End::Close).into(), just_now(&new).into()),
    ];
    for (path, first, then) in cases {
        origin.route_each(path, vec![first, then]);
        let answer = node.fetch(&origin.url(path)).await;
        let of = |bytes: &[u8]| bytes.starts_with(&answer.body);
        assert!(answer.status >= 500 || of(&old) || of(&new), "{path}: mixed bytes");
        assert!(
            !answer.is_complete() || answer.status >= 500 || answer.body == new,
            "{path}: {:?}",
            answer.ending
        );
        assert_recovers(&node, &origin, path, &new).await;
    }
}

#[tokio::test]
async fn a_resumed_part_with_a_foreign_etag_is_refused() {
    // 28 and 29: the origin honours If-Range wrongly and sends a part of another representation.
    let (origin, node) = (Origin::start().await, impatient().start().await);
    let (old, new) = (content(1, LEN), content(2, LEN));
    let object = Script::object(old.clone()).etag("\"v1\"").cut_at(150_000, End::Close);
    let part = move |request: &testkit::origin::Request, before: usize| {
        if before == 0 {
            return object.clone().into();
        }
        let from: usize = request
            .header("range")
            .and_then(|field| field.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok())
            .unwrap_or(0);
        let head =
            format!("206 Partial Content\r\nETag: \"v2\"\r\nContent-Range: bytes {from}-{}/{LEN}", LEN - 1);
        Script::answer(&head, &new[from..])
    };
    origin.route_with("/f", part);
    let answer = node.fetch(&origin.url("/f")).await;
    scenarios::assert_honest(&answer, &old);
    assert!(!answer.is_complete() || answer.status >= 500);
    assert_recovers(&node, &origin, "/f", &old).await;
}

// 30: a sparse giant; nobody reads it, but its numbers must not overflow or be reserved for nothing.
#[tokio::test]
async fn a_giant_that_does_not_fit_is_an_honest_answer() {
    let origin = Origin::start().await;
    let node = impatient().args(["--store-quota", "64MiB"]).start().await;
    let huge = 5_u64 << 40;
    origin.route("/f", Script::generated(9, huge).declares(huge));
    let mut client = node.client().await;
    client.start("GET", &fetch_target(&origin.url("/f"), ""), &[]).await;
    let head = client.head("GET").await;
    if head.status == 200 {
        assert_eq!(head.content_length(), Some(huge));
        Content::new(9).assert_matches(0, &client.some_body(1 << 20).await);
    } else {
        assert_eq!(head.status, 507);
    }
    drop(client);
    node.assert_alive().await;
    assert_recovers(&node, &origin, "/small", b"abc").await;
}
