#![no_main]
//! `Range`: what is read is written as it was read; what is resolved exists and is no more than the total.

use libfuzzer_sys::fuzz_target;
use protocols::http::range::{MAX_RANGES, RangeSet, Resolved};

fuzz_target!(|input: (u64, &[u8])| {
    let (total, bytes) = input;
    let Some(set) = RangeSet::parse(bytes) else { return };
    assert!((1..=MAX_RANGES).contains(&set.specs.len()));
    assert_eq!(RangeSet::parse(set.to_string().as_bytes()).as_ref(), Some(&set));
    for total in [total, total % 1000] {
        if let Resolved::Ranges(ranges) = set.resolve(total) {
            assert!(ranges.iter().all(|range| range.start < range.end && range.end <= total));
            let sum: u128 = ranges.iter().map(|range| u128::from(range.end - range.start)).sum();
            assert!(!ranges.is_empty() && sum <= u128::from(total));
        }
    }
});
