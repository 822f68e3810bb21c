//! HTTP dates (RFC 9110 section 5.6.7): three formats in, one out.
//!
//! Times are whole seconds since 1970-01-01 00:00:00 UTC. Any case is accepted and the weekday is not compared with
//! the date, because both occur and neither makes a date ambiguous; everything else is strict.
//!
//! A two-digit year (RFC 850 format) from 70 is taken as 19xx, a smaller one as 20xx. From 2019 to 2069 this is what
//! the RFC's "at most 50 years in the future" demands, without a clock.

use http::HeaderValue;

/// Greatest time that has a four-digit year: 9999-12-31 23:59:59.
pub const MAX: u64 = 253_402_300_799;

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const DAY_SECONDS: u64 = 86_400;

/// Seconds since 1970 of an HTTP-date in any of its three formats; 0 for times before 1970. `None` when malformed.
pub fn parse(value: &[u8]) -> Option<u64> {
    let (weekday, rest) = split_weekday(super::field::trim(value))?;
    match (weekday, rest) {
        (Weekday::Short, [b',', b' ', rest @ ..]) => imf_fixdate(rest),
        (Weekday::Long, [b',', b' ', rest @ ..]) => rfc850(rest),
        (Weekday::Short, [b' ', rest @ ..]) => asctime(rest),
        _ => None,
    }
}

/// The time as IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT`; times after [`MAX`] as [`MAX`].
pub fn format(seconds: u64) -> String {
    let seconds = seconds.min(MAX);
    let days = seconds / DAY_SECONDS;
    let (year, month, day) = civil(days);
    // 1970-01-01 was a Thursday.
    let weekday = DAYS[((days + 3) % 7) as usize];
    let month = String::from_utf8_lossy(MONTHS[month as usize - 1]);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT", &weekday[..3])
}

/// [`format()`] as a field value.
pub fn header_value(seconds: u64) -> HeaderValue {
    HeaderValue::try_from(format(seconds)).expect("a formatted date is ASCII")
}

enum Weekday {
    Short,
    Long,
}

fn split_weekday(value: &[u8]) -> Option<(Weekday, &[u8])> {
    let (name, rest) = value.split_at(value.iter().position(|byte| !byte.is_ascii_alphabetic())?);
    DAYS.iter().find_map(|day| {
        if name.eq_ignore_ascii_case(day.as_bytes()) {
            return Some((Weekday::Long, rest));
        }
        name.eq_ignore_ascii_case(&day.as_bytes()[..3]).then_some((Weekday::Short, rest))
    })
}

/// `06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(value: &[u8]) -> Option<u64> {
    let [d1, d2, b' ', m1, m2, m3, b' ', y1, y2, y3, y4, b' ', rest @ ..] = value else { return None };
    let (clock, zone) = rest.split_at_checked(8)?;
    is_gmt(zone).then_some(())?;
    let year = two_digits(*y1, *y2)? * 100 + two_digits(*y3, *y4)?;
    seconds(year, month([*m1, *m2, *m3])?, two_digits(*d1, *d2)?, time_of_day(clock)?)
}

/// `06-Nov-94 08:49:37 GMT`
fn rfc850(value: &[u8]) -> Option<u64> {
    let [d1, d2, b'-', m1, m2, m3, b'-', y1, y2, b' ', rest @ ..] = value else { return None };
    let (clock, zone) = rest.split_at_checked(8)?;
    is_gmt(zone).then_some(())?;
    let year = match two_digits(*y1, *y2)? {
        short @ 70.. => 1900 + short,
        short => 2000 + short,
    };
    seconds(year, month([*m1, *m2, *m3])?, two_digits(*d1, *d2)?, time_of_day(clock)?)
}

/// `Nov  6 08:49:37 1994`
fn asctime(value: &[u8]) -> Option<u64> {
    let [m1, m2, m3, b' ', d1, d2, b' ', rest @ ..] = value else { return None };
    let (clock, rest) = rest.split_at_checked(8)?;
    let [b' ', y1, y2, y3, y4] = rest else { return None };
    let tens = if *d1 == b' ' { b'0' } else { *d1 };
    let year = two_digits(*y1, *y2)? * 100 + two_digits(*y3, *y4)?;
    seconds(year, month([*m1, *m2, *m3])?, two_digits(tens, *d2)?, time_of_day(clock)?)
}

