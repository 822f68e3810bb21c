//! What operators see: status, health, metrics, logs, drain.

use std::time::Duration;

use scenarios::{counted, impatient, metric, settled};
use testkit::client::Ending;
use testkit::content::content;
use testkit::node::{Node, fetch_target};
use testkit::origin::{Gate, Origin, Script};

#[tokio::test]
async fn the_first_lines_tell_where_it_listens_and_how_to_try_it() {
    let node = Node::start().await;
    let stdout = node.stdout();
    let first = stdout.lines().next().unwrap_or_default();
    assert_eq!(first, format!("standpipe listening on {}", node.url()));
    node.assert_alive().await;
    assert!(node.stdout().contains("curl"), "{}", node.stdout());
}

#[tokio::test]
async fn status_has_every_field_that_kisscache_has() {
    let (origin, node) =
        (Origin::start().await, Node::builder().args(["--store-quota", "1GiB"]).start().await);
    origin.route("/f", Script::object(content(1, 100_000)));
    node.fetch(&origin.url("/f")).await.expect(200);
    node.fetch(&origin.url("/f")).await.expect(200);
    node.fetch(&origin.url("/missing")).await.expect(404);
    // The client has its bytes a moment before the object counts as complete.
    settled(&node).await;
    let answer = node.get("/api/v1/status/").await.expect(200);
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json")));
    let status: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    for field in [
        "timestamp",
        "disk_usage",
        "disk_usage_percent",
        "disk_quota",
        "instance",
        "resources_scheduled",
        "resources_downloading",
        "resources_successes",
        "resources_failures",
        "resources_usage",
        "statistics_successes",
        "statistics_failures",
        "statistics_download",
        "statistics_upload",
        "statistics_requests",
        "version",
    ] {
        assert!(status.get(field).is_some(), "no {field} in {status}");
    }
    let number = |field: &str| status[field].as_u64().unwrap_or_else(|| panic!("{field} in {status}"));
    assert_eq!(number("disk_quota"), 1 << 30);
    assert!(number("disk_usage") >= 100_000);
    assert_eq!((number("resources_successes"), number("resources_downloading")), (1, 0));
    assert!(number("statistics_download") >= 100_000);
    assert!(number("statistics_upload") >= 200_000);
    assert!(number("statistics_requests") >= 2);
    let without_slash = node.get("/api/v1/status").await;
    assert!([200, 301, 308].contains(&without_slash.status), "{without_slash:?}");
}

#[tokio::test]
async fn health_says_ok_until_the_shutdown_file_is_there() {
    let builder = Node::builder();
    let file = builder.directory().join("shutdown");
    let node = builder.arg("--server-shutdown-file").arg(&file).start().await;
    node.assert_alive().await;
    assert_eq!(node.request("HEAD", "/api/v1/health/", &[]).await.status, 200);
    std::fs::write(&file, "").expect("a writable directory");
    node.get("/api/v1/health/").await.expect_refusal(&[503]);
    std::fs::remove_file(&file).expect("the file is there");
    node.assert_alive().await;
}

#[tokio::test]
async fn metrics_count_bytes_requests_and_live_fills() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let gate = Gate::new();
    origin.route("/f", Script::object(content(1, 100_000)).pause_at(50_000, &gate));
    let mut first = node.client().await;
    first.start("GET", &fetch_target(&origin.url("/f"), ""), &[]).await;
    gate.reached(1).await;
    let head = first.head("GET").await;
    assert!((metric(&node, "standpipe_fills_filling", &[]).await - 1.0).abs() < 0.1);
    gate.open();
    assert_eq!(first.body(&head, |_| {}).await, Ending::Complete);
    scenarios::settled(&node).await;
    node.fetch(&origin.url("/f")).await.expect(200);
    node.fetch_head(&origin.url("/f")).await.expect(200);
    let text = node.get("/metrics").await.expect(200);
    assert!(text.header("content-type").is_some_and(|kind| kind.contains("text")));
    for line in text.text().lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("standpipe_") || line.starts_with("process_"), "{line}");
        assert!(!line.contains("/f"), "a URL in a label: {line}");
    }
    counted(&node, "standpipe_requests_total", &["hit"], 2.0).await;
    counted(&node, "standpipe_requests_total", &["miss"], 1.0).await;
    counted(&node, "standpipe_bytes_sent_total", &["cache"], 100_000.0).await;
    counted(&node, "standpipe_saved_bytes_total", &[], 100_000.0).await;
    assert!(metric(&node, "standpipe_fills_filling", &[]).await < 1.0);
}

// 84 where this door is concerned: names that clients make up never become labels.
#[tokio::test]
async fn made_up_names_do_not_grow_the_metrics() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    node.fetch(&origin.url("/0")).await;
    let lines = async || node.get("/metrics").await.expect(200).text().lines().count();
    node.get("/warm-up").await;
    let before = lines().await;
    for n in 0..50 {
        node.fetch(&origin.url(&format!("/{n}?{n}"))).await;
        node.get(&format!("/nothing/{n}")).await;
        node.request(&format!("METHOD{n}"), "/api/v1/health/", &[]).await;
    }
    let after = lines().await;
    assert!(after <= before + 5, "{before} lines became {after}");
}

#[tokio::test]
async fn the_access_log_has_one_json_line_a_request() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/f", Script::object("abc"));
    node.fetch(&origin.url("/f?once")).await.expect(200);
    let line = node.logged(&["/f?once"]).await;
    let json: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    assert!(json.is_object());
    let text = json.to_string();
    for word in ["miss", "200", "127.0.0.1", "GET"] {
        assert!(text.contains(word), "no {word} in {line}");
    }
}

