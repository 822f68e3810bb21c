//! Random histories: every id is accounted for and leaves once.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Event {
    Insert(u32, u64),
    Remove(u32),
    Resize(u32, u64),
    Hit(u32),
    Hold(u32, Hold),
    Evict,
    Keep,
    Capacity(u64),
}

fn id() -> impl Strategy<Value = u32> {
    // Few, so that they are used again while their dead cells are still queued; in two tables.
    prop_oneof![0..12_u32, 8190..8196_u32]
}

fn event() -> impl Strategy<Value = Event> {
    let hold = prop_oneof![Just(Hold::Free), Just(Hold::Young), Just(Hold::Held)];
    prop_oneof![
        6 => (id(), 0..40_u64).prop_map(|(id, bytes)| Event::Insert(id, bytes)),
        4 => id().prop_map(Event::Remove),
        1 => (id(), 0..40_u64).prop_map(|(id, bytes)| Event::Resize(id, bytes)),
        4 => id().prop_map(Event::Hit),
        2 => (id(), hold).prop_map(|(id, hold)| Event::Hold(id, hold)),
        4 => Just(Event::Evict),
        1 => Just(Event::Keep),
        1 => (0..1000_u64).prop_map(Event::Capacity),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    (10..500_u64, 0..=100_u8, 0..20_u8, 1..20_u64, 1..5_usize).prop_map(
        |(capacity, small_share, soon, least_weight, looks)| Settings {
            small_share,
            soon,
            least_weight,
            looks,
            ..Settings::new(capacity)
        },
    )
}

/// Does what the event says; answers who went.
fn apply(event: &Event, evictor: &mut Evictor, book: &Book) -> Option<u32> {
    let known = |id: u32| book.entries.borrow().get(&id).copied();
    match *event {
        Event::Insert(id, bytes) if known(id).is_none() => book.add(evictor, id, bytes),
        Event::Remove(id) => {
            let bytes = known(id).map_or(7, |known| known.bytes);
            book.entries.borrow_mut().remove(&id);
            evictor.removed(id, bytes);
        }
        Event::Resize(id, after) => {
            if let Some(before) = known(id) {
                book.change(id, |known| known.bytes = after);
                evictor.resized(id, before.bytes, after);
            }
        }
        Event::Hit(id) if known(id).is_some() => {
            book.change(id, |known| known.frequency = (known.frequency + 1).min(MOST_HITS));
        }
        Event::Hold(id, hold) if known(id).is_some() => book.change(id, |known| known.hold = hold),
        Event::Evict => {
            let gone = victim(evictor, book)?;
            let known = book.entries.borrow_mut().remove(&gone).expect("it was there");
            assert_eq!(known.hold, Hold::Free);
            return Some(gone);
        }
        Event::Keep => {
            let kept = victim(evictor, book)?;
            evictor.keep(kept, known(kept).expect("it was there").bytes);
        }
        Event::Capacity(bytes) => evictor.set_capacity(bytes),
        Event::Insert(..) | Event::Hit(_) | Event::Hold(..) => {}
    }
    None
}

/// What is queued is what is known, byte for byte.
fn check(evictor: &mut Evictor, book: &Book, least_weight: u64) {
    let entries = book.entries.borrow();
    let bytes: u64 = entries.values().map(|known| known.bytes.max(least_weight)).sum();
    let usage = evictor.usage();
    assert_eq!(usage.small.entries + usage.main.entries, entries.len());
    assert_eq!(usage.small.bytes + usage.main.bytes, bytes);
}

fn check_order(evictor: &mut Evictor, book: &Book) {
    let mut queued: Vec<_> = evictor.order().map(|(id, _)| id).collect();
    queued.sort_unstable();
    let mut known: Vec<_> = book.entries.borrow().keys().copied().collect();
    known.sort_unstable();
    assert_eq!(queued, known, "every id once");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_entry_leaves_once_and_every_byte_is_accounted(settings in settings(), events in vec(event(), 1..300)) {
        let (mut evictor, book) = (Evictor::new(settings), Book::default());
        for event in &events {
            apply(event, &mut evictor, &book);
            check(&mut evictor, &book, settings.least_weight);
        }
        check_order(&mut evictor, &book);
        for known in book.entries.borrow_mut().values_mut() {
            known.hold = Hold::Free;
        }
        while apply(&Event::Evict, &mut evictor, &book).is_some() {}
        check(&mut evictor, &book, settings.least_weight);
        prop_assert!(book.entries.borrow().is_empty(), "everything can go");
    }

    #[test]
    fn nothing_is_answered_only_if_nothing_may_go(settings in settings(), events in vec(event(), 1..200)) {
        let (mut evictor, book) = (Evictor::new(settings), Book::default());
        for event in &events {
            apply(event, &mut evictor, &book);
        }
        if victim(&mut evictor, &book).is_none() {
            let entries = book.entries.borrow();
            let mut order = evictor.order().peekable();
            let blocked = order.peek().is_none_or(|(id, heat)| {
                heat.place() == Place::Main || entries[id].hold == Hold::Young
            });
            prop_assert!(blocked, "the oldest of the small queue could have been judged");
            let free = order.find(|(id, heat)| heat.place() == Place::Main && entries[id].hold == Hold::Free);
            prop_assert_eq!(free, None);
        }
    }

    #[test]
    fn the_same_history_ends_the_same_way(settings in settings(), events in vec(event(), 1..200)) {
        let run = || {
            let (mut evictor, book) = (Evictor::new(settings), Book::default());
            let gone: Vec<_> = events.iter().map(|event| apply(event, &mut evictor, &book)).collect();
            (gone, evictor.order().collect::<Vec<_>>(), evictor.usage())
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn the_order_survives_a_restart(settings in settings(), events in vec(event(), 1..300)) {
        let (mut before, book) = (Evictor::new(settings), Book::default());
        for event in &events {
            apply(event, &mut before, &book);
        }
        let stored: Vec<_> = before.order().map(|(id, heat)| (id, heat.to_byte())).collect();
        let mut after = Evictor::new(settings);
        // Loaded in another order than that of age, as shards are; few enough for a rank each.
        for &(id, byte) in stored.iter().rev() {
            after.recall(id, Heat::from_byte(byte), book.entries.borrow()[&id].bytes);
        }
        prop_assert_eq!(after.usage().small, before.usage().small);
        prop_assert_eq!(after.usage().main, before.usage().main);
        let again: Vec<_> = after.order().map(|(id, heat)| (id, heat.to_byte())).collect();
        prop_assert_eq!(again, stored);
    }

    #[test]
    fn recalled_entries_live_like_others(
        settings in settings(),
        recalled in vec(any::<u8>(), 1..100),
        events in vec(event(), 1..200),
    ) {
        let (mut evictor, book) = (Evictor::new(settings), Book::default());
        for (id, heat) in (0..12).chain(20..).zip(recalled) {
            let known = Known { bytes: 3, fingerprint: fingerprint(id), frequency: 0, hold: Hold::Free };
            book.entries.borrow_mut().insert(id, known);
            evictor.recall(id, Heat::from_byte(heat), 3);
        }
        for event in &events {
            apply(event, &mut evictor, &book);
            check(&mut evictor, &book, settings.least_weight);
        }
        check_order(&mut evictor, &book);
    }
}

#[test]
fn a_purge_of_most_entries_gives_the_memory_back() {
    let (mut evictor, book) = (Evictor::new(tiny(1 << 20)), Book::default());
    for id in 0..50_000 {
        book.add(&mut evictor, id, 1);
    }
    let cells = |usage: Usage| usage.memory - 4 * usage.ghost_slots - 50_000;
    let before = cells(evictor.usage());
    for id in 0..47_000 {
        book.entries.borrow_mut().remove(&id);
        evictor.removed(id, 1);
    }
    assert!(cells(evictor.usage()) * 5 < before);
    check_order(&mut evictor, &book);
}

#[test]
fn an_id_that_is_used_over_and_over_takes_few_cells() {
    let (mut evictor, book) = (Evictor::new(tiny(1000)), Book::default());
    book.add(&mut evictor, 1, 1);
    for _ in 0..20_000 {
        book.add(&mut evictor, 2, 1);
        evictor.removed(2, 1);
        book.entries.borrow_mut().remove(&2);
    }
    assert!(evictor.usage().memory < 40_000, "{}", evictor.usage().memory);
    assert_eq!(victim(&mut evictor, &book), Some(1));
    assert_eq!(victim(&mut evictor, &book), None);
}
