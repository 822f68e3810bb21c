//! The requests of all clients: those that wait for their turn, those with the server, the answers not fetched yet.
//!
//! Sans-IO: the client's connections ask and fetch, the backend's task sends and answers. Tickets count on for ever;
//! their lower 32 bits are the uids on the wire, so uids may wrap.
//!
//! | state of a ticket | goes to | when |
//! |---|---|---|
//! | queued | sent | as few others are sent as allowed |
//! | queued, sent | answered | the answer came, or the server was lost |
//! | queued | gone | its client is gone |
//! | sent | orphan | its client is gone; its uid is not free before the answer |
//! | answered | gone | its client fetched it, or is gone |
//! | orphan | gone | the answer came, or the server was lost |

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::error::Malformed;
use crate::frame::Direction;
use crate::message::encode;
use crate::operation::Operation;
use crate::secret;
use crate::store::Session;

/// Names a request until its answer was fetched.
pub(super) type Ticket = u64;

/// What came back.
#[derive(PartialEq, Eq)]
pub(super) enum Reply {
    /// The payload as the server sent it.
    Payload(Session),
    /// The server is not there, or was lost.
    Disconnected,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    ToClient,
    /// The client is gone.
    Orphan,
    /// Nobody has asked; C servers do such things after a misread frame.
    Unasked,
}

enum State {
    Queued(Zeroizing<Vec<u8>>),
    Sent,
    Orphan,
    Answered(Reply),
}

struct Request {
    operation: Operation,
    since: Instant,
    state: State,
    client: Option<Waker>,
}

/// See the module.
pub(super) struct Requests {
    connected: bool,
    most: usize,
    next: Ticket,
    requests: BTreeMap<Ticket, Request>,
    queue: VecDeque<Ticket>,
    /// Sent and not answered, orphans included.
    with_server: usize,
    /// Bytes for the server.
    outgoing: Vec<u8>,
    backend: Option<Waker>,
}

impl Requests {
    /// With at most so many requests at the server.
    pub(super) fn new(most: usize) -> Self {
        Self {
            connected: false,
            most,
            next: 1,
            requests: BTreeMap::new(),
            queue: VecDeque::new(),
            with_server: 0,
            outgoing: Vec::new(),
            backend: None,
        }
    }

    /// Takes a request on; `None` when the server is not there. Says whether it has to wait for its turn.
    pub(super) fn ask(
        &mut self,
        operation: Operation,
        payload: &[u8],
        now: Instant,
    ) -> Option<(Ticket, bool)> {
        if !self.connected {
            return None;
        }
        let ticket = self.next;
        self.next += 1;
        let queued = self.with_server >= self.most;
        let mut bytes = Zeroizing::default();
        let out = if queued { &mut bytes } else { &mut self.outgoing };
        encode(out, Direction::Request, ticket as u32, operation, &[payload])
            .expect("a decoded payload fits a message");
        let state = if queued { State::Queued(bytes) } else { State::Sent };
        self.requests.insert(ticket, Request { operation, since: now, state, client: None });
        if queued {
            self.queue.push_back(ticket);
        } else {
            self.with_server += 1;
            self.wake_backend();
        }
        Some((ticket, queued))
    }

    /// The reply, once it is there; the ticket is gone with it.
    pub(super) fn fetch(&mut self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Reply> {
        let Some(request) = self.requests.get_mut(&ticket) else { return Poll::Ready(Reply::Disconnected) };
        match std::mem::replace(&mut request.state, State::Orphan) {
            State::Answered(reply) => {
                self.requests.remove(&ticket);
                Poll::Ready(reply)
            }
            waiting => {
                request.state = waiting;
                match &mut request.client {
                    Some(client) => client.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    /// Its client is gone.
    pub(super) fn abandon(&mut self, ticket: Ticket) {
        let Some(request) = self.requests.get_mut(&ticket) else { return };
        match request.state {
            State::Sent | State::Orphan => {
                request.state = State::Orphan;
                request.client = None;
            }
            State::Queued(_) | State::Answered(_) => {
                self.requests.remove(&ticket);
                self.queue.retain(|queued| *queued != ticket);
            }
        }
    }

    /// The server is there.
    pub(super) fn connect(&mut self) {
        self.connected = true;
    }

    /// The server is lost: everyone who waits is told so. Returns how many.
    pub(super) fn disconnect(&mut self) -> usize {
        self.connected = false;
        self.with_server = 0;
        self.queue.clear();
        secret::empty(&mut self.outgoing);
        let mut told = 0;
        self.requests.retain(|_, request| {
            if matches!(request.state, State::Queued(_) | State::Sent) {
                request.answer(Reply::Disconnected);
                told += 1;
            }
            !matches!(request.state, State::Orphan)
        });
        told
    }

    /// Swaps the empty `buffer` for the bytes to send. Without any, the task is woken when there are some.
    pub(super) fn take_outgoing(&mut self, buffer: &mut Vec<u8>, cx: &Context<'_>) {
        std::mem::swap(&mut self.outgoing, buffer);
        if buffer.is_empty() {
            self.backend = Some(cx.waker().clone());
        }
    }

    /// An answer from the server. An error means that the server has lost its way.
    pub(super) fn answer(
        &mut self,
        uid: u32,
        operation: Operation,
        payload: &[u8],
    ) -> Result<Delivery, Malformed> {
        let ticket = self.ticket_of(uid);
        let Some(request) = self.requests.get_mut(&ticket) else { return Ok(Delivery::Unasked) };
        let delivery = match request.state {
            State::Queued(_) | State::Answered(_) => return Ok(Delivery::Unasked),
            _ if request.operation != operation => return Err(Malformed::Reply),
            State::Sent => {
                request.answer(Reply::Payload(Session::new(payload.to_vec())));
                Delivery::ToClient
            }
            State::Orphan => {
                self.requests.remove(&ticket);
                Delivery::Orphan
            }
        };
        self.with_server -= 1;
        self.send_next();
        Ok(delivery)
    }

    /// Since when the oldest request without an answer has been waiting.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let waits = |request: &&Request| !matches!(request.state, State::Answered(_));
        self.requests.values().find(waits).map(|request| request.since)
    }

    /// Makes this the next ticket.
    #[cfg(test)]
    pub(super) fn count_from(&mut self, next: Ticket) {
        self.next = next;
    }

    fn send_next(&mut self) {
        let Some(ticket) = self.queue.pop_front() else { return };
        let Some(request) = self.requests.get_mut(&ticket) else { return };
        if let State::Queued(bytes) = std::mem::replace(&mut request.state, State::Sent) {
            secret::append(&mut self.outgoing, &bytes);
            self.with_server += 1;
            self.wake_backend();
        }
    }

    /// The last ticket with these lower 32 bits, or the next.
    fn ticket_of(&self, uid: u32) -> Ticket {
        let behind = (self.next as u32).wrapping_sub(uid);
        self.next.wrapping_sub(behind.into())
    }

    fn wake_backend(&mut self) {
        if let Some(backend) = self.backend.take() {
            backend.wake();
        }
    }
}

impl Request {
    fn answer(&mut self, reply: Reply) {
        self.state = State::Answered(reply);
        if let Some(client) = self.client.take() {
            client.wake();
        }
    }
}
