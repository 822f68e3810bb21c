//! Purges: what an operator wants gone, or confirmed by the origin before its next use.
//!
//! By URL (with all its variants), host or tag the store finds the entries at once, by [labels]; by prefix or expression it
//! looks at every entry, in the background, a bounded number of such looks at a time. Remembered refusals of what is purged
//! are forgotten too: where it is not known which those are, all of them.
//!
//! Owns nothing. Deliberately not here: who may.

pub(crate) mod labels;
mod subject;

use std::sync::Arc;

use protocols::http::expression::Expression;
use protocols::http::url::CanonicalUrl;
use store::{Affected, Failure, Matching, Met, Mode, Selector};
use tokio::sync::OwnedSemaphorePermit;

pub(crate) use self::subject::Shown;
use crate::metrics::Counted;
use crate::{Cache, Clock, Http, Target, Timestamp};

/// Which objects.
#[derive(Clone, Debug)]
pub enum Purge {
    /// That of a target, with all its variants.
    Url(Arc<Target>),
    /// Those whose URL begins so, in the canonical form without secrets.
    Prefix(Box<str>),
    /// Those of a host, or of a host with a port.
    Host(Box<str>),
    /// Those with this tag in `Cache-Tag`, `Surrogate-Key` or `xkey`.
    Tag(Box<str>),
    /// Those that an expression means.
    Expression(Box<Expression>),
}

/// What a purge has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purged {
    /// Objects.
    pub entries: u64,
    /// Bytes of their bodies; one that several objects share counts for each.
    pub bytes: u64,
    /// `false`: it was waited for long enough, and goes on by itself.
    pub is_done: bool,
}

/// Why a purge was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurgeRefused {
    /// As many looks at all entries go on as there may be.
    Busy {
        /// `max_walks`.
        most: usize,
    },
    /// It is in force, but the store could not write that down, or ends.
    NotKept(Failure),
}

impl Purge {
    /// By a prefix, which is brought into the form in which entries carry their URL.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn prefix(text: &str) -> Result<Self, String> {
        CanonicalUrl::parse(text)
            .map(|url| Self::Prefix((&*url.display).into()))
            .map_err(|error| error.detail)
    }

    /// By a host.
    pub fn host(text: &str) -> Self {
        Self::Host(text.trim_end_matches('.').to_ascii_lowercase().into())
    }

    fn looks_at_all(&self) -> bool {
        matches!(self, Self::Prefix(_) | Self::Expression(_))
    }
}

impl Cache {
    /// Purges. What it waits for goes on when this is dropped.
    pub async fn purge(&self, what: Purge, mode: Mode) -> Result<Purged, PurgeRefused> {
        let walk = if what.looks_at_all() { Some(self.begin_walk()?) } else { None };
        if mode != Mode::Dry {
            self.inner.metrics.purges.inc();
            self.forget_refusals(&what);
        }
        let affected = Arc::<Affected>::default();
        let (cache, counts) = (self.clone(), Arc::clone(&affected));
        let purge = tokio::spawn(async move {
            let done = cache.purge_now(what, mode, &counts).await;
            if mode != Mode::Dry {
                cache.inner.metrics.purged.inc_by(counts.entries());
            }
            drop(walk);
            done
        });
        let is_done = match tokio::time::timeout(self.inner.settings.operators.patience, purge).await {
            Ok(Ok(done)) => done.map(|()| true).map_err(PurgeRefused::NotKept)?,
            Ok(Err(_)) | Err(_) => false,
        };
        Ok(Purged { entries: affected.entries(), bytes: affected.bytes(), is_done })
    }

    /// The right to look at all entries.
    pub(crate) fn begin_walk(&self) -> Result<(OwnedSemaphorePermit, Counted), PurgeRefused> {
        let permit = Arc::clone(&self.inner.walks).try_acquire_owned();
        let most = self.inner.settings.operators.max_walks;
        let permit = permit.map_err(|_| PurgeRefused::Busy { most })?;
        Ok((permit, Counted::new(&self.inner.metrics.walks)))
    }

    fn forget_refusals(&self, what: &Purge) {
        match what {
            Purge::Url(target) => self.inner.negatives.forget_all(target.key),
            // Which of them are of the host, or had the tag, is not known; asking again is cheap.
            _ => self.inner.negatives.sweep(Timestamp(u64::MAX)),
        }
    }

    async fn purge_now(&self, what: Purge, mode: Mode, affected: &Arc<Affected>) -> Result<(), Failure> {
        let (store, clock) = (&self.inner.store, &self.inner.clock);
        let label = |kind, text: &str| Selector::Label(labels::one(store.label_secret(), kind, text));
        let selector = match what {
            Purge::Url(target) => return self.purge_url(&target, mode, affected).await,
            Purge::Host(host) => label(labels::Kind::Host, &host),
            Purge::Tag(tag) => label(labels::Kind::Tag, &tag),
            Purge::Prefix(prefix) => Selector::Matching(Arc::new(Named::Prefix(prefix))),
            Purge::Expression(expression) => {
                Selector::Matching(Arc::new(Meant { expression, clock: Arc::clone(clock) }))
            }
        };
        store.purge(selector, mode, affected).await
    }

    async fn purge_url(&self, target: &Target, mode: Mode, affected: &Arc<Affected>) -> Result<(), Failure> {
        let of_url = self.inner.reader.find_partial(&target.key).await;
        let list = of_url.as_ref().and_then(|entry| Some(entry.head.variants.as_ref()?.keys().to_vec()));
        let has_list = list.is_some();
        let keys = list.unwrap_or_else(|| vec![target.key]);
        let name = Named::Exactly((&*target.name).into());
        self.inner.store.purge(Selector::Keys(keys, Arc::new(name)), mode, affected).await?;
        // The list of variants is no object of its own.
        if has_list && mode == Mode::Hard {
            self.inner.store.remove(&target.key).await;
        }
        Ok(())
    }
}

/// By name alone.
enum Named {
    Exactly(Box<str>),
    Prefix(Box<str>),
}

impl Matching<Http> for Named {
    fn may_match(&self, name: &str) -> bool {
        match self {
            Self::Exactly(wanted) => **wanted == *name,
            Self::Prefix(prefix) => name.starts_with(&**prefix),
        }
    }

    fn matches(&self, met: &Met<'_, Http>) -> bool {
        met.head.variants.is_none()
    }
}

/// By an expression.
struct Meant {
    expression: Box<Expression>,
    clock: Arc<dyn Clock>,
}

impl Matching<Http> for Meant {
    fn matches(&self, met: &Met<'_, Http>) -> bool {
        met.head.variants.is_none() && self.expression.matches(&Shown::new(met, self.clock.now()))
    }
}
