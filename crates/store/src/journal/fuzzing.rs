//! What is read from the index, for the fuzz targets: whatever the bytes, a value or none, and a value is written so that
//! it is read again. Checksums are made good first: behind a wrong one nothing is read.

use super::epochs::trusted_of;
use super::header::{Follows, Header, Magic};
use super::heat::Heat;
use super::record::{BodyRef, Fault, Record, decode};

/// Checks a record of this kind and payload, whatever stands behind it.
pub fn record(content: &[u8], behind: &[u8]) {
    // Nobody's checksum is right by chance, but the length is looked at before.
    assert!(decode(content).is_err());
    let Ok(length) = u32::try_from(content.len()) else { return };
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    let whole = bytes.len();
    bytes.extend_from_slice(behind);
    let (record, used) = match decode(&bytes) {
        Ok(decoded) => decoded,
        Err(Fault::Torn) => panic!("it is all there"),
        Err(Fault::Corrupt { skip }) => return assert!(skip.is_none_or(|skip| skip == whole)),
        Err(Fault::Unknown { kind }) => return assert_eq!(kind, content[0]),
    };
    assert_eq!(used, whole);
    if let Record::Put(put) = &record {
        check_body(&put.body);
        assert_eq!(put.labels().count() * 8, put.labels.len());
    }
    let mut again = Vec::new();
    record.encode(&mut again).expect("as long as it was, or shorter");
    assert_eq!(decode(&again), Ok((record, again.len())));
    for length in 0..again.len().min(64) {
        assert_eq!(decode(&again[..length]), Err(Fault::Torn));
    }
}

fn check_body(body: &BodyRef) {
    let BodyRef::Part { length, extents, .. } = body else { return };
    let ranges = extents.ranges();
    assert!(ranges.iter().all(|range| range.start < range.end));
    assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
    assert!(length.is_none_or(|length| extents.end() <= length));
}

/// Checks the files beside the logs: a header, the epochs behind it, the heat.
pub fn files(bytes: &[u8]) {
    for magic in [Magic::Log, Magic::Epochs, Magic::Heat] {
        let header = bytes.get(..12).map(|header| [header, &crc32c::crc32c(header).to_le_bytes()].concat());
        if let Some(header) = header.and_then(|header| Header::decode(magic, &header).ok()) {
            assert_eq!(Header::decode(magic, &header.encode(magic)), Ok(header));
        }
    }
    let mut epochs = Header { shard: 0, follows: Follows::Before }.encode(Magic::Epochs).to_vec();
    epochs.extend_from_slice(bytes);
    epochs.extend_from_slice(&crc32c::crc32c(&epochs).to_le_bytes());
    if let Some(trusted) = trusted_of(&epochs) {
        assert!(trusted.ranges().windows(2).all(|pair| pair[0].end < pair[1].start));
        // The number that no start ever has.
        assert!(trusted.end() <= u64::from(u32::MAX));
    }
    let levels: Vec<_> = Heat::of(bytes).levels().collect();
    assert_eq!(Heat::new(&levels).levels().collect::<Vec<_>>(), levels);
}
