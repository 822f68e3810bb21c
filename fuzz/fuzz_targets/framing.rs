#![no_main]
//! How a head is framed: no cut changes it, and what another parser finds in two ways is never taken for chunks alone.

use doors::fuzzing::is_chunked;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let chunked = is_chunked(&[bytes]);
    let cut = usize::from(cut).min(bytes.len());
    if cut > 0 {
        assert_eq!(is_chunked(&[&bytes[..cut], &bytes[cut..]]), chunked);
    }
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut fields);
    if !matches!(head.parse(bytes), Ok(httparse::Status::Complete(_))) {
        return;
    }
    let count =
        |name: &str| head.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).count();
    let is_alone = count("transfer-encoding") == 1 && count("content-length") == 0;
    assert!(is_alone || !chunked);
});
