//! What can be read in two ways, at the doors that pass requests on: a site and the forward proxy (RFC 9112). Nothing of
//! it reaches an origin, and nothing of what an origin says so reaches a client.

use scenarios::{impatient, settled};
use testkit::client::{Client, Response};
use testkit::node::Node;
use testkit::origin::{Origin, Script};

/// A server with a site in front of the origin; the origin is reached through the proxy as well.
pub(super) struct Stage {
    pub(super) origin: Origin,
    pub(super) node: Node,
}

/// The two ways to the origin.
#[derive(Clone, Copy, Debug)]
pub(super) enum Door {
    Site,
    Proxy,
}

pub(super) const DOORS: [Door; 2] = [Door::Site, Door::Proxy];

impl Stage {
    pub(super) async fn start() -> Self {
        let origin = Origin::start().await;
        let toml = format!("[[site]]\nname = \"rfc\"\norigin = \"{}\"\n", origin.url("/"));
        let node = impatient().config(&toml).start().await;
        origin.route("/smuggled", Script::answer("200 OK", "smuggled"));
        Self { origin, node }
    }

    fn target(&self, door: Door, path: &str) -> String {
        match door {
            Door::Site => format!("/r/rfc{path}"),
            Door::Proxy => self.origin.url(path),
        }
    }

    fn host(&self, door: Door) -> String {
        match door {
            Door::Site => self.node.address().to_string(),
            Door::Proxy => self.origin.address().to_string(),
        }
    }

    /// A request with these lines behind `Host`.
    pub(super) fn request(&self, door: Door, method: &str, path: &str, lines: &str) -> String {
        format!("{method} {} HTTP/1.1\r\nHost: {}\r\n{lines}\r\n", self.target(door, path), self.host(door))
    }

    /// A request that must never be answered: somebody smuggled it.
    fn smuggled(&self, door: Door) -> String {
        self.request(door, "GET", "/smuggled", "")
    }

    /// Sends these bytes with another request behind them: the server answers at most once, closes, and the origin
    /// has seen nothing of the second.
    async fn once(&self, door: Door, bytes: impl AsRef<[u8]>) -> Response {
        let mut client = Client::connect(self.node.address()).await;
        client.send(bytes.as_ref()).await;
        client.send(self.smuggled(door)).await;
        let first = client.response("GET").await;
        let shown = String::from_utf8_lossy(bytes.as_ref()).into_owned();
        assert!(
            client.is_closed().await,
            "{door:?}: a second answer after {shown:?}, first {}",
            first.status
        );
        assert!(self.origin.requests_for("/smuggled").is_empty(), "{door:?}: smuggled by {shown:?}");
        first
    }

    /// The same, it is refused, and the origin has not been asked at all.
    async fn refused(&self, door: Door, bytes: impl AsRef<[u8]>, statuses: &[u16]) {
        let answer = self.once(door, bytes.as_ref()).await;
        let shown = String::from_utf8_lossy(bytes.as_ref()).into_owned();
        assert!(statuses.contains(&answer.status), "{door:?}: {} for {shown:?}", answer.status);
        assert!(self.origin.requests().is_empty(), "{door:?}: {shown:?} was passed on");
    }

    async fn get(&self, door: Door, path: &str) -> Response {
        let mut client = Client::connect(self.node.address()).await;
        client.send(self.request(door, "GET", path, "")).await;
        let answer = client.response("GET").await;
        settled(&self.node).await;
        answer
    }
}

