//! The fetch door: routes, parameters, fields and statuses.

use scenarios::{impatient, outcome, settled};
use testkit::client;
use testkit::node::{Node, fetch_target, quote_plus};
use testkit::origin::{Gate, Origin, Script};

/// SHA-256 of `abc`, in the two forms in which it travels.
const ABC_HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const ABC_BASE64: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

#[tokio::test]
async fn the_first_request_is_a_miss_and_the_second_a_hit_with_all_fields() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route(
        "/f",
        Script::object("abc").etag("\"v1\"").header("Content-Type", "text/x-lab; charset=utf-8"),
    );
    let miss = node.fetch(&origin.url("/f")).await.expect_body(200, "abc");
    assert_eq!(outcome(&miss), "MISS");
    settled(&node).await;
    let hit = node.fetch(&origin.url("/f")).await.expect_body(200, "abc");
    assert_eq!(outcome(&hit), "HIT");
    assert_eq!(origin.requests().len(), 1);
    for answer in [&miss, &hit] {
        assert_eq!(answer.header("etag"), Some("\"v1\""));
        assert_eq!(answer.header("last-modified"), Some("Tue, 06 Jan 2026 10:00:00 GMT"));
        assert_eq!(answer.header("content-type"), Some("text/x-lab; charset=utf-8"));
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(answer.header("content-security-policy").is_some_and(|csp| csp.contains("sandbox")));
        assert!(answer.header("via").is_some_and(|via| via.contains("1.1 ")), "{:?}", answer.headers);
        assert!(answer.header("date").is_some());
        assert!(answer.header("connection").is_none_or(|value| value != "close"));
    }
    assert!(hit.header("age").is_some_and(|age| age.parse::<u64>().is_ok_and(|age| age < 60)));
    assert!(hit.header("cache-status").is_some_and(|status| status.contains("; hit")), "{:?}", hit.headers);
    assert!(miss.header("cache-status").is_some_and(|status| status.contains("fwd=")), "{:?}", miss.headers);
    assert_eq!(hit.header("repr-digest"), Some(format!("sha-256=:{ABC_BASE64}:").as_str()));
}

#[tokio::test]
async fn every_route_form_names_the_same_entry() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/a/file.bin", Script::object("abc"));
    let url = origin.url("/a/file.bin");
    let quoted = quote_plus(&url);
    let targets = [
        format!("/api/v1/fetch?url={quoted}"),
        format!("/api/v1/fetch/?url={quoted}"),
        format!("/api/v1/fetch/other-name.bin?url={quoted}"),
        format!("/api/v1/fetch?url={url}"),
        format!("/api/v1/fetch/?url={url}"),
        format!("/api/v1/fetch?ttl=1d&url={quoted}"),
        format!("/api/v1/fetch?url=http://ignored.invalid/&url={quoted}"),
        format!("/{url}"),
    ];
    for target in &targets {
        node.get(target).await.expect_body(200, "abc");
        client::head(node.address(), target).await.expect_body(200, "");
    }
    assert_eq!(origin.requests().len(), 1);
    node.assert_alive().await;
}

#[tokio::test]
async fn an_unencoded_url_with_a_query_works() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/q?x=1", Script::object("one"));
    origin.route("/q?x=1&y=2", Script::object("two"));
    node.get(&format!("/api/v1/fetch?url={}", origin.url("/q?x=1"))).await.expect_body(200, "one");
    node.get(&format!("/{}", origin.url("/q?x=1&y=2"))).await.expect_body(200, "two");
    node.fetch(&origin.url("/q?x=1&y=2")).await.expect_body(200, "two");
    assert_eq!(origin.requests().len(), 2);
}

#[tokio::test]
async fn deeper_paths_and_unknown_ones_are_not_found() {
    let node = Node::start().await;
    for target in
        ["/api/v1/fetch/a/b?url=http://127.0.0.1/", "/api/v1/nothing", "/nothing", "/api/v2/fetch?url=x"]
    {
        node.get(target).await.expect_refusal(&[404]);
    }
    node.assert_alive().await;
}

