//! `Repr-Digest` and `Content-Digest` (RFC 9530): SHA-256 in and out. Other algorithms are passed over.

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::field::{is_tchar, trim};

/// Digest of the whole representation.
pub const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// Digest of the bytes of one message.
pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// A parser of byte sequences should not insist on padding (RFC 9651 section 4.2.7).
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The SHA-256 in the field `name` ([`REPR_DIGEST`] or [`CONTENT_DIGEST`]), of all its lines; of several the last
/// (RFC 9651 section 4.2.2). `None` when there is none or the field is malformed.
pub fn sha256(headers: &HeaderMap, name: &HeaderName) -> Option<[u8; 32]> {
    let mut digest = None;
    for line in headers.get_all(name) {
        for_each_member(line.as_bytes(), |key, encoded| {
            let bytes = LENIENT.decode(encoded).ok()?;
            if key == b"sha-256" {
                digest = Some(bytes.try_into().ok()?);
            }
            Some(())
        })?;
    }
    digest
}

/// The value of `Repr-Digest` or `Content-Digest`: `sha-256=:…:`.
pub fn header_value(sha256: &[u8; 32]) -> HeaderValue {
    let text = format!("sha-256=:{}:", STANDARD.encode(sha256));
    HeaderValue::try_from(text).expect("base64 is visible ASCII")
}

/// Key and base64 of each member of a dictionary whose values are byte sequences, as RFC 9530 demands; `None` when it
/// is anything else.
fn for_each_member<'a>(
    line: &'a [u8],
    mut visit: impl FnMut(&'a [u8], &'a [u8]) -> Option<()>,
) -> Option<()> {
    let mut rest = trim(line);
    while !rest.is_empty() {
        let (name, after) = key(rest)?;
        let (encoded, after) = byte_sequence(after.strip_prefix(b"=")?)?;
        visit(name, encoded)?;
        let after = trim(parameters(after)?);
        if after.is_empty() {
            break;
        }
        rest = trim(after.strip_prefix(b",")?);
        // A comma at the end is an error (RFC 9651 section 4.2.2).
        (!rest.is_empty()).then_some(())?;
    }
    Some(())
}

/// RFC 9651 section 4.2.3.3.
fn key(text: &[u8]) -> Option<(&[u8], &[u8])> {
    matches!(text.first()?, b'a'..=b'z' | b'*').then_some(())?;
    Some(split_while(text, |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*')))
}

/// Between two colons.
fn byte_sequence(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b":")?;
    let end = text.iter().position(|byte| *byte == b':')?;
    Some((&text[..end], &text[end + 1..]))
}

/// What follows the parameters. They mean nothing here, but may stand there.
fn parameters(mut text: &[u8]) -> Option<&[u8]> {
    while let Some(after) = text.strip_prefix(b";") {
        let spaces = after.iter().take_while(|byte| **byte == b' ').count();
        let (_, after) = key(&after[spaces..])?;
        text = match after.strip_prefix(b"=") {
            Some(value) => bare_item(value)?,
            None => after,
        };
    }
    Some(text)
}

/// What follows a bare item: a string, a byte sequence, or a word (token, number, boolean, date).
fn bare_item(text: &[u8]) -> Option<&[u8]> {
    match text.first()? {
        b':' => byte_sequence(text).map(|(_, rest)| rest),
        b'"' => string(&text[1..]),
        _ => {
            let (word, rest) =
                split_while(text, |byte| is_tchar(byte) || matches!(byte, b':' | b'/' | b'?' | b'@'));
            (!word.is_empty()).then_some(rest)
        }
    }
}

/// What follows the closing quote.
fn string(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        text = match text {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', b'"' | b'\\', rest @ ..] | [b' '..=b'[' | b']'..=b'~', rest @ ..] => rest,
            _ => return None,
        };
    }
}

fn split_while(text: &[u8], belongs: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| !belongs(*byte)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// SHA-256 of `{"hello": "world"}` and a line feed, from RFC 9530.
    const EXAMPLE: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
    const FIRST: [u8; 2] = [0x44, 0xaf];

    fn parse(lines: &[&str]) -> Option<[u8; 32]> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(REPR_DIGEST, HeaderValue::from_str(line).expect(line));
        }
        sha256(&headers, &REPR_DIGEST)
    }

    #[test]
    fn the_sha256_is_found_among_others() {
        let unpadded = EXAMPLE.replace("=:", ":").replace("256:", "256=:");
        for lines in [
            &[EXAMPLE][..],
            &[&format!("  {EXAMPLE} ")],
            &[&unpadded],
            &[&format!("sha-512=:AAAA:,{EXAMPLE}")],
            &[&format!("md5=:AAAA:;a;b=1.5; c=\"x\\\",;\";d=:AA:;e=?1 \t, {EXAMPLE};f")],
            &["unixsum=::", EXAMPLE],
            &[EXAMPLE, ""],
            &[&format!("sha-256=:{}:, {EXAMPLE}", "A".repeat(43))],
        ] {
            let digest = parse(lines).unwrap_or_else(|| panic!("{lines:?}"));
            assert_eq!(digest[..2], FIRST, "{lines:?}");
            assert_eq!(header_value(&digest), EXAMPLE);
        }
    }

    #[test]
    fn malformed_fields_are_none() {
        let short = EXAMPLE.replace("RK/0", "");
        let long = EXAMPLE.replace("RK/0", "RK/0RK/0");
        for text in [
            "",
            "sha-256",
            "sha-256=",
            "sha-256=:",
            "sha-256=::",
            "sha-256=:!:",
            "sha-256=abc",
            "SHA-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
            "sha-256:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
            "sha-256=RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=",
            "sha-512=:AAAA:",
            &short,
            &long,
            &format!("{EXAMPLE},"),
            &format!(",{EXAMPLE}"),
            &format!("{EXAMPLE} {EXAMPLE}"),
            &format!("{EXAMPLE}, md5"),
            &format!("{EXAMPLE}, md5=1"),
            &format!("{EXAMPLE};"),
            &format!("{EXAMPLE};a="),
            &format!("{EXAMPLE};a=\"b"),
            &format!("{EXAMPLE};A=1"),
            &format!("{EXAMPLE}, sha-256=:AAAA:"),
        ] {
            assert_eq!(parse(&[text]), None, "{text}");
        }
        assert_eq!(parse(&[EXAMPLE, "broken"]), None);
    }

    proptest! {
        #[test]
        fn digests_round_trip(digest: [u8; 32]) {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_DIGEST, header_value(&digest));
            prop_assert_eq!(sha256(&headers, &CONTENT_DIGEST), Some(digest));
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for_each_member(&bytes, |_, _| Some(()));
        }

        #[test]
        fn nearly_digests_are_survived(text in "(sha-256=:|[:;, =\"\\\\]|[A-Za-z0-9+/]){0,40}") {
            parse(&[&text]);
        }
    }
}
