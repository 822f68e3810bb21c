//! Which responses are stored, and for how long they are fresh.

use http::header::SET_COOKIE;
use protocols::http::cache_control::MAX;

use super::*;

const HEURISTIC: [u16; 11] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];

fn cc(value: &str) -> Exchange {
    Exchange::with(&[("cache-control", value)])
}

#[test]
fn rfc9111_3_any_final_status_with_explicit_freshness_is_stored() {
    for status in [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599] {
        assert_eq!(cc("max-age=60").status(status).lifetime(), Ok((Basis::MaxAge, 60)), "{status}");
    }
    for (status, refusal) in [
        (100, Unstorable::NotFinal),
        (103, Unstorable::NotFinal),
        (600, Unstorable::NotFinal),
        (999, Unstorable::NotFinal),
        (206, Unstorable::PartialContent),
        (304, Unstorable::NotModified),
    ] {
        assert_eq!(cc("max-age=60").status(status).refusal(), Some(refusal), "{status}");
    }
}

#[test]
fn rfc9111_3_without_freshness_and_validator_nothing_is_stored() {
    for fields in
        [&[][..], &[("date", "x")], &[("cache-control", "must-revalidate")], &[("last-modified", "x")]]
    {
        assert_eq!(Exchange::with(fields).refusal(), Some(Unstorable::NoFreshness), "{fields:?}");
    }
    let tagged = Exchange::with(&[("etag", "\"a\"")]);
    assert_eq!(tagged.lifetime(), Ok((Basis::Nothing, 0)));
    assert_eq!(tagged.status(302).refusal(), Some(Unstorable::StatusNeedsFreshness));
    let public = Exchange::with(&[("etag", "\"a\""), ("cache-control", "public")]);
    assert_eq!(public.status(302).lifetime(), Ok((Basis::Nothing, 0)));
}

#[test]
fn rfc9111_3_other_methods_than_get_are_not_stored() {
    for method in ["HEAD", "PUT", "DELETE", "OPTIONS", "PURGE", "get"] {
        let method = Method::from_bytes(method.as_bytes()).expect(method);
        assert_eq!(cc("max-age=60").method(method).refusal(), Some(Unstorable::Method));
    }
}

#[test]
fn rfc9110_9_3_3_a_post_with_explicit_freshness_and_its_own_content_location_is_stored() {
    let post = |location: &str, control: &str| {
        Exchange::with(&[("content-location", location), ("cache-control", control)]).method(Method::POST)
    };
    for location in ["", "f?q=1", "/dir/f?q=1", "http://A.example:80/dir/f?q=1", "?q=1#part"] {
        assert_eq!(post(location, "max-age=60").lifetime(), Ok((Basis::MaxAge, 60)), "{location}");
    }
    for location in
        ["/dir/f", "f?q=2", "https://a.example/dir/f?q=1", "http://b.example/dir/f?q=1", "http://["]
    {
        assert_eq!(post(location, "max-age=60").refusal(), Some(Unstorable::Method), "{location}");
    }
    let twice = [("content-location", ""), ("content-location", ""), ("cache-control", "max-age=60")];
    assert_eq!(Exchange::with(&twice).method(Method::POST).refusal(), Some(Unstorable::Method));
    assert_eq!(cc("max-age=60").method(Method::POST).refusal(), Some(Unstorable::Method));
    assert_eq!(post("", "max-age=60").status(404).refusal(), Some(Unstorable::Method));
    assert_eq!(post("", "public").refusal(), Some(Unstorable::NoFreshness));
    let ruled = post("", "public").ruled(Overrides { ttl: Some(60), ..Overrides::default() });
    assert_eq!(ruled.refusal(), Some(Unstorable::NoFreshness));
    assert_eq!(post("", "max-age=60").method(Method::PUT).refusal(), Some(Unstorable::Method));
}

#[test]
fn rfc9111_5_2_1_5_nothing_of_a_request_with_no_store_is_stored() {
    let exchange = cc("max-age=60").asking(&[("cache-control", "No-Store")]);
    assert_eq!(exchange.refusal(), Some(Unstorable::RequestNoStore));
    assert_eq!(cc("max-age=60").asking(&[("pragma", "no-cache")]).refusal(), None);
}

