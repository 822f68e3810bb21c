//! Freshness against an oracle: the sentences of RFC 9111 sections 4.2 to 4.2.3 in 128-bit milliseconds over lists of text,
//! with no code in common with what it judges but the date that a number is written as.

use http::header::{AGE, CACHE_CONTROL, DATE, EXPIRES, LAST_MODIFIED};
use proptest::prelude::*;

use super::*;
use protocols::http::cache_control::RequestControl;

use crate::head::{Answered as Arrived, Head, Terms, Wish};

/// A date field as the test writes it.
#[derive(Clone, Debug)]
enum Moment {
    Absent,
    Garbage,
    /// Seconds from [`NOW`].
    At(i64),
}

/// Something in `Cache-Control`.
#[derive(Clone, Debug)]
enum Said {
    MaxAge(Number),
    SMaxAge(Number),
    Other(&'static str),
}

#[derive(Clone, Debug)]
enum Number {
    Plain(u128),
    Quoted(u128),
    Broken(&'static str),
}

#[derive(Clone, Debug)]
struct Response {
    said: Vec<Said>,
    expires: Vec<Moment>,
    date: Moment,
    last_modified: Moment,
    age: Option<Number>,
    status: u16,
    /// Milliseconds between the request and the response.
    delay: u64,
    /// Milliseconds between the response and the moment of judgement.
    resident: u64,
}

fn moment() -> impl Strategy<Value = Moment> {
    prop_oneof![
        2 => Just(Moment::Absent),
        1 => Just(Moment::Garbage),
        8 => prop_oneof![-200..200_i64, -4_000_000..4_000_000_i64, Just(-784_111_777), Just(8_000_000_000_i64)]
            .prop_map(Moment::At),
    ]
}

fn number() -> impl Strategy<Value = Number> {
    let plain =
        || prop_oneof![0..200_u128, 0..4_000_000_u128, Just(1 << 31), Just((1 << 31) + 1), any::<u128>()];
    prop_oneof![
        6 => plain().prop_map(Number::Plain),
        2 => plain().prop_map(Number::Quoted),
        1 => proptest::sample::select(vec!["", "x", "-1", "1.5", "1x", "'1'"]).prop_map(Number::Broken),
    ]
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        3 => number().prop_map(Said::MaxAge),
        2 => number().prop_map(Said::SMaxAge),
        2 => proptest::sample::select(vec![
            "public", "foo", "ext=\"max-age=7\"", "ext=\"a, s-maxage=7\"", "stale-if-error=5", "immutable",
        ])
        .prop_map(Said::Other),
    ]
}

prop_compose! {
    fn response()(
        said in proptest::collection::vec(said(), 0..4),
        expires in prop_oneof![Just(vec![]), proptest::collection::vec(moment(), 1..3)],
        date in moment(),
        last_modified in moment(),
        age in proptest::option::of(number()),
        status in proptest::sample::select(vec![200_u16, 203, 204, 299, 301, 302, 404, 500, 501]),
        delay in 0..5_000_u64,
        resident in prop_oneof![0..1_000_u64, 0..400_000_u64, 0..5_000_000_000_u64],
    ) -> Response {
        Response { said, expires, date, last_modified, age, status, delay, resident }
    }
}

impl Number {
    fn text(&self) -> String {
        match self {
            Self::Plain(number) => number.to_string(),
            Self::Quoted(number) => format!("\"{number}\""),
            Self::Broken(text) => (*text).to_owned(),
        }
    }

    /// "consider responses that have invalid freshness information to be stale"; 2^31 at most.
    fn seconds(&self) -> u128 {
        match self {
            Self::Plain(number) | Self::Quoted(number) => (*number).min(1 << 31),
            Self::Broken(_) => 0,
        }
    }
}

impl Moment {
    fn text(&self) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::Garbage => Some("garbage".to_owned()),
            Self::At(offset) => Some(at(*offset)),
        }
    }

    fn seconds(&self) -> Option<i128> {
        match self {
            Self::Absent | Self::Garbage => None,
            Self::At(offset) => Some((i128::from(NOW) + i128::from(*offset)).max(0)),
        }
    }
}

