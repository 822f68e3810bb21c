//! What came of a command: said, refused, or lost.

use ::redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};

use crate::store::StoreError;

/// See the module.
#[derive(Debug)]
pub(super) enum Outcome {
    /// An answer.
    Said(Value),
    /// There is no memory for more; everything else still works.
    Full,
    /// Something of another kind has this name.
    Foreign,
    /// Not carried out: no connection, or the server cannot serve now.
    NotDone,
    /// Sent, and nothing came back; it may have been carried out.
    Unknown,
}

impl Outcome {
    /// Reads a result. A cluster's client may have sent the command before, so its errors leave everything open.
    pub(super) fn of(result: RedisResult<Value>, in_cluster: bool) -> Self {
        let error = match result {
            Ok(Value::ServerError(error)) => error.into(),
            Ok(value) => return Self::Said(value),
            Err(error) => error,
        };
        match error.code() {
            Some("OOM") => Self::Full,
            Some("WRONGTYPE") => Self::Foreign,
            Some(_) if !in_cluster => Self::NotDone,
            _ => Self::Unknown,
        }
    }

    /// Whether the server does its work.
    pub(super) fn is_sound(&self) -> bool {
        matches!(self, Self::Said(_) | Self::Full | Self::Foreign)
    }

    pub(super) fn value(self) -> Result<Value, StoreError> {
        match self {
            Self::Said(value) => Ok(value),
            Self::Foreign => Err(StoreError::Unreadable),
            Self::Full | Self::NotDone => Err(StoreError::Unavailable),
            Self::Unknown => Err(StoreError::Timeout),
        }
    }

    pub(super) fn number(self) -> Result<u64, StoreError> {
        match self.value()? {
            Value::Int(number) => Ok(u64::try_from(number).unwrap_or(0)),
            _ => Err(StoreError::Unreadable),
        }
    }
}

/// Why connecting failed, for people. The kinds that carry no secret are told in full.
pub(super) fn describe(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => {
            error.category().to_owned() + ": user or password is refused"
        }
        _ => error.to_string(),
    }
}
