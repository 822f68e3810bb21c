//! What the measured stores hold: entries like those of package mirrors, made from their numbers.

use std::fs;
use std::path::Path;

use store::synthetic::Made;
use store::{Contents, Digest, Key};

use crate::traces::spread;

/// Shards of the index.
const SHARDS: u64 = 64;
/// Entries from the first on whose bodies exist; others have none.
pub(super) const WITH_BODY: u64 = 32 << 10;
/// Entries from the first on that have a label.
pub(super) const LABELLED: u64 = 1_000_000;
/// The label.
pub(super) const LABEL: u64 = 0x9e37_79b9_7f4a_7c15;
/// Bytes of a body.
const BODY: usize = 1024;
/// Bytes of an encoded head.
pub(super) const HEAD: usize = 200;
/// Long after this benchmark.
const DEADLINE: u32 = 4_000_000_000;
const STORED: u32 = 1_790_000_000;

/// Heads are bytes.
pub(super) struct Plain;

impl Contents for Plain {
    type Head = Vec<u8>;
    type Refusal = ();

    fn encode(head: &Vec<u8>, into: &mut Vec<u8>) {
        into.extend_from_slice(head);
    }

    fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
        Some(bytes.to_vec())
    }

    fn deadline(_: &Vec<u8>) -> u32 {
        DEADLINE
    }
}

/// The key of an entry; entries take turns over the shards.
pub(super) fn key(number: u64) -> Key {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&spread(number * 2).to_le_bytes());
    bytes[8..].copy_from_slice(&spread(number * 2 + 1).to_le_bytes());
    bytes[15] = bytes[15] & 0xc0 | (number % SHARDS) as u8;
    Key::new(bytes)
}

/// A URL of 80 bytes.
pub(super) fn name(number: u64) -> String {
    let url = format!("https://mirror.example.org/debian/pool/main/p/package-{number:08}/");
    format!("{url:_<74}{:06x}", spread(number) & 0xff_ffff)
}

/// The head of an entry.
pub(super) fn head(number: u64) -> Vec<u8> {
    let bytes = (0..HEAD as u64).step_by(8).flat_map(|at| spread(number << 8 | at).to_le_bytes());
    bytes.take(HEAD).collect()
}

/// The body of an entry that has one.
pub(super) fn body(number: u64) -> Vec<u8> {
    (0..BODY as u64).step_by(8).flat_map(|at| spread(number << 16 | at).to_le_bytes()).collect()
}

/// Makes a store's directory with so many entries.
pub(super) fn make(directory: &Path, count: u64) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    fs::create_dir_all(directory).map_err(failed)?;
    for number in 0..WITH_BODY.min(count) {
        let body = body(number);
        let path = store::body_path(directory, &Digest::of(&body));
        fs::create_dir_all(path.parent().unwrap_or(directory)).map_err(failed)?;
        fs::write(path, body).map_err(failed)?;
    }
    let of_shard = |shard: usize| (shard as u64..count).step_by(SHARDS as usize).map(entry);
    store::synthetic::write(directory, of_shard).map_err(failed)
}

fn entry(number: u64) -> Made {
    let (digest, length) = match number < WITH_BODY {
        true => (Digest::of(&body(number)), BODY as u64),
        false => (digest(number), spread(number) % (200 << 10)),
    };
    let (stored, deadline, heat) = (STORED, DEADLINE, spread(number) as u8);
    let labels = if number < LABELLED { vec![LABEL] } else { Vec::new() };
    let (key, name, head) = (key(number), name(number), head(number));
    Made { key, digest, length, stored, deadline, labels, name, head, heat }
}

fn digest(number: u64) -> Digest {
    let mut bytes = [0; 32];
    for (at, part) in bytes.chunks_exact_mut(8).enumerate() {
        part.copy_from_slice(&spread(number << 2 | at as u64 | 1 << 60).to_le_bytes());
    }
    Digest::new(bytes)
}
