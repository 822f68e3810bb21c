//! Entries whose body has holes come, are replaced by those of another version, and go.
//!
//! Functions of [`Claim`] and [`Writer`]. Invariant: a body is bound to the head that it was published with, or to one that
//! says the same version: whoever finds another version replaces it, and the old body fails.
//!
//! Deliberately not here: what makes two versions equal.

use std::ops::Range;
use std::sync::Arc;

use crate::body::{Body, Partial};
use crate::extents::Extents;
use crate::files::directory::Place;
use crate::index::Cold;
use crate::parts::Home;
use crate::pieces::completion;
use crate::quota::NoSpace;
use crate::store::Inner;
use crate::{Claim, Contents, Digest, Entry, Failure, Key, PieceClaim, Refused, Writer, reasons};

/// What is known of a body that is going to be filled in pieces.
#[derive(Clone, Copy, Debug)]
pub struct PartialSpec {
    /// Total length in bytes.
    pub length: u64,
    /// Digest that the whole must have: the bytes that close the last hole are committed only when it has.
    pub promised: Option<Digest>,
}

impl<C: Contents> Claim<C> {
    /// Makes an entry whose body has no bytes yet, puts it in the index in place of whatever is there (which is another
    /// version), and wakes everybody who waits for this flight. The pieces of `first`, as by [`Writer::claim_pieces`], are
    /// claimed before anybody can see the entry. Bytes are reserved as pieces are begun. On refusal the claim comes back.
    pub async fn publish_partial(
        self,
        head: C::Head,
        spec: PartialSpec,
        first: Range<u64>,
        piece: u64,
    ) -> Result<(Arc<Entry<C>>, Vec<PieceClaim>), (Self, Refused)> {
        match self.store().create_partial(self.key(), spec).await {
            Ok(body) => {
                let claims = PieceClaim::of(&body, first, piece, usize::MAX);
                Ok((self.put_partial(head, body), claims))
            }
            Err(refused) => Err((self, refused)),
        }
    }
}

impl<C: Contents> Writer<C> {
    /// The object has another version now: the body of `old` fails with `why`, for its readers after what they can have, and
    /// if it still is the key's, an entry without bytes takes its place. `None`: it is not, look again.
    ///
    /// # Errors
    /// The store takes nothing now; `old` stays.
    pub async fn replace_partial(
        &self,
        old: &Arc<Entry<C>>,
        head: C::Head,
        spec: PartialSpec,
        why: Failure,
    ) -> Result<Option<Arc<Entry<C>>>, Refused> {
        let body = self.0.create_partial(old.key, spec).await?;
        let entry = Entry { key: old.key, name: old.name.clone(), head: Arc::new(head), body };
        let entry = Arc::new(entry);
        let same = |known: &Arc<Entry<C>>| Arc::ptr_eq(&known.body, &old.body);
        let replaced = self.0.index.replace(&old.key, same, |_| entry.clone());
        // Or a restart would bring it back.
        self.0.drop_part(self.0.part_of(&old.key, &old.body));
        // Whoever learns of the failure finds the new entry.
        old.body.growth.fail(why);
        Ok(replaced.map(|_| entry))
    }

    /// A body with holes is of no use any more: its entry leaves the index, if it is there, and its readers get what is
    /// committed and then `why`. `false` when it has no holes or has failed before.
    pub fn fail_partial(&self, entry: &Arc<Entry<C>>, why: Failure) -> bool {
        if !entry.body.is_partial() {
            return false;
        }
        self.0.take_out_body(&entry.key, &entry.body);
        entry.body.growth.fail(why)
    }

    /// From now on the whole must have this digest, as by [`PartialSpec::promised`]; not kept over a restart. `false` when it
    /// is too late, or another one was promised.
    pub fn promise(&self, entry: &Arc<Entry<C>>, digest: Digest) -> bool {
        entry.body.growth.is_in_pieces() && entry.body.growth.promise(digest)
    }
}

impl<C: Contents> Inner<C> {
    /// A body without bytes, and its file.
    pub(crate) async fn create_partial(
        self: &Arc<Self>,
        key: Key,
        spec: PartialSpec,
    ) -> Result<Arc<Body>, Refused> {
        let shared = &self.shared;
        if let Some(why) = shared.health.degraded() {
            return Err(Refused::Disk(reasons::degraded(&why)));
        }
        let full = |NoSpace { wanted, used, quota }| Refused::NoSpace { wanted, used, quota };
        let nothing = shared.quota.reserve(0).map_err(full)?;
        let partial = Partial::new(fastrand::u64(..), Box::new(Home::new(self, key)));
        let body = Body::in_pieces(shared, (Some(spec.length), Extents::default()), partial, nothing);
        if let Some(promised) = spec.promised {
            body.growth.promise(promised);
        }
        let (growing, created) = (body.clone(), self.shared.clone());
        let create = move || created.create_part(&growing);
        shared.pool.run(create).await.flatten().map_err(Refused::Disk)?;
        if spec.length == 0 {
            completion::start(&body);
        }
        Ok(body)
    }

    /// The record of a body with holes, if that is what the key has.
    pub(crate) fn part_of(&self, key: &Key, body: &Body) -> Option<Cold> {
        let id = self.shared.bodies.part(body.partial.as_ref()?.id)?;
        let record = self.index.recorded(key).filter(|record| record.body == id)?;
        Some(Cold { key: *key, record })
    }
}

impl crate::shared::Shared {
    /// Creates the file of a body with holes. Waits for the disk.
    fn create_part(&self, body: &Arc<Body>) -> Result<(), Failure> {
        let Some(partial) = &body.partial else { return Ok(()) };
        let open = self.create(body)?;
        partial.set_file(open.file());
        // First the table: what is not in it is a stray.
        self.bodies.add_living_part(self, partial.id, body);
        if let Err(failure) = self.rename(body, Place::Part(partial.id)) {
            self.bodies.part_has_left(self, partial.id);
            return Err(failure);
        }
        self.keep_open(open);
        Ok(())
    }
}