// 4c 1, 2, 3, 8
#[tokio::test]
async fn rfc9112_6_3_content_framed_in_two_ways_reaches_no_origin() {
    let stage = Stage::start().await;
    for door in DOORS {
        for lines in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
            "transfer-encoding: chunked\r\nX-A: 1\r\nCONTENT-LENGTH: 5\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: identity, chunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding: chunked;q=1\r\n",
            "Transfer-Encoding:\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            " Transfer-Encoding: chunked\r\n",
            "X: y\r\n Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding:\x0bchunked\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5\r\nContent-Length: 0\r\n",
            "Content-Length: 5, 6\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 5 5\r\n",
            "Content-Length: 5;\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length : 5\r\n",
        ] {
            for method in ["POST", "GET", "DELETE"] {
                let bytes = stage.request(door, method, "/f", lines) + "0\r\n\r\n";
                stage.refused(door, bytes, &[400, 501]).await;
            }
        }
    }
    stage.node.assert_alive().await;
}

// 4c 8
#[tokio::test]
async fn rfc9112_6_1_a_transfer_coding_in_http_1_0_is_not_trusted() {
    let stage = Stage::start().await;
    for door in DOORS {
        for lines in ["Transfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"]
        {
            let bytes =
                stage.request(door, "POST", "/f", lines).replace("HTTP/1.1", "HTTP/1.0") + "0\r\n\r\n";
            stage.refused(door, bytes, &[400, 501]).await;
        }
    }
}

// 4c 4, 5, 6
#[tokio::test]
async fn rfc9112_7_1_content_in_broken_chunks_is_never_a_whole_request() {
    let stage = Stage::start().await;
    stage.origin.route("/f", Script::silence());
    for door in DOORS {
        for chunks in [
            "FFFFFFFFFFFFFFFFF\r\nabc",
            "10000000000000003\r\nabc\r\n0\r\n\r\n",
            "-1\r\nabc\r\n0\r\n\r\n",
            "+3\r\nabc\r\n0\r\n\r\n",
            "0x3\r\nabc\r\n0\r\n\r\n",
            " 3\r\nabc\r\n0\r\n\r\n",
            "3;ext\nabc\r\n0\r\n\r\n",
            "3\nabc\n0\n\n",
            "3\rabc\r\n0\r\n\r\n",
            "3\r\nabcXX0\r\n\r\n",
            "3\r\nabc0\r\n\r\n",
            "\r\n0\r\n\r\n",
            "0\nX: y\n\n",
            "g\r\nabc\r\n0\r\n\r\n",
        ] {
            let bytes = stage.request(door, "POST", "/f", "Transfer-Encoding: chunked\r\n") + chunks;
            let answer = stage.once(door, &bytes).await;
            assert!(answer.status == 0 || answer.status >= 400, "{door:?}: {} for {chunks:?}", answer.status);
        }
    }
    stage.node.assert_alive().await;
}

// 4c 7
#[tokio::test]
async fn rfc9112_5_malformed_field_lines_reach_no_origin() {
    let stage = Stage::start().await;
    for door in DOORS {
        for line in [
            "X-A : b",
            "X-A\t: b",
            "X-A: b\r\n folded",
            "X-A: b\r\n\tfolded",
            "X-A: a\0b",
            "X-A: a\rb",
            "X-A: a\rHost: evil",
            "X A: b",
            ": b",
            "no colon",
            "X-\u{e9}: b",
            " X-A: b",
            "X-A\r: b",
        ] {
            stage.refused(door, stage.request(door, "GET", "/f", &format!("{line}\r\n")), &[400]).await;
            let lines = format!("{line}\r\nContent-Length: 0\r\n");
            stage.refused(door, stage.request(door, "POST", "/f", &lines), &[400]).await;
        }
        let (target, host) = (stage.target(door, "/f"), stage.host(door));
        for line in [
            format!("GET  {target} HTTP/1.1"),
            format!("GET {target}  HTTP/1.1"),
            format!("GET {target} x HTTP/1.1"),
            format!("GET\t{target}\tHTTP/1.1"),
            format!("GET {target} HTTP/1.2"),
            format!("GET {target} HTTP/2.0"),
            format!("GET {target} http/1.1"),
            format!("GET {target}\0 HTTP/1.1"),
            format!("G(T {target} HTTP/1.1"),
        ] {
            let answer = stage.once(door, format!("{line}\r\nHost: {host}\r\n\r\n")).await;
            assert!([0, 400, 505].contains(&answer.status), "{line:?}: {}", answer.status);
            assert!(stage.origin.requests().is_empty(), "{line:?} was passed on");
        }
    }
}

