//! The memory store against a model, and its bounds. Covers user-demand 4c, numbers 77 (timeouts) and 78 (secrets).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::arena::{Arena, PIECE, pieces};
use super::*;
use crate::clock::ManualClock;
use crate::limits::{ID, ID_AND_SESSION, TIMEOUT_MS};

fn store(sessions: usize, bytes: usize) -> (MemoryStore, ManualClock) {
    let clock = ManualClock::default();
    (MemoryStore::with_clock(&MemorySettings { sessions, bytes }, Arc::new(clock.clone())), clock)
}

fn ready<T>(answer: Answer<Result<T, StoreError>>) -> T {
    match answer {
        Answer::Ready(result) => result.expect("memory does not fail"),
        Answer::Later(_) => panic!("memory answers at once"),
    }
}

fn fetch(store: &MemoryStore, id: &[u8]) -> Option<Vec<u8>> {
    let mut out = b"before".to_vec();
    match ready(store.get(id, &mut out)) {
        Fetched::Appended => Some(out.split_off(6)),
        Fetched::Absent => None,
        Fetched::Session(_) => panic!("memory appends"),
    }
}

fn add(store: &MemoryStore, id: &[u8], timeout_ms: u32) -> Added {
    ready(store.add(id, b"session", timeout_ms))
}

#[test]
fn a_session_comes_back_until_its_time_is_over() {
    let (store, clock) = store(64, 1 << 20);
    assert_eq!(add(&store, b"id", 1000), Added::Stored);
    clock.advance(Duration::from_millis(1000));
    assert_eq!(fetch(&store, b"id").as_deref(), Some(&b"session"[..]));
    assert!(ready(store.have(b"id")));
    clock.advance(Duration::from_millis(1));
    assert_eq!(fetch(&store, b"id"), None);
    assert!(!ready(store.have(b"id")));
    assert!(!ready(store.remove(b"id")));
    assert_eq!(store.stats().expired, 1);
}

// 77
#[test]
fn a_timeout_of_zero_lives_for_the_rest_of_its_millisecond() {
    let (store, clock) = store(64, 1 << 20);
    assert_eq!(add(&store, b"id", 0), Added::Stored);
    assert!(ready(store.have(b"id")));
    clock.advance(Duration::from_millis(1));
    assert!(!ready(store.have(b"id")));
}

// 77
#[test]
fn seven_days_are_seven_days() {
    let (store, clock) = store(64, 1 << 20);
    add(&store, b"id", TIMEOUT_MS);
    clock.advance(Duration::from_secs(7 * 24 * 3600));
    assert!(ready(store.have(b"id")));
    clock.advance(Duration::from_millis(1));
    assert!(!ready(store.have(b"id")));
}

#[test]
fn a_duplicate_changes_nothing_and_is_none_after_the_first_expired() {
    let (store, clock) = store(64, 1 << 20);
    ready(store.add(b"id", b"first", 10));
    assert_eq!(ready(store.add(b"id", b"second", 1000)), Added::Duplicate);
    assert_eq!(fetch(&store, b"id").as_deref(), Some(&b"first"[..]));
    clock.advance(Duration::from_millis(11));
    assert_eq!(ready(store.add(b"id", b"second", 1000)), Added::Stored);
    assert_eq!(fetch(&store, b"id").as_deref(), Some(&b"second"[..]));
}

#[test]
fn the_65th_session_evicts_the_two_that_die_first() {
    let (store, _) = store(64, 1 << 20);
    for number in 0..64_u32 {
        assert_eq!(add(&store, &number.to_be_bytes(), 10_000 - number), Added::Stored);
    }
    assert_eq!(add(&store, b"the 65th", 5), Added::Stored);
    let gone: Vec<_> = (0..64_u32).filter(|number| !ready(store.have(&number.to_be_bytes()))).collect();
    assert_eq!(gone, [62, 63]);
    assert!(ready(store.have(b"the 65th")));
    assert_eq!((store.stats().sessions, store.stats().evicted), (63, 2));
}

