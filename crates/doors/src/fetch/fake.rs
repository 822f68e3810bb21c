//! For tests: a door over a real cache and a real store, in front of an origin in memory.

use std::sync::Arc;

use bytes::Bytes;
use cache::{
    Cache, Error, KeyHasher, Kind, Manners, NamedBy, Origin, OriginRequest, OriginResponse, Purpose,
    RequestBody, Settings as CacheSettings, SystemClock,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::request::Parts as RequestHead;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;

use super::{FetchDoor, Parts, PassHeaders, Settings};
use crate::respond::{Reply, Responder};
use crate::wire::Body;

/// Bytes of a long body.
pub(crate) const LONG: usize = 400 << 10;

/// Answers 200 with the asked URL as body; paths `/status/<code>` get that status as an error, `/held` waits for
/// [`release`](Self::release), `/hint` says 103 before it waits; with `/fresh` in the path answers may be kept for a minute. Content of
/// requests is read to its end and comes back. `/long` has [`LONG`] bytes.
#[derive(Default)]
pub(crate) struct FakeOrigin {
    asked: Mutex<Vec<OriginRequest>>,
    held: Arc<tokio::sync::Notify>,
}

impl FakeOrigin {
    /// Every request so far.
    pub(crate) fn asked(&self) -> Vec<OriginRequest> {
        self.asked.lock().clone()
    }

    /// Lets one request for `/held` go on.
    pub(crate) fn release(&self) {
        self.held.notify_one();
    }
}

impl Origin for FakeOrigin {
    fn fetch(
        &self,
        request: OriginRequest,
        content: Option<RequestBody>,
    ) -> BoxFuture<'static, Result<OriginResponse, Error>> {
        self.asked.lock().push(request.clone());
        if let Some(status) = request.url.path().strip_prefix("/status/") {
            let status = status.parse().expect("a status in the path");
            let error = Error::new(Kind::OriginStatus(status), format!("the origin said {status}"));
            return async { Err(error) }.boxed();
        }
        let mut headers = HeaderMap::new();
        headers.insert("etag", HeaderValue::from_static("\"v1\""));
        headers.insert("content-type", HeaderValue::from_static("text/html"));
        headers.insert("set-cookie", HeaderValue::from_static("a=b"));
        if request.url.path().contains("/fresh") {
            headers.insert("cache-control", HeaderValue::from_static("max-age=60"));
        }
        let is_known = request.headers.get("if-none-match").is_some();
        let bytes = match request.url.path() {
            _ if is_known => Bytes::new(),
            "/long" => Bytes::from(vec![b'x'; LONG]),
            _ => Bytes::from(String::from(request.url.clone())),
        };
        let status = if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
        let path = request.url.path();
        let held = matches!(path, "/held" | "/hint").then(|| Arc::clone(&self.held));
        if let Purpose::Exchange(Manners { interim: Some(interim), .. }) = &request.purpose
            && path == "/hint"
        {
            let hints = HeaderMap::from_iter([(http::header::LINK, HeaderValue::from_static("</a.css>"))]);
            interim(StatusCode::EARLY_HINTS, &hints);
        }
        async move {
            let bytes = match content {
                None => bytes,
                Some(content) => content.collect().await?.to_bytes(),
            };
            headers.insert("content-length", HeaderValue::from(bytes.len()));
            let body = Box::pin(Full::new(bytes).map_err(|never| match never {}));
            if let Some(held) = held {
                held.notified().await;
            }
            Ok(OriginResponse { status, headers, body, url: request.url, reach: NamedBy::Client })
        }
        .boxed()
    }
}

pub(crate) struct Node {
    pub(crate) door: FetchDoor,
    pub(crate) cache: Cache,
    pub(crate) origin: Arc<FakeOrigin>,
    pub(crate) responder: Responder,
    pub(crate) registry: Arc<Registry>,
    _directory: tempfile::TempDir,
}

impl Node {
    /// A node that passes `authorization` when asked and `private-token` always.
    pub(crate) fn new() -> Self {
        Self::with_quota(1 << 20)
    }

    pub(crate) fn with_quota(quota: u64) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut registry = Registry::default();
        let config = store::Config {
            memory: 1 << 20,
            disk_threads: 1,
            open_files: 64,
            commit_interval: std::time::Duration::from_millis(20),
            // Nothing is evicted: a full store stays full.
            min_idle: std::time::Duration::from_secs(3600),
            ..store::Config::new(directory.path().join("store"), quota)
        };
        let origin = Arc::new(FakeOrigin::default());
        let store = store::open(config, &mut registry).expect("a store");
        // Loading goes on on threads of its own; nothing here waits for anything else.
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        while std::pin::pin!(store.loaded()).poll(&mut cx).is_pending() {
            std::thread::yield_now();
        }
        let parts = cache::Parts {
            store,
            origin: Arc::clone(&origin) as Arc<dyn Origin>,
            clock: Arc::new(SystemClock::new()),
            settings: CacheSettings::default(),
        };
        let cache = Cache::new(parts, &mut registry);
        let responder = Responder::new("node");
        let pass_headers = PassHeaders::new(&["Authorization", "Private-Token"], &["Private-Token"]);
        let settings = Settings { pass_headers: pass_headers.expect("right names"), ..Settings::default() };
        let hasher = KeyHasher::new([7; 32]);
        let parts = Parts { cache: cache.clone(), hasher, responder: responder.clone(), settings };
        let door = FetchDoor::new(parts, &mut registry);
        Self { door, cache, origin, responder, registry: Arc::new(registry), _directory: directory }
    }

    /// What the service would answer.
    pub(crate) async fn answer(&self, head: &RequestHead) -> Reply {
        match self.door.answer_now(head) {
            Some(reply) => reply,
            None => self.door.answer(head).await,
        }
    }

    /// A GET with fields, read to its end, when the fill behind it has ended as well.
    pub(crate) async fn read(&self, target: &str, fields: &[(&'static str, &str)]) -> String {
        let text = text(self.get(target, fields).await).await;
        let is_idle = || {
            let stats = self.cache.stats();
            let mut is_idle = stats.fills_started == stats.fills_completed + stats.fills_failed;
            self.cache
                .reader()
                .for_each_warm(|entry| is_idle &= entry.body.state() == store::BodyState::Complete);
            is_idle
        };
        while !is_idle() {
            tokio::task::yield_now().await;
        }
        text
    }

    /// A GET with fields.
    pub(crate) async fn get(&self, target: &str, fields: &[(&'static str, &str)]) -> Reply {
        self.answer(&head("GET", target, fields)).await
    }
}

pub(crate) fn head(method: &str, target: &str, fields: &[(&'static str, &str)]) -> RequestHead {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

/// The bytes of a reply, which must end clean.
pub(crate) async fn text(reply: Reply) -> String {
    let mut bytes = Vec::new();
    match reply.response.into_body() {
        Body::Empty => {}
        Body::Text(text) => bytes.extend_from_slice(&text),
        Body::Payload(mut payload) => {
            while let Some(chunk) = std::future::poll_fn(|cx| payload.poll_chunk(cx)).await {
                bytes.extend_from_slice(&chunk.expect("a clean end").bytes);
            }
        }
        Body::Stream(mut events) => {
            while let Some(event) = futures_util::StreamExt::next(&mut events).await {
                bytes.extend_from_slice(&event);
            }
        }
        Body::Made(_) => panic!("no door makes this"),
    }
    String::from_utf8(bytes).expect("UTF-8")
}

pub(crate) fn field<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    reply.response.headers().get(name).map(|value| value.to_str().expect("text"))
}