#[test]
fn rfc9111_5_2_2_5_no_store_and_rfc9111_5_2_2_7_private_are_not_stored() {
    for (value, refusal) in [
        ("no-store, max-age=60", Unstorable::NoStore),
        ("max-age=60, NO-STORE", Unstorable::NoStore),
        ("private, max-age=60", Unstorable::Private),
        ("Private, s-maxage=60, public", Unstorable::Private),
        ("max-age=60, private=\"a b\"", Unstorable::Private),
    ] {
        assert_eq!(cc(value).refusal(), Some(refusal), "{value}");
    }
}

#[test]
fn rfc9111_5_2_2_7_fields_that_private_lists_are_not_stored() {
    let storable = cc("private=\"a, Set-Cookie\", max-age=60").judged().expect("it is stored");
    assert_eq!(storable.excluded.names(), ["a", "set-cookie"]);
    let stored = fields::stored(&map(&[("a", "1"), ("b", "1"), ("set-cookie", "c")]), &storable.excluded);
    assert_eq!(stored, map(&[("b", "1")]));
}

#[test]
fn rfc9111_5_2_2_4_fields_that_no_cache_lists_need_validation_and_the_rest_does_not() {
    let freshness = cc("no-cache=\"a\", max-age=60").freshness();
    assert_eq!(*freshness.unvalidated, ["a"]);
    assert!(!freshness.demands.has(Demand::NoCache));
}

#[test]
fn rfc9111_5_2_2_4_no_cache_is_stored_for_validation_only() {
    let validated = Exchange::with(&[("cache-control", "no-cache"), ("etag", "\"a\"")]);
    assert!(validated.freshness().demands.has(Demand::NoCache));
    assert_eq!(cc("no-cache, max-age=60").refusal(), Some(Unstorable::NoValidator));
    assert_eq!(cc("no-cache").refusal(), Some(Unstorable::NoFreshness));
}

#[test]
fn rfc9111_5_2_2_3_must_understand_makes_known_statuses_storable_and_others_not() {
    let value = "must-understand, no-store, max-age=60";
    for status in [200, 204, 301, 302, 404, 417, 422, 503] {
        assert_eq!(cc(value).status(status).lifetime(), Ok((Basis::MaxAge, 60)), "{status}");
    }
    for status in [299, 399, 418, 499, 599] {
        assert_eq!(cc(value).status(status).refusal(), Some(Unstorable::NotUnderstood), "{status}");
        let alone = cc("must-understand, max-age=60").status(status);
        assert_eq!(alone.refusal(), Some(Unstorable::NotUnderstood), "{status}");
    }
    assert_eq!(cc("must-understand, private, max-age=60").refusal(), Some(Unstorable::Private));
    // A permission counts only when it is well-formed.
    assert_eq!(cc("must-understand=1, no-store, max-age=60").refusal(), Some(Unstorable::NoStore));
}

/// 4c 41: requests with credentials.
#[test]
fn rfc9111_3_5_answers_to_authorization_need_a_directive() {
    let asking = |value: &str| cc(value).asking(&[("authorization", "Basic YQ==")]);
    for value in ["max-age=60", "max-age=60, proxy-revalidate", "max-age=60, immutable"] {
        assert_eq!(asking(value).refusal(), Some(Unstorable::Authorization), "{value}");
    }
    for value in ["max-age=60, public", "max-age=60, must-revalidate", "s-maxage=60"] {
        assert_eq!(asking(value).refusal(), None, "{value}");
    }
    let expires = Exchange::with(&[("expires", &at(60))]).asking(&[("authorization", "x")]);
    assert_eq!(expires.refusal(), Some(Unstorable::Authorization));
}

