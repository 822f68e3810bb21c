//! The ways of requests that have to wait: into the doors, with what comes along: content, interim answers, tunnels.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;
use bytes::Bytes;
use cache::{Interim, Outcome, Target};
use http::request::Parts as Head;
use http::{Method, Response, StatusCode, Version};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::event::{Ending, Event, Recorder};
use super::route::{Route, asked_host};
use super::{Asking, Reload, Shared, finish, target};
use crate::admin::{AdminDoor, is_purge};
use crate::exchange::fields::{Client, Trust};
use crate::proxy::{CONNECT, End, Opened};
use crate::respond::{Page, Refusal, Reply};
use crate::site::Attachment;
use crate::wire::{Interims, Outgoing, Peer};

/// nginx's word for it, known to those who read logs.
const CLIENT_LEFT: u16 = 499;

/// Reads the configuration again.
const RELOAD: &str = "/api/v1/reload";

/// How long a client may take to send it.
const CONTENT_PATIENCE: Duration = Duration::from_secs(10);

impl Shared {
    pub(super) async fn answer(&self, asking: &Asking<'_>, route: Route, body: Incoming) -> Reply {
        let unanswered = Unanswered::new(asking, &self.recorder);
        let head = asking.head;
        let reply = match route {
            route if is_purge(head) => self.admin.purge(head, self.stored_for(head, &route)).await,
            Route::Fetch => self.fetch.answer(head).await,
            Route::Site(plan, place) => {
                let plan = Guard::into_inner(plan);
                let client = self.client(asking);
                let interim = interim(asking);
                let attachment = Attachment { body, client, interim };
                with_interims(asking.peer, self.site.answer(head, &plan, place, attachment)).await
            }
            Route::Proxy => {
                let interim = interim(asking);
                with_interims(asking.peer, self.proxy.answer(head, body, interim)).await
            }
            Route::Operators(_) | Route::Connect | Route::Nowhere => self.answer_operator(asking, body).await,
        };
        unanswered.answered();
        reply
    }

    /// The object that a request is for.
    fn stored_for(&self, head: &Head, route: &Route) -> Result<Arc<Target>, Refusal> {
        // Rules can be about methods: a GET is what has stored it.
        let mut read = head.clone();
        read.method = Method::GET;
        let head = &read;
        let resolved = match route {
            Route::Fetch => return self.fetch.asked(head),
            Route::Site(plan, place) => self.site.resolve(head, plan, *place, asked_host(head))?,
            Route::Proxy => self.proxy.resolve(head)?,
            Route::Operators(_) | Route::Connect | Route::Nowhere => return Err(Refusal::no_route()),
        };
        Ok(Arc::clone(&resolved.target))
    }

