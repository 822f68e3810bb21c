//! Messages: one or more frames with the same uid and operation, as one payload.
//!
//! The [`Decoder`] owns the payload of a message that came in several frames until it is whole; a message of one frame
//! is borrowed from the input. Sans-IO: it never acts on a frame before its last byte is there, at whatever place the
//! input was cut. A [`Draft`] writes a message into one buffer, so that one write can send it whole: C peers misread
//! frames that arrive in pieces.

#[cfg(test)]
mod tests;

use zeroize::Zeroize;

use crate::error::Malformed;
use crate::frame::{Direction, Header, Place};
use crate::limits::{FRAME_DATA, HEADER, PAYLOAD};
use crate::operation::Operation;
use crate::secret;

/// A whole message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Chosen by whoever asks, repeated in the answer.
    pub uid: u32,
    /// What is asked or answered.
    pub operation: Operation,
    /// At most [`PAYLOAD`] bytes. May hold a secret.
    pub payload: &'a [u8],
}

/// What the decoder made of some input.
pub struct Step<'a> {
    /// Bytes of the input that are done with; the caller drops them.
    pub used: usize,
    /// The next message, or `None` when more input is needed.
    pub message: Option<Message<'a>>,
}

/// Frames to messages, for one direction of one connection.
pub struct Decoder {
    expects: Direction,
    state: State,
    payload: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between messages; the payload is empty, or that of the message handed out last.
    Between,
    /// Frames with this uid and operation are being collected.
    Within(u32, Operation),
}

impl Decoder {
    /// A decoder that accepts messages of this direction only.
    #[must_use]
    pub fn new(expects: Direction) -> Self {
        Self { expects, state: State::Between, payload: Vec::new() }
    }

    /// Takes frames from the start of `input` until a message is whole. Call again with what is left of the input, and
    /// with more of it when no message came. After an error the connection is of no use.
    pub fn next<'a>(&'a mut self, input: &'a [u8]) -> Result<Step<'a>, Malformed> {
        let mut used = 0;
        if self.state == State::Between && !self.payload.is_empty() {
            self.payload.zeroize();
            self.payload = Vec::new();
        }
        loop {
            let rest = &input[used..];
            let Some(header) = Header::decode(rest)? else { return Ok(Step { used, message: None }) };
            self.check(&header)?;
            let end = HEADER + usize::from(header.length);
            let Some(data) = rest.get(HEADER..end) else { return Ok(Step { used, message: None }) };
            used += end;
            let Header { uid, operation, .. } = header;
            if self.state == State::Between && header.place == Place::Last {
                return Ok(Step { used, message: Some(Message { uid, operation, payload: data }) });
            }
            secret::append(&mut self.payload, data);
            self.state = State::Within(uid, operation);
            if header.place == Place::Last {
                self.state = State::Between;
                return Ok(Step { used, message: Some(Message { uid, operation, payload: &self.payload }) });
            }
        }
    }

    /// Whether frames of an unfinished message were taken.
    #[must_use]
    pub fn is_within(&self) -> bool {
        self.state != State::Between
    }

    /// Whether no payload is left in it.
    #[cfg(test)]
    pub(crate) fn is_wiped(&self) -> bool {
        self.payload.is_empty()
    }

    fn check(&self, header: &Header) -> Result<(), Malformed> {
        if header.direction != self.expects {
            return Err(Malformed::Direction);
        }
        let State::Within(uid, operation) = self.state else { return Ok(()) };
        if (uid, operation) != (header.uid, header.operation) {
            return Err(Malformed::Continuation);
        }
        if self.payload.len() + usize::from(header.length) > PAYLOAD {
            return Err(Malformed::Payload);
        }
        Ok(())
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.payload.zeroize();
    }
}

/// A message being written at the end of a buffer: append the payload to the buffer, then [`finish`](Self::finish).
#[must_use]
pub struct Draft {
    start: usize,
}

impl Draft {
    /// Leaves room for the first header at the end of `out`.
    pub fn begin(out: &mut Vec<u8>) -> Self {
        let start = out.len();
        secret::append(out, &[0; HEADER]);
        Self { start }
    }

    /// Everything appended since [`begin`](Self::begin) becomes the payload, split into frames. A payload over
    /// [`PAYLOAD`] bytes is an error, and the message is taken back.
    pub fn finish(
        self,
        out: &mut Vec<u8>,
        direction: Direction,
        uid: u32,
        operation: Operation,
    ) -> Result<(), Malformed> {
        let length = self.length(out);
        if length > PAYLOAD {
            self.cancel(out);
            return Err(Malformed::Payload);
        }
        let inner = length.saturating_sub(1) / FRAME_DATA;
        secret::reserve(out, inner * HEADER);
        out.resize(out.len() + inner * HEADER, 0);
        for index in (0..=inner).rev() {
            let from = self.start + HEADER + index * FRAME_DATA;
            let count = FRAME_DATA.min(length - index * FRAME_DATA);
            let to = from + index * HEADER;
            out.copy_within(from..from + count, to);
            let place = if index == inner { Place::Last } else { Place::Inner };
            let header = Header { direction, uid, operation, place, length: count as u16 };
            out[to - HEADER..to].copy_from_slice(&header.encode());
        }
        Ok(())
    }

    /// Payload bytes so far.
    #[must_use]
    pub fn length(&self, out: &[u8]) -> usize {
        out.len() - self.start - HEADER
    }

    /// Takes the message back.
    pub fn cancel(self, out: &mut Vec<u8>) {
        out[self.start..].zeroize();
        out.truncate(self.start);
    }
}

/// Appends a whole message whose payload is the concatenation of `parts`.
pub fn encode(
    out: &mut Vec<u8>,
    direction: Direction,
    uid: u32,
    operation: Operation,
    parts: &[&[u8]],
) -> Result<(), Malformed> {
    let draft = Draft::begin(out);
    parts.iter().for_each(|part| secret::append(out, part));
    draft.finish(out, direction, uid, operation)
}
