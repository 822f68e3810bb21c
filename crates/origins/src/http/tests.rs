//! Against the scripted origin, over real sockets. Names resolve by a resolver of the test's own.

mod connections;
mod content;
mod exchange;
mod framing;
mod hops;
mod http2;
mod tls;
mod tunnels;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cache::{Kind, Origin as _, OriginBody};
use http::{HeaderValue, StatusCode};
use testkit::guarded;
use testkit::origin::{Origin, Script};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;

/// Answers by a function of the host and of how many queries came before; counts them.
struct Names<F> {
    answer: F,
    queries: Arc<AtomicUsize>,
}

impl<F: Fn(&str, usize) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static> Resolve for Names<F> {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let before = self.queries.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready((self.answer)(host, before)))
    }
}

/// An origin under test and what it counted.
struct Bench {
    http: HttpOrigin,
    queries: Arc<AtomicUsize>,
}

/// Times short enough for a test that waits for them, long enough for a busy machine.
fn settings() -> Settings {
    Settings {
        connect_timeout: Duration::from_secs(20),
        first_byte_timeout: Duration::from_secs(20),
        idle_timeout: Duration::from_secs(20),
        ..Settings::default()
    }
}

/// A proxy that answers one CONNECT so; gives its head, and the connection.
async fn tunnel_proxy(answer: &'static [u8]) -> (SocketAddr, JoinHandle<(String, TcpStream)>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let proxy = listener.local_addr().expect("its address");
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a head"));
        }
        stream.write_all(answer).await.expect("written");
        (String::from_utf8(head).expect("text"), stream)
    });
    (proxy, served)
}

impl Bench {
    /// Loopback is allowed; every name is 127.0.0.1.
    fn new() -> Self {
        Self::with(settings())
    }

    fn with(settings: Settings) -> Self {
        Self::resolving(settings, |_, _| Ok(vec![IpAddr::from([127, 0, 0, 1])]))
    }

