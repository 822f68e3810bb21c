use proptest::prelude::*;

use super::*;

fn canonical(text: &str) -> String {
    CanonicalUrl::parse(text).expect(text).url.into()
}

/// 4c 18, 19, 20, 44: what is equivalent becomes equal.
#[test]
fn equivalent_urls_are_one() {
    for (text, url) in [
        ("HTTP://EXAMPLE.com", "http://example.com/"),
        ("http://example.com:80/", "http://example.com/"),
        ("https://example.com:443/a", "https://example.com/a"),
        ("https://example.com:0443/a", "https://example.com/a"),
        ("http://example.com:/", "http://example.com/"),
        ("http://example.com/a#b?c", "http://example.com/a"),
        ("http://example.com?a", "http://example.com/?a"),
        ("http://b\u{fc}cher.example/\u{fc}", "http://xn--bcher-kva.example/%C3%BC"),
        ("http://XN--BCHER-KVA.example/", "http://xn--bcher-kva.example/"),
        ("http://example.com/a/./b/../c", "http://example.com/a/c"),
        ("http://example.com/../../a", "http://example.com/a"),
        ("http://example.com/a/%2e%2E/b", "http://example.com/b"),
        ("http://example.com/a b?c d", "http://example.com/a%20b?c%20d"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://[::FFFF:7f00:1]/", "http://[::ffff:7f00:1]/"),
    ] {
        assert_eq!(canonical(text), url, "{text}");
    }
}

/// 4c 18, 19, 20, 21: what may be different stays different.
#[test]
fn different_resources_stay_different() {
    for text in [
        "http://example.com/a%2fb",
        "http://example.com/a%2Fb",
        "http://example.com/%61",
        "http://example.com/a%00b",
        "http://example.com/a%252fb",
        "http://example.com/a//b",
        "http://example.com/a/",
        "http://example.com/A",
        "http://example.com/a?",
        "http://example.com/a?b=1&a=2&b=1",
        "http://example.com/a?b=%26&c=+",
        "http://example.com/a?b#".trim_end_matches('#'),
        "http://example.com/a;b=c?d;e",
        "http://example.com/a%23b",
        "http://example.com/a?x=a\\b",
        "http://example.com./",
        "http://example.com:8080/",
        "https://example.com/",
        "https://example.com:80/",
        "http://example.com/a?u=https://user:pw@h/",
    ] {
        assert_eq!(canonical(text), text);
    }
}

/// 4c 18, 45, 49, 50.
#[test]
fn what_cannot_be_fetched_is_refused_with_the_fix() {
    for (text, hint) in [
        ("", "http://"),
        ("example.com/a", "http://"),
        ("//example.com/a", "http://"),
        ("file:///etc/passwd", "http://"),
        ("ftp://example.com/", "http://"),
        ("gopher://example.com/", "http://"),
        ("data:text/plain,a", "http://"),
        ("javascript:alert(1)", "http://"),
        ("http:example.com", "http://"),
        ("http:/example.com", "http://"),
        ("http:\\\\example.com", "http://"),
        ("http://", "no host"),
        ("http:///a", "no host"),
        ("http://?a", "no host"),
        ("http://#a", "no host"),
        ("http://./", "no host"),
        ("http://..", "no host"),
        ("http://:80/", "empty host"),
        ("http://user@/", "host"),
        ("http://user@:80/", "host"),
        ("http://@", "host"),
        ("http://example.com:0/", "port 0"),
        ("http://example.com:65536/", "port"),
        ("http://example.com:-1/", "port"),
        ("http://exa mple.com/", "malformed"),
        ("http://exa%20mple.com/", "malformed"),
        ("http://example.com%00/", "malformed"),
        ("http://[::1/", "malformed"),
        ("http://[fe80::1%25eth0]/", "malformed"),
        ("http://256.0.0.1/", "malformed"),
        ("http://good.example\\@evil.example/", "backslash"),
        ("http://example.com/a\\b", "backslash"),
        (" http://example.com/", "space"),
        ("http://example.com/ ", "space"),
        ("http://example.com/\u{a0}", "space"),
        ("http://example.com/\r\nHost: evil", "control"),
        ("\thttp://example.com/", "control"),
        ("http://exam\nple.com/", "control"),
        ("http://example.com/a\0", "control"),
        ("http://example.com/a\u{85}b", "control"),
        ("http://us%0Aer@example.com/", "control"),
        ("http://user:p%00w@example.com/", "control"),
        ("http://us%3Aer:pw@example.com/", "colon"),
    ] {
        let InvalidUrl { detail } = CanonicalUrl::parse(text).expect_err(text);
        assert!(detail.contains(hint), "{text:?}: {detail}");
    }
}

/// 4c 13: long URLs, also those that grow.
#[test]
fn the_length_is_bounded() {
    let url = |filler: &str, count| format!("http://example.com/{}", filler.repeat(count));
    let longest = url("a", CanonicalUrl::MAX_LENGTH - 19);
    assert_eq!(longest.len(), CanonicalUrl::MAX_LENGTH);
    assert_eq!(canonical(&longest), longest);
    assert!(CanonicalUrl::parse(&(longest + "a")).is_err());
    assert!(CanonicalUrl::parse(&url(" b", 2800)).is_err());
}

#[test]
fn userinfo_becomes_basic_credentials() {
    for (text, decoded) in [
        ("https://user:pw@example.com/", &b"user:pw"[..]),
        ("https://user@example.com/", b"user:"),
        ("https://:pw@example.com/", b":pw"),
        ("https://us%40er:p%3Aw:x@example.com/", b"us@er:p:w:x"),
        ("https://a@b@example.com/", b"a@b:"),
        ("https://%FF:\u{fc}@example.com/", b"\xff:\xc3\xbc"),
    ] {
        let parsed = CanonicalUrl::parse(text).expect(text);
        assert_eq!(parsed.url.as_str(), "https://example.com/", "{text}");
        let value = parsed.authorization.expect(text);
        assert!(value.is_sensitive());
        let encoded = value.to_str().expect(text).strip_prefix("Basic ").expect(text);
        assert_eq!(STANDARD.decode(encoded).expect(text), decoded, "{text}");
        assert_eq!(&*parsed.display, "https://example.com/");
    }
    for text in ["https://example.com/", "https://@example.com/", "https://:@example.com/"] {
        let parsed = CanonicalUrl::parse(text).expect(text);
        assert_eq!((parsed.url.as_str(), parsed.authorization), ("https://example.com/", None), "{text}");
    }
}

#[test]
fn a_url_without_secrets_is_displayed_as_it_is() {
    for text in
        ["https://example.com/a%20b?c=d&e&monkey=1&keys=2&design=x#f=g", "http://h/a:b@c", "http://h/@a/b"]
    {
        assert_eq!(masked(text), text);
    }
}

#[test]
fn secrets_in_the_query_are_masked() {
    for (text, shown) in [
        ("http://h/?token=abc", "http://h/?token=***"),
        ("http://h/?a=1&X-Amz-Signature=ab&b=2", "http://h/?a=1&X-Amz-Signature=***&b=2"),
        (
            "http://h/?x-amz-credential=a/b&X-AMZ-SECURITY-TOKEN=c",
            "http://h/?x-amz-credential=***&X-AMZ-SECURITY-TOKEN=***",
        ),
        ("http://h/?Signature=a;b&GoogleAccessId=c", "http://h/?Signature=***&GoogleAccessId=***"),
        ("http://h/?sig=a%26b&c", "http://h/?sig=***&c"),
        (
            "http://h/?access_token=a&auth=b&key=c&api_key=d&apikey=e",
            "http://h/?access_token=***&auth=***&key=***&api_key=***&apikey=***",
        ),
        (
            "http://h/?password=a&passwd=b&secret=c&private_token=d",
            "http://h/?password=***&passwd=***&secret=***&private_token=***",
        ),
        ("http://h/?a=1;token=b", "http://h/?a=1;token=***"),
        ("http://h/#access_token=a", "http://h/#access_token=***"),
        ("http://h/?%74oken=a", "http://h/?%74oken=***"),
        ("http://h/?token=", "http://h/?token="),
        ("http://h/?token=a=b==&c", "http://h/?token=***&c"),
        ("http://h/?token=\u{fc}&\u{fc}=1", "http://h/?token=***&\u{fc}=1"),
        ("token=a", "token=***"),
    ] {
        assert_eq!(masked(text), shown, "{text}");
        assert_eq!(masked(shown), shown, "{shown}");
    }
    assert_eq!(&*CanonicalUrl::parse("http://u:p@h/?sig=x").expect("valid").display, "http://h/?sig=***");
}

#[test]
fn userinfo_is_masked_wherever_a_url_stands() {
    for (text, shown) in [
        ("http://user:pw@h/a@b", "http://***@h/a@b"),
        ("http://a@b@h", "http://***@h"),
        ("https:/user:pw@h/", "https:/***@h/"),
        ("/https://user:pw@h/a", "/https://***@h/a"),
        ("http://@h/", "http://@h/"),
        ("http://user:\u{fc}@h/", "http://***@h/"),
        ("://a@", "://***@"),
    ] {
        assert_eq!(masked(text), shown, "{text}");
        assert_eq!(masked(shown), shown, "{shown}");
    }
}

#[test]
fn a_url_in_the_query_of_another_is_masked_at_any_depth() {
    for (text, shown) in [
        (
            "/api/v1/fetch?url=https://u:p@h/?token=a&ttl=1d",
            "/api/v1/fetch?url=https://***@h/?token=***&ttl=1d",
        ),
        (
            "/api/v1/fetch?url=https%3A%2F%2Fu%3Ap%40h%2F%3Fsig%3Da%2526b%26c%3Dd&ttl=1d",
            "/api/v1/fetch?url=https%3A%2F%2F***%40h%2F%3Fsig%3D***%26c%3Dd&ttl=1d",
        ),
        ("?u=https%253A%252F%252Fu%2540h", "?u=https%253A%252F%252F***%2540h"),
        ("?u=%253Ftoken%253Da%2526b", "?u=%253Ftoken%253D***%2526b"),
    ] {
        assert_eq!(masked(text), shown, "{text}");
        assert_eq!(masked(shown), shown, "{shown}");
    }
}

#[test]
fn long_names_are_known_by_their_end() {
    for length in 0..200 {
        let name = "a".repeat(length) + "_token";
        assert_eq!(masked(&format!("?{name}=a")), format!("?{name}=***"));
    }
}

#[test]
fn broken_escapes_are_text() {
    for text in ["%", "%2", "%25", "%252", "%25%25", "a=%zz", "?%=%", "%25252525252525252525252525"] {
        assert_eq!(masked(text), text);
    }
    assert_eq!(masked("?token=%"), "?token=***");
}

proptest! {
    #[test]
    fn canonical_urls_are_stable_and_clean(text in "(http|HTTPS)://([a-z%0-9:]{0,8}@)?[a-zA-Z0-9.\\[:-]{1,12}(:[0-9]{0,5})?(/[ -~\u{fc}]{0,12}){0,3}(\\?[ -~]{0,20})?(#[a-z]{0,3})?") {
        if let Ok(parsed) = CanonicalUrl::parse(&text) {
            let url = &parsed.url;
            prop_assert!(matches!(url.scheme(), "http" | "https") && url.host().is_some());
            prop_assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
            prop_assert_eq!(canonical(url.as_str()), url.as_str());
        }
    }

    #[test]
    fn escapes_and_order_survive(path in "(/([a-z;=+]|%[0-9A-Fa-f]{2}){1,6}){1,4}", query in "([a-z&=;+]|%[0-9A-Fa-f]{2}){0,12}") {
        let dots = path.to_ascii_lowercase().split('/').any(|segment| matches!(segment, "%2e" | "%2e%2e"));
        let text = format!("http://h{path}?{query}");
        if !dots {
            prop_assert_eq!(canonical(&text), text);
        }
    }

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        let _ = CanonicalUrl::parse(&text);
        let _ = CanonicalUrl::parse(&format!("http://{text}"));
        masked(&text);
    }

    #[test]
    fn a_secret_is_hidden_after_any_text(text in "([a-z:/?&=#;@\u{fc}]|://|%[2-5][0-9A-F]|%25|token=){0,24}") {
        let shown = masked(&format!("https://h/?{text}&token=SECRET"));
        prop_assert!(!shown.contains("SECRET"), "{}", shown);
        prop_assert!(!masked(&shown).contains("SECRET"));
    }
}
