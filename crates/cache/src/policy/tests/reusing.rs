//! What a stored response answers.

use protocols::http::cache_control::RequestControl;

use super::*;

/// A stored response with this `Cache-Control`, so many seconds old, confirmed as long ago.
struct Entry {
    freshness: Freshness,
    age: Duration,
    since_validated: Duration,
}

fn entry(control: &str, age: u64) -> Entry {
    let exchange = Exchange::with(&[("cache-control", control), ("etag", "\"a\"")]);
    let age = Duration::from_secs(age);
    Entry { freshness: exchange.freshness(), age, since_validated: age }
}

fn request(control: &str) -> RequestControl {
    RequestControl::from_lines([control.as_bytes()])
}

impl Entry {
    fn stored(&self) -> Stored<'_> {
        Stored { freshness: &self.freshness, age: self.age, since_validated: self.since_validated }
    }

    fn confirmed(self, seconds_ago: u64) -> Self {
        Self { since_validated: Duration::from_secs(seconds_ago), ..self }
    }

    fn asked(&self, control: &str) -> Reuse {
        decide(self.stored(), request(control), &Settings::default())
    }

    fn on_error(&self, control: &str, trouble: Trouble) -> Result<(), NotOnError> {
        may_serve_on_error(self.stored(), request(control), trouble, &Settings::default())
    }
}

const FRESH: Reuse = Reuse::Fresh(FreshBecause::Lifetime);
const STALE: Reuse = Reuse::Validate(ValidateBecause::Stale);

#[test]
fn rfc9111_4_2_fresh_within_the_lifetime_and_stale_from_its_end() {
    assert_eq!(entry("max-age=10", 0).asked(""), FRESH);
    assert_eq!(entry("max-age=10", 9).asked(""), FRESH);
    assert_eq!(entry("max-age=10", 10).asked(""), STALE);
    assert_eq!(entry("max-age=0", 0).asked(""), STALE);
    let mut nearly = entry("max-age=10", 0);
    nearly.age = Duration::from_millis(9_999);
    assert_eq!(nearly.asked(""), FRESH);
    assert_eq!(entry("max-age=99999999999", 1 << 30).asked(""), FRESH);
}

#[test]
fn rfc9111_5_2_2_4_no_cache_is_always_validated() {
    let validate = Reuse::Validate(ValidateBecause::NoCache);
    for control in ["", "max-stale", "max-age=1000", "min-fresh=1"] {
        assert_eq!(entry("max-age=60, no-cache", 0).asked(control), validate, "{control}");
    }
}

#[test]
fn rfc9111_5_2_1_1_max_age_of_a_request_limits_the_age() {
    let validate = Reuse::Validate(ValidateBecause::RequestMaxAge);
    assert_eq!(entry("max-age=3600", 600).asked("max-age=600"), FRESH);
    assert_eq!(entry("max-age=3600", 601).asked("max-age=600"), validate);
    // The age counts from the origin, not from when we got it.
    assert_eq!(entry("max-age=3600", 1800).confirmed(5).asked("max-age=600"), validate);
    assert_eq!(entry("max-age=3600", 601).asked("max-age=600, max-stale"), validate);
    assert_eq!(entry("max-age=3600", 60).asked("max-age=0"), validate);
    // Who names an age does not want stale answers.
    assert_eq!(entry("max-age=10, stale-while-revalidate=60", 20).asked("max-age=600"), STALE);
    assert_eq!(entry("max-age=10", 20).asked("max-age=5"), validate);
}

#[test]
fn rfc9111_5_2_1_2_max_stale_allows_stale_answers() {
    let stale = Reuse::Stale(StaleBecause::MaxStale);
    assert_eq!(entry("max-age=10", 15).asked("max-stale=5"), stale);
    assert_eq!(entry("max-age=10", 16).asked("max-stale=5"), STALE);
    assert_eq!(entry("max-age=10", 1 << 31).asked("max-stale"), stale);
    assert_eq!(entry("max-age=10", 16).asked("max-stale=5, max-stale"), STALE);
    assert_eq!(entry("max-age=10", 15).asked("max-stale=5, max-age=20"), stale);
    assert_eq!(entry("max-age=10", 5).asked("max-stale=5"), FRESH);
    // Its limit also binds stale-while-revalidate.
    assert_eq!(entry("max-age=10, stale-while-revalidate=60", 16).asked("max-stale=5"), STALE);
}

