#![no_main]
//! Frame headers of the distcache protocol: what is understood is written the same again, but for the patch level.

use distcache::frame::Header;
use distcache::limits::{FRAME_DATA, HEADER};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(Some(header)) = Header::decode(bytes) else { return };
    assert!(usize::from(header.length) <= FRAME_DATA);
    let again = header.encode();
    assert_eq!((&again[..2], &again[4..]), (&bytes[..2], &bytes[4..HEADER]));
});
