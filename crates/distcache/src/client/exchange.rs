//! One request and its reply, sans-IO; both clients drive it.
//!
//! Owns the bytes of both, until [`Exchange::end`] or its drop wipes them. One exchange at a time: whatever else arrives means that peer and client have lost each
//! other, and the connection is of no use.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use zeroize::Zeroize;

use super::ShortReplies;
use crate::error::{ClientError, Malformed};
use crate::frame::Direction;
use crate::limits::SHORTEST_FETCHED;
use crate::message::Decoder;
use crate::operation::{Operation, Status};
use crate::request::Request;
use crate::secret;
use crate::store::Session;

/// Bytes of one read. Larger than a frame, so that there is always room for more.
const INPUT: usize = 16 * 1024;

/// Counts the requests of the process, from 1.
static UIDS: AtomicU32 = AtomicU32::new(1);

/// See the module.
pub(super) struct Exchange {
    uid: u32,
    operation: Operation,
    request: Vec<u8>,
    decoder: Decoder,
    input: Vec<u8>,
    filled: usize,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            uid: 0,
            operation: Operation::Get,
            request: Vec::new(),
            decoder: Decoder::new(Direction::Response),
            input: Vec::new(),
            filled: 0,
        }
    }
}

impl Exchange {
    /// Begins with this request.
    pub(super) fn begin(&mut self, request: &Request<'_>) -> Result<(), ClientError> {
        self.uid = UIDS.fetch_add(1, Ordering::Relaxed);
        self.operation = request.operation();
        request.encode(self.uid, &mut self.request).map_err(|_| ClientError::TooLong)
    }

    /// Wipes request and reply. What was used up of the input is wiped already.
    pub(super) fn end(&mut self) {
        secret::empty(&mut self.request);
        self.decoder = Decoder::new(Direction::Response);
        self.input[..self.filled].zeroize();
        self.filled = 0;
    }

    /// The whole request, to be sent with one write. Forgets what has been received: the connection may be a new one.
    pub(super) fn request(&mut self) -> &[u8] {
        self.decoder = Decoder::new(Direction::Response);
        self.input[..self.filled].zeroize();
        self.filled = 0;
        &self.request
    }

    /// Room to receive into; never empty.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.input.resize(INPUT, 0);
        &mut self.input[self.filled..]
    }

    /// So many bytes were received; the payload of the reply once it is whole.
    pub(super) fn received(&mut self, count: usize) -> Result<Option<Session>, ClientError> {
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.filled += count;
        let step = self.decoder.next(&self.input[..self.filled])?;
        let used = step.used;
        let reply = match step.message {
            None => None,
            Some(message) if (message.uid, message.operation) != (self.uid, self.operation) => {
                return Err(Malformed::Reply.into());
            }
            Some(message) if message.payload.is_empty() || used < self.filled => {
                return Err(Malformed::Reply.into());
            }
            Some(message) => Some(Session::new(message.payload.to_vec())),
        };
        self.input.copy_within(used..self.filled, 0);
        self.input[self.filled - used..self.filled].zeroize();
        self.filled -= used;
        Ok(reply)
    }
}

#[cfg(test)]
impl Exchange {
    /// Whether nothing of any exchange is left in it.
    pub(super) fn is_wiped(&self) -> bool {
        self.request.is_empty() && self.decoder.is_wiped() && self.input.iter().all(|byte| *byte == 0)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.request.zeroize();
        self.input.zeroize();
    }
}

/// The status in a reply to ADD, REMOVE or HAVE.
pub(super) fn status(reply: &[u8]) -> Result<Status, ClientError> {
    match reply {
        [byte] => Status::from_byte(*byte).ok_or(ClientError::Malformed(Malformed::Reply)),
        _ => Err(Malformed::Reply.into()),
    }
}

/// The session in a reply to GET, if it is one.
pub(super) fn session(reply: Session, short: ShortReplies) -> Option<Session> {
    let shortest = match short {
        ShortReplies::Sessions => 2,
        ShortReplies::Failures => SHORTEST_FETCHED,
    };
    (reply.len() >= shortest).then_some(reply)
}
