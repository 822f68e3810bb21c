use proptest::prelude::*;

use super::RangeSpec::{From, Suffix};
use super::*;

fn set(text: &str) -> RangeSet {
    RangeSet::parse(text.as_bytes()).expect(text)
}

fn resolved(text: &str, total: u64) -> Vec<Range<u64>> {
    match set(text).resolve(total) {
        Resolved::Ranges(ranges) => ranges,
        other => panic!("{text} of {total}: {other:?}"),
    }
}

#[test]
fn well_formed_fields() {
    let table: &[(&str, &[RangeSpec])] = &[
        ("bytes=0-0", &[From { first: 0, last: Some(0) }]),
        ("BYTES=5-", &[From { first: 5, last: None }]),
        ("Bytes=-5", &[Suffix { length: 5 }]),
        ("bytes=-0", &[Suffix { length: 0 }]),
        (
            "bytes= 1-2 ,\t,-3,, 4- ,",
            &[From { first: 1, last: Some(2) }, Suffix { length: 3 }, From { first: 4, last: None }],
        ),
        ("bytes=18446744073709551616-", &[From { first: u64::MAX, last: None }]),
        ("bytes=1-99999999999999999999", &[From { first: 1, last: Some(u64::MAX) }]),
        ("bytes=-99999999999999999999", &[Suffix { length: u64::MAX }]),
    ];
    for (text, specs) in table {
        assert_eq!(set(text).specs, *specs, "{text}");
    }
}

/// 4c 24: reversed ranges; and what is no byte range at all.
#[test]
fn malformed_fields_are_none() {
    for text in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes= , ,",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=2-1",
        "bytes=0-1,2-1",
        "bytes=18446744073709551616-5",
        "bytes=0-1;2-3",
        "bytes=0 - 1",
        "bytes=+0-1",
        "bytes=0x0-1",
        "bytes=--1",
        "bytes=0--1",
        "bytes=1-2-3",
        "bytes =0-1",
        "bytes:0-1",
        "items=0-1",
        "octets=0-1",
    ] {
        assert_eq!(RangeSet::parse(text.as_bytes()), None, "{text}");
    }
}

/// 4c 25: 256 ranges pass, one more does not.
#[test]
fn the_number_of_ranges_is_bounded() {
    let text = |count| format!("bytes={}", vec!["0-0"; count].join(",,"));
    assert_eq!(set(&text(256)).specs.len(), 256);
    assert_eq!(RangeSet::parse(text(257).as_bytes()), None);
    assert_eq!(RangeSet::parse(text(1000).as_bytes()), None);
}

/// 4c 24, 30: edges of one range.
#[test]
fn single_ranges_are_clamped() {
    for (text, total, range) in [
        ("bytes=0-0", 10, 0..1),
        ("bytes=9-9", 10, 9..10),
        ("bytes=9-", 10, 9..10),
        ("bytes=-1", 10, 9..10),
        ("bytes=-10", 10, 0..10),
        ("bytes=-11", 10, 0..10),
        ("bytes=3-99", 10, 3..10),
        ("bytes=3-18446744073709551615", 10, 3..10),
        ("bytes=3-99999999999999999999", 10, 3..10),
        ("bytes=0-0", 1, 0..1),
        ("bytes=-1", 1, 0..1),
        ("bytes=9223372036854775808-", u64::MAX, 9_223_372_036_854_775_808..u64::MAX),
        ("bytes=0-", u64::MAX, 0..u64::MAX),
        ("bytes=5497558138879-", 5_497_558_138_880, 5_497_558_138_879..5_497_558_138_880),
    ] {
        assert_eq!(resolved(text, total), [range], "{text} of {total}");
    }
}