#[test]
fn rfc9111_4_2_4_what_forbids_stale_answers_forbids_max_stale_and_stale_while_revalidate() {
    for (control, because) in [
        ("max-age=10, must-revalidate", ValidateBecause::MustRevalidate),
        ("max-age=10, proxy-revalidate", ValidateBecause::ProxyRevalidate),
        ("s-maxage=10", ValidateBecause::SMaxAge),
    ] {
        let control = format!("{control}, stale-while-revalidate=600");
        assert_eq!(entry(&control, 9).asked(""), FRESH, "{control}");
        assert_eq!(entry(&control, 11).asked("max-stale"), Reuse::Validate(because), "{control}");
        assert_eq!(entry(&control, 11).asked(""), Reuse::Validate(because), "{control}");
    }
}

#[test]
fn rfc9111_5_2_1_3_min_fresh_demands_a_rest_of_the_lifetime() {
    let validate = Reuse::Validate(ValidateBecause::RequestMinFresh);
    assert_eq!(entry("max-age=1500", 500).asked("min-fresh=1000"), FRESH);
    assert_eq!(entry("max-age=1500", 501).asked("min-fresh=1000"), validate);
    assert_eq!(entry("max-age=1500", 0).asked("min-fresh=99999999999"), validate);
    assert_eq!(entry("max-age=10", 11).asked("min-fresh=1, max-stale"), validate);
    assert_eq!(entry("max-age=10", 9).confirmed(0).asked("no-cache, min-fresh=5"), validate);
}

#[test]
fn rfc9111_5_2_1_4_no_cache_of_a_request_demands_validation() {
    let validate = Reuse::Validate(ValidateBecause::RequestNoCache);
    assert_eq!(entry("max-age=60", 5).asked("no-cache"), validate);
    assert_eq!(entry("max-age=60, immutable", 5).asked("no-cache"), validate);
    assert_eq!(entry("max-age=10", 11).asked("no-cache, max-stale"), validate);
    assert_eq!(entry("max-age=10, stale-while-revalidate=60", 11).asked("no-cache"), validate);
}

#[test]
fn a_floor_of_seconds_keeps_herds_of_reloads_from_the_origin() {
    let floored = Reuse::Fresh(FreshBecause::ReloadFloor);
    for control in ["no-cache", "max-age=0"] {
        assert_eq!(entry("max-age=60", 0).asked(control), floored, "{control}");
        assert_eq!(entry("max-age=60", 5).confirmed(0).asked(control), floored, "{control}");
        assert!(
            matches!(entry("max-age=60", 5).confirmed(1).asked(control), Reuse::Validate(_)),
            "{control}"
        );
        // It never makes a stale response fresh.
        assert!(matches!(entry("max-age=5", 5).confirmed(0).asked(control), Reuse::Validate(_)), "{control}");
        let none = Settings { reload_floor: Duration::ZERO, ..Settings::default() };
        let reuse = decide(entry("max-age=60", 0).stored(), request(control), &none);
        assert!(matches!(reuse, Reuse::Validate(_)), "{control}");
    }
}

#[test]
fn rfc8246_2_immutable_is_not_validated_by_reloads_while_fresh() {
    let immutable = Reuse::Fresh(FreshBecause::Immutable);
    assert_eq!(entry("max-age=60, immutable", 5).asked("max-age=0"), immutable);
    assert_eq!(entry("max-age=60, immutable", 5).asked(""), FRESH);
    assert!(matches!(entry("max-age=60, immutable", 60).asked("max-age=0"), Reuse::Validate(_)));
    assert_eq!(entry("max-age=60, immutable", 60).asked(""), STALE);
    assert!(matches!(entry("max-age=60, immutable, no-cache", 5).asked("max-age=0"), Reuse::Validate(_)));
}

#[test]
fn rfc5861_3_stale_while_revalidate() {
    let control = "max-age=10, stale-while-revalidate=30";
    assert_eq!(entry(control, 9).asked(""), FRESH);
    assert_eq!(entry(control, 10).asked(""), Reuse::StaleWhileRevalidate);
    assert_eq!(entry(control, 39).asked(""), Reuse::StaleWhileRevalidate);
    assert_eq!(entry(control, 40).asked(""), STALE);
    assert_eq!(entry("max-age=10, stale-while-revalidate=0", 10).asked(""), STALE);
    assert_eq!(entry("max-age=10, stale-while-revalidate=x", 10).asked(""), STALE);
}

