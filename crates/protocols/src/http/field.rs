//! The grammar that HTTP fields share (RFC 9110 section 5.6): white space, tokens, numbers, singleton fields.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Without the optional white space (space and tab) at both ends.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether the byte may be part of a token (RFC 9110 section 5.6.2).
pub(super) fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A number of one or more digits, `u64::MAX` when it is greater; `None` when there is anything but digits.
pub(super) fn saturating_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}

/// The value of a field that must occur once; `None` when it is absent or repeated.
pub(super) fn singleton<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?;
    lines.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trim_takes_spaces_and_tabs_and_nothing_else() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b" \t "), b"");
        assert_eq!(trim(b"\na\r"), b"\na\r");
    }

    #[test]
    fn numbers_saturate_and_refuse_signs() {
        assert_eq!(saturating_number(b"007"), Some(7));
        assert_eq!(saturating_number(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(saturating_number(b"18446744073709551616"), Some(u64::MAX));
        for bad in [&b""[..], b"+5", b"-5", b"0x5", b"1 ", b"1.0"] {
            assert_eq!(saturating_number(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_repeated_singleton_is_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(singleton(&headers, &http::header::DATE), None);
        headers.append(http::header::DATE, HeaderValue::from_static("a"));
        assert!(singleton(&headers, &http::header::DATE).is_some());
        headers.append(http::header::DATE, HeaderValue::from_static("a"));
        assert_eq!(singleton(&headers, &http::header::DATE), None);
    }
}
