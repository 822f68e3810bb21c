//! The local tier: sessions of one's own, which may be taken, and copies of what is shared, which may only be read.
//!
//! An id has at most one of both. The first byte in memory tells them apart.

use std::sync::Arc;

use crate::clock::Clock;
use crate::store::{Added, Answer, Fetched, MemorySettings, MemoryStore, Session, SessionStore};

pub(super) struct Local {
    memory: MemoryStore,
    lifetime_ms: u32,
}

#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Own,
    Copy,
}

impl Local {
    pub(super) fn new(settings: &MemorySettings, lifetime_ms: u32, clock: Arc<dyn Clock>) -> Self {
        Self { memory: MemoryStore::with_clock(settings, clock), lifetime_ms }
    }

    /// Keeps a session that is nowhere else; whether there was room.
    pub(super) fn keep_own(&self, id: &[u8], session: &Session) -> bool {
        self.drop_one(Kind::Copy, id);
        self.keep(Kind::Own, id, session)
    }

    /// Keeps a copy of a session that is shared, or will be.
    pub(super) fn keep_copy(&self, id: &[u8], session: &Session) {
        self.drop_one(Kind::Own, id);
        self.keep(Kind::Copy, id, session);
    }

    /// Either of both.
    pub(super) fn find(&self, id: &[u8]) -> Option<Session> {
        [Kind::Copy, Kind::Own].into_iter().find_map(|kind| {
            let mut out = Session::default();
            let answer = self.memory.get(&named(kind, id), &mut out);
            fetched(answer, out)
        })
    }

    /// One's own, which then is gone; a copy is dropped as well.
    pub(super) fn take(&self, id: &[u8]) -> Option<Session> {
        self.drop_one(Kind::Copy, id);
        let mut out = Session::default();
        let answer = self.memory.take(&named(Kind::Own, id), &mut out);
        fetched(answer, out)
    }

    /// Replaces what is there, as rustls has it.
    fn keep(&self, kind: Kind, id: &[u8], session: &Session) -> bool {
        self.drop_one(kind, id);
        let added = self.memory.add(&named(kind, id), session, self.lifetime_ms);
        matches!(added, Answer::Ready(Ok(Added::Stored)))
    }

    fn drop_one(&self, kind: Kind, id: &[u8]) {
        // Memory answers at once.
        let _ = self.memory.remove(&named(kind, id));
    }
}

fn named(kind: Kind, id: &[u8]) -> Vec<u8> {
    [&[kind as u8], id].concat()
}

fn fetched(answer: Answer<Result<Fetched, crate::StoreError>>, out: Session) -> Option<Session> {
    let Answer::Ready(Ok(fetched)) = answer else { return None };
    fetched.into_session(out)
}
