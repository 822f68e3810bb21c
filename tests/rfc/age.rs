//! Clause 2: age and lifetime (RFC 9111 sections 1.2.2, 4.2.1, 4.2.3, 5.1 and 5.3), and the dates they are made of
//! (RFC 9110 section 5.6.7).

use crate::case::{Cached, Case, Origin, asked_again, case, check, from_now, reused};

/// What a test may take at most, in seconds.
const PATIENCE: u64 = 60;

#[tokio::test]
async fn rfc9111_4_2_3_the_age_is_the_greater_one_of_age_and_the_time_since_date() {
    let dated = |seconds| format!("Date: {}", from_now(seconds));
    let (now, earlier, ahead) = (dated(0), dated(-1000), dated(10_000));
    check([
        reused("Age", &[&now, "Age: 1000", "Cache-Control: max-age=2000"])
            .has_within("age", 1000..=1000 + PATIENCE),
        asked_again("Age beyond the lifetime", &[&now, "Age: 1000", "Cache-Control: max-age=900"]),
        reused("Date", &[&earlier, "Cache-Control: max-age=2000"]).has_within("age", 1000..=1000 + PATIENCE),
        asked_again("Date beyond the lifetime", &[&earlier, "Cache-Control: max-age=900"]),
        reused("Age before Date", &[&earlier, "Age: 1500", "Cache-Control: max-age=2000"])
            .has_within("age", 1500..=1500 + PATIENCE),
        asked_again("Date before Age", &[&earlier, "Age: 10", "Cache-Control: max-age=900"]),
        reused("Date ahead", &[&ahead, "Cache-Control: max-age=2000"]).has_within("age", 0..=PATIENCE),
        asked_again("Date ahead with Age", &[&ahead, "Age: 1000", "Cache-Control: max-age=900"]),
        reused("no Date", &["Cache-Control: max-age=2000"]).has_within("age", 0..=PATIENCE),
        reused("Date is no date", &["Date: soon", "Cache-Control: max-age=2000"])
            .has_within("age", 0..=PATIENCE),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_4_2_fresh_means_that_the_lifetime_exceeds_the_age() {
    check([
        asked_again("as old as its lifetime", &["Age: 100", "Cache-Control: max-age=100"]),
        asked_again("older", &["Age: 101", "Cache-Control: max-age=100"]),
        reused("younger", &["Age: 100", "Cache-Control: max-age=200"]),
        asked_again("no lifetime", &["Cache-Control: max-age=0"]),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_5_1_of_several_ages_the_first_counts_and_what_is_no_number_is_ignored() {
    let control = "Cache-Control: max-age=3600";
    check([
        asked_again("old, then young", &["Age: 7200, 0", control]),
        reused("young, then old", &["Age: 0, 7200", control]),
        asked_again("a line of old, then one of young", &["Age: 7200", "Age: 0", control]),
        reused("a line of young, then one of old", &["Age: 0", "Age: 7200", control]),
        reused("negative", &["Age: -7200", control]).has_within("age", 0..=PATIENCE),
        reused("signed", &["Age: +7200", control]),
        reused("a fraction", &["Age: 7200.0", control]),
        reused("words", &["Age: two hours", control]),
        reused("quoted", &["Age: \"7200\"", control]),
        reused("empty", &["Age:", control]),
        asked_again("white space around", &["Age: \t 7200 ", control]),
        asked_again("leading zeros", &["Age: 0007200", control]),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_1_2_2_great_numbers_saturate() {
    let huge = "99999999999999999999999999";
    let of =
        |age: &str, lifetime: &str| [format!("Age: {age}"), format!("Cache-Control: max-age={lifetime}")];
    let stale = [("2147483648", "2147483648"), (huge, "60"), (huge, huge), ("4294967296", "4294967295")];
    let fresh =
        [("0", huge), ("2147480000", huge), ("2147480000", "4294967297"), ("0", "18446744073709551616")];
    let row = |make: fn(String, &[&str]) -> Case, (age, lifetime): (&str, &str)| {
        let [age, lifetime] = of(age, lifetime);
        make(format!("{age}, {lifetime}"), &[&age, &lifetime])
    };
    let stale = stale.map(|pair| row(asked_again, pair));
    let fresh = fresh.map(|pair| row(reused, pair));
    check(stale.into_iter().chain(fresh)).await;
}

#[tokio::test]
async fn rfc9111_4_2_1_s_maxage_goes_before_max_age_and_that_before_expires() {
    let (later, past) = (format!("Expires: {}", from_now(1000)), format!("Expires: {}", from_now(-1000)));
    check([
        reused("s-maxage is longer", &["Age: 50", "Cache-Control: max-age=10, s-maxage=100"]),
        asked_again("s-maxage is shorter", &["Age: 50", "Cache-Control: max-age=100, s-maxage=10"]),
        reused("max-age, Expires in the past", &["Cache-Control: max-age=100", &past]),
        reused("max-age, Expires is no date", &["Cache-Control: max-age=100", "Expires: 0"]),
        asked_again("max-age=0, Expires ahead", &["Cache-Control: max-age=0", &later]),
        reused("s-maxage, Expires in the past", &["Cache-Control: s-maxage=100", &past]),
        asked_again("max-age is no number, Expires ahead", &["Cache-Control: max-age=soon", &later]),
        reused("another directive, Expires ahead", &["Cache-Control: public, no-transform", &later]),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_4_2_1_expires_is_compared_with_date_and_not_with_our_clock() {
    let of = |date, expires| [format!("Date: {}", from_now(date)), format!("Expires: {}", from_now(expires))];
    let row = |name: &str, make: fn(String, &[&str]) -> Case, date, expires, more: &[&str]| {
        let [date, expires] = of(date, expires);
        make(name.into(), &[&[&*date, &*expires], more].concat())
    };
    check([
        row("its clock is right", reused, 0, 1000, &[]),
        row("expired", asked_again, 0, -1000, &[]),
        row("as old as its lifetime", asked_again, -1000, -100, &[]),
        row("half of it left", reused, -1000, 1000, &[]),
        row("its clock is ahead: lifetime over by Age", asked_again, 100_000, 101_000, &["Age: 1001"]),
        row("its clock is ahead: lifetime left by Age", reused, 100_000, 101_000, &["Age: 900"]),
        row("its clock is ahead: expired then", asked_again, 100_000, 50_000, &[]),
        row("the same moment", asked_again, 0, 0, &[]),
        reused("no Date", &[&of(0, 1000)[1]]),
        reused("Date is no date", &["Date: now", &of(0, 1000)[1]]),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_5_3_expires_that_is_no_date_has_expired() {
    let rows = ["0", "-1", "never", "", "Thu, 01 Jan 1970 00:00:00 GMT", "Tue, 06 Jan 2026 10:00:00 GMT"];
    let (early, late) = (format!("Expires: {}", from_now(-1000)), format!("Expires: {}", from_now(1000)));
    let rows = rows.map(|value| asked_again(format!("{value:?}"), &[&format!("Expires: {value}")]));
    let several = [
        asked_again("the later one first", &[&late, &early]),
        asked_again("the later one last", &[&early, &late]),
        reused("several that agree", &[&late, &late]),
    ];
    check(rows.into_iter().chain(several)).await;
}

/// The three formats of a time so many seconds from now.
fn formats(seconds: i64) -> [String; 3] {
    let fixed = from_now(seconds);
    let parts: Vec<_> = fixed.split([' ', ',']).filter(|part| !part.is_empty()).collect();
    let &[day, number, month, year, time, _] = &parts[..] else { panic!("{fixed}") };
    let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let name = days.into_iter().find(|name| name.starts_with(day)).expect("a day");
    let short = format!("{name}, {number}-{month}-{} {time} GMT", &year[2..]);
    let number: u8 = number.parse().expect("a number");
    [fixed.clone(), short, format!("{day} {month} {number:>2} {time} {year}")]
}

#[tokio::test]
async fn rfc9110_5_6_7_dates_have_three_formats_and_any_case() {
    let spelled = |seconds| {
        formats(seconds).into_iter().flat_map(|date| [date.to_uppercase(), date.to_lowercase(), date])
    };
    let expires =
        spelled(1000).map(|date| reused(format!("Expires: {date}"), &[&format!("Expires: {date}")]));
    let dates = spelled(-1000).map(|date| {
        asked_again(format!("Date: {date}"), &[&format!("Date: {date}"), "Cache-Control: max-age=500"])
    });
    let changes = spelled(-100_000)
        .map(|date| reused(format!("Last-Modified: {date}"), &[&format!("Last-Modified: {date}")]));
    check(expires.chain(dates).chain(changes)).await;
}

#[tokio::test]
async fn rfc9111_4_2_dates_with_another_zone_or_out_of_range_are_none() {
    let [fixed, short, _] = formats(1000);
    let (clock, _) = fixed.rsplit_once(' ').expect("a zone");
    let rows = [
        format!("{clock} UTC"),
        format!("{clock} +0000"),
        format!("{clock} EST"),
        clock.to_owned(),
        fixed.replace(' ', "  "),
        format!("{fixed} GMT"),
        "Sun, 32 Nov 2033 08:49:37 GMT".into(),
        "Wed, 30 Feb 2033 08:49:37 GMT".into(),
        "Sun, 06 Nov 2033 24:49:37 GMT".into(),
        "Sun, 06 Nov 2033 08:60:37 GMT".into(),
        "Sun, 6 Nov 2033 08:49:37 GMT".into(),
        // Two digits that would be more than fifty years ahead are of the past century (RFC 9110 section 5.6.7).
        "Wednesday, 06-Nov-85 08:49:37 GMT".into(),
    ];
    let wrong = rows.map(|date| asked_again(format!("{date:?}"), &[&format!("Expires: {date}")]));
    // A wrong day of the week is no reason to refuse a date.
    let day = if short.starts_with("Sunday") { "Monday" } else { "Sunday" };
    let (_, rest) = short.split_once(',').expect("a day");
    let other_day = format!("Expires: {day},{rest}");
    check(wrong.into_iter().chain([reused(other_day.clone(), &[&other_day])])).await;
}

#[tokio::test]
async fn rfc9111_5_1_an_answer_of_the_cache_tells_its_age_and_keeps_its_date() {
    let date = from_now(-30);
    check([
        case("from the store")
            .origin(200, &[&format!("Date: {date}"), "Cache-Control: max-age=1000"])
            .get(&[], Origin(1))
            .has("date", &date)
            .get(&[], Cached(1))
            .has("date", &date)
            .has_within("age", 30..=30 + PATIENCE),
        case("a clock of ours for those without one")
            .origin(200, &["Cache-Control: max-age=1000"])
            .get(&[], Origin(1))
            .has_some("date")
            .get(&[], Cached(1))
            .has_some("date"),
        case("confirmed: as old as the confirmation says")
            .origin(200, &["Age: 100", "Cache-Control: max-age=50", "ETag: \"v1\""])
            .origin(304, &["Age: 20", "Cache-Control: max-age=50", "ETag: \"v1\""])
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .asking(1)
            .get(&[], Cached(1))
            .has_within("age", 20..=49),
        case("confirmed: young when the confirmation has no age")
            .origin(200, &["Age: 100", "Cache-Control: max-age=90", "ETag: \"v1\""])
            .origin(304, &["ETag: \"v1\""])
            .get(&[], Origin(1))
            .get(&[], Cached(1))
            .asking(1)
            .get(&[], Cached(1))
            .has_within("age", 0..=89),
    ])
    .await;
}