impl Response {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut add = |name: HeaderName, text: Option<String>| {
            headers.extend(text.map(|text| (name, HeaderValue::try_from(text).expect("a value"))));
        };
        for (number, said) in self.said.iter().enumerate() {
            // Every second name in capitals: case does not count.
            let text = match said {
                Said::MaxAge(seconds) if number % 2 == 0 => format!("max-age={}", seconds.text()),
                Said::MaxAge(seconds) => format!("MAX-AGE={}", seconds.text()),
                Said::SMaxAge(seconds) => format!("S-MaxAge={}", seconds.text()),
                Said::Other(text) => (*text).to_owned(),
            };
            add(CACHE_CONTROL, Some(text));
        }
        for expires in &self.expires {
            add(EXPIRES, expires.text());
        }
        add(DATE, self.date.text());
        add(LAST_MODIFIED, self.last_modified.text());
        add(AGE, self.age.as_ref().map(Number::text));
        headers
    }

    /// RFC 9111 sections 4.2.1 and 4.2.2: seconds, and `None` when there is no lifetime at all.
    fn freshness_lifetime(&self) -> Option<u128> {
        let all = |choose: fn(&Said) -> Option<&Number>| {
            self.said.iter().filter_map(choose).map(Number::seconds).min()
        };
        let s_maxage = all(|said| if let Said::SMaxAge(number) = said { Some(number) } else { None });
        let max_age = all(|said| if let Said::MaxAge(number) = said { Some(number) } else { None });
        let date_value = self.date.seconds().unwrap_or(i128::from(NOW));
        let written: Vec<_> =
            self.expires.iter().filter(|expires| !matches!(expires, Moment::Absent)).collect();
        let expires = written.iter().map(|expires| match expires.seconds() {
            Some(expires) => u128::try_from(expires - date_value).unwrap_or(0).min(1 << 31),
            None => 0,
        });
        let public = self.said.iter().any(|said| matches!(said, Said::Other("public")));
        let may_guess =
            public || [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501].contains(&self.status);
        let guess = self.last_modified.seconds().filter(|_| may_guess);
        let guess =
            guess.map(|modified| u128::try_from((date_value - modified) / 10).unwrap_or(0).min(86_400));
        s_maxage.or(max_age).or(expires.min()).or(guess)
    }

    /// RFC 9111 section 4.2.3, in milliseconds.
    fn current_age(&self) -> u128 {
        let response_time = i128::from(NOW) * 1000;
        let date_value = self.date.seconds().map_or(response_time, |date| date * 1000);
        let apparent_age = u128::try_from(response_time - date_value).unwrap_or(0);
        let age_value = match &self.age {
            Some(Number::Plain(seconds)) => (*seconds).min(1 << 31) * 1000,
            // A quoted age is none; RFC 9111 section 5.1 lets a cache ignore it.
            _ => 0,
        };
        let corrected_age_value = age_value + u128::from(self.delay);
        apparent_age.max(corrected_age_value) + u128::from(self.resident)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn rfc9111_4_2_freshness_is_what_the_text_says(response in response()) {
        let headers = response.headers();
        let arrived = Timestamp(NOW * 1000);
        let now = Timestamp(NOW * 1000 + response.resident);
        let exchange = Exchange { answered: headers.clone(), status: response.status, ..Exchange::new() };
        let lifetime = response.freshness_lifetime();
        match exchange.judged() {
            Ok(storable) => {
                let freshness = storable.freshness;
                prop_assert_eq!(Some(u128::from(freshness.lifetime)), lifetime, "{:?}", freshness.basis);
                let answered = Arrived {
                    status: StatusCode::OK,
                    headers: &headers,
                    asked_at: Timestamp(arrived.0 - response.delay),
                    answered_at: arrived,
                    reach: crate::NamedBy::Client,
                };
                let wish = Wish { keep_until: now, stale_for: Duration::ZERO };
                let head = Head::sent(answered, headers.clone(), Terms::default(), wish);
                let age = head.age(now);
                prop_assert_eq!(age.as_millis(), response.current_age());
                let is_fresh = lifetime.unwrap_or(0) * 1000 > response.current_age();
                prop_assert_eq!(freshness.is_fresh(age), is_fresh);
                let since_validated = head.since_validated(now);
                let stored = Stored { freshness: &freshness, age, since_validated };
                let reuse = decide(stored, RequestControl::default(), &Settings::default());
                prop_assert_eq!(reuse == Reuse::Fresh(FreshBecause::Lifetime), is_fresh);
            }
            Err(refusal) => {
                prop_assert_eq!(lifetime, None, "{:?}", refusal);
                let known = [Unstorable::NoFreshness, Unstorable::StatusNeedsFreshness];
                prop_assert!(known.contains(&refusal), "{:?}", refusal);
            }
        }
    }
}