// 4c 14
#[tokio::test]
async fn rfc9112_3_2_a_request_names_one_host() {
    let stage = Stage::start().await;
    let own = stage.node.address();
    for door in DOORS {
        let (target, host) = (stage.target(door, "/f"), stage.host(door));
        for lines in [
            String::new(),
            format!("Host: {host}\r\nHost: {host}\r\n"),
            format!("Host: {host}\r\nHost: evil.example\r\n"),
            format!("Host: {host}, evil.example\r\n"),
            format!("Host: {host}/evil\r\n"),
            format!("Host: user@{host}\r\n"),
            "Host: a b\r\n".into(),
            "Host: a\u{e9}\r\n".into(),
            format!("Host : {host}\r\n"),
            format!("X-A: b\r\n Host: {host}\r\n"),
        ] {
            stage.refused(door, format!("GET {target} HTTP/1.1\r\n{lines}\r\n"), &[400]).await;
        }
    }
    // An absolute target of the site's own, of the proxy, and of nobody.
    let site = format!("http://{own}/r/rfc/f");
    for target in [site, stage.origin.url("/f"), "http://elsewhere.invalid/f".into()] {
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: evil.example\r\n\r\n");
        stage.refused(Door::Site, bytes, &[400]).await;
    }
}

// 4c 9: a hit is answered before its content would have been read.
#[tokio::test]
async fn rfc9110_9_3_1_content_of_a_get_is_never_taken_for_a_request() {
    let stage = Stage::start().await;
    stage.origin.route("/f", Script::answer("200 OK\r\nCache-Control: max-age=600", "abc"));
    for door in DOORS {
        stage.get(door, "/f").await.expect_body(200, "abc");
        stage.origin.forget();
        let hidden = stage.smuggled(door);
        for method in ["GET", "HEAD"] {
            let lengthy = stage.request(door, method, "/f", &format!("Content-Length: {}\r\n", hidden.len()));
            stage.refused(door, lengthy + &hidden, &[400]).await;
            let chunked = stage.request(door, method, "/f", "Transfer-Encoding: chunked\r\n");
            let size = format!("{:x}\r\n", hidden.len());
            stage.refused(door, chunked + &size + &hidden + "\r\n0\r\n\r\n", &[400]).await;
        }
    }
    stage.node.assert_alive().await;
}

#[tokio::test]
async fn rfc9112_9_3_2_pipelined_requests_with_content_are_each_their_own() {
    let stage = Stage::start().await;
    stage.origin.route_with("/f", |request, _| Script::answer("200 OK", &request.body));
    for door in DOORS {
        let mut client = Client::connect(stage.node.address()).await;
        let bodies = ["one".to_owned(), stage.smuggled(door), "three".to_owned()];
        for body in &bodies {
            let lines = format!("Content-Length: {}\r\n", body.len());
            client.send(stage.request(door, "POST", "/f", &lines) + body).await;
        }
        for body in &bodies {
            client.response("POST").await.expect_body(200, body);
        }
        assert!(stage.origin.requests_for("/smuggled").is_empty());
    }
}

/// What an origin must not say (RFC 9112 sections 2.2, 4, 5 and 6.3).
const AMBIGUOUS: [&str; 26] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabcd",
    "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 0x3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: three\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: b\r\n folded\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A : b\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: b\0c\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: b\rSet-Cookie: evil=1\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX A: b\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nno colon\r\n\r\nabc",
    "HTTP/1.1 20 OK\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/1.1 099 OK\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/2.7 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "abc",
];

