//! How old a copy may be: `ttl`, revalidation, stale answers.

use scenarios::{counted, outcome, settled, suspicious};
use testkit::node::{Node, fetch_target};
use testkit::origin::{Gate, Origin, Script};

/// A target that accepts any age and keeps the object.
fn patient(url: &str) -> String {
    fetch_target(url, "&ttl=10d")
}

#[tokio::test]
async fn an_old_copy_is_confirmed_with_its_validators() {
    let (origin, node) = (Origin::start().await, suspicious().start().await);
    origin.route("/f", Script::object("abc").etag("\"v1\""));
    let url = origin.url("/f");
    node.get(&patient(&url)).await.expect_body(200, "abc");
    settled(&node).await;
    let again = node.fetch(&url).await.expect_body(200, "abc");
    assert_eq!(outcome(&again), "REVALIDATED");
    let request = &origin.requests()[1];
    assert_eq!(request.header("if-none-match"), Some("\"v1\""));
    assert!(request.header("if-modified-since").is_none_or(|date| date == "Tue, 06 Jan 2026 10:00:00 GMT"));
    assert_eq!(request.header("range"), None);
}

#[tokio::test]
async fn a_date_alone_is_validator_enough() {
    let (origin, node) = (Origin::start().await, suspicious().start().await);
    origin.route("/f", Script::object("abc").etag(""));
    let url = origin.url("/f");
    node.get(&patient(&url)).await.expect_body(200, "abc");
    settled(&node).await;
    node.fetch(&url).await.expect_body(200, "abc");
    assert_eq!(origin.requests()[1].header("if-modified-since"), Some("Tue, 06 Jan 2026 10:00:00 GMT"));
}

#[tokio::test]
async fn one_users_short_ttl_never_shortens_anothers() {
    let (origin, node) = (Origin::start().await, suspicious().start().await);
    origin.route("/f", Script::object("abc"));
    let url = origin.url("/f");
    node.get(&patient(&url)).await.expect_body(200, "abc");
    settled(&node).await;
    for ttl in ["1s", "1m"] {
        node.get(&fetch_target(&url, &format!("&ttl={ttl}"))).await.expect_body(200, "abc");
    }
    node.fetch(&url).await.expect_body(200, "abc");
    settled(&node).await;
    let asked = origin.requests().len();
    assert_eq!(outcome(&node.get(&patient(&url)).await.expect_body(200, "abc")), "HIT");
    assert_eq!(origin.requests().len(), asked);
}

#[tokio::test]
async fn ttl_wins_over_what_the_origin_says() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin
        .route("/f", Script::object("abc").header("Cache-Control", "no-cache, no-store, max-age=0, private"));
    for _ in 0..2 {
        node.fetch(&origin.url("/f")).await.expect_body(200, "abc");
    }
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_changed_object_replaces_the_old_one_at_once() {
    // 29 between two requests: new bytes of the same length; 36: Content-Encoding changes between revalidations.
    let (origin, node) = (Origin::start().await, suspicious().start().await);
    origin.route_each(
        "/f",
        vec![
            Script::object("old").etag("\"v1\"").header("Content-Encoding", "gzip").into(),
            Script::object("new").etag("\"v2\"").header("Content-Encoding", "br").into(),
            Script::object("raw").etag("\"v3\"").into(),
        ],
    );
    let url = origin.url("/f");
    for (body, coding) in [("old", Some("gzip")), ("new", Some("br")), ("raw", None)] {
        let answer = node.fetch(&url).await.expect_body(200, body);
        settled(&node).await;
        assert_eq!(answer.header("content-encoding"), coding);
        let kept = node.get(&patient(&url)).await.expect_body(200, body);
        assert_eq!(kept.header("content-encoding"), coding);
    }
    assert_eq!(origin.requests().len(), 3);
}

#[tokio::test]
async fn a_304_may_change_fields_but_never_the_bytes_framing() {
    // 37: 304 with different headers.
    let (origin, node) = (Origin::start().await, suspicious().start().await);
    let not_modified = "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\nX-Build: 2\r\nContent-Length: 999\r\n\
         Content-Encoding: gzip\r\nContent-Range: bytes 0-1/2\r\nTransfer-Encoding: chunked\r\n\r\n";
    origin.route_each(
        "/f",
        vec![
            Script::object("abc").etag("\"v1\"").header("X-Build", "1").into(),
            Script::raw(not_modified.replace("Transfer-Encoding: chunked\r\n", "")),
            Script::raw(
                not_modified.replace("ETag: \"v1\"\r\n", "").replace("Transfer-Encoding: chunked\r\n", ""),
            ),
        ],
    );
    let url = origin.url("/f");
    node.get(&patient(&url)).await.expect_body(200, "abc");
    settled(&node).await;
    for _ in 0..2 {
        let answer = node.fetch(&url).await.expect_body(200, "abc");
        assert_eq!(answer.header("x-build"), Some("2"));
        assert_eq!(answer.content_length(), Some(3));
        assert_eq!(answer.header("content-range"), None);
        assert_eq!(answer.header("content-encoding"), None);
    }
    node.assert_alive().await;
}

