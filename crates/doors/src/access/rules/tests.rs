use http::{HeaderValue, Method};

use super::*;

const NOBODY: [&str; 0] = [];

fn rules(texts: &[&str]) -> Rules {
    Rules::new(texts, &NOBODY).unwrap()
}

fn asked<'a>(client: &str, door: &'a str, method: &'a Method, path: &'a str) -> Asked<'a> {
    Asked { client: client.parse().unwrap(), door, method, path }
}

fn get<'a>(client: &str, path: &'a str) -> Asked<'a> {
    asked(client, "fetch", &Method::GET, path)
}

fn error(texts: &[&str]) -> String {
    Rules::new(texts, &NOBODY).unwrap_err().to_string()
}

#[test]
fn without_rules_only_loopback_and_private_networks_may_ask() {
    let rules = rules(&[]);
    for client in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "192.168.1.1", "fd00::1"] {
        assert_eq!(rules.check(&get(client, "/")), Ok(()), "{client}");
    }
    for client in ["203.0.113.9", "2001:db8::1", "::ffff:203.0.113.9"] {
        assert!(rules.check(&get(client, "/")).is_err(), "{client}");
    }
}

#[test]
fn the_first_match_decides_and_no_match_refuses() {
    let rules = rules(&["deny 10.0.0.13", "allow 10.0.0.0/8", "deny any"]);
    assert_eq!(rules.check(&get("10.0.0.12", "/")), Ok(()));
    assert_eq!(rules.check(&get("10.0.0.13", "/")).unwrap_err().rule, Some("deny 10.0.0.13"));
    assert_eq!(rules.check(&get("192.168.0.1", "/")).unwrap_err().rule, Some("deny any"));
    let rules = self::rules(&["allow 10.0.0.0/8"]);
    assert_eq!(rules.check(&get("127.0.0.1", "/")).unwrap_err().rule, None);
}

/// user-demand 4c: 16.
#[test]
fn doors_methods_and_paths_narrow_a_rule() {
    let rules = rules(&[
        "allow 192.0.2.1 door=admin,metrics method=get,HEAD",
        "deny any method=DELETE|POST",
        "deny any path=/api/v1/delete/",
        "allow any door=fetch",
    ]);
    let client = "192.0.2.1";
    let allows = |door, method, path| rules.check(&asked(client, door, &method, path)).is_ok();
    assert!(allows("metrics", Method::GET, "/metrics"));
    assert!(!allows("health", Method::GET, "/api/v1/health"));
    assert!(!allows("admin", Method::DELETE, "/api/v1/delete"));
    assert!(allows("fetch", Method::OPTIONS, "/api/v1/fetch"));
    let stranger = |path| rules.check(&get("203.0.113.9", path)).is_ok();
    assert!(!stranger("/api/v1/delete"));
    assert!(!stranger("/api/v1/delete/x"));
    assert!(stranger("/api/v1/deleted"));
}

#[test]
fn the_sentence_names_the_rule_and_the_client() {
    let rules = rules(&["deny 10.0.0.0/8"]);
    let denied = rules.check(&get("::ffff:10.1.2.3", "/")).unwrap_err();
    assert_eq!(denied.to_string(), "the access rule `deny 10.0.0.0/8` refuses requests from 10.1.2.3");
    let denied = rules.check(&get("2001:db8::1", "/")).unwrap_err();
    assert!(denied.to_string().ends_with("the operator can add `allow 2001:db8::1`"), "{denied}");
}

#[test]
fn rules_that_are_not_written_right_are_refused_with_the_reason() {
    let cases = [
        ("", "neither `allow` nor `deny`"),
        ("permit any", "neither `allow` nor `deny`"),
        ("allow", "names no network"),
        ("allow 10.0.0.1/8", "host bits set; write `10.0.0.0/8`"),
        ("allow localhost", "is no network"),
        ("allow any door=front", "unknown door `front`; doors are fetch"),
        ("allow any door=", "unknown door ``"),
        ("allow any method=BREW", "unknown method `BREW`"),
        ("allow any path=x", "part `path=x`"),
        ("allow any door=fetch door=admin", "part `door=admin`"),
        ("allow any 10.0.0.0/8", "part `10.0.0.0/8`"),
    ];
    for (rule, problem) in cases {
        assert!(error(&[rule]).contains(problem), "{rule}: {}", error(&[rule]));
    }
    let error = Rules::new(&["allow any"], &["10.0.0.1/8"]).unwrap_err();
    assert!(error.detail.contains("trusted proxy"), "{error}");
}