// 49: other schemes; 13: long URLs; 18: %00.
#[tokio::test]
async fn bad_urls_are_400_with_a_sentence_that_names_the_parameter() {
    let node = Node::start().await;
    let long = format!("http%3A%2F%2F127.0.0.1%2F{}", "x".repeat(9000));
    let bad = [
        "",
        "nonsense",
        "ftp%3A%2F%2F127.0.0.1%2Fx",
        "javascript%3Aalert(1)",
        "file%3A%2F%2F%2Fetc%2Fpasswd",
        "gopher%3A%2F%2F127.0.0.1%2F",
        "data%3A%2Cabc",
        "http%3A%2F%2F",
        "http%3A%2F%2F%2Fpath",
        "//127.0.0.1/x",
        "http%3A%2F%2F127.0.0.1%3A99999%2F",
        "http%3A%2F%2Fa%20b%2F",
        "http%3A%2F%2F127.0.0.1%00%2F",
        "%ff%fe",
        "http%3A%2F%2F%5B%3A%3A1%2F",
        &long,
    ];
    for url in bad {
        let answer = node.get(&format!("/api/v1/fetch?url={url}")).await.expect_refusal(&[400, 414]);
        assert!(url.len() > 100 || answer.text().to_lowercase().contains("url"), "{url}: {}", answer.text());
    }
    let missing = node.get("/api/v1/fetch").await.expect_refusal(&[400]);
    assert!(missing.text().to_lowercase().contains("url"), "{}", missing.text());
    node.get("/api/v1/fetch?ttl=1d").await.expect_refusal(&[400]);
    node.assert_alive().await;
}

#[tokio::test]
async fn bad_ttls_are_400_and_good_ones_work() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/f", Script::object("abc"));
    let url = origin.url("/f");
    for ttl in ["", "1", "d", "1w", "1D", "0s", "-1s", "1.5h", "h1", "1d2h", "%00"] {
        let answer = node.get(&fetch_target(&url, &format!("&ttl={ttl}"))).await.expect_refusal(&[400]);
        assert!(answer.text().contains("ttl"), "{ttl}: {}", answer.text());
    }
    for ttl in ["1s", "5m", "34h", "10d"] {
        node.get(&fetch_target(&url, &format!("&ttl={ttl}"))).await.expect_body(200, "abc");
    }
    for ttl in ["99999999999d", "99999999999999999999999999999d"] {
        let huge = node.get(&fetch_target(&url, &format!("&ttl={ttl}"))).await;
        assert!([200, 400].contains(&huge.status), "{ttl}: {}", huge.status);
    }
    node.assert_alive().await;
}

#[tokio::test]
async fn other_methods_are_405_with_allow() {
    let node = Node::start().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"] {
        let target = fetch_target("http://127.0.0.1:1/f", "");
        let answer = node.request(method, &target, &[("Content-Length", "0")]).await.expect_refusal(&[405]);
        let allow = answer.header("allow").expect("an Allow field").to_owned();
        assert!(allow.contains("GET") && allow.contains("HEAD"), "{allow}");
    }
    node.assert_alive().await;
}

#[tokio::test]
async fn the_origin_is_asked_for_plain_bytes_and_told_nothing_about_the_client() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/f", Script::object("abc"));
    let fields = [
        ("Cookie", "secret=1"),
        ("Authorization", "Bearer secret"),
        ("Accept-Encoding", "gzip, br"),
        ("Referer", "http://lab/"),
        ("User-Agent", "curl/1"),
        ("X-Forwarded-For", "10.9.8.7"),
        ("Connection", "X-Own"),
        ("X-Own", "1"),
    ];
    node.fetch_with(&origin.url("/f"), &fields).await.expect_body(200, "abc");
    let request = &origin.requests()[0];
    assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/f"));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert!(
        request
            .header("user-agent")
            .is_some_and(|agent| agent.to_ascii_lowercase().starts_with("standpipe/"))
    );
    assert!(request.header("via").is_some());
    assert_eq!(request.header("host"), Some(origin.address().to_string().as_str()));
    for secret in ["cookie", "authorization", "referer", "x-forwarded-for", "x-own", "if-none-match", "range"]
    {
        assert_eq!(request.header(secret), None, "{secret}");
    }
}

