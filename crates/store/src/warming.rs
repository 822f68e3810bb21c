//! Cold entries become warm when they are asked for.
//!
//! Functions of [`Inner`]. One disk job reads the record, verifies the body if its epoch ended uncleanly, opens the file
//! and, for a small body, reads it; everybody who asks meanwhile waits for that job. Invariant: what is not exactly what
//! was stored never becomes warm; its entry is dropped and counted.

use std::io;
use std::sync::Arc;

use crate::flight::{Flying, Landing};
use crate::index::{Cold, Seen};
use crate::journal::{BodyRef, Located, Record, decode};
use crate::shared::Verdict;
use crate::store::Inner;
use crate::{Contents, Digest, Entry, Key};

/// Somebody reads a cold entry.
pub(crate) type Warming<C> = Arc<Flying<Option<Arc<Entry<C>>>, ()>>;

/// Why a cold entry cannot become warm.
pub(crate) enum Unusable {
    /// It has changed meanwhile: look again.
    Changed,
    /// It is not what was stored.
    Damaged(String),
}

/// What a record says.
struct Read<H> {
    name: Arc<str>,
    head: H,
    digest: Digest,
}

impl<C: Contents> Inner<C> {
    /// Makes a cold entry warm; `None`: look again, it has changed or is gone.
    pub(crate) async fn warm_up(self: &Arc<Self>, cold: Cold) -> Option<Arc<Entry<C>>> {
        let (warming, is_first) = {
            let mut all = self.warming.lock();
            match all.get(&cold.key) {
                Some(known) => (known.clone(), false),
                None => (all.entry(cold.key).or_insert_with(|| Arc::new(Flying::new())).clone(), true),
            }
        };
        if is_first {
            let permit = self.shared.pool.enter().await;
            let job = Job { inner: self.clone(), key: cold.key, warming: Some(warming.clone()) };
            let settling = self.shared.settling();
            let run = move || {
                job.run(&cold);
                // Whoever waits for the disk waits for the last hold on the entry too.
                drop(settling);
            };
            self.shared.pool.push_with(permit, run);
        }
        match warming.decided().await {
            Landing::Entry(entry) => entry,
            Landing::Refused(()) | Landing::Abandoned => None,
        }
    }

    /// Makes a cold entry warm. Waits for the disk.
    fn warm_up_now(self: &Arc<Self>, cold: &Cold) -> Option<Arc<Entry<C>>> {
        if let Seen::Warm(entry) = self.index.see(&cold.key) {
            return Some(entry);
        }
        match self.try_warm_up(cold) {
            Ok(entry) => entry,
            Err(Unusable::Changed) => None,
            Err(Unusable::Damaged(what)) => {
                self.shared.metrics.damaged.inc();
                tracing::warn!(key = %cold.key, "an entry is dropped: {what}");
                let same =
                    |seen: &Seen<_>| matches!(seen, Seen::Cold(now) if now.record.body == cold.record.body);
                self.take_out(&cold.key, same);
                None
            }
        }
    }

    fn try_warm_up(self: &Arc<Self>, cold: &Cold) -> Result<Option<Arc<Entry<C>>>, Unusable> {
        if cold.record.body.is_part() {
            return self.warm_up_part(cold);
        }
        let Read { name, head, digest } = self.read_record(cold)?;
        let shared = &self.shared;
        let id = shared.bodies.id(&digest).filter(|id| *id == cold.record.body).ok_or(Unusable::Changed)?;
        match shared.verify_once(id, |_| Ok(())) {
            Ok(Verdict::Whole) => {}
            Ok(Verdict::Damaged) => return Err(damaged(&format!("its body {digest} has other bytes"))),
            Err(error) => return Err(damaged(&format!("its body {digest} cannot be read: {error}"))),
        }
        let body = shared.bodies.living(shared, id, &digest).ok_or(Unusable::Changed)?;
        shared.open_body(&body).map_err(|failure| damaged(&failure.detail))?;
        if !body.is_in_memory()
            && let Some(bytes) = shared.read_small(&body)
        {
            body.remember(bytes);
        }
        let entry = Arc::new(Entry { key: cold.key, name, head: Arc::new(head), body });
        shared.metrics.warmed.inc();
        Ok(self.index.warm_up(cold, entry, |entry| C::mark(&entry.head)))
    }

    fn read_record(&self, cold: &Cold) -> Result<Read<C::Head>, Unusable> {
        self.understand(&cold.key, &self.record_bytes(cold)?)
    }

    /// The record of a cold entry. Waits for the disk.
    pub(crate) fn record_bytes(&self, cold: &Cold) -> Result<Vec<u8>, Unusable> {
        let bytes = match self.index.locate(&cold.key, cold.record) {
            None => return Err(Unusable::Changed),
            Some(Located::Pending(bytes)) => bytes,
            Some(Located::Written(at)) => at
                .read(self.shared.disk())
                .map_err(|error: io::Error| damaged(&format!("its record cannot be read: {error}")))?,
            Some(Located::Gone) => return Err(damaged("its record is gone")),
        };
        Ok(bytes)
    }

    fn understand(&self, key: &Key, bytes: &[u8]) -> Result<Read<C::Head>, Unusable> {
        let Ok((Record::Put(put), _)) = decode(bytes) else {
            return Err(damaged("its record makes no sense"));
        };
        if put.key != *key {
            return Err(damaged("its record is another one's"));
        }
        let BodyRef::Whole { digest, .. } = put.body else { return Err(damaged("its body has holes")) };
        let head = C::decode(put.head).ok_or_else(|| damaged("its head makes no sense"))?;
        Ok(Read { name: Arc::from(put.name), head, digest })
    }

    /// Name and head of an entry that stays cold. Waits for the disk.
    pub(crate) fn read_cold(&self, cold: &Cold) -> Option<(Arc<str>, C::Head, Option<Digest>)> {
        if cold.record.body.is_part() {
            return self.part_record(cold).ok().map(|part| (part.name, part.head, None));
        }
        let Read { name, head, digest } = self.read_record(cold).ok()?;
        Some((name, head, Some(digest)))
    }
}

pub(crate) fn damaged(what: &str) -> Unusable {
    Unusable::Damaged(what.to_owned())
}

/// Reading one cold entry. However it ends, those who wait hear of it.
struct Job<C: Contents> {
    inner: Arc<Inner<C>>,
    key: Key,
    warming: Option<Warming<C>>,
}

impl<C: Contents> Job<C> {
    fn run(mut self, cold: &Cold) {
        let entry = self.inner.warm_up_now(cold);
        self.end(Landing::Entry(entry));
    }

    fn end(&mut self, landing: Landing<Option<Arc<Entry<C>>>, ()>) {
        if let Some(warming) = self.warming.take() {
            self.inner.warming.lock().remove(&self.key);
            warming.decide(landing);
        }
    }
}

impl<C: Contents> Drop for Job<C> {
    fn drop(&mut self) {
        self.end(Landing::Abandoned);
    }
}