#[test]
fn the_address_from_a_trusted_proxy_is_the_one_that_is_checked() {
    let rules = Rules::new(&["allow 203.0.113.0/24"], &["loopback"]).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", HeaderValue::from_static("10.0.0.1, 203.0.113.9"));
    let client = rules.client("127.0.0.1".parse().unwrap(), &headers);
    assert_eq!(client.to_string(), "203.0.113.9");
    assert_eq!(rules.check(&Asked { client, ..get("127.0.0.1", "/") }), Ok(()));
}

#[test]
fn no_spelling_of_a_path_slips_past_a_refusal_or_into_a_permission() {
    let rules = Rules::new(&["deny any path=/https:", "allow any"], &[]).unwrap();
    for path in ["/https://host/", "/HTTPS://host/", "/hTTps:"] {
        assert!(rules.check(&get("10.0.0.1", path)).is_err(), "{path}");
    }
    assert_eq!(rules.check(&get("10.0.0.1", "/httpsé")), Ok(()));
    let rules = Rules::new(&["allow any path=/api"], &[]).unwrap();
    assert!(rules.check(&get("10.0.0.1", "/API/v1")).is_err());
}

#[test]
fn what_a_server_behind_takes_for_the_path_is_refused_as_well() {
    let rules = rules(&["deny any path=/r/app/admin", "deny any path=/https://host/p", "allow any"]);
    for path in [
        "/r/app/%61dmin",
        "/r/app/%41DMIN/x",
        "/r/app//admin",
        "/r/app/;v=1/admin",
        "/r/app/admin;v=1",
        "/r/app/admin%2fx",
        "/r/app/admin\\x",
        "/https://host/%70/f",
        "/https:/host//p",
    ] {
        assert!(rules.check(&get("10.0.0.1", path)).is_err(), "{path}");
    }
    for path in ["/r/app/administrators", "/r/app/%2561dmin", "/r/app/x/admin", "/https://host/q"] {
        assert_eq!(rules.check(&get("10.0.0.1", path)), Ok(()), "{path}");
    }
}

#[test]
fn dot_segments_are_seen_in_every_spelling() {
    for path in [
        "/..",
        "/a/.",
        "..",
        "/%2e%2E/a",
        "/.%2e",
        "/a%2f..%2Fb",
        "/..%5cb",
        "/a\\..\\b",
        "/..;/b",
        "/..%3bx/b",
    ] {
        assert!(has_dot_segment(path), "{path}");
    }
    for path in ["/", "/a.b", "/.a", "/...", "/..a/b", "/a..", "/%2e%2ea", "/a;..", "/%", "/%2"] {
        assert!(!has_dot_segment(path), "{path}");
    }
}

#[test]
fn strangers_reach_proxy_and_tunnels_only_by_a_rule_that_names_them() {
    let stranger = |rules: &Rules, door| rules.check(&asked("203.0.113.9", door, &Method::GET, "/")).is_ok();
    let open = rules(&["allow any"]);
    assert!(stranger(&open, "fetch") && stranger(&open, "site"));
    assert!(!stranger(&open, "proxy") && !stranger(&open, "connect"));
    for near in ["127.0.0.1", "10.0.0.1", "::1"] {
        assert!(open.check(&asked(near, "proxy", &Method::GET, "/")).is_ok(), "{near}");
    }
    let named = rules(&["allow any door=proxy"]);
    assert!(stranger(&named, "proxy") && !stranger(&named, "connect"));
    let refused = open.check(&asked("203.0.113.9", "proxy", &Method::GET, "/")).unwrap_err().to_string();
    assert!(refused.contains("`allow 203.0.113.9 door=proxy`"), "{refused}");
    // What refuses needs no names.
    assert!(
        rules(&["deny 10.0.0.0/8", "allow any"])
            .check(&asked("10.0.0.1", "proxy", &Method::GET, "/"))
            .is_err()
    );
}
