//! What must hold whatever happens: properties over random histories, and the same decisions as a naive reference.

mod history;
mod model;
mod sweeping;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use super::*;

/// What a test knows of an entry.
#[derive(Clone, Copy, Debug)]
struct Known {
    bytes: u64,
    fingerprint: u64,
    frequency: u8,
    hold: Hold,
}

/// A ledger that counts how often it is asked.
#[derive(Default)]
struct Book {
    entries: RefCell<HashMap<u32, Known>>,
    looks: Cell<usize>,
}

impl Ledger for Book {
    fn look(&self, id: u32) -> Option<Look> {
        self.looks.set(self.looks.get() + 1);
        let known = *self.entries.borrow().get(&id)?;
        let Known { bytes, fingerprint, frequency, hold } = known;
        Some(Look { bytes, fingerprint, frequency, hold })
    }

    fn set_frequency(&self, id: u32, frequency: u8) {
        if let Some(known) = self.entries.borrow_mut().get_mut(&id) {
            known.frequency = frequency;
        }
    }
}

impl Book {
    fn add(&self, evictor: &mut Evictor, id: u32, bytes: u64) {
        let known = Known { bytes, fingerprint: fingerprint(id), frequency: 0, hold: Hold::Free };
        self.entries.borrow_mut().insert(id, known);
        evictor.insert(id, known.fingerprint, bytes);
    }

    fn change(&self, id: u32, change: impl FnOnce(&mut Known)) {
        change(self.entries.borrow_mut().get_mut(&id).expect("it is known"));
    }
}

/// Spreads over the buckets of a ghost without a collision.
fn fingerprint(id: u32) -> u64 {
    u64::from(id) << 16 | u64::from(id % 0xffff + 1)
}

/// Asks until there is an answer.
fn victim(evictor: &mut Evictor, book: &Book) -> Option<u32> {
    for _ in 0..10_000 {
        match evictor.victim(book) {
            Verdict::Evict(id) => return Some(id),
            Verdict::Nothing => return None,
            Verdict::Again => {}
        }
    }
    panic!("no answer");
}

/// Settings for entries of a few bytes.
fn tiny(capacity: u64) -> Settings {
    Settings { least_weight: 1, ..Settings::new(capacity) }
}

#[test]
fn an_entry_that_was_hit_outlives_those_that_were_not() {
    let (mut evictor, book) = (Evictor::new(tiny(100)), Book::default());
    for id in 0..100 {
        book.add(&mut evictor, id, 1);
    }
    book.change(0, |known| known.frequency = 1);
    let gone: Vec<_> = std::iter::from_fn(|| victim(&mut evictor, &book)).collect();
    assert_eq!(gone.len(), 100);
    assert_eq!(gone.last(), Some(&0));
}

#[test]
fn a_scan_leaves_the_main_queue_alone() {
    let (mut evictor, book) = (Evictor::new(tiny(100)), Book::default());
    for id in 0..100 {
        book.add(&mut evictor, id, 1);
    }
    for id in 1000..11_000 {
        let gone = victim(&mut evictor, &book).unwrap();
        assert!(!(10..1000).contains(&gone), "{gone} is in the main queue");
        book.add(&mut evictor, id, 1);
    }
}

#[test]
fn what_comes_back_from_the_ghost_is_not_on_probation_again() {
    let (mut evictor, book) = (Evictor::new(tiny(100)), Book::default());
    for id in 0..100 {
        book.add(&mut evictor, id, 1);
    }
    let gone = victim(&mut evictor, &book).unwrap();
    let before = evictor.usage().main.entries;
    book.add(&mut evictor, gone, 1);
    assert_eq!(evictor.usage().main.entries, before + 1);
}

#[test]
fn nothing_goes_while_everything_is_held_and_the_answer_comes_in_bounded_steps() {
    let (mut evictor, book) = (Evictor::new(Settings { looks: 16, ..tiny(100) }), Book::default());
    for id in 0..100 {
        book.add(&mut evictor, id, 1);
        book.change(id, |known| known.hold = if id % 2 == 0 { Hold::Held } else { Hold::Young });
    }
    loop {
        let before = book.looks.get();
        let verdict = evictor.victim(&book);
        assert!(book.looks.get() - before <= 16);
        match verdict {
            Verdict::Evict(id) => panic!("{id} went"),
            Verdict::Again => {}
            Verdict::Nothing => break,
        }
    }
    assert!(book.looks.get() < 1000, "{} looks for 100 entries", book.looks.get());
    book.change(77, |known| known.hold = Hold::Free);
    assert_eq!(victim(&mut evictor, &book), Some(77));
}

#[test]
fn the_small_queue_waits_while_its_oldest_is_young() {
    let (mut evictor, book) = (Evictor::new(tiny(100)), Book::default());
    for id in 0..100 {
        book.add(&mut evictor, id, 1);
    }
    for id in 0..10 {
        book.change(id, |known| known.hold = Hold::Young);
    }
    let gone: Vec<_> = std::iter::from_fn(|| victim(&mut evictor, &book)).collect();
    assert_eq!(gone, (10..100).collect::<Vec<_>>());
    assert_eq!(evictor.usage().small, Level { entries: 10, bytes: 10 });
}

#[test]
fn a_huge_object_must_come_twice_once_others_would_go_for_it() {
    let (mut evictor, book) = (Evictor::new(tiny(800)), Book::default());
    assert!(evictor.admits(fingerprint(5000), 101), "there is room");
    for id in 0..800 {
        book.add(&mut evictor, id, 1);
    }
    assert!(evictor.admits(fingerprint(5001), 100), "an eighth of the capacity is not huge");
    assert!(!evictor.admits(fingerprint(5001), 101), "nobody knows it");
    assert!(evictor.admits(fingerprint(5001), 101), "it came before");
}