// 4c 1-3, 7, 8 in the other direction, and response splitting.
#[tokio::test]
async fn rfc9112_6_3_an_answer_that_can_be_read_in_two_ways_reaches_no_client() {
    let stage = Stage::start().await;
    for door in DOORS {
        for (number, said) in AMBIGUOUS.into_iter().enumerate() {
            let path = format!("/{door:?}/{number}");
            stage.origin.route(&path, Script::raw(said).then(testkit::origin::Step::Close));
            for method in ["GET", "POST"] {
                let mut client = Client::connect(stage.node.address()).await;
                client.send(stage.request(door, method, &path, "")).await;
                let answer = client.response(method).await;
                assert_eq!(answer.status, 502, "{door:?} {method} {said:?}: {answer:?}");
                settled(&stage.node).await;
            }
            stage.origin.route(&path, Script::answer("200 OK\r\nCache-Control: max-age=600", "honest"));
            stage.get(door, &path).await.expect_body(200, "honest");
        }
    }
    stage.node.assert_alive().await;
}

// 4c 4-6, 31 in the other direction.
#[tokio::test]
async fn rfc9112_8_an_answer_that_breaks_off_is_not_whole_and_not_kept() {
    let stage = Stage::start().await;
    let chunked = |rest: &str| {
        Script::raw(format!(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: chunked\r\n\r\n{rest}"
        ))
    };
    let broken = [
        chunked("3\r\nabc\r\n"),
        chunked("3\r\nabc\r\n0\r\n"),
        chunked("5\r\nabc\r\n0\r\n\r\n"),
        chunked("3\r\nabcXX0\r\n\r\n"),
        chunked("FFFFFFFFFFFFFFFFF\r\nabc"),
        chunked("3;ext\nabc\r\n0\r\n\r\n"),
        chunked("g\r\nabc\r\n"),
        Script::raw("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 5\r\n\r\nabc"),
    ];
    for door in DOORS {
        for (number, script) in broken.iter().enumerate() {
            let path = format!("/{door:?}/{number}");
            stage.origin.route(&path, script.clone().then(testkit::origin::Step::Close));
            let answer = stage.get(door, &path).await;
            assert!(
                answer.is_broken() || [502, 504].contains(&answer.status),
                "{door:?} {number}: a clean end on what is not whole: {answer:?}"
            );
            stage.origin.route(&path, Script::answer("200 OK\r\nCache-Control: max-age=600", "honest"));
            stage.get(door, &path).await.expect_body(200, "honest");
        }
    }
}

