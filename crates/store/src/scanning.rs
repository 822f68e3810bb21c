//! Looking at every entry, warm or cold, part by part.
//!
//! For those who list, compare or purge; waits for the disk. Entries that come or go meanwhile may be missed.

use std::sync::Arc;

use crate::index::{SHARDS, Seen};
use crate::store::Inner;
use crate::{Contents, Digest, Entry, Key};

impl<C: Contents> Inner<C> {
    pub(crate) fn scan(&self, mut visit: impl FnMut(Viewed<'_, C>)) {
        (0..SHARDS).for_each(|part| self.scan_part(part, &mut visit));
    }

    pub(crate) fn scan_part(&self, part: usize, mut visit: impl FnMut(Viewed<'_, C>)) {
        let mut from = Some(0);
        while let Some(at) = from {
            let (page, next) = self.index.page(part, at);
            from = next;
            for (key, seen) in page {
                self.show(key, seen, &mut visit);
            }
        }
    }

    fn show(&self, key: Key, seen: Seen<Arc<Entry<C>>>, visit: &mut impl FnMut(Viewed<'_, C>)) {
        match seen {
            Seen::Warm(entry) => {
                let Entry { name, head, body, .. } = &*entry;
                let (length, digest) = (body.length(), body.digest());
                visit(Viewed { key, name, head, length, digest });
            }
            Seen::Cold(cold) => {
                let length = Some(self.shared.bodies.facts(cold.record.body).length);
                if let Some((name, head, digest)) = self.read_cold(&cold) {
                    visit(Viewed { key, name: &name, head: &head, length, digest });
                }
            }
            Seen::Absent => {}
        }
    }
}

/// An entry as a scan shows it.
pub struct Viewed<'a, C: Contents> {
    /// Identity.
    pub key: Key,
    /// The key as text, for people.
    pub name: &'a str,
    /// What the owner knows about the object.
    pub head: &'a C::Head,
    /// Bytes of the body, when known.
    pub length: Option<u64>,
    /// SHA-256 of a complete body.
    pub digest: Option<Digest>,
}