#[test]
fn of_those_that_die_together_the_one_stored_first_goes() {
    let (store, _) = store(64, 1 << 20);
    for number in (0..64_u32).rev() {
        add(&store, &number.to_be_bytes(), 1000);
    }
    add(&store, b"new", 1000);
    let gone: Vec<_> = (0..64_u32).filter(|number| !ready(store.have(&number.to_be_bytes()))).collect();
    assert_eq!(gone, [62, 63]);
}

#[test]
fn sessions_that_timed_out_make_room_before_any_other_goes() {
    let (store, clock) = store(64, 1 << 20);
    for number in 0..64_u32 {
        add(&store, &number.to_be_bytes(), if number < 40 { 10 } else { 1000 });
    }
    clock.advance(Duration::from_millis(11));
    add(&store, b"new", 1000);
    let stats = store.stats();
    assert_eq!((stats.sessions, stats.evicted, stats.expired), (25, 0, 40));
}

#[test]
fn a_store_full_of_bytes_drops_a_thirtieth_of_them() {
    let (store, _) = store(1_000_000, 300 * PIECE);
    for number in 0..300_u32 {
        assert_eq!(add(&store, &number.to_be_bytes(), 10_000 - number), Added::Stored);
    }
    assert_eq!(store.stats().bytes, 300 * PIECE as u64);
    assert_eq!(add(&store, b"one more", 10_000), Added::Stored);
    assert_eq!((store.stats().evicted, store.stats().sessions), (10, 291));
    assert!(!ready(store.have(&290_u32.to_be_bytes())));
    assert!(ready(store.have(&289_u32.to_be_bytes())));
}

#[test]
fn a_session_larger_than_the_store_evicts_nobody() {
    let (store, _) = store(64, 10 * PIECE);
    add(&store, b"small", 1000);
    assert_eq!(ready(store.add(b"large", &[1; 11 * PIECE], 1000)), Added::NoRoom);
    assert!(ready(store.have(b"small")));
}

#[test]
fn the_largest_session_comes_back() {
    let (store, _) = store(64, 1 << 20);
    let (id, session) = ([7; ID], vec![9; ID_AND_SESSION - ID]);
    assert_eq!(ready(store.add(&id, &session, 1000)), Added::Stored);
    assert_eq!(fetch(&store, &id), Some(session));
}

#[test]
fn one_of_many_takers_gets_the_session() {
    let (store, _) = store(64, 1 << 20);
    add(&store, b"id", 1000);
    let takers = std::thread::scope(|scope| {
        let take = || ready(store.take(b"id", &mut Vec::new())) == Fetched::Appended;
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
        threads.into_iter().map(|thread| thread.join().expect("taker")).filter(|won| *won).count()
    });
    assert_eq!(takers, 1);
}

#[test]
fn many_threads_never_pass_the_bounds() {
    let (store, _) = store(100, 150 * PIECE);
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..2000_u32 {
                    let id = [thread.to_be_bytes(), number.to_be_bytes()].concat();
                    assert_eq!(add(store, &id, 1000 + number), Added::Stored);
                    let stats = store.stats();
                    assert!(stats.bytes <= 150 * PIECE as u64);
                }
            });
        }
    });
    assert!(store.stats().sessions <= 100);
    assert_eq!(store.stats().sessions + store.stats().evicted, 8000);
}

