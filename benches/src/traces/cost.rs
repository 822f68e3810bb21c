//! What a decision of the store's eviction costs with 10 million entries.

use std::cell::Cell;
use std::hint::black_box;

use store::eviction::{Evictor, Hold, Ledger, Look, MOST_HITS, Settings, Verdict};

use super::synthetic::{Random, spread};
use crate::cpu;

/// Entries in the store.
const ENTRIES: u32 = 10_000_000;
/// Evictions that are timed.
const TURNS: u32 = 4_000_000;
/// Size of every entry.
const BYTES: u64 = 100 << 10;

/// One measured quantity.
pub(super) struct Cost {
    pub(super) what: &'static str,
    pub(super) value: f64,
    pub(super) unit: &'static str,
}

/// Hits per entry, nothing else: what is measured is the evictor, not a catalogue.
struct Hits(Vec<Cell<u8>>);

impl Ledger for Hits {
    fn look(&self, id: u32) -> Option<Look> {
        let frequency = self.0[id as usize].get();
        Some(Look { bytes: BYTES, fingerprint: spread(u64::from(id)), frequency, hold: Hold::Free })
    }

    fn set_frequency(&self, id: u32, frequency: u8) {
        self.0[id as usize].set(frequency);
    }
}

/// Fills, evicts, stores the order and reads it back.
pub(super) fn measure() -> Vec<Cost> {
    let hits = Hits(vec![Cell::new(0); ENTRIES as usize]);
    let mut evictor = Evictor::new(Settings::new(BYTES * u64::from(ENTRIES)));
    let mut costs = Vec::new();
    let mut time = |what, count: u32, work: &mut dyn FnMut()| {
        let before = cpu::seconds(std::process::id());
        work();
        let value = (cpu::seconds(std::process::id()) - before) * 1e9 / f64::from(count);
        costs.push(Cost { what, value, unit: "ns of CPU" });
    };
    time("insert", ENTRIES, &mut || {
        (0..ENTRIES).for_each(|id| evictor.insert(id, spread(u64::from(id)), BYTES));
    });
    time("victim and insert, two hits for each", TURNS, &mut || churn(&mut evictor, &hits));
    let order: Vec<_> = evictor.order().collect();
    time("order, an entry", ENTRIES, &mut || {
        black_box(evictor.order().fold(0_u32, |sum, (id, heat)| sum ^ id ^ u32::from(heat.to_byte())));
    });
    let mut loaded = Evictor::new(Settings::new(BYTES * u64::from(ENTRIES)));
    time("recall, an entry", ENTRIES, &mut || {
        order.iter().for_each(|&(id, heat)| loaded.recall(id, heat, BYTES));
    });
    #[expect(clippy::cast_precision_loss)]
    let value = evictor.usage().memory as f64 / f64::from(ENTRIES);
    costs.push(Cost { what: "memory, an entry, ghosts included", value, unit: "bytes" });
    costs
}

/// Every turn somebody goes and comes back as somebody else, and two entries are hit.
fn churn(evictor: &mut Evictor, hits: &Hits) {
    let mut random = Random(7);
    for turn in 0..TURNS {
        for _ in 0..2 {
            let hit = &hits.0[random.below(hits.0.len())];
            hit.set((hit.get() + 1).min(MOST_HITS));
        }
        let gone = loop {
            match evictor.victim(hits) {
                Verdict::Evict(id) => break id,
                Verdict::Again => {}
                Verdict::Nothing => return,
            }
        };
        hits.0[gone as usize].set(0);
        evictor.insert(gone, spread(u64::from(turn) << 32), BYTES);
    }
}
