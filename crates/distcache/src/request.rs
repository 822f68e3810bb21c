//! What requests carry, and which of them are refused without asking a store.

use crate::error::Malformed;
use crate::frame::Direction;
use crate::limits::{ADD_PREFIX, ID, TIMEOUT_MS};
use crate::message::{self, Message};
use crate::operation::{Operation, Status};

/// A request as its sender meant it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// Store a session.
    Add {
        /// 1 to 64 bytes.
        id: &'a [u8],
        /// The secret, at least one byte.
        session: &'a [u8],
        /// Milliseconds, at most [`TIMEOUT_MS`].
        timeout_ms: u32,
    },
    /// Fetch a session.
    Get(&'a [u8]),
    /// Drop a session.
    Remove(&'a [u8]),
    /// Ask for a session.
    Have(&'a [u8]),
}

/// A request that can be put to a store, or the status that answers it without one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Checked<'a> {
    /// All ids in it are 1 to 64 bytes long, all numbers in range.
    Valid(Request<'a>),
    /// Answer with this.
    Refused(Status),
}

impl<'a> Checked<'a> {
    /// Reads a request and checks it, in the order in which C servers check. An ADD that is shorter than its prefix is an
    /// error: the connection is closed without an answer.
    pub fn decode(message: &Message<'a>) -> Result<Self, Malformed> {
        let payload = message.payload;
        let valid_id = !payload.is_empty() && payload.len() <= ID;
        Ok(match message.operation {
            Operation::Add => return Self::decode_add(payload),
            // An id that ADD would refuse cannot be in any store.
            _ if !valid_id => Self::Refused(Status::Absent),
            Operation::Get => Self::Valid(Request::Get(payload)),
            Operation::Remove => Self::Valid(Request::Remove(payload)),
            Operation::Have => Self::Valid(Request::Have(payload)),
        })
    }

    fn decode_add(payload: &'a [u8]) -> Result<Self, Malformed> {
        let (prefix, rest) = payload.split_first_chunk::<ADD_PREFIX>().ok_or(Malformed::Prefix)?;
        let [t0, t1, t2, t3, l0, l1, l2, l3] = *prefix;
        let timeout_ms = u32::from_be_bytes([t0, t1, t2, t3]);
        if timeout_ms > TIMEOUT_MS {
            return Ok(Self::Refused(Status::BadTimeout));
        }
        let id_length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        if id_length >= rest.len() {
            return Ok(Self::Refused(Status::BadPayload));
        }
        if id_length == 0 || id_length > ID {
            return Ok(Self::Refused(Status::BadId));
        }
        let (id, session) = rest.split_at(id_length);
        Ok(Self::Valid(Request::Add { id, session, timeout_ms }))
    }
}

impl Request<'_> {
    /// Its operation.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match self {
            Self::Add { .. } => Operation::Add,
            Self::Get(_) => Operation::Get,
            Self::Remove(_) => Operation::Remove,
            Self::Have(_) => Operation::Have,
        }
    }

    /// Appends the request as a message. Only its length is checked: what else is wrong with it is for the server to say.
    pub fn encode(&self, uid: u32, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let operation = self.operation();
        match *self {
            Self::Add { id, session, timeout_ms } => {
                let id_length = u32::try_from(id.len()).map_err(|_| Malformed::Payload)?;
                let parts = [&timeout_ms.to_be_bytes()[..], &id_length.to_be_bytes(), id, session];
                message::encode(out, Direction::Request, uid, operation, &parts)
            }
            Self::Get(id) | Self::Remove(id) | Self::Have(id) => {
                message::encode(out, Direction::Request, uid, operation, &[id])
            }
        }
    }
}
