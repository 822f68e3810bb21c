//! What a server must answer: which of some sessions it has been given and not told to drop.

use std::fmt;

use distcache::client::Client;
use distcache::limits::{ADD_PREFIX, FRAME_DATA};
use distcache::{ClientError, Operation, Status};

/// Lengths of ids, in bytes.
const IDS: std::ops::RangeInclusive<usize> = 10..=63;
/// Last frames of this many bytes, after full ones, are misread by the C programs.
const MISREAD: std::ops::RangeInclusive<usize> = 2021..=2024;
/// Below this the C library takes a session for a failure.
const SHORTEST_FOR_C: usize = 5;

const OPERATIONS: [Operation; 4] = [Operation::Add, Operation::Get, Operation::Remove, Operation::Have];

/// How long sessions may be.
#[derive(Clone, Copy)]
pub(super) struct Lengths {
    pub(super) min: usize,
    pub(super) max: usize,
    /// Whether C programs take part: some lengths are left out.
    pub(super) c_peers: bool,
}

/// A session, and whether the server has it.
pub(super) struct Known {
    id: Vec<u8>,
    session: Vec<u8>,
    is_stored: bool,
}

impl Known {
    /// Random bytes of a random length.
    pub(super) fn random(random: &mut fastrand::Rng, lengths: Lengths) -> Self {
        let mut id = vec![0; random.usize(IDS)];
        random.fill(&mut id);
        let mut length = random.usize(lengths.min..=lengths.max);
        if lengths.c_peers {
            // The next shorter or longer one that is safe.
            let safe = |length: &usize| is_safe_for_c(id.len(), *length);
            let below = (lengths.min..=length).rev().find(safe);
            length = below.or_else(|| (length..=lengths.max).find(safe)).unwrap_or(length);
        }
        let mut session = vec![0; length];
        random.fill(&mut session);
        Self { id, session, is_stored: false }
    }
}

/// Neither the ADD nor the answer to the GET is misread.
fn is_safe_for_c(id: usize, session: usize) -> bool {
    let is_safe = |payload: usize| payload < FRAME_DATA || !MISREAD.contains(&(payload % FRAME_DATA));
    session >= SHORTEST_FOR_C && is_safe(session) && is_safe(ADD_PREFIX + id + session)
}

/// One connection's sessions, and what it does with them.
pub(super) struct Worker {
    pub(super) client: Client,
    pub(super) known: Vec<Known>,
    pub(super) random: fastrand::Rng,
    pub(super) timeout_ms: u32,
    pub(super) vary_ms: u32,
}

impl Worker {
    /// A random operation on a random session; an error when the answer contradicts what is known.
    pub(super) fn step(&mut self) -> Result<(), String> {
        let Self { client, known, random, timeout_ms, vary_ms } = self;
        let at = random.usize(..known.len());
        let Known { id, session, is_stored } = &mut known[at];
        let operation = OPERATIONS[random.usize(..OPERATIONS.len())];
        let failed = |error: ClientError| format!("{}: {error}", operation.name());
        match operation {
            Operation::Add => {
                let timeout = *timeout_ms - *vary_ms + random.u32(..=2 * *vary_ms);
                let status = client.add(id, session, timeout).map_err(failed)?;
                let expected = if *is_stored { Status::Duplicate } else { Status::Ok };
                *is_stored = true;
                compare(operation, &status, &expected)
            }
            Operation::Get => {
                let fetched = client.get(id).map_err(failed)?;
                let answer = match &fetched {
                    None => "no session",
                    Some(fetched) if **fetched == *session => "the session",
                    Some(_) => "another session",
                };
                compare(operation, &answer, &if *is_stored { "the session" } else { "no session" })
            }
            Operation::Remove => {
                let status = client.remove(id).map_err(failed)?;
                let expected = if *is_stored { Status::Ok } else { Status::Absent };
                *is_stored = false;
                compare(operation, &status, &expected)
            }
            Operation::Have => {
                let status = client.have(id).map_err(failed)?;
                compare(operation, &status, &if *is_stored { Status::Ok } else { Status::Absent })
            }
        }
    }
}

/// Ids and sessions are not shown: it may be a server in use.
fn compare<T: PartialEq + fmt::Debug>(operation: Operation, answer: &T, expected: &T) -> Result<(), String> {
    if answer == expected {
        return Ok(());
    }
    Err(format!("{}: expected {expected:?}, answered {answer:?}", operation.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_as_long_as_wanted_and_ids_differ() {
        let mut random = fastrand::Rng::with_seed(1);
        let lengths = Lengths { min: 4, max: 4096, c_peers: false };
        let known: Vec<_> = (0..1000).map(|_| Known::random(&mut random, lengths)).collect();
        assert!(known.iter().all(|known| IDS.contains(&known.id.len())));
        assert!(known.iter().all(|known| (4..=4096).contains(&known.session.len())));
        let different: std::collections::HashSet<_> = known.iter().map(|known| &known.id).collect();
        assert_eq!(different.len(), known.len());
    }

    #[test]
    fn lengths_that_c_programs_misread_are_left_out() {
        assert!(is_safe_for_c(20, 2020));
        // The only frame of a message is never misread.
        assert!(is_safe_for_c(20, 1993));
        assert!(!is_safe_for_c(20, 4069));
        assert!(!is_safe_for_c(20, 4041));
        assert!(!is_safe_for_c(20, 4));
        let mut random = fastrand::Rng::with_seed(1);
        let lengths = Lengths { min: 4, max: 4096, c_peers: true };
        for _ in 0..5000 {
            let known = Known::random(&mut random, lengths);
            assert!(is_safe_for_c(known.id.len(), known.session.len()));
        }
    }

    #[test]
    fn an_answer_that_contradicts_is_told_without_secrets() {
        assert_eq!(compare(Operation::Have, &Status::Ok, &Status::Ok), Ok(()));
        assert_eq!(
            compare(Operation::Have, &Status::Ok, &Status::Absent),
            Err("have: expected Absent, answered Ok".to_owned())
        );
    }
}
