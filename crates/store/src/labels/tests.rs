//! Labels against plain sets, through purges, new heads, compactions and starts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use prometheus_client::registry::Registry;
use proptest::prelude::*;

use super::pairs::Pairs;
use super::{Affected, Matching, Met, Mode, Selector};
use crate::tests::support::{block_on, key_of};
use crate::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn pairs_are_what_a_set_of_them_would_be(
        steps in prop::collection::vec((0..4_u8, 0..6_u64, 0..1031_u32), 1..4000),
    ) {
        let (mut pairs, mut set, mut free) = (Pairs::default(), BTreeSet::new(), Vec::new());
        let mut buried = BTreeSet::new();
        for (count, (step, label, slot)) in steps.into_iter().enumerate() {
            let slot = slot * 7919 % 1031;
            let wide = label << 40;
            if buried.contains(&slot) {
                continue;
            }
            match step {
                0..=2 => {
                    pairs.add(wide, slot);
                    set.insert((label, slot));
                }
                _ => {
                    buried.insert(slot);
                    pairs.bury(slot, |slot| free.push(slot));
                    set.retain(|(_, known)| *known != slot);
                    for slot in free.drain(..) {
                        prop_assert!(buried.remove(&slot));
                        prop_assert!((0..6).all(|label| !pairs.has(label << 40, slot)), "free with pairs");
                    }
                }
            }
            prop_assert!(buried.contains(&slot) || pairs.has(wide, slot) == set.contains(&(label, slot)));
            if count % 32 == 0 {
                let found: Vec<_> = pairs.slots(wide, 0).filter(|slot| !buried.contains(slot)).collect();
                let expected: Vec<_> = set.range((label, 0)..(label + 1, 0)).map(|(_, slot)| *slot).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}

#[test]
fn an_entry_and_a_label_take_at_most_10_bytes() {
    const SLOTS: u32 = 100_000;
    let mut pairs = Pairs::default();
    // A label that all have, one of a hundred, and one of its own.
    for slot in 0..SLOTS {
        let spread = u64::from(slot + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for label in [7 << 40, ((spread >> 32) % 100) << 50, spread] {
            pairs.add(label, slot);
        }
    }
    assert_eq!(pairs.len(), 3 * SLOTS as usize);
    let each = pairs.bytes() as f64 / pairs.len() as f64;
    assert!(each <= 10.0, "{each:.2} bytes");
}

/// Heads are sets of labels, as bits.
struct Tagged;

struct Tags {
    bits: u8,
    is_marked: AtomicBool,
}

impl Contents for Tagged {
    type Head = Tags;
    type Refusal = ();

    fn encode(head: &Tags, into: &mut Vec<u8>) {
        into.extend([head.bits, u8::from(head.is_marked.load(Ordering::Relaxed))]);
    }

    fn decode(bytes: &[u8]) -> Option<Tags> {
        let [bits, marked] = bytes.try_into().ok()?;
        Some(Tags { bits, is_marked: AtomicBool::new(marked == 1) })
    }

    fn deadline(_: &Tags) -> u32 {
        u32::MAX
    }

    fn labels(_: &[u8; 32], _: &str, head: &Tags) -> Vec<u64> {
        (0..8).filter(|bit| head.bits >> bit & 1 == 1).map(label).collect()
    }

    fn mark(head: &Tags) {
        head.is_marked.store(true, Ordering::Relaxed);
    }
}

fn label(bit: u8) -> u64 {
    0x1234_5678_9abc_def1_u64.wrapping_mul(u64::from(bit) + 1)
}

fn tags(bits: u8) -> Tags {
    Tags { bits, is_marked: AtomicBool::new(false) }
}

/// Names that begin so.
struct Prefix(&'static str);

impl Matching<Tagged> for Prefix {
    fn may_match(&self, name: &str) -> bool {
        name.starts_with(self.0)
    }

    fn matches(&self, _: &Met<'_, Tagged>) -> bool {
        true
    }
}

struct Shop {
    directory: tempfile::TempDir,
    writer: Writer<Tagged>,
}

impl Shop {
    fn open(directory: tempfile::TempDir) -> Self {
        let config = Config { memory: 0, ..Config::new(directory.path().to_owned(), 1 << 30) };
        let writer = open(config, &mut Registry::default()).unwrap();
        block_on(writer.loaded());
        Self { directory, writer }
    }

    fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap())
    }

    async fn claim(&self, key: u8, name: &str) -> Claim<Tagged> {
        match self.writer.lookup_or_claim(key_of(key), &Arc::from(name), |_| false).await {
            Access::Claimed(claim) => claim,
            _ => panic!("the key is free"),
        }
    }

    async fn put(&self, key: u8, bits: u8, content: &'static [u8]) {
        let claim = self.claim(key, if key.is_multiple_of(2) { "even" } else { "odd" }).await;
        Self::fill(claim, bits, content).await;
        self.writer.settle().await;
    }

    async fn fill(claim: Claim<Tagged>, bits: u8, content: &'static [u8]) -> Arc<Entry<Tagged>> {
        let spec = BodySpec { length: Some(content.len() as u64), promised: None };
        let Ok((entry, mut fill)) = claim.publish(tags(bits), spec).await else { panic!("published") };
        fill.write(Bytes::from_static(content)).await.unwrap();
        fill.finish().await.unwrap();
        entry
    }

    async fn purge(&self, selector: Selector<Tagged>, mode: Mode) -> (u64, u64) {
        let affected = Arc::default();
        self.writer.purge(selector, mode, &affected).await.unwrap();
        (affected.entries(), affected.bytes())
    }

    async fn marked(&self, key: u8) -> Option<bool> {
        let entry = self.writer.reader().find(&key_of(key)).await?;
        Some(entry.head.is_marked.load(Ordering::Relaxed))
    }

    async fn restarted(self) -> Self {
        let Self { directory, writer } = self;
        writer.close().await.unwrap();
        drop(writer);
        Self::open(directory)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8, bool),
    Refresh(u8, u8),
    Remove(u8),
    Purge(u8, u8),
    Names(u8),
    Compact,
    Cool,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..12_u8, any::<u8>(), any::<bool>()).prop_map(|(key, bits, long)| Step::Put(key, bits, long)),
        3 => (0..12_u8, any::<u8>()).prop_map(|(key, bits)| Step::Refresh(key, bits)),
        1 => (0..12_u8).prop_map(Step::Remove),
        4 => (0..8_u8, 0..3_u8).prop_map(|(bit, mode)| Step::Purge(bit, mode)),
        1 => (0..3_u8).prop_map(Step::Names),
        1 => Just(Step::Compact),
        2 => Just(Step::Cool),
        1 => Just(Step::Restart),
    ]
}

