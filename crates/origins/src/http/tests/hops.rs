//! Redirects, and the guard on every hop (user demand 4c 38, 45-48, 50).

use std::net::Ipv4Addr;

use super::*;
use testkit::origin::{Gate, Step};

#[tokio::test]
async fn a_redirect_is_followed_and_the_end_is_told() {
    let origin = Origin::start().await;
    origin.route("/a", Script::redirect(301, "b?x"));
    origin.route("/b", Script::redirect(307, &named(&origin, "mirror.example", "/c#part")));
    origin.route("/c", ok("here"));
    let mut request = request(&named(&origin, "files.example", "/a"));
    request.headers.insert("range", HeaderValue::from_static("bytes=0-"));
    request.credentials.insert("authorization", HeaderValue::from_static("Bearer t"));
    let response = Bench::new().send(request).await.expect("an answer");
    assert_eq!(response.url.as_str(), named(&origin, "mirror.example", "/c"));
    assert_eq!(whole(response.body).await.expect("bytes"), "here");

    let seen = origin.requests();
    let of = |name| seen.iter().map(|request| request.header(name)).collect::<Vec<_>>();
    assert_eq!(of("authorization"), [Some("Bearer t"), Some("Bearer t"), None]);
    assert_eq!(of("range"), [Some("bytes=0-"); 3]);
}

#[tokio::test]
async fn a_redirects_late_body_is_read_so_that_the_connection_is_kept() {
    let origin = Origin::start().await;
    let gate = Gate::new();
    let head = "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 5\r\n\r\n";
    origin.route("/a", Script::raw(head).then(Step::Wait(gate.clone())).then(Step::Send("moved".into())));
    origin.route("/b", ok("here"));
    let bench = Bench::new();
    let url = origin.url("/a");
    let (answer, ()) = tokio::join!(bench.get(&url), async {
        // Not before the redirect has been seen for one, or the body would not be late.
        let seen = async {
            while bench.http.0.metrics.redirects.get() == 0 {
                tokio::task::yield_now().await;
            }
        };
        guarded("the redirect", seen).await;
        gate.open();
    });
    assert_eq!(answer.expect("an answer").1, "here");
    let seen = origin.requests();
    assert_eq!(seen[0].connection, seen[1].connection);
}

#[tokio::test]
async fn a_redirects_endless_body_is_not_waited_for() {
    let origin = Origin::start().await;
    let head = "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 1000000000\r\n\r\n";
    origin.route("/a", Script::raw(head).then(Step::Stall));
    origin.route("/b", ok("here"));
    assert_eq!(Bench::new().get(&origin.url("/a")).await.expect("an answer").1, "here");
}

// 38
#[tokio::test]
async fn circles_and_long_chains_end() {
    let origin = Origin::start().await;
    origin.route("/a", Script::redirect(302, "/b"));
    origin.route("/b", Script::redirect(302, "/a"));
    origin.route_with("/n", |_, before| Script::redirect(302, &format!("/n?{before}")));
    let bench = Bench::new();
    assert_eq!(bench.refusal(&origin.url("/a")).await.kind, Kind::RedirectLoop);
    assert_eq!(origin.requests().len(), 2);
    assert_eq!(bench.refusal(&origin.url("/n")).await.kind, Kind::RedirectLoop);
    assert_eq!(origin.requests_for("/n").len(), 11);
}

// 38, 46, 48, 50
#[tokio::test]
async fn a_redirect_to_a_forbidden_place_is_not_followed() {
    let origin = Origin::start().await;
    let bench = Bench::resolving(settings(), |host, _| match host {
        "private.example" => Ok(vec![IpAddr::from([10, 0, 0, 1])]),
        "six.example" => Ok(vec!["fd00::1".parse().expect("an address")]),
        _ => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
    });
    for (n, place) in [
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://169.254.169.254/latest",
        "http://metadata.google.internal/",
        "http://private.example/",
        "http://six.example/",
        "http://public.example:25/",
        "http://0xa.1/",
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/{n}");
        origin.route(&path, Script::redirect(302, place));
        let error = bench.refusal(&origin.url(&path)).await;
        assert_eq!(error.kind, Kind::OriginForbidden, "{place}");
        assert!(error.detail.contains("--allow-origin"), "{error}");
    }
}

// 47
#[tokio::test]
async fn the_checked_address_is_the_one_connected_to() {
    let origin = Origin::start().await;
    origin.route("/", Script::until_close("x"));
    let bench = Bench::resolving(settings(), |_, before| match before {
        0 => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
        _ => Ok(vec![IpAddr::from([169, 254, 169, 254])]),
    });
    let url = named(&origin, "rebinding.example", "/");
    bench.get(&url).await.expect("the first address was allowed");
    assert_eq!(bench.queries.load(Ordering::Relaxed), 1, "one query for one connection");
    assert_eq!(bench.refusal(&url).await.kind, Kind::OriginForbidden);
}

#[tokio::test]
async fn a_forbidden_host_is_refused_without_a_query() {
    let bench = Bench::new();
    for url in [
        "http://10.0.0.1/",
        "http://files.example:22/",
        "http://metadata.google.internal/",
        "http://[fe80::1]/",
    ] {
        assert_eq!(bench.refusal(url).await.kind, Kind::OriginForbidden, "{url}");
    }
    assert_eq!(bench.queries.load(Ordering::Relaxed), 0);
}
