//! Random work on a store against a plain map, through clean stops, kills and power cuts.
//!
//! The map remembers of every key what it has been since it was last known to be on the disk: a kill may bring any of
//! that back, and nothing else. What was whole at a clean stop and is not touched since survives everything.
//!
//! user-demand 4c: 53, 54.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::support::*;
use crate::*;

const KEYS: u8 = 6;
/// Bytes that an interrupted fill has received.
const RECEIVED: usize = 70_000;
/// Takes about half of what all keys together may want.
const SMALL_QUOTA: u64 = 500_000;
const LARGE_QUOTA: u64 = 64 << 20;

#[derive(Clone, Debug)]
enum Step {
    /// A whole object; what is there of it is gone on with.
    Put(u8, Content),
    /// The origin breaks in the middle.
    Interrupt(u8, Content),
    /// Another head for the same body.
    Refresh(u8, u32),
    Remove(u8),
    Read(u8),
    /// These keys, as bits.
    Pin(u8),
    Commit,
    /// Every log is rewritten.
    Compact,
    /// Nothing stays in memory.
    Cool,
    Scrub,
    /// A clean stop and a start.
    Restart,
    /// A kill and a start.
    Kill,
    /// A power cut and a start.
    PowerCut,
}

/// What an object consists of. Few, so that some are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Content {
    Empty,
    /// Grows in memory.
    Small(u8),
    /// Grows in a file.
    Long(u8),
}

impl Content {
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Empty => Vec::new(),
            Self::Small(seed) => source(3_000 + usize::from(seed), u64::from(seed)),
            Self::Long(seed) => source(100_000 + usize::from(seed), u64::from(seed)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent,
    Whole(Content, u32),
    Part(Content),
}

/// What a key has been since it was last known to be on the disk, and is now.
#[derive(Clone, Debug)]
struct Past {
    /// Oldest first.
    states: Vec<State>,
    /// Whole at a clean stop, and not touched since.
    is_safe: bool,
}

impl Past {
    fn now(&self) -> State {
        *self.states.last().expect("a key always has a state")
    }

    fn becomes(&mut self, state: State) {
        self.is_safe = false;
        self.states.push(state);
    }

    fn committed(&mut self) {
        self.states = vec![self.now()];
    }
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        1 => Just(Content::Empty),
        3 => (0..3_u8).prop_map(Content::Small),
        3 => (0..3_u8).prop_map(Content::Long),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..KEYS;
    prop_oneof![
        8 => (key(), content()).prop_map(|(key, content)| Step::Put(key, content)),
        2 => (key(), 0..3_u8).prop_map(|(key, seed)| Step::Interrupt(key, Content::Long(seed))),
        3 => (key(), 1..100_u32).prop_map(|(key, head)| Step::Refresh(key, head)),
        3 => key().prop_map(Step::Remove),
        4 => key().prop_map(Step::Read),
        1 => (0..1_u8 << KEYS).prop_map(Step::Pin),
        3 => Just(Step::Commit),
        1 => Just(Step::Compact),
        1 => Just(Step::Cool),
        1 => Just(Step::Scrub),
        1 => Just(Step::Restart),
        2 => Just(Step::Kill),
        2 => Just(Step::PowerCut),
    ]
}

/// The store, its disk and what is expected of it.
struct Bench {
    house: Option<House>,
    disk: Arc<FaultyDisk>,
    quota: u64,
    pins: u8,
    expected: BTreeMap<u8, Past>,
}

fn on(directory: tempfile::TempDir, disk: &Arc<FaultyDisk>, quota: u64) -> House {
    let mut config = config(&directory, quota);
    config.disk = disk.clone();
    // Rounds come from the test, but for those that make room.
    config.commit_interval = Duration::from_secs(3600);
    // What nobody holds cools when it is told to.
    config.memory = 0;
    House::open(directory, config)
}

impl Bench {
    fn new(quota: u64) -> Self {
        // The disk must know the directories of the store.
        let House { writer, directory, .. } = House::new(quota);
        block_on(writer.close()).unwrap();
        drop(writer);
        let disk = Arc::new(FaultyDisk::new(directory.path(), 1).unwrap());
        let absent = Past { states: vec![State::Absent], is_safe: false };
        let expected = (0..KEYS).map(|key| (key, absent.clone())).collect();
        Self { house: Some(on(directory, &disk, quota)), disk, quota, pins: 0, expected }
    }

    fn house(&self) -> &House {
        self.house.as_ref().expect("a store is open")
    }

    fn may_be_evicted(&self, key: u8) -> bool {
        self.quota < LARGE_QUOTA && self.pins & 1 << key == 0
    }

    fn becomes(&mut self, key: u8, state: State) {
        self.expected.get_mut(&key).expect("one of the keys").becomes(state);
    }