    fn resolving(
        settings: Settings,
        answer: impl Fn(&str, usize) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Self {
        let queries = Arc::new(AtomicUsize::new(0));
        let names = Arc::new(Names { answer, queries: Arc::clone(&queries) });
        let guard = Guard::new(vec!["127.0.0.0/8".parse().expect("a rule")]);
        let http = HttpOrigin::with_resolver(settings, guard, &mut Registry::default(), names);
        Self { http: http.expect("settings that work"), queries }
    }

    async fn fetch(&self, url: &str) -> Result<OriginResponse, Error> {
        self.send(request(url)).await
    }

    async fn send(&self, request: OriginRequest) -> Result<OriginResponse, Error> {
        guarded("an answer", self.http.fetch(request, None)).await
    }

    async fn pass(
        &self,
        request: OriginRequest,
        content: Option<RequestBody>,
    ) -> Result<OriginResponse, Error> {
        guarded("an answer", self.http.fetch(request, content)).await
    }

    /// Status and whole body.
    async fn get(&self, url: &str) -> Result<(StatusCode, Bytes), Error> {
        let response = self.fetch(url).await?;
        Ok((response.status, whole(response.body).await?))
    }

    async fn refusal(&self, url: &str) -> Error {
        match self.get(url).await {
            Ok((status, body)) => panic!("{status} with {} bytes instead of an error", body.len()),
            Err(error) => error,
        }
    }
}

fn request(url: &str) -> OriginRequest {
    let url = Url::parse(url).expect("a URL");
    OriginRequest::get(url, HeaderMap::new(), HeaderMap::new())
}

async fn whole(body: OriginBody) -> Result<Bytes, Error> {
    Ok(guarded("the body's end", body.collect()).await?.to_bytes())
}

/// The same port under a name.
fn named(origin: &Origin, host: &str, path: &str) -> String {
    format!("http://{host}:{}{path}", origin.address().port())
}

fn ok(body: &str) -> Script {
    Script::answer("200 OK", body)
}

#[tokio::test]
async fn a_request_bears_our_fields_the_fills_and_the_clients() {
    let origin = Origin::start().await;
    origin.route("/file", ok("bytes"));
    let mut request = request(&named(&origin, "files.example", "/file?a=b"));
    let fields = [
        ("if-none-match", "\"1\""),
        ("via", "1.1 other"),
        ("connection", "x-secret"),
        ("x-secret", "1"),
        ("host", "evil.example"),
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
    ];
    for (name, value) in fields {
        request.headers.insert(name, HeaderValue::from_static(value));
    }
    request.headers.insert("authorization", HeaderValue::from_static("old"));
    request.credentials.insert("authorization", HeaderValue::from_static("Bearer t"));
    let response = Bench::new().send(request).await.expect("an answer");
    assert_eq!(whole(response.body).await.expect("bytes"), "bytes");

    let seen = &origin.requests()[0];
    assert_eq!(seen.target, "/file?a=b");
    let mut fields: Vec<String> =
        seen.headers.iter().map(|(name, value)| format!("{}: {value}", name.to_lowercase())).collect();
    fields.sort();
    let host = format!("host: files.example:{}", origin.address().port());
    let agent = format!("user-agent: Standpipe/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        fields,
        [
            "accept: */*",
            "authorization: Bearer t",
            &host,
            "if-none-match: \"1\"",
            &agent,
            "via: 1.1 other",
            "via: 1.1 standpipe"
        ]
    );
}

#[tokio::test]
async fn an_answer_loses_what_belongs_to_the_connection() {
    let origin = Origin::start().await;
    origin.route(
        "/",
        Script::answer("200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nETag: \"e\"", "x"),
    );
    let response = Bench::new().fetch(&origin.url("/")).await.expect("an answer");
    let names: Vec<_> = response.headers.keys().map(http::HeaderName::as_str).collect();
    assert_eq!(names, ["etag", "content-length"]);
    assert_eq!(response.url.as_str(), origin.url("/"));
}

#[tokio::test]
async fn other_statuses_are_answers_too() {
    let origin = Origin::start().await;
    let bench = Bench::new();
    for status in [204, 300, 302, 304, 404, 416, 429, 500, 503] {
        let path = format!("/{status}");
        let head = format!(
            "HTTP/1.1 {status} So\r\n{}\r\n",
            if matches!(status, 204 | 304) { "" } else { "Content-Length: 0\r\n" }
        );
        origin.route(&path, Script::raw(head));
        let (got, body) = bench.get(&origin.url(&path)).await.expect("an answer");
        assert_eq!((got.as_u16(), body.len()), (status, 0));
    }
}

#[tokio::test]
async fn a_big_body_comes_whole_in_large_frames() {
    let origin = Origin::start().await;
    origin.route("/", Script::generated(7, 20 << 20));
    let mut response = Bench::new().fetch(&origin.url("/")).await.expect("an answer");
    let (mut length, mut largest) = (0, 0);
    while let Some(frame) = response.body.frame().await {
        let data = frame.expect("a frame").into_data().expect("data");
        length += data.len();
        largest = largest.max(data.len());
    }
    assert_eq!(length, 20 << 20);
    // A buffer that is whole again is read into at its full capacity, which may be twice what was asked for.
    assert!((64 << 10..=4 << 20).contains(&largest), "{largest}");
}

#[tokio::test]
async fn only_http_urls_are_fetched() {
    let bench = Bench::new();
    for url in ["ftp://files.example/", "file:///etc/passwd", "data:,x"] {
        assert_eq!(bench.refusal(url).await.kind, Kind::UrlInvalid, "{url}");
    }
}

#[test]
fn settings_that_can_not_work_are_refused_at_the_start() {
    let new = |settings| {
        let made = HttpOrigin::new(settings, Guard::default(), &mut Registry::default());
        made.err().map(|error| error.detail)
    };
    let agent = Settings { user_agent: "a\nb".into(), ..Settings::default() };
    assert!(new(agent).is_some_and(|detail| detail.contains("user agent")));
    assert!(new(Settings { pseudonym: String::new(), ..Settings::default() }).is_some());
    let missing = Settings { extra_ca_files: vec!["/nowhere/ca.pem".into()], ..Settings::default() };
    assert!(new(missing).is_some_and(|detail| detail.contains("/nowhere/ca.pem")));
}
