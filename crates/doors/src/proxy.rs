//! The forward proxy: requests in absolute form (RFC 9112 section 3.2.2), and CONNECT.
//!
//! An object has the same key here as in the fetch door. Owns the tunnels' limits ([`connect`]) and the list of users
//! ([`users`]); rules are in the plan. Invariants: nobody is let through who is not a user, when there are users; nothing of
//! a tunnel is kept. Adds nothing about the client to what origins see but `Via`.

mod connect;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod users;

use std::sync::Arc;
use std::time::Duration;

use cache::{Cache, Interim, NamedBy};
use http::request::Parts as Head;
use hyper::body::Incoming;

pub use self::connect::{ConnectRule, TunnelSettings, Tunneler};
pub(crate) use self::connect::{End, Opened};
pub use self::users::{InvalidUsers, Users};
use crate::exchange::{Exchanger, Plans, Resolved, Sending, content, fields};
use crate::respond::{Refusal, Reply, Responder};

pub(crate) const DOOR: &str = "proxy";
pub(crate) const CONNECT: &str = "connect";

/// What the door is built from.
pub struct Parts {
    /// Answers.
    pub cache: Cache,
    /// Makes responses.
    pub responder: Responder,
    /// Rules by host.
    pub plans: Plans,
    /// Who may use it, beside what the access rules say.
    pub users: Users,
    /// Opens tunnels.
    pub tunnels: Tunneler,
    /// How long a client may pause within the content of a request.
    pub content_patience: Duration,
}

/// The forward proxy; clones share everything.
#[derive(Clone)]
pub struct ProxyDoor {
    exchanger: Exchanger,
    users: Users,
    tunnels: Tunneler,
    content_patience: Duration,
}

impl ProxyDoor {
    /// A door of these parts.
    pub fn new(parts: Parts) -> Self {
        let Parts { cache, responder, plans, users, tunnels, content_patience } = parts;
        let exchanger = Exchanger { cache, responder, plans, door: DOOR, named_by: NamedBy::Client };
        Self { exchanger, users, tunnels, content_patience }
    }

    /// Answers without waiting when the object is there or nothing can come of the request.
    pub(crate) fn answer_now(&self, head: &Head) -> Option<Reply> {
        match self.resolve(head) {
            Ok(resolved) => self.exchanger.answer_now(head, &resolved),
            Err(refusal) => Some(self.exchanger.refuse(&refusal, head)),
        }
    }

    /// Answers, waiting for the cache.
    pub(crate) async fn answer(&self, head: &Head, body: Incoming, interim: Option<Interim>) -> Reply {
        let resolved = match self.resolve(head) {
            Ok(resolved) => resolved,
            Err(refusal) => return self.exchanger.refuse(&refusal, head),
        };
        let headers = match fields::for_next(head) {
            Ok(headers) => headers,
            Err(fields::EndsHere) => return self.exchanger.responder.options(DOOR),
        };
        let content = content::content(body, self.content_patience);
        self.exchanger.answer(Sending { head, headers, content, interim }, &resolved).await
    }

    /// Opens what CONNECT asks for.
    pub(crate) async fn connect(&self, head: &Head) -> Result<Opened, Refusal> {
        self.check_user(head)?;
        self.tunnels.open(head).await
    }

    pub(crate) fn resolve(&self, head: &Head) -> Result<Arc<Resolved>, Refusal> {
        self.check_user(head)?;
        self.exchanger.plans.load().resolve_absolute(
            &head.uri.to_string(),
            &head.method,
            self.exchanger.plans.hasher(),
        )
    }

    fn check_user(&self, head: &Head) -> Result<(), Refusal> {
        self.users.check(&head.headers)
    }
}