#[tokio::test]
async fn a_304_with_another_etag_confirms_nothing() {
    let (origin, node) = (Origin::start().await, suspicious().start().await);
    origin.route_each(
        "/f",
        vec![
            Script::object("old").etag("\"v1\"").into(),
            Script::raw("HTTP/1.1 304 Not Modified\r\nETag: \"v2\"\r\n\r\n"),
            Script::object("new").etag("\"v2\"").into(),
        ],
    );
    let url = origin.url("/f");
    node.get(&patient(&url)).await.expect_body(200, "old");
    settled(&node).await;
    let answer = node.fetch(&url).await;
    settled(&node).await;
    assert!(answer.text() == "new" || answer.status >= 500, "{answer:?}");
    assert_eq!(node.fetch(&url).await.expect(200).text(), "new");
}

#[tokio::test]
async fn a_304_that_nobody_asked_for_is_a_broken_origin() {
    // 37: 304 to an unconditional request.
    let (origin, node) = (Origin::start().await, suspicious().start().await);
    scenarios::survive(
        &node,
        &origin,
        "/f",
        Script::raw("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"),
        b"abc",
    )
    .await;
}

#[tokio::test]
async fn many_who_find_an_old_copy_ask_the_origin_once() {
    let (origin, node) = (Origin::start().await, suspicious().start().await);
    let gate = Gate::new();
    let object = Script::object("abc");
    origin.route_each("/f", vec![object.clone().into(), object.head_after(&gate).into()]);
    let url = origin.url("/f");
    node.get(&patient(&url)).await.expect_body(200, "abc");
    settled(&node).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = node.client().await;
        client.start("GET", &fetch_target(&url, ""), &[]).await;
        clients.push(client);
    }
    gate.reached(1).await;
    node.assert_alive().await;
    gate.open();
    for client in &mut clients {
        client.response("GET").await.expect_body(200, "abc");
    }
    let conditional =
        origin.requests().iter().filter(|request| request.header("if-none-match").is_some()).count();
    // Whoever came after the first one was confirmed asks again: his copy may have no age at all.
    assert_eq!(conditional, origin.requests().len() - 1);
    assert!(conditional <= 20, "{conditional}");
}

#[tokio::test]
async fn a_short_ttl_collapses_revalidations_into_one() {
    let origin = Origin::start().await;
    let node = suspicious().start().await;
    let gate = Gate::new();
    let object = Script::object("abc");
    origin.route_each("/f", vec![object.clone().into(), object.head_after(&gate).into()]);
    let url = origin.url("/f");
    node.get(&patient(&url)).await.expect_body(200, "abc");
    settled(&node).await;
    // The first one is not content with any age; the others would be content with what he gets.
    let mut first = node.client().await;
    first.start("GET", &fetch_target(&url, ""), &[]).await;
    gate.reached(1).await;
    let hit = node.get(&patient(&url)).await.expect_body(200, "abc");
    assert_eq!(outcome(&hit), "HIT", "a revalidation under way holds nobody up who accepts the copy");
    gate.open();
    first.response("GET").await.expect_body(200, "abc");
    assert_eq!(origin.requests().len(), 2);
}

#[tokio::test]
async fn an_old_copy_is_served_and_marked_while_the_origin_is_down() {
    let (origin, node) = (Origin::start().await, suspicious().start().await);
    origin.route("/f", Script::object("abc"));
    let url = origin.url("/f");
    node.get(&patient(&url)).await.expect_body(200, "abc");
    settled(&node).await;
    origin.stop().await;
    let stale = node.fetch(&url).await.expect_body(200, "abc");
    assert_eq!(outcome(&stale), "STALE");
    assert_eq!(outcome(&node.get(&patient(&url)).await.expect_body(200, "abc")), "HIT");
    counted(&node, "standpipe_requests_total", &["stale"], 1.0).await;
    node.assert_alive().await;
}

