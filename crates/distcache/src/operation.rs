//! The four operations and the status bytes.

/// What a message asks for, or answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Operation {
    /// Store a session under an id that is not taken.
    Add = 0,
    /// Fetch a session.
    Get = 1,
    /// Drop a session; of several racing callers exactly one is told [`Status::Ok`].
    Remove = 2,
    /// Ask whether there is a session.
    Have = 3,
}

impl Operation {
    /// The operation of this byte on the wire, if there is one.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Add, Self::Get, Self::Remove, Self::Have].get(usize::from(byte)).copied()
    }

    /// The name in lower case, for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Get => "get",
            Self::Remove => "remove",
            Self::Have => "have",
        }
    }
}

/// The single byte that answers ADD, REMOVE and HAVE, and a GET that found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// Done; for HAVE: present.
    Ok = 0,
    /// No such session.
    Absent = 1,
    /// The server behind the proxy, or the store behind the server, did not answer.
    Disconnected = 2,
    /// ADD: the lengths in the payload do not fit each other.
    BadPayload = 100,
    /// ADD: the id is taken, or there is no room.
    Duplicate = 101,
    /// ADD: the timeout is over [`limits::TIMEOUT_MS`](crate::limits::TIMEOUT_MS).
    BadTimeout = 102,
    /// ADD: the id is empty or over [`limits::ID`](crate::limits::ID) bytes.
    BadId = 103,
    /// ADD: the session is empty or too long.
    BadSession = 104,
}

impl Status {
    /// The status of this byte on the wire, if there is one.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        use Status::*;
        [Ok, Absent, Disconnected, BadPayload, Duplicate, BadTimeout, BadId, BadSession]
            .into_iter()
            .find(|status| *status as u8 == byte)
    }
}
