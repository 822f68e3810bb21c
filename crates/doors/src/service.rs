//! [`Service`]: the way of a request through the doors.
//!
//! Finds the door a request is for ([`route`]), checks that it can be read in one way only ([`strict`]), finds out who
//! asks, asks the access rules, hands it to the door ([`ways`]), and makes sure that the request ends as exactly one event in metrics and access log ([`event`]).
//! Owns the doors; `listen` calls it once a request. Immutable after construction,
//! but for the access rules, which a reload replaces.
//!
//! A request that a door can answer at once is answered without a boxed future and without a lock; only what has to
//! wait pays for a future of its own. Does not decide anything about caching.

pub(crate) mod event;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod route;
mod strict;
mod ways;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{self, HeaderValue};
use http::request::Parts as Head;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;

use self::event::{Ending, Event, Recorder};
use self::route::Route;
use self::strict::{Attached, Strictness, Takes};
use crate::access::{Asked, InForce, Rules};
use crate::access_log::AccessLog;
use crate::admin::{ADMIN, AdminDoor, is_purge};
use crate::fetch::FetchDoor;
use crate::metrics::Metrics;
use crate::proxy::ProxyDoor;
use crate::respond::{Refusal, Reply, Responder};
use crate::site::SiteDoor;
use crate::wire::{Body, Outgoing, Peer, Watch};

const FETCH: &str = "fetch";

/// Most bytes of a masked target in a log line.
const MAX_LOGGED_TARGET: usize = 2048;

/// What the service is built from.
pub struct Parts {
    /// Who may ask for what.
    pub access: InForce,
    /// The fetch door.
    pub fetch: FetchDoor,
    /// The door for sites.
    pub site: SiteDoor,
    /// The forward proxy.
    pub proxy: ProxyDoor,
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
    /// Names of ours beside the listeners' addresses: a request in absolute form for one of them is not the proxy's.
    pub hosts: Box<[Box<str>]>,
    /// Most bytes of a request target; longer ones are answered 414 (default: [`MAX_TARGET`]).
    pub max_target: usize,
    /// What `POST /api/v1/reload` does; without, there is no such page.
    pub reload: Option<Reload>,
}

/// Reads the configuration again: what has changed, or why nothing has. It may read files and takes no longer than that.
pub type Reload = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// Most bytes of a request target unless configured otherwise.
pub const MAX_TARGET: usize = 8192;

/// The way of a request through the doors; clones share everything.
#[derive(Clone)]
pub struct Service(Arc<Shared>);

struct Shared {
    access: InForce,
    reload: Option<Reload>,
    fetch: FetchDoor,
    site: SiteDoor,
    proxy: ProxyDoor,
    admin: AdminDoor,
    responder: Responder,
    recorder: Recorder,
    strictness: Strictness,
    hosts: Box<[Box<str>]>,
}

impl Service {
    /// A service of these parts.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            access,
            fetch,
            site,
            proxy,
            admin,
            responder,
            log,
            metrics,
            name,
            hosts,
            max_target,
            reload,
        } = parts;
        let recorder = Recorder { log, metrics };
        let strictness = Strictness::new(&name, max_target);
        let shared =
            Shared { access, reload, fetch, site, proxy, admin, responder, recorder, strictness, hosts };
        Self(Arc::new(shared))
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.0.recorder
    }

    /// Answers one request. Never fails: what goes wrong is an answer too.
    pub async fn handle(&self, peer: &Arc<Peer>, mut request: Request<Incoming>) -> Response<Outgoing> {
        let started = Instant::now();
        let watch = Watch::begin(peer, request.version());
        let upgrade = (request.method() == Method::CONNECT).then(|| hyper::upgrade::on(&mut request));
        let (head, body) = request.into_parts();
        let shared = &*self.0;
        let route = Route::find(&head, peer, shared.site.plans(), &shared.hosts);
        let attached = if body.is_end_stream() { Attached::Nothing } else { Attached::Body };
        let access = shared.access.load();
        let address = access.client(peer.address.ip(), &head.headers);
        let door = if is_purge(&head) { ADMIN } else { route.door() };
        let asking = Asking { head: &head, peer, address, door, started, watch };
        let answered = shared.answer_now(&asking, &route, attached, &access);
        drop(access);
        let reply = match answered {
            Some(reply) => reply,
            None => match upgrade {
                Some(upgrade) => return Box::pin(shared.connect(asking, upgrade)).await,
                None => Box::pin(shared.answer(&asking, route, body)).await,
            },
        };
        finish(reply, asking)
    }
}

/// A request being answered.
struct Asking<'a> {
    head: &'a Head,
    peer: &'a Arc<Peer>,
    /// Who asks.
    address: IpAddr,
    door: &'static str,
    started: Instant,
    watch: Watch,
}

impl Shared {
    /// What can be said without waiting: refusals, and hits.
    fn answer_now(
        &self,
        asking: &Asking<'_>,
        route: &Route,
        attached: Attached,
        access: &Rules,
    ) -> Option<Reply> {
        let Asking { head, address: client, door, .. } = *asking;
        let takes = match route {
            Route::Site(..) | Route::Proxy => Takes::Content(asking.peer),
            Route::Connect => Takes::Tunnels,
            Route::Fetch | Route::Operators(_) | Route::Nowhere => Takes::Declared,
        };
        if let Err(refusal) = self.strictness.check(head, attached, takes) {
            return Some(self.refuse_and_close(&refusal, head, door));
        }
        let whole;
        let path = match route {
            Route::Proxy => {
                whole = format!("/{}", head.uri);
                &whole
            }
            _ => head.uri.path(),
        };
        if let Err(denied) = access.check(&Asked { client, door, method: &head.method, path }) {
            let refusal = Refusal::forbidden("access_rule", denied.to_string());
            return Some(self.responder.refuse(&refusal, &head.headers, door));
        }
        match route {
            Route::Nowhere => Some(self.responder.refuse(&Refusal::no_site(), &head.headers, door)),
            _ if is_purge(head) => None,
            Route::Fetch => self.fetch.answer_now(head),
            Route::Site(plan, place) => self.site.answer_now(head, plan, *place, route::asked_host(head)),
            Route::Proxy => self.proxy.answer_now(head),
            Route::Operators(_) | Route::Connect => None,
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

/// Puts the answer under watch.
fn finish(reply: Reply, asking: Asking<'_>) -> Response<Outgoing> {
    let Asking { head, address, started, watch, .. } = asking;
    let Reply { response, door, outcome, reason, name } = reply;
    let (mut parts, mut body) = response.into_parts();
    if head.method == Method::HEAD {
        declare_length(parts.status, &mut parts.headers, &body);
        body = Body::Empty;
    }
    let event = Event {
        client: address,
        method: head.method.clone(),
        target: name.unwrap_or_else(|| target(head)),
        status: parts.status,
        door,
        outcome,
        reason,
        bytes: 0,
        started,
        first_byte: None,
        duration: Duration::ZERO,
        ending: Ending::Broken,
    };
    Response::from_parts(parts, Outgoing::new(body, event, watch))
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

#[cfg(test)]
pub(crate) mod tests;
