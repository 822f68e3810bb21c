use super::*;
use crate::clock::ManualClock;

fn breaker(failures: u32) -> (Arc<Breaker>, ManualClock) {
    let clock = ManualClock::default();
    let settings =
        BreakerSettings { failures, pause: Duration::from_millis(100), longest: Duration::from_millis(350) };
    (Breaker::new(settings, Arc::new(clock.clone())), clock)
}

fn fail(breaker: &Arc<Breaker>) {
    breaker.admit().expect("let through").failed();
}

#[test]
fn it_opens_after_so_many_failures_in_a_row() {
    let (breaker, _) = breaker(3);
    fail(&breaker);
    fail(&breaker);
    breaker.admit().expect("closed").succeeded();
    fail(&breaker);
    fail(&breaker);
    assert!(breaker.is_closed());
    fail(&breaker);
    assert!(!breaker.is_closed());
    assert!(breaker.admit().is_none());
    assert_eq!((breaker.opened(), breaker.refused()), (1, 1));
}

#[test]
fn after_the_pause_one_caller_tries_and_its_success_lets_everyone_in() {
    let (breaker, clock) = breaker(1);
    fail(&breaker);
    clock.advance(Duration::from_millis(99));
    assert!(breaker.admit().is_none());
    clock.advance(Duration::from_millis(1));
    let probe = breaker.admit().expect("the pause is over");
    assert!(breaker.admit().is_none(), "one at a time");
    probe.succeeded();
    assert!(breaker.admit().is_some() && breaker.admit().is_some());
}

#[test]
fn pauses_double_up_to_the_longest_and_start_small_again() {
    let (breaker, clock) = breaker(1);
    fail(&breaker);
    for pause in [100, 200, 350, 350] {
        clock.advance(Duration::from_millis(pause - 1));
        assert!(breaker.admit().is_none(), "{pause}");
        clock.advance(Duration::from_millis(1));
        fail(&breaker);
    }
    clock.advance(Duration::from_millis(350));
    breaker.admit().expect("the pause is over").succeeded();
    fail(&breaker);
    clock.advance(Duration::from_millis(100));
    assert!(breaker.admit().is_some());
}

#[test]
fn verdicts_of_a_phase_that_is_over_are_void() {
    let (breaker, clock) = breaker(1);
    let (late, later) = (breaker.admit().expect("closed"), breaker.admit().expect("closed"));
    fail(&breaker);
    clock.advance(Duration::from_millis(100));
    let probe = breaker.admit().expect("the pause is over");
    late.succeeded();
    assert!(!breaker.is_closed() && breaker.admit().is_none(), "an old success proves nothing");
    probe.succeeded();
    later.failed();
    assert!(breaker.is_closed(), "nor does an old failure");
}

#[test]
fn a_probe_that_is_given_up_leaves_its_place_to_the_next() {
    let (breaker, clock) = breaker(1);
    fail(&breaker);
    clock.advance(Duration::from_millis(100));
    drop(breaker.admit().expect("the pause is over"));
    breaker.admit().expect("the next caller probes").succeeded();
    assert!(breaker.is_closed());
}

#[test]
fn strange_settings_still_give_a_breaker() {
    let settings = BreakerSettings { failures: 0, pause: Duration::MAX, longest: Duration::ZERO };
    let clock = ManualClock::default();
    let breaker = Breaker::new(settings, Arc::new(clock.clone()));
    fail(&breaker);
    assert!(breaker.admit().is_none());
    clock.advance(Duration::from_millis(1));
    assert!(breaker.admit().is_some());
}
