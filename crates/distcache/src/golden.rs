//! The worked examples of the protocol, captured from the C programs. Tests only.

/// Hexadecimal digits, spaces between them as one likes.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// Requests and replies, in the order in which one server answers them. The examples G restart at uid 1.
pub(crate) const MESSAGES: [(&str, &str); 30] = [
    (
        "A ADD",
        "00110000 00 00000001 00 00 01 001c 0000ea60 00000008 4142434445464748 73657373696f6e2d64617461",
    ),
    ("A ADD reply", "00110000 01 00000001 00 00 01 0001 00"),
    ("B ADD again", "00110000 00 00000002 00 00 01 0015 0000ea60 00000008 4142434445464748 6f74686572"),
    ("B reply", "00110000 01 00000002 00 00 01 0001 65"),
    ("C HAVE", "00110000 00 00000003 00 03 01 0008 4142434445464748"),
    ("C reply", "00110000 01 00000003 00 03 01 0001 00"),
    ("D GET", "00110000 00 00000004 00 01 01 0008 4142434445464748"),
    ("D reply", "00110000 01 00000004 00 01 01 000c 73657373696f6e2d64617461"),
    ("E REMOVE", "00110000 00 00000005 00 02 01 0008 4142434445464748"),
    ("E reply", "00110000 01 00000005 00 02 01 0001 00"),
    ("E REMOVE again", "00110000 00 00000006 00 02 01 0008 4142434445464748"),
    ("E reply again", "00110000 01 00000006 00 02 01 0001 01"),
    ("F HAVE miss", "00110000 00 00000007 00 03 01 0008 4142434445464748"),
    ("F reply", "00110000 01 00000007 00 03 01 0001 01"),
    ("F GET miss", "00110000 00 deadbeef 00 01 01 0008 4142434445464748"),
    ("F GET reply", "00110000 01 deadbeef 00 01 01 0001 01"),
    ("G seven days", "00110000 00 00000001 00 00 01 000b 240c8400 00000002 6131 64"),
    ("G reply", "00110000 01 00000001 00 00 01 0001 00"),
    ("G one more ms", "00110000 00 00000001 00 00 01 000b 240c8401 00000002 6132 64"),
    ("G reply 102", "00110000 01 00000001 00 00 01 0001 66"),
    ("H id length 50", "00110000 00 00000001 00 00 01 000b 000003e8 00000032 616263"),
    ("H reply 100", "00110000 01 00000001 00 00 01 0001 64"),
    ("H id length 0", "00110000 00 00000001 00 00 01 000b 000003e8 00000000 616263"),
    ("H reply 103", "00110000 01 00000001 00 00 01 0001 67"),
    ("I GET without id", "00110000 00 00000001 00 01 01 0000"),
    ("I reply", "00110000 01 00000001 00 01 01 0001 01"),
    ("M GET", "00110000 00 00000002 00 01 01 0008 4142434445464748"),
    ("M reply, a miss here", "00110000 01 00000002 00 01 01 0001 01"),
    ("N HAVE", "00110000 00 00000009 00 03 01 0008 4142434445464748"),
    ("N reply, a miss here", "00110000 01 00000009 00 03 01 0001 01"),
];

/// The 5000 bytes of example J.
pub(crate) fn big_session() -> Vec<u8> {
    (0..5000_u32).map(|at| (at % 251) as u8).collect()
}

/// Example J: id "big5000", uid 9.
pub(crate) fn big_add() -> Vec<u8> {
    let session = big_session();
    let (first, rest) = session.split_at(2033);
    let (second, third) = rest.split_at(2048);
    [
        &unhex("00110000 00 00000009 00 00 00 0800 0000ea60 00000007 62696735303030")[..],
        first,
        &unhex("00110000 00 00000009 00 00 00 0800"),
        second,
        &unhex("00110000 00 00000009 00 00 01 0397"),
        third,
    ]
    .concat()
}

/// Example K: the reply to a GET of J, uid 10.
pub(crate) fn big_get_reply() -> Vec<u8> {
    let session = big_session();
    [
        &unhex("00110000 01 0000000a 00 01 00 0800")[..],
        &session[..2048],
        &unhex("00110000 01 0000000a 00 01 00 0800"),
        &session[2048..4096],
        &unhex("00110000 01 0000000a 00 01 01 0388"),
        &session[4096..],
    ]
    .concat()
}

/// Example O: an OpenSSL session of 158 bytes under a 32-byte id, 299022 ms.
pub(crate) fn apache_add() -> Vec<u8> {
    let id = [0x5a; 32];
    let mut bytes = unhex("00110000 00 00000001 00 00 01 00c6 0004900e 00000020");
    bytes.extend(id);
    bytes.extend(unhex("30819b 020101 02020303 0402c030 0420"));
    bytes.extend(id);
    bytes.extend(unhex("0430"));
    bytes.resize(14 + 0xc6, 0x77);
    bytes
}
