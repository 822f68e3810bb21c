//! `Retry-After` (RFC 9110 section 10.2.3).

use std::time::Duration;

use super::date;
use super::field::{saturating_number, trim};

/// How long to wait, seen at `now` (seconds since 1970); zero for a date that has passed, `None` when malformed. The
/// origin can name any time: callers bound it.
pub fn parse(value: &[u8], now: u64) -> Option<Duration> {
    let delay = saturating_number(trim(value));
    let seconds = delay.or_else(|| date::parse(value).map(|time| time.saturating_sub(now)))?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 784_111_777;

    /// 4c 39: Retry-After in all its forms.
    #[test]
    fn delays_and_dates() {
        for (text, seconds) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("18446744073709551616", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(date::MAX - NOW)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("1, 2", None),
            ("soon", None),
        ] {
            assert_eq!(parse(text.as_bytes(), NOW), seconds.map(Duration::from_secs), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..40), now: u64) {
            parse(&bytes, now);
        }

        #[test]
        fn dates_round_trip(now in 0..=date::MAX, time in 0..=date::MAX) {
            let delay = Duration::from_secs(time.saturating_sub(now));
            prop_assert_eq!(parse(date::format(time).as_bytes(), now), Some(delay));
        }
    }
}
