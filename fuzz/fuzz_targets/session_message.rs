#![no_main]
//! Messages of the distcache protocol: no cut of the input changes what is decoded, and a request that is understood is
//! the same after another round.

use distcache::Malformed;
use distcache::frame::Direction;
use distcache::limits::PAYLOAD;
use distcache::message::{Decoder, Message};
use distcache::request::{Checked, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let whole = decode(&[bytes]);
    let (first, second) = bytes.split_at(usize::from(cut).min(bytes.len()));
    assert_eq!(decode(&[first, second]), whole);
});

fn decode(pieces: &[&[u8]]) -> (Vec<(u32, Vec<u8>)>, Option<Malformed>) {
    let mut decoder = Decoder::new(Direction::Request);
    let (mut held, mut messages) = (Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            let step = match decoder.next(&held) {
                Ok(step) => step,
                Err(malformed) => return (messages, Some(malformed)),
            };
            let (used, done) = (step.used, step.message.is_none());
            if let Some(message) = step.message {
                check(&message);
                messages.push((message.uid, message.payload.to_vec()));
            }
            held.drain(..used);
            if done {
                break;
            }
        }
    }
    (messages, None)
}

fn check(message: &Message<'_>) {
    assert!(message.payload.len() <= PAYLOAD);
    let Ok(Checked::Valid(request)) = Checked::decode(message) else { return };
    let mut again = Vec::new();
    request.encode(message.uid, &mut again).expect("it came in a message");
    let mut decoder = Decoder::new(Direction::Request);
    let step = decoder.next(&again).expect("well formed");
    let decoded = step.message.expect("whole");
    assert_eq!(decoded.payload, message.payload);
    assert!(matches!(Checked::decode(&decoded), Ok(Checked::Valid(same)) if same == request));
    assert!(
        matches!(request, Request::Add { id, .. } | Request::Get(id) | Request::Remove(id) | Request::Have(id) if !id.is_empty())
    );
}