#[tokio::test]
async fn fields_that_describe_the_content_are_kept_and_others_are_not() {
    // 41: Set-Cookie never leaves the fetch door, whatever Cache-Control says.
    let (origin, node) = (Origin::start().await, Node::start().await);
    let object = Script::object("abc")
        .header("Content-Language", "de")
        .header("Set-Cookie", "session=1")
        .header("Set-Cookie", "other=2")
        .header("Connection", "X-Hop")
        .header("X-Hop", "1")
        .header("Keep-Alive", "timeout=5")
        .header("Proxy-Authenticate", "Basic")
        .header("Strict-Transport-Security", "max-age=1")
        .header("Link", "</a>; rel=next")
        .header("Link", "</b>; rel=prev");
    for cache_control in ["public, max-age=60", "private", "no-store"] {
        origin.route(
            &format!("/{}", cache_control.len()),
            object.clone().header("Cache-Control", cache_control),
        );
    }
    for path in ["/18", "/7", "/8"] {
        for _ in 0..2 {
            let answer = node.fetch(&origin.url(path)).await.expect_body(200, "abc");
            assert_eq!(answer.header("content-language"), Some("de"));
            let links = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("link")).count();
            assert_eq!(links, 2);
            for dropped in
                ["set-cookie", "x-hop", "keep-alive", "proxy-authenticate", "strict-transport-security"]
            {
                assert_eq!(answer.header(dropped), None, "{dropped}");
            }
        }
    }
}

#[tokio::test]
async fn a_coding_that_the_origin_applies_anyway_is_passed_on_as_it_is() {
    // 36: claimed gzip that is none is nobody's business but the client's.
    let (origin, node) = (Origin::start().await, Node::start().await);
    let not_gzip = b"\x1f\x8b this is not gzip at all".as_slice();
    origin.route("/f.gz", Script::object(not_gzip).header("Content-Encoding", "gzip"));
    for _ in 0..2 {
        let answer = node.fetch(&origin.url("/f.gz")).await.expect_body(200, not_gzip);
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
        assert_eq!(answer.content_length(), Some(not_gzip.len() as u64));
    }
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn file_names_are_quoted_and_cannot_break_out() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/f", Script::object("abc"));
    let name = async |name: &str| {
        let target = format!("/api/v1/fetch/{name}?url={}", quote_plus(&origin.url("/f")));
        let answer = node.get(&target).await.expect_body(200, "abc");
        answer.header("content-disposition").expect("a Content-Disposition").to_owned()
    };
    let plain = name("kernel-6.1.bin").await;
    assert!(
        plain == "attachment; filename=\"kernel-6.1.bin\"" || plain == "attachment; filename=kernel-6.1.bin",
        "{plain}"
    );
    assert!(name("a%20b;c.bin").await.contains("filename=\"a b;c.bin\""));
    let quotes = name("a%22b%5Cc").await;
    assert!(!quotes.contains("a\"b"), "an unescaped quote ends the name: {quotes}");
    let snowman = name("na%C3%AFve%E2%98%83.txt").await;
    assert!(snowman.contains("filename*=UTF-8''na%C3%AFve%E2%98%83.txt"), "{snowman}");
    // 50: CR and LF in what becomes a field.
    let target = format!("/api/v1/fetch/a%0D%0AX-Evil:%201?url={}", quote_plus(&origin.url("/f")));
    let evil = node.get(&target).await;
    assert!([200, 400].contains(&evil.status) && evil.header("x-evil").is_none(), "{evil:?}");
    node.assert_alive().await;
}

