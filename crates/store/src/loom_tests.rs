//! loom's view of claim, follow and drain: the interleavings of a few threads on the real primitives.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p store --release --lib loom`.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::Notify;
use loom::thread;

use crate::bodies::BodyId;
use crate::body::{Next, next};
use crate::extents::Extents;
use crate::flight::Landing;
use crate::growth::{Closed, Growth, Phase, Ranged};
use crate::index::{Frame, Holes, Index, Levels, Number, Probed, Seen};
use crate::waiters::Ticket;
use crate::{Digest, Failure, Key, reasons};

const KEY: Key = Key::new([7; 16]);
const DIGEST: Digest = Digest::new([1; 32]);

type Entries = Index<u32, &'static str>;

fn index() -> Arc<Entries> {
    let index = Index::new(Levels::default());
    index.finish_loading(0, None);
    Arc::new(index)
}

/// A follower's loop as [`BodyReader`](crate::BodyReader) runs it: bytes handed out, and how it ended.
fn drain(growth: &Growth) -> (u64, Result<(), Failure>) {
    let mut position = 0;
    let mut ticket = Ticket::default();
    loop {
        let range = position..u64::MAX;
        let poll = std::future::poll_fn(|cx| {
            growth.waiters.poll_until(&mut ticket, cx, || next(growth, None, range.clone(), None))
        });
        match block_on(poll) {
            Next::Take(to) => {
                assert!(to > position);
                position = to;
            }
            Next::End => return (position, Ok(())),
            Next::Fail(failure) => return (position, Err(failure)),
        }
    }
}

#[test]
fn of_two_claims_one_flies_and_the_other_gets_its_entry() {
    model(|| {
        let index = index();
        let run = |index: Arc<Entries>, entry: u32| match index.probe(&KEY, Holes::Hidden, |_| true) {
            Probed::Claimed { flight, .. } => {
                index.publish(&KEY, entry);
                flight.decide(Landing::Entry(entry));
                (true, entry)
            }
            Probed::Found(entry) => (false, entry),
            Probed::Cold(_) => unreachable!("nothing is recorded"),
            Probed::Flying(flight) => match block_on(flight.decided()) {
                Landing::Entry(entry) => (false, entry),
                other => panic!("{other:?}"),
            },
        };
        let other = index.clone();
        let other = thread::spawn(move || run(other, 2));
        let mine = run(index.clone(), 1);
        let other = other.join().expect("no panic");
        assert!(mine.0 != other.0, "exactly one leads");
        assert_eq!(mine.1, other.1);
        assert_eq!(index.get(&KEY), Some(mine.1));
    });
}

#[test]
fn a_dropped_claim_wakes_all_and_frees_the_key() {
    model(|| {
        let index = index();
        let Probed::Claimed { flight, .. } = index.probe(&KEY, Holes::Hidden, |_| true) else {
            panic!("the key is free")
        };
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let flight = flight.clone();
                thread::spawn(move || block_on(flight.decided()))
            })
            .collect();
        index.release(&KEY);
        flight.decide(Landing::Abandoned);
        for waiter in waiters {
            assert_eq!(waiter.join().expect("no panic"), Landing::Abandoned);
        }
        assert!(matches!(index.probe(&KEY, Holes::Hidden, |_| true), Probed::Claimed { .. }));
    });
}

const BODY: BodyId = BodyId::NONE;

/// An index with one recorded entry, and its number.
fn recorded() -> (Arc<Entries>, Number) {
    let index = index();
    let Probed::Claimed { flight, .. } = index.probe(&KEY, Holes::Hidden, |_| true) else {
        panic!("the key is free")
    };
    index.publish(&KEY, 1);
    flight.decide(Landing::Entry(1));
    let noted = index.record(&KEY, |entry| *entry == 1, &Frame::default(), BODY).expect("it is there");
    (index, noted.number)
}

