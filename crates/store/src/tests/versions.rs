//! What the first version of the format says, written down byte by byte: whatever comes later reads it.

use super::support::*;
use crate::*;

/// A number of a record, seven bits a byte.
fn varint(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// The header of a log that follows no other.
fn header(shard: u8) -> Vec<u8> {
    let mut header = b"stdp-log".to_vec();
    header.extend_from_slice(&1_u16.to_le_bytes());
    header.extend_from_slice(&[shard, 1]);
    sealed(header)
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32 + 1).to_le_bytes().to_vec();
    bytes.push(kind);
    bytes.extend_from_slice(payload);
    sealed(bytes)
}

/// An entry with a whole body.
fn put(key: u8, body: &[u8], head: u32) -> Vec<u8> {
    let mut payload = vec![key; 16];
    varint(1, &mut payload);
    payload.extend_from_slice(&1_790_000_000_u32.to_le_bytes());
    // No deadline.
    varint(0, &mut payload);
    payload.extend_from_slice(Digest::of(body).as_bytes());
    varint(body.len() as u64, &mut payload);
    varint(4, &mut payload);
    payload.extend_from_slice(b"name");
    payload.extend_from_slice(&head.to_le_bytes());
    frame(1, &payload)
}

/// user-demand 4c: 59.
#[tokio::test]
async fn an_index_of_the_first_version_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = source(100_000, 1);
    let digest = Digest::of(&bytes).to_string();
    let bodies = directory.path().join("bodies").join(&digest[..2]);
    std::fs::create_dir_all(&bodies).unwrap();
    std::fs::write(bodies.join(&digest), &bytes).unwrap();
    let shard = directory.path().join("index/01");
    std::fs::create_dir_all(&shard).unwrap();
    let removed = frame(3, &[65; 16]);
    let log = [header(1), put(65, b"gone", 1), put(1, &bytes, 7), removed].concat();
    std::fs::write(shard.join("00000001.log"), log).unwrap();
    let config = config(&directory, 1 << 20);
    let house = House::open(directory, config);
    let entry = house.writer.reader().find(&key_of(1)).await.expect("it is recorded");
    assert_eq!((&*entry.name, *entry.head, entry.body.digest()), ("name", 7, Some(Digest::of(&bytes))));
    assert_eq!(drain(entry.body.read(0..u64::MAX)).await, (bytes, None));
    assert!(house.writer.reader().find(&key_of(65)).await.is_none(), "it was removed");
    assert_eq!((house.usage().entries, house.usage().used), (1, 100_000));
}