#[tokio::test]
async fn a_head_request_fills_and_never_trusts_the_origins_head() {
    // 23: HEAD then GET, HEAD lies on length.
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route_with("/f", |request, _| match request.method.as_str() {
        "HEAD" => Script::object("a lie").declares(99).into(),
        _ => Script::object("abc").into(),
    });
    let head = node.fetch_head(&origin.url("/f")).await.expect_body(200, "");
    assert_eq!(head.content_length(), Some(3));
    node.fetch(&origin.url("/f")).await.expect_body(200, "abc");
    settled(&node).await;
    let again = node.fetch_head(&origin.url("/f")).await.expect(200);
    assert_eq!((outcome(&again).as_str(), again.content_length()), ("HIT", Some(3)));
    assert_eq!(origin.requests().iter().filter(|request| request.method == "GET").count(), 1);
}

#[tokio::test]
async fn a_client_that_has_the_object_gets_304() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/f", Script::object("abc").etag("\"v1\""));
    let url = origin.url("/f");
    node.fetch(&url).await.expect(200);
    let cases = [
        (("If-None-Match", "\"v1\""), 304),
        (("If-None-Match", "W/\"v1\""), 304),
        (("If-None-Match", "\"v0\", \"v1\""), 304),
        (("If-None-Match", "*"), 304),
        (("If-None-Match", "\"v2\""), 200),
        (("If-Modified-Since", "Tue, 06 Jan 2026 10:00:00 GMT"), 304),
        (("If-Modified-Since", "Tue, 06 Jan 2026 09:59:59 GMT"), 200),
        (("If-Modified-Since", "yesterday"), 200),
        (("If-Match", "\"v1\""), 200),
        (("If-Match", "\"v2\""), 412),
        (("If-Unmodified-Since", "Tue, 06 Jan 2026 09:00:00 GMT"), 412),
    ];
    for (field, status) in cases {
        let answer = node.fetch_with(&url, &[field]).await.expect(status);
        if status == 304 {
            assert_eq!(answer.header("etag"), Some("\"v1\""), "{field:?}");
            assert_eq!(answer.body.len(), 0);
        }
    }
    let both = [("If-None-Match", "\"v2\""), ("If-Modified-Since", "Tue, 06 Jan 2026 10:00:00 GMT")];
    node.fetch_with(&url, &both).await.expect_body(200, "abc");
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn refusals_of_the_origin_are_passed_on_and_remembered() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    for status in ["400", "401", "403", "404", "405", "410", "451"] {
        let head =
            format!("{status} Whatever\r\nWWW-Authenticate: Basic realm=\"lab\"\r\nContent-Type: text/html");
        origin.route(&format!("/{status}"), Script::answer(&head, "<script>alert(1)</script>"));
    }
    for status in [400, 401, 403, 404, 405, 410, 451] {
        let path = format!("/{status}");
        for _ in 0..2 {
            let answer = node.fetch(&origin.url(&path)).await.expect_refusal(&[status]);
            assert!(!answer.text().contains("<script>"), "the origin's body of {status} came through");
            assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
        }
        assert_eq!(origin.requests_for(&path).len(), 1, "{status} is remembered");
        node.fetch_head(&origin.url(&path)).await.expect_refusal(&[status]);
    }
    node.assert_alive().await;
}

#[tokio::test]
async fn a_remembered_refusal_ends_when_its_time_is_over() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    origin.route_each("/f", vec![Script::answer("404 Not Found", "x"), Script::object("abc").into()]);
    node.fetch(&origin.url("/f")).await.expect_refusal(&[404]);
    node.fetch(&origin.url("/f")).await.expect_body(200, "abc");
}

