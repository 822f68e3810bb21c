use super::*;

fn hasher() -> KeyHasher {
    KeyHasher::new([7; 32])
}

fn site(name: &str, origin: &str) -> SiteSettings {
    SiteSettings {
        name: name.to_owned(),
        origins: vec![origin.to_owned()],
        hosts: Vec::new(),
        prefix: None,
        host: HostSent::Origin,
    }
}

fn plan(sites: Vec<SiteSettings>, rules: Vec<RuleSettings>) -> Plan {
    Plan::new(sites, rules, policy::Settings::default(), 64).expect("right")
}

fn asked(plan: &Plan, target: &str) -> Result<String, &'static str> {
    let place = plan.by_path(target.split('?').next().unwrap_or_default()).expect("a site");
    let resolved = plan.resolve(place, target, "h", &Method::GET, &hasher());
    resolved.map(|resolved| resolved.target.url.to_string()).map_err(|refusal| refusal.reason)
}

#[test]
fn what_follows_the_prefix_is_appended_as_it_stands() {
    let plan = plan(vec![site("a", "http://o.example/base/"), site("b", "https://p.example")], vec![]);
    let cases = [
        ("/r/a", "http://o.example/base/"),
        ("/r/a/", "http://o.example/base/"),
        ("/r/a/x%2fy?q=%41&b", "http://o.example/base/x%2fy?q=%41&b"),
        ("/r/a//x//", "http://o.example/base//x//"),
        ("/r/a?x=1", "http://o.example/base/?x=1"),
        ("/r/a/x?u=../y", "http://o.example/base/x?u=../y"),
        ("/r/b/@evil.example/", "https://p.example/@evil.example/"),
        ("/r/b/x;y=1", "https://p.example/x;y=1"),
    ];
    for (target, url) in cases {
        assert_eq!(asked(&plan, target).as_deref(), Ok(url), "{target}");
    }
}

// 4c 18, 19
#[test]
fn nothing_leads_above_the_base_of_a_site() {
    let plan = plan(vec![site("a", "http://o.example/base")], vec![]);
    for target in [
        "/r/a/..",
        "/r/a/../x",
        "/r/a/x/../../y",
        "/r/a/%2e%2E/y",
        "/r/a/.%2e/y",
        "/r/a/./x",
        "/r/a/..\\y",
        "/r/a/\\..\\y",
    ] {
        assert_eq!(asked(&plan, target), Err("path_invalid"), "{target}");
    }
}

#[test]
fn sites_are_found_by_path_host_and_name() {
    let hosts = |texts: &[&str]| texts.iter().map(|text| HostPattern::parse(text).expect("a host")).collect();
    let plan = plan(
        vec![
            SiteSettings {
                hosts: hosts(&["shop.example", "*.shop.example"]),
                ..site("a", "http://o.example")
            },
            SiteSettings { prefix: Some("/mirror/b/".to_owned()), ..site("b", "http://p.example") },
            SiteSettings { prefix: Some("/mirror".to_owned()), ..site("c", "http://q.example") },
        ],
        vec![],
    );
    let place = |site, prefix| Some(Place { site, prefix });
    assert_eq!(plan.by_host("SHOP.example."), place(0, 0));
    assert_eq!(plan.by_host("eu.shop.example"), place(0, 0));
    assert_eq!(plan.by_host("example"), None);
    assert_eq!(plan.by_path("/r/a/x"), place(0, 4));
    assert_eq!(plan.by_path("/r/ab/x"), None);
    assert_eq!(plan.by_path("/mirror/b/x"), place(1, 9));
    assert_eq!(plan.by_path("/mirror/bc"), place(2, 7));
    assert_eq!(plan.by_name("c"), place(2, 0));
    assert_eq!(plan.by_name("d"), None);
}

// 4c 17, 21: a host that is kept is part of the key, and never makes the key of another URL.
#[test]
fn a_kept_host_is_part_of_the_key() {
    let plan = plan(vec![SiteSettings { host: HostSent::Keep, ..site("a", "http://o.example") }], vec![]);
    let place = plan.by_name("a").expect("a site");
    let resolved = |host: &str| plan.resolve(place, "/x", host, &Method::GET, &hasher()).expect("right");
    let (one, other) = (resolved("a.example"), resolved("b.example"));
    assert_ne!(one.target.key, other.target.key);
    assert_eq!(one.target.key, resolved("A.example").target.key);
    assert_eq!(one.host.as_ref().map(HeaderValue::as_bytes), Some(b"a.example".as_slice()));
    assert!(one.target.credentials.is_empty());
    assert_eq!(one.target.url.as_str(), "http://o.example/x");
    let direct = plan.resolve_absolute("http://a.example/x", &Method::GET, &hasher()).expect("right");
    assert_ne!(one.target.key, direct.target.key);
    assert!(plan.resolve(place, "/x", "", &Method::GET, &hasher()).is_err());
}

