//! Golden bytes, every split, and what is malformed. Covers user-demand 4c, number 75.

use proptest::prelude::*;

use super::*;
use crate::golden::{self, unhex};

fn decode_all(direction: Direction, pieces: &[&[u8]]) -> Result<Vec<(u32, Operation, Vec<u8>)>, Malformed> {
    let mut decoder = Decoder::new(direction);
    let (mut held, mut messages) = (Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            let step = decoder.next(&held)?;
            let used = step.used;
            let message = step.message.map(|m| (m.uid, m.operation, m.payload.to_vec()));
            held.drain(..used);
            match message {
                Some(message) => messages.push(message),
                None => break,
            }
        }
    }
    Ok(messages)
}

#[test]
fn every_worked_example_is_decoded_and_encoded_to_the_same_bytes() {
    for (name, text) in golden::MESSAGES {
        let bytes = unhex(text);
        let direction = if bytes[4] == 0 { Direction::Request } else { Direction::Response };
        let messages = decode_all(direction, &[&bytes]).expect(name);
        assert_eq!(messages.len(), 1, "{name}");
        let (uid, operation, payload) = &messages[0];
        let mut out = Vec::new();
        encode(&mut out, direction, *uid, *operation, &[payload]).expect(name);
        assert_eq!(out, bytes, "{name}");
    }
}

#[test]
fn the_multi_frame_examples_have_the_frames_of_the_specification() {
    let (add, reply) = (golden::big_add(), golden::big_get_reply());
    let heads = |bytes: &[u8]| {
        let mut found = Vec::new();
        let mut rest = bytes;
        while let Ok(Some(header)) = Header::decode(rest) {
            found.push((header.place, header.length));
            rest = &rest[HEADER + usize::from(header.length)..];
        }
        found
    };
    assert_eq!(heads(&add), [(Place::Inner, 2048), (Place::Inner, 2048), (Place::Last, 919)]);
    assert_eq!(heads(&reply), [(Place::Inner, 2048), (Place::Inner, 2048), (Place::Last, 0x388)]);
    assert_eq!(decode_all(Direction::Request, &[&add]).expect("well formed")[0].2.len(), 5015);
}

#[test]
fn no_cut_changes_what_is_decoded() {
    let mut stream = golden::big_add();
    stream.extend(unhex(golden::MESSAGES[0].1));
    let whole = decode_all(Direction::Request, &[&stream]).expect("well formed");
    for cut in 0..=stream.len() {
        let (first, second) = stream.split_at(cut);
        assert_eq!(
            decode_all(Direction::Request, &[first, second]).expect("well formed"),
            whole,
            "cut at {cut}"
        );
    }
    let bytes: Vec<_> = stream.chunks(1).collect();
    assert_eq!(decode_all(Direction::Request, &bytes).expect("well formed"), whole);
}

// C peers act on garbage when a read ends one to four bytes before the end of a frame.
#[test]
fn nothing_is_decoded_before_the_last_byte_is_there() {
    let stream = golden::big_add();
    for cut in 0..stream.len() {
        assert_eq!(decode_all(Direction::Request, &[&stream[..cut]]), Ok(Vec::new()), "cut at {cut}");
    }
}

// 75
#[test]
fn malformed_frames_are_named() {
    let good = unhex("00110000 00 00000001 00 01 01 0004 41424344");
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let table = [
        (with(0, 1), Malformed::Version),
        (with(1, 0x10), Malformed::Version),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), Malformed::Version),
        (b"GET /".to_vec(), Malformed::Version),
        (with(4, 1), Malformed::Direction),
        (with(4, 2), Malformed::Direction),
        (with(9, 1), Malformed::Class),
        (with(10, 4), Malformed::Operation),
        (with(11, 2), Malformed::Complete),
        (unhex("00110000 00 00000001 00 01 01 0801"), Malformed::Length),
        (unhex("00110000 00 00000001 00 01 01 ffff"), Malformed::Length),
        (with(11, 0), Malformed::Length),
        (unhex("00110000 00 00000001 00 01 00 07ff"), Malformed::Length),
    ];
    for (bytes, expected) in table {
        assert_eq!(decode_all(Direction::Request, &[&bytes]), Err(expected), "{bytes:02x?}");
    }
    for patch in 0..=255 {
        let bytes = with(3, patch);
        assert_eq!(decode_all(Direction::Request, &[&bytes]).map(|messages| messages.len()), Ok(1));
    }
}

#[test]
fn a_fragment_of_four_bytes_waits() {
    assert_eq!(decode_all(Direction::Request, &[b"GET "]), Ok(Vec::new()));
}

fn inner(uid: u32, operation: Operation) -> Vec<u8> {
    let place = Place::Inner;
    let header = Header { direction: Direction::Request, uid, operation, place, length: 2048 };
    [&header.encode()[..], &[7; 2048]].concat()
}

// 75
#[test]
fn a_continuation_must_continue() {
    let first = inner(1, Operation::Get);
    for second in [inner(2, Operation::Get), inner(1, Operation::Have)] {
        assert_eq!(decode_all(Direction::Request, &[&first, &second]), Err(Malformed::Continuation));
    }
}

// 75
#[test]
fn a_payload_may_have_32768_bytes_and_not_one_more() {
    let frames = inner(1, Operation::Get).repeat(16);
    let last = |length: usize| {
        let mut bytes = Vec::new();
        let data = vec![0; length];
        encode(&mut bytes, Direction::Request, 1, Operation::Get, &[&data]).expect("short");
        bytes
    };
    let messages = decode_all(Direction::Request, &[&frames, &last(0)]).expect("tolerated");
    assert_eq!(messages[0].2.len(), PAYLOAD);
    assert_eq!(decode_all(Direction::Request, &[&frames, &last(1)]), Err(Malformed::Payload));
    let mut out = b"before".to_vec();
    let long = vec![0; PAYLOAD + 1];
    let refused = encode(&mut out, Direction::Request, 1, Operation::Get, &[&long]);
    assert_eq!((refused, &out[..]), (Err(Malformed::Payload), &b"before"[..]));
}

#[test]
fn a_payload_of_full_frames_ends_with_a_full_frame() {
    for (length, frames) in [(0, 1), (1, 1), (2048, 1), (2049, 2), (4096, 2), (PAYLOAD, 16)] {
        let mut out = Vec::new();
        let payload = vec![3; length];
        encode(&mut out, Direction::Response, 9, Operation::Get, &[&payload]).expect("fits");
        assert_eq!(out.len(), length + frames * HEADER);
        assert_eq!(decode_all(Direction::Response, &[&out]).expect("well formed")[0].2, payload);
    }
}

proptest! {
    #[test]
    fn any_messages_in_any_pieces_come_out_as_they_went_in(
        messages in proptest::collection::vec((any::<u32>(), 0..4_u8, 0..7000_usize, any::<u8>()), 1..6),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
    ) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for (uid, operation, length, fill) in messages {
            let operation = Operation::from_byte(operation).expect("below 4");
            let payload = vec![fill; length];
            encode(&mut stream, Direction::Response, uid, operation, &[&payload]).expect("fits");
            expected.push((uid, operation, payload));
        }
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts.into_iter().chain([stream.len()]) {
            pieces.push(&stream[start..cut]);
            start = cut;
        }
        prop_assert_eq!(decode_all(Direction::Response, &pieces), Ok(expected));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..200_usize) {
        let mut bytes = bytes;
        // Most get past the version.
        bytes.splice(..0, [0, 0x11]);
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        let _ = decode_all(Direction::Request, &[first, second]);
    }
}
