//! A look at every entry, warm or cold, with what is known of it beside its head.
//!
//! Cold ones are read from front to back of their log, because to look up each of millions takes minutes. A shard at a
//! time, by disk threads. Memory: the keys of the shard's entries. Invariant: an entry that is there from the beginning to the
//! end of the walk is visited once: whoever changes its place in the index during the first pass is there in the last, and
//! an entry changes its place once.

use std::sync::Arc;

use hashbrown::HashSet;

use crate::index::{Look, Numbered, SHARDS, Seen};
use crate::journal::{self, Record};
use crate::store::Inner;
use crate::{Contents, Failure, Key, Reader};

/// An entry as a walk meets it.
pub struct Met<'a, C: Contents> {
    /// The key as text, for people.
    pub name: &'a str,
    /// What the owner knows about the object.
    pub head: &'a C::Head,
    /// Bytes of the body that are there.
    pub bytes: u64,
    /// Seconds since the last use, in steps of 16.
    pub idle: u32,
    /// Uses that eviction remembers, at most 3.
    pub uses: u8,
    /// Whether it is in memory.
    pub is_warm: bool,
    /// Whether its body has holes.
    pub is_partial: bool,
    /// Whether it is kept from eviction.
    pub is_pinned: bool,
    /// Whether it was marked since it was recorded ([`Contents::mark`]).
    pub is_marked: bool,
}

impl<'a, C: Contents> Met<'a, C> {
    /// One of which only name and head are known.
    pub(crate) fn new(name: &'a str, head: &'a C::Head) -> Self {
        let (is_warm, is_partial, is_pinned, is_marked) = (true, false, false, false);
        Self { name, head, bytes: 0, idle: 0, uses: 0, is_warm, is_partial, is_pinned, is_marked }
    }

    fn with(name: &'a str, head: &'a C::Head, bytes: u64, look: &Look) -> Self {
        Self {
            bytes,
            idle: look.idle,
            uses: look.uses,
            is_warm: look.is_warm,
            is_partial: look.is_partial,
            is_pinned: look.is_pinned,
            is_marked: look.is_marked,
            ..Self::new(name, head)
        }
    }
}

/// Which entries are meant.
pub trait Matching<C: Contents>: Send + Sync {
    /// A first look: `false` spares the head from being decoded.
    fn may_match(&self, _name: &str) -> bool {
        true
    }

    /// Whether this one is meant.
    fn matches(&self, met: &Met<'_, C>) -> bool;
}

impl<C: Contents> Reader<C> {
    /// Parts in which [`walk`](Self::walk) goes.
    pub const PARTS: usize = SHARDS;

    /// What `show` makes of an entry; a cold one is read from the disk first, which makes it warm.
    pub async fn meet<T>(&self, key: &Key, show: impl FnOnce(&Met<'_, C>) -> T) -> Option<T> {
        self.inner().index.loaded(key).await;
        // Before it is found, because that is a use.
        let look = self.inner().index.look_at(key);
        let entry = self.find_partial(key).await?;
        let met = Met::new(&entry.name, &*entry.head);
        let bytes = entry.body.committed();
        let met = look.map_or(met, |look| Met::with(&entry.name, &*entry.head, bytes, &look));
        Some(show(&met))
    }

    /// Shows every entry of a part whose name `wanted` accepts. Runs on a disk thread, and waits for the disk.
    ///
    /// # Errors
    /// The store ends.
    pub async fn walk<T: Send + 'static>(
        &self,
        part: usize,
        mut state: T,
        wanted: impl Fn(&str) -> bool + Send + 'static,
        visit: impl Fn(&mut T, Key, &Met<'_, C>) + Send + 'static,
    ) -> Result<T, Failure> {
        self.loaded().await;
        let inner = self.inner().clone();
        let walk = move || {
            inner.walk_part(part, &wanted, &mut |key, met| visit(&mut state, key, met));
            state
        };
        self.inner().shared.pool.run(walk).await
    }
}

impl<C: Contents> Inner<C> {
    pub(crate) fn walk_part(
        &self,
        part: usize,
        wanted: &dyn Fn(&str) -> bool,
        visit: &mut dyn FnMut(Key, &Met<'_, C>),
    ) {
        let mut visited = HashSet::new();
        let mut cold = 0;
        self.each_number(part, |numbered| match &numbered.seen {
            Seen::Warm(entry) if wanted(&entry.name) => {
                visited.insert(numbered.key);
                let met = Met::with(&entry.name, &*entry.head, entry.body.committed(), &numbered.look);
                visit(numbered.key, &met);
            }
            Seen::Cold(_) => cold += 1,
            _ => {}
        });
        if cold > 0 {
            self.walk_log(part, wanted, visit, &mut visited);
        }
        // Records that are not in the files yet, and what has found another place meanwhile.
        self.each_number(part, |numbered| match &numbered.seen {
            _ if visited.contains(&numbered.key) => {}
            Seen::Warm(entry) if wanted(&entry.name) => {
                let met = Met::with(&entry.name, &*entry.head, entry.body.committed(), &numbered.look);
                visit(numbered.key, &met);
            }
            Seen::Cold(cold) => {
                let bytes = self.shared.bodies.facts(cold.record.body).length;
                if let Some((name, head, _)) = self.read_cold(cold)
                    && wanted(&name)
                {
                    visit(numbered.key, &Met::with(&name, &head, bytes, &numbered.look));
                }
            }
            _ => {}
        });
    }

    fn each_number(&self, part: usize, mut each: impl FnMut(&Numbered<Arc<crate::Entry<C>>>)) {
        let mut from = Some(0);
        while let Some(at) = from {
            let (page, next) = self.index.numbered(part, at);
            from = next;
            page.iter().for_each(&mut each);
        }
    }

    fn walk_log(
        &self,
        part: usize,
        wanted: &dyn Fn(&str) -> bool,
        visit: &mut dyn FnMut(Key, &Met<'_, C>),
        visited: &mut HashSet<Key>,
    ) {
        let (disk, directory) = (self.shared.disk(), self.shared.directory.index());
        let read = journal::scan(disk, &directory, part as u8, |position, record| {
            let Record::Put(put) = record else { return };
            let Some((body, look)) = self.index.at(&put.key, position) else { return };
            // What is not wanted is noted too: or the last pass would read it again.
            if !visited.insert(put.key) || !wanted(put.name) {
                return;
            }
            if let Some(head) = C::decode(put.head) {
                let bytes = self.shared.bodies.facts(body).length;
                visit(put.key, &Met::with(put.name, &head, bytes, &look));
            }
        });
        if let Err(error) = read {
            // The last pass reads one by one what is missing.
            tracing::warn!(part, %error, "the log could not be read from front to back");
        }
    }
}