#[test]
fn one_url_has_one_key_through_site_proxy_and_fetch_door() {
    let plan = plan(vec![site("a", "http://o.example/base")], vec![]);
    let by_site = plan.resolve(plan.by_name("a").expect("a site"), "/x?q", "h", &Method::GET, &hasher());
    let by_proxy = plan.resolve_absolute("http://O.example:80/base/x?q", &Method::HEAD, &hasher());
    let url = CanonicalUrl::parse("http://o.example/base/x?q").expect("a URL");
    let key = Target::new(url, Vec::new(), &hasher()).key;
    assert_eq!(by_site.expect("right").target.key, key);
    assert_eq!(by_proxy.expect("right").target.key, key);
}

#[test]
fn ignored_parameters_make_one_key_and_still_reach_the_origin() {
    let rule = RuleSettings { ignored_query: vec!["sig".to_owned()], ..RuleSettings::plain("r") };
    let plan = plan(vec![], vec![rule]);
    let resolved = |url| plan.resolve_absolute(url, &Method::GET, &hasher()).expect("right");
    let (one, other) = (resolved("http://o.example/x?sig=1"), resolved("http://o.example/x?sig=2"));
    assert_eq!(one.target.key, other.target.key);
    assert_eq!(other.target.url.as_str(), "http://o.example/x?sig=2");
}

#[test]
fn a_password_is_never_remembered() {
    let plan = plan(vec![], vec![]);
    let url = "http://u:p@o.example/x";
    let one = plan.resolve_absolute(url, &Method::GET, &hasher()).expect("right");
    let other = plan.resolve_absolute(url, &Method::GET, &hasher()).expect("right");
    assert!(!Arc::ptr_eq(&one, &other));
    let url = "http://o.example/x";
    let one = plan.resolve_absolute(url, &Method::GET, &hasher()).expect("right");
    let other = plan.resolve_absolute(url, &Method::GET, &hasher()).expect("right");
    assert!(Arc::ptr_eq(&one, &other));
}

#[test]
fn plans_that_cannot_be_meant_are_refused_by_name() {
    let problem = |sites, rules| match Plan::new(sites, rules, policy::Settings::default(), 0) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.detail,
    };
    let host = |site: SiteSettings| SiteSettings {
        hosts: vec![HostPattern::parse("h.example").expect("a host")],
        ..site
    };
    assert!(problem(vec![site("a b", "http://o")], vec![]).contains("`a b`"));
    assert!(problem(vec![site("..", "http://o")], vec![]).contains("`..`"));
    assert!(problem(vec![site("a", "ftp://o")], vec![]).contains("`a`"));
    assert!(problem(vec![site("a", "http://o/?q")], vec![]).contains("query"));
    assert!(problem(vec![site("a", "http://o"), site("a", "http://p")], vec![]).contains("twice"));
    assert!(
        problem(vec![host(site("a", "http://o")), host(site("b", "http://p"))], vec![]).contains("h.example")
    );
    assert!(problem(vec![SiteSettings { origins: vec![], ..site("a", "") }], vec![]).contains("no origin"));
    let rule = RuleSettings { sites: vec!["z".to_owned()], ..RuleSettings::plain("r") };
    assert!(problem(vec![], vec![rule]).contains("`z`"));
}

#[test]
fn the_other_origins_of_a_site_have_the_same_below_their_bases() {
    let origins = ["https://a.example/x/", "https://b.example", "http://c.example:81/y"].map(str::to_owned);
    let plan = plan(
        vec![SiteSettings { origins: origins.into(), ..site("a", "") }, site("b", "http://d.example")],
        vec![],
    );
    let others = |url: &str| {
        let url = url::Url::parse(url).expect("a URL");
        plan.alternatives(&url).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(others("https://a.example/x/f?q"), ["https://b.example/f?q", "http://c.example:81/y/f?q"]);
    for url in ["https://a.example/xx", "https://b.example/f", "http://d.example/f"] {
        assert_eq!(others(url), Vec::<String>::new(), "{url}");
    }
}