/// 4c 24: start beyond the end, 2^63, suffix 0; 30: the empty file.
#[test]
fn ranges_beyond_the_end_are_unsatisfiable() {
    for (text, total) in [
        ("bytes=10-", 10),
        ("bytes=10-20", 10),
        ("bytes=9223372036854775808-", 10),
        ("bytes=18446744073709551615-", u64::MAX),
        ("bytes=99999999999999999999-99999999999999999999", u64::MAX),
        ("bytes=-0", 10),
        ("bytes=-0,10-", 10),
        ("bytes=0-", 0),
        ("bytes=0-0", 0),
        ("bytes=-0", 0),
    ] {
        assert_eq!(set(text).resolve(total), Resolved::Unsatisfiable, "{text} of {total}");
    }
    assert_eq!(set("bytes=-5").resolve(0), Resolved::Ignore);
    assert_eq!(set("bytes=0-1,-5").resolve(0), Resolved::Ignore);
}

#[test]
fn unsatisfiable_ranges_are_left_out_and_order_is_kept() {
    assert_eq!(resolved("bytes=50-59,90-,200-,-0,0-9", 100), [50..60, 90..100, 0..10]);
}

#[test]
fn two_overlapping_ranges_stay_two() {
    assert_eq!(resolved("bytes=5-14,0-9", 100), [5..15, 0..10]);
    assert_eq!(resolved("bytes=0-9,10-19,20-29", 100), [0..10, 10..20, 20..30]);
}

/// 4c 25: overlapping ranges cost at most the whole.
#[test]
fn amplification_is_merged_away() {
    assert_eq!(resolved("bytes=50-54,5-14,0-9,12-20", 100), [50..55, 0..21]);
    assert_eq!(resolved("bytes=90-,0-9,10-19,5-14", 100), [90..100, 0..20]);
    assert_eq!(resolved("bytes=0-1,1-2,10-11,11-12", 100), [0..3, 10..13]);
    let whole = 0..1 << 30;
    assert_eq!(resolved("bytes=0-,0-", whole.end), std::slice::from_ref(&whole));
    let text = format!("bytes={}", vec!["0-"; 256].join(","));
    assert_eq!(resolved(&text, whole.end), [whole]);
    // More than 64 bits can count.
    let whole = 0..u64::MAX;
    assert_eq!(resolved("bytes=0-,9-", whole.end), [whole]);
}

/// 4c 25: one byte each over 1 GB.
#[test]
fn tiny_ranges_are_answered_unless_the_whole_is_cheaper() {
    let text: Vec<_> = (0..256_u64).map(|index| format!("{0}-{0}", index * 4_000_000)).collect();
    let text = format!("bytes={}", text.join(","));
    assert_eq!(resolved(&text, 1_100_000_000).len(), 256);

    let text: Vec<_> = (0..256_u64).map(|index| format!("{0}-{0}", index * 2)).collect();
    let text = format!("bytes={}", text.join(","));
    assert_eq!(set(&text).resolve(600), Resolved::Ignore);
    assert_eq!(resolved("bytes=0-0,2-2,4-4", 10), [0..1, 2..3, 4..5]);
}

#[test]
fn suffixes_and_open_ends_need_the_total() {
    assert!(!set("bytes=0-1,5-6").needs_total());
    assert!(set("bytes=0-1,5-").needs_total());
    assert!(set("bytes=0-1,-5").needs_total());
}

#[test]
fn content_ranges() {
    for (text, range, total) in [
        ("bytes 0-0/1", Some((0, 0)), Some(1)),
        ("Bytes 5-9/*", Some((5, 9)), None),
        ("bytes */0", None, Some(0)),
        (" bytes 0-18446744073709551614/18446744073709551615 ", Some((0, u64::MAX - 1)), Some(u64::MAX)),
    ] {
        let value = ContentRange { range, total };
        assert_eq!(ContentRange::parse(text.as_bytes()), Some(value), "{text}");
        assert_eq!(value.to_string(), text.trim().to_lowercase(), "{text}");
    }
}

