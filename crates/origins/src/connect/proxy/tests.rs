use super::*;

fn settings(pairs: &[(&str, &str)]) -> Result<ProxySettings, InvalidProxy> {
    ProxySettings::from_env(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn chosen(settings: &ProxySettings, scheme: Scheme, host: &str, port: u16) -> Option<String> {
    settings.proxy_for(scheme, &Endpoint::new(host, port)).map(|proxy| proxy.endpoint.to_string())
}

#[test]
fn each_scheme_has_its_own_proxy() {
    let settings =
        settings(&[("http_proxy", "http://one:3128/"), ("HTTPS_PROXY", "two:8080")]).expect("settings");
    assert_eq!(chosen(&settings, Scheme::Http, "a.example", 80).as_deref(), Some("one:3128"));
    assert_eq!(chosen(&settings, Scheme::Https, "a.example", 443).as_deref(), Some("two:8080"));
    assert!(chosen(&ProxySettings::default(), Scheme::Http, "a.example", 80).is_none());
}

#[test]
fn lower_case_wins_and_empty_means_none() {
    let both = settings(&[("HTTP_PROXY", "upper"), ("http_proxy", "lower")]).expect("settings");
    assert_eq!(chosen(&both, Scheme::Http, "a.example", 80).as_deref(), Some("lower:80"));
    let empty = settings(&[("HTTP_PROXY", "upper"), ("http_proxy", "")]).expect("settings");
    assert_eq!(chosen(&empty, Scheme::Http, "a.example", 80), None);
}

#[test]
fn a_cgi_environment_can_not_set_the_proxy_by_a_request_field() {
    let pairs = [("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "evil:80"), ("HTTPS_PROXY", "good:80")];
    let settings = settings(&pairs).expect("settings");
    assert_eq!(chosen(&settings, Scheme::Http, "a.example", 80), None);
    assert_eq!(chosen(&settings, Scheme::Https, "a.example", 443).as_deref(), Some("good:80"));
}

#[test]
fn no_proxy_knows_names_below_addresses_networks_and_ports() {
    let list =
        "one.example, .two.example *.three.example,four.example:8080,10.0.0.0/8 ,fd00::/8,[::2],192.168.0.1";
    let settings = settings(&[("http_proxy", "proxy"), ("no_proxy", list)]).expect("settings");
    for (host, port) in [
        ("one.example", 80),
        ("a.one.example", 80),
        ("two.example", 80),
        ("a.two.example", 80),
        ("a.three.example", 80),
        ("four.example", 8080),
        ("10.1.2.3", 80),
        ("fd00::1", 80),
        ("::2", 80),
        ("192.168.0.1", 80),
        ("ONE.example.", 80),
        ("localhost", 80),
        ("127.0.0.1", 80),
        ("::1", 80),
    ] {
        assert_eq!(chosen(&settings, Scheme::Http, host, port), None, "{host}");
    }
    for (host, port) in [
        ("xone.example", 80),
        ("one.example.evil", 80),
        ("four.example", 80),
        ("11.0.0.1", 80),
        ("192.168.0.2", 80),
    ] {
        assert!(chosen(&settings, Scheme::Http, host, port).is_some(), "{host}");
    }
}

#[test]
fn a_star_in_no_proxy_switches_proxies_off() {
    let settings = settings(&[("http_proxy", "proxy"), ("NO_PROXY", "*")]).expect("settings");
    assert_eq!(chosen(&settings, Scheme::Http, "a.example", 80), None);
}

#[test]
fn credentials_are_decoded_and_sensitive() {
    let settings = settings(&[("http_proxy", "http://us%40er:p%3ass@proxy:1")]).expect("settings");
    let proxy = settings.proxy_for(Scheme::Http, &Endpoint::new("a.example", 80)).expect("a proxy");
    let value = proxy.authorization.as_ref().expect("credentials");
    assert_eq!(value.as_bytes(), format!("Basic {}", BASE64_STANDARD.encode("us@er:p:ss")).as_bytes());
    assert!(value.is_sensitive() && !format!("{settings:?}").contains(&BASE64_STANDARD.encode("us@er:p:ss")));
}

#[test]
fn what_is_no_http_proxy_is_refused_without_showing_it() {
    for value in ["socks5://proxy", "https://user:secret@proxy", "http://", "http://a b", "http://:80"] {
        let error = settings(&[("https_proxy", value)]).expect_err(value).to_string();
        assert!(error.contains("https_proxy") && !error.contains("secret"), "{error}");
    }
}

#[test]
fn only_a_status_line_is_a_proxys_answer() {
    assert_eq!(status(b"HTTP/1.1 200 OK\r\n"), Some("200"));
    assert_eq!(status(b"HTTP/1.0 407\r\n"), Some("407"));
    for bad in [&b"HTTP/1.1 2000 OK\r\n"[..], b"HTTP/1.1 2x0 OK\r\n", b"HTTP/1.1 20", b"SSH-2.0-x\r\n", b""] {
        assert_eq!(status(bad), None);
    }
}