    fn client<'a>(&self, asking: &Asking<'a>) -> Client<'a> {
        let peer = asking.peer.address.ip();
        let trust = if self.access.load().trusts(peer) { Trust::Proxy } else { Trust::Stranger };
        let (address, scheme) = (asking.address, asking.peer.entrance.scheme);
        Client { peer, address, trust, scheme, host: asked_host(asking.head) }
    }

    async fn answer_operator(&self, asking: &Asking<'_>, body: Incoming) -> Reply {
        let head = asking.head;
        if let Some(reload) = self.reload.as_ref().filter(|_| head.uri.path() == RELOAD) {
            return self.reloaded(head, Arc::clone(reload)).await;
        }
        let Some(most) = AdminDoor::longest_content(head) else {
            return self.admin.answer(head, &[]).await;
        };
        match content(body, most).await {
            Ok(content) => self.admin.answer(head, &content).await,
            Err(refusal) => self.refuse_and_close(&refusal, head, asking.door),
        }
    }

    async fn reloaded(&self, head: &Head, reload: Reload) -> Reply {
        if head.method != Method::POST {
            let refusal = Refusal::method("POST", "send POST: it changes what is in force");
            return self.responder.refuse(&refusal, &head.headers, "admin");
        }
        match tokio::task::spawn_blocking(move || reload()).await {
            Ok(Ok(changes)) => self.responder.page("admin", "reload", Page::text(format!("{changes}\n"))),
            Ok(Err(problem)) => {
                let detail = format!("the configuration cannot be used, the last good one stays: {problem}");
                let refusal = Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "reload_failed", detail);
                self.responder.refuse(&refusal, &head.headers, "admin")
            }
            Err(_) => {
                let detail = "the reload broke off; the log says why";
                let refusal = Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "reload_failed", detail);
                self.responder.refuse(&refusal, &head.headers, "admin")
            }
        }
    }

    /// Opens a tunnel. The connection (for HTTP/2: the stream) goes on as the tunnel when the answer is out.
    pub(super) async fn connect(&self, asking: Asking<'_>, upgrade: OnUpgrade) -> Response<Outgoing> {
        let unanswered = Unanswered::new(&asking, &self.recorder);
        let opened = self.proxy.connect(asking.head).await;
        unanswered.answered();
        match opened {
            Ok(opened) => self.tunnel(asking, opened, upgrade),
            Err(refusal) => {
                let reply = self.responder.refuse(&refusal, &asking.head.headers, CONNECT);
                finish(reply, asking)
            }
        }
    }

    fn tunnel(&self, asking: Asking<'_>, opened: Opened, upgrade: OnUpgrade) -> Response<Outgoing> {
        let mut event = left(&asking);
        event.status = StatusCode::OK;
        event.target = Arc::clone(&opened.name);
        event.outcome = Some(Outcome::Bypass);
        event.reason = "tunnel";
        let recorder = self.recorder.clone();
        // As long as the tunnel lives the connection counts as busy.
        let busy = crate::wire::Watch::begin(asking.peer, asking.head.version);
        let task = tokio::spawn(async move {
            let _busy = busy;
            let Ok(near) = upgrade.await else { return recorder.record(event, Ending::Broken) };
            let passed = opened.run(TokioIo::new(near)).await;
            event.bytes = passed.to_client;
            let ending = if passed.end == End::Complete { Ending::Complete } else { Ending::Broken };
            recorder.record(event, ending);
        });
        if asking.head.version < Version::HTTP_2 {
            asking.peer.become_tunnel(task);
        }
        Response::new(Outgoing::unrecorded(asking.watch))
    }
}

/// Where interim answers go: only HTTP/1.1 clients get them. HTTP/1.0 knows none, and hyper has no way to send them by
/// HTTP/2.
fn interim(asking: &Asking<'_>) -> Option<Interim> {
    (asking.head.version == Version::HTTP_11).then(|| Interims::open(asking.peer))
}

/// Lets interim answers out while the final one is waited for.
async fn with_interims(peer: &Peer, answer: impl Future<Output = Reply>) -> Reply {
    let mut answer = pin!(answer);
    let reply = poll_fn(|cx| {
        peer.interims.watch(cx);
        answer.as_mut().poll(cx)
    })
    .await;
    peer.interims.close();
    reply
}

/// What a request brings along, bounded in length and time.
async fn content(body: Incoming, most: usize) -> Result<Bytes, Refusal> {
    match timeout(CONTENT_PATIENCE, Limited::new(body, most).collect()).await {
        Ok(Ok(content)) => Ok(content.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("the request's content has more than {most} bytes; send less");
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

/// Writes down a request whose client left before there was an answer.
struct Unanswered<'a> {
    recorder: &'a Recorder,
    event: Option<Event>,
}

impl<'a> Unanswered<'a> {
    fn new(asking: &Asking<'_>, recorder: &'a Recorder) -> Self {
        Self { recorder, event: Some(left(asking)) }
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

/// The event of a request whose client left.
fn left(asking: &Asking<'_>) -> Event {
    Event {
        client: asking.address,
        method: asking.head.method.clone(),
        target: target(asking.head),
        status: StatusCode::from_u16(CLIENT_LEFT).unwrap_or_default(),
        door: asking.door,
        outcome: None,
        reason: "client_left",
        bytes: 0,
        started: asking.started,
        first_byte: None,
        duration: Duration::ZERO,
        ending: Ending::Broken,
    }
}
