//! What can go wrong, and whose fault it is.

use std::fmt;
use std::io;

/// Bytes that are not the protocol. The connection they came on must be closed; nothing else is affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// The version half of the protocol level is not 0x0011.
    Version,
    /// `is_response` is neither 0 nor 1, or a request came where a response belongs, or the other way round.
    Direction,
    /// The class is not 0.
    Class,
    /// The operation is above 3.
    Operation,
    /// `complete` is neither 0 nor 1.
    Complete,
    /// The data length is above 2048, or below it in a frame that is not the last.
    Length,
    /// A continuation has another uid or operation than the frame before.
    Continuation,
    /// The payload of a message is longer than 32768 bytes.
    Payload,
    /// The payload of ADD is shorter than its 8-byte prefix.
    Prefix,
    /// A reply nobody asked for: another uid or operation, or no data at all.
    Reply,
}

impl Malformed {
    /// A short name, for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Direction => "direction",
            Self::Class => "class",
            Self::Operation => "operation",
            Self::Complete => "complete",
            Self::Length => "length",
            Self::Continuation => "continuation",
            Self::Payload => "payload",
            Self::Prefix => "prefix",
            Self::Reply => "reply",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed distcache message ({})", self.name())
    }
}

impl std::error::Error for Malformed {}

/// Why a client has no answer. The connection it happened on is closed; the next call opens a new one.
#[derive(Debug)]
pub enum ClientError {
    /// Connecting, sending or receiving failed, or the server closed the connection. Worth another try.
    Io(io::Error),
    /// No answer within the time limit. Worth another try later.
    Timeout,
    /// The peer does not speak the protocol, or answered something else than was asked.
    Malformed(Malformed),
    /// An id or a session that no message can carry; nothing was sent.
    TooLong,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "session server: {error}"),
            Self::Timeout => f.write_str("session server: no answer in time"),
            Self::Malformed(malformed) => write!(f, "session server: {malformed}"),
            Self::TooLong => f.write_str("id and session are too long for one message"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Malformed(malformed) => Some(malformed),
            Self::Timeout | Self::TooLong => None,
        }
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::Timeout,
            _ => Self::Io(error),
        }
    }
}

impl From<Malformed> for ClientError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}