#[tokio::test]
async fn errors_are_json_for_those_who_ask_for_it() {
    let node = Node::start().await;
    let fields = [("Accept", "application/json")];
    let answer = client::get_with(node.address(), "/api/v1/fetch?url=ftp://x/", &fields).await.expect(400);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let json: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert!(json["error"]["detail"].as_str().is_some_and(|detail| detail.contains("URL")), "{json}");
    let plain = node.get("/api/v1/fetch?url=ftp://x/").await.expect(400);
    assert!(plain.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
}

#[tokio::test]
async fn a_demanded_digest_is_checked_before_the_end_is_given_away() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    for path in ["/good", "/bad", "/stored"] {
        origin.route(path, Script::object("abc"));
    }
    let with = |path: &str, hex: &str| fetch_target(&origin.url(path), &format!("&sha256={hex}"));
    let wrong = "0".repeat(64);
    node.get(&with("/good", ABC_HEX)).await.expect_body(200, "abc");
    node.get(&with("/good", &ABC_HEX.to_uppercase())).await.expect_body(200, "abc");

    let bad = node.get(&with("/bad", &wrong)).await;
    assert!(bad.status == 502 || bad.is_broken(), "{bad:?}");
    assert_ne!(bad.body, b"abc");
    settled(&node).await;
    let before = origin.requests_for("/bad").len();
    node.fetch(&origin.url("/bad")).await.expect_body(200, "abc");
    assert_eq!(origin.requests_for("/bad").len(), before + 1, "an object with a wrong digest was kept");

    node.fetch(&origin.url("/stored")).await.expect_body(200, "abc");
    let stored = node.get(&with("/stored", &wrong)).await;
    assert!(stored.status == 502 || stored.is_broken(), "{stored:?}");
    node.fetch(&origin.url("/stored")).await.expect_body(200, "abc");
    for hex in ["", "abc", &"g".repeat(64), &"0".repeat(63), &"0".repeat(65)] {
        let answer = node.get(&with("/good", hex)).await.expect_refusal(&[400]);
        assert!(answer.text().contains("sha256"), "{}", answer.text());
    }
    node.assert_alive().await;
}

#[tokio::test]
async fn a_wrong_big_object_is_cut_before_its_last_block() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    origin.route("/f", Script::generated(3, 5_000_000));
    let target = fetch_target(&origin.url("/f"), &format!("&sha256={}", "0".repeat(64)));
    let answer = node.get(&target).await;
    assert!(answer.status == 502 || answer.is_broken(), "{} {:?}", answer.status, answer.ending);
    assert!(answer.body.len() < 5_000_000);
    node.assert_alive().await;
}

#[tokio::test]
async fn the_origins_own_digest_is_checked_too() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    let good = format!("sha-256=:{ABC_BASE64}:");
    let bad = format!("sha-256=:{}:", ABC_BASE64.replace('u', "v"));
    origin.route("/good", Script::object("abc").header("Repr-Digest", &good));
    origin.route("/bad", Script::object("abc").header("Repr-Digest", &bad));
    origin.route("/odd", Script::object("abc").header("Repr-Digest", "md5=:AAAA:, nonsense"));
    node.fetch(&origin.url("/good")).await.expect_body(200, "abc");
    node.fetch(&origin.url("/odd")).await.expect_body(200, "abc");
    let answer = node.fetch(&origin.url("/bad")).await;
    assert!(answer.status == 502 || answer.is_broken(), "{answer:?}");
    assert_ne!(answer.body, b"abc");
    node.assert_alive().await;
}