#[test]
fn rfc9111_5_2_1_7_only_if_cached_gets_what_is_stored_or_504() {
    assert_eq!(entry("max-age=10", 5).asked("only-if-cached"), FRESH);
    let unavailable = Reuse::Unavailable(ValidateBecause::Stale);
    assert_eq!(entry("max-age=10", 15).asked("only-if-cached"), unavailable);
    let stale = Reuse::Stale(StaleBecause::MaxStale);
    assert_eq!(entry("max-age=10", 15).asked("only-if-cached, max-stale"), stale);
    let unavailable = Reuse::Unavailable(ValidateBecause::RequestNoCache);
    assert_eq!(entry("max-age=10", 5).asked("only-if-cached, no-cache"), unavailable);
}

#[test]
fn rfc9111_5_2_1_5_no_store_of_a_request_does_not_keep_it_from_being_answered() {
    assert_eq!(entry("max-age=10", 5).asked("no-store"), FRESH);
}

const DAY: u64 = 24 * 60 * 60;
const FAILED: Trouble = Trouble::Status(StatusCode::SERVICE_UNAVAILABLE);

#[test]
fn rfc9111_4_2_4_an_origin_that_is_not_reached_is_stood_in_for_within_a_bound() {
    assert_eq!(entry("max-age=10", 11).on_error("", Trouble::Unreachable), Ok(()));
    assert_eq!(entry("max-age=10", 10 + DAY).on_error("", Trouble::Unreachable), Ok(()));
    let late = entry("max-age=10", 11 + DAY);
    assert_eq!(late.on_error("", Trouble::Unreachable), Err(NotOnError::TooStale));
    // A request's wishes give way, but not to what it says of no use at all.
    for control in ["max-age=0", "max-age=5, min-fresh=5", "max-stale=1"] {
        assert_eq!(entry("max-age=10", 15).on_error(control, Trouble::Unreachable), Ok(()), "{control}");
    }
    let forbidden = Err(NotOnError::Forbidden(ValidateBecause::RequestNoCache));
    assert_eq!(entry("max-age=10", 5).on_error("no-cache", Trouble::Unreachable), forbidden);
}

#[test]
fn rfc9111_4_2_4_what_forbids_stale_answers_forbids_them_on_errors() {
    for (control, because) in [
        ("no-cache", ValidateBecause::NoCache),
        ("must-revalidate", ValidateBecause::MustRevalidate),
        ("proxy-revalidate", ValidateBecause::ProxyRevalidate),
        ("s-maxage=10", ValidateBecause::SMaxAge),
    ] {
        let stale = entry(&format!("max-age=10, stale-if-error=600, {control}"), 11);
        for trouble in [Trouble::Unreachable, FAILED] {
            let expected = Err(NotOnError::Forbidden(because));
            assert_eq!(stale.on_error("", trouble), expected, "{control} {trouble:?}");
        }
    }
    // While it is fresh and only a request wants it confirmed, none of them but no-cache counts.
    assert_eq!(entry("max-age=10, must-revalidate", 5).on_error("max-age=0", FAILED), Ok(()));
    let forbidden = Err(NotOnError::Forbidden(ValidateBecause::NoCache));
    assert_eq!(entry("max-age=10, no-cache", 5).on_error("", Trouble::Unreachable), forbidden);
}

/// 4c 39: 500, 502, 503, and what only looks like them.
#[test]
fn rfc5861_4_stale_if_error() {
    let allowed = "max-age=10, stale-if-error=60";
    for status in [500, 502, 503, 504, 507, 520, 599] {
        let trouble = Trouble::Status(StatusCode::from_u16(status).expect("a status"));
        assert_eq!(entry(allowed, 70).on_error("", trouble), Ok(()), "{status}");
        assert_eq!(entry(allowed, 71).on_error("", trouble), Err(NotOnError::TooStale), "{status}");
        assert_eq!(entry("max-age=10", 11).on_error("", trouble), Err(NotOnError::NotAllowed), "{status}");
    }
    for status in [200, 304, 404, 410, 429, 501, 505] {
        let trouble = Trouble::Status(StatusCode::from_u16(status).expect("a status"));
        assert_eq!(entry(allowed, 11).on_error("", trouble), Err(NotOnError::Answer), "{status}");
    }
    // The origin's own limit goes before the operator's bound, also when it is not reached.
    assert_eq!(entry(allowed, 71).on_error("", Trouble::Unreachable), Err(NotOnError::TooStale));
    assert_eq!(entry("max-age=10, stale-if-error=0", 10).on_error("", FAILED), Err(NotOnError::TooStale));
    assert_eq!(
        entry(&format!("max-age=10, stale-if-error={}", 9 * DAY), 8 * DAY).on_error("", Trouble::Unreachable),
        Ok(())
    );
}
