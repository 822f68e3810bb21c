use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::head::{Answered, Terms, Wish};

/// Fields of a head as they are sent, in order.
fn fields(head: &Head) -> Vec<(String, Vec<u8>)> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| (name.to_string(), value.as_bytes().to_vec());
    head.headers.iter().map(text).collect()
}

fn same(one: &Head, other: &Head) {
    assert_eq!(fields(one), fields(other));
    assert_eq!(one.not_modified, other.not_modified);
    assert_eq!(one.validators, other.validators);
    assert_eq!((one.validated_at, one.initial_age), (other.validated_at, other.initial_age));
    assert_eq!((one.confirmed, one.keep_until()), (other.confirmed, other.keep_until()));
    assert_eq!(one.deadline(), other.deadline());
}

fn encoded(head: &Head) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(head, &mut bytes);
    bytes
}

fn head(fields: &[(&str, &[u8])], times: [u64; 4], confirmed: Confirmation) -> Head {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        headers.append(name, HeaderValue::from_bytes(value).expect("a value"));
    }
    let [validated_at, initial_age, keep_until, stale_for] = times;
    let (validated_at, initial_age) = (Timestamp(validated_at), Duration::from_millis(initial_age));
    Head::new(
        headers,
        Facts {
            status: StatusCode::OK,
            freshness: None,
            selecting: None,
            variants: None,
            validated_at,
            initial_age,
            confirmed,
            keep_until,
            stale_for,
            is_marked: false,
            reach: NamedBy::Client,
        },
    )
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(b'\t'), 0x20_u8..0x7f, 0x80_u8..];
    let date = (0..=date::MAX).prop_map(|seconds| date::format(seconds).into_bytes());
    prop_oneof![
        4 => proptest::collection::vec(byte, 0..80),
        2 => date.clone(),
        // Dates that are read but not written so.
        1 => date.prop_map(|text| text.to_ascii_lowercase()),
        1 => Just(b"Sunday, 06-Nov-94 08:49:37 GMT".to_vec()),
        2 => proptest::sample::select(VALUES).prop_map(|known| known.as_bytes().to_vec()),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => proptest::sample::select(NAMES).prop_map(str::to_owned),
        1 => "[a-z0-9!#$%&'*+.^_`|~-]{1,40}",
    ]
}

/// What a head is made of, which can be printed.
type Made = (Vec<(String, Vec<u8>)>, [u64; 4], Confirmation);

fn parts() -> impl Strategy<Value = Made> {
    (proptest::collection::vec((name(), value()), 0..30), any::<[u64; 4]>(), confirmation())
}

fn confirmation() -> impl Strategy<Value = Confirmation> {
    proptest::sample::select(vec![Confirmation::Sent, Confirmation::NotModified, Confirmation::Continued])
}

fn made((fields, times, confirmed): &Made) -> Head {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    head(&fields, *times, *confirmed)
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded_byte_for_byte(parts in parts()) {
        let head = made(&parts);
        let decoded = decode(&encoded(&head)).expect("a head");
        same(&head, &decoded);
    }

    #[test]
    fn garbage_is_refused_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some(head) = decode(&bytes) {
            same(&head, &decode(&encoded(&head)).expect("a head"));
        }
    }

    #[test]
    fn a_head_that_was_cut_or_flipped_is_another_one_or_none(
        parts in parts(), cut in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let mut bytes = encoded(&made(&parts));
        let place = cut.index(bytes.len());
        prop_assert!(decode(&bytes[..place]).is_none());
        bytes[place] ^= 1 << bit;
        if let Some(head) = decode(&bytes) {
            same(&head, &decode(&encoded(&head)).expect("a head"));
        }
    }
}

/// What the first version wrote, which every later one must read.
#[test]
fn the_first_version_is_read_for_ever() {
    let written: &[u8] = b"\x01\x01\xfb\xd0\x95\xff\xbc1\x94#\x81\xc0\x84\xab\x06\x80\xa3\x05\x06\x01\x01\x03\x82\x88\xbf\xaa\x19\
        \x00\x06x-mine\x0c1st\x00\x06x-mine\x0c2nd\x04\x0c\"a\"E\xad\x02";
    let head = head(
        &[
            ("accept-ranges", b"bytes"),
            ("date", b"Tue, 14 Nov 2023 22:13:20 GMT"),
            ("x-mine", b"1st"),
            ("x-mine", b"2nd"),
            ("etag", b"\"a\""),
            ("x-checksum-sha256", b"1"),
        ],
        [1_700_000_000_123, 4500, 1_700_864_001, 86_400],
        Confirmation::NotModified,
    );
    assert_eq!(encoded(&head).escape_ascii().to_string(), written.escape_ascii().to_string());
    same(&decode(written).expect("a head"), &head);
}

#[test]
fn later_versions_forms_and_numbers_are_refused() {
    let bytes =
        encoded(&head(&[("date", b"Sun, 06 Nov 1994 08:49:37 GMT")], [1, 2, 3, 4], Confirmation::Sent));
    assert!(decode(&bytes).is_some());
    let with = |place: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[place] = byte;
        decode(&bytes)
    };
    assert!(with(0, VERSION + 1).is_none());
    assert!(with(1, 3).is_none());
    assert!(with(7, NAMES.len() as u8 + 1).is_none(), "a name that is not known yet");
    assert!(decode(&[&bytes[..8], &[3]].concat()).is_none(), "a form that is not known yet");
    assert!(decode(&[&bytes[..], &[0]].concat()).is_none(), "something behind the end");
    // More fields than bytes.
    assert!(decode(&[VERSION, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).is_none());
}

#[test]
fn the_dictionaries_are_names_and_values_each_once() {
    let names: std::collections::HashSet<_> = NAMES.iter().collect();
    let values: std::collections::HashSet<_> = VALUES.iter().collect();
    assert_eq!((names.len(), values.len()), (NAMES.len(), VALUES.len()));
    for name in NAMES {
        assert_eq!(HeaderName::from_static(name).as_str(), *name);
    }
    for value in VALUES {
        assert_eq!(HeaderValue::from_static(value), *value);
    }
}

#[test]
fn a_typical_head_is_short() {
    let answer = [
        ("server", "nginx/1.25.3"),
        ("date", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ("content-type", "application/octet-stream"),
        ("last-modified", "Sun, 12 Nov 2023 08:11:02 GMT"),
        ("etag", "\"65508a46-1c9d5a0\""),
        ("cache-control", "public, max-age=31536000"),
        ("expires", "Wed, 13 Nov 2024 22:13:20 GMT"),
        ("x-served-by", "cache-lhr7336-LHR, cache-fra-eddf8230061-FRA"),
    ];
    let mut headers = HeaderMap::new();
    for (name, value) in answer {
        headers.append(name, HeaderValue::from_static(value));
    }
    let now = Timestamp(1_700_000_000_123);
    let answered = Answered {
        status: StatusCode::OK,
        headers: &headers,
        asked_at: now,
        answered_at: now,
        reach: NamedBy::Client,
    };
    let wish =
        Wish { keep_until: now.after(Duration::from_secs(864_000)), stale_for: Duration::from_secs(86_400) };
    let head = Head::sent(answered, headers.clone(), Terms::default(), wish);
    assert_eq!(head.deadline(), 1_700_000_001 + 864_000 + 86_400);
    let length = encoded(&head).len();
    assert!(length <= 150, "{length}");
}
