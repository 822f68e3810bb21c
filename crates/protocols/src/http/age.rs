//! `Age` (RFC 9111 section 5.1).

use http::HeaderMap;
use http::header::AGE;

use super::field::{saturating_number, trim};

/// Greatest age in seconds (RFC 9111 section 1.2.2).
pub const MAX: u64 = 1 << 31;

/// The age in seconds that a response arrived with, at most [`MAX`]; 0 when absent or malformed. Of several members
/// the first counts.
pub fn age(headers: &HeaderMap) -> u64 {
    let first = headers.get(AGE).and_then(|value| value.as_bytes().split(|byte| *byte == b',').next());
    first.and_then(|first| saturating_number(trim(first))).unwrap_or(0).min(MAX)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn of(lines: &[&'static str]) -> u64 {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(AGE, HeaderValue::from_static(line));
        }
        age(&headers)
    }

    /// 4c 40: negative and overflowing ages.
    #[test]
    fn ages() {
        for (lines, seconds) in [
            (&[][..], 0),
            (&["0"], 0),
            (&[" 60 "], 60),
            (&["2147483648"], MAX),
            (&["2147483649"], MAX),
            (&["18446744073709551616"], MAX),
            (&["-1"], 0),
            (&["+1"], 0),
            (&["1.5"], 0),
            (&["an hour"], 0),
            (&[""], 0),
            (&["5, 6"], 5),
            (&["5", "6"], 5),
            (&["x, 6"], 0),
            (&["x", "6"], 0),
        ] {
            assert_eq!(of(lines), seconds, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..32)) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                headers.insert(AGE, value);
            }
            prop_assert!(age(&headers) <= MAX);
        }

        #[test]
        fn numbers_round_trip(seconds in 0..=MAX) {
            let mut headers = HeaderMap::new();
            headers.insert(AGE, HeaderValue::from(seconds));
            prop_assert_eq!(age(&headers), seconds);
        }
    }
}