const MODES: [Mode; 3] = [Mode::Dry, Mode::Soft, Mode::Hard];

/// What a key should have: labels, whether it is marked, bytes.
type Model = BTreeMap<u8, (u8, bool, u64)>;

/// What a purge does to the model; returns what it should answer.
fn purged(model: &mut Model, mode: Mode, covers: impl Fn(u8, u8) -> bool) -> (u64, u64) {
    let keys: Vec<u8> =
        model.iter().filter(|(key, (bits, ..))| covers(**key, *bits)).map(|(key, _)| *key).collect();
    let bytes = keys.iter().map(|key| model[key].2).sum();
    for key in &keys {
        match mode {
            Mode::Dry => {}
            Mode::Soft => model.get_mut(key).unwrap().1 = true,
            Mode::Hard => drop(model.remove(key)),
        }
    }
    (keys.len() as u64, bytes)
}

async fn run(steps: Vec<Step>) {
    static LONG: [u8; 70_000] = [5; 70_000];
    let (mut shop, mut model) = (Shop::new(), Model::new());
    for step in steps {
        match step {
            Step::Put(key, bits, long) => {
                let content: &[u8] = if long { &LONG } else { b"short" };
                shop.put(key, bits, content).await;
                model.insert(key, (bits, false, content.len() as u64));
            }
            Step::Refresh(key, bits) => {
                if let Some(entry) = shop.writer.reader().find(&key_of(key)).await {
                    assert!(shop.writer.replace_head(&entry, tags(bits)).is_some());
                    let known = model.get_mut(&key).unwrap();
                    (known.0, known.1) = (bits, false);
                }
            }
            Step::Remove(key) => {
                assert_eq!(shop.writer.remove(&key_of(key)).await, model.remove(&key).is_some());
            }
            Step::Purge(bit, mode) => {
                let mode = MODES[usize::from(mode)];
                let expected = purged(&mut model, mode, |_, bits| bits >> bit & 1 == 1);
                assert_eq!(shop.purge(Selector::Label(label(bit)), mode).await, expected);
            }
            Step::Names(mode) => {
                let mode = MODES[usize::from(mode)];
                let expected = purged(&mut model, mode, |key, _| key % 2 == 0);
                assert_eq!(shop.purge(Selector::Matching(Arc::new(Prefix("ev"))), mode).await, expected);
            }
            Step::Compact => {
                shop.writer.0.shared.index_is_lost.store(true, Ordering::Relaxed);
                shop.writer.0.compact_all();
            }
            Step::Cool => {
                let inner = &shop.writer.0;
                inner.commit();
                for part in (0..crate::index::SHARDS).chain(0..crate::index::SHARDS) {
                    let judge = |entry: &Arc<Entry<Tagged>>| (Arc::strong_count(entry) == 1).then_some(0);
                    drop(inner.index.cool(part, 9, judge, |_| None));
                }
            }
            Step::Restart => shop = shop.restarted().await,
        }
        for bit in 0..8 {
            let expected = purged(&mut model, Mode::Dry, |_, bits| bits >> bit & 1 == 1);
            assert_eq!(shop.purge(Selector::Label(label(bit)), Mode::Dry).await, expected, "label {bit}");
        }
        for key in 0..12 {
            assert_eq!(shop.marked(key).await, model.get(&key).map(|known| known.1), "key {key}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn labels_find_what_is_stored_whatever_happens_to_it(steps in prop::collection::vec(step(), 1..40)) {
        block_on(run(steps));
    }
}

#[test]
fn what_was_claimed_before_a_purge_is_subject_to_it() {
    block_on(async {
        let shop = Shop::new();
        let (hard, soft, none) =
            (shop.claim(1, "a").await, shop.claim(2, "b").await, shop.claim(3, "c").await);
        shop.purge(Selector::Label(label(0)), Mode::Hard).await;
        shop.purge(Selector::Label(label(1)), Mode::Soft).await;
        let later = shop.claim(4, "d").await;
        let gone = Shop::fill(hard, 0b11, b"1").await;
        Shop::fill(soft, 0b10, b"2").await;
        Shop::fill(none, 0b100, b"3").await;
        Shop::fill(later, 0b11, b"4").await;
        shop.writer.settle().await;
        assert_eq!(gone.body.state(), BodyState::Complete, "those who waited for it get it");
        assert_eq!(shop.marked(1).await, None);
        assert_eq!((shop.marked(2).await, shop.marked(3).await), (Some(true), Some(false)));
        assert_eq!(shop.marked(4).await, Some(false));
        drop(gone);
        let shop = shop.restarted().await;
        assert_eq!((shop.marked(1).await, shop.marked(2).await), (None, Some(true)));
    });
}

#[test]
fn a_growing_object_is_found_by_its_labels() {
    block_on(async {
        let shop = Shop::new();
        let claim = shop.claim(1, "a").await;
        let spec = BodySpec { length: None, promised: None };
        let Ok((entry, mut fill)) = claim.publish(tags(1), spec).await else { panic!("published") };
        fill.write(Bytes::from_static(b"abc")).await.unwrap();
        assert_eq!(shop.purge(Selector::Label(label(0)), Mode::Hard).await.0, 1);
        assert_eq!(shop.marked(1).await, None);
        fill.finish().await.unwrap();
        shop.writer.settle().await;
        assert_eq!((shop.marked(1).await, entry.body.state()), (None, BodyState::Complete));
    });
}

#[test]
fn a_purge_that_was_stopped_says_so_by_its_percent() {
    block_on(async {
        let shop = Shop::new();
        shop.put(2, 1, b"x").await;
        let affected = Arc::<Affected>::default();
        affected.stop();
        let selector = Selector::Matching(Arc::new(Prefix("")));
        shop.writer.purge(selector, Mode::Hard, &affected).await.unwrap();
        assert_eq!((affected.entries(), affected.percent()), (0, 0));
        assert_eq!(shop.marked(2).await, Some(false));
    });
}
