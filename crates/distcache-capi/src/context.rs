//! What the calls of `DC_CTX` mean, without pointers.
//!
//! One context is one client of a server. It holds the last session fetched, for `reget`, until the next call.

use distcache::client::{Client, ClientSettings, Connections, Persistent, ShortReplies};
use distcache::{Address, Status};

/// Flags of `DC_CTX_new`; the other three mean nothing without the first.
const PERSISTENT: u32 = 1;
const PIDCHECK: u32 = 2;
const RETRY: u32 = 4;
const LATE: u32 = 8;

/// C's `DC_CTX`.
pub struct Context {
    client: Client,
}

/// Answers of `DC_CTX_has_session`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Present,
    Absent,
    /// Nobody could say.
    Unknown,
}

impl Context {
    /// Of the server at an address; `None` when there is no such address, or nobody there that should be. Flags that
    /// are unknown mean nothing.
    pub(crate) fn new(target: &str, flags: u32) -> Option<Self> {
        let address: Address = target.parse().ok()?;
        // It needs certificates, and C has no way to name them.
        if matches!(address, Address::Tls(_)) {
            return None;
        }
        // Times of waiting are the default ones.
        let settings = ClientSettings {
            connection: connections(flags),
            short: ShortReplies::Failures,
            ..ClientSettings::default()
        };
        Client::new(address, settings).ok().map(|client| Self { client })
    }

    /// Whether the server has stored the session. Timeouts beyond what the protocol can say are refused by the server.
    pub(crate) fn add(&mut self, id: &[u8], session: &[u8], timeout_ms: u64) -> bool {
        let timeout_ms = u32::try_from(timeout_ms).unwrap_or(u32::MAX);
        matches!(self.client.add(id, session, timeout_ms), Ok(Status::Ok))
    }

    /// Whether the server had the session and has dropped it.
    pub(crate) fn remove(&mut self, id: &[u8]) -> bool {
        matches!(self.client.remove(id), Ok(Status::Ok))
    }

    /// The session, if the server has it and it is at least 5 bytes long.
    pub(crate) fn get(&mut self, id: &[u8]) -> Option<&[u8]> {
        self.client.get_into(id, &mut []).ok()??;
        self.reget(id)
    }

    /// What the last call fetched, if it was a hit for this id.
    pub(crate) fn reget(&self, id: &[u8]) -> Option<&[u8]> {
        self.client.fetched(id)
    }

    pub(crate) fn has(&mut self, id: &[u8]) -> Presence {
        match self.client.have(id) {
            Ok(Status::Ok) => Presence::Present,
            Ok(Status::Absent) => Presence::Absent,
            _ => Presence::Unknown,
        }
    }
}

fn connections(flags: u32) -> Connections {
    if flags & PERSISTENT == 0 {
        return Connections::Temporary;
    }
    Connections::Persistent(Persistent {
        pid_check: flags & PIDCHECK != 0,
        retry: flags & RETRY != 0,
        late: flags & LATE != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_those_of_the_header() {
        let header = include_str!("../include/distcache/dc_client.h");
        for (name, value) in [
            ("DISTCACHE_CLIENT_API", 1),
            ("DC_CTX_FLAG_PERSISTENT", PERSISTENT),
            ("DC_CTX_FLAG_PERSISTENT_PIDCHECK", PIDCHECK),
            ("DC_CTX_FLAG_PERSISTENT_RETRY", RETRY),
            ("DC_CTX_FLAG_PERSISTENT_LATE", LATE),
        ] {
            assert!(header.contains(&format!("#define {name} {value}\n")), "{name}");
        }
    }

    #[test]
    fn the_options_of_a_kept_connection_mean_nothing_without_one() {
        assert_eq!(connections(PIDCHECK | RETRY | LATE), Connections::Temporary);
        let all = Persistent { pid_check: true, retry: true, late: true };
        assert_eq!(connections(PERSISTENT | PIDCHECK | RETRY | LATE), Connections::Persistent(all));
        let one = |flag| {
            Connections::Persistent(Persistent {
                pid_check: flag == PIDCHECK,
                retry: flag == RETRY,
                late: flag == LATE,
            })
        };
        for flag in [0, PIDCHECK, RETRY, LATE] {
            assert_eq!(connections(PERSISTENT | flag), one(flag));
        }
    }
}