/// 4c 41: cookies.
#[test]
fn rfc9111_7_3_cookies_are_stored_unless_a_rule_says_otherwise() {
    let exchange = Exchange::with(&[("cache-control", "max-age=60"), ("set-cookie", "a=b")])
        .asking(&[("cookie", "a=b")]);
    assert!(exchange.judged().expect("it is stored").excluded.names().is_empty());
    let rule = |set_cookie| Overrides { set_cookie, ..Overrides::default() };
    let stripped = exchange.clone().ruled(rule(SetCookie::Strip)).judged().expect("it is stored");
    assert_eq!(stripped.excluded.names(), [SET_COOKIE]);
    assert_eq!(exchange.ruled(rule(SetCookie::Refuse)).refusal(), Some(Unstorable::SetCookie));
    assert_eq!(cc("max-age=60").ruled(rule(SetCookie::Refuse)).refusal(), None);
}

/// 4c 22.
#[test]
fn rfc9111_4_1_vary_asterisk_is_not_stored() {
    for value in ["*", "foo, *", ", *"] {
        let exchange = Exchange::with(&[("cache-control", "max-age=60"), ("vary", value)]);
        assert_eq!(exchange.refusal(), Some(Unstorable::VaryAny), "{value}");
    }
    let mut exchange = Exchange::with(&[("cache-control", "max-age=60"), ("vary", "a, b")]);
    assert_eq!(exchange.refusal(), None);
    exchange.settings.vary_fields = 1;
    assert_eq!(exchange.refusal(), Some(Unstorable::VaryAny));
}

#[test]
fn answers_to_fields_of_one_request_are_not_stored_for_others() {
    for (status, name) in [(412, "if-match"), (412, "if-modified-since"), (416, "range"), (417, "expect")] {
        let exchange = cc("max-age=60").status(status);
        assert_eq!(exchange.refusal(), None, "{status}");
        let refusal = exchange.asking(&[(name, "x")]).refusal();
        assert_eq!(refusal, Some(Unstorable::AnswersFields), "{status} {name}");
    }
}

#[test]
fn rfc9111_4_2_1_s_maxage_wins_over_max_age_and_max_age_over_expires() {
    let later = at(1000);
    for (control, expected) in [
        ("max-age=3600, s-maxage=1", (Basis::SMaxAge, 1)),
        ("max-age=1, s-maxage=3600", (Basis::SMaxAge, 3600)),
        ("max-age=60", (Basis::MaxAge, 60)),
        ("max-age=0", (Basis::MaxAge, 0)),
        ("max-age=x", (Basis::MaxAge, 0)),
        ("s-maxage=x, max-age=60", (Basis::SMaxAge, 0)),
        ("max-age=99999999999", (Basis::MaxAge, MAX)),
        ("foo", (Basis::Expires, 1000)),
        ("", (Basis::Expires, 1000)),
    ] {
        let exchange = Exchange::with(&[("cache-control", control), ("expires", &later), ("date", &at(0))]);
        assert_eq!(exchange.lifetime(), Ok(expected), "{control}");
    }
    assert!(cc("s-maxage=1").freshness().demands.has(Demand::SMaxAge));
    assert!(!cc("max-age=1").freshness().demands.has(Demand::SMaxAge));
}

/// 4c 40: dates in 1970 and 2100, and clocks that differ.
#[test]
fn rfc9111_4_2_1_expires_counts_from_date() {
    for (expires, date, lifetime) in [
        (at(60), Some(at(0)), 60),
        (at(60), Some(at(-3600)), 3660),
        (at(3660), Some(at(3600)), 60),
        (at(300), Some(at(400)), 0),
        (at(0), Some(at(0)), 0),
        (at(-60), Some(at(0)), 0),
        (at(60), None, 60),
        (at(60), Some("garbage".to_owned()), 60),
        ("Fri, 31 Dec 9999 23:59:59 GMT".to_owned(), Some("Thu, 01 Jan 1970 00:00:00 GMT".to_owned()), MAX),
        ("Sunday, 06-Nov-94 08:50:37 GMT".to_owned(), None, 60),
        ("Sun Nov  6 08:50:37 1994".to_owned(), None, 60),
        ("sUN, 06 nOV 1994 08:50:37 gmt".to_owned(), None, 60),
    ] {
        let mut fields = vec![("expires", expires.as_str())];
        fields.extend(date.as_deref().map(|date| ("date", date)));
        assert_eq!(Exchange::with(&fields).lifetime(), Ok((Basis::Expires, lifetime)), "{fields:?}");
    }
}

