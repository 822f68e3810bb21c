//! [`Alternatives`]: the other origins of a site, asked in turn when the first one cannot be reached.
//!
//! Keys and rules know the first origin only, so an object is one whoever gives it. A request with content is sent once and to
//! the first only; an answer, whatever its status, ends the search.

use std::sync::Arc;

use cache::{Error, Kind, Origin, OriginRequest, OriginResponse, RequestBody};
use doors::exchange::Plans;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// An origin with alternatives.
pub(super) struct Alternatives {
    pub(super) origin: Arc<dyn Origin>,
    pub(super) plans: Plans,
}

impl Origin for Alternatives {
    fn fetch(
        &self,
        request: OriginRequest,
        content: Option<RequestBody>,
    ) -> BoxFuture<'static, Result<OriginResponse, Error>> {
        let others = if content.is_none() { self.plans.alternatives(&request.url) } else { Vec::new() };
        if others.is_empty() {
            return self.origin.fetch(request, content);
        }
        let origin = Arc::clone(&self.origin);
        async move {
            let mut answer = origin.fetch(request.clone(), None).await;
            for url in others {
                match &answer {
                    Err(error) if is_absent(error.kind) => {
                        tracing::debug!(detail = %error.detail, next = %url.host_str().unwrap_or_default(), "asks another origin");
                        answer = origin.fetch(OriginRequest { url, ..request.clone() }, None).await;
                    }
                    _ => break,
                }
            }
            answer
        }
        .boxed()
    }
}

/// Whether nothing was heard of the origin.
const fn is_absent(kind: Kind) -> bool {
    matches!(kind, Kind::OriginUnresolved | Kind::OriginUnreachable | Kind::OriginTimeout)
}