    async fn take(&mut self, step: &Step) {
        match *step {
            Step::Put(key, content) => self.put(key, content).await,
            Step::Interrupt(key, content) => self.interrupt(key, content).await,
            Step::Refresh(key, head) => self.refresh(key, head).await,
            Step::Remove(key) => {
                self.house().writer.remove(&key_of(key)).await;
                self.becomes(key, State::Absent);
            }
            Step::Read(key) => self.read(key).await,
            Step::Pin(keys) => self.pin(keys),
            Step::Commit => {
                self.house().writer.settle().await;
                self.house().writer.commit();
                self.expected.values_mut().for_each(Past::committed);
            }
            Step::Compact => {
                self.house().writer.settle().await;
                self.house().writer.0.shared.index_is_lost.store(true, std::sync::atomic::Ordering::Relaxed);
                self.house().writer.0.compact_all();
            }
            Step::Cool => self.house().writer.0.round(),
            Step::Scrub => {
                self.house().writer.start_scrub(u64::MAX);
                self.house().writer.0.run_scrub();
            }
            Step::Restart => self.restart(),
            Step::Kill => self.kill().await,
            Step::PowerCut => self.power_cut().await,
        }
        self.house().writer.settle().await;
        self.count();
    }

    async fn claim(&self, key: u8) -> Claim<Plain> {
        let writer = &self.house().writer;
        match writer.lookup_or_claim(key_of(key), &Arc::from(key.to_string()), |_| false).await {
            Access::Claimed(claim) => claim,
            _ => panic!("nobody else fetches it"),
        }
    }

    async fn put(&mut self, key: u8, content: Content) {
        let bytes = content.bytes();
        let spec = BodySpec { length: Some(bytes.len() as u64), promised: None };
        let claim = self.claim(key).await;
        let part = claim.part().await;
        assert!(part.is_none() || self.expected[&key].now() != State::Absent, "a part that was never left");
        let goes_on = part.is_some() && self.expected[&key].now() == State::Part(content);
        let begun = if goes_on { claim.resume(0, spec).await } else { claim.publish(0, spec).await };
        let Ok((entry, mut fill)) = begun else {
            assert!(self.quota < LARGE_QUOTA, "there is room");
            return;
        };
        let from = if goes_on { RECEIVED } else { 0 };
        for piece in pieces(&bytes[from..], 40_000) {
            fill.write(piece).await.unwrap();
        }
        fill.finish().await.unwrap();
        assert_eq!(drain(entry.body.read(0..u64::MAX)).await, (bytes, None));
        drop(entry);
        self.house().writer.0.shared.settled().await;
        self.becomes(key, State::Whole(content, 0));
    }

    async fn interrupt(&mut self, key: u8, content: Content) {
        let bytes = content.bytes();
        let spec = BodySpec { length: Some(bytes.len() as u64), promised: None };
        let Ok((entry, mut fill)) = self.claim(key).await.publish(0, spec).await else { return };
        fill.write(bytes[..RECEIVED].to_vec().into()).await.unwrap();
        drop(entry);
        fill.suspend(reasons::fill_abandoned()).await;
        self.house().writer.0.shared.settled().await;
        if !matches!(self.expected[&key].now(), State::Whole(..)) {
            self.becomes(key, State::Part(content));
        }
    }

    async fn refresh(&mut self, key: u8, head: u32) {
        let writer = &self.house().writer;
        let Some(old) = writer.reader().find(&key_of(key)).await else { return };
        let new = writer.replace_head(&old, head).expect("it is there");
        let content = self.expect(key, &new).await;
        self.becomes(key, State::Whole(content, head));
    }

    /// The bytes are those that the map has.
    async fn expect(&self, key: u8, entry: &Entry<Plain>) -> Content {
        let past = &self.expected[&key];
        let State::Whole(content, _) = past.now() else { panic!("key {key} is there again: {past:?}") };
        assert_eq!(drain(entry.body.read(0..u64::MAX)).await, (content.bytes(), None), "key {key}");
        content
    }

    async fn read(&mut self, key: u8) {
        let found = self.house().writer.reader().find(&key_of(key)).await;
        let now = self.expected[&key].now();
        match (found, now) {
            (Some(entry), State::Whole(_, head)) => {
                self.expect(key, &entry).await;
                assert_eq!(*entry.head, head, "key {key}");
            }
            (None, State::Whole(..)) => {
                assert!(self.may_be_evicted(key), "key {key} is lost");
                self.becomes(key, State::Absent);
            }
            (Some(_), other) => panic!("key {key} is {other:?} and found"),
            (None, _) => {}
        }
    }

    fn pin(&mut self, keys: u8) {
        self.pins = keys;
        self.tell_pins();
    }

    fn tell_pins(&self) {
        let keys = self.pins;
        let is_pinned = move |name: &str, _: &u32| keys & 1 << name.parse::<u8>().unwrap() != 0;
        self.house().writer.pin(Arc::new(is_pinned));
        block_on(self.house().writer.pins_compared());
    }