// 78
#[test]
fn pieces_are_wiped_when_they_are_given_back() {
    let mut arena = Arena::default();
    let secret = [0xaa; 500];
    let first = arena.store(b"id", &secret).expect("memory");
    let mut out = Vec::new();
    arena.copy(first, 2, 500, &mut out);
    assert_eq!(out, secret);
    arena.wipe(first, pieces(502));
    assert_eq!(arena.reserved() % PIECE, 0);
    assert!(!arena.bytes().any(|byte| byte == 0xaa));
    let again = arena.store(b"id", &secret).expect("memory");
    arena.copy(again, 2, 500, &mut out);
    assert_eq!(out[500..], secret);
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8, usize, u32),
    Get(u8),
    Take(u8),
    Remove(u8),
    Have(u8),
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0..60_u8;
    prop_oneof![
        4 => (id.clone(), 1..600_usize, 0..200_u32).prop_map(|(id, size, ms)| Step::Add(id, size, ms)),
        2 => id.clone().prop_map(Step::Get),
        1 => id.clone().prop_map(Step::Take),
        1 => id.clone().prop_map(Step::Remove),
        1 => id.prop_map(Step::Have),
        1 => (0..40_u16).prop_map(Step::Pass),
    ]
}

/// What the specification says, as a list in the order of death.
#[derive(Default)]
struct Model {
    now: u64,
    count: u64,
    sessions: BTreeMap<(u64, u64), (u8, Vec<u8>)>,
}

impl Model {
    const CAPACITY: usize = 32;

    fn find(&mut self, id: u8) -> Option<(u64, u64)> {
        self.sessions.retain(|death, _| death.0 >= self.now);
        self.sessions.iter().find(|(_, (other, _))| *other == id).map(|(death, _)| *death)
    }

    fn add(&mut self, id: u8, session: Vec<u8>, timeout_ms: u32) -> Added {
        if self.find(id).is_some() {
            return Added::Duplicate;
        }
        if self.sessions.len() == Self::CAPACITY {
            for _ in 0..(Self::CAPACITY / 30).max(1) {
                self.sessions.pop_first();
            }
        }
        self.count += 1;
        self.sessions.insert((self.now + u64::from(timeout_ms), self.count), (id, session));
        Added::Stored
    }
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(steps in proptest::collection::vec(step(), 1..300)) {
        let (store, clock) = store(Model::CAPACITY, 1 << 20);
        let mut model = Model::default();
        for (turn, step) in steps.into_iter().enumerate() {
            match step {
                Step::Add(id, size, timeout_ms) => {
                    let session = vec![turn as u8; size];
                    let added = ready(store.add(&[id], &session, timeout_ms));
                    prop_assert_eq!(added, model.add(id, session, timeout_ms));
                }
                Step::Get(id) => {
                    let expected = model.find(id).map(|death| model.sessions[&death].1.clone());
                    prop_assert_eq!(fetch(&store, &[id]), expected);
                }
                Step::Take(id) => {
                    let expected = model.find(id).and_then(|death| model.sessions.remove(&death));
                    let mut out = Vec::new();
                    ready(store.take(&[id], &mut out));
                    prop_assert_eq!(out, expected.map(|(_, session)| session).unwrap_or_default());
                }
                Step::Remove(id) => {
                    let expected = model.find(id).and_then(|death| model.sessions.remove(&death));
                    prop_assert_eq!(ready(store.remove(&[id])), expected.is_some());
                }
                Step::Have(id) => {
                    let expected = model.find(id).is_some();
                    prop_assert_eq!(ready(store.have(&[id])), expected);
                }
                Step::Pass(ms) => {
                    model.now += u64::from(ms);
                    clock.advance(Duration::from_millis(ms.into()));
                }
            }
            model.find(0);
            prop_assert_eq!(ready(store.len()), model.sessions.len() as u64);
        }
    }
}

#[test]
fn the_least_bytes_hold_the_longest_session_and_one_less_does_not() {
    for (bytes, added) in
        [(MemorySettings::LEAST_BYTES, Added::Stored), (MemorySettings::LEAST_BYTES - 1, Added::NoRoom)]
    {
        let (store, _) = store(1, bytes);
        assert_eq!(ready(store.add(b"id", &vec![1; ID_AND_SESSION - 2], 1)), added);
    }
}
