#![no_main]
//! A head out of the store's log: any bytes are a head or none; what is read is written so that it is read again.

use cache::Http;
use libfuzzer_sys::fuzz_target;
use store::Contents;

fuzz_target!(|bytes: &[u8]| {
    let Some(head) = Http::decode(bytes) else { return };
    let mut written = Vec::new();
    Http::encode(&head, &mut written);
    let again = Http::decode(&written).expect("what we wrote ourselves");
    assert_eq!(head.headers, again.headers);
    assert_eq!((head.validated_at, head.initial_age), (again.validated_at, again.initial_age));
    assert_eq!((head.confirmed, Http::deadline(&head)), (again.confirmed, Http::deadline(&again)));
    let mut twice = Vec::new();
    Http::encode(&again, &mut twice);
    assert_eq!(written, twice);
});