#[test]
fn rfc9111_5_3_expires_that_is_no_date_has_expired() {
    for value in [
        "0",
        "-1",
        "",
        "garbage",
        "Thu, 18 Aug 2050 02:01:18 UTC",
        "Thu, 18 Aug 50 02:01:18 GMT",
        "Thu, 18-Aug-2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 2:01:18 GMT",
    ] {
        let fields = [("expires", value), ("last-modified", &at(-1000))];
        assert_eq!(Exchange::with(&fields).lifetime(), Ok((Basis::Expires, 0)), "{value}");
    }
}

#[test]
fn rfc9111_4_2_1_of_several_expires_the_most_restrictive_counts() {
    for (one, other, lifetime) in
        [(at(60), at(30), 30), (at(30), at(60), 30), (at(60), "0".to_owned(), 0), ("0".to_owned(), at(60), 0)]
    {
        let exchange = Exchange::with(&[("expires", &one), ("expires", &other)]);
        assert_eq!(exchange.lifetime(), Ok((Basis::Expires, lifetime)));
    }
}

#[test]
fn rfc9111_4_2_2_a_tenth_of_the_time_since_last_modified() {
    let day = 24 * 60 * 60;
    for (last_modified, date, lifetime) in [
        (-1000, Some(0), 100),
        (-1000, None, 100),
        (-1000, Some(1000), 200),
        (-9, Some(0), 0),
        (1000, Some(0), 0),
        (-10 * day, Some(0), 86_400),
        (-11 * day, Some(0), 86_400),
        (-9000 * day, Some(0), 86_400),
    ] {
        let (last_modified, date) = (at(last_modified), date.map(at));
        let mut fields = vec![("last-modified", last_modified.as_str())];
        fields.extend(date.as_deref().map(|date| ("date", date)));
        assert_eq!(Exchange::with(&fields).lifetime(), Ok((Basis::Heuristic, lifetime)), "{fields:?}");
    }
    let mut exchange = Exchange::with(&[("last-modified", &at(-1000))]);
    exchange.settings.heuristic_max = Duration::from_secs(7);
    assert_eq!(exchange.lifetime(), Ok((Basis::Heuristic, 7)));
}

#[test]
fn rfc9111_4_2_2_heuristics_never_go_before_explicit_freshness() {
    for (name, value) in [("cache-control", "max-age=0"), ("cache-control", "s-maxage=0"), ("expires", "0")] {
        let exchange = Exchange::with(&[(name, value), ("last-modified", &at(-1000))]);
        assert_eq!(exchange.freshness().lifetime, 0, "{name}: {value}");
    }
}

#[test]
fn rfc9110_15_1_lifetimes_are_guessed_for_some_statuses_and_with_public_for_all() {
    let guessed = Exchange::with(&[("last-modified", &at(-1000))]);
    let public = Exchange::with(&[("last-modified", &at(-1000)), ("cache-control", "public")]);
    for status in (200..600).filter(|status| ![206, 304].contains(status)) {
        let lifetime = guessed.clone().status(status).lifetime();
        let expected = if HEURISTIC.contains(&status) {
            Ok((Basis::Heuristic, 100))
        } else {
            Err(Unstorable::StatusNeedsFreshness)
        };
        assert_eq!(lifetime, expected, "{status}");
        assert_eq!(public.clone().status(status).lifetime(), Ok((Basis::Heuristic, 100)), "{status}");
    }
}

#[test]
fn rfc9111_5_4_pragma_of_a_response_means_nothing() {
    let exchange = Exchange::with(&[("cache-control", "max-age=60"), ("pragma", "no-cache")]);
    assert!(!exchange.freshness().demands.has(Demand::NoCache));
}