// Lines of requests and of the server go to one place: whoever reads them sorts by one field.
#[tokio::test]
async fn every_json_line_has_its_time_under_one_name_and_in_one_form() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/f", Script::object("abc"));
    node.fetch(&origin.url("/f")).await.expect(200);
    node.fetch(&origin.url("/missing")).await.expect(404);
    node.logged(&["/missing", "\"status\":404"]).await;
    node.logged(&["\"level\"", "no object from the origin"]).await;
    for line in node.stderr().lines() {
        let json: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        let time = json["timestamp"].as_str().unwrap_or_default();
        let form: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(form, "0000-00-00T00:00:00.000000Z", "{line}");
        assert!(json.get("time").is_none(), "{line}");
    }
}

// 82 where logs are concerned: what clients send cannot forge lines or talk to a terminal.
#[tokio::test]
async fn hostile_targets_stay_on_their_log_line() {
    let node = Node::start().await;
    node.get("/%1b[31mred%0a{\"forged\":true}").await;
    node.get("/\u{202e}gnp.exe").await;
    node.get("/marker").await;
    node.logged(&["/marker"]).await;
    for line in node.stderr().lines() {
        assert!(!line.contains('\u{1b}') && !line.starts_with("{\"forged\""), "{line:?}");
    }
}

#[tokio::test]
async fn a_drain_cuts_no_follower_and_takes_no_new_work() {
    let (origin, mut node) = (Origin::start().await, Node::start().await);
    let (gate, bytes) = (Gate::new(), content(1, 500_000));
    origin.route("/f", Script::object(bytes.clone()).pause_at(300_000, &gate));
    let target = fetch_target(&origin.url("/f"), "");
    let mut leader = node.client().await;
    leader.start("GET", &target, &[]).await;
    gate.reached(1).await;
    let mut follower = node.client().await;
    follower.start("GET", &target, &[]).await;
    assert_eq!(follower.head("GET").await.status, 200);
    let mut idle = node.client().await;
    idle.request("GET", "/api/v1/health/", &[]).await.expect(200);

    node.terminate();
    assert!(idle.is_closed().await, "an idle connection is closed at once");
    gate.open();
    assert!(follower.some_body(500_000).await == bytes);
    leader.response("GET").await.expect_body(200, &bytes);
    let status = node.ended().await;
    assert!(status.success(), "{status:?}: {}", node.stderr());
}

#[tokio::test]
async fn a_drain_ends_after_its_grace_period() {
    let origin = Origin::start().await;
    let mut node = Node::builder().args(["--server-grace", "300ms"]).start().await;
    let gate = Gate::new();
    origin.route("/f", Script::object(content(1, 500_000)).pause_at(300_000, &gate));
    let mut client = node.client().await;
    client.start("GET", &fetch_target(&origin.url("/f"), ""), &[]).await;
    gate.reached(1).await;
    node.terminate();
    let answer = client.response("GET").await;
    assert!(answer.is_broken(), "{:?}", answer.ending);
    tokio::time::timeout(Duration::from_secs(30), node.ended())
        .await
        .expect("the end within the grace period");
}

// Regression: the listener was gone before a load balancer could see in the health check that it will be.
#[tokio::test]
async fn with_a_drain_delay_health_is_503_while_all_else_goes_on() {
    let origin = Origin::start().await;
    let mut node = Node::builder().args(["--server-drain-delay", "1h"]).start().await;
    origin.route("/f", Script::object("abc"));
    node.terminate();
    node.logged(&["drain"]).await;
    let leaving = async { while node.get("/api/v1/health/").await.status != 503 {} };
    testkit::guarded("health to be 503", leaving).await;
    node.fetch(&origin.url("/f")).await.expect_body(200, "abc");
    node.terminate();
    assert_eq!(node.ended().await.code(), Some(1), "a second signal ends the delay, too");

    let mut node = Node::builder().args(["--server-drain-delay", "1ms"]).start().await;
    node.terminate();
    assert!(node.ended().await.success());
}

#[tokio::test]
async fn an_idle_server_ends_at_once_and_cleanly() {
    let status = Node::start().await.stop().await;
    assert!(status.success(), "{status:?}");
}

#[tokio::test]
async fn health_is_503_while_draining() {
    let (origin, mut node) = (Origin::start().await, Node::start().await);
    let gate = Gate::new();
    origin.route("/f", Script::object(content(1, 500_000)).pause_at(300_000, &gate));
    let mut busy = node.client().await;
    busy.start("GET", &fetch_target(&origin.url("/f"), ""), &[]).await;
    // A request pipelined behind the running answer is the one that a load balancer's open connection may still send.
    busy.start("GET", "/api/v1/health/", &[]).await;
    gate.reached(1).await;
    node.terminate();
    node.logged(&["drain"]).await;
    gate.open();
    busy.response("GET").await.expect(200);
    let health = busy.response("GET").await;
    assert!(health.status == 503 || health.status == 0, "{health:?}");
    node.ended().await;
}

#[tokio::test]
async fn several_listeners_are_told_line_by_line() {
    let node = Node::builder().args(["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"]).start().await;
    node.assert_alive().await;
    let lines = node.stdout().lines().filter(|line| line.starts_with("standpipe listening on ")).count();
    assert_eq!(lines, 2, "{}", node.stdout());
}
