//! Datagrams, for the fuzz targets: what is understood is within its limits and is all of the datagram.

use super::{HEADER, Request, TIMEOUT_MS, VALUE, VERSION, decode};

/// Checks a datagram.
pub fn datagram(bytes: &[u8]) {
    let Some((request, key)) = decode(bytes) else { return };
    let (kind, timeout, value) = match request {
        Request::New { timeout_ms, value } => {
            assert!((1..=VALUE).contains(&value.len()) && timeout_ms <= TIMEOUT_MS && timeout_ms % 1000 == 0);
            (0, timeout_ms / 1000, value)
        }
        Request::Get => (1, 0, &bytes[HEADER..]),
        Request::Remove => (2, 0, &bytes[HEADER..]),
    };
    let seconds = u32::from(u16::from_be_bytes([bytes[2], bytes[3]]));
    assert!(kind != 0 || timeout == seconds.min(TIMEOUT_MS / 1000));
    assert_eq!([&[VERSION, kind], &bytes[2..4], key, value].concat(), bytes);
}
