//! [`Service`]: the way of a request through the doors.
//!
//! Checks that the request can be read in one way only ([`strict`]), finds out who asks, asks the access rules, routes
//! by path to a door, and makes sure that the request ends as exactly one event in metrics and access log ([`event`]).
//! Owns the doors; `listen` calls it once a request. Immutable after construction.
//!
//! A request that a door can answer at once is answered without a boxed future and without a lock; only what has to
//! wait pays for a future of its own. Does not decide anything about caching.

pub(crate) mod event;
mod strict;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts as Head;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use self::event::{Ending, Event, Recorder};
use self::strict::{Attached, Strictness};
use crate::access::{Asked, Rules};
use crate::access_log::AccessLog;
use crate::admin::AdminDoor;
use crate::fetch::FetchDoor;
use crate::metrics::Metrics;
use crate::respond::{Refusal, Reply, Responder};
use crate::wire::{Body, Outgoing, Peer, Watch};

const FETCH: &str = "fetch";

/// nginx's word for it, known to those who read logs.
const CLIENT_LEFT: u16 = 499;

/// Most bytes of a request's content, where one is read: some lines of JSON.
const LONGEST_CONTENT: usize = 16 << 10;

/// How long a client may take to send it.
const CONTENT_PATIENCE: Duration = Duration::from_secs(10);

/// Most bytes of a masked target in a log line.
const MAX_LOGGED_TARGET: usize = 2048;

/// What the service is built from.
pub struct Parts {
    /// Who may ask for what.
    pub access: Rules,
    /// The fetch door.
    pub fetch: FetchDoor,
    /// The operators' door.
    pub admin: AdminDoor,
    /// Makes the refusals.
    pub responder: Responder,
    /// Where finished requests are written down.
    pub log: AccessLog,
    /// Where finished requests are counted.
    pub metrics: Metrics,
    /// This node's name: a request whose `Via` has it is a loop.
    pub name: Arc<str>,
    /// Most bytes of a request target; longer ones are answered 414 (default: [`MAX_TARGET`]).
    pub max_target: usize,
}

/// Most bytes of a request target unless configured otherwise.
pub const MAX_TARGET: usize = 8192;

/// The way of a request through the doors; clones share everything.
#[derive(Clone)]
pub struct Service(Arc<Shared>);

struct Shared {
    access: Rules,
    fetch: FetchDoor,
    admin: AdminDoor,
    responder: Responder,
    recorder: Recorder,
    strictness: Strictness,
}

impl Service {
    /// A service of these parts.
    pub fn new(parts: Parts) -> Self {
        let Parts { access, fetch, admin, responder, log, metrics, name, max_target } = parts;
        let recorder = Recorder { log, metrics };
        let strictness = Strictness::new(&name, max_target);
        Self(Arc::new(Shared { access, fetch, admin, responder, recorder, strictness }))
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.0.recorder
    }

    /// Answers one request. Never fails: what goes wrong is an answer too.
    pub async fn handle(&self, peer: &Arc<Peer>, request: Request<Incoming>) -> Response<Outgoing> {
        let asked = Asking { started: Instant::now(), watch: Watch::begin(peer, request.version()) };
        let (head, body) = request.into_parts();
        let attached = if body.is_end_stream() { Attached::Nothing } else { Attached::Body };
        let client = self.0.access.client(peer.address.ip(), &head.headers);
        let reply = match self.0.answer_now(&head, attached, client) {
            Some(reply) => reply,
            None => Box::pin(self.0.answer(&head, body, client, asked.started)).await,
        };
        finish(&head, client, reply, asked)
    }
}

/// A request being answered.
struct Asking {
    started: Instant,
    watch: Watch,
}

impl Shared {
    /// What can be said without waiting: refusals, and hits.
    fn answer_now(&self, head: &Head, attached: Attached, client: IpAddr) -> Option<Reply> {
        let path = head.uri.path();
        let door = door(path);
        if let Err(refusal) = self.strictness.check(head, attached) {
            return Some(self.refuse_and_close(&refusal, head, door));
        }
        if let Err(denied) = self.access.check(&Asked { client, door, method: &head.method, path }) {
            let refusal = Refusal::forbidden("access_rule", denied.to_string());
            return Some(self.responder.refuse(&refusal, &head.headers, door));
        }
        if door == FETCH { self.fetch.answer_now(head) } else { None }
    }

