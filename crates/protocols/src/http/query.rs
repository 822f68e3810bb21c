//! Query strings: pairs as written, and percent-decoding.
//!
//! Splitting comes before decoding, so that an encoded `&` or `=` separates nothing. Escapes that are none (`%zz`)
//! are text, as browsers and servers have it.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode;

/// What `+` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plus {
    /// Itself, as in a path or a URL.
    Literal,
    /// A space, as in a form.
    Space,
}

/// The decoded text is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotUtf8;

impl fmt::Display for NotUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("percent-encoded text is not UTF-8")
    }
}

impl std::error::Error for NotUtf8 {}

/// Name and value of each parameter, in order, as written; a parameter without `=` has an empty value. Empty
/// parameters (`&&`) are left out. The query comes without its question mark.
pub fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Percent-decoded bytes; borrowed when nothing was encoded.
pub fn decode_bytes(text: &str, plus: Plus) -> Cow<'_, [u8]> {
    if plus == Plus::Literal || !text.contains('+') {
        return percent_decode(text.as_bytes()).into();
    }
    let spaced: Vec<u8> = text.bytes().map(|byte| if byte == b'+' { b' ' } else { byte }).collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

/// Percent-decoded text; borrowed when nothing was encoded.
pub fn decode(text: &str, plus: Plus) -> Result<Cow<'_, str>, NotUtf8> {
    match decode_bytes(text, plus) {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| NotUtf8),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| NotUtf8),
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, percent_encode, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    /// 4c 20, 21: order, duplicates, encoded separators.
    #[test]
    fn pairs_come_as_written() {
        let query = "b=1&a=2&b=1&c&=d&&e=f=g&h=%26%3D&i;j=k&";
        let expected = [
            ("b", "1"),
            ("a", "2"),
            ("b", "1"),
            ("c", ""),
            ("", "d"),
            ("e", "f=g"),
            ("h", "%26%3D"),
            ("i;j", "k"),
        ];
        assert!(pairs(query).eq(expected));
        assert_eq!(pairs("").count(), 0);
    }

    #[test]
    fn decoding() {
        for (text, literal, space) in [
            ("", "", ""),
            ("a+b", "a+b", "a b"),
            ("a%2Bb", "a+b", "a+b"),
            ("a%20b+", "a b+", "a b "),
            ("%2525", "%25", "%25"),
            ("%zz%4", "%zz%4", "%zz%4"),
            ("%00", "\0", "\0"),
            ("%c3%BC\u{fc}", "\u{fc}\u{fc}", "\u{fc}\u{fc}"),
        ] {
            assert_eq!(decode(text, Plus::Literal).as_deref(), Ok(literal), "{text}");
            assert_eq!(decode(text, Plus::Space).as_deref(), Ok(space), "{text}");
        }
        assert!(matches!(decode("plain", Plus::Space), Ok(Cow::Borrowed("plain"))));
    }

    #[test]
    fn invalid_utf8_is_an_error_but_has_bytes() {
        for text in ["%ff", "a%c3", "+%80"] {
            assert_eq!(decode(text, Plus::Space), Err(NotUtf8), "{text}");
        }
        assert_eq!(&*decode_bytes("a+%ff", Plus::Space), b"a \xff");
        assert_eq!(&*decode_bytes("a+%ff", Plus::Literal), b"a+\xff");
    }

    proptest! {
        #[test]
        fn encoded_text_round_trips(text: String, bytes in proptest::collection::vec(any::<u8>(), 0..32)) {
            let encoded = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(decode(&encoded, Plus::Space), Ok(Cow::Borrowed(&*text)));
            let encoded = percent_encode(&bytes, NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(&*decode_bytes(&encoded, Plus::Literal), &*bytes);
        }

        #[test]
        fn any_text_is_survived(text: String) {
            for (name, value) in pairs(&text) {
                let _ = (decode(name, Plus::Literal), decode(value, Plus::Space));
            }
        }
    }
}
