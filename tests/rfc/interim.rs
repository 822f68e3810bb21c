//! Interim answers: told at once, never stored (RFC 9110 section 15.2, RFC 8297).

use scenarios::{impatient, outcome, settled};
use testkit::node::Node;
use testkit::origin::{Gate, Origin, Script, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HINTS: &str = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX-Step: 1\r\n\r\n\
                     HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>; rel=preload\r\n\
                     Connection: X-Hop\r\nX-Hop: 1\r\n\r\n";

const FINAL: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 3\r\n\r\nabc";

async fn start() -> (Origin, Node) {
    let origin = Origin::start().await;
    let toml = format!("[[site]]\nname = \"rfc\"\norigin = \"{}\"\n", origin.url("/"));
    let node = impatient().config(&toml).start().await;
    (origin, node)
}

/// A connection that shows all that comes, interim answers as well.
struct Bare {
    stream: TcpStream,
    seen: String,
}

impl Bare {
    async fn ask(node: &Node, request: &str) -> Self {
        let mut stream = TcpStream::connect(node.address()).await.expect("connects");
        stream.write_all(request.as_bytes()).await.expect("sent");
        Self { stream, seen: String::new() }
    }

    /// All that has come once `end` is at its end.
    async fn until(&mut self, end: &str) -> String {
        testkit::guarded(end, async {
            while !self.seen.ends_with(end) {
                let byte = self.stream.read_u8().await.unwrap_or_else(|_| panic!("ended at {:?}", self.seen));
                self.seen.push(char::from(byte));
            }
        })
        .await;
        std::mem::take(&mut self.seen)
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

// By both ways to the origin: that of a GET whose answer is stored, and that of what passes by the store.
#[tokio::test]
async fn rfc9110_15_2_interim_answers_come_at_once_and_in_order() {
    let (origin, node) = start().await;
    let post = "POST /r/rfc/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx";
    for request in [get("/r/rfc/a").as_str(), post] {
        let gate = Gate::new();
        origin.route("/a", Script::raw(HINTS).then(Step::Wait(gate.clone())).then(Step::Send(FINAL.into())));
        let mut client = Bare::ask(&node, request).await;
        let mut said = String::new();
        while !said.contains(" 103 ") {
            said.push_str(&client.until("\r\n\r\n").await);
        }
        let statuses: Vec<_> = said.lines().filter(|line| line.starts_with("HTTP/1.1 ")).collect();
        let expected = ["HTTP/1.1 100 Continue", "HTTP/1.1 102 Processing", "HTTP/1.1 103 Early Hints"];
        assert_eq!(statuses, expected, "{said}");
        let said = said.to_ascii_lowercase();
        let links = "link: </a.css>; rel=preload\r\nlink: </b.js>; rel=preload\r\n";
        assert!(said.contains("x-step: 1") && said.contains(links), "{said}");
        assert!(!said.contains("x-hop"), "a field of the origin's connection: {said}");
        gate.open();
        let rest = client.until("abc").await;
        assert!(rest.starts_with("HTTP/1.1 200 OK\r\n"), "{rest}");
    }
}

#[tokio::test]
async fn rfc8297_2_hints_are_not_stored() {
    let (origin, node) = start().await;
    origin.route("/a", Script::raw(HINTS).then(Step::Send(FINAL.into())));
    let mut client = Bare::ask(&node, &get("/r/rfc/a")).await;
    assert!(client.until("abc").await.contains(" 103 Early Hints"));
    settled(&node).await;
    let mut client = Bare::ask(&node, &get("/r/rfc/a")).await;
    let hit = client.until("abc").await;
    assert!(hit.starts_with("HTTP/1.1 200 OK\r\n") && !hit.contains("a.css"), "{hit}");
    assert_eq!(outcome(&node.get("/r/rfc/a").await), "HIT");
    assert_eq!(origin.requests_for("/a").len(), 1);
}

#[tokio::test]
async fn rfc9110_15_2_an_http_1_0_client_gets_no_interim_answer() {
    let (origin, node) = start().await;
    origin.route("/a", Script::raw(HINTS).then(Step::Send(FINAL.into())));
    let mut client = Bare::ask(&node, "GET /r/rfc/a HTTP/1.0\r\n\r\n").await;
    let said = client.until("abc").await;
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n") || said.starts_with("HTTP/1.0 200 OK\r\n"), "{said}");
    assert!(!said.contains(" 103 "), "{said}");
}

// RFC 9110 section 15.2.2: nobody has asked for another protocol, and what follows could be anything.
#[tokio::test]
async fn rfc9110_15_2_2_switching_protocols_is_no_answer() {
    let (origin, node) = start().await;
    let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\
                    HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 4\r\n\r\nevil";
    origin.route("/a", Script::raw(switched));
    let fields = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];
    node.request("GET", "/r/rfc/a", &fields).await.expect_refusal(&[502]);
    assert!(origin.requests_for("/a").iter().all(|request| request.header("upgrade").is_none()));
    node.get("/r/rfc/a").await.expect_refusal(&[502]);
}

// The answer that ends them must come within the patience and the memory that any answer gets.
#[tokio::test]
async fn rfc9110_15_2_a_flood_of_interim_answers_is_an_answer_that_does_not_come() {
    let (origin, node) = start().await;
    let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: </{}>\r\n\r\n", "x".repeat(4000));
    origin.route("/a", Script::raw(hint.repeat(20_000)).then(Step::Stall));
    let answer = node.get("/r/rfc/a").await;
    assert!([502, 504].contains(&answer.status), "{answer:?}");
    node.assert_alive().await;
}

#[tokio::test]
async fn rfc9110_10_1_1_an_expectation_is_met_before_the_content_is_sent() {
    let (origin, node) = start().await;
    origin.route("/a", Script::answer("201 Created", "made"));
    let request = "POST /r/rfc/a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n";
    let mut client = Bare::ask(&node, request).await;
    let said = client.until("\r\n\r\n").await;
    assert_eq!(said, "HTTP/1.1 100 Continue\r\n\r\n");
    client.stream.write_all(b"content").await.expect("sent");
    let said = client.until("made").await;
    assert!(said.starts_with("HTTP/1.1 201 Created\r\n"), "{said}");
    assert_eq!(origin.requests_for("/a")[0].body, b"content");
}

// RFC 9110 section 10.1.1: 417 for what is not understood.
#[tokio::test]
async fn rfc9110_10_1_1_another_expectation_is_refused() {
    let (origin, node) = start().await;
    node.request("POST", "/r/rfc/a", &[("Expect", "a-miracle"), ("Content-Length", "0")])
        .await
        .expect_refusal(&[417]);
    assert!(origin.requests().is_empty());
}
