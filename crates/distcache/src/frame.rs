//! One frame: the 14-byte header. All integers big-endian.
//!
//! Sans-IO, no state. Nothing is decided before the 14 bytes are there, except a wrong version, which shows after five.

use crate::error::Malformed;
use crate::limits::{FRAME_DATA, HEADER};
use crate::operation::Operation;

const VERSION: u16 = 0x0011;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// A client, to a server.
    Request,
    /// A server, to a client.
    Response,
}

/// Whether the message goes on after this frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// More frames follow; this one is full.
    Inner,
    /// The last frame of its message.
    Last,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Request or response.
    pub direction: Direction,
    /// Chosen by whoever asks, repeated in the answer.
    pub uid: u32,
    /// What is asked or answered.
    pub operation: Operation,
    /// Whether more frames follow.
    pub place: Place,
    /// Data bytes after the header, at most [`FRAME_DATA`].
    pub length: u16,
}

impl Header {
    /// Reads the header at the start of `bytes`; `None` when more bytes are needed to tell.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        if bytes.len() > 4 && bytes[..2] != VERSION.to_be_bytes() {
            return Err(Malformed::Version);
        }
        let Some((header, _)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
        let [_, _, _, _, response, u0, u1, u2, u3, class, operation, complete, l0, l1] = *header;
        let direction = match response {
            0 => Direction::Request,
            1 => Direction::Response,
            _ => return Err(Malformed::Direction),
        };
        if class != 0 {
            return Err(Malformed::Class);
        }
        let operation = Operation::from_byte(operation).ok_or(Malformed::Operation)?;
        let place = match complete {
            0 => Place::Inner,
            1 => Place::Last,
            _ => return Err(Malformed::Complete),
        };
        let length = u16::from_be_bytes([l0, l1]);
        let full = FRAME_DATA as u16;
        if length > full || (place == Place::Inner && length < full) {
            return Err(Malformed::Length);
        }
        let uid = u32::from_be_bytes([u0, u1, u2, u3]);
        Ok(Some(Self { direction, uid, operation, place, length }))
    }

    /// The bytes of the header, patch level 0.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER] {
        let [v0, v1] = VERSION.to_be_bytes();
        let [u0, u1, u2, u3] = self.uid.to_be_bytes();
        let [l0, l1] = self.length.to_be_bytes();
        let response = u8::from(self.direction == Direction::Response);
        let complete = u8::from(self.place == Place::Last);
        [v0, v1, 0, 0, response, u0, u1, u2, u3, 0, self.operation as u8, complete, l0, l1]
    }
}