#[test]
fn rfc9213_2_2_a_valid_targeted_field_stands_in_place_of_cache_control_and_expires() {
    let judge = |cdn: &str, control: &str| {
        let expires = at(1000);
        let fields = [("cdn-cache-control", cdn), ("cache-control", control), ("expires", &expires)];
        Exchange::with(&fields).lifetime()
    };
    for (cdn, control, expected) in [
        ("max-age=3600", "max-age=1", Ok((Basis::MaxAge, 3600))),
        ("max-age=1", "max-age=3600", Ok((Basis::MaxAge, 1))),
        ("max-age=0", "", Ok((Basis::MaxAge, 0))),
        ("max-age=60", "no-store", Ok((Basis::MaxAge, 60))),
        ("max-age=60", "private", Ok((Basis::MaxAge, 60))),
        ("no-store", "max-age=60", Err(Unstorable::NoStore)),
        ("private", "max-age=60", Err(Unstorable::Private)),
        ("no-cache", "max-age=60", Err(Unstorable::NoFreshness)),
        ("foo", "max-age=60", Err(Unstorable::NoFreshness)),
        ("max-age=\"60\"", "max-age=60", Err(Unstorable::NoFreshness)),
        ("max-age=60, &&&&&", "no-store", Err(Unstorable::NoStore)),
        ("MaX-aGe=60", "max-age=1", Ok((Basis::MaxAge, 1))),
        ("max-age =60", "max-age=1", Ok((Basis::MaxAge, 1))),
        ("", "", Ok((Basis::Expires, 1000))),
    ] {
        assert_eq!(judge(cdn, control), expected, "{cdn}; {control}");
    }
}

#[test]
fn rfc9213_2_2_an_operators_own_target_goes_first() {
    let own = HeaderName::from_static("standpipe-cache-control");
    let fields = [("cdn-cache-control", "max-age=1"), ("standpipe-cache-control", "max-age=2")];
    let mut exchange = Exchange::with(&fields);
    assert_eq!(exchange.lifetime(), Ok((Basis::MaxAge, 1)));
    exchange.settings.targets.insert(0, own);
    assert_eq!(exchange.lifetime(), Ok((Basis::MaxAge, 2)));
    exchange.settings.targets.clear();
    assert_eq!(exchange.refusal(), Some(Unstorable::NoFreshness));
}

#[test]
fn rfc5861_stale_limits_come_from_the_origin_or_a_rule() {
    let exchange = cc("max-age=1, stale-while-revalidate=2, stale-if-error=3");
    let limits = |exchange: &Exchange| {
        let freshness = exchange.freshness();
        (freshness.stale_while_revalidate, freshness.stale_if_error)
    };
    assert_eq!(limits(&exchange), (2, Some(3)));
    assert_eq!(limits(&cc("max-age=1")), (0, None));
    let rule =
        Overrides { stale_while_revalidate: Some(20), stale_if_error: Some(0), ..Overrides::default() };
    assert_eq!(limits(&exchange.ruled(rule.clone())), (20, Some(0)));
    assert_eq!(limits(&cc("max-age=1").ruled(rule)), (20, Some(0)));
}

#[test]
fn a_rules_ttl_goes_before_the_origins_but_not_before_its_prohibitions() {
    let rule = Overrides { ttl: Some(600), ..Overrides::default() };
    let judge = |value: &str, status| cc(value).status(status).ruled(rule.clone()).lifetime();
    assert_eq!(judge("max-age=60", 200), Ok((Basis::RuleTtl, 600)));
    assert_eq!(judge("", 302), Ok((Basis::RuleTtl, 600)));
    assert_eq!(judge("max-age=60", 500), Ok((Basis::MaxAge, 60)));
    assert_eq!(judge("", 404), Err(Unstorable::NoFreshness));
    let errors = Overrides { ttl_covers: Covers::AllStatuses, ..rule.clone() };
    assert_eq!(cc("max-age=60").status(404).ruled(errors.clone()).lifetime(), Ok((Basis::RuleTtl, 600)));
    assert_eq!(cc("").status(503).ruled(errors).lifetime(), Ok((Basis::RuleTtl, 600)));
    assert_eq!(judge("no-store", 200), Err(Unstorable::NoStore));
    assert_eq!(judge("private", 200), Err(Unstorable::Private));

    let rule = Overrides { directives: Directives::Ignored, ..rule };
    for value in ["no-store", "private", "no-cache", "must-revalidate, max-age=0"] {
        let exchange = cc(value).ruled(rule.clone());
        assert_eq!(exchange.lifetime(), Ok((Basis::RuleTtl, 600)), "{value}");
        assert_eq!(exchange.freshness().demands, Demands::default(), "{value}");
    }
    let targeted = Exchange::with(&[("cdn-cache-control", "no-store"), ("expires", "0")]).ruled(rule.clone());
    assert_eq!(targeted.lifetime(), Ok((Basis::RuleTtl, 600)));
    let authorized = cc("public").asking(&[("authorization", "x")]).ruled(rule);
    assert_eq!(authorized.refusal(), Some(Unstorable::Authorization));
}