#[test]
fn an_eviction_never_takes_what_a_claim_has_published_meanwhile() {
    model(|| {
        let (index, number) = recorded();
        let reaper = index.clone();
        let reaper = thread::spawn(move || reaper.evict(number, |_| Vec::new()).is_some());
        let Probed::Claimed { flight, .. } = index.probe(&KEY, Holes::Hidden, |_| false) else {
            panic!("nobody else claims")
        };
        index.publish(&KEY, 2);
        flight.decide(Landing::Entry(2));
        let evicted = reaper.join().expect("no panic");
        // Evicted before the claim, or after the publication; never in between.
        let left = index.get(&KEY);
        assert!(left == Some(2) || left.is_none() && evicted);
    });
}

#[test]
fn an_entry_that_is_read_from_disk_while_it_is_evicted_is_there_or_not() {
    model(|| {
        let (index, number) = recorded();
        assert_eq!(
            index.cool(0, 1, |_| Some(0), |_| None).len() + index.cool(0, 1, |_| Some(0), |_| None).len(),
            1
        );
        let Seen::Cold(cold) = index.see(&KEY) else { panic!("it is cold") };
        let reaper = index.clone();
        let reaper = thread::spawn(move || reaper.evict(number, |_| Vec::new()).is_some());
        let warmed = index.warm_up(&cold, 1, |_| {});
        assert!(reaper.join().expect("no panic"), "nobody claims it");
        assert!(matches!(index.see(&KEY), Seen::Absent), "whatever was warm has gone with it: {warmed:?}");
    });
}

#[test]
fn cooling_loses_no_entry_and_no_claim() {
    model(|| {
        let (index, _) = recorded();
        let keeper = index.clone();
        let keeper = thread::spawn(move || {
            let first = keeper.cool(0, 1, |_| Some(0), |_| None).len();
            first + keeper.cool(0, 1, |_| Some(0), |_| None).len()
        });
        let seen = index.probe(&KEY, Holes::Hidden, |_| true);
        keeper.join().expect("no panic");
        assert!(matches!(seen, Probed::Found(1) | Probed::Cold(_)));
        assert!(matches!(index.see(&KEY), Seen::Warm(1) | Seen::Cold(_)));
    });
}

#[test]
fn no_commit_is_lost_on_a_follower_going_to_sleep() {
    model(|| {
        let growth = Arc::new(Growth::new());
        let fill = growth.clone();
        let fill = thread::spawn(move || {
            fill.commit(0..1);
            fill.wake();
        });
        let seen = block_on(growth.waiters.until(|| Some(growth.committed()).filter(|seen| *seen > 0)));
        assert_eq!(seen, 1);
        fill.join().expect("no panic");
    });
}

#[test]
fn a_finish_reaches_a_reader_after_all_bytes() {
    model(|| {
        let growth = Arc::new(Growth::new());
        let fill = growth.clone();
        let fill = thread::spawn(move || {
            fill.commit(0..2);
            fill.wake();
            fill.commit(2..3);
            assert!(fill.complete(3, DIGEST));
        });
        assert_eq!(drain(&growth), (3, Ok(())));
        fill.join().expect("no panic");
        assert_eq!(growth.phase(), Phase::Complete(3, DIGEST));
    });
}

#[test]
fn a_dropped_fill_fails_its_followers_after_what_is_committed() {
    model(|| {
        let growth = Arc::new(Growth::new());
        let fill = growth.clone();
        let fill = thread::spawn(move || {
            fill.commit(0..2);
            assert!(fill.fail(reasons::fill_abandoned()));
        });
        let follower = growth.clone();
        let follower = thread::spawn(move || drain(&follower));
        let expected = (2, Err(reasons::fill_abandoned()));
        assert_eq!(drain(&growth), expected);
        assert_eq!(follower.join().expect("no panic"), expected);
        fill.join().expect("no panic");
    });
}

#[test]
fn a_failure_and_a_finish_leave_one_end() {
    model(|| {
        let growth = Arc::new(Growth::new());
        let fill = growth.clone();
        let fill = thread::spawn(move || fill.complete(0, DIGEST));
        let failed = growth.fail(reasons::fill_abandoned());
        let completed = fill.join().expect("no panic");
        assert!(completed != failed);
        assert_eq!(matches!(growth.phase(), Phase::Failed(_)), failed);
    });
}