    fn restart(&mut self) {
        let House { writer, directory, registry } = self.house.take().expect("a store is open");
        block_on(writer.close()).unwrap();
        drop((writer, registry));
        for past in self.expected.values_mut() {
            past.committed();
            past.is_safe = matches!(past.now(), State::Whole(..));
        }
        self.open(directory);
    }

    fn open(&mut self, directory: tempfile::TempDir) {
        self.house = Some(on(directory, &self.disk, self.quota));
        self.tell_pins();
    }

    /// The process ends here and now: nothing more is written.
    fn stop_dead(&mut self) -> tempfile::TempDir {
        let House { writer, directory, registry } = self.house.take().expect("a store is open");
        let inner = &writer.0;
        inner.shared.close();
        inner.shared.room.alarm.ring();
        inner.shared.upkeep.ring();
        inner.shared.ended.ring();
        inner.shared.later.stop();
        let threads = std::mem::take(&mut *inner.threads.lock());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        drop((writer, registry));
        // Threads of the dead may hold it for another moment.
        std::fs::remove_file(directory.path().join("lock")).unwrap();
        directory
    }

    async fn kill(&mut self) {
        let directory = self.stop_dead();
        self.open(directory);
        self.compare(End::Kill).await;
    }

    async fn power_cut(&mut self) {
        let directory = self.stop_dead();
        let after = tempfile::tempdir().unwrap();
        self.disk.crash(after.path()).unwrap();
        drop(directory);
        self.disk = Arc::new(FaultyDisk::new(after.path(), 1).unwrap());
        self.open(after);
        self.compare(End::PowerCut).await;
    }

    /// Whatever is there may be there; from now on that is what is expected.
    async fn compare(&mut self, end: End) {
        for key in 0..KEYS {
            let found = self.house().writer.reader().find(&key_of(key)).await;
            let past = self.expected[&key].clone();
            let Some(entry) = found else {
                let state = self.what_is_left(key);
                let may_be_lost = !past.is_safe && end == End::PowerCut || self.may_be_evicted(key);
                // Parts of an unclean epoch go: they have no digest.
                let was_so = past.states.iter().any(|state| !matches!(state, State::Whole(..)));
                assert!(was_so || may_be_lost, "key {key} is lost: {past:?}");
                self.becomes(key, state);
                continue;
            };
            let (bytes, failure) = drain(entry.body.read(0..u64::MAX)).await;
            assert_eq!(failure, None, "key {key}");
            let is_it = |state: &State| matches!(state, State::Whole(content, head) if *head == *entry.head && content.bytes() == bytes);
            let at = past.states.iter().rposition(is_it);
            let at = at.unwrap_or_else(|| panic!("key {key} was never that: {past:?}"));
            let past = self.expected.get_mut(&key).expect("one of the keys");
            past.states.truncate(at + 1);
        }
    }

    /// What there is of a key that has no entry: nothing, or a part that was left once.
    fn what_is_left(&self, key: u8) -> State {
        let record = self.house().writer.0.index.recorded(&key_of(key));
        if record.is_none() {
            return State::Absent;
        }
        let mut states = self.expected[&key].states.iter();
        let part = states.rfind(|state| matches!(state, State::Part(_)));
        *part.unwrap_or_else(|| panic!("a part of key {key} that was never left"))
    }

    /// What is counted is what is there.
    fn count(&self) {
        let house = self.house();
        let on_disk = house.length_of("bodies") + house.length_of("parts");
        assert_eq!(house.usage().used, on_disk, "the quota is exact");
        if self.quota < LARGE_QUOTA {
            assert!(on_disk <= self.quota, "the quota holds");
            return;
        }
        let now = || self.expected.values().map(Past::now);
        let contents: BTreeSet<Content> = now()
            .filter_map(|state| match state {
                State::Whole(content, _) => Some(content),
                State::Absent | State::Part(_) => None,
            })
            .collect();
        let whole: usize = contents.iter().map(|content| content.bytes().len()).sum();
        let parts = now().filter(|state| matches!(state, State::Part(_))).count() * RECEIVED;
        assert_eq!(on_disk, (whole + parts) as u64, "nothing is there that nobody wants");
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Kill,
    PowerCut,
}

fn run(quota: u64, steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut bench = Bench::new(quota);
        for step in steps {
            bench.take(step).await;
        }
        for key in 0..KEYS {
            bench.read(key).await;
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("STANDPIPE_MODEL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24)
    ))]

    #[test]
    fn a_store_with_room_is_a_map_that_survives(steps in prop::collection::vec(step(), 1..40)) {
        run(LARGE_QUOTA, &steps);
    }

    #[test]
    fn a_full_store_is_a_map_that_forgets_what_is_not_pinned(steps in prop::collection::vec(step(), 1..40)) {
        run(SMALL_QUOTA, &steps);
    }
}