#[tokio::test]
async fn no_old_copy_is_served_when_the_operator_forbids_it() {
    let origin = Origin::start().await;
    let node = suspicious().args(["--fill-stale-if-error", "0s"]).start().await;
    origin.route("/f", Script::object("abc"));
    let url = origin.url("/f");
    node.get(&patient(&url)).await.expect_body(200, "abc");
    settled(&node).await;
    origin.stop().await;
    node.fetch(&url).await.expect_refusal(&[502, 504]);
}

#[tokio::test]
async fn a_server_error_never_replaces_a_good_object() {
    // 39 at a revalidation: 500, 502, 503, 429.
    for status in ["500", "502", "503", "504", "429"] {
        let (origin, node) = (Origin::start().await, suspicious().start().await);
        origin.route_each(
            "/f",
            vec![Script::object("abc").into(), Script::answer(&format!("{status} Oops"), "bad")],
        );
        let url = origin.url("/f");
        node.get(&patient(&url)).await.expect_body(200, "abc");
        settled(&node).await;
        let stale = node.fetch(&url).await.expect_body(200, "abc");
        assert_eq!(outcome(&stale), "STALE", "{status}");
        assert_eq!(outcome(&node.get(&patient(&url)).await.expect_body(200, "abc")), "HIT", "{status}");
        node.assert_alive().await;
    }
}

#[tokio::test]
async fn a_replacement_that_breaks_leaves_the_old_object_or_the_truth() {
    // 39 mid-refresh: the new representation breaks in the middle.
    let (origin, node) = (Origin::start().await, suspicious().start().await);
    let old = testkit::content::content(1, 300_000);
    let new = testkit::content::content(2, 300_000);
    origin.route_each(
        "/f",
        vec![
            Script::object(old.clone()).etag("\"v1\"").into(),
            Script::object(new.clone()).etag("\"v2\"").cut_at(150_000, testkit::origin::End::Reset).into(),
            Script::answer("503 Oops", "bad"),
        ],
    );
    let url = origin.url("/f");
    node.get(&patient(&url)).await.expect_body(200, &old);
    settled(&node).await;
    let answer = node.fetch(&url).await;
    settled(&node).await;
    let whole = answer.is_complete() && (answer.body == old || answer.status >= 500);
    assert!(
        whole || (answer.is_broken() && new.starts_with(&answer.body)),
        "{} {:?}",
        answer.status,
        answer.ending
    );
    origin.route("/f", Script::object(new.clone()).etag("\"v2\""));
    node.fetch(&url).await.expect_body(200, &new);
    node.assert_alive().await;
}

#[tokio::test]
async fn odd_dates_and_ages_of_the_origin_do_no_harm() {
    // 40: Age negative or huge, Date in 1970 or 2100.
    let (origin, node) = (Origin::start().await, Node::start().await);
    let odd = [
        ("Age", "-5"),
        ("Age", "18446744073709551616"),
        ("Age", "99999999999999999999999999"),
        ("Age", "abc"),
        ("Date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("Date", "Fri, 01 Jan 2100 00:00:00 GMT"),
        ("Date", "Fri, 31 Feb 2100 25:61:61 GMT"),
        ("Expires", "0"),
        ("Expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("Cache-Control", "max-age=99999999999999999999"),
        ("Cache-Control", "ext=\"a, max-age=3600\", ,,="),
        ("Last-Modified", "nonsense"),
    ];
    for (index, (name, value)) in odd.into_iter().enumerate() {
        let path = format!("/{index}");
        let object = Script::object("abc");
        let object =
            if name == "Last-Modified" { object.last_modified(value) } else { object.header(name, value) };
        origin.route(&path, object);
        for _ in 0..2 {
            let answer = node.fetch(&origin.url(&path)).await.expect_body(200, "abc");
            if let Some(age) = answer.header("age") {
                assert!(age.parse::<u64>().is_ok(), "{name}: {value} became Age: {age}");
            }
        }
        assert_eq!(origin.requests_for(&path).len(), 1, "{name}: {value}");
    }
    node.assert_alive().await;
}

#[tokio::test]
async fn a_request_may_insist_on_asking_the_origin() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/f", Script::object("abc"));
    let url = origin.url("/f");
    node.fetch(&url).await.expect_body(200, "abc");
    settled(&node).await;
    let insisting = node.get(&fetch_target(&url, "&revalidate=always")).await.expect_body(200, "abc");
    assert_eq!(outcome(&insisting), "REVALIDATED");
    assert_eq!(origin.requests().len(), 2);
    node.get(&fetch_target(&url, "&revalidate=perhaps")).await.expect_refusal(&[400]);
}
