//! When a pin holds, and that nothing long-winded holds it up.

use std::sync::Arc;

use super::support::*;
use crate::*;

/// Bytes of a body that a scrub of a byte a second takes minutes for.
const LONG: usize = 64 << 20;
/// What they are: the name of so many begins with `fc`, and is looked at last.
const FILLING: u8 = 18;

/// repositories R08.
#[tokio::test]
async fn a_pin_holds_for_everything_once_that_is_said() {
    let house = House::with(|config| config.quota = 1_000_000);
    for key in 0..10 {
        house.put(key, &source(100_000, u64::from(key))).await;
    }
    assert!(house.writer.are_pins_compared(), "there is nothing to compare with");
    house.writer.pin(Arc::new(|_, _| true));
    house.writer.pins_compared().await;
    assert!(house.writer.are_pins_compared());
    for key in 10..12 {
        let spec = BodySpec { length: Some(100_000), promised: None };
        let refused = house.claim(key).publish(0, spec).await;
        assert!(matches!(refused, Err((_, Refused::NoSpace { .. }))));
    }
    assert_eq!(house.usage().entries, 10);
    house.writer.pin(Arc::new(|_, _| false));
    house.writer.pins_compared().await;
    house.put(12, &source(100_000, 12)).await;
}

fn under_a_slow_scrub() -> House {
    let house = House::with(|config| config.quota = 2 * LONG as u64);
    block_on(house.put(1, &vec![FILLING; LONG]));
    // Its name begins with `e3`.
    block_on(house.put(2, &[]));
    assert!(house.writer.start_scrub(1));
    while house.writer.reader().scrub().bodies < 1 {
        std::thread::yield_now();
    }
    house
}

#[test]
fn a_scrub_does_not_hold_up_a_pin() {
    let house = under_a_slow_scrub();
    house.writer.pin(Arc::new(|_, _| true));
    block_on(house.writer.pins_compared());
    assert!(house.writer.0.index.is_pinned(&key_of(1)));
    assert!(house.writer.reader().scrub().is_running, "it takes minutes");
}

#[test]
fn a_scrub_does_not_hold_up_the_end_and_judges_nothing_that_it_has_not_read() {
    let house = under_a_slow_scrub();
    let house = house.reopened();
    let entry = block_on(house.writer.reader().find(&key_of(1))).expect("nothing is wrong with it");
    assert_eq!(entry.body.length(), Some(LONG as u64));
    assert_eq!(house.metric("damaged_total"), 0);
}