#[test]
fn a_rules_default_ttl_counts_when_the_origin_names_none() {
    let rule = Overrides { default_ttl: Some(600), ..Overrides::default() };
    let judge = |fields: &[(&str, &str)], status| {
        Exchange::with(fields).status(status).ruled(rule.clone()).lifetime()
    };
    assert_eq!(judge(&[], 200), Ok((Basis::RuleDefault, 600)));
    assert_eq!(judge(&[("last-modified", &at(-1000))], 200), Ok((Basis::RuleDefault, 600)));
    assert_eq!(judge(&[("cache-control", "max-age=60")], 200), Ok((Basis::MaxAge, 60)));
    assert_eq!(judge(&[("expires", "0")], 200), Ok((Basis::Expires, 0)));
    assert_eq!(judge(&[], 302), Err(Unstorable::StatusNeedsFreshness));
    assert_eq!(judge(&[], 404), Err(Unstorable::NoFreshness));
}

/// 4c 39: errors are remembered by rule only.
#[test]
fn a_rules_error_ttl_counts_for_its_statuses_when_the_origin_names_none() {
    let ttl = |from, to, seconds| StatusTtl { from, to, seconds };
    let error_ttls = vec![ttl(404, 404, 30), ttl(400, 499, 10), ttl(200, 599, 5)];
    let rule = Overrides { error_ttls, ..Overrides::default() };
    let judge = |value: &str, status| cc(value).status(status).ruled(rule.clone()).lifetime();
    assert_eq!(judge("", 404), Ok((Basis::RuleError, 30)));
    assert_eq!(judge("", 403), Ok((Basis::RuleError, 10)));
    assert_eq!(judge("", 503), Ok((Basis::RuleError, 5)));
    assert_eq!(judge("max-age=60", 404), Ok((Basis::MaxAge, 60)));
    assert_eq!(judge("no-store", 404), Err(Unstorable::NoStore));
    assert_eq!(judge("", 200), Err(Unstorable::NoFreshness));
}

#[test]
fn a_rules_bypass_stores_nothing() {
    let rule = Overrides { traffic: Traffic::Bypassed, ..Overrides::default() };
    assert_eq!(cc("max-age=60").ruled(rule).refusal(), Some(Unstorable::RuleBypass));
}

#[test]
fn rfc9111_4_3_4_a_304_gives_the_stored_response_a_new_record() {
    let before = Exchange::with(&[("cache-control", "max-age=1"), ("etag", "\"a\"")]);
    let answer = map(&[("cache-control", "max-age=60"), ("cache-control", "private=\"x\""), ("x", "1")]);
    let merged = fields::updated(&before.answered, &answer);
    let storable = Exchange { answered: merged.clone(), ..before.clone() }.judged().expect("it stays stored");
    assert_eq!(storable.freshness.lifetime, 60);
    assert!(!fields::stored(&merged, &storable.excluded).contains_key("x"));

    let merged = fields::updated(&before.answered, &map(&[("cache-control", "no-store")]));
    assert_eq!(Exchange { answered: merged, ..before }.refusal(), Some(Unstorable::NoStore));
}
