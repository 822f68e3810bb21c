use super::*;

fn guard(rules: &[&str]) -> Guard {
    Guard::new(rules.iter().map(|rule| rule.parse().expect("a rule")).collect())
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The guard's word on an address of some public-looking host.
fn refused(guard: &Guard, text: &str) -> Option<String> {
    guard.check_address("files.example", 80, address(text)).err().map(|error| {
        assert_eq!(error.kind, Kind::OriginForbidden);
        error.detail.to_string()
    })
}

#[test]
fn public_addresses_pass() {
    let guard = guard(&[]);
    for text in [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2600::1",
        "2a00:1450::1",
        "2003::1",
        "2001:4860:4860::8888",
        "3ffd::1",
    ] {
        assert_eq!(refused(&guard, text), None, "{text}");
    }
}

// 45, 46: every range, at both of its ends.
#[test]
fn special_addresses_are_refused() {
    let guard = guard(&[]);
    for text in [
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.0.1",
        "169.254.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.255",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.254",
        "255.255.255.255",
        "::",
        "::1",
        "100::1",
        "2001:2::1",
        "2001:10::1",
        "2001:2f:ffff::1",
        "2001:db8::1",
        "3fff::1",
        "3fff:fff:ffff::1",
        "fc00::1",
        "fdff:ffff::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "feff::1",
        "ff02::1",
        "400::1",
        "1fff::1",
        "4000::1",
        "5f00::1",
        "8000::1",
        "e000::1",
    ] {
        assert!(refused(&guard, text).is_some(), "{text}");
    }
}

// 45
#[test]
fn addresses_within_addresses_are_judged_too() {
    let guard = guard(&[]);
    for text in [
        "::ffff:127.0.0.1",
        "::ffff:10.1.2.3",
        "::127.0.0.1",
        "::8.8.8.8",
        "64:ff9b::10.1.2.3",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::10.1.2.3",
        "64:ff9b:1::8.8.8.8",
        "2002:7f00:1::1",
        "2002:0808:0808::1",
        "2001::1",
        "2001:0:102:304:0:0:f5fe:fdfc",
        "2600::5efe:10.1.2.3",
        "2600::200:5efe:192.168.0.1",
        "::ffff:0:127.0.0.1",
    ] {
        assert!(refused(&guard, text).is_some(), "{text}");
    }
    for text in ["::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2600::5efe:8.8.8.8"] {
        assert_eq!(refused(&guard, text), None, "{text}");
    }
}

#[test]
fn a_network_opens_its_addresses_and_no_others() {
    let guard = guard(&["10.1.0.0/16", "fd00:1::/32", "192.168.7.7"]);
    for text in [
        "10.1.2.3",
        "::ffff:10.1.2.3",
        "64:ff9b::10.1.2.3",
        "fd00:1::9",
        "192.168.7.7",
        "2600::5efe:10.1.2.3",
    ] {
        assert_eq!(refused(&guard, text), None, "{text}");
    }
    for text in ["10.2.0.1", "::ffff:10.2.0.1", "fd00:2::1", "192.168.7.8", "127.0.0.1", "2002:a01:203::1"] {
        assert!(refused(&guard, text).is_some(), "{text}");
    }
}

#[test]
fn a_rule_for_the_outer_address_does_not_open_the_one_within() {
    assert!(refused(&guard(&["2002::/16"]), "2002:7f00:1::1").is_some());
    assert_eq!(refused(&guard(&["2002::/16"]), "2002:808:808::1"), None);
    assert!(refused(&guard(&["2001::/32"]), "2001:0:102:304:0:0:f5fe:fdfc").is_some());
    assert_eq!(refused(&guard(&["2001::/32"]), "2001:0:102:304:0:0:f7f7:f7f7"), None);
    assert!(refused(&guard(&["64:ff9b:1::/48"]), "64:ff9b:1::10.1.2.3").is_some());
    assert!(refused(&guard(&["::/96"]), "::10.1.2.3").is_some());
    assert_eq!(refused(&guard(&["2002::/16", "127.0.0.1"]), "2002:7f00:1::1"), None);
}

#[test]
fn a_host_opens_its_own_addresses() {
    let guard = guard(&["files.lab", "*.build.lab", "bücher.lab"]);
    let ten = address("10.0.0.1");
    for host in ["files.lab", "FILES.lab.", "a.build.lab", "a.b.build.lab", "xn--bcher-kva.lab"] {
        assert!(guard.check_address(host, 80, ten).is_ok(), "{host}");
    }
    for host in ["other.lab", "build.lab", ".build.lab", "xbuild.lab", "files.lab.evil.example", "xfiles.lab"]
    {
        assert!(guard.check_address(host, 80, ten).is_err(), "{host}");
    }
}

// 46: an open network or a wildcard must not give a machine's credentials away.
#[test]
fn metadata_opens_only_to_its_own_name_or_address() {
    for metadata in [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
    ] {
        assert!(refused(&guard(&[]), metadata).is_some(), "{metadata}");
        assert!(
            refused(&guard(&["0.0.0.0/0", "::/0", "files.example", "*.example"]), metadata).is_some(),
            "{metadata}"
        );
        let exact = guard(&[metadata, "169.254.169.254"]);
        assert_eq!(refused(&exact, metadata), None, "{metadata}");
    }
    for name in METADATA_NAMES {
        assert!(guard(&["*.internal", "*.goog", "0.0.0.0/0"]).check_host(name, 80).is_err(), "{name}");
        let open = guard(&[name]);
        assert!(open.check_host(name, 80).is_ok(), "{name}");
        assert!(open.check_address(name, 80, address("169.254.169.254")).is_ok(), "{name}");
    }
    assert!(guard(&[]).check_host("Metadata.Google.Internal.", 80).is_err());
}

// 44: the URL parser turns every notation into an address, and the guard reads it with or without brackets.
#[test]
fn literal_hosts_are_judged_before_anything_is_resolved() {
    let guard = guard(&[]);
    for url in [
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://017700000001/",
        "http://127.1/",
        "http://0/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://127.0.0.1./",
        "http://１２７.0.0.1/",
    ] {
        let url = url::Url::parse(url).expect("a URL");
        let host = url.host_str().expect("a host");
        assert!(guard.check_host(host, 80).is_err(), "{url}");
    }
    assert!(guard.check_host("8.8.8.8", 80).is_ok());
    assert!(guard.check_host("[2600::1]", 80).is_ok());
}

// 50
#[test]
fn ports_that_are_never_http_need_a_rule_with_that_port() {
    assert!(NEVER_HTTP.is_sorted());
    let shut = guard(&["files.example", "10.0.0.0/8"]);
    for port in [22, 25, 110, 143, 465, 587, 993, 995, 6379, 11211] {
        assert!(shut.check_host("files.example", port).is_err(), "{port}");
        assert!(shut.check_host("10.0.0.1", port).is_err(), "{port}");
    }
    for port in [80, 443, 3000, 5000, 8000, 8001, 8080, 8443, 9000, 32768, 65535] {
        assert!(shut.check_host("files.example", port).is_ok(), "{port}");
    }
    let open = guard(&["files.example:22", "10.0.0.1:25", "[fd00::1]:6379"]);
    assert!(open.check_host("files.example", 22).is_ok());
    assert!(open.check_host("10.0.0.1", 25).is_ok());
    assert!(open.check_host("fd00::1", 6379).is_ok());
    assert!(open.check_host("files.example", 25).is_err());
    assert!(open.check_host("other.example", 22).is_err());
}

#[test]
fn a_rule_with_a_port_opens_addresses_at_that_port_alone() {
    let guard = guard(&["files.lab:8080"]);
    assert!(guard.check_address("files.lab", 8080, address("10.0.0.1")).is_ok());
    assert!(guard.check_address("files.lab", 80, address("10.0.0.1")).is_err());
}

#[test]
fn the_refusal_names_address_reason_and_rule() {
    let guard = guard(&[]);
    let word = |host: &str, at: &str| {
        guard.check_address(host, 80, address(at)).expect_err("refused").detail.to_string()
    };
    assert_eq!(
        word("files.lab", "10.0.0.1"),
        "10.0.0.1 (address of files.lab) is a private address; --allow-origin 10.0.0.1 opens it, and so does \
         --allow-origin files.lab"
    );
    assert_eq!(
        word("127.0.0.1", "127.0.0.1"),
        "127.0.0.1 is a loopback address; --allow-origin 127.0.0.1 opens it"
    );
    assert_eq!(
        word("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
        "::ffff:10.0.0.1, which stands for 10.0.0.1, is a private address; --allow-origin 10.0.0.1 opens it"
    );
    let port = guard.check_host("[fd00::1]", 22).expect_err("refused").detail.to_string();
    assert_eq!(port, "port 22 of [fd00::1] is never HTTP; --allow-origin [fd00::1]:22 opens it");
}

/// What a refusal advises must open what it refused.
#[test]
fn the_advised_rule_works() {
    for (host, at) in [("files.lab", "10.0.0.1"), ("a", "::ffff:169.254.169.254"), ("fe80::1", "fe80::1")] {
        let refusal =
            guard(&[]).check_address(host, 80, address(at)).expect_err("refused").detail.to_string();
        let rule =
            refusal.split("--allow-origin ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a rule");
        assert!(guard(&[rule]).check_address(host, 80, address(at)).is_ok(), "{refusal}");
    }
}

#[test]
fn rules_are_read_in_every_form_and_shown_again() {
    for (text, shown) in [
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("fd00::/8", "fd00::/8"),
        ("::1", "::1/128"),
        ("[::1]", "::1/128"),
        ("[::1]:81", "[::1]:81"),
        ("127.0.0.1:22", "127.0.0.1:22"),
        ("0x7f.1", "127.0.0.1/32"),
        (" Files.Lab. ", "files.lab"),
        ("files.lab:22", "files.lab:22"),
        ("*.lab", "*.lab"),
        ("*.lab:22", "*.lab:22"),
    ] {
        let rule: AllowOrigin = text.parse().expect(text);
        assert_eq!(rule.to_string(), shown);
        assert_eq!(shown.parse::<AllowOrigin>().as_ref(), Ok(&rule));
    }
}

#[test]
fn texts_that_are_no_rules_are_refused_by_name() {
    for text in [
        "",
        "*",
        "*.",
        "http://files.lab",
        "files.lab/",
        "10.0.0.0/33",
        "files.lab:http",
        "files.lab:70000",
        "a*b",
        "*.10.0.0.1",
        "user@files.lab",
        "files lab",
        "10.0.0.0/8:80",
        ":80",
        "10...",
        "files.lab..",
        "files.lab.\u{3002}",
        "files\u{ff0a}.lab",
    ] {
        let error = text.parse::<AllowOrigin>().expect_err(text);
        assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
    }
}

#[test]
fn the_operators_hosts_may_be_private_but_no_metadata_service() {
    let guard = guard(&[]).for_operator();
    for text in ["127.0.0.1", "10.1.2.3", "192.168.0.1", "::1", "fd00::1", "::ffff:127.0.0.1", "100.64.0.1"] {
        assert_eq!(refused(&guard, text), None, "{text}");
    }
    for text in ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "100.100.100.200"] {
        assert!(refused(&guard, text).is_some(), "{text}");
    }
    assert!(guard.check_host("app.internal", 6000).is_ok());
    assert!(guard.check_host("metadata.google.internal", 80).is_err());
}
