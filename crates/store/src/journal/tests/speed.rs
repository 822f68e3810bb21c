//! Measurements, to be run by hand: `cargo test --release -p store -- --ignored --nocapture a_million_records`.

use std::time::Instant;

use super::{SHARD, commit, open};
use crate::files::disk::RealDisk;
use crate::journal::{BodyRef, Log, Position, Put, Record};
use crate::{Digest, Key};

const RECORDS: u32 = 1_000_000;

fn encode(number: u32, into: &mut Vec<u8>) {
    let mut key = [3; 16];
    key[..4].copy_from_slice(&number.to_le_bytes());
    let name = format!("https://mirror.example.org/pool/main/p/package/package_{number:08}_amd64.deb?x=");
    let (digest, head) = (Digest::new([number as u8; 32]), [9; 160]);
    let put = Put {
        key: Key::new(key),
        body: BodyRef::Whole { digest, length: 20_000 },
        epoch: 3,
        deadline: 1_800_003_600,
        stored: 1_800_000_000,
        labels: &[],
        name: &name,
        head: &head,
    };
    Record::Put(put).encode(into).unwrap();
}

#[test]
#[ignore = "a measurement of some seconds"]
fn a_million_records() {
    let root = tempfile::tempdir().unwrap();
    let (mut log, ..) = open(&RealDisk, root.path());
    let (mut frame, begin) = (Vec::new(), Instant::now());
    for number in 0..RECORDS {
        frame.clear();
        encode(number, &mut frame);
        log.append(&frame);
        if number % 10_000 == 0 {
            commit(&mut log, &RealDisk);
        }
    }
    commit(&mut log, &RealDisk);
    let each = |begin: Instant| begin.elapsed().as_nanos() / u128::from(RECORDS);
    println!("encoded, appended and written: {} ns a record of {} bytes", each(begin), frame.len());
    for _ in 0..3 {
        let (begin, mut sum) = (Instant::now(), 0_u64);
        let mut last = Position::from_bits(0);
        let (_, report) = Log::open(&RealDisk, root.path(), SHARD, |position, record| {
            let Record::Put(put) = record else { return };
            let BodyRef::Whole { length, .. } = put.body else {
                return;
            };
            sum += length + u64::from(put.key.as_bytes()[0]) + put.name.len() as u64;
            last = position;
        })
        .unwrap();
        assert_eq!(report.records, u64::from(RECORDS));
        println!("loaded: {} ns a record, up to {last:?}, sum {sum}", each(begin));
    }
}