#[test]
fn the_small_queue_grows_when_entries_come_back_to_it_and_shrinks_when_they_come_back_to_main() {
    let (mut evictor, book) = (Evictor::new(tiny(100)), Book::default());
    for id in 0..100 {
        book.add(&mut evictor, id, 1);
    }
    let start = evictor.usage().small_target;
    let from_small = victim(&mut evictor, &book).unwrap();
    book.add(&mut evictor, from_small, 1);
    assert_eq!(evictor.usage().small_target, start + 1);
    for id in
        evictor.order().filter(|(_, heat)| heat.place() == Place::Small).map(|(id, _)| id).collect::<Vec<_>>()
    {
        evictor.removed(id, 1);
    }
    let from_main = victim(&mut evictor, &book).unwrap();
    book.add(&mut evictor, from_main, 1);
    assert_eq!(evictor.usage().small_target, start);
}

#[test]
fn a_victim_that_is_kept_is_the_youngest_of_main() {
    let (mut evictor, book) = (Evictor::new(tiny(100)), Book::default());
    for id in 0..100 {
        book.add(&mut evictor, id, 1);
    }
    let gone = victim(&mut evictor, &book).unwrap();
    evictor.keep(gone, 1);
    let last = evictor.order().last();
    assert_eq!(last.map(|(id, heat)| (id, heat.place())), Some((gone, Place::Main)));
}

#[test]
fn a_search_that_was_interrupted_by_removals_still_finds_who_may_go() {
    let (mut evictor, book) = (Evictor::new(Settings { looks: 1, ..tiny(100) }), Book::default());
    for id in 0..10 {
        let hold = if id == 9 { Hold::Free } else { Hold::Held };
        let known = Known { bytes: 1, fingerprint: fingerprint(id), frequency: 0, hold };
        book.entries.borrow_mut().insert(id, known);
        evictor.recall(id, Heat::unknown(id as usize, 10), 1);
    }
    for id in 0..5 {
        assert_eq!(evictor.victim(&book), Verdict::Again, "{id} was looked at");
    }
    for id in 0..5 {
        evictor.removed(id, 1);
    }
    assert_eq!(victim(&mut evictor, &book), Some(9));
}

#[test]
fn a_search_that_was_through_main_still_finds_what_was_promoted_since() {
    let (mut evictor, book) = (Evictor::new(tiny(100)), Book::default());
    for id in 0..100 {
        book.add(&mut evictor, id, 1);
    }
    for id in 0..99 {
        book.change(id, |known| known.hold = Hold::Held);
    }
    // Main is judged first, because the small queue has not its share.
    for id in 10..20 {
        book.change(id, |known| known.hold = Hold::Free);
        evictor.removed(id, 1);
        book.entries.borrow_mut().remove(&id);
    }
    book.change(9, |known| (known.hold, known.frequency) = (Hold::Free, 1));
    book.change(99, |known| known.hold = Hold::Held);
    let gone: Vec<_> = std::iter::from_fn(|| victim(&mut evictor, &book)).collect();
    assert_eq!(gone, [9]);
}

#[test]
fn entries_of_an_earlier_run_go_by_age_and_before_those_of_this_one() {
    let (mut evictor, book) = (Evictor::new(tiny(100)), Book::default());
    let ids = [3, 0, 2, 1];
    for id in ids {
        let known = Known { bytes: 1, fingerprint: fingerprint(id), frequency: 0, hold: Hold::Free };
        book.entries.borrow_mut().insert(id, known);
        evictor.recall(id, Heat::unknown(id as usize, 4), 1);
    }
    book.add(&mut evictor, 4, 1);
    evictor.keep(5, 1);
    book.entries
        .borrow_mut()
        .insert(5, Known { bytes: 1, fingerprint: fingerprint(5), frequency: 0, hold: Hold::Free });
    let gone: Vec<_> = std::iter::from_fn(|| victim(&mut evictor, &book)).collect();
    assert_eq!(gone, [4, 0, 1, 2, 3, 5], "the one on probation, then main by age");
}

#[test]
fn ten_million_entries_would_fit_the_memory() {
    let mut evictor = Evictor::new(Settings::new(1 << 50));
    let entries = 250_000;
    for id in 0..entries {
        evictor.insert(id, fingerprint(id), 1);
    }
    let usage = evictor.usage();
    let ghosts = usage.ghost_slots * 4;
    assert!(usage.memory - ghosts <= entries as usize * 26 / 5, "{usage:?}");
    let most = Settings::new(0).ghost_slots;
    assert!((most + most / 8) * 4 <= 20 << 20, "ghosts of any store");
}

#[test]
fn a_lower_capacity_keeps_the_share_and_shortens_the_ghost() {
    let (mut evictor, book) = (Evictor::new(tiny(1000)), Book::default());
    for id in 0..1000 {
        book.add(&mut evictor, id, 1);
    }
    evictor.set_capacity(500);
    assert_eq!(evictor.usage().small_target, 50);
    let gone: Vec<_> = (0..500).filter_map(|_| victim(&mut evictor, &book)).collect();
    assert_eq!(gone.len(), 500);
    assert_eq!(evictor.usage().small.entries + evictor.usage().main.entries, 500);
    assert_eq!(evictor.usage().small.entries, 50, "the share of what is left");
}
