use http::StatusCode;

use super::*;

fn url(query: &str) -> String {
    Params::parse(query).unwrap().url.into_owned()
}

fn refusal(query: &str) -> (StatusCode, &'static str, String) {
    let refusal = Params::parse(query).unwrap_err();
    (refusal.status, refusal.reason, refusal.detail.to_string())
}

/// user-demand 4c: 18, 20, 21.
#[test]
fn a_url_is_decoded_once_whether_encoded_or_pasted_raw() {
    let cases = [
        // Encoded, as LAVA does with quote_plus.
        ("url=https%3A%2F%2Fh%2Fa+b%2Bc", "https://h/a b+c"),
        ("url=https%3A%2F%2Fh%2Fa%2520b", "https://h/a%20b"),
        ("url=https%3A%2F%2Fh%2Fp%3Fx%3D1%26y%3D2", "https://h/p?x=1&y=2"),
        ("url=https%3A%2F%2Fh%2Fp&y=2", "https://h/p"),
        ("foo=1&url=https%3A%2F%2Fh%2Fp&&bar", "https://h/p"),
        ("u%72l=https%3A%2F%2Fh%2Fp", "https://h/p"),
        // Raw, as Linaro's test definitions do.
        ("url=https://h/p", "https://h/p"),
        ("url=https://h/c++/a+b", "https://h/c++/a+b"),
        ("url=https://h/p?x=1&y=2&&z", "https://h/p?x=1&y=2&&z"),
        ("url=https://h/p?a=1&b=2&a=0", "https://h/p?a=1&b=2&a=0"),
        ("url=https://h/p?x=1&ttl=1d&y=2", "https://h/p?x=1&y=2"),
        ("foo=1&url=https://h/p", "https://h/p"),
        ("url=https://h/p?next=http://i/", "https://h/p?next=http://i/"),
        // Half encoded, as Tezos does.
        ("url=https://h/p%3Fx=1%26y=2", "https://h/p?x=1&y=2"),
        ("url=https://h/c%23/a", "https://h/c%23/a"),
        ("url=https://h/é", "https://h/é"),
        // The last one counts, and what follows belongs to it.
        ("url=https://h/1?x&a=1&url=https://h/2?y&b=2", "https://h/2?y&b=2"),
        ("url=https://h/1&url=https%3A%2F%2Fh%2F2&b=2", "https://h/2"),
        // Nothing there.
        ("", ""),
        ("url", ""),
        ("url=", ""),
        ("ttl=1d", ""),
        ("URL=https://h/p", ""),
    ];
    for (query, expected) in cases {
        assert_eq!(url(query), expected, "{query}");
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_by_name() {
    for (query, reason) in [
        ("url=%ff", "url_invalid"),
        ("url=https://h/%c3", "url_invalid"),
        ("url=+%c3", "url_invalid"),
        ("url=x&ttl=%ff", "ttl_invalid"),
        ("url=x&passheaders=%ff", "passheaders_invalid"),
        ("url=x&sha256=%ff", "sha256_invalid"),
        ("url=x&revalidate=%ff", "revalidate_invalid"),
    ] {
        let (status, found, detail) = refusal(query);
        assert_eq!((status, found), (StatusCode::BAD_REQUEST, reason), "{query}");
        let name = reason.trim_end_matches("_invalid");
        assert!(
            detail.starts_with(&format!("the parameter {name} ")) && detail.contains("UTF-8"),
            "{detail}"
        );
    }
}

#[test]
fn ttl_is_a_number_and_a_unit() {
    let cases = [
        ("1d", DAY),
        ("18d", 18 * DAY),
        ("5h", 5 * HOUR),
        ("34m", 34 * MINUTE),
        ("500s", 500),
        ("42s", 42),
        ("+1d", DAY),
        ("%2B1d", DAY),
        (" 1 d ", DAY),
        ("007s", 7),
        ("36500d", 36500 * DAY),
    ];
    for (text, seconds) in cases {
        // The last one counts.
        let query = format!("ttl=9s&ttl={text}");
        assert_eq!(Params::parse(&query).unwrap().ttl, Some(Duration::from_secs(seconds)), "{text}");
    }
    assert_eq!(Params::parse("url=x").unwrap().ttl, None);
}

#[test]
fn a_wrong_ttl_is_refused_with_what_is_wrong() {
    let cases = [
        ("", "empty"),
        ("5", "no unit"),
        (
            "42t",
            "unknown unit `t`; give a whole number above 0 with one unit of d (days), h (hours), m (minutes) or s",
        ),
        ("5min", "unknown unit `min`"),
        ("5ms", "unknown unit `ms`"),
        ("10%25", "no unit"),
        ("1D", "unknown unit"),
        ("1w", "unknown unit"),
        ("1é", "unknown unit"),
        ("d", "one number"),
        ("1d2h", "one number"),
        ("1_0d", "one number"),
        ("%2B%2B1d", "one number"),
        ("1.5h", "one number"),
        ("0x1d", "one number"),
        ("-1s", "negative"),
        ("0s", "zero"),
        ("36501d", "100 years"),
        ("99999999999d", "100 years"),
        ("99999999999999999999999999s", "100 years"),
    ];
    for (text, problem) in cases {
        let (status, reason, detail) = refusal(&format!("url=x&ttl={text}"));
        assert_eq!((status, reason), (StatusCode::BAD_REQUEST, "ttl_invalid"));
        assert!(detail.starts_with("the parameter ttl ") && detail.contains(problem), "{text}: {detail}");
    }
}

#[test]
fn passheaders_are_names() {
    let pass = |query| Params::parse(query).unwrap().pass;
    assert_eq!(pass("url=x"), None);
    assert_eq!(pass("passheaders="), Some(vec![]));
    let names = ["authorization", "private-token"].map(HeaderName::from_static).to_vec();
    assert_eq!(pass("passheaders=Authorization,+PRIVATE-TOKEN,"), Some(names));
    assert_eq!(refusal("passheaders=a%0d%0ab").1, "passheaders_invalid");
    assert_eq!(refusal("passheaders=a b").1, "passheaders_invalid");
}

#[test]
fn sha256_is_64_digits_and_one_value() {
    let digest = "ab".repeat(32);
    let params = |query: &str| Params::parse(query).map(|params| params.sha256);
    let expected: Digest = digest.parse().unwrap();
    assert_eq!(params(&format!("sha256={digest}")).unwrap(), Some(expected));
    let twice = format!("sha256={digest}&sha256={}", digest.to_uppercase());
    assert_eq!(params(&twice).unwrap(), Some(expected));
    for (query, problem) in [
        ("sha256=".to_owned(), "64 hexadecimal"),
        (format!("sha256={}", &digest[1..]), "64 hexadecimal"),
        (format!("sha256=sha256:{digest}"), "64 hexadecimal"),
        (format!("sha256={digest}&sha256={}", "cd".repeat(32)), "twice"),
    ] {
        let (status, reason, detail) = refusal(&query);
        assert_eq!((status, reason), (StatusCode::BAD_REQUEST, "sha256_invalid"));
        assert!(detail.contains(problem), "{query}: {detail}");
    }
}

#[test]
fn revalidate_knows_one_word() {
    assert_eq!(Params::parse("revalidate=always").unwrap().revalidate, Some(Revalidate::Always));
    assert_eq!(Params::parse("url=x").unwrap().revalidate, None);
    let (status, _, detail) = refusal("revalidate=1");
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(detail.contains("revalidate=always"), "{detail}");
}
