//! The list of a URL's variants, which stands under the URL's own key: how a fill adds its variant to it.

use std::time::Duration;

use store::{Access, BodySpec, Claim, Entry, Key};

use super::fill::Job;
use super::{Selecting, Variants};
use crate::head::{Head, Wish};
use crate::{Error, Http, Kind, Refusal};

/// How long the list of a URL's variants is kept: as long as any of them can matter.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// How often adding a variant starts over when others do the same.
const ATTEMPTS: usize = 8;

impl Job {
    /// Adds the variant to the URL's list; `claim` is that of the URL, if this fill has it.
    pub(super) async fn list_variant(&self, selecting: &Selecting, claim: Option<Claim<Http>>) {
        let of_url = self.target.key;
        if let Some(claim) = claim {
            if claim.key() == of_url {
                return self.publish_list(claim, selecting).await;
            }
            let error = Error::new(Kind::FillAbandoned, "The object belongs to another variant.");
            claim.refuse(Refusal::new(error));
        }
        for _ in 0..ATTEMPTS {
            let is_list = |entry: &Entry<Http>| entry.head.variants.is_some();
            match self.inner.store.lookup_or_claim(of_url, &self.target.name, is_list).await {
                Access::Claimed(claim) => return self.publish_list(claim, selecting).await,
                Access::Flying(flight) => drop(flight.decided().await),
                Access::Found(entry) => {
                    let Some(variants) = &entry.head.variants else { continue };
                    if variants.has(selecting) {
                        return;
                    }
                    let mut variants = Variants::clone(variants);
                    let goes = variants.add(selecting, self.inner.settings.max_variants);
                    let head = Head::of_variants(variants, self.inner.clock.now(), self.for_ever());
                    if self.inner.store.replace_head(&entry, head).is_some() {
                        return self.remove_variant(goes).await;
                    }
                }
            }
        }
    }

    async fn publish_list(&self, claim: Claim<Http>, selecting: &Selecting) {
        let mut variants = Variants::default();
        variants.add(selecting, self.inner.settings.max_variants);
        let head = Head::of_variants(variants, self.inner.clock.now(), self.for_ever());
        let spec = BodySpec { length: Some(0), promised: None };
        if let Ok((_, fill)) = claim.publish(head, spec).await
            && let Err(failure) = fill.finish().await
        {
            tracing::debug!(name = %self.target.name, %failure, "the list of variants is not stored");
        }
    }

    async fn remove_variant(&self, key: Option<Key>) {
        if let Some(key) = key {
            self.inner.metrics.variants_dropped.inc();
            self.inner.store.remove(&key).await;
        }
    }

    fn for_ever(&self) -> Wish {
        Wish { keep_until: self.inner.clock.now().after(FOR_EVER), stale_for: Duration::ZERO }
    }
}