#[tokio::test]
async fn an_object_is_deleted_by_its_url() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/f", Script::object("abc"));
    let delete = format!("/api/v1/delete?url={}", quote_plus(&origin.url("/f")));
    for method in ["POST", "DELETE"] {
        node.fetch(&origin.url("/f")).await.expect_body(200, "abc");
        settled(&node).await;
        node.request(method, &delete, &[("Content-Length", "0")]).await.expect(200);
        node.request(method, &delete, &[("Content-Length", "0")]).await.expect_refusal(&[404]);
    }
    assert_eq!(outcome(&node.fetch(&origin.url("/f")).await), "MISS");
    node.get(&delete).await.expect_refusal(&[405]);
    client::head(node.address(), &delete).await.expect_refusal(&[405]);
    settled(&node).await;
    assert_eq!(outcome(&node.fetch(&origin.url("/f")).await), "HIT");
    node.request("POST", "/api/v1/delete", &[("Content-Length", "0")]).await.expect_refusal(&[400]);
}

#[tokio::test]
async fn get_deletes_only_when_configured() {
    let origin = Origin::start().await;
    let node = Node::builder().arg("--admin-delete-by-get").start().await;
    origin.route("/f", Script::object("abc"));
    node.fetch(&origin.url("/f")).await.expect_body(200, "abc");
    settled(&node).await;
    node.get(&format!("/api/v1/delete?url={}", quote_plus(&origin.url("/f")))).await.expect(200);
    assert_eq!(outcome(&node.fetch(&origin.url("/f")).await), "MISS");
}

#[tokio::test]
async fn a_digest_is_checked_on_an_object_that_is_still_coming() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    let gate = Gate::new();
    for path in ["/small", "/big"] {
        let len = if path == "/small" { 3 } else { 2_000_000 };
        origin.route(path, Script::generated(5, len).pause_at(len / 2, &gate));
    }
    let mut waiting = Vec::new();
    for path in ["/small", "/big"] {
        let url = origin.url(path);
        let mut first = node.client().await;
        first.start("GET", &fetch_target(&url, ""), &[]).await;
        first.head("GET").await;
        let mut wrong = node.client().await;
        wrong.start("GET", &fetch_target(&url, &format!("&sha256={}", "0".repeat(64))), &[]).await;
        waiting.push((first, wrong));
    }
    gate.reached(2).await;
    gate.open();
    for (_first, mut wrong) in waiting {
        let answer = wrong.response("GET").await;
        assert!(answer.is_broken() || answer.status == 502, "{} {:?}", answer.status, answer.ending);
    }
    assert_eq!(node.fetch(&origin.url("/big")).await.expect(200).body.len(), 2_000_000);
    node.assert_alive().await;
}

#[tokio::test]
async fn a_name_made_of_the_url_cannot_break_out_either() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let paths = [
        "/a%22b",
        "/a%0d%0aX-Evil:%201",
        "/%2e%2e%2fetc%2fpasswd",
        "/dir/",
        "/",
        "/%00",
        "/%ff%fe",
        "/a;filename=b",
    ];
    for path in paths {
        origin.route(path, Script::object("abc"));
        let answer = node.fetch(&origin.url(path)).await;
        assert!([200, 400].contains(&answer.status), "{path}: {answer:?}");
        assert_eq!(answer.header("x-evil"), None, "{path}");
        if let Some(field) = answer.header("content-disposition") {
            assert!(!field.contains("\"..\"") && !field.contains('/'), "{path}: {field}");
            assert!(field.matches('"').count() <= 4, "{path}: {field}");
        }
    }
    node.assert_alive().await;
}

#[tokio::test]
async fn json_errors_stay_json_whatever_the_url_holds() {
    let node = impatient().start().await;
    for url in ["%22%5C%0a%1b%7B", "http://127.0.0.1:1/%22%5C", "http://%22/", "ftp://%E2%80%AE/"] {
        let target = format!("/api/v1/fetch?url={url}");
        let answer = client::get_with(node.address(), &target, &[("Accept", "application/json")]).await;
        assert!(answer.status >= 400 && answer.is_complete(), "{answer:?}");
        let json: Result<serde_json::Value, _> = serde_json::from_slice(&answer.body);
        assert!(json.is_ok(), "{url}: {}", answer.text());
    }
}
