//! Who may ask: network rules, trusted proxies, refusals.

use scenarios::impatient;
use testkit::client;
use testkit::node::{Node, fetch_target, quote_plus, run};
use testkit::origin::{Origin, Script};

async fn with_rules(rules: &str, more: &[&str]) -> (Origin, Node) {
    let origin = Origin::start().await;
    origin.route("/f", Script::object("abc"));
    (origin, impatient().config(&format!("[access]\nrules = [{rules}]\n")).args(more).start().await)
}

#[tokio::test]
async fn a_refused_network_gets_403_that_names_the_rule_and_reaches_nobody() {
    let (origin, node) = with_rules(r#""deny loopback door=fetch", "allow any""#, &[]).await;
    let answer = node.fetch(&origin.url("/f")).await.expect_refusal(&[403]);
    assert!(answer.text().contains("deny loopback"), "{}", answer.text());
    assert_eq!(origin.connections(), 0);
    node.assert_alive().await;
}

#[tokio::test]
async fn the_first_rule_that_fits_decides() {
    let (origin, node) = with_rules(r#""allow 127.0.0.1 method=GET", "deny any""#, &[]).await;
    node.fetch(&origin.url("/f")).await.expect_body(200, "abc");
    node.fetch_head(&origin.url("/f")).await.expect_refusal(&[403]);
    let delete = format!("/api/v1/delete?url={}", quote_plus(&origin.url("/f")));
    node.request("DELETE", &delete, &[]).await.expect_refusal(&[403]);
    node.assert_alive().await;
}

// 16 where this door is concerned: deleting from where only fetching is allowed.
#[tokio::test]
async fn deleting_can_be_kept_to_operators() {
    let (origin, node) =
        with_rules(r#""deny any door=admin", "allow any""#, &["--admin-delete-by-get"]).await;
    node.fetch(&origin.url("/f")).await.expect_body(200, "abc");
    scenarios::settled(&node).await;
    let delete = format!("/api/v1/delete?url={}", quote_plus(&origin.url("/f")));
    for method in ["GET", "POST", "DELETE"] {
        node.request(method, &delete, &[("Content-Length", "0")]).await.expect_refusal(&[403]);
    }
    assert_eq!(scenarios::outcome(&node.fetch(&origin.url("/f")).await), "HIT");
}

#[tokio::test]
async fn a_path_in_another_spelling_does_not_slip_past_a_rule() {
    let (origin, node) =
        with_rules(r#""deny any path=/api/v1/fetch", "deny any path=/http:", "allow any""#, &[]).await;
    let url = origin.url("/f");
    for target in [
        fetch_target(&url, ""),
        format!("/api/v1/fetch/?url={url}"),
        format!("/api/v1/fetch/name?url={url}"),
        format!("/api/v1/%66etch?url={url}"),
        format!("//api/v1/fetch?url={url}"),
        format!("/./api/v1/fetch?url={url}"),
        format!("/api//v1/fetch?url={url}"),
        format!("/x/../api/v1/fetch?url={url}"),
        format!("/API/v1/fetch?url={url}"),
        format!("/{url}"),
        format!("/%68ttp://{}/f", origin.address()),
        format!("/HTTP://{}/f", origin.address()),
    ] {
        node.get(&target).await.expect_refusal(&[400, 403, 404]);
    }
    assert_eq!(origin.connections(), 0);
    node.assert_alive().await;
}

#[tokio::test]
async fn forwarded_addresses_are_believed_from_trusted_proxies_only() {
    let rules = r#""allow 10.1.0.0/16", "deny any""#;
    let (origin, node) = with_rules(rules, &[]).await;
    let target = fetch_target(&origin.url("/f"), "");
    let forged = [("X-Forwarded-For", "10.1.2.3")];
    client::get_with(node.address(), &target, &forged).await.expect_refusal(&[403]);

    let (origin, node) = with_rules(rules, &["--access-trusted-proxies", "127.0.0.1,10.9.0.0/16"]).await;
    let target = fetch_target(&origin.url("/f"), "");
    let cases = [
        ("10.1.2.3", 200),
        ("10.1.2.3, 10.9.0.1", 200),
        ("::ffff:10.1.2.3", 200),
        ("10.2.2.3", 403),
        ("10.1.2.3, 10.2.0.1", 403),
        ("10.1.2.3, garbage", 403),
        ("garbage", 403),
        ("", 403),
        (",,,", 403),
    ];
    for (field, status) in cases {
        let answer = client::get_with(node.address(), &target, &[("X-Forwarded-For", field)]).await;
        assert_eq!(answer.status, status, "{field:?}: {}", answer.text());
    }
}

#[tokio::test]
async fn bad_rules_are_refused_at_start_with_their_text() {
    for rule in ["permit any", "allow", "allow 10.0.0.0/99", "allow any door=kitchen", "allow any colour=red"]
    {
        let output = run(["check-config", "--access-rules", rule]).await;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(rule), "{rule}: {text}");
    }
}