    async fn answer(&self, head: &Head, body: Incoming, client: IpAddr, started: Instant) -> Reply {
        let unanswered = Unanswered::new(head, client, started, &self.recorder);
        let reply = match unanswered.door() {
            FETCH => self.fetch.answer(head).await,
            _ => self.answer_operator(head, body).await,
        };
        unanswered.answered();
        reply
    }

    async fn answer_operator(&self, head: &Head, body: Incoming) -> Reply {
        if !AdminDoor::reads(head) {
            return self.admin.answer(head, &[]).await;
        }
        match content(body).await {
            Ok(content) => self.admin.answer(head, &content).await,
            Err(refusal) => self.refuse_and_close(&refusal, head, door(head.uri.path())),
        }
    }

    /// After a request that could be read in two ways nobody knows where the next one begins.
    fn refuse_and_close(&self, refusal: &Refusal, head: &Head, door: &'static str) -> Reply {
        let mut reply = self.responder.refuse(refusal, &head.headers, door);
        if head.version < Version::HTTP_2 {
            reply.response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        reply
    }
}

/// What a request brings along, bounded in length and time.
async fn content(body: Incoming) -> Result<Bytes, Refusal> {
    match timeout(CONTENT_PATIENCE, Limited::new(body, LONGEST_CONTENT).collect()).await {
        Ok(Ok(content)) => Ok(content.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("the request's content has more than {LONGEST_CONTENT} bytes; send less");
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "content_too_long", detail))
        }
        Ok(Err(_)) => {
            Err(Refusal::bad_request("content_broken", "the request's content broke off; send it again"))
        }
        Err(_) => {
            let detail = "the request's content did not come in time; send it again";
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "content_slow", detail))
        }
    }
}

/// The door that answers a path, by the names that access rules use.
fn door(path: &str) -> &'static str {
    match path {
        _ if FetchDoor::owns(path) => FETCH,
        "/metrics" => "metrics",
        "/api/v1/health" | "/api/v1/health/" => "health",
        _ => "admin",
    }
}

/// Puts the answer under watch.
fn finish(head: &Head, client: IpAddr, reply: Reply, asked: Asking) -> Response<Outgoing> {
    let Reply { response, door, outcome, reason, name } = reply;
    let (mut parts, mut body) = response.into_parts();
    if head.method == Method::HEAD {
        declare_length(parts.status, &mut parts.headers, &body);
        body = Body::Empty;
    }
    let event = Event {
        client,
        method: head.method.clone(),
        target: name.unwrap_or_else(|| target(head)),
        status: parts.status,
        door,
        outcome,
        reason,
        bytes: 0,
        started: asked.started,
        first_byte: None,
        duration: Duration::ZERO,
        ending: Ending::Broken,
    };
    Response::from_parts(parts, Outgoing::new(body, event, asked.watch))
}

/// HEAD promises the length that GET would have; the wire cannot know it from a body that is not there.
fn declare_length(status: StatusCode, headers: &mut HeaderMap, body: &Body) {
    if matches!(status, StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT) {
        return;
    }
    if let Some(length) = body.length() {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// The target for people, secrets masked; for requests that no door named.
fn target(head: &Head) -> Arc<str> {
    let mut text = protocols::http::url::masked(&head.uri.to_string());
    if text.len() > MAX_LOGGED_TARGET {
        text.truncate(text.floor_char_boundary(MAX_LOGGED_TARGET));
        text.push('…');
    }
    text.into()
}

/// Writes down a request whose client left before there was an answer.
struct Unanswered<'a> {
    recorder: &'a Recorder,
    event: Option<Event>,
}

impl<'a> Unanswered<'a> {
    fn new(head: &Head, client: IpAddr, started: Instant, recorder: &'a Recorder) -> Self {
        let event = Event {
            client,
            method: head.method.clone(),
            target: target(head),
            status: StatusCode::from_u16(CLIENT_LEFT).unwrap_or_default(),
            door: door(head.uri.path()),
            outcome: None,
            reason: "client_left",
            bytes: 0,
            started,
            first_byte: None,
            duration: Duration::ZERO,
            ending: Ending::Broken,
        };
        Self { recorder, event: Some(event) }
    }

    fn door(&self) -> &'static str {
        self.event.as_ref().map_or(FETCH, |event| event.door)
    }

    fn answered(mut self) {
        self.event = None;
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            self.recorder.record(event, Ending::Broken);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