fn is_gmt(zone: &[u8]) -> bool {
    zone.eq_ignore_ascii_case(b" GMT")
}

fn two_digits(tens: u8, ones: u8) -> Option<u64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| u64::from(tens - b'0') * 10 + u64::from(ones - b'0'))
}

/// 1 to 12.
fn month(name: [u8; 3]) -> Option<u64> {
    MONTHS.iter().zip(1..).find_map(|(month, number)| name.eq_ignore_ascii_case(*month).then_some(number))
}

/// Seconds since midnight of `08:49:37`; a leap second is the first second of the next minute.
fn time_of_day(clock: &[u8]) -> Option<u64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = clock else { return None };
    let (hour, minute, second) = (two_digits(*h1, *h2)?, two_digits(*m1, *m2)?, two_digits(*s1, *s2)?);
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

fn seconds(year: u64, month: u64, day: u64, time_of_day: u64) -> Option<u64> {
    if day == 0 || day > days_in_month(year, month) {
        return None;
    }
    if year < 1970 {
        return Some(0);
    }
    Some(days_since_1970(year, month, day) * DAY_SECONDS + time_of_day)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// For years from 1970. Years are counted from March, so that the leap day is the last one.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let year = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - DAYS_TO_1970
}

/// From 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: u64 = 719_468;

/// Year, month and day; the inverse of [`days_since_1970`].
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = (shifted + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: u64 = 784_111_777;

    #[test]
    fn all_three_formats_in_any_case_and_with_any_weekday() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "sUN, 06 nOV 1994 08:49:37 gmt",
            "  Sun, 06 Nov 1994 08:49:37 GMT\t",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "tuesday, 06-NOV-94 08:49:37 gmt",
            "Sun Nov  6 08:49:37 1994",
            "SUN NOV 06 08:49:37 1994",
        ] {
            assert_eq!(parse(text.as_bytes()), Some(EXAMPLE), "{text}");
        }
    }

    #[test]
    fn malformed_dates_are_none() {
        for text in [
            "",
            "0",
            "Sun",
            "Sun,",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 23:60:00 GMT",
            "Sun, 06 Nov 1994 23:59:61 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 29 Feb 1900 08:49:37 GMT",
            "Sun, 29 Feb 1993 08:49:37 GMT",
            "Sun, 06 Nav 1994 08:49:37 GMT",
            "Son, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov  6 08:49:37 1994 GMT",
            "Sun,  06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GM\u{212a}",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    /// 4c 40: dates in 1970, before, and far ahead.
    #[test]
    fn edges_of_the_calendar() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Thu, 01 Jan 1970 00:00:01 GMT", 1),
            ("Wed, 31 Dec 1969 23:59:59 GMT", 0),
            ("Mon, 01 Jan 0000 00:00:00 GMT", 0),
            ("Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400),
            ("Fri, 01 Jan 2100 00:00:00 GMT", 4_102_444_800),
            ("Fri, 31 Dec 9999 23:59:59 GMT", MAX),
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
            ("Thursday, 01-Jan-70 00:00:00 GMT", 0),
            ("Tuesday, 01-Jan-69 00:00:00 GMT", 3_124_224_000),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(seconds), "{text}");
        }
    }

    #[test]
    fn formatting_saturates() {
        assert_eq!(format(EXAMPLE), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(format(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(format(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(header_value(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    proptest! {
        #[test]
        fn what_is_formatted_is_parsed(seconds in 0..=MAX) {
            prop_assert_eq!(parse(format(seconds).as_bytes()), Some(seconds));
        }

        #[test]
        fn formats_like_httpdate(seconds in 0..=MAX) {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            prop_assert_eq!(format(seconds), httpdate::fmt_http_date(time));
        }

        #[test]
        fn reads_what_httpdate_reads(text in "(Sun|Monday|Thu),? [ 0-9]{2}[ -](Jan|Feb|Nov)[ -][12][0-9]{1,3} [0-2][0-9]:[0-5][0-9]:[0-6][0-9] GMT") {
            if let Ok(time) = httpdate::parse_http_date(&text) {
                let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
                prop_assert_eq!(parse(text.as_bytes()), Some(seconds));
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            parse(&bytes);
        }

        #[test]
        fn nearly_dates_are_survived(text in "(Sun|Sunday)(, | )[0-9 A-Za-z:-]{0,30}") {
            parse(text.as_bytes());
        }
    }
}
