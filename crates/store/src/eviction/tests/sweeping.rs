//! What many removals at once cost whoever waits for the evictor: a few cells each, and memory comes back.

use super::*;

const MANY: u32 = 60_000;
/// Cells that one call may drop; far from all of them.
const FEW: usize = 64;

fn cells(evictor: &Evictor) -> usize {
    evictor.small.length() + evictor.main.length()
}

fn filled(book: &Book) -> Evictor {
    let mut evictor = Evictor::new(tiny(u64::from(MANY)));
    for id in 0..MANY {
        book.add(&mut evictor, id, 1);
    }
    evictor
}

fn remove(evictor: &mut Evictor, book: &Book, id: u32) {
    book.entries.borrow_mut().remove(&id);
    evictor.removed(id, 1);
}

#[test]
fn no_removal_of_many_goes_through_all_and_the_order_stays() {
    let book = Book::default();
    let mut evictor = filled(&book);
    let stays = |id: u32| id.is_multiple_of(7);
    // Not in the order in which they were queued.
    for id in (0..MANY).map(|n| n * 7919 % MANY).filter(|id| !stays(*id)) {
        let before = cells(&evictor);
        remove(&mut evictor, &book, id);
        assert!(before - cells(&evictor) <= FEW, "{} cells at once", before - cells(&evictor));
    }
    let left: Vec<_> = (0..MANY).filter(|id| stays(*id)).collect();
    assert!(cells(&evictor) < 4 * left.len(), "{} cells for {} entries", cells(&evictor), left.len());
    // The first tenth is in the small queue, and comes first.
    assert_eq!(evictor.order().map(|(id, _)| id).collect::<Vec<_>>(), left);
}

#[test]
fn what_is_used_again_while_it_is_swept_keeps_its_place() {
    let book = Book::default();
    let mut evictor = filled(&book);
    // The small queue has the first tenth; a sweep of main begins when more than half of it are dead.
    let most = MANY / 10 + MANY / 10 * 9 / 2 + 1;
    for id in MANY / 10..most {
        remove(&mut evictor, &book, id);
    }
    let again: Vec<_> = (MANY / 10..MANY / 10 + 100).collect();
    for id in &again {
        evictor.keep(*id, 1);
        let known = Known { bytes: 1, fingerprint: fingerprint(*id), frequency: 0, hold: Hold::Free };
        book.entries.borrow_mut().insert(*id, known);
        // Another death, which goes on with the sweep.
        remove(&mut evictor, &book, most + *id - MANY / 10);
    }
    let main: Vec<_> =
        evictor.order().filter(|(_, heat)| heat.place() == Place::Main).map(|(id, _)| id).collect();
    assert_eq!(main, (most + 100..MANY).chain(again).collect::<Vec<_>>());
}

#[test]
fn a_search_drops_few_of_the_dead_before_it_lets_others_have_their_turn() {
    let book = Book::default();
    let mut evictor = filled(&book);
    for id in 0..MANY {
        book.change(id, |known| known.hold = Hold::Held);
    }
    // Not enough for a sweep, and all at the front of main.
    for id in MANY / 10..MANY / 2 {
        remove(&mut evictor, &book, id);
    }
    book.change(MANY - 1, |known| known.hold = Hold::Free);
    let most = FEW * evictor.settings.looks;
    loop {
        let before = cells(&evictor);
        let verdict = evictor.victim(&book);
        assert!(before - cells(&evictor) <= most, "{} cells at once", before - cells(&evictor));
        match verdict {
            Verdict::Evict(id) => return assert_eq!(id, MANY - 1),
            Verdict::Again => {}
            Verdict::Nothing => panic!("one may go"),
        }
    }
}