/// 4c 28: wrong and contradictory answers of an origin.
#[test]
fn contradictory_content_ranges_are_none() {
    for text in [
        "",
        "bytes",
        "bytes ",
        "bytes */*",
        "bytes 5-4/10",
        "bytes 0-10/10",
        "bytes 0-9/5",
        "bytes 0-0/0",
        "bytes 0-9",
        "bytes 0-/10",
        "bytes -9/10",
        "bytes 0-9/",
        "bytes  0-9/10",
        "bytes 0-9 /10",
        "bytes 0 - 9/10",
        "bytes=0-9/10",
        "bytes +0-9/10",
        "bytes 0-9/+10",
        "bytes 0-9/10/10",
        "bytes 0-18446744073709551615/18446744073709551616",
        "bytes 0-9/18446744073709551616",
        "items 0-9/10",
    ] {
        assert_eq!(ContentRange::parse(text.as_bytes()), None, "{text}");
    }
}

fn specs() -> impl Strategy<Value = Vec<RangeSpec>> {
    let position = prop_oneof![0..200_u64, any::<u64>()];
    let spec = prop_oneof![
        (position.clone(), position.clone())
            .prop_map(|(a, b)| From { first: a.min(b), last: Some(a.max(b)) }),
        position.clone().prop_map(|first| From { first, last: None }),
        position.prop_map(|length| Suffix { length }),
    ];
    proptest::collection::vec(spec, 1..12)
}

/// What RFC 9110 section 14.1.2 says, byte by byte.
fn wants(spec: &RangeSpec, byte: u64, total: u64) -> bool {
    match spec {
        From { first, last } => *first <= byte && last.is_none_or(|last| byte <= last),
        Suffix { length } => total - byte <= *length,
    }
}

proptest! {
    #[test]
    fn sets_round_trip(specs in specs()) {
        let set = RangeSet { specs };
        prop_assert_eq!(RangeSet::parse(set.to_string().as_bytes()), Some(set));
    }

    #[test]
    fn resolved_ranges_hold_the_wanted_bytes_and_no_others(specs in specs(), total in 0..200_u64) {
        let set = RangeSet { specs };
        let wanted: Vec<_> = (0..total).filter(|byte| set.specs.iter().any(|spec| wants(spec, *byte, total))).collect();
        match set.resolve(total) {
            Resolved::Ranges(ranges) => {
                prop_assert!(ranges.iter().all(|range| range.start < range.end && range.end <= total));
                prop_assert!(sum(&ranges) <= u128::from(total));
                let mut held: Vec<_> = ranges.into_iter().flatten().collect();
                held.sort_unstable();
                held.dedup();
                prop_assert_eq!(held, wanted);
            }
            Resolved::Unsatisfiable | Resolved::Ignore => prop_assert!(wanted.is_empty()),
        }
    }

    #[test]
    fn resolving_never_asks_for_more_than_the_total(specs in specs(), total: u64) {
        if let Resolved::Ranges(ranges) = (RangeSet { specs }).resolve(total) {
            prop_assert!(!ranges.is_empty());
            prop_assert!(ranges.iter().all(|range| range.start < range.end && range.end <= total));
            prop_assert!(sum(&ranges) <= u128::from(total));
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..64), total: u64) {
        if let Some(set) = RangeSet::parse(&bytes) {
            set.resolve(total);
        }
        ContentRange::parse(&bytes);
    }

    #[test]
    fn nearly_ranges_are_survived(text in "bytes[= ][0-9,\\-*/ \\t]{0,40}", total: u64) {
        if let Some(set) = RangeSet::parse(text.as_bytes()) {
            set.resolve(total);
            prop_assert_eq!(RangeSet::parse(set.to_string().as_bytes()), Some(set));
        }
        if let Some(range) = ContentRange::parse(text.as_bytes()) {
            prop_assert_eq!(ContentRange::parse(range.to_string().as_bytes()), Some(range));
        }
    }

    #[test]
    fn content_ranges_round_trip(first: u64, length: u64, total in proptest::option::of(any::<u64>())) {
        let last = first.saturating_add(length);
        let value = ContentRange { range: Some((first, last)), total };
        let consistent = total.is_none_or(|total| last < total);
        prop_assert_eq!(ContentRange::parse(value.to_string().as_bytes()), consistent.then_some(value));
    }
}