/// A claimed piece as [`PieceFill`](crate::PieceFill) writes it: the number of times that it was the last.
fn fill_pieces(growth: &Growth, range: std::ops::Range<u64>) -> (u64, usize) {
    let pieces = growth.claim(range, 1, usize::MAX);
    let mut closed = 0;
    for piece in &pieces {
        closed += usize::from(growth.commit_piece(piece.clone()) == Closed::Now);
        growth.wake();
        growth.release(piece);
    }
    (pieces.len() as u64, closed)
}

#[test]
fn of_two_who_claim_pieces_each_gets_others_and_one_closes_the_last_hole() {
    model(|| {
        let growth = Arc::new(Growth::in_pieces(Some(2), Extents::default()));
        let other = growth.clone();
        let other = thread::spawn(move || fill_pieces(&other, 0..2));
        let mine = fill_pieces(&growth, 0..2);
        let other = other.join().expect("no panic");
        assert_eq!((mine.0 + other.0, mine.1 + other.1), (2, 1));
        assert_eq!((growth.phase(), growth.length()), (Phase::Whole(2), Some(2)));
        assert!(growth.claim(0..2, 1, usize::MAX).is_empty());
    });
}

#[test]
fn a_released_piece_is_heard_of_and_claimed_by_one_of_those_who_wait() {
    model(|| {
        let growth = Arc::new(Growth::in_pieces(Some(1), Extents::default()));
        let held = growth.claim(0..1, 1, 1);
        let wait = |growth: Arc<Growth>| {
            let mut filled = 0;
            loop {
                match block_on(growth.waiters.until(|| growth.look(0..1))) {
                    Ranged::Committed => return filled,
                    Ranged::Unclaimed(gap) => filled += fill_pieces(&growth, gap).0,
                    Ranged::Failed(failure) => panic!("{failure}"),
                }
            }
        };
        let other = growth.clone();
        let other = thread::spawn(move || wait(other));
        growth.release(&held[0]);
        assert_eq!(wait(growth) + other.join().expect("no panic"), 1);
    });
}

#[test]
fn what_waits_for_its_digest_is_not_claimed_and_comes_with_the_end() {
    model(|| {
        let growth = Arc::new(Growth::in_pieces(Some(2), Extents::default()));
        assert!(growth.promise(DIGEST));
        let other = growth.clone();
        let other = thread::spawn(move || {
            let (count, closed) = fill_pieces(&other, 0..2);
            if closed > 0 {
                other.commit(0..2);
                assert!(other.complete(2, DIGEST));
            }
            count
        });
        let late = growth.claim(1..2, 1, 1);
        if let Some(late) = late.first() {
            growth.release(late);
        }
        let count = other.join().expect("no panic");
        match count {
            2 => assert_eq!(growth.phase(), Phase::Complete(2, DIGEST)),
            _ => assert_eq!((count, late.len(), growth.committed()), (1, 1, 1)),
        }
    });
}

#[test]
fn a_part_is_resumed_or_read_but_not_both() {
    model(|| {
        let (index, _) = recorded();
        assert_eq!(
            index.cool(0, 1, |_| Some(0), |_| None).len() + index.cool(0, 1, |_| Some(0), |_| None).len(),
            1
        );
        let Seen::Cold(cold) = index.see(&KEY) else { panic!("it is cold") };
        let other = index.clone();
        let other = thread::spawn(move || other.take_part(&cold, |_| false, &[]).is_some());
        let warm = index.warm_up(&cold, 1, |_| {});
        let taken = other.join().expect("no panic");
        assert!(warm.is_some() != taken);
        assert_eq!(matches!(index.see(&KEY), Seen::Absent), taken);
    });
}

/// Tries the interleavings with up to three preemptions; unbounded, the models with three threads take hours.
fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

struct Parked(Notify);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// Runs a future on a loom thread. A lost wake-up leaves the thread waiting for ever, which loom reports.
fn block_on<F: Future>(future: F) -> F::Output {
    let parked = Arc::new(Parked(Notify::new()));
    let waker = Waker::from(parked.clone());
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(value) => return value,
            Poll::Pending => parked.0.wait(),
        }
    }
}
