//! The door for sites: configured origins behind paths (`/r/NAME/…`), hosts, or listeners of their own.
//!
//! Owns no state: what sites there are is in the plan, which a reload replaces. Invariants: whatever a client sends, only
//! the site's own origin is asked, never above its base URL; what is said of the client to the origin is our own word.
//! Does not rewrite pages: an origin that links to its root should have a host or listener of its own.

use std::sync::Arc;
use std::time::Duration;

use cache::{Cache, Interim, NamedBy};
use http::request::Parts as Head;
use hyper::body::Incoming;

use crate::exchange::fields::{self, Client};
use crate::exchange::plan::Place;
use crate::exchange::{Exchanger, Plan, Plans, Resolved, Sending, content};
use crate::respond::{Refusal, Reply, Responder};

pub(crate) const DOOR: &str = "site";

/// What the door is built from.
pub struct Parts {
    /// Answers.
    pub cache: Cache,
    /// Makes responses.
    pub responder: Responder,
    /// What sites there are.
    pub plans: Plans,
    /// How long a client may pause within the content of a request.
    pub content_patience: Duration,
}

/// The door for sites; clones share everything.
#[derive(Clone)]
pub struct SiteDoor {
    exchanger: Exchanger,
    content_patience: Duration,
}

/// What comes with a request's head.
pub(crate) struct Attachment<'a> {
    pub(crate) body: Incoming,
    pub(crate) client: Client<'a>,
    pub(crate) interim: Option<Interim>,
}

impl SiteDoor {
    /// A door of these parts.
    pub fn new(parts: Parts) -> Self {
        let Parts { cache, responder, plans, content_patience } = parts;
        Self {
            exchanger: Exchanger { cache, responder, plans, door: DOOR, named_by: NamedBy::Operator },
            content_patience,
        }
    }

    pub(crate) const fn plans(&self) -> &Plans {
        &self.exchanger.plans
    }

    /// Answers without waiting when the object is there or nothing can come of the request.
    pub(crate) fn answer_now(&self, head: &Head, plan: &Plan, place: Place, host: &str) -> Option<Reply> {
        match self.resolve(head, plan, place, host) {
            Ok(resolved) => self.exchanger.answer_now(head, &resolved),
            Err(refusal) => Some(self.exchanger.refuse(&refusal, head)),
        }
    }

    /// Answers, waiting for the cache.
    pub(crate) async fn answer(
        &self,
        head: &Head,
        plan: &Plan,
        place: Place,
        attachment: Attachment<'_>,
    ) -> Reply {
        let Attachment { body, client, interim } = attachment;
        let resolved = match self.resolve(head, plan, place, client.host) {
            Ok(resolved) => resolved,
            Err(refusal) => return self.exchanger.refuse(&refusal, head),
        };
        let mut headers = match fields::for_next(head) {
            Ok(headers) => headers,
            Err(fields::EndsHere) => return self.exchanger.responder.options(DOOR),
        };
        fields::tell_of(client, &mut headers);
        let content = content::content(body, self.content_patience);
        self.exchanger.answer(Sending { head, headers, content, interim }, &resolved).await
    }

    pub(crate) fn resolve(
        &self,
        head: &Head,
        plan: &Plan,
        place: Place,
        host: &str,
    ) -> Result<Arc<Resolved>, Refusal> {
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        plan.resolve(place, target, host, &head.method, self.exchanger.plans.hasher())
    }
}