// 4c 23, 32, 37: what comes where nothing may come is nobody's answer.
#[tokio::test]
async fn rfc9112_6_3_content_that_an_answer_cannot_have_is_no_answer_to_somebody_else() {
    let stage = Stage::start().await;
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let length = evil.len();
    stage.origin.route("/good", Script::answer("200 OK\r\nCache-Control: no-store", "good"));
    for door in DOORS {
        for (method, said, status) in [
            ("GET", format!("HTTP/1.1 204 No Content\r\nContent-Length: {length}\r\n\r\n{evil}"), 204),
            ("GET", format!("HTTP/1.1 204 No Content\r\n\r\n{evil}"), 204),
            ("GET", format!("HTTP/1.1 304 Not Modified\r\nContent-Length: {length}\r\n\r\n{evil}"), 304),
            ("HEAD", format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{evil}"), 200),
            ("GET", format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc{evil}"), 200),
            ("POST", format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc{evil}"), 200),
            (
                "POST",
                format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n{evil}"),
                200,
            ),
        ] {
            stage.origin.route("/bad", Script::raw(said.clone()));
            let mut client = Client::connect(stage.node.address()).await;
            client.send(stage.request(door, method, "/bad", "")).await;
            let answer = client.response(method).await;
            assert!([status, 502].contains(&answer.status), "{door:?} {said:?}: {answer:?}");
            assert!(!answer.text().contains("evil"), "{door:?} {said:?}: {answer:?}");
            // On the same connection, and on another one.
            client.send(stage.request(door, "GET", "/good", "")).await;
            client.response("GET").await.expect_body(200, "good");
            stage.get(door, "/good").await.expect_body(200, "good");
        }
    }
}

// RFC 9110 section 8.6: a HEAD is believed about nothing but itself.
#[tokio::test]
async fn rfc9110_9_3_2_a_head_that_lies_about_the_length_does_not_cut_a_get() {
    let stage = Stage::start().await;
    for (door, path) in [(Door::Site, "/a"), (Door::Proxy, "/b")] {
        stage.origin.route_with(path, |request, _| match request.method.as_str() {
            "HEAD" => {
                Script::raw("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 2\r\n\r\n")
            }
            _ => Script::answer("200 OK\r\nCache-Control: max-age=600", "whole"),
        });
        let mut client = Client::connect(stage.node.address()).await;
        for _ in 0..2 {
            client.send(stage.request(door, "HEAD", path, "")).await;
            client.response("HEAD").await.expect(200);
            client.send(stage.request(door, "GET", path, "")).await;
            client.response("GET").await.expect_body(200, "whole");
            settled(&stage.node).await;
        }
    }
}

// Encoded line ends stay encoded on both sides.
#[tokio::test]
async fn rfc9112_11_1_encoded_line_ends_split_nothing() {
    let stage = Stage::start().await;
    let path = "/%0d%0aX-Evil:%201%0d%0a%0d%0a";
    stage.origin.route(path, Script::answer("302 Found\r\nLocation: /%0d%0aSet-Cookie:%20evil=1", ""));
    for door in DOORS {
        let answer = stage.get(door, path).await;
        assert_eq!(answer.header("location"), Some("/%0d%0aSet-Cookie:%20evil=1"));
        assert_eq!((answer.status, answer.header("set-cookie")), (302, None));
        let seen = stage.origin.requests().pop().expect("it came");
        assert_eq!((&*seen.target, seen.header("x-evil")), (path, None));
    }
}

// 4c 13
#[tokio::test]
async fn rfc9112_3_oversized_heads_reach_no_origin() {
    let stage = Stage::start().await;
    for door in DOORS {
        let many = "X-A: b\r\n".repeat(10_000);
        let big = format!("X-A: {}\r\n", "b".repeat(1 << 20));
        for lines in [many, big] {
            let mut client = Client::connect(stage.node.address()).await;
            client.send(stage.request(door, "GET", "/f", &lines)).await;
            let answer = client.response("GET").await;
            assert!([400, 431].contains(&answer.status) || answer.is_broken(), "{}", answer.status);
        }
        let long = format!("/{}", "x".repeat(100_000));
        let mut client = Client::connect(stage.node.address()).await;
        client.send(stage.request(door, "GET", &long, "")).await;
        let answer = client.response("GET").await;
        assert!([400, 414, 431].contains(&answer.status) || answer.is_broken(), "{}", answer.status);
    }
    assert!(stage.origin.requests().is_empty());
    stage.node.assert_alive().await;
}

// 4c 16
#[tokio::test]
async fn rfc9110_7_6_2_hops_are_counted_and_traces_refused() {
    let stage = Stage::start().await;
    stage.origin.route("/f", Script::answer("200 OK", "abc"));
    for door in DOORS {
        let mut client = Client::connect(stage.node.address()).await;
        client.send(stage.request(door, "OPTIONS", "/f", "Max-Forwards: 0\r\n")).await;
        client.response("OPTIONS").await.expect(204);
        assert!(stage.origin.requests().is_empty());
        client.send(stage.request(door, "OPTIONS", "/f", "Max-Forwards: 7\r\n")).await;
        client.response("OPTIONS").await.expect_body(200, "abc");
        let seen = stage.origin.requests().pop().expect("it came");
        assert_eq!((&*seen.method, seen.header("max-forwards")), ("OPTIONS", Some("6")));
        stage.origin.forget();
        stage.refused(door, stage.request(door, "TRACE", "/f", "Max-Forwards: 0\r\n"), &[405, 501]).await;
    }
}
