//! Records survive the way to bytes and back; what was changed or cut does not.

use proptest::prelude::*;

use super::{BodyRef, Fault, Put, RECORD_LIMIT, Record, TooLong, decode, packed};
use crate::extents::Extents;
use crate::{Digest, Key};

fn body() -> impl Strategy<Value = BodyRef> {
    let whole = (any::<[u8; 32]>(), any::<u64>())
        .prop_map(|(digest, length)| BodyRef::Whole { digest: Digest::new(digest), length });
    let ranges = prop::collection::vec((0..1_u64 << 40, 0..1_u64 << 20), 0..12);
    let part = (any::<u64>(), any::<bool>(), ranges).prop_map(|(id, declared, ranges)| {
        let mut extents = Extents::default();
        ranges.into_iter().for_each(|(start, length)| extents.insert(start..start + length));
        BodyRef::Part { id, length: declared.then_some(1 << 41), extents }
    });
    prop_oneof![whole, part]
}

fn encoded(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes).unwrap();
    bytes
}

fn put<'a>(body: BodyRef, name: &'a str, head: &'a [u8]) -> Put<'a> {
    let (stored, deadline) = (1_800_000_000, 1_800_003_600);
    Put { key: Key::new([7; 16]), body, epoch: 3, deadline, stored, labels: &[], name, head }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_the_same(
        key in any::<[u8; 16]>(),
        body in body(),
        (epoch, deadline, stored) in any::<(u32, u32, u32)>(),
        name in "\\PC{0,90}",
        labels in prop::collection::vec(any::<u64>(), 0..4),
        head in prop::collection::vec(any::<u8>(), 0..300),
        behind in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let key = Key::new(key);
        let packed = packed(&labels);
        let put = Put { key, body, epoch, deadline, stored, labels: &packed, name: &name, head: &head };
        prop_assert_eq!(put.labels().collect::<Vec<_>>(), labels);
        for record in [Record::Put(put), Record::Removed(key), Record::Marked(key)] {
            let mut bytes = encoded(&record);
            let length = bytes.len();
            bytes.extend_from_slice(&behind);
            prop_assert_eq!(decode(&bytes), Ok((record, length)));
        }
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed(body in body(), head in prop::collection::vec(any::<u8>(), 0..40)) {
        for record in [Record::Put(put(body, "https://example.org/", &head)), Record::Removed(Key::new([7; 16]))] {
            let mut bytes = encoded(&record);
            for cut in 0..bytes.len() {
                prop_assert_eq!(decode(&bytes[..cut]), Err(Fault::Torn));
            }
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                let damaged = decode(&bytes);
                prop_assert!(matches!(damaged, Err(Fault::Torn | Fault::Corrupt { .. })), "bit {}: {:?}", bit, damaged);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn garbage_is_refused_and_allocates_little(mut bytes in prop::collection::vec(any::<u8>(), 0..64), kind in 0..8_u8) {
        let _ = decode(&bytes);
        // The same with a frame that is right, so that the payload is what is looked at.
        let mut framed = (bytes.len() as u32 + 1).to_le_bytes().to_vec();
        framed.push(kind);
        framed.append(&mut bytes);
        framed.extend_from_slice(&crc32c::crc32c(&framed).to_le_bytes());
        if let Ok((record, length)) = decode(&framed) {
            prop_assert_eq!(length, framed.len());
            let again = encoded(&record);
            prop_assert_eq!(decode(&again).map(|(again, _)| again), Ok(record));
        }
    }
}

#[test]
fn a_small_fill_takes_at_most_350_bytes() {
    let body = BodyRef::Whole { digest: Digest::new([1; 32]), length: 16_383 };
    let (name, head) = ("x".repeat(80), [0; 200]);
    let bytes = encoded(&Record::Put(put(body, &name, &head)));
    assert!(bytes.len() <= 350, "{} bytes", bytes.len());
}

#[test]
fn the_bytes_are_what_the_head_of_the_file_says() {
    let bytes = encoded(&Record::Removed(Key::new(*b"0123456789abcdef")));
    let mut expected = b"\x11\0\0\0\x030123456789abcdef".to_vec();
    expected.extend_from_slice(&crc32c::crc32c(&expected).to_le_bytes());
    assert_eq!(bytes, expected);
    assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283, "the check value of CRC-32C (RFC 3720 B.4)");
}

#[test]
fn the_longest_record_goes_through_and_a_longer_one_is_refused() {
    let body = || BodyRef::Whole { digest: Digest::new([1; 32]), length: 1 };
    let overhead = encoded(&Record::Put(put(body(), "", &[]))).len();
    let head = vec![5; RECORD_LIMIT - overhead + 1];
    let longest = Record::Put(put(body(), "", &head[1..]));
    let mut bytes = encoded(&longest);
    assert_eq!(bytes.len(), RECORD_LIMIT);
    assert_eq!(decode(&bytes), Ok((longest, RECORD_LIMIT)));
    assert_eq!(Record::Put(put(body(), "", &head)).encode(&mut bytes), Err(TooLong));
    assert_eq!(bytes.len(), RECORD_LIMIT, "nothing of it is left behind");
}

#[test]
fn an_implausible_length_cannot_be_skipped_and_a_wrong_checksum_can() {
    let mut bytes = encoded(&Record::Removed(Key::new([1; 16])));
    let length = bytes.len();
    bytes[9] ^= 1;
    assert_eq!(decode(&bytes), Err(Fault::Corrupt { skip: Some(length) }));
    assert_eq!(decode(&[0xff; 64]), Err(Fault::Corrupt { skip: None }));
    assert_eq!(decode(&[0; 64]), Err(Fault::Corrupt { skip: None }));
}

#[test]
fn a_kind_of_a_newer_version_is_told_from_damage() {
    let mut bytes = b"\x03\0\0\0\x09ab".to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    assert_eq!(decode(&bytes), Err(Fault::Unknown { kind: 9 }));
}
