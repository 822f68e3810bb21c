//! Requests to a store, its answers to replies. Never an empty reply: C clients would hang on it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::ServerMetrics;
use crate::error::Malformed;
use crate::frame::Direction;
use crate::message::{Draft, Message, encode};
use crate::metrics::{ConnectionMetrics, Counter};
use crate::operation::{Operation, Status};
use crate::request::{Checked, Request};
use crate::secret;
use crate::serve::Service;
use crate::store::{Added, Answer, FetchResult, Fetched, SessionStore, StoreError};

/// See the module.
pub(super) struct Answers {
    store: Arc<dyn SessionStore>,
    min_ttl_ms: u32,
    metrics: Arc<ServerMetrics>,
}

/// What the store will say, and to which request.
pub(super) struct Later {
    uid: u32,
    result: Pending,
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum Pending {
    Add(Boxed<Result<Added, StoreError>>),
    Get(Boxed<FetchResult>),
    Remove(Boxed<Result<bool, StoreError>>),
    Have(Boxed<Result<bool, StoreError>>),
}

impl Answers {
    pub(super) fn new(store: Arc<dyn SessionStore>, min_ttl_ms: u32) -> Self {
        Self { store, min_ttl_ms, metrics: Arc::default() }
    }

    pub(super) fn metrics(&self) -> &Arc<ServerMetrics> {
        &self.metrics
    }

    fn ask(&self, uid: u32, request: Request<'_>, out: &mut Vec<u8>) -> Option<Later> {
        let result = match request {
            Request::Add { id, session, timeout_ms } => {
                match self.store.add(id, session, timeout_ms.max(self.min_ttl_ms)) {
                    Answer::Ready(result) => {
                        self.added(uid, result, out);
                        return None;
                    }
                    Answer::Later(later) => Pending::Add(later),
                }
            }
            Request::Get(id) => {
                let draft = Draft::begin(out);
                match self.store.get(id, out) {
                    Answer::Ready(result) => {
                        self.fetched(uid, draft, result, out);
                        return None;
                    }
                    Answer::Later(later) => {
                        draft.cancel(out);
                        Pending::Get(later)
                    }
                }
            }
            Request::Remove(id) => match self.store.remove(id) {
                Answer::Ready(result) => {
                    self.found(uid, Operation::Remove, result, out);
                    return None;
                }
                Answer::Later(later) => Pending::Remove(later),
            },
            Request::Have(id) => match self.store.have(id) {
                Answer::Ready(result) => {
                    self.found(uid, Operation::Have, result, out);
                    return None;
                }
                Answer::Later(later) => Pending::Have(later),
            },
        };
        Some(Later { uid, result })
    }

    fn added(&self, uid: u32, result: Result<Added, StoreError>, out: &mut Vec<u8>) {
        let (counter, status) = match result {
            Ok(Added::Stored) => (&self.metrics.adds_stored, Status::Ok),
            Ok(Added::Duplicate | Added::NoRoom) => (&self.metrics.adds_duplicate, Status::Duplicate),
            Err(_) => (&self.metrics.store_errors, Status::Disconnected),
        };
        counter.up();
        self.reply(uid, Operation::Add, status, out);
    }

    fn found(&self, uid: u32, operation: Operation, result: Result<bool, StoreError>, out: &mut Vec<u8>) {
        let hits =
            if operation == Operation::Have { &self.metrics.have_hits } else { &self.metrics.remove_hits };
        let status = match result {
            Ok(true) => {
                hits.up();
                Status::Ok
            }
            Ok(false) => Status::Absent,
            Err(_) => {
                self.metrics.store_errors.up();
                Status::Disconnected
            }
        };
        self.reply(uid, operation, status, out);
    }

    fn fetched(&self, uid: u32, draft: Draft, result: FetchResult, out: &mut Vec<u8>) {
        let status = match result {
            Ok(Fetched::Absent) => Status::Absent,
            Ok(fetched) => {
                if let Fetched::Session(session) = fetched {
                    secret::append(out, &session);
                }
                return self.finish(uid, draft, out);
            }
            Err(_) => {
                self.metrics.store_errors.up();
                Status::Disconnected
            }
        };
        draft.cancel(out);
        self.reply(uid, Operation::Get, status, out);
    }

    /// The session behind the draft becomes the reply, unless no reply can carry it.
    fn finish(&self, uid: u32, draft: Draft, out: &mut Vec<u8>) {
        if draft.length(out) == 0 {
            draft.cancel(out);
            return self.reply(uid, Operation::Get, Status::Absent, out);
        }
        if draft.finish(out, Direction::Response, uid, Operation::Get).is_err() {
            self.metrics.store_errors.up();
            return self.reply(uid, Operation::Get, Status::Disconnected, out);
        }
        self.metrics.gets.up();
        self.metrics.get_hits.up();
    }

    fn reply(&self, uid: u32, operation: Operation, status: Status, out: &mut Vec<u8>) {
        self.answered(operation).up();
        encode(out, Direction::Response, uid, operation, &[&[status as u8]])
            .expect("a status byte fits every message");
    }

    fn answered(&self, operation: Operation) -> &Counter {
        match operation {
            Operation::Add => &self.metrics.adds,
            Operation::Get => &self.metrics.gets,
            Operation::Remove => &self.metrics.removes,
            Operation::Have => &self.metrics.haves,
        }
    }
}

impl Service for Answers {
    type Later = Later;

    fn call(&self, message: Message<'_>, out: &mut Vec<u8>) -> Result<Option<Later>, Malformed> {
        match Checked::decode(&message)? {
            Checked::Valid(request) => Ok(self.ask(message.uid, request, out)),
            Checked::Refused(status) => {
                if message.operation == Operation::Add {
                    self.metrics.adds_refused.up();
                }
                self.reply(message.uid, message.operation, status, out);
                Ok(None)
            }
        }
    }

    fn poll(&self, later: &mut Later, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<()> {
        let uid = later.uid;
        match &mut later.result {
            Pending::Add(add) => self.added(uid, ready!(add.as_mut().poll(cx)), out),
            Pending::Get(get) => {
                let result = ready!(get.as_mut().poll(cx));
                self.fetched(uid, Draft::begin(out), result, out)
            }
            Pending::Remove(remove) => {
                self.found(uid, Operation::Remove, ready!(remove.as_mut().poll(cx)), out)
            }
            Pending::Have(have) => self.found(uid, Operation::Have, ready!(have.as_mut().poll(cx)), out),
        }
        Poll::Ready(())
    }

    fn held_back(&self) {
        self.metrics.back_pressure.up();
    }

    fn connections(&self) -> &ConnectionMetrics {
        &self.metrics.connections
    }
}
