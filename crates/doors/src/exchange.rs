//! What the doors for sites and the forward proxy share: a client's request becomes an [`cache::Exchange`], and the
//! cache's answer a response.
//!
//! ```text
//! site ──┐ target + rule (memo)          ┌─ hit ─► answered at once
//!        ├────────────────────► Exchanger ┤
//! proxy ─┘                                └─ else ─► fields, content, interim answers ─► cache ─► answered
//! ```
//!
//! State: the snapshot of sites and rules ([`Plans`]), replaced as a whole by a reload; a request keeps the one it began
//! with. Invariants: fields of one connection never pass in either direction; a hit parses no URL and compiles no rule;
//! content that a client does not send to its end never ends well at the origin.
//! Does not decide anything about caching.

pub(crate) mod content;
pub(crate) mod fields;
pub mod pattern;
pub mod plan;
pub mod rules;

use std::sync::Arc;

use cache::{Cache, Exchange, Interim, Manners, NamedBy, RequestBody, Rule, Target};
use http::request::Parts as Head;
use http::{HeaderMap, HeaderValue, Method};

pub use self::plan::{HostSent, InvalidPlan, Plan, Plans, SiteSettings};
pub use self::rules::{CaseSettings, RuleSettings, Wishes};
use crate::respond::{Refusal, Reply, Responder};

/// What a request target means: parsed once, remembered by the plan.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) target: Arc<Target>,
    pub(crate) rule: Arc<Rule>,
    /// `Host` for the origin, when it is not that of the URL.
    pub(crate) host: Option<HeaderValue>,
}

/// What is told to the cache beside the resolved target.
pub(crate) struct Sending<'a> {
    pub(crate) head: &'a Head,
    /// The client's fields as the origin may see them.
    pub(crate) headers: HeaderMap,
    pub(crate) content: Option<RequestBody>,
    pub(crate) interim: Option<Interim>,
}

/// Asks the cache; clones share everything.
#[derive(Clone)]
pub(crate) struct Exchanger {
    pub(crate) cache: Cache,
    pub(crate) responder: Responder,
    pub(crate) plans: Plans,
    pub(crate) door: &'static str,
    /// Who names the origins of this door.
    pub(crate) named_by: NamedBy,
}

impl Exchanger {
    /// Answers without waiting when that is possible.
    pub(crate) fn answer_now(&self, head: &Head, resolved: &Resolved) -> Option<Reply> {
        if !is_read(&head.method) || fields::need_care(&head.headers) {
            return None;
        }
        let exchange = Exchange {
            target: &resolved.target,
            method: &head.method,
            headers: &head.headers,
            rule: &resolved.rule,
            hasher: self.plans.hasher(),
            manners: Manners { named_by: self.named_by, ..Manners::default() },
        };
        let answer = self.cache.exchange_now(&exchange)?;
        Some(self.responder.exchange(answer, self.door, &resolved.target.name))
    }

    /// Answers, waiting for the cache.
    pub(crate) async fn answer(&self, sending: Sending<'_>, resolved: &Resolved) -> Reply {
        let Sending { head, headers, content, interim } = sending;
        let exchange = Exchange {
            target: &resolved.target,
            method: &head.method,
            headers: &headers,
            rule: &resolved.rule,
            hasher: self.plans.hasher(),
            manners: Manners { named_by: self.named_by, host: resolved.host.clone(), interim },
        };
        match self.cache.exchange(exchange, content).await {
            Ok(answer) => self.responder.exchange(answer, self.door, &resolved.target.name),
            Err(error) => {
                let mut reply = self.responder.refuse(&Refusal::from(&error), &head.headers, self.door);
                reply.name = Some(Arc::clone(&resolved.target.name));
                reply
            }
        }
    }

    /// A refusal of the door's own.
    pub(crate) fn refuse(&self, refusal: &Refusal, head: &Head) -> Reply {
        self.responder.refuse(refusal, &head.headers, self.door)
    }
}

/// Whether a stored object can answer the method.
pub(crate) fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
